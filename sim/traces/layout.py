"""Where in a row the mapping's columns stand, once the names of a file's columns are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.faults import shown, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.traces.mapping import Columns
    from sim.traces.told import TraceFaults

MOST_COLUMNS: Final = 50_000
"""Of a file: a wide row may hold the minutes of a month."""

_MOST_COMPARED: Final = 500
"""Names among which the nearest to a wrong one is looked for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A quantity of one sample in a row: columns that are added, columns that are taken off, bytes of a 1."""

    plus: tuple[int, ...]
    minus: tuple[int, ...]
    unit: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns by number: of the time, of the series, and for each sample that a row holds its quantities' cells.

    Sample i of a row was taken ``i * step_us`` after the row's time.
    """

    names: tuple[str, ...]
    time: int
    series: tuple[int, ...]
    samples: tuple[Mapping[str, Cell], ...]

    @property
    def amounts(self) -> list[int]:
        """All columns that quantities are made of, each once, in order."""
        used = {n for sample in self.samples for cell in sample.values() for n in (*cell.plus, *cell.minus)}
        return sorted(used)


def lay_out(names: Sequence[str], columns: Columns, faults: TraceFaults, where: str, hint: str = "") -> Layout:
    """Return where the columns of the mapping are among ``names``, which stand at ``where``.

    Raises InputError with all that is wrong, to which ``hint`` is added where a column is not there.
    """
    if len(names) > MOST_COLUMNS:
        faults.refuse(f"there are {len(names):,} columns; {MOST_COLUMNS:,} is the most", where)
    if columns.time is None:
        faults.add(where, "which column holds the times? The mapping must say, such as columns = { time = 't_s', ... }")
    wanted = [columns.time or "", *columns.series]
    for amount in columns.amounts.values():
        wanted += [*amount.columns, amount.last or ""]
    for name in dict.fromkeys(filter(None, wanted)):
        if name not in names:
            faults.add(where, unknown_name("column", name, filter(None, map(str.strip, names[:_MOST_COMPARED]))) + hint)
        elif names.count(name) > 1:
            faults.add(where, f"there are {names.count(name)} columns {shown(name)}")
    faults.done()
    return Layout(
        tuple(names),
        names.index(columns.time or ""),
        tuple(map(names.index, columns.series)),
        tuple(_samples(names, columns, faults, where)),
    )


def _samples(names: Sequence[str], columns: Columns, faults: TraceFaults, where: str) -> Sequence[Mapping[str, Cell]]:
    if not columns.wide:
        return [
            {
                name: Cell(tuple(map(names.index, each.plus)), tuple(map(names.index, each.minus)), each.unit)
                for name, each in columns.amounts.items()
            }
        ]
    ranges = {}
    for name, amount in columns.amounts.items():
        first, last = names.index(amount.plus[0]), names.index(amount.last or "")
        if last < first:
            faults.refuse(f"{amount.last} must stand behind {amount.plus[0]}, but stands before it", where)
        ranges[name] = range(first, last + 1)
    widths = {len(each) for each in ranges.values()}
    if len(widths) > 1:
        faults.refuse("all quantities must stand in equally many columns of a row", where)
    return [
        {name: Cell((each[i],), (), columns.amounts[name].unit) for name, each in ranges.items()}
        for i in range(widths.pop())
    ]
