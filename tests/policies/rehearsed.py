"""Rehearsals that are made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.memory.zones import ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, BootRun, KernelNeed, RunResult
from tests.policies.stage import BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.record.device_group import DeviceGroup

S = 1_000_000
END = 100 * S
Event = tuple[float, EventKind, int, int, int, int]
"""Second, kind, device, block, blocks, zone (or errno, or kind of kill); of a request its pages instead of a zone."""

TWO_DIMMS = (STATIC_GROUP, STATIC_GROUP)
REQUEST = EventKind.REQUEST


def rehearsed(
    *events: Event,
    groups: Sequence[DeviceGroup] = TWO_DIMMS,
    demand: Sequence[tuple[float, int]] = (),
    boot_free: int = 8 * BLOCK,
    memmap: int = 512,
    guest: bool = True,
) -> RunResult:
    """Return a run of 100 s with blocks of 32768 pages; ``demand`` is for kernel memory: (second, pages)."""
    rows = [
        (round(t * S), kind, device, block, count, -1, zone)
        if kind == REQUEST
        else (round(t * S), kind, device, block, count, zone, count * BLOCK)
        for t, kind, device, block, count, zone in events
    ]
    steps = np.array([(round(t * S), pages) for t, pages in demand], dtype=np.int64).reshape(-1, 2)
    return RunResult(
        events=np.array(rows, dtype=np.int64).reshape(-1, 7),
        device_names=tuple(f"d{number}" for number in range(len(groups))),
        device_nodes=(0,) * len(groups),
        device_groups=tuple(groups),
        block_pages=BLOCK,
        duration_us=END,
        boot=BootMemory((BootRun(0, 8, ZONE_NORMAL, 0),), 8 * BLOCK, 0),
        configured_ratio=None,
        counters={},
        kernel_need=KernelNeed(boot_free, memmap, steps) if guest else None,
    )
