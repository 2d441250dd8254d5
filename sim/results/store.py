"""The result store of one experiment: a folder of Parquet files, each written atomically.

``<folder>/<table>/machine=.../workload=.../policy=.../``, with a file ``<key>.parquet`` for each cell in ``events``,
``series`` and ``guest`` (:mod:`sim.results.cells`), and with files of many rows in ``runs`` and ``timings``
(:mod:`sim.results.rows`); see :mod:`sim.results.schema` for their columns. Whatever kills a writer, the store stays
readable, and what is finished stays. Files hold no real time (but for ``timings``), so that the same cells are the same
bytes wherever they were computed.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.record.series import run_series
from sim.results import frames
from sim.results.cells import drop_cell, write_cell
from sim.results.failure import Status
from sim.results.layout import CELL_TABLES, GUEST, SUFFIX, labels_of, partitions, whole_files
from sim.results.rows import RowWriter, read_rows, row_in, unlisted_rows
from sim.results.schema import PARTITION_COLUMNS, RUNS, SERIES, TABLES
from sim.scores.registry import SCORES, compute_scores

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from sim.record.run_result import RunResult
    from sim.results.failure import Failure
    from sim.results.identity import CellId
    from sim.results.layout import Labels

_ANY_PARTITION: Final = "*/" * len(PARTITION_COLUMNS)
"""Finds a cell's file by its name alone, without a look at all others."""


