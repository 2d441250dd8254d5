"""The tables ``runs`` and ``timings``: a row for each cell, some hundred cells to a file.

One process at a time writes them, whoever runs the experiment. They are put together from what the cells left behind,
so a lost row is no loss: :meth:`RowWriter.settle` finds it again. A file holds the rows of one partition with
replications of one range, in order, so that the bytes do not depend on the order in which cells were computed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from sim.results.atomic import leftovers
from sim.results.failure import Status
from sim.results.frames import ROW_KEY, arrow_schema, rows_table
from sim.results.layout import (
    CELL_TABLES,
    ROW_TABLES,
    SUFFIX,
    is_whole,
    partition,
    partitions,
    whole_files,
    write_rows,
)
from sim.results.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from sim.results.layout import Labels

REPLICATIONS_IN_FILE: Final = 512
"""Replications whose rows share a file."""

MOST_WAITING: Final = 4096
"""Rows that wait at most, however little time has passed."""

_SELDOM: Final = 50
"""Writing rows takes at most about one second in this many."""


class RowWriter:
    """Collects rows of cells in the folder ``store`` and writes them now and then: a few thousand at most wait."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._waiting: dict[str, dict[str, list[tuple[int, str]]]] = {table: defaultdict(list) for table in ROW_TABLES}
        self._count = 0
        self._next = time.monotonic()

    def add(self, labels: Labels, replication: int, run: str, timing: str | None = None) -> None:
        """Take the rows of a cell, JSON objects as :mod:`sim.results.frames` makes them."""
        folder = partition(labels)
        self._waiting["runs"][folder].append((replication, run))
        if timing is not None:
            self._waiting["timings"][folder].append((replication, timing))
        self._count += 1
        if self._count >= MOST_WAITING or time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Write all rows that wait. Raises OSError where that is not possible."""
        start = time.monotonic()
        for table, folders in self._waiting.items():
            _merge(self._store, table, folders)
            folders.clear()
        self._count = 0
        now = time.monotonic()
        self._next = now + max(2.0, _SELDOM * (now - start))

    def settle(self, belongs: Callable[[str], bool] | None = None) -> int:
        """Bring the rows in line with the cells that are there. Return how many files were removed.

        With ``belongs``, which tells whether a key belongs to the experiment, everything else is removed. For the start
        of a run, when nobody else writes. One partition's keys are held in memory at a time.
        """
        removed = 0
        for table in (*CELL_TABLES, *ROW_TABLES):
            for path in leftovers(self._store / table):
                path.unlink(missing_ok=True)
                removed += 1
        for folder in partitions(self._store):
            removed += self._settle_partition(folder, belongs)
        self._drop_empty_folders()
        return removed

    def _drop_empty_folders(self) -> None:
        for table in (*CELL_TABLES, *ROW_TABLES):
            for path in sorted((self._store / table).rglob("*/"), reverse=True):
                if not any(path.iterdir()):
                    path.rmdir()

    def only(self, keys: Collection[str]) -> None:
        """Remove everything of cells that are not in ``keys``; rows stay, whether or not their cells have files.

        Rows that a killed run has not written are found in its cells' files, as :meth:`settle` does.
        """
        for folder in partitions(self._store):
            paths = _files(self._store / "runs" / folder)
            listed = {key for path in paths if is_whole(path) for key in read_rows(path, "runs")["cell"].to_pylist()}
            self._add_missing(folder, {path.stem for path in whole_files(self._store / "events" / folder)} - listed)
            for table in reversed(CELL_TABLES):
                for path in _files(self._store / table / folder):
                    if path.stem not in keys:
                        path.unlink(missing_ok=True)
            for table in ROW_TABLES:
                self._settle_rows(table, folder, keys.__contains__, None)
        self._drop_empty_folders()

    def _settle_partition(self, folder: str, belongs: Callable[[str], bool] | None) -> int:
        removed = 0
        completed = {path.stem for path in whole_files(self._store / "events" / folder)}
        if belongs is not None:
            # The file that says that a cell is completed goes first.
            for table in reversed(CELL_TABLES):
                for path in _files(self._store / table / folder):
                    if path.stem not in completed or not belongs(path.stem):
                        path.unlink(missing_ok=True)
                        removed += 1
            completed = {key for key in completed if belongs(key)}
        listed = self._settle_rows("runs", folder, belongs, completed)
        self._settle_rows("timings", folder, belongs, None)
        self._add_missing(folder, completed - listed)
        return removed

    def _add_missing(self, folder: str, keys: Collection[str]) -> None:
        """Put the rows of completed cells into the table, from their files."""
        events = self._store / "events" / folder
        rows = [row for key in sorted(keys) for row in row_in(events / f"{key}{SUFFIX}")]
        if rows:
            _merge(self._store, "runs", {folder: rows})

    def _settle_rows(
        self, table: str, folder: str, belongs: Callable[[str], bool] | None, completed: Collection[str] | None
    ) -> set[str]:
        """Remove rows of cells that do not belong, or whose status contradicts ``completed``; return the keys left.

        ``completed`` are the keys of all cells that completed, None where rows have no status.
        """
        left: set[str] = set()
        for path in _files(self._store / table / folder):
            if not is_whole(path):
                path.unlink()
                continue
            content = read_rows(path, table)
            keys = content["cell"].to_pylist()
            statuses = content["status"].to_pylist() if completed is not None else [""] * len(keys)
            keep = [
                (belongs is None or belongs(key))
                and (completed is None or (key in completed) == (status == Status.COMPLETED))
                for key, status in zip(keys, statuses, strict=True)
            ]
            left.update(key for key, kept in zip(keys, keep, strict=True) if kept)
            if not any(keep):
                path.unlink()
            elif not all(keep):
                write_rows(path, content.filter(keep))
        return left


def read_rows(path: Path, table: str) -> pa.Table:
    """Return the rows in a file of ``table``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pq.ParquetFile(path).read(use_threads=False)  # of few rows, threads take longer
    schema = arrow_schema(TABLES[table])
    if content.schema.names == schema.names and content.schema.types == schema.types:
        return pa.Table.from_arrays(content.columns, schema=schema)
    # Another version of the program may have had other columns.
    columns = [
        content[field.name].cast(field.type)
        if field.name in content.column_names
        else pa.nulls(len(content), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def row_in(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the replication of the cell with the events file ``path``, and its row of ``runs`` as JSON.

    Nothing where the file has none, because another version of the program wrote it.
    """
    import json

    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path).metadata or {}
    if ROW_KEY in metadata:
        text = metadata[ROW_KEY].decode()
        yield json.loads(text)["replication"], text


def unlisted_rows(store: Path, folder: str, listed: Collection[str]) -> Iterator[str]:
    """Yield the rows of completed cells of a partition that no file of ``runs`` has: those of a run that was killed."""
    for path in sorted(whole_files(store / "events" / folder)):
        if path.stem not in listed:
            yield from (row for _, row in row_in(path))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _merge(store: Path, table: str, folders: Mapping[str, Sequence[tuple[int, str]]]) -> None:
    """Put the rows of each folder (each with its replication) into its files, in place of older ones of their cells."""
    files: dict[Path, list[str]] = defaultdict(list)
    for folder, rows in folders.items():
        for replication, row in rows:
            number = replication // REPLICATIONS_IN_FILE
            files[store / table / folder / f"{table}-{number:06d}{SUFFIX}"].append(row)
    # Read all at once: to begin reading costs as much as hundreds of rows.
    content = rows_table(TABLES[table], [row for rows in files.values() for row in rows])
    start = 0
    for path, texts in files.items():
        _merge_file(path, table, content.slice(start, len(texts)))
        start += len(texts)


def _merge_file(path: Path, table: str, content: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_whole(path):
        present = read_rows(path, table)
        older = pc.is_in(present["cell"], content["cell"].combine_chunks())
        content = pa.concat_tables([present.filter(pc.invert(older)), content])
    if len(content) > 1:
        content = content.sort_by([("replication", "ascending"), ("cell", "ascending")]).combine_chunks()
    write_rows(path, content)
