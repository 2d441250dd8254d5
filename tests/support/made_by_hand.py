"""One run made up by hand in which every term of every score counts, and its steps, added up by hand.

Blocks have 1000 pages. Boot memory: blocks 0 to 11 are kernel memory but for a hole of 97 pages (0 is shared by zones;
8 to 11 are on node 1), 14 and 15 are MOVABLE, and 500 pages of the kernel zones are CMA. Devices: two DIMMs, a
virtio-mem device with units of 4 blocks, one with units of a single block, and a dax device whose memory never comes.
"""

from __future__ import annotations

import numpy as np

from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP, WITHOUT_GROUP, dynamic_group
from sim.record.recorder import EventKind
from sim.record.run_result import SEVERAL_ZONES, BootMemory, BootRun, RunResult

BLOCK = 1000
NONE = -1
DIMM, OTHER_DIMM, LARGE_UNITS, SMALL_UNITS, DAX = range(5)
KERNEL_OOM, FULL_OOM, MIGRATION_OOM = range(3)
EBUSY, ENOMEM = 16, 12

PLUG, ADD, ONLINE, OFFLINE = EventKind.PLUG, EventKind.ADD, EventKind.ONLINE, EventKind.OFFLINE
REMOVE, UNPLUG, SUBPLUG, SUBUNPLUG = EventKind.REMOVE, EventKind.UNPLUG, EventKind.SUBPLUG, EventKind.SUBUNPLUG
REQUEST, REFUSED, FAILED = EventKind.REQUEST, EventKind.REFUSED, EventKind.FAILED
OOM, DEVICE, DEATH = EventKind.OOM, EventKind.DEVICE, EventKind.DEATH
N, M = ZONE_NORMAL, ZONE_MOVABLE

