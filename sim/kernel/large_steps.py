"""Runs of equal blocks that a driver plugs or unplugs one after the other, decided, accounted and recorded at once.

Between two of them nothing else happens: the driver has looked (:meth:`sim.kernel.worker.Worker.steps`). What is done
here to a run is what :class:`sim.kernel.hotplug_core.HotplugCore` does to each of its blocks, and all that is left
behind is the same, rows with their times included. Where that is not certain nothing is done, and the driver goes on
block by block.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sim.memory.zones import MMOP_OFFLINE
from sim.record.recorder import NO_ZONE, EventKind

if TYPE_CHECKING:
    from sim.kernel.hotplug_core import HotplugCore
    from sim.memory.groups import MemoryGroup

LEAST: Final = 4
"""Blocks from which on a run is quicker than its blocks."""

_PLUG: Final = int(EventKind.PLUG)
_UNPLUG: Final = int(EventKind.UNPLUG)


def _watched(core: HotplugCore) -> bool:
    """Whether somebody wants to know of every block when it comes or goes, or why."""
    return core.threads.told is not None or core.zone_choice.wants_reasons


def plug_run(core: HotplugCore, device: int, first: int, count: int, group: MemoryGroup, step_us: int) -> bytes:
    """Plug up to ``count`` adjacent whole blocks of a dynamic ``group``, each ``step_us`` after the one before.

    Returns the zone type of each that was plugged: none where they have to be plugged one by one.
    """
    if core.auto_online == MMOP_OFFLINE or core.memmap_on_memory or _watched(core):
        return b""
    memory, choice = core.memory, core.zone_choice
    at_once = None
    if core.guest is not None:
        at_once = core.guest.at_once
        count = 0 if at_once is None else at_once.most(group.node, count)
    if count < LEAST or first + count > memory.max_blocks or not memory.blocks.all_absent(first, count):
        return b""
    runs = choice.runs_of_new(first, count, core.auto_online, group)
    zones = b"".join([bytes((zone,)) * blocks for blocks, zone in runs if zone != NO_ZONE])
    if len(zones) < count or (at_once is not None and not at_once.plug(group.node, first, runs)):
        return b""
    choice.count_run(count, core.auto_online)
    memory.add(first, count, node=group.node, group_id=group.id)
    block = first
    for blocks, zone in runs:
        memory.online(block, zone, blocks)
        block += blocks
    core.in_turn(core.env.now, step_us, _PLUG, device, range(first, first + count), zones, memory.block_pages)
    return zones


def unplug_run(core: HotplugCore, device: int, blocks: list[int], step_us: int) -> int:
    """Take whole ``blocks`` of a device offline and remove them, the highest first, each ``step_us`` after the other.

    Returns how many went: those before the first that cannot be told to go just like the others, maybe none.
    """
    if _watched(core) or core.zone_choice.tell_offline is not None:
        return 0
    memory, table = core.memory, core.memory.blocks
    code = table.where[blocks[0]]
    zone = memory.zone_by_code[code]
    if zone is None:
        return 0
    count = next((at for at, each in enumerate(blocks) if table.where[each] != code or table.flags[each]), len(blocks))
    if core.guest is not None:
        at_once = core.guest.at_once
        count = 0 if at_once is None else at_once.unplug(zone.type, zone.node, blocks[:count])
    if not count:
        return 0
    del blocks[count:]
    high = blocks[0]
    for block, below in pairwise((*blocks, -1)):
        if below != block - 1:
            memory.offline(block, high - block + 1)
            memory.remove(block, high - block + 1)
            high = below
    zones = bytes((zone.type,)) * count
    core.in_turn(core.env.now, step_us, _UNPLUG, device, array("q", blocks), zones, memory.block_pages)
    return count
