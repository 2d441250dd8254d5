"""CSV read row by row: slow, exact in every fault, and the measure of the fast way (:mod:`sim.traces.csv_fast`)."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final

from sim.faults import shown
from sim.traces import texts
from sim.traces.batches import LEAST_SUM, MISSING, Builder
from sim.traces.layout import Layout, lay_out
from sim.traces.mapping import SEPARATORS
from sim.units import MEMORY_LIMIT, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sim.traces.batches import Batch, SeriesNames
    from sim.traces.layout import Cell
    from sim.traces.mapping import Columns
    from sim.traces.told import TraceFaults

_AT_ONCE: Final = 1 << 15


def read_exactly(
    chunks: Iterator[bytes], columns: Columns, series: SeriesNames, faults: TraceFaults
) -> Iterator[Batch]:
    """Yield the samples of the CSV text in ``chunks``. InputError tells what is wrong, at the end at the latest."""
    reader = RowReader(columns, series, faults, lambda text: texts.time_us(text, columns))
    rows = texts.lines(chunks, faults)
    if columns.names:
        layout = lay_out(columns.names, columns, faults, "names")
        yield from _rows(reader, layout, columns, rows, faults)
        return
    for line, text in rows:
        yield from _rows(reader, named(line, text, columns, faults), columns, rows, faults)
        return
    faults.refuse("is empty; its first line must name the columns")


def _rows(
    reader: RowReader, layout: Layout, columns: Columns, rows: Iterator[tuple[int, str]], faults: TraceFaults
) -> Iterator[Batch]:
    row = 0
    for row, (line, text) in enumerate(rows, start=1):
        where = f"row {row} (line {line})"
        fields = _fields(text, columns, faults, where)
        if fields is not None and len(fields) != len(layout.names):
            faults.add(where, f"has {len(fields)} fields, but there are {len(layout.names)} columns")
        elif fields is not None:
            reader.row(layout, fields, where)
        if len(reader) >= _AT_ONCE:
            yield reader.taken()
    faults.done()
    if not row:
        faults.refuse("holds no rows but the names of the columns")
    yield reader.taken()


def named(line: int, text: str, columns: Columns, faults: TraceFaults) -> Layout:
    """Return where the columns are by the ``line`` that names them. Raises InputError, also if it seems to be a row."""
    where = f"line {line}"
    fields = _fields(text, columns, faults, where) or []
    if len(fields) == 1:
        for name, separator in SEPARATORS.items():
            if separator != columns.separator and separator in text:
                faults.refuse(f"its fields are separated by {shown(separator)}: say separator = '{name}'", where)
    hint = "if it is a row, say what the columns are: names = ['t', ...]"
    if not any(field and not _is_number(field) for field in fields):
        faults.refuse(f"must name the columns, but is {shown(text)}; {hint}", where)
    return lay_out(fields, columns, faults, where, f"; {hint}" if any(map(_is_number, fields)) else "")


def _is_number(text: str) -> bool:
    try:
        texts.number(text)
    except ValueError:
        return False
    return True


def _fields(text: str, columns: Columns, faults: TraceFaults, where: str) -> list[str] | None:
    if '"' not in text:
        return [field.strip() for field in text.split(columns.separator)]
    try:
        return [
            field.strip()
            for field in next(csv.reader([text], strict=True, skipinitialspace=True, delimiter=columns.separator))
        ]
    except csv.Error as error:
        faults.add(where, f"is not a line of CSV: {error}; a field in quotes must end in its line")
        return None


class RowReader:
    """Makes samples of rows of text; ``time_us`` reads times."""

    def __init__(
        self, columns: Columns, series: SeriesNames, faults: TraceFaults, time_us: Callable[[str], int]
    ) -> None:
        self._columns = columns
        self._series = series
        self._faults = faults
        self._time_us = time_us
        self._missing = {"", *columns.missing}
        self._builder = Builder(tuple(columns.amounts))

    def __len__(self) -> int:
        return len(self._builder)

    def taken(self) -> Batch:
        """Return the samples of the rows since the last call."""
        return self._builder.taken()

    def row(self, layout: Layout, fields: list[str], where: str) -> None:
        """Take the row of ``fields`` that stands at ``where``; what is wrong in it is told."""
        names = [fields[each] for each in layout.series]
        for each in layout.series:
            if not fields[each]:
                self._faults.add(f"{where}, column {layout.names[each]}", "must name the series, but is empty")
        time_where = f"{where}, column {layout.names[layout.time]}"
        time = None
        try:
            time = self._time_us(fields[layout.time])
        except ValueError as error:
            self._faults.add(time_where, str(error))
        samples = [[self._amount(layout, cell, fields, where) for cell in each.values()] for each in layout.samples]
        if time is None or not all(names):
            return
        code = self._series.code("/".join(names))
        if self._builder.falls(code, time):
            of = f" of series {shown('/'.join(names))}" if names else ""
            self._faults.add(
                time_where,
                f"must not be before the sample above{of}, but is {shown(fields[layout.time])}: sort the rows",
            )
            return
        for number, amounts in enumerate(samples):
            t_us = time + number * self._columns.step_us
            if number and self._builder.falls(code, t_us):
                raise AssertionError("steps are positive")
            self._builder.add(code, t_us, amounts)

    def _amount(self, layout: Layout, cell: Cell, fields: list[str], where: str) -> int:
        """Return bytes; -1 for a missing value, and for a wrong one, which is told."""
        total = 0.0
        missing = False
        for sign, numbers in ((1, cell.plus), (-1, cell.minus)):
            for each in numbers:
                text = fields[each]
                if text in self._missing:
                    missing = True
                    continue
                try:
                    total += sign * texts.amount(text, cell.unit)
                except ValueError as error:
                    self._faults.add(f"{where}, column {layout.names[each]}", str(error))
                    missing = True
        if missing:
            return MISSING
        if wrong := wrong_sum(layout, cell, total):
            self._faults.add(f"{where}, column {layout.names[cell.plus[0]]}", wrong)
            return MISSING
        return round(total)


def wrong_sum(layout: Layout, cell: Cell, total: float) -> str | None:
    """Return what is wrong with ``total`` bytes of a quantity made of several columns; None if nothing is."""
    if LEAST_SUM < total <= MEMORY_LIMIT:
        return None
    sums = said([layout.names[each] for each in cell.plus], [layout.names[each] for each in cell.minus])
    if total < 0:
        return f"{sums} must not be negative, but is {total:g} bytes"
    return f"{sums} must be at most {format_size(MEMORY_LIMIT)}, but is {total:g} bytes"


def said(plus: Sequence[str], minus: Sequence[str]) -> str:
    """Return a sum of columns as one writes it."""
    return " - ".join([" + ".join(plus), *minus])