SECONDS = 100
ROWS: tuple[tuple[int, ...], ...] = (
    # second, kind, device, first block, blocks, zone (or errno, or kind of kill), pages
    (10, FAILED, NONE, -1, 0, ENOMEM, 0),
    (10, DEVICE, DIMM, -1, 1, -1, 0),
    (10, REQUEST, DIMM, -1, 0, -1, 8000),
    (10, PLUG, DIMM, 20, 4, M, 4000),
    (10, ADD, DIMM, 24, 4, -1, 4000),
    (10, OFFLINE, NONE, 8, 3, N, 0),
    (20, ONLINE, DIMM, 24, 2, N, 0),
    (25, DEVICE, LARGE_UNITS, -1, 1, -1, 0),
    (25, REQUEST, LARGE_UNITS, -1, 0, -1, 6000),
    (25, PLUG, LARGE_UNITS, 40, 3, M, 3000),
    (25, PLUG, LARGE_UNITS, 43, 2, N, 1500),
    (25, ONLINE, NONE, 8, 2, N, 0),
    (25, DEVICE, OTHER_DIMM, -1, 1, -1, 0),
    (25, REQUEST, OTHER_DIMM, -1, 0, -1, 4000),
    (30, PLUG, OTHER_DIMM, 30, 3, N, 3000),
    (30, PLUG, OTHER_DIMM, 33, 1, M, 1000),
    (30, DEVICE, DAX, -1, 1, -1, 0),
    (30, REQUEST, DAX, -1, 0, -1, 2000),
    (30, FAILED, DAX, -1, 0, ENOMEM, 0),
    (35, SUBPLUG, LARGE_UNITS, 44, 1, -1, 500),
    (35, PLUG, LARGE_UNITS, 46, 1, M, 250),
    (35, PLUG, LARGE_UNITS, 48, 1, M, 125),
    (35, PLUG, LARGE_UNITS, 49, 1, N, 125),
    (35, REQUEST, SMALL_UNITS, -1, 0, -1, 3000),
    (35, PLUG, SMALL_UNITS, 60, 2, M, 2000),
    (35, PLUG, SMALL_UNITS, 62, 1, N, 1000),
    (35, FAILED, DAX, -1, 0, ENOMEM, 0),
    # What comes and goes in one instant is returned and otherwise not seen.
    (40, PLUG, LARGE_UNITS, 52, 1, M, 1000),
    (40, PLUG, LARGE_UNITS, 53, 1, N, 1000),
    (40, UNPLUG, LARGE_UNITS, 53, 1, N, 1000),
    (40, UNPLUG, LARGE_UNITS, 52, 1, M, 1000),
    (40, REQUEST, DIMM, -1, 0, -1, 0),
    (40, REFUSED, DIMM, 24, 2, N, 0),
    (40, FAILED, DIMM, -1, 0, EBUSY, 0),
    (40, REQUEST, LARGE_UNITS, -1, 0, -1, 2000),
    (45, UNPLUG, LARGE_UNITS, 42, 1, M, 1000),
    (45, UNPLUG, LARGE_UNITS, 48, 1, M, 125),
    (45, UNPLUG, LARGE_UNITS, 49, 1, N, 125),
    (45, SUBUNPLUG, LARGE_UNITS, 44, 1, -1, 250),
    (45, OOM, NONE, 0, 1, MIGRATION_OOM, 77),
    (50, REQUEST, LARGE_UNITS, -1, 0, -1, 1000),
    (50, REFUSED, LARGE_UNITS, 43, 1, N, 0),
    (50, OOM, NONE, 0, 1, KERNEL_OOM, 77),
    (50, OOM, NONE, 0, 1, KERNEL_OOM, 77),
    (55, REQUEST, LARGE_UNITS, -1, 0, -1, 2000),
    (55, REQUEST, SMALL_UNITS, -1, 0, -1, 1000),
    (60, UNPLUG, LARGE_UNITS, 40, 2, M, 2000),
    (60, OOM, NONE, 0, 1, FULL_OOM, 77),
    (60, OOM, NONE, 0, 1, FULL_OOM, 77),
    (60, OOM, NONE, 0, 1, FULL_OOM, 77),
    (62, UNPLUG, SMALL_UNITS, 61, 1, M, 1000),
    (62, UNPLUG, SMALL_UNITS, 62, 1, N, 1000),
    (62, DEVICE, DAX, -1, 0, -1, 0),
    (70, OFFLINE, DIMM, 20, 2, M, 0),
    (70, ONLINE, NONE, 10, 1, M, 0),
    (70, OOM, NONE, 0, 1, KERNEL_OOM, 77),
    (70, OOM, NONE, 0, 1, KERNEL_OOM, 77),
    (75, OFFLINE, DIMM, 22, 2, M, 0),
    (75, REMOVE, DIMM, 20, 4, -1, 4000),
    (75, OFFLINE, NONE, 10, 1, M, 0),
    (80, UNPLUG, OTHER_DIMM, 33, 1, M, 1000),
    (80, REQUEST, OTHER_DIMM, -1, 0, -1, 3000),
    (80, DEATH, NONE, -1, 0, FULL_OOM, 77),
)  # fmt: skip

