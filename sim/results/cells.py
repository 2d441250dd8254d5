"""Writing what one cell leaves behind; for workers, any number of which may write different cells at the same time.

A cell is one frame of a segment (:mod:`sim.results.segments`): it is there as a whole or not at all.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from sim.results import frames
from sim.results.identity import canonical_json, sha256
from sim.results.layout import CELL_TABLES, unit
from sim.results.schema import TABLES
from sim.results.segments import append

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sim.record.run_result import RunResult
    from sim.record.series import RunSeries
    from sim.results.frames import Block
    from sim.results.identity import CellId
    from sim.results.layout import Labels
    from sim.results.segments import Frame


class Named(Protocol):
    """What a cell is stored by: a CellId, or what a pack says of it."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def labels(self) -> Labels:
        """Machine, workload and policy."""

    @property
    def replication(self) -> int:
        """Its replication."""


_ROW, _DETAILS, _BLOCKS = 0, 1, 2
"""Parts of a frame: the row of ``runs``, details, and from there on a block of each of the tables."""
_CODEC: Final = "lz4"


def write_cell(
    store: Path,
    cell: CellId,
    result: RunResult,
    series: RunSeries,
    scores: Mapping[str, float],
    recording: str | None = None,
    *,
    tables: bool = True,
) -> str:
    """Write a completed ``cell`` into the folder ``store`` and return its row of ``runs`` as JSON.

    ``recording`` is what its workload played. Without ``tables`` the row is all that is kept. Raises OSError where it
    cannot be written. Whoever is killed meanwhile leaves the cell as it was before.
    """
    row = frames.run_row(cell, result, scores, recording)
    if not tables:
        write_row(store, cell, row, completed=True)
        return row
    blocks = {
        "guest": frames.guest_block(result),
        "series": frames.series_block(series, result.page_size),
        "events": frames.events_block(result),
    }
    write_whole(store, cell, row, frames.details(result), blocks)
    return row


def write_whole(store: Path, cell: Named, row: str, details: str, blocks: Mapping[str, Block]) -> None:
    """Write a completed cell as it is stored: its ``row``, ``details``, and of each table the numbers."""
    shapes = [blocks[table].shape[1] for table in CELL_TABLES]
    packed = [_compressed(blocks[table]) for table in CELL_TABLES]
    head = {**_head(cell, completed=True), "rows": shapes, "form": _form()}
    append(store, head, [row.encode(), details.encode(), *packed])


def write_copy(store: Path, frame: Frame) -> None:
    """Write what another store holds of a cell."""
    head = {name: value for name, value in frame.head.items() if name not in ("at", "parts")}
    append(store, head, [frame.part(number) for number in range(len(frame.head["parts"]))])


def write_row(store: Path, cell: Named, row: str, *, completed: bool) -> None:
    """Write the ``row`` of a cell in the place of all that an earlier attempt has left of it; there are no tables."""
    append(store, _head(cell, completed=completed), [row.encode()])


def _head(cell: Named, *, completed: bool) -> dict[str, Any]:
    head = {"key": cell.key, "labels": cell.labels, "replication": cell.replication, "completed": completed}
    return {**head, "unit": unit(cell.labels, cell.replication)}


@cache
def _form() -> str:
    """Return what says which columns blocks have, as another version of the program may have had other ones."""
    return sha256(canonical_json([frames.int_columns(TABLES[table]) for table in CELL_TABLES]))[:8]


def _compressed(block: Block) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(np.ascontiguousarray(block), codec=_CODEC, asbytes=True)) if block.size else b""


def completed(frame: Frame) -> bool:
    """Whether the cell completed."""
    return bool(frame.head["completed"])


def sizes(frame: Frame) -> list[int] | None:
    """Return how many rows a cell has in the :data:`CELL_TABLES`: none at all if not kept, None if it failed."""
    if not completed(frame):
        return None
    return list(frame.head["rows"]) if frame.head.get("form") == _form() else []


def row(frame: Frame) -> str:
    """Return the cell's row of ``runs`` as JSON."""
    return frame.part(_ROW).decode()


def details(frame: Frame) -> str:
    """Return what :func:`sim.results.frames.details` made of the run."""
    return frame.part(_DETAILS).decode()


def details_row(frame: Frame) -> str:
    """Return the cell's row of ``details`` as JSON."""
    return frames.details_row(frame.key, frame.labels, frame.replication, details(frame))


def block(frame: Frame, table: str) -> Block:
    """Return the numbers of one of the :data:`CELL_TABLES`."""
    import pyarrow as pa

    number = CELL_TABLES.index(table)
    rows, columns = frame.head["rows"][number], len(frames.int_columns(TABLES[table]))
    if not rows:
        return np.empty((columns, 0), dtype=np.int64)
    content = pa.decompress(frame.part(_BLOCKS + number), 8 * rows * columns, codec=_CODEC)
    return np.frombuffer(content, dtype=np.int64).reshape(columns, rows)


# Times, which are known only when a cell has been written -------------------------------------------------------------


def write_timings(store: Path, rows: Sequence[tuple[CellId, str]]) -> None:
    """Write rows of the table ``timings``, each a JSON object as :func:`sim.results.frames.timing_row` makes it."""
    units: dict[int, list[str]] = {}
    for cell, text in rows:
        units.setdefault(unit(cell.labels, cell.replication), []).append(text)
    for number, texts in units.items():
        write_times(store, number, texts)


def write_times(store: Path, number: int, texts: Sequence[str]) -> None:
    """Write rows of the table ``timings`` of cells that share packs; ``number`` stands for these."""
    append(store, {"unit": number}, ["\n".join(texts).encode()])


def timings(frame: Frame) -> list[str]:
    """Return the rows in a frame that :func:`write_timings` wrote."""
    return frame.part(0).decode().split("\n")
