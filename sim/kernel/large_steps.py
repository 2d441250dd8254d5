"""Runs of equal blocks that a driver plugs or unplugs one after the other, decided, accounted and recorded at once.

Between two of them nothing else happens: the driver has looked (:meth:`sim.kernel.worker.Worker.steps`). What is done
here to a run is what :class:`sim.kernel.hotplug_core.HotplugCore` does to each of its blocks, and all that is left
behind is the same, rows with their times included. Where that is not certain nothing is done, and the driver goes on
block by block.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from sim.memory.zones import MMOP_OFFLINE, MMOP_ONLINE
from sim.record.recorder import NO_ZONE, EventKind

if TYPE_CHECKING:
    from sim.guest.contract import Guest
    from sim.kernel.hotplug_core import HotplugCore
    from sim.memory.groups import MemoryGroup

    Pieces = list[tuple[int, int]]

LEAST: Final = 4
"""Blocks from which on a run is quicker than its blocks."""

_PLUG: Final = int(EventKind.PLUG)
_UNPLUG: Final = int(EventKind.UNPLUG)
_OFFLINE: Final = int(EventKind.OFFLINE)
_ONLINE: Final = int(EventKind.ONLINE)


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


def unplug_run(core: HotplugCore, device: int, pieces: Pieces, step_us: int) -> Pieces:
    """Take whole blocks of a device offline and remove them, each ``step_us`` after the one before.

    ``pieces`` are adjacent blocks as (first, blocks), of which the highest goes first. Returns those that went: what
    comes before the first block that may not go just like the others, maybe nothing.
    """
    if _watched(core) or core.zone_choice.tell_offline is not None:
        return []
    memory, table = core.memory, core.memory.blocks
    code = table.where[pieces[0][0]]
    zone = memory.zone_by_code[code]
    if zone is None:
        return []
    alike = 0
    for first, count in pieces:
        end = first + count
        if table.where.count(code, first, end) < count or table.flags.count(0, first, end) < count:
            break
        alike += 1
    gone = pieces[:alike]
    if core.guest is not None and gone:
        at_once = core.guest.at_once
        gone = [] if at_once is None else at_once.unplug(zone.type, zone.node, gone)
    blocks = array("q")
    for first, count in gone:
        memory.offline(first, count)
        memory.remove(first, count)
        blocks.extend(range(first + count - 1, first - 1, -1))
    if blocks:
        zones = bytes((zone.type,)) * len(blocks)
        core.in_turn(core.env.now, step_us, _UNPLUG, device, blocks, zones, memory.block_pages)
    return gone


def lets_go(core: HotplugCore, guest: Guest, block: int) -> bool:
    """Have ``guest`` let go of a fully plugged online block and its memmap, if it would of all; else it is not asked.

    What is left to do is :meth:`sim.kernel.hotplug_core.HotplugCore.unplug_block`. Both together come to what it is
    without this, after ``give_subblocks`` of all of the block, and take a third of the time in the guest.
    """
    at_once = guest.at_once
    zone = core.memory.zone_by_code[core.memory.blocks.where[block]]
    return at_once is not None and zone is not None and at_once.unplug_one(zone.type, zone.node, block)


def offline_run(core: HotplugCore, device: int, blocks: range, step_us: int) -> int:
    """Take adjacent ``blocks``, of which the first is online, offline one by one, each ``step_us`` after the other.

    Upwards or downwards. Returns how many went: those before the first that cannot be told to go just like the others.
    """
    if len(blocks) < LEAST or core.zone_choice.tell_offline is not None:
        return 0
    zone = core.memory.zone_by_code[core.memory.blocks.where[blocks[0]]]
    blocks = blocks[: 0 if zone is None else _alike(core, blocks)]
    if zone is None or not blocks:
        return 0
    if core.guest is not None:
        at_once = core.guest.at_once
        blocks = blocks[: 0 if at_once is None else at_once.offline(zone.type, zone.node, blocks)]
    if blocks:
        core.memory.offline(min(blocks[0], blocks[-1]), len(blocks))
        core.in_turn(core.env.now, step_us, _OFFLINE, device, blocks, bytes((zone.type,)) * len(blocks), 0)
    return len(blocks)


def put_back_run(core: HotplugCore, device: int, first: int, count: int, online_type: int = MMOP_ONLINE) -> bool:
    """Put ``count`` offline blocks online that a failed removal has taken offline.

    Those that the policy leaves offline stay so. False, and nothing done, where each has to be put back by itself.
    """
    memory = core.memory
    table = memory.blocks
    if count < LEAST or table.left_over or _watched(core) or _alike(core, range(first, first + count)) < count:
        return False
    guest = core.guest
    if guest is not None and (guest.at_once is None or not guest.at_once.takes_back):
        return False
    runs = core.zone_choice.decide_run(first, count, online_type)
    for blocks, zone in runs:
        if zone != NO_ZONE:
            memory.online(first, zone, blocks)
            if guest is not None and guest.at_once is not None:
                guest.at_once.back(zone, table.node[first], first, blocks)
            core.in_turn(core.env.now, 0, _ONLINE, device, range(first, first + blocks), bytes((zone,)) * blocks, 0)
        first += blocks
    return bool(runs)


def _alike(core: HotplugCore, blocks: range) -> int:
    """Return how many of ``blocks``, adjacent ones, are like the first until one is not.

    None where that one is boot memory, or a driver wants to be told of it, or somebody of each that changes.
    """
    table = core.memory.blocks
    first, last = blocks[0], blocks[-1]
    if core.threads.told is not None or table.group[first] in core.owners or table.flags[first] & ~table.SELF_HOSTED:
        return 0
    found = len(blocks)
    for column in (table.where, table.flags, table.group):
        values = column[min(first, last) : max(first, last) + 1]
        # Compared as a whole before they are looked at one by one: nearly always all are alike.
        if values != values[:1] * len(values):
            found = min(found, next(at for at, block in enumerate(blocks) if column[block] != column[first]))
    return found
