"""Scores over two things that an experiment varies: what a heat map shows, with the combinations that fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.analysis.ranking import failing
from sim.results.failure import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]

LABELS: Final = ("machine", "workload", "policy")
"""Columns that can be an axis beside swept parameters."""

_SINGLE: Final = ("guest", "timing")
"""What is swept of these stands in the machine's label."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What lies along one side: the column ``name`` of the runs, what people read for it, and its values in words."""

    name: str
    title: str
    words: tuple[str, ...]
    numeric: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """The means of ``score`` by ``up`` (rows) and ``across`` (columns), NaN where it is undefined, in stored units.

    ``failed`` of the ``runs`` of each combination fail; 0 runs where it was not run. ``fixed`` are the labels of what
    is the same in all of it.
    """

    score: str
    across: Axis
    up: Axis
    mean: Floats
    failed: npt.NDArray[np.int64]
    runs: npt.NDArray[np.int64]
    fixed: str


def swept(runs: pd.DataFrame) -> list[str]:
    """Return the columns of ``runs`` that hold what the experiment sweeps and that vary, most values first."""
    names = [name for name in map(str, runs.columns) if name.split(".")[0] in (*LABELS, *_SINGLE) and "." in name]
    counts = {name: runs[name].map(str).where(runs[name].notna()).nunique() for name in names}
    return sorted((name for name in names if counts[name] > 1), key=lambda name: -counts[name])


def usual_axes(runs: pd.DataFrame) -> tuple[str, str] | None:
    """Return what to lay across and up: two swept parameters, or one and the workloads or machines; None if neither."""
    found = swept(runs)[:2]
    if len(found) == 1:
        found += [name for name in ("workload", "machine") if not found[0].startswith(name)]
        found = [found[0], *(name for name in found[1:] if len(set(runs[name])) > 1)][:2]
    if len(found) < 2:  # noqa: PLR2004
        return None
    # Policies are what is chosen, so they lie across.
    first, second = sorted(found, key=lambda name: not name.startswith("policy"))
    return first, second


def grids(runs: pd.DataFrame, score: str, across: str, up: str) -> Iterator[Grid]:
    """Yield a grid for each combination of whatever else differs.

    ``across`` and ``up`` are columns of ``runs`` (see :meth:`sim.results.store.ResultStore.runs`): swept parameters
    or one of :data:`LABELS`. Runs that lack one are left out, such as those of policies without the parameter. Raises
    ValueError where there is no such column or score.
    """
    known = [*LABELS, *swept(runs)]
    if unknown := [name for name in (across, up) if name not in known]:
        raise ValueError(f"nothing varies under the name {unknown[0]!r}; there are: {', '.join(known)}")
    if across == up:
        raise ValueError(f"across and up are both {up!r}")
    if score not in runs:
        raise ValueError(f"there is no score {score!r} in these runs")
    done = runs[(runs["status"] == Status.COMPLETED) & runs[across].notna() & runs[up].notna()]
    fixed = {room: done[room] for room in LABELS if room not in (across, up)}
    texts: dict[str, dict[str, str]] = {across: {}, up: {}}
    for name in (across, up):
        room, _, key = name.partition(".")
        room = "machine" if room in _SINGLE else room
        if room in fixed:
            pattern = re.compile(rf", (?:{name.split('.')[0]} )?{re.escape(key.replace('.', ' '))} ([^,]*)")
            for value, label in zip(done[name].map(str), done[room], strict=True):
                if found := pattern.search(str(label)):
                    texts[name][value] = found.group(1)
            fixed[room] = fixed[room].map(lambda label, pattern=pattern: pattern.sub("", str(label), count=1))
    table = done.assign(**{f"fixed {room}": labels for room, labels in fixed.items()}, failing=failing(done))
    for _, group in table.groupby([f"fixed {room}" for room in fixed] or "status", sort=True):
        sides = {name: _axis(group[name], name, texts[name]) for name in (across, up)}
        if min(len(sides[name].words) for name in sides) > 1:
            rest = [str(group[f"fixed {room}"].iloc[0]) for room in fixed]
            yield _grid(group, score, sides[across], sides[up], ", ".join(rest))


def _axis(values: pd.Series[Any], name: str, texts: dict[str, str]) -> Axis:
    found = list(dict.fromkeys(values.tolist()))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in found)
    if numeric:
        found.sort()
    words = [texts.get(str(value), f"{value:g}" if isinstance(value, float) else str(value)) for value in found]
    return Axis(name, name.partition(".")[2].replace("_", " ") or name, tuple(words), numeric)


def _grid(group: pd.DataFrame, score: str, across: Axis, up: Axis, fixed: str) -> Grid:
    shape = (len(up.words), len(across.words))
    mean, failed, runs = np.full(shape, np.nan), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    places = []
    for axis in (up, across):
        values = list(dict.fromkeys(group[axis.name].tolist()))
        places.append({value: place for place, value in enumerate(sorted(values) if axis.numeric else values)})
    for (y, x), cells in group.groupby([up.name, across.name], sort=False):
        place = (places[0][y], places[1][x])
        mean[place] = cells[score].mean()
        failed[place], runs[place] = int(cells["failing"].sum()), len(cells)
    return Grid(score, across, up, mean, failed, runs, fixed)


def thresholds(grid: Grid) -> list[int] | None:
    """Return for each row from which column on runs fail, the number of columns where none does.

    None where that is not so: a column that fails is followed by one that does not, or was not run.
    """
    fails = (grid.failed > 0) & (grid.runs > 0)
    starts = [int(row.argmax()) if row.any() else len(row) for row in fails]
    whole = all(row[start:].all() for row, start in zip(fails, starts, strict=True))
    return starts if whole and grid.across.numeric else None


def rows_of(grid: Grid, starts: Sequence[int], start: int) -> list[str]:
    """Return what people read for the rows that begin to fail at the column ``start``."""
    return [value for value, each in zip(grid.up.words, starts, strict=True) if each == start]
