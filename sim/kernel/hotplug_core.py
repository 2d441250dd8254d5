"""The hotplug core of the guest's kernel: adds memory, puts blocks online and offline, removes them.

Ties together memory, policy (by :mod:`sim.kernel.zone_choice`), guest and record, so that drivers (``sim.devices``) and
user space call one place. Follows ``add_memory_resource``, ``online_memory_block`` and ``offline_and_remove_memory`` of
``mm/memory_hotplug.c`` and ``state_store`` and ``memory_subsys_online`` of ``drivers/base/memory.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.kernel.listener import NOBODY
from sim.kernel.policy_answers import checked_zone, failed
from sim.kernel.self_hosting import altmap_pages, can_self_host
from sim.kernel.settings import PLAIN, KernelSettings
from sim.kernel.shortage import kernel_room, no_memory_for_memmap
from sim.kernel.worker import HotplugLock, Threads
from sim.kernel.zone_choice import ZoneChoice
from sim.memory.blocks import BLOCK_ABSENT, BLOCK_MIXED, BLOCK_OFFLINE, FIRST_ZONE_CODE
from sim.memory.errors import EBUSY, EINVAL, EPERM, HotplugError
from sim.memory.groups import NO_GROUP
from sim.memory.view import MemoryView
from sim.memory.zones import MMOP_OFFLINE, MMOP_ONLINE, MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE, NR_ZONES, ZONE_NORMAL
from sim.record.recorder import NO_DEVICE, NO_ZONE, EventKind

if TYPE_CHECKING:
    import simpy

    from policies.contract import Policy
    from sim.guest.contract import Guest
    from sim.kernel.listener import BlockOwner, CoreListener
    from sim.memory.groups import MemoryGroup
    from sim.memory.hotplug import Memory
    from sim.memory.view import Meminfo
    from sim.memory.zones import Zone
    from sim.record.recorder import Recorder

# Plain integers: a member of an enumeration takes longer to find and to pack.
_PLUG = int(EventKind.PLUG)
_ADD = int(EventKind.ADD)
_ONLINE = int(EventKind.ONLINE)
_OFFLINE = int(EventKind.OFFLINE)
_REMOVE = int(EventKind.REMOVE)
_UNPLUG = int(EventKind.UNPLUG)
_REFUSED = int(EventKind.REFUSED)


class HotplugCore:
    """The kernel's side of hotplug for one guest.

    ``auto_online`` is the current ``auto_online_blocks`` (an OnlineType number) and may be changed at run time, as
    may the policy of ``zone_choice``. ``guest`` says which memory can be taken back and what adding costs (where None,
    nothing), ``meminfo`` what policies see of it. ``threads`` do all work, under ``lock`` where it takes time.
    """

    def __init__(  # noqa: PLR0913  all that a kernel is connected to
        self,
        env: simpy.Environment,
        memory: Memory,
        policy: Policy,
        recorder: Recorder,
        *,
        settings: KernelSettings = PLAIN,
        guest: Guest | None = None,
        meminfo: Meminfo | None = None,
        listener: CoreListener = NOBODY,
        threads: Threads | None = None,
    ) -> None:
        self.env = env
        self.memory = memory
        self.view = MemoryView(memory, movable_node=settings.movable_node, meminfo=meminfo)
        self.zone_choice = ZoneChoice(memory, self.view, policy, listener)
        self.auto_online = int(policy.auto_online)
        self.guest = guest
        self.listener = listener
        self.threads = Threads() if threads is None else threads
        self.lock = HotplugLock(env)
        self.series = settings.series
        self.memmap_on_memory = settings.memmap_on_memory
        memory.altmap_pages = altmap_pages(memory, settings.memmap_on_memory)
        self.owners: dict[int, BlockOwner] = {}
        self.device_of: dict[int, int] = {}
        self.kind_of: dict[int, str] = {}
        self.refusals = 0
        self.record = recorder.append
        self.in_turn = recorder.in_turn

    def register(self, group_id: int, device: int, kind: str, owner: BlockOwner | None = None) -> None:
        """Note whose a group's blocks are: ``device`` in what is recorded, ``kind`` in rules of user space.

        An ``owner`` is told of its blocks and may veto.
        """
        self.device_of[group_id] = device
        self.kind_of[group_id] = kind
        if owner is not None:
            self.owners[group_id] = owner

    def unregister(self, group_id: int) -> None:
        """Forget a group that is gone: its id may be given again."""
        del self.device_of[group_id], self.kind_of[group_id]
        self.owners.pop(group_id, None)

    # Adding and removing ---------------------------------------------------------------------------------------------

    def add_memory(
        self,
        device: int,
        first_page: int,
        pages: int,
        *,
        node: int = 0,
        group_id: int = NO_GROUP,
        plugged: int | None = None,
        self_host: bool = False,
        online_type: int | None = None,
    ) -> None:
        """Add a range as blocks of ``group_id`` (or ``node``), put online as ``auto_online`` (or ``online_type``) says.

        ``plugged`` pages of the range are backed by the device (all, where None); ``self_host`` asks for the memmap
        in the block itself. Raises E2BIG, EEXIST, EINVAL (not whole blocks, unknown group, impossible node) and
        ENOMEM (no room for the memmap); then nothing was added. A block that cannot be put online fails no call.
        """
        memory = self.memory
        block_pages = memory.block_pages
        if first_page % block_pages or pages % block_pages or pages <= 0:
            raise memory.odd_range(first_page, pages)
        first = first_page // block_pages
        count = pages // block_pages
        hosted = self_host and self.self_hosts(count)
        guest = self.guest
        # The guest comes last: an address that is taken costs it nothing, an add that fails may leave it nothing.
        memory.add(first, count, node=node, group_id=group_id, self_hosted=hosted)
        room = kernel_room(self.view) if count > 1 else None
        if guest is not None and not guest.add_memory(memory.blocks.node[first], first, count, hosted):
            memory.remove(first, count)
            raise no_memory_for_memmap(memory, self.view, count, room)
        self.listener.memmap_taken()
        withheld = 0 if plugged is None else pages - plugged
        if online_type is None:
            online_type = self.auto_online
        if online_type == MMOP_OFFLINE:
            self.record((self.env.now, _ADD, device, first, count, NO_ZONE, pages - withheld))
            self.listener.left_offline(self, first, count)
        elif count == 1:
            self._put_online(device, first, 1, self.zone_choice.decide(online_type, first), pages - withheld)
        else:
            self._online_new_run(device, first, count, online_type)
        self.listener.added()

    def plug_block(self, device: int, block: int, group: MemoryGroup, pages: int) -> int:
        """Add one block of a dynamic ``group``, ``pages`` of it plugged, and put it online if ``auto_online`` says so.

        The same as :meth:`add_memory` for one whole block: the hot path of virtio-mem. Returns the zone type, or
        NO_ZONE where the block stays offline. Raises E2BIG, EEXIST and ENOMEM.
        """
        # Inlined from add_memory(), and from ZoneChoice.decide() within it, because it saves 620 ns a block, 200 of
        # them by the decision (benchmarks/bench_written_out.py): range, alignment and group need no look.
        online_type = self.auto_online
        if online_type == MMOP_OFFLINE or self.memmap_on_memory:
            block_pages = self.memory.block_pages
            self.add_memory(device, block * block_pages, block_pages, group_id=group.id, plugged=pages)
            zone = self.memory.zone_of(block)
            return NO_ZONE if zone is None else zone.type
        memory = self.memory
        guest = self.guest
        memory.add_one(block, group)
        if guest is not None and not guest.add_memory(group.node, block, 1, False):  # noqa: FBT003
            memory.remove_one(block)
            raise no_memory_for_memmap(memory, self.view, 1)
        choice = self.zone_choice
        if online_type == MMOP_ONLINE and not choice.wants_reasons:
            choice.decisions += 1
            request = choice.request
            request.node = group.node
            request.first_page = block * request.pages
            request.group = group.view
            try:
                zone_type = choice.policy.zone_for(request, choice.view)
            except BaseException as error:
                raise failed(choice.policy, error, block) from error
            if zone_type.__class__ is not int or not ZONE_NORMAL <= zone_type < NR_ZONES:
                zone_type = checked_zone(choice.policy, zone_type, block, request, choice.view)
                if zone_type == NO_ZONE:
                    return self._put_online(device, block, 1, zone_type, pages)
        else:
            zone_type = choice.decide(online_type, block)
            if zone_type == NO_ZONE:
                return self._put_online(device, block, 1, zone_type, pages)
        memory.online(block, zone_type, 1, memory.block_pages - pages)
        if guest is not None:
            guest.online(zone_type, group.node, block, 1, pages)
        self.record((self.env._now, _PLUG, device, block, 1, zone_type, pages))  # noqa: SLF001 - env.now costs a call
        return zone_type

    def self_hosts(self, count: int) -> bool:
        """Whether the memmap of a range of ``count`` blocks lies in the range itself, where a driver asks for that."""
        return can_self_host(self.memory, self.memmap_on_memory, self.series, count)

    def _online_new_run(self, device: int, first: int, count: int, online_type: int) -> None:
        """Put freshly added adjacent blocks online, as many at once as the policy can decide at once."""
        block_pages = self.memory.block_pages
        end = first + count
        for length, zone_type in self.zone_choice.decide_run(first, count, online_type):
            self._put_online(device, first, length, zone_type, length * block_pages)
            first += length
        while first < end:
            self._put_online(device, first, 1, self.zone_choice.decide(online_type, first), block_pages)
            first += 1

    def _put_online(self, device: int, first: int, count: int, zone_type: int, pages: int) -> int:
        """Put freshly added adjacent blocks online, ``pages`` of them plugged, or leave them offline: as was decided.

        Pages that are not plugged are missing at the end; only single blocks of virtio-mem have any.
        """
        memory = self.memory
        if zone_type == NO_ZONE:
            self.record((self.env.now, _ADD, device, first, count, NO_ZONE, pages))
            self.listener.left_offline(self, first, count)
            return NO_ZONE
        memory.online(first, zone_type, count, count * memory.block_pages - pages)
        if self.guest is not None:
            self.guest.online(zone_type, memory.blocks.node[first], first, count, pages // count)
        self.record((self.env.now, _PLUG, device, first, count, zone_type, pages))
        return zone_type

    def remove(self, device: int, first: int, count: int, *, plugged: int | None = None) -> None:
        """Remove offline blocks.

        Raises EBUSY where one is online (nothing is removed), EINVAL where one does not exist.
        """
        self.memory.remove(first, count)
        if self.guest is not None:
            self.guest.remove_memory(first, count)
        plugged = count * self.memory.block_pages if plugged is None else plugged
        self.record((self.env.now, _REMOVE, device, first, count, NO_ZONE, plugged))

    # Online and offline ----------------------------------------------------------------------------------------------

    def online_block(self, device: int, block: int, online_type: int, *, tell_owner: bool = True) -> int:
        """Put one offline block online and return its zone type.

        Raises EINVAL where it is not offline, EBUSY where its driver vetoes it, EPERM where the policy leaves it so.
        """
        memory = self.memory
        blocks = memory.blocks
        blocks.left_over.pop(block, None)
        if not blocks.exists(block) or blocks.where[block] != BLOCK_OFFLINE:
            raise HotplugError(EINVAL, f"block {block} is not offline")
        owner = self.owners.get(blocks.group[block])
        withheld = 0
        if owner is not None:
            if not owner.may_online(block):
                raise HotplugError(EBUSY, f"the driver of block {block} vetoes onlining it")
            withheld = owner.unplugged_pages(block)
        zone_type = self.zone_choice.decide(online_type, block)
        if zone_type == NO_ZONE:
            raise HotplugError(EPERM, f"the policy leaves block {block} offline")
        memory.online(block, zone_type, withheld=withheld)
        if self.guest is not None:
            self.guest.online(zone_type, blocks.node[block], block, 1, memory.block_pages - withheld)
        self.record((self.env.now, _ONLINE, device, block, 1, zone_type, 0))
        if owner is not None and tell_owner:
            owner.block_online(block, zone_type)
        return zone_type

    def offline_block(self, device: int, block: int, *, tell_owner: bool = True) -> int:
        """Take one online block offline and return the pages that had to be moved: time, for the caller to spend.

        Raises EINVAL (not online, spans zones, has holes), EPERM (boot memory, where the architecture keeps that) or
        EBUSY (something on it cannot move; recorded and counted).
        """
        memory = self.memory
        blocks = memory.blocks
        code = blocks.where[block] if blocks.exists(block) else BLOCK_ABSENT
        zone = memory.zone_by_code[code]
        owner = self.owners.get(blocks.group[block]) if code else None
        withheld = owner.unplugged_pages(block) if owner is not None else 0
        if zone is None:
            raise HotplugError(EINVAL, f"block {block} is not online in a single zone")
        moved = 0
        if self.guest is not None and blocks.flags[block] & blocks.STAYS == 0:
            moved = self._empty(self.guest, device, block, zone, memory.block_pages - withheld, drop=not tell_owner)
        memory.offline(block, withheld=withheld)
        if self.zone_choice.tell_offline is not None:
            self.zone_choice.tell_offline(block, zone)
        self.record((self.env.now, _OFFLINE, device, block, 1, zone.type, 0))
        if owner is not None and tell_owner:
            owner.block_offline(block)
        return moved

    def _empty(self, guest: Guest, device: int, block: int, zone: Zone, pages: int, *, drop: bool) -> int:
        """Have ``guest`` clear a block; return the pages moved. Raises EBUSY (recorded, counted) and GuestDied."""
        outcome = guest.offline(zone.type, zone.node, block, 1, pages, drop_cache=drop)
        if outcome.ooms:
            self.listener.out_of_memory(outcome.ooms)
            self.threads.go_on()
        if outcome.refused:
            self.refusals += 1
            self.listener.refused(block, zone.type)
            self.record((self.env.now, _REFUSED, device, block, 1, zone.type, 0))
            raise HotplugError(EBUSY, f"block {block} holds pages that cannot move", moved=outcome.moved)
        return outcome.moved

    def unplug_block(self, device: int, block: int, plugged: int, withheld: int, *, emptied: bool = False) -> int:
        """Take one online block offline and remove it; ``plugged`` pages leave the device, ``withheld`` did before.

        Returns the pages that had to be moved. Raises EBUSY (recorded, counted) where something on it cannot move, and
        EINVAL for a block that can never go offline. The guest is not asked for what it has ``emptied`` already:
        :func:`sim.kernel.large_steps.lets_go`.
        """
        # Inlined from offline_block() and remove() because it saves 1,600 ns a block (benchmarks/bench_written_out.py):
        # the driver is the one who asks, so that nobody has to be told, and one row says both.
        memory = self.memory
        guest = None if emptied else self.guest
        moved = 0
        if guest is not None:
            zone = memory.zone_by_code[memory.blocks.where[block]]
            if zone is not None:
                moved = self._empty(guest, device, block, zone, memory.block_pages - withheld, drop=True)
        zone = memory.offline(block, 1, withheld)
        if self.zone_choice.tell_offline is not None:
            self.zone_choice.tell_offline(block, zone)
        memory.remove_one(block)
        if guest is not None:
            guest.remove_memory(block, 1)
        self.record((self.env._now, _UNPLUG, device, block, 1, zone.type, plugged))  # noqa: SLF001 - as above
        return moved

    def offline_and_remove(self, device: int, first: int, count: int, *, plugged: int) -> int:
        """Take blocks offline, ascending, and remove them; ``plugged`` pages leave the device.

        Returns the pages that had to be moved. Raises what the first refused block raises, ``moved`` being that of all
        blocks; those taken offline until then are back online in the kind of zone they had.
        """
        blocks = self.memory.blocks
        if count == 1 and blocks.where[first] >= FIRST_ZONE_CODE:  # nothing to put back, and one row says it all
            return self.unplug_block(device, first, plugged, 0)
        moved = 0
        to_put_back: list[tuple[int, int]] = []
        for block in range(first, first + count):
            if blocks.where[block] == BLOCK_OFFLINE:
                continue
            zone = self.memory.zone_of(block)
            try:
                moved += self.offline_block(device, block, tell_owner=False)
            except HotplugError as error:
                for again, word in to_put_back:
                    self.listener.put_back(again)
                    self.online_block(device, again, word, tell_owner=False)
                error.moved += moved
                raise
            word = MMOP_ONLINE_MOVABLE if zone is not None and zone.movable else MMOP_ONLINE_KERNEL
            to_put_back.append((block, word))
        self.remove(device, first, count, plugged=plugged)
        return moved

    # User space ------------------------------------------------------------------------------------------------------

    def write_state(self, block: int, word: int) -> int:
        """Write an OnlineType to ``memoryN/state``, and return the pages that had to be moved.

        Raises EINVAL where the block has that state, EBUSY where it refuses. A word that is refused as the block is
        online already stays stored on it: see :meth:`put_back`.
        """
        blocks = self.memory.blocks
        if not blocks.exists(block):
            raise HotplugError(EINVAL, f"there is no block {block}")
        device = self.device_of.get(blocks.group[block], NO_DEVICE)
        online = blocks.where[block] >= BLOCK_MIXED
        if word == MMOP_OFFLINE:
            if not online:
                raise HotplugError(EINVAL, f"block {block} is offline already")
            return self.offline_block(device, block)
        if online:
            blocks.left_over[block] = word
            raise HotplugError(EINVAL, f"block {block} is online already")
        self.online_block(device, block, word)
        return 0

    def write_online(self, block: int, value: int) -> int:
        """Write 0 or 1 to ``memoryN/online``, and return the pages that had to be moved.

        1 brings no type of its own; what is so already is no error.
        """
        blocks = self.memory.blocks
        if not blocks.exists(block):
            raise HotplugError(EINVAL, f"there is no block {block}")
        if (blocks.where[block] >= BLOCK_MIXED) == bool(value):
            return 0
        device = self.device_of.get(blocks.group[block], NO_DEVICE)
        if not value:
            return self.offline_block(device, block)
        self.put_back(device, block)
        return 0

    def put_back(self, device: int, block: int) -> int:
        """Put a block online and name no type, as ACPI after a failed removal: the word stored on it, or ``online``."""
        return self.online_block(device, block, self.memory.blocks.left_over.get(block, MMOP_ONLINE))
