"""The result store of one experiment: a folder of Parquet files, one per cell and table, each written atomically.

``<folder>/<table>/machine=.../workload=.../policy=.../<key>.parquet`` for the tables of :mod:`sim.results.schema`. The
file of ``runs`` is written last, so a cell has a row in ``runs`` exactly when everything of it is there. Whatever kills
a writer, the store stays readable, and what is finished stays. Files hold no real time (but for ``timings``), so that
the same cell is the same bytes wherever it was computed.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sim.results import frames
from sim.results.atomic import leftovers, write_atomically
from sim.results.schema import PARTITION_COLUMNS, RUNS, SERIES, TABLES, TIMINGS
from sim.score import SCORES, compute_scores
from sim.series import run_series

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import pandas as pd
    import pyarrow as pa

    from sim.results.identity import CellId, Failure
    from sim.run_result import RunResult

_SUFFIX: Final = ".parquet"
_GUEST: Final = "guest"
_FOLDERS: Final = (*TABLES, _GUEST)
_COMPRESSION: Final = {"compression": "zstd", "compression_level": 1}
_DELTAS: Final = {"t_us": "DELTA_BINARY_PACKED", "block": "DELTA_BINARY_PACKED"}
"""Columns that grow step by step; their differences take a fraction of the space and time."""


class ResultStore:
    """The results of one experiment in ``folder``.

    Writers in any number of processes may write different cells at the same time; readers may read meanwhile.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder: Final = Path(folder)

    def __repr__(self) -> str:
        return f"ResultStore({str(self.folder)!r})"

    # Writing

    def write(self, cell: CellId, result: RunResult, timing: Mapping[str, float] | None = None) -> dict[str, float]:
        """Store a completed ``cell`` and return its scores. ``timing`` holds columns of the table ``timings``."""
        series = run_series(result)
        scores = compute_scores(result, series)
        self._write("events", cell, frames.events_table(cell, result))
        self._write("series", cell, frames.series_table(cell, series))
        if result.guest:
            self._write(_GUEST, cell, frames.guest_table(cell, result))
        self._write_timing(cell, timing)
        self._write("runs", cell, frames.run_row(cell, result, scores))
        return scores

    def write_failure(self, cell: CellId, failure: Failure, timing: Mapping[str, float] | None = None) -> None:
        """Store that ``cell`` failed, and drop what an earlier attempt may have left of it."""
        self._write_timing(cell, timing)
        self._write("runs", cell, frames.failure_row(cell, failure))
        for table in ("events", "series", _GUEST):
            self._path(table, cell).unlink(missing_ok=True)

    def _write_timing(self, cell: CellId, timing: Mapping[str, float] | None) -> None:
        self._write("timings", cell, frames.timing_row(cell, {"finished_unix_s": time.time(), **(timing or {})}))

    def _write(self, table: str, cell: CellId, content: pa.Table) -> None:
        import pyarrow.parquet as pq

        deltas = {name: how for name, how in _DELTAS.items() if name in content.column_names}
        buffer = io.BytesIO()
        pq.write_table(
            content,
            buffer,
            **_COMPRESSION,
            use_dictionary=[name for name in content.column_names if name not in deltas],
            column_encoding=deltas or None,
        )
        # A lost time is no loss.
        write_atomically(self._path(table, cell), buffer.getbuffer(), durable=table != TIMINGS.name)

    def _path(self, table: str, cell: CellId) -> Path:
        folder = self.folder / table
        for column in PARTITION_COLUMNS:
            folder /= f"{column.name}={quote(getattr(cell, column.name), safe=' +,()')}"
        return folder / f"{cell.key}{_SUFFIX}"

    def prune(self, keep: Collection[str]) -> int:
        """Remove the files of all cells whose keys are not in ``keep``, and what killed writers left. Return how many.

        For the end (or the start) of a run, when nobody else writes: afterwards the folder holds this experiment and
        nothing of its earlier versions.
        """
        # Rows first: a cell that is half removed must not look finished.
        doomed = [path for table in _FOLDERS for path in self._files(table) if path.stem not in keep]
        doomed += [path for table in _FOLDERS for path in leftovers(self.folder / table)]
        for path in doomed:
            path.unlink(missing_ok=True)
        for table in _FOLDERS:
            for folder in sorted((self.folder / table).rglob("*/"), reverse=True):
                if not any(folder.iterdir()):
                    folder.rmdir()
        return len(doomed)

    # Reading

    def _files(self, table: str) -> Iterable[Path]:
        return (self.folder / table).rglob(f"*{_SUFFIX}")

    def keys(self) -> set[str]:
        """Return the keys of all cells that have a row, completed or failed."""
        return {path.stem for path in self._files("runs")}

    def completed(self) -> set[str]:
        """Return the keys of the cells that completed."""
        return {row["cell"] for row in self._read(RUNS.name, ["cell", "status"]) if row["status"] == "completed"}

    def _read(self, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        content = self._dataset(table)
        rows: list[dict[str, Any]] = [] if content is None else content.to_table(columns=list(columns)).to_pylist()
        return rows

    def _dataset(self, table: str, cells: Collection[str] | None = None) -> Any:  # noqa: ANN401  pyarrow has no types
        """Return the table's files as one data set with the partition columns; None where there are none."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        files = sorted(str(path) for path in self._files(table) if cells is None or path.stem in cells)
        if not files:
            return None
        partitions = pa.schema([(column.name, pa.string()) for column in PARTITION_COLUMNS])
        partitioning = ds.partitioning(partitions, flavor="hive")
        root = str(self.folder / table)
        # What the guest's series are depends on its model; all cells of an experiment have the same.
        schema = None if table == _GUEST else pa.schema([*partitions, *frames.arrow_schema(TABLES[table])])
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

        found = self._dataset(table, cells)
        names = [column.name for column in (*PARTITION_COLUMNS, *TABLES[table].columns)]
        if found is None:
            partitions = pa.schema([(column.name, pa.string()) for column in PARTITION_COLUMNS])
            content = pa.schema([*partitions, *frames.arrow_schema(TABLES[table])]).empty_table()
        else:
            content = found.to_table(columns=names)
        frame: pd.DataFrame = content.to_pandas()
        order = [column.name for column in PARTITION_COLUMNS] + ["replication", "cell"]
        # A stable sort keeps the order of time within a cell.
        return frame.sort_values(order, kind="stable", ignore_index=True)

    def result(self, cell: str) -> RunResult:
        """Return the run of the completed cell with key ``cell``, as the engine gave it. Raises KeyError if none."""
        import pyarrow.parquet as pq

        found = {
            table: next(iter((self.folder / table).rglob(f"{cell}{_SUFFIX}")), None) for table in ("events", _GUEST)
        }
        if found["events"] is None:
            raise KeyError(f"no completed cell {cell} in {self.folder}")
        guest = None if found[_GUEST] is None else pq.read_table(found[_GUEST], partitioning=None)
        return frames.result_from(pq.read_table(found["events"], partitioning=None), guest)
