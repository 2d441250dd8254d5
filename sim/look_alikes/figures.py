"""A figure of a data set: what was published, and how the same is measured in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sim.look_alikes.draws import Floats
    from sim.look_alikes.tables import Columns

Tables = Mapping[str, "Columns"]
"""Tables of a data set by their role in it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """``what``, in ``unit``, is ``real`` in the real data; ``measure`` finds it in tables.

    ``within`` is the factor within which the look-alike shall have it, 1.1 for a tenth more or less, and ``real`` was
    published. Where ``within`` is None nothing was published and nothing fitted: ``real`` was measured on the real
    files by the same ``measure``, and shows what the look-alike does not have.
    """

    what: str
    unit: str
    real: float
    measure: Callable[[Tables], float]
    within: float | None = None


def groups(columns: Columns, by: str, value: str) -> list[np.ndarray[Any, Any]]:
    """Return the values of each series, in the order of rows; rows of a series stand together."""
    names = columns[by]
    edges = np.flatnonzero(names[1:] != names[:-1]) + 1
    return np.split(columns[value], edges)


def lagged(values: Floats, lag: int) -> float:
    """Return the correlation of ``values`` with themselves ``lag`` samples later; NaN where they do not vary."""
    early, late = np.asarray(values[:-lag], dtype=float), np.asarray(values[lag:], dtype=float)
    if len(early) < 3 or not early.std() or not late.std():  # noqa: PLR2004  two points always lie on a line
        return float("nan")
    return float(np.corrcoef(early, late)[0, 1])


def median_lagged(series: list[np.ndarray[Any, Any]], lag: int) -> float:
    """Return the median over series of :func:`lagged`, of those that vary."""
    return float(np.nanmedian([lagged(values, lag) for values in series]))
