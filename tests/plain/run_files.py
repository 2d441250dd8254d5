"""A run as its result files tell it: Parquet and JSON as docs/results.md has them, read with nothing of the program.

Whatever the plain recomputation of scores knows of a run is in here, and so in the files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

(
    PLUG, ADD, ONLINE, OFFLINE, REMOVE, UNPLUG, SUBPLUG, SUBUNPLUG, REQUEST, REFUSED, FAILED, OOM, DEVICE, DEATH,
) = range(1, 15)  # fmt: skip
"""Kinds of events, by the numbers in the files."""

MOVABLE = 3
"""Number of the zone."""

EVENT_COLUMNS = ("t_us", "kind", "device", "block", "count", "zone", "pages")


@dataclass
class PlainRun:
    """One run: its ``events`` as rows in order, the ``guest``'s samples by column, and what else there is to know.

    ``units`` has for each device the pages of a unit of its dynamic group, 0 for a static group, -1 for none; empty
    where that is not known. ``boot_runs`` are adjacent blocks (first, blocks, zone, node).
    """

    events: Sequence[Sequence[int]]
    guest: Mapping[str, Sequence[int]]
    devices: int
    units: Sequence[int]
    block_pages: int
    duration_us: int
    boot_runs: Sequence[Sequence[int]]
    kernel_pages: int
    movable_pages: int
    cma_pages: int
    configured_ratio: int | None
    counters: Mapping[str, int]


def read_run(store: Path, cell: str) -> PlainRun:
    """Return the run of the completed ``cell`` in the folder ``store``."""
    columns = _rows_of(store, "events", cell)
    rest = json.loads(_rows_of(store, "details", cell)["details"][0])
    samples = _rows_of(store, "guest", cell)
    return PlainRun(
        events=list(zip(*(columns[name] for name in EVENT_COLUMNS), strict=True)),
        guest=samples if samples.get("t_us") else {},
        devices=len(rest["device_names"]),
        units=rest["device_units"],
        block_pages=rest["block_pages"],
        duration_us=rest["duration_us"],
        boot_runs=rest["boot"]["runs"],
        kernel_pages=rest["boot"]["kernel_pages"],
        movable_pages=rest["boot"]["movable_pages"],
        cma_pages=rest["boot"]["cma_pages"],
        configured_ratio=rest["configured_ratio"],
        counters=rest["counters"],
    )


_HEAD = ("machine", "workload", "policy", "cell", "replication")


def _rows_of(store: Path, table: str, cell: str) -> dict[str, list[Any]]:
    """Return the rows of ``cell`` in a table by column, without those that every table begins with."""
    found: dict[str, list[Any]] = {}
    for path in sorted((store / table).rglob("*.parquet")):
        for name, values in pq.read_table(path, filters=[("cell", "=", cell)]).to_pydict().items():
            if name not in _HEAD:
                found.setdefault(name, []).extend(values)
    return found


def read_series(store: Path, cell: str) -> dict[str, list[int]]:
    """Return the step series of ``cell`` by column."""
    return _rows_of(store, "series", cell)


def completed_runs(store: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of all completed runs, in order of the files."""
    for path in sorted((store / "runs").rglob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            if row["status"] == "completed":
                yield row
