"""Packs: Parquet files of many cells, in order of labels, replication and key.

A row group holds whole cells, or a part of one cell that is large. Which cells a pack holds, in order and how many rows
each has, stands in its metadata, so that whoever wants some reads their row groups and no others.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from sim.results.frames import MISSING, array, arrow_schema, int_columns
from sim.results.schema import CELL_COLUMNS, LABEL_COLUMNS, TABLES
from sim.results.seal import SealedFile, write_seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    import pyarrow as pa

    from sim.results.frames import Block
    from sim.results.layout import Labels

CELLS_KEY: Final = b"memhp_sim.cells"
"""Under this key the metadata of a pack says which cells it holds, as JSON.

Of each machine, workload and policy: these three, and a list of its cells: replication, key, rows. In ``runs`` there is
in the place of the rows null for a cell that failed, else a list of its rows in ``guest``, ``series`` and ``events``,
which is empty where those were not kept.
"""

ROWS_IN_GROUP: Final = 1 << 15
"""Rows from which on a row group is full."""
_MOST_IN_GROUP: Final = 1 << 17
_LISTED_IN_GROUP: Final = 4096

_DELTAS: Final = ("t_us", "block")
"""Columns that grow step by step; their differences take a fraction of the space."""
_NAMES: Final = tuple(column.name for column in LABEL_COLUMNS)
_HEAD: Final = (*_NAMES, *(column.name for column in CELL_COLUMNS))


class Entry(NamedTuple):
    """A cell in a pack; ``size`` is how many rows it has there, in ``runs`` what :data:`CELLS_KEY` says."""

    labels: Labels
    replication: int
    key: str
    size: Any


def _index(entries: Sequence[Entry]) -> bytes:
    grouped = groupby(entries, key=lambda entry: entry.labels)
    parts = [[*labels, [[each.replication, each.key, each.size] for each in cells]] for labels, cells in grouped]
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _entries(text: bytes) -> list[Entry]:
    return [
        Entry((machine, workload, policy), *cell)
        for machine, workload, policy, cells in json.loads(text)
        for cell in cells
    ]


# Writing --------------------------------------------------------------------------------------------------------------


class BlockWriter:
    """Writes a pack of one of the tables with many rows for each cell into ``file``, cell by cell in order.

    Holds one row group in memory. ``name`` is what the pack is called; see :func:`sim.results.seal.write_seal`.
    """

    def __init__(self, file: BinaryIO, table: str, name: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._file, self._name = file, name
        layout = TABLES[table]
        text = pa.dictionary(pa.int32(), pa.string())
        self._kinds = {column.name: column.type for column in layout.columns}
        self._names = int_columns(layout)
        self._schema = pa.schema(
            [
                pa.field(column.name, text if column.type == "string" else pa.type_for_alias(column.type))
                for column in layout.columns
            ]
        )
        self._writer = pq.ParquetWriter(
            file,
            self._schema,
            compression="LZ4",
            use_dictionary=list(_HEAD),
            column_encoding={name: "DELTA_BINARY_PACKED" for name in self._names if name in _DELTAS},
            write_statistics=[*_HEAD, *(name for name in self._names if name in {"t_us", "kind"})],
            store_schema=False,
        )
        self._entries: list[Entry] = []
        self._waiting: list[tuple[Entry, Block]] = []
        self._rows = 0

    def add(self, labels: Labels, replication: int, key: str, block: Block) -> None:
        """Add the rows of a cell."""
        rows = block.shape[1]
        if self._rows and self._rows + rows > _MOST_IN_GROUP:
            self._flush()
        entry = Entry(labels, replication, key, rows)
        self._entries.append(entry)
        if rows:
            self._waiting.append((entry, block))
        self._rows += rows
        if self._rows >= ROWS_IN_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        counts = [entry.size for entry, _ in self._waiting]
        joined = np.concatenate([block for _, block in self._waiting], axis=1)
        cells = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        columns: dict[str, Any] = {}
        for place, name in enumerate(_NAMES):
            columns[name] = _repeated([entry.labels[place] for entry, _ in self._waiting], cells)
        columns["cell"] = _repeated([entry.key for entry, _ in self._waiting], cells)
        columns["replication"] = array(np.repeat([entry.replication for entry, _ in self._waiting], counts), "int64")
        for name, values in zip(self._names, joined, strict=True):
            columns[name] = array(values, self._kinds[name])
        ordered = [columns[field.name] for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(ordered, schema=self._schema), row_group_size=_MOST_IN_GROUP)
        self._waiting.clear()
        self._rows = 0

    def close(self) -> None:
        """Write what waits, and which cells there are."""
        if self._waiting:
            self._flush()
        self._writer.add_key_value_metadata({CELLS_KEY: _index(self._entries)})
        self._writer.close()
        write_seal(self._file, self._name)


def _repeated(texts: list[str], places: Any) -> pa.DictionaryArray:  # noqa: ANN401  an array of int32
    """Return the text of each cell for each of its rows."""
    import pyarrow as pa

    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(array(codes[places], "int32"), pa.array(list(numbers), pa.string()))


def write_rows(file: BinaryIO, table: str, name: str, rows: pa.Table, entries: Sequence[Entry]) -> None:
    """Write the pack ``name`` of a table with a row for each cell: ``rows`` and what is said of them are in order."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(
        file, arrow_schema(TABLES[table]), compression="LZ4", use_dictionary=list(_NAMES), write_statistics=list(_HEAD)
    ) as writer:
        writer.write_table(rows, row_group_size=_LISTED_IN_GROUP)
        writer.add_key_value_metadata({CELLS_KEY: _index(entries)})
    write_seal(file, name)


