"""Parquet: its columns by type, a block of rows at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.faults import shown
from sim.traces import texts
from sim.traces.arrays import NotPlainError, Plain
from sim.traces.csv_exact import RowReader
from sim.traces.layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sim.traces.batches import Batch, SeriesNames
    from sim.traces.layout import Layout
    from sim.traces.mapping import Columns
    from sim.traces.told import TraceFaults

MAGIC: Final = b"PAR1"
_ROWS: Final = 1 << 16


def read_parquet(
    path: Path, columns: Columns, series: SeriesNames, faults: TraceFaults, *, exactly: bool = False
) -> Iterator[Batch]:
    """Yield the samples in the file at ``path``. Raises InputError; NotPlainError where ``exactly`` may say more."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(str(path), pre_buffer=False, buffer_size=1 << 20) as file:
            found = list(leaves(file.schema_arrow))
            names = [name for name, _ in found]
            layout = lay_out(names, columns, faults, "the schema")
            _check_types(layout, [kind for _, kind in found], columns, faults)
            if not file.metadata.num_rows:
                faults.refuse("holds no rows")
            used = sorted({layout.time, *layout.series, *layout.amounts})
            blocks = file.iter_batches(_ROWS, columns=[names[each] for each in used])
            if exactly:
                yield from _exactly(blocks, layout, columns, series, faults)
            else:
                plain = Plain(layout, columns, series)
                for block in blocks:
                    yield plain.batch({each: _prepared(block, each, layout, columns) for each in used})
    except (pa.ArrowException, OSError, OverflowError, MemoryError, RuntimeError, UnicodeDecodeError) as error:
        faults.refuse(f"is a Parquet file that is damaged or cut short: {shown(' '.join(str(error).split()))[1:-1]}")


def leaves(fields: Iterable[Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the columns with their types; a field of a record goes by ``record.field``."""
    from pyarrow import types

    for field in fields:
        name = f"{within}{field.name}"
        if types.is_struct(field.type):
            yield from leaves((field.type.field(number) for number in range(field.type.num_fields)), f"{name}.")
        else:
            yield name, field.type


def _column(block: Any, name: str) -> Any:  # noqa: ANN401
    """Return the column ``name`` of :func:`leaves`."""
    from pyarrow import compute

    if name in block.schema.names:
        return block.column(name)
    for at in (at for at, letter in enumerate(name) if letter == "."):
        if name[:at] in block.schema.names:
            column = block.column(name[:at])
            rest = name[at + 1 :]
            while rest not in (fields := [column.type.field(n).name for n in range(column.type.num_fields)]):
                field = next(each for each in fields if rest.startswith(f"{each}."))
                column, rest = compute.struct_field(column, [fields.index(field)]), rest[len(field) + 1 :]
            return compute.struct_field(column, [fields.index(rest)])
    raise AssertionError(name)


def _check_types(layout: Layout, kinds: list[Any], columns: Columns, faults: TraceFaults) -> None:
    import pyarrow as pa
    from pyarrow import types

    def names(kind: Any) -> bool:  # noqa: ANN401
        return not (types.is_nested(kind) or types.is_fixed_size_binary(kind) or isinstance(kind, pa.BaseExtensionType))

    def add(place: int, what: str) -> None:
        faults.add(f"column {layout.names[place]}", f"must hold {what}, but holds {shown(str(kinds[place]))[1:-1]}")

    kind = kinds[layout.time]
    if not _is_date(kind):
        if columns.form != "number" and not (
            types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        ):
            add(layout.time, "dates, as its form says")
        elif columns.form == "number" and not _is_number(kind):
            add(layout.time, "numbers or timestamps (dates as text: form = 'iso-8601')")
    for each in layout.series:
        if not names(kinds[each]):
            add(each, "names")
    for each in layout.amounts:
        if not (_is_number(kinds[each]) or types.is_null(kinds[each])):
            add(each, "numbers")
    faults.done()


def _prepared(block: Any, place: int, layout: Layout, columns: Columns) -> Any:  # noqa: ANN401
    """Return a column as :class:`~sim.traces.arrays.Plain` takes it."""
    import pyarrow as pa
    from pyarrow import compute

    column = _column(block, layout.names[place])
    kind = column.type
    if place in layout.series:
        return _as_text(column).dictionary_encode()
    if _is_date(kind):
        return _microseconds(column)
    if not (_is_number(kind) or pa.types.is_null(kind)):
        raise NotPlainError("text")
    numbers = column.cast(pa.float64(), safe=False)
    if place != layout.time:
        none = compute.is_nan(numbers)
        for value in _missing_numbers(columns):
            none = compute.or_(none, compute.equal(numbers, value))
        numbers = compute.if_else(none, pa.scalar(None, pa.float64()), numbers)
    return numbers


def _is_number(kind: Any) -> bool:  # noqa: ANN401  pyarrow has no types
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_date(kind: Any) -> bool:  # noqa: ANN401
    from pyarrow import types

    return bool(types.is_timestamp(kind) or types.is_date(kind) or types.is_duration(kind))


def _microseconds(column: Any) -> Any:  # noqa: ANN401
    """Return dates, or times since some moment, as timestamps of microseconds."""
    import pyarrow as pa

    if pa.types.is_duration(column.type):
        column = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
    return column.cast(pa.timestamp("us"), safe=False)


def _written(t_us: int, *, as_date: bool) -> str:
    """Return a time of a column of dates, or of times since some moment, as one reads it."""
    return str(np.datetime_as_string(np.datetime64(t_us, "us"), unit="auto")) if as_date else f"{t_us / 1e6:g} s"


def _as_text(column: Any) -> Any:  # noqa: ANN401
    import pyarrow as pa

    return (column.dictionary_decode() if pa.types.is_dictionary(column.type) else column).cast(pa.string())


def _missing_numbers(columns: Columns) -> Iterator[float]:
    for text in columns.missing:
        try:
            yield texts.number(text)
        except ValueError:
            continue


def _exactly(
    blocks: Iterator[Any], layout: Layout, columns: Columns, series: SeriesNames, faults: TraceFaults
) -> Iterator[Batch]:
    import pyarrow as pa

    def time_us(text: str) -> int:
        return dates[text] if text in dates else texts.time_us(text, columns)

    reader = RowReader(columns, series, faults, time_us)
    missing = set(_missing_numbers(columns))
    row = 0
    dates: dict[str | None, int] = {}
    for block in blocks:
        cells = {}
        for place in sorted({layout.time, *layout.series, *layout.amounts}):
            column = _column(block, layout.names[place])
            if place in layout.series:
                values = _as_text(column).to_pylist()
            elif _is_date(column.type):
                times = _microseconds(column).cast(pa.int64()).to_pylist()
                as_date = not pa.types.is_duration(column.type)
                values = [None if each is None else _written(each, as_date=as_date) for each in times]
                dates = dict(zip(values, times, strict=True))
            else:
                values = column.to_pylist()
            cells[place] = [
                "" if _is_missing(value, missing if place in layout.amounts else set()) else str(value).strip()
                for value in values
            ]
        fields = [""] * len(layout.names)
        for at in range(len(block)):
            row += 1
            for place, column in cells.items():
                fields[place] = column[at]
            reader.row(layout, fields, f"row {row}")
        yield reader.taken()
    faults.done()


def _is_missing(value: object, missing: set[float]) -> bool:
    if value is None:
        return True
    return isinstance(value, (int, float)) and (math.isnan(value) or value in missing)
