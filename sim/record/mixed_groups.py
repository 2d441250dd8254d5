"""How many static groups, and units of dynamic ones, have memory in both a kernel zone and ZONE_MOVABLE.

A DIMM is removed as a whole and a virtio-mem device gives back whole units, so a single kernel-zone block among MOVABLE
ones spoils the group or the unit. Therefore Linux's auto-movable policy (``mm/memory_hotplug.c``) decides each as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.record.arrays import counted_up, group_starts, order_by, starts_to_rows, steps_up, sums_within
from sim.record.device_group import GroupKind
from sim.record.events import ONLINE_SIGN, Events
from sim.record.recorder import NO_DEVICE

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.run_result import RunResult

    Integers = npt.NDArray[np.int64]


_UNCUT: Final = 0
"""Instead of blocks in a unit: a static group, which counts as one."""


@dataclass(frozen=True, slots=True)
class MixedCounts:
    """Numbers of mixed static groups and of mixed units: at the end, and the highest at any time."""

    groups_end: int
    groups_highest: int
    units_end: int
    units_highest: int


def _units_of(events: Events, unit_blocks: Integers) -> tuple[Integers, Integers, Integers]:
    """Cut each event at the borders of units of ``unit_blocks`` blocks (a number for each event); _UNCUT leaves it.

    Returns, for each piece, its event, its unit's number (0 where uncut) and its blocks. Units are aligned in the
    address space, not to the device.
    """
    begin, end = events.block, events.block + events.blocks
    size = np.maximum(unit_blocks, 1)  # any divisor will do where nothing is cut
    cut = unit_blocks != _UNCUT
    first = np.where(cut, begin // size, 0)
    pieces = np.where(cut, (end - 1) // size - first + 1, 1)
    source = np.repeat(np.arange(len(events)), pieces)
    unit = first[source] + counted_up(pieces)
    low = np.where(cut[source], np.maximum(begin[source], unit * size[source]), begin[source])
    high = np.where(cut[source], np.minimum(end[source], (unit + 1) * size[source]), end[source])
    return source, unit, high - low


def _count(events: Events, unit_blocks: Integers) -> tuple[int, int]:
    """Return how many of the groups or units in ``events`` are mixed at the end, and the highest number at any time."""
    if not len(events):
        return 0, 0
    source, unit, blocks = _units_of(events, unit_blocks)
    unit -= unit.min()
    # One number for each group or unit, so that one sort brings the events of each together.
    key = events.device[source] * (unit.max() + 1) + unit
    order = order_by(key)
    source = source[order]
    first = group_starts(key[order])
    start = starts_to_rows(first)
    change = ONLINE_SIGN[events.kind[source]] * blocks[order]
    movable = np.where(events.zone[source] == ZONE_MOVABLE, change, 0)

    mixed = ((sums_within(movable, start) > 0) & (sums_within(change - movable, start) > 0)).astype(np.int64)
    delta = steps_up(mixed)
    delta[first] = mixed[first]
    # Pieces of one event may change several units: unlike indexing, add.at counts every one of them.
    at_event = np.zeros(len(events), dtype=np.int64)
    np.add.at(at_event, source, delta)
    counts = np.cumsum(at_event)[events.is_last_of_instant()]
    return int(counts[-1]), int(counts.max())


def mixed_counts(result: RunResult, events: Events | None = None) -> MixedCounts | None:
    """Count mixed groups and units, or return None where the run does not say which devices have which groups.

    A unit of a single memory block, as virtio-mem has it for small device blocks, cannot be mixed. Only what lasts
    until time moves on counts. ``events`` are the run's columns, if at hand.
    """
    if len(result.device_groups) != len(result.device_names):
        return None
    if not result.device_groups:
        return MixedCounts(0, 0, 0, 0)
    if events is None:
        events = Events.of(result.events)
    moving = (events.device != NO_DEVICE) & (ONLINE_SIGN[events.kind] != 0) & (events.blocks > 0)
    movable = events.zone[moving] == ZONE_MOVABLE
    if movable.all() or not movable.any():
        return MixedCounts(0, 0, 0, 0)
    is_static = np.array([group.kind is GroupKind.STATIC for group in result.device_groups])
    unit_pages = np.array([group.unit_pages for group in result.device_groups], dtype=np.int64)
    device = np.maximum(events.device, 0)  # whatever stands there for none: it is not moving
    static = events.where(moving & is_static[device])
    # A unit of no more than one block cannot be mixed.
    in_units = events.where(moving & (unit_pages > result.block_pages)[device])
    return MixedCounts(
        *_count(static, np.full(len(static), _UNCUT)),
        *_count(in_units, unit_pages[in_units.device] // result.block_pages),
    )
