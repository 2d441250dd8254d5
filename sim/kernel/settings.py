"""Which kernel a guest runs, and what it was booted with, as far as its hotplug core asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """``series`` as (6, 1); the words of its command line."""

    series: tuple[int, int] = (6, 1)
    movable_node: bool = False
    memmap_on_memory: bool | str = False


PLAIN: Final = KernelSettings()
"""A kernel without any of these words."""
