"""The figures that benchmarks have found so far in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, its ``value``, and the ``most`` that it may be; ``name`` is its goal's, empty where none."""

    what: str
    value: float
    most: float
    name: str = ""


FIGURES: Final[list[Figure]] = []
