"""Step series brought to as many columns as a screen shows, without losing a peak, and written as SVG paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

HEIGHT: Final = 1000
"""What the height of a plot is divided into."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A step series of one or more replications in columns of equal time: three arrays with an entry for each column.

    ``mean`` is the mean of the replications' means over the column's time, ``low`` and ``high`` the least and the
    largest value that any of them has in it for any time at all. NaN where nothing is known.
    """

    mean: Floats
    low: Floats
    high: Floats


def one_in_columns(times: Integers, values: Floats, end: int, count: int) -> Columns:
    """Return the step series that has ``values`` from ``times`` on (ascending, the first 0) up to ``end``.

    Exact: a value that holds for a microsecond is among those of its column. Before the first time nothing is known.
    """
    edges = np.linspace(0, max(end, 1), count + 1)
    cuts = np.unique(np.concatenate([edges, times[(times > 0) & (times < end)].astype(np.float64)]))
    starts, lengths = cuts[:-1], np.diff(cuts)
    # The last of several rows of one instant is what holds.
    row = np.searchsorted(times, starts, side="right") - 1
    held = np.where(row >= 0, values[np.maximum(row, 0)], np.nan)
    first = np.searchsorted(starts, edges[:-1])
    total = np.add.reduceat(held * lengths, first)
    # Of the gaps between numbers and infinities, the mean is not to make what none of them is.
    low, high = np.fmin.reduceat(held, first), np.fmax.reduceat(held, first)
    mean = np.clip(total / np.diff(edges), low, high)
    return Columns(mean, low, high)


def in_columns(series: Sequence[tuple[Integers, Floats, int]], count: int) -> Columns:
    """Return the :class:`Columns` of replications, each as (times, values, end of its run), over the longest of them.

    A run that has ended takes part no longer.
    """
    longest = max(end for _, _, end in series)
    parts = []
    for times, values, end in series:
        if end < longest:
            times, values = np.append(times, end), np.append(values, np.nan)  # noqa: PLW2901  from then on nothing
        parts.append(one_in_columns(times, values, longest, count))
    with np.errstate(all="ignore"):
        known = sum(~np.isnan(part.mean) for part in parts)
        mean = np.nansum([part.mean for part in parts], axis=0) / known
    return Columns(mean, _ends(np.fmin, [p.low for p in parts]), _ends(np.fmax, [p.high for p in parts]))


def _ends(of: np.ufunc, rows: Sequence[Floats]) -> Floats:
    ends: Floats = of.reduce(np.array(rows), axis=0)
    return ends


def line_path(values: Floats, top: float, bottom: float = 0.0) -> str:
    """Return the path of a step line in a box of len(values) x :data:`HEIGHT`; it is broken where values are NaN."""
    rows = _rows(values, top, bottom)
    parts: list[str] = []
    at: int | None = None
    for place, length, row in _runs(rows):
        if row is None:
            at = None
            continue
        parts.append(f"M{place} {row}" if at is None else f"v{row - at}")
        parts.append(f"h{length}")
        at = row
    return "".join(parts)


def band_path(columns: Columns, top: float, bottom: float = 0.0) -> str:
    """Return the path of the area from the least to the largest value; nothing where these never differ.

    There and back again: above to the right, below to the left, as ``charts.js`` reads it. Where nothing is known the
    band has no height.
    """
    if not np.nanmax(np.abs(columns.high - columns.low), initial=0.0) > 0:
        return ""
    high, low = (np.nan_to_num(_known(ends), nan=bottom) for ends in (columns.high, columns.low))
    above, below = list(_runs(_rows(high, top, bottom))), list(_runs(_rows(low, top, bottom)))
    at = above[0][2] or 0
    parts = [f"M0 {at}"]
    for _, length, row in above:
        row = row or 0  # noqa: PLW2901  nothing is unknown here
        parts.append(f"v{row - at}h{length}" if row != at else f"h{length}")
        at = row
    for _, length, row in reversed(below):
        row = row or 0  # noqa: PLW2901
        parts.append(f"v{row - at}h{-length}" if row != at else f"h{-length}")
        at = row
    return "".join([*parts, "z"])


def _known(values: Floats) -> Floats:
    """Return ``values`` with the last one known where nothing is."""
    rows = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return values[rows]


def _rows(values: Floats, top: float, bottom: float) -> list[int | None]:
    with np.errstate(all="ignore"):
        shares = np.clip((top - values) / (top - bottom), 0, 1)
    return [None if np.isnan(share) else round(float(share) * HEIGHT) for share in shares]


def _runs(rows: Sequence[int | None]) -> list[tuple[int, int, int | None]]:
    """Return (first column, columns, row) of neighbours that are alike."""
    runs: list[tuple[int, int, int | None]] = []
    for place, row in enumerate(rows):
        if runs and runs[-1][2] == row:
            first, length, _ = runs[-1]
            runs[-1] = (first, length + 1, row)
        else:
            runs.append((place, 1, row))
    return runs