STEP_COLUMNS = (
    "seconds", "movable", "kernel", "auto_movable", "auto_kernel", "hotplugged", "hotplugged_movable",
    "hotplugged_kernel", "offline", "plugged", "online", "requested", "arrived", "not_given",
)  # fmt: skip
STEPS: tuple[tuple[int, ...], ...] = (
    # second  M      K     MV     KE      hot  in M  in K  offline plugged online asked arrived not given
    ( 0,  2000, 11903,  2500, 11403,     0,     0,     0,     0,     0,     0,     0,     0,     0),
    (10,  6000,  8903,  6500,  8403,  8000,  4000,     0,  7000,  8000,  4000,  8000,  4000,     0),
    (20,  6000, 10903,  6500,  8403,  8000,  4000,  2000,  5000,  8000,  6000,  8000,  6000,     0),
    (25,  9000, 14903,  9500, 10403, 13000,  7000,  4000,  3000, 12500, 10500, 18000, 10500,     0),
    (30, 10000, 17903, 10500, 10403, 17000,  8000,  7000,  3000, 16500, 14500, 20000, 14500,     0),
    (35, 14000, 19903, 14500, 10403, 23000, 12000,  9000,  3000, 20500, 18500, 23000, 18500,     0),
    (40, 14000, 19903, 14500, 10403, 23000, 12000,  9000,  3000, 20500, 18500, 11000,  9000, 11500),
    (45, 12000, 18903, 12500, 10403, 20000, 10000,  8000,  3000, 19000, 17000, 11000,  9000, 10000),
    (50, 12000, 18903, 12500, 10403, 20000, 10000,  8000,  3000, 19000, 17000, 10000,  8000, 11000),
    (55, 12000, 18903, 12500, 10403, 20000, 10000,  8000,  3000, 19000, 17000,  9000,  7000, 12000),
    (60, 10000, 18903, 10500, 10403, 18000,  8000,  8000,  3000, 17000, 15000,  9000,  7000, 10000),
    (62,  9000, 17903,  9500, 10403, 16000,  7000,  7000,  3000, 15000, 13000,  7000,  7000,  8000),
    (70,  8000, 17903,  8500, 10403, 16000,  5000,  7000,  4000, 15000, 11000,  7000,  7000,  8000),
    (75,  5000, 17903,  5500, 10403, 12000,  3000,  7000,  3000, 11000,  9000,  7000,  7000,  4000),
    (80,  4000, 17903,  4500, 10403, 11000,  2000,  7000,  3000, 10000,  8000,  6000,  6000,  4000),
)  # fmt: skip
"""What there is from each second to the next, and from the last until the end: the columns of the series."""

SAMPLES = {
    "t_us":          (  0,   12,   12,    30,  64,  90),
    "headroom":      (900,   30,  650,    40, 300, 800),
    "headroom_free": (800,   20,  640,    40,   0, 700),
    "returnable":    (  0,  160, 3000, 20000, 600, 500),
    "unserved":      (  0,  900,    9,     0,  50,  20),
    "mem_total":     (5000, 7000, 9000, 30000, 25000, 24000),
}  # fmt: skip
"""Seconds and pages. The second sample lasts for no time: its headroom counts as the least, its share does not."""


def made_by_hand(rows: tuple[tuple[int, ...], ...] = ROWS, *, configured_ratio: int | None = 63) -> RunResult:
    """Return the run, or the one of other ``rows`` on the same machine."""
    events = np.array(rows, dtype=np.int64).reshape(-1, 7)
    events[:, 0] *= 1_000_000
    guest = {name: np.array(values, dtype=np.int64) for name, values in SAMPLES.items()}
    guest["t_us"] *= 1_000_000
    return RunResult(
        events=events,
        device_names=("dimm", "other", "large", "small", "dax"),
        device_nodes=(0, 1, 1, 0, 0),
        device_groups=(STATIC_GROUP, STATIC_GROUP, dynamic_group(4000), dynamic_group(1000), WITHOUT_GROUP),
        block_pages=BLOCK,
        duration_us=SECONDS * 1_000_000,
        boot=BootMemory(
            (
                BootRun(0, 1, SEVERAL_ZONES, 0),
                BootRun(1, 7, ZONE_DMA32, 0),
                BootRun(8, 4, ZONE_NORMAL, 1),
                BootRun(14, 2, ZONE_MOVABLE, 1),
            ),
            kernel_pages=11_903,
            movable_pages=2_000,
            cma_pages=500,
        ),
        configured_ratio=configured_ratio,
        counters={"decisions": 17, "failed_requests": 5, "failed_operations": 6, "refused_offlines": 99},
        guest=guest,
    )
