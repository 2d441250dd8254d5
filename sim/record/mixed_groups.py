"""How many static groups, and units of dynamic ones, have memory in both a kernel zone and ZONE_MOVABLE.

A DIMM is removed as a whole and a virtio-mem device gives back whole units, so a single kernel-zone block among MOVABLE
ones spoils the group or the unit. Therefore Linux's auto-movable policy (``mm/memory_hotplug.c``) decides each as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.record.events import ONLINE_SIGN, Events, order_by, starts_to_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.run_result import RunResult

    Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MixedCounts:
    """Numbers of mixed static groups and of mixed units: at the end, and the highest at any time."""

    groups_end: int
    groups_highest: int
    units_end: int
    units_highest: int


def _units_of(events: Events, unit_blocks: Integers) -> tuple[Integers, Integers, Integers]:
    """Cut each event at the borders of units of ``unit_blocks`` blocks (one number for each event); 0 leaves it whole.

    Returns, for each piece, its event, its unit's number (0 for a whole group) and its blocks. Units are aligned in the
    address space, not to the device.
    """
    begin, end = events.block, events.block + events.count
    size = np.maximum(unit_blocks, 1)
    first = np.where(unit_blocks > 0, begin // size, 0)
    pieces = np.where(unit_blocks > 0, (end - 1) // size - first + 1, 1)
    source = np.repeat(np.arange(len(events)), pieces)
    unit = first[source] + np.arange(len(source)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    whole = unit_blocks[source] == 0
    low = np.where(whole, begin[source], np.maximum(begin[source], unit * size[source]))
    high = np.where(whole, end[source], np.minimum(end[source], (unit + 1) * size[source]))
    return source, unit, high - low


def _count(events: Events, unit_blocks: Integers) -> tuple[int, int]:
    """Return how many of the groups or units in ``events`` are mixed at the end, and the highest number at any time."""
    if not len(events):
        return 0, 0
    source, unit, blocks = _units_of(events, unit_blocks)
    unit -= unit.min()
    key = events.device[source] * (unit.max() + 1) + unit
    order = order_by(key)
    source = source[order]
    first = np.diff(key[order], prepend=-1) != 0
    start = starts_to_rows(first)
    change = ONLINE_SIGN[events.kind[source]] * blocks[order]
    movable = np.where(events.zone[source] == ZONE_MOVABLE, change, 0)

    def present(deltas: Integers) -> Integers:
        sums = np.cumsum(deltas)
        return sums - (sums - deltas)[start]

    mixed = ((present(movable) > 0) & (present(change - movable) > 0)).astype(np.int64)
    delta = np.diff(mixed, prepend=0)
    delta[first] = mixed[first]
    at_event = np.zeros(len(events), dtype=np.int64)
    np.add.at(at_event, source, delta)
    counts = np.cumsum(at_event)[events.is_last_of_instant()]
    return int(counts[-1]), int(counts.max())


def mixed_counts(result: RunResult, events: Events | None = None) -> MixedCounts | None:
    """Count mixed groups and units, or return None where the run does not say which devices have which groups.

    A unit of a single memory block, as virtio-mem has it for small device blocks, cannot be mixed. Only what lasts
    until time moves on counts. ``events`` are the run's columns, if at hand.
    """
    if len(result.device_units) != len(result.device_names):
        return None
    if not result.device_units:
        return MixedCounts(0, 0, 0, 0)
    if events is None:
        events = Events.of(result.events)
    units = np.array(result.device_units, dtype=np.int64)
    moving = (events.device >= 0) & (ONLINE_SIGN[events.kind] != 0) & (events.count > 0)
    unit = units[np.maximum(events.device, 0)]
    static = events.take(np.flatnonzero(moving & (unit == 0)))
    in_units = np.flatnonzero(moving & (unit > result.block_pages))
    return MixedCounts(
        *_count(static, np.zeros(len(static), dtype=np.int64)),
        *_count(events.take(in_units), unit[in_units] // result.block_pages),
    )