# Reading --------------------------------------------------------------------------------------------------------------


class Pack:
    """The pack of ``table`` at ``path``, as it is now: it can be read to the end whatever takes its place.

    Raises OSError where it cannot be opened, and ValueError, with words that go on from its path, where it is none or
    its footer is damaged. For its data see :meth:`check_data`.
    """

    def __init__(self, path: Path, table: str) -> None:
        import pyarrow as pa

        self.path, self.table = path, table
        self._map = pa.memory_map(str(path))
        self._sealed = SealedFile(self._map)
        if self._sealed.seal.pack != path.stem:
            raise ValueError(f"is {self._sealed.seal.pack}{path.suffix} under another name")
        self._last: tuple[int, Block] | None = None

    def check_data(self) -> None:
        """Raise ValueError, in words, where its data are not as they were written."""
        self._sealed.check_data()

    @cached_property
    def _file(self) -> Any:  # noqa: ANN401  pyarrow has no types
        import pyarrow.parquet as pq

        return pq.ParquetFile(self._map)

    @cached_property
    def entries(self) -> list[Entry]:
        """The cells that it holds, in order."""
        return _entries(self._file.metadata.metadata[CELLS_KEY])

    @cached_property
    def places(self) -> dict[str, int]:
        """Where in the order the cells stand, by their keys."""
        return {entry.key: place for place, entry in enumerate(self.entries)}

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(entry.size for entry in self.entries)]

    @cached_property
    def _groups(self) -> list[int]:
        metadata = self._file.metadata
        sizes = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        return [0, *accumulate(sizes)]

    def block(self, place: int) -> Block:
        """Return the rows of the cell at ``place`` as numbers. Quick where they are asked for in order."""
        start, stop = self._starts[place : place + 2]
        names = int_columns(TABLES[self.table])
        parts = [np.empty((len(names), 0), dtype=np.int64)]
        group = bisect_right(self._groups, start) - 1
        while start < stop:
            first, end = self._groups[group : group + 2]
            parts.append(self._group(group, names)[:, start - first : min(stop, end) - first])
            start, group = min(stop, end), group + 1
        return np.concatenate(parts, axis=1)

    def _group(self, number: int, names: Sequence[str]) -> Block:
        if self._last is None or self._last[0] != number:
            there = self._there(names)
            read = self._file.read_row_group(number, columns=there, use_threads=False)
            block = np.full((len(names), len(read)), MISSING)
            for name in there:
                column = read[name]
                block[names.index(name)] = column.cast("int64").fill_null(MISSING) if column.null_count else column
            self._last = number, block
        return self._last[1]

    def _there(self, names: Sequence[str]) -> list[str]:
        present = set(self._file.schema_arrow.names)
        return [name for name in names if name in present]

    def tables(
        self, places: Sequence[int], names: Sequence[str], times: tuple[int, int] | None = None
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield the columns ``names`` of the cells at ``places`` (in order): the first's place, and a table of some.

        No more than a row group is read at a time, none without rows of these ``times`` (least, most; us).
        """
        there = self._there(names)
        group, read = -1, None
        for first, last in _runs(places):
            start, stop = self._starts[first], self._starts[last + 1]
            number = bisect_right(self._groups, start) - 1
            while start < stop:
                begin, end = self._groups[number : number + 2]
                if number != group:
                    wanted = times is None or self._may_hold(number, times)
                    read = self._file.read_row_group(number, columns=there, use_threads=False) if wanted else None
                    group = number
                if read is not None:
                    place = bisect_right(self._starts, start) - 1
                    yield place, self._in_form(read.slice(start - begin, min(stop, end) - start), names)
                start, number = min(stop, end), number + 1

    def _may_hold(self, number: int, times: tuple[int, int]) -> bool:
        column = self._file.schema_arrow.names.index("t_us")
        found = self._file.metadata.row_group(number).column(column).statistics
        return found is None or not found.has_min_max or (found.min <= times[1] and found.max >= times[0])

    def rows(self, names: Sequence[str]) -> pa.Table:
        """Return the columns ``names`` of all rows."""
        return self._in_form(self._file.read(columns=self._there(names), use_threads=False), names)

    def _in_form(self, read: pa.Table, names: Sequence[str]) -> pa.Table:
        """Return columns as this version has them: another version of the program may have had other ones."""
        import pyarrow as pa

        schema = pa.schema([arrow_schema(TABLES[self.table]).field(name) for name in names])
        if read.schema.names == schema.names and read.schema.types == schema.types:
            return pa.Table.from_arrays(read.columns, schema=schema)
        columns = [
            read[field.name].cast(field.type) if field.name in read.column_names else pa.nulls(len(read), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of numbers that follow each other."""
    first = last = -2
    for place in places:
        if place != last + 1:
            if last >= 0:
                yield first, last
            first = place
        last = place
    if last >= 0:
        yield first, last
