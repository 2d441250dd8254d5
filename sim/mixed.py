"""How many static groups, and units of dynamic ones, have memory in both a kernel zone and ZONE_MOVABLE.

A DIMM is removed as a whole and a virtio-mem device gives back whole units, so a single kernel-zone block among MOVABLE
ones spoils the group or the unit. Therefore Linux's auto-movable policy (``mm/memory_hotplug.c``) decides each as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.series import BLOCK, COUNT, DEVICE, KIND, ONLINE_SIGN, T_US, ZONE

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.run_result import RunResult

    Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MixedCounts:
    """Numbers of mixed static groups and of mixed units: at the end, and the highest at any time."""

    groups_end: int
    groups_highest: int
    units_end: int
    units_highest: int


def _units_of(result: RunResult, rows: Integers, unit_blocks: Integers) -> tuple[Integers, Integers, Integers]:
    """Cut each event of ``rows`` at the borders of units of ``unit_blocks`` blocks; 0 leaves it whole.

    Returns, for each piece, its event's position in ``rows``, its unit's number (0 for a whole group) and its blocks.
    Units are aligned in the address space, not to the device.
    """
    events = result.events
    begin, end = events[rows, BLOCK], events[rows, BLOCK] + events[rows, COUNT]
    size = np.maximum(unit_blocks, 1)
    first = np.where(unit_blocks > 0, begin // size, 0)
    pieces = np.where(unit_blocks > 0, (end - 1) // size - first + 1, 1)
    source = np.repeat(np.arange(len(rows)), pieces)
    unit = first[source] + np.arange(len(source)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    whole = unit_blocks[source] == 0
    low = np.where(whole, begin[source], np.maximum(begin[source], unit * size[source]))
    high = np.where(whole, end[source], np.minimum(end[source], (unit + 1) * size[source]))
    return source, unit, high - low


def _count(result: RunResult, rows: Integers, unit_blocks: Integers) -> tuple[int, int]:
    """Return how many groups or units touched by ``rows`` are mixed at the end, and the highest number at any time."""
    if not len(rows):
        return 0, 0
    events = result.events
    source, unit, blocks = _units_of(result, rows, unit_blocks)
    device = events[rows[source], DEVICE]
    order = np.lexsort((unit, device))
    device, unit, source, blocks = device[order], unit[order], source[order], blocks[order]
    event = rows[source]
    first = (np.diff(device, prepend=-1) != 0) | (np.diff(unit, prepend=-1) != 0)
    start = np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
    change = ONLINE_SIGN[events[event, KIND]] * blocks
    movable = np.where(events[event, ZONE] == ZONE_MOVABLE, change, 0)

    def present(deltas: Integers) -> Integers:
        sums = np.cumsum(deltas)
        return sums - (sums - deltas)[start]

    mixed = ((present(movable) > 0) & (present(change - movable) > 0)).astype(np.int64)
    delta = np.diff(mixed, prepend=0)
    delta[first] = mixed[first]
    at_event = np.zeros(len(rows), dtype=np.int64)
    np.add.at(at_event, source, delta)
    lasts = np.diff(events[rows, T_US], append=events[rows[-1], T_US] + 1) > 0
    counts = np.cumsum(at_event)[lasts]
    return int(counts[-1]), int(counts.max())


def mixed_counts(result: RunResult) -> MixedCounts | None:
    """Count mixed groups and units, or return None where the run does not say which devices have which groups.

    A unit of a single memory block, as virtio-mem has it for small device blocks, cannot be mixed. Only what lasts
    until time moves on counts.
    """
    if len(result.device_units) != len(result.device_names):
        return None
    if not result.device_units:
        return MixedCounts(0, 0, 0, 0)
    events = result.events
    rows = np.flatnonzero((events[:, DEVICE] >= 0) & (ONLINE_SIGN[events[:, KIND]] != 0) & (events[:, COUNT] > 0))
    unit_blocks = np.array(result.device_units, dtype=np.int64) // result.block_pages
    in_units = np.array(result.device_units, dtype=np.int64)[events[rows, DEVICE]]
    static = rows[in_units == 0]
    dynamic = rows[in_units > result.block_pages]
    groups = _count(result, static, np.zeros(len(static), dtype=np.int64))
    units = _count(result, dynamic, unit_blocks[events[dynamic, DEVICE]])
    return MixedCounts(*groups, *units)
