"""The first rows of a table, column by column, before anybody has said what the columns are."""

from __future__ import annotations

import csv
import math
import shlex
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sim.traces.mapping import FORMS, SEPARATORS
from sim.traces.parquet import MAGIC
from sim.traces.source import BYTE_ORDER_MARK, chunks, start_of, unix_lines
from sim.traces.texts import NO_NUMBERS, date_us, local_date_us, number, with_unit
from sim.traces.told import TraceFaults
from sim.units import GIB, KIB, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sim.faults import Faults

MOST_ROWS: Final = 2000
_MOST_COLUMNS: Final = 500

_NARROW: Final = 100
"""Up to this a figure without a unit might be a percentage."""

_SMALLEST: Final = 64 * MIB
_SPREAD: Final = KIB
"""Two units are this far apart, so no two of them make a likely size of one figure."""


@dataclass(frozen=True)
class HeadColumn:
    """A column: its ``name`` and the fields of the first rows as ``texts``."""

    name: str
    texts: Sequence[str]

    @cached_property
    def some(self) -> list[str]:
        """The fields that are not empty."""
        return [text for text in self.texts if text]

    @cached_property
    def no_numbers(self) -> set[str]:
        """Fields that are no numbers but words for a missing one."""
        return {text for text in self.some if text.lower() in NO_NUMBERS}

    @cached_property
    def numbers(self) -> list[float] | None:
        """The numbers in it, in bytes where :attr:`says_units`; None where it holds something else."""
        values = [text for text in self.some if text not in self.no_numbers]
        try:
            if self.says_units:
                sizes = [with_unit(text) or (number(text), 1) for text in values]
                return [value * unit for value, unit in sizes]
            return [number(text) for text in values]
        except ValueError:
            return None

    @cached_property
    def says_units(self) -> bool:
        """Whether fields say their own units, such as ``1.5 GiB``."""
        return any(with_unit(text) is not None for text in self.some)

    @property
    def is_number(self) -> bool:
        """Whether all of its values are numbers."""
        return bool(self.numbers)

    @cached_property
    def forms(self) -> list[str]:
        """The forms by which all of its values are dates."""
        return [form for form in FORMS[1:] if self._dates(form)]

    def _dates(self, form: str) -> list[int]:
        """Return its dates in microseconds; none where one is no date by ``form``."""
        try:
            return [date_us(text) if form == "iso-8601" else local_date_us(text, form) for text in self.some]
        except ValueError:
            return []

    @property
    def is_date(self) -> bool:
        """Whether all of its values are dates that are read."""
        return bool(self.forms)

    @property
    def falls(self) -> bool:
        """Whether times go back from each row to the next, or stay."""
        times = self._dates(self.forms[0]) if self.forms else self.numbers or []
        return len(times) > 1 and times[0] > times[-1] and all(a >= b for a, b in pairwise(times))

    @property
    def least(self) -> float:
        """The least number."""
        return min(self.numbers or (math.nan,))

    @property
    def most(self) -> float:
        """The largest number."""
        return max(self.numbers or (math.nan,))

    def likely_unit(self, machine: int | None) -> int | None:
        """Return the only unit in which the largest number is a likely size of a ``machine`` of about so many bytes.

        None where it might be none.
        """
        if self.most <= _NARROW:
            return None
        low, high = (_SMALLEST, _SMALLEST * _SPREAD) if machine is None else (machine / 256, machine * 4)
        fitting = [unit for unit in (1, KIB, MIB, GIB) if low <= self.most * unit < high]
        return fitting[0] if len(fitting) == 1 else None

    @property
    def distinct(self) -> set[str]:
        """The different values."""
        return set(self.some)


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of a file by ``columns``; ``separator`` by its name, None for what is no text.

    ``names_in_comment``: the names stand in a comment, as ``sadf -d`` writes them.
    """

    columns: Sequence[HeadColumn]
    separator: str | None
    names_in_comment: bool = False

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return [column.name for column in self.columns]


def head_of(path: Path, faults: Faults) -> Head | None:
    """Return the first rows of the file at ``path``; None, with a fault that says why, where that is no table.

    Raises InputError where it cannot be read.
    """
    told = TraceFaults(path)
    start = start_of(path, told)
    if start.startswith(MAGIC):
        return _of_parquet(path)
    if start.removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n")[:1] in (b"{", b"["):
        if b'"data"' in start or b'"status"' in start:
            faults.below("--columns").add(
                "is JSON of Prometheus, whose metrics are not looked at. Say which is what, such as: --series instance"
                " --user node_memory_AnonPages_bytes --page-cache node_memory_Cached_bytes; or --user value, where the"
                " query was an expression"
            )
        else:
            faults.below("--demand").add(
                "is JSON, but not what Prometheus answers. Make CSV of its list of samples, such as: jq -r"
                f" '(.[0] | keys_unsorted) as $k | $k, (.[] | [.[$k[]]]) | @csv' {shlex.quote(str(path))} > demand.csv"
            )
        return None
    return _of_text([line for _, line in zip(range(MOST_ROWS), _lines(path, told), strict=False)], faults)


def _of_parquet(path: Path) -> Head:
    from pyarrow import Table, parquet

    from sim.traces.parquet import leaves

    names = [name for name, _ in leaves(parquet.read_schema(str(path)))]
    with parquet.ParquetFile(str(path)) as file:
        batch = next(file.iter_batches(batch_size=MOST_ROWS), None)
    columns = [] if batch is None else Table.from_batches([batch]).flatten().columns
    texts = [["" if value is None else str(value) for value in column.to_pylist()] for column in columns]
    return Head([HeadColumn(name, column) for name, column in zip(names, texts, strict=False)], None)


def _lines(path: Path, told: TraceFaults) -> Iterator[str]:
    """Yield the lines of a text, comments among them, but not empty ones."""
    rest = b""
    for chunk in unix_lines(chunks(path, told)):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if text := _text(line, told):
                yield text
        if len(rest) > 1 << 20:
            return
    if text := _text(rest, told):
        yield text


def _text(line: bytes, told: TraceFaults) -> str:
    try:
        text = line.decode("utf-8-sig").strip(" \r")
    except UnicodeDecodeError:
        told.refuse("is no text in UTF-8")
    if "\0" in text:
        told.refuse("holds a zero byte: it is no text in UTF-8")
    return text


def _of_text(lines: list[str], faults: Faults) -> Head | None:
    comments = [line for line in lines if line.startswith("#")]
    rows = [line for line in lines if not line.startswith("#")]
    if not rows:
        faults.below("--demand").add("holds no rows")
        return None
    separator = max(SEPARATORS, key=lambda name: (_fits(rows, SEPARATORS[name]), rows[0].count(SEPARATORS[name])))
    mark = SEPARATORS[separator]
    try:
        fields = [[field.strip() for field in row] for row in csv.reader(rows, delimiter=mark)]
    except csv.Error as error:  # a field of more than 128 KiB
        faults.below("--demand").add(f"is no table: {error}")
        return None
    names, *rows_below = fields
    in_comment = False
    if _is_data(names):
        said = next((line.lstrip("# ").split(mark) for line in comments if line.count(mark) == len(names) - 1), None)
        if said is None:
            second = HeadColumn("c2", [row[1] for row in fields if len(row) > 1])
            unit = (second.likely_unit(None) if second.is_number else None) or MIB
            faults.below("--columns").add(
                "the first line is a row: no line names the columns. Say their names in order: --columns"
                f' "names = [{", ".join(f"{chr(39)}c{n}{chr(39)}" for n in range(1, len(names) + 1))}],'
                f" time = 'c1', user = {{ column = 'c2', unit = '{format_size(unit) if unit > 1 else '1B'}' }}\""
            )
            return None
        names, rows_below, in_comment = [name.strip() for name in said], fields, len(names) > 1
    if not rows_below:
        faults.below("--demand").add("holds no rows but the names of the columns")
        return None
    columns = [
        HeadColumn(name, [row[number] for row in rows_below if len(row) > number])
        for number, name in enumerate(names[:_MOST_COLUMNS])
    ]
    return Head(columns, separator, in_comment)


def _fits(rows: Sequence[str], mark: str) -> bool:
    """Whether ``mark`` stands equally often in the first rows, and at all."""
    return len({row.count(mark) for row in rows[:20]}) == 1 and mark in rows[0]


def _is_data(names: Sequence[str]) -> bool:
    """Whether a first line holds values and not names."""
    return any(HeadColumn("", [name]).is_number or HeadColumn("", [name]).is_date for name in names if name)