class ResultStore:
    """The results of one experiment in ``folder``.

    Writers in any number of processes may write different cells at the same time; readers may read meanwhile.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder: Final = Path(folder)

    def __repr__(self) -> str:
        return f"ResultStore({str(self.folder)!r})"

    # Writing, a cell at a time. Who runs many uses what is below this class, and writes rows less often.

    def write(self, cell: CellId, result: RunResult, timing: Mapping[str, float] | None = None) -> dict[str, float]:
        """Store a completed ``cell`` and return its scores. ``timing`` holds columns of the table ``timings``."""
        series = run_series(result)
        scores = compute_scores(result, series)
        self._write_rows(cell, write_cell(self.folder, cell, result, series, scores), timing)
        return scores

    def write_failure(self, cell: CellId, failure: Failure, timing: Mapping[str, float] | None = None) -> None:
        """Store that ``cell`` failed, and drop what an earlier attempt may have left of it."""
        drop_cell(self.folder, cell)
        self._write_rows(cell, frames.failure_row(cell, failure), timing)

    def _write_rows(self, cell: CellId, run: str, timing: Mapping[str, float] | None) -> None:
        rows = RowWriter(self.folder)
        times = {"finished_unix_s": time.time(), **(timing or {})}
        rows.add(cell.labels, cell.replication, run, frames.timing_row(cell, times))
        rows.flush()

    def prune(self, keep: Collection[str]) -> int:
        """Remove all cells whose keys are not in ``keep``, and what killed writers left. Return how many files.

        For the end (or the start) of a run, when nobody else writes: afterwards the folder holds this experiment and
        nothing of its earlier versions.
        """
        return RowWriter(self.folder).settle(keep.__contains__)

    # Reading

    def keys(self) -> set[str]:
        """Return the keys of all cells that have a row, completed or failed."""
        return set(self._rows(RUNS.name, ["cell"])["cell"].to_pylist())

    def completed(self) -> set[str]:
        """Return the keys of the cells that completed."""
        rows = self._rows(RUNS.name, ["cell", "status"])
        pairs = zip(rows["cell"].to_pylist(), rows["status"].to_pylist(), strict=True)
        return {key for key, status in pairs if status == Status.COMPLETED}

    def labels(self) -> list[dict[str, Any]]:
        """Return machine, workload, policy, ``replication``, ``cell``, ``status`` and ``duration_s`` of all cells."""
        names = [column.name for column in PARTITION_COLUMNS]
        rows = self._rows(RUNS.name, [*names, "replication", "cell", "status", "duration_s"])
        found: list[dict[str, Any]] = rows.to_pylist()
        return found

    def labels_of(self, cell: str) -> tuple[Labels, int]:
        """Return machine, workload and policy of a completed cell, and its replication, without reading all rows.

        Raises KeyError if there is none.
        """
        events = self.folder / "events"
        path = next(events.glob(_ANY_PARTITION + f"{cell}{SUFFIX}"), None)
        if path is None:
            raise KeyError(f"no completed cell {cell} in {self.folder}")
        for replication, _ in row_in(path):
            return labels_of(path.parent.relative_to(events).as_posix()), replication
        raise KeyError(f"cell {cell} in {self.folder} was written by another version, which kept no row with it")

    def streams_drawn(self, replication: int) -> dict[str, int]:
        """Return from how many random streams completed cells of ``replication`` drew, by their keys."""
        import pyarrow.compute as pc

        rows = self._rows(RUNS.name, ["cell", "replication", "streams_drawn"])
        rows = rows.filter(pc.and_(pc.equal(rows["replication"], replication), pc.is_valid(rows["streams_drawn"])))
        return dict(zip(rows["cell"].to_pylist(), rows["streams_drawn"].to_pylist(), strict=True))

    def _rows(self, table: str, columns: Sequence[str]) -> pa.Table:
        """Return ``columns`` of a table with a row for each cell, by partition, replication and cell."""
        import pyarrow as pa

        layout = TABLES[table]
        names = [column.name for column in PARTITION_COLUMNS]
        schema = pa.schema([*((name, pa.string()) for name in names), *frames.arrow_schema(layout)])
        parts = [schema.empty_table().select(columns)]
        for folder in partitions(self.folder):
            tables = [read_rows(path, table) for path in sorted(whole_files(self.folder / table / folder))]
            if table == RUNS.name:
                listed = {key for part in tables for key in part["cell"].to_pylist()}
                if unlisted := list(unlisted_rows(self.folder, folder, listed)):
                    tables.append(frames.rows_table(layout, unlisted))
            for part in tables:
                labels = [pa.repeat(pa.scalar(label), len(part)) for label in labels_of(folder)]
                full = pa.Table.from_arrays([*labels, *part.columns], schema=schema)
                parts.append(full.select(columns))
        return pa.concat_tables(parts)

    def _dataset(self, table: str, cells: Collection[str] | None = None) -> Any:  # noqa: ANN401  pyarrow has no types
        """Return the table's files as one data set with the partition columns; None where there are none."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        files = sorted(
            str(path)
            for folder in partitions(self.folder)
            for path in whole_files(self.folder / table / folder)
            if cells is None or path.stem in cells
        )
        if not files:
            return None
        names = pa.schema([(column.name, pa.string()) for column in PARTITION_COLUMNS])
        partitioning = ds.partitioning(names, flavor="hive")
        root = str(self.folder / table)
        schema = pa.schema([*names, *frames.arrow_schema(TABLES[table])])
        return ds.dataset(files, schema=schema, format="parquet", partitioning=partitioning, partition_base_dir=root)

    def runs(self, *, scores_only: bool = False) -> pd.DataFrame:
        """Return one row per cell: labels, ``replication``, the experiment's factors, status, all scores (see schema).

        Sorted by machine, workload, policy and replication. Every factor is a column named by its key. ``scores_only``
        leaves out what does not identify a cell or score it.
        """
        frame = self._frame(RUNS.name)
        factors = [json.loads(text) for text in frame.pop("factors")]
        names = sorted({name for row in factors for name in row})
        for name in names:
            frame.insert(list(frame.columns).index("status"), name, [row.get(name) for row in factors])
        if scores_only:
            labels = [column.name for column in PARTITION_COLUMNS]
            frame = frame[[*labels, "replication", *names, "status", *SCORES]]
        return frame

    def series(self, cells: Collection[str] | None = None) -> pd.DataFrame:
        """Return the step series of ``cells`` (keys; all where None), one row per step, sizes in bytes."""
        return self._frame(SERIES.name, cells)

    def events(self, cells: Collection[str] | None = None) -> pd.DataFrame:
        """Return the events of ``cells`` (keys; all where None), one row per event."""
        return self._frame("events", cells)

    def timings(self) -> pd.DataFrame:
        """Return the real times of all cells."""
        return self._frame("timings")

    def _frame(self, table: str, cells: Collection[str] | None = None) -> pd.DataFrame:
        import pyarrow as pa

        names = [column.name for column in (*PARTITION_COLUMNS, *TABLES[table].columns)]
        if table in CELL_TABLES:
            dataset = self._dataset(table, cells)
            if dataset is None:
                labels = pa.schema([(column.name, pa.string()) for column in PARTITION_COLUMNS])
                content = pa.schema([*labels, *frames.arrow_schema(TABLES[table])]).empty_table()
            else:
                content = dataset.to_table(columns=names)
        else:
            content = self._rows(table, names)
        frame: pd.DataFrame = content.to_pandas()
        order = [column.name for column in PARTITION_COLUMNS] + ["replication", "cell"]
        # A stable sort keeps the order of time within a cell.
        return frame.sort_values(order, kind="stable", ignore_index=True)

    def result(self, cell: str) -> RunResult:
        """Return the run of the completed cell with key ``cell``, as the engine gave it. Raises KeyError if none."""
        import pyarrow.parquet as pq

        paths = {
            table: next((self.folder / table).glob(_ANY_PARTITION + f"{cell}{SUFFIX}"), None)
            for table in ("events", GUEST)
        }
        if paths["events"] is None:
            raise KeyError(f"no completed cell {cell} in {self.folder}")
        guest = None if paths[GUEST] is None else pq.ParquetFile(paths[GUEST]).read()
        events = pq.ParquetFile(paths["events"])
        return frames.result_from(events.read(), events.metadata.metadata, guest)
