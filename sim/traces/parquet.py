"""Parquet: its columns by type, a block of rows at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.faults import shown
from sim.traces import texts
from sim.traces.arrays import NotPlainError, Plain
from sim.traces.csv_exact import RowReader
from sim.traces.layout import lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator
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
            schema = file.schema_arrow
            layout = lay_out(schema.names, columns, faults, "the schema")
            _check_types(layout, schema.types, columns, faults)
            if not file.metadata.num_rows:
                faults.refuse("holds no rows")
            used = sorted({layout.time, *layout.series, *layout.amounts})
            blocks = file.iter_batches(_ROWS, columns=[schema.names[each] for each in used])
            if exactly:
                yield from _exactly(blocks, layout, columns, series, faults)
            else:
                plain = Plain(layout, columns, series)
                for block in blocks:
                    yield plain.batch({each: _prepared(block, each, layout, columns) for each in used})
    except (pa.ArrowException, OSError, OverflowError, MemoryError, RuntimeError, UnicodeDecodeError) as error:
        faults.refuse(f"is a Parquet file that is damaged or cut short: {shown(' '.join(str(error).split()))[1:-1]}")


def _check_types(layout: Layout, kinds: list[Any], columns: Columns, faults: TraceFaults) -> None:
    from pyarrow import types

    def number(kind: Any) -> bool:  # noqa: ANN401  pyarrow has no types
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))

    def add(place: int, what: str) -> None:
        faults.add(f"column {layout.names[place]}", f"must hold {what}, but holds {shown(str(kinds[place]))[1:-1]}")

    kind = kinds[layout.time]
    if not (types.is_timestamp(kind) or types.is_date(kind)):
        if columns.form == "iso-8601" and not (types.is_string(kind) or types.is_large_string(kind)):
            add(layout.time, "dates, as its form says")
        elif columns.form == "number" and not number(kind):
            add(layout.time, "numbers or timestamps (dates as text: form = 'iso-8601')")
    for each in layout.series:
        if types.is_nested(kinds[each]):
            add(each, "names")
    for each in layout.amounts:
        if not number(kinds[each]):
            add(each, "numbers")
    faults.done()


def _prepared(block: Any, place: int, layout: Layout, columns: Columns) -> Any:  # noqa: ANN401
    """Return a column as :class:`~sim.traces.arrays.Plain` takes it."""
    import pyarrow as pa
    from pyarrow import compute

    column = block.column(layout.names[place])
    kind = column.type
    if place in layout.series:
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
        return column.cast(pa.string()).dictionary_encode()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"), safe=False)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise NotPlainError("text")
    numbers = column.cast(pa.float64(), safe=False)
    if place != layout.time:
        none = compute.is_nan(numbers)
        for value in _missing_numbers(columns):
            none = compute.or_(none, compute.equal(numbers, value))
        numbers = compute.if_else(none, pa.scalar(None, pa.float64()), numbers)
    return numbers


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
        return int(text) if dates else texts.time_us(text, columns)

    reader = RowReader(columns, series, faults, time_us)
    missing = set(_missing_numbers(columns))
    row = 0
    dates = False
    for block in blocks:
        cells = {}
        for place in sorted({layout.time, *layout.series, *layout.amounts}):
            column = block.column(layout.names[place])
            if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
                column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
                dates = dates or place == layout.time
            cells[place] = [
                "" if _is_missing(value, missing if place in layout.amounts else set()) else str(value).strip()
                for value in column.to_pylist()
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
