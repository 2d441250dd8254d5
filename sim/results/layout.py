"""Which table of a result store stands in which file, and what cells share one.

All tables lie in packs, ``<table>/<table>-<number>-of-<packs>.parquet``. A cell's pack follows from its labels, its
replication and how many packs there are, which follows from the cells: the files are the same whatever order the cells
were computed in, and few however many there are.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYOUT: Final = 3
"""Number of this layout, for the manifest and the packs' seals.

The first one had a file for each cell and table, the second one no seals."""

MANIFEST_NAME: Final = "manifest.json"
EXPERIMENT_NAME: Final = "experiment.toml"
"""The experiment with every default filled in."""

SUFFIX: Final = ".parquet"
UNPACKED: Final = "unpacked"
"""Folder of the segments, which hold cells that are in no pack yet."""

GUEST, SERIES, EVENTS = "guest", "series", "events"
CELL_TABLES: Final = (GUEST, SERIES, EVENTS)
"""Tables with many rows for each cell."""

RUNS, TIMINGS, DETAILS = "runs", "timings", "details"
ROW_TABLES: Final = (DETAILS, TIMINGS, RUNS)
"""Tables with a row for each cell, in the order in which they are written: ``runs`` says what is in all others."""

ALL_TABLES: Final = (*CELL_TABLES, *ROW_TABLES)

Labels = tuple[str, str, str]
"""Machine, workload and policy."""

REPLICATIONS_TOGETHER: Final = 512
"""Replications of the same labels that are in one pack, whichever it is."""

_UNITS_IN_PACK, _CELLS_IN_PACK, MOST_PACKS = 16, 1024, 64


@lru_cache(maxsize=1 << 16)
def _unit(labels: Labels, chunk: int) -> int:
    return int.from_bytes(sha256(json.dumps([*labels, chunk]).encode()).digest()[:7], "big")


def unit(labels: Labels, replication: int) -> int:
    """Return what stands for all cells that share a pack with this one wherever it is."""
    return _unit(labels, replication // REPLICATIONS_TOGETHER)


def packs_for(units: int, cells: int) -> int:
    """Return how many packs so many cells of so many units get: a power of two."""
    wanted = max(-(-units // _UNITS_IN_PACK), -(-cells // _CELLS_IN_PACK), 1)
    return int(min(1 << (wanted - 1).bit_length(), MOST_PACKS))


def pack_path(store: Path, table: str, number: int, packs: int) -> Path:
    """Return the file of a table's pack."""
    return store / table / f"{table}-{number:02d}-of-{packs:02d}{SUFFIX}"


def pack_number(path: Path) -> tuple[int, int]:
    """Return which of how many packs the file ``path`` is called."""
    _, number, _, packs = path.stem.split("-")
    return int(number), int(packs)


_NAME: Final = re.compile(r"[a-z]+-\d+-of-\d+\.parquet")


def pack_files(store: Path, table: str) -> Iterator[Path]:
    """Yield what stands where packs of a table do, in order; not all of it need be one, nor a file."""
    folder = store / table
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def of_first_layout(store: Path) -> bool:
    """Whether ``store`` holds results of an earlier version, with a file for each cell."""
    return any(next((store / table).glob("machine=*"), None) is not None for table in ALL_TABLES)
