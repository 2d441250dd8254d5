"""Writing what one cell leaves behind; for workers, any number of which may write different cells at the same time.

The file of ``events`` is written last and holds the cell's row of ``runs`` in its metadata: a cell is completed exactly
when that file is there, and everything else can be made from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.results import frames
from sim.results.layout import CELL_TABLES, GUEST, SUFFIX, is_whole, partition, write_cell_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.record.run_result import RunResult
    from sim.record.series import RunSeries
    from sim.results.identity import CellId


def cell_path(store: Path, table: str, cell: CellId) -> Path:
    """Return the file of ``cell`` for one of the tables that have a file for each cell."""
    return store / table / partition(cell.labels) / f"{cell.key}{SUFFIX}"


def is_completed(store: Path, cell: CellId) -> bool:
    """Whether everything of ``cell`` is in the folder ``store``: one or two looks at the disk, nothing is read."""
    return is_whole(cell_path(store, "events", cell)) and is_whole(cell_path(store, "series", cell))


def write_cell(
    store: Path,
    cell: CellId,
    result: RunResult,
    series: RunSeries,
    scores: Mapping[str, float],
    recording: str | None = None,
) -> str:
    """Write the files of a completed ``cell`` into the folder ``store`` and return its row of ``runs`` as JSON.

    ``recording`` is what its workload played. Raises OSError where they cannot be written. Whoever is killed meanwhile
    leaves the cell as it was before.
    """
    row = frames.run_row(cell, result, scores, recording)
    if result.guest:
        write_cell_table(cell_path(store, GUEST, cell), frames.guest_table(cell, result))
    write_cell_table(cell_path(store, "series", cell), frames.series_table(cell, series, result.page_size))
    write_cell_table(cell_path(store, "events", cell), frames.events_table(cell, result, row))
    return row


def drop_cell(store: Path, cell: CellId) -> None:
    """Remove the files that an earlier attempt at ``cell`` may have left: first the one that says it is completed."""
    for table in reversed(CELL_TABLES):
        cell_path(store, table, cell).unlink(missing_ok=True)
