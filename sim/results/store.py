"""The result store of one experiment: a folder of Parquet files of many cells, and of cells that are in none yet.

Workers append the cells that they finish to segments (:mod:`sim.results.segments`); who runs an experiment brings them
into packs (:mod:`sim.results.packing`), which any tool reads; see :mod:`sim.results.schema` for their columns. Whatever
kills a writer, the store stays readable, and what is finished stays. Files hold no real time (but for ``timings``), so
that the same cells are the same bytes wherever they were computed.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.record.series import run_series
from sim.results import frames, packing, reading
from sim.results.cells import write_cell, write_row, write_timings
from sim.results.layout import ALL_TABLES, UNPACKED
from sim.results.reading import Apart
from sim.results.schema import EVENTS, LABEL_COLUMNS, RUNS, SERIES, TABLES
from sim.results.selection import Selection
from sim.scores.registry import SCORES, compute_scores

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Unpack

    import pandas as pd

    from sim.record.run_result import RunResult
    from sim.results.failure import Failure
    from sim.results.frames import Block
    from sim.results.identity import CellId
    from sim.results.layout import Labels
    from sim.results.selection import Wanted

_LABELS: Final = tuple(column.name for column in LABEL_COLUMNS)


class ResultStore:
    """The results of one experiment in ``folder``.

    Writers in any number of processes may write different cells at the same time; readers may read meanwhile. Readers
    raise InputError where an earlier version of the program wrote the folder in another layout.
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
        write_cell(self.folder, cell, result, series, scores)
        self._write_times(cell, timing)
        return scores

    def write_failure(self, cell: CellId, failure: Failure, timing: Mapping[str, float] | None = None) -> None:
        """Store that ``cell`` failed, in the place of what an earlier attempt may have left of it."""
        write_row(self.folder, cell, frames.failure_row(cell, failure), completed=False)
        self._write_times(cell, timing)

    def _write_times(self, cell: CellId, timing: Mapping[str, float] | None) -> None:
        times = {"finished_unix_s": time.time(), **(timing or {})}
        write_timings(self.folder, [(cell, frames.timing_row(cell, times))])

    def pack(self) -> None:
        """Bring all that was written into Parquet files of many cells, which other programs can read."""
        packing.settle(self.folder)

    def prune(self, keep: Collection[str]) -> int:
        """Remove all cells whose keys are not in ``keep``, and what killed writers left. Return how many cells.

        Afterwards everything is packed.
        """
        return packing.settle(self.folder, keep.__contains__)

    # Reading

    @property
    def exists(self) -> bool:
        """Whether there are any results in the folder."""
        return any((self.folder / name).is_dir() for name in (*ALL_TABLES, UNPACKED))

    def keys(self) -> set[str]:
        """Return the keys of all cells that have a row, completed or failed."""
        return set(reading.rows(self.folder, RUNS.name, ["cell"])["cell"].to_pylist())

    def completed(self) -> set[str]:
        """Return the keys of the cells that completed."""
        return set(reading.completed(self.folder))

    def whole(self) -> list[str]:
        """Return the keys of the cells that completed and whose tables are there; only metadata are read for it."""
        return reading.completed(self.folder, whole=True)

    def labels(self) -> list[dict[str, Any]]:
        """Return machine, workload, policy, ``replication``, ``cell``, ``status`` and ``duration_s`` of all cells."""
        names = [*_LABELS, "replication", "cell", "status", "duration_s"]
        rows = reading.rows(self.folder, RUNS.name, names)
        found: list[dict[str, Any]] = rows.sort_by([(name, "ascending") for name in names[:5]]).to_pylist()
        return found

    def labels_of(self, cell: str) -> tuple[Labels, int]:
        """Return machine, workload and policy of a completed cell, and its replication, without reading all rows.

        Raises KeyError if there is none.
        """
        found = reading.find(self.folder, cell)
        if found is None:
            raise KeyError(f"no completed cell {cell} in {self.folder}")
        return found

    def streams_drawn(self, replication: int) -> dict[str, int]:
        """Return from how many random streams completed cells of ``replication`` drew, by their keys."""
        import pyarrow.compute as pc

        rows = reading.rows(self.folder, RUNS.name, ["cell", "replication", "streams_drawn"])
        rows = rows.filter(pc.and_(pc.equal(rows["replication"], replication), pc.is_valid(rows["streams_drawn"])))
        return dict(zip(rows["cell"].to_pylist(), rows["streams_drawn"].to_pylist(), strict=True))

    def runs(self, *, scores_only: bool = False) -> pd.DataFrame:
        """Return one row per cell: labels, ``replication``, the experiment's factors, status, all scores (see schema).

        Sorted by machine, workload, policy and replication. Every factor is a column named by its key. ``scores_only``
        leaves out what does not identify a cell or score it.
        """
        frame = self._row_frame(RUNS.name)
        factors = [json.loads(text) for text in frame.pop("factors")]
        names = sorted({name for row in factors for name in row})
        for name in names:
            frame.insert(list(frame.columns).index("status"), name, [row.get(name) for row in factors])
        if scores_only:
            frame = frame[[*_LABELS, "replication", *names, "status", *SCORES]]
        return frame

    def timings(self) -> pd.DataFrame:
        """Return the real times of all cells."""
        return self._row_frame("timings")

    def series(self, cells: Collection[str] | None = None, **wanted: Unpack[Wanted]) -> pd.DataFrame:
        """Return the step series of ``cells`` (keys; all where None), one row per step, sizes in bytes.

        ``wanted`` chooses further; see :meth:`parts`.
        """
        return self._frame(SERIES.name, cells, wanted)

    def events(self, cells: Collection[str] | None = None, **wanted: Unpack[Wanted]) -> pd.DataFrame:
        """Return the events of ``cells`` (keys; all where None), one row per event.

        ``wanted`` chooses further; see :meth:`parts`, which takes little memory however many there are.
        """
        return self._frame(EVENTS.name, cells, wanted)

    def parts(
        self,
        table: str,
        cells: Collection[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        **wanted: Unpack[Wanted],
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows of the table ``events``, ``series`` or ``guest`` in parts of at most some 130,000 rows.

        Cells come in no order, the rows of each in order of time; a cell with more rows than a part holds goes on in
        the next. ``columns`` names those that are read, ``cells`` the cells by their keys, all where None. What is
        ``wanted`` further: ``machine``, ``workload``, ``policy`` (labels), ``replications`` (numbers), ``kinds`` (of
        events), ``between`` (first and last time, in seconds); nothing else is read of files than the parts that hold
        such cells and times. Raises KeyError for a table or column that there is not, TypeError for what nothing can be
        chosen by.
        """
        names = _columns(table, columns)
        for _, part in reading.pieces(self.folder, table, _selected(table, cells, wanted), names):
            if len(part):
                frame: pd.DataFrame = part.to_pandas()
                yield frame

    def blocks(self, table: str, cells: Collection[str], columns: Sequence[str]) -> dict[str, Block]:
        """Return numeric ``columns`` of ``cells`` by their keys, as rows of an array; what has no rows is left out.

        Quicker than :meth:`series` where cells are looked at one by one.
        """
        import numpy as np

        parts: dict[str, list[Block]] = {}
        chosen = _selected(table, cells, {})
        for (_, _, key), rows in reading.pieces(self.folder, table, chosen, columns, apart=Apart.ALWAYS):
            parts.setdefault(key, []).append(np.array([rows[name].to_numpy() for name in columns]))
        return {key: some[0] if len(some) == 1 else np.concatenate(some, axis=1) for key, some in parts.items()}

    def _frame(self, table: str, cells: Collection[str] | None, wanted: Wanted) -> pd.DataFrame:
        import pyarrow as pa

        names = _columns(table, None)
        found = list(reading.pieces(self.folder, table, _selected(table, cells, wanted), names, apart=Apart.IN_ORDER))
        found.sort(key=lambda piece: piece[0])  # pieces of one cell stay in order
        empty = frames.arrow_schema(TABLES[table]).empty_table().select(names)
        content = pa.concat_tables([empty, *(part for _, part in found)])
        found.clear()
        frame: pd.DataFrame = content.to_pandas(split_blocks=True, self_destruct=True)
        return frame

    def _row_frame(self, table: str) -> pd.DataFrame:
        names = [column.name for column in TABLES[table].columns]
        frame: pd.DataFrame = reading.rows(self.folder, table, names).to_pandas()
        return frame.sort_values([*_LABELS, "replication", "cell"], kind="stable", ignore_index=True)

    def result(self, cell: str) -> RunResult:
        """Return the run of the completed cell with key ``cell``, as the engine gave it. Raises KeyError if none."""
        found = reading.run_of(self.folder, cell)
        if found is None:
            raise KeyError(f"no completed cell {cell} in {self.folder}")
        return frames.result_from(*found)


def _columns(table: str, columns: Sequence[str] | None) -> list[str]:
    there = [column.name for column in TABLES[table].columns]
    for name in columns or ():
        if name not in there:
            raise KeyError(f"the table {table} has no column {name}; it has: {', '.join(there)}")
    return there if columns is None else list(columns)


def _selected(table: str, cells: Collection[str] | None, wanted: Wanted) -> Selection:
    if "kinds" in wanted and table != EVENTS.name:
        raise TypeError(f"the table {table} has no kinds; events have")
    return Selection.of(cells, wanted)
