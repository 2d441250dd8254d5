"""The hotplug core of the guest's kernel: adds memory, asks the policy for zones, puts blocks online and takes them offline.

Ties together memory, policy, guest and record, so that drivers (``sim.devices``) and user space call one place. Follows
``add_memory_resource``, ``zone_for_pfn_range``, ``online_memory_block`` and ``offline_and_remove_memory`` of ``mm/memory_hotplug.c`` and
``state_store``, ``valid_zones_show`` and ``memory_subsys_online`` of ``drivers/base/memory.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from policies.contract import Policy, ZoneRequest
from sim.memory.blocks import ABSENT, FIRST_ZONE_CODE, MIXED, OFFLINE
from sim.memory.errors import E2BIG, EBUSY, EEXIST, EINVAL, ENOMEM, HotplugError
from sim.memory.groups import NO_GROUP
from sim.memory.view import MemoryView
from sim.memory.zones import NR_ZONES, ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL, OnlineType
from sim.observe import EventKind
from sim.units import PAGEBLOCK_PAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    import simpy

    from policies.contract import Explanation
    from sim.guest.contract import Guest, OomEvent
    from sim.memory.groups import MemoryGroup
    from sim.memory.hotplug import Memory
    from sim.memory.zones import Zone
    from sim.observe import Recorder

_PLUG = int(EventKind.PLUG)
_ADD = int(EventKind.ADD)
_ONLINE = int(EventKind.ONLINE)
_OFFLINE = int(EventKind.OFFLINE)
_REMOVE = int(EventKind.REMOVE)
_UNPLUG = int(EventKind.UNPLUG)
_REFUSED = int(EventKind.REFUSED)
_OOM = int(EventKind.OOM)

_TYPE_OFFLINE = int(OnlineType.OFFLINE)
_TYPE_ONLINE = int(OnlineType.ONLINE)
_TYPE_KERNEL = int(OnlineType.ONLINE_KERNEL)
_TYPE_MOVABLE = int(OnlineType.ONLINE_MOVABLE)

_SPLIT_SELF_HOSTED_SINCE = (6, 8)
"""Kernel series from which on a range of several blocks can host its memmap block by block."""


class PolicyError(Exception):
    """A policy raised, or answered with something that is no zone. Ends the run that it belongs to."""


class BlockOwner(Protocol):
    """A driver that wants to know what happens to its blocks (virtio-mem's memory notifier). Times are the core's."""

    def may_online(self, block: int) -> bool:
        """Whether the block may go online now; False vetoes it."""

    def block_online(self, block: int, zone_type: int) -> None:
        """Tell that the block has gone online."""

    def block_offline(self, block: int) -> None:
        """Tell that the block has gone offline and is still there."""

    def unplugged_pages(self, block: int) -> int:
        """Return the block's pages that the device has not plugged."""


class HotplugCore:
    """The kernel's side of hotplug for one guest.

    ``auto_online`` is the current ``auto_online_blocks`` (an OnlineType number) and may be changed at run time, as may the policy.
    ``guest`` says which memory can be taken back and what adding costs; where None, everything is free. ``log`` gets an
    (OnlineType number, first block, blocks, :class:`Explanation`) for every decision, if set. ``appeared`` is told of blocks that
    were added and left offline.
    """

    def __init__(
        self,
        env: simpy.Environment,
        memory: Memory,
        policy: Policy,
        recorder: Recorder,
        *,
        guest: Guest | None = None,
        series: tuple[int, int] = (6, 1),
        movable_node: bool = False,
        memmap_on_memory: bool | str = False,
    ) -> None:
        self.env = env
        self.memory = memory
        self.view = MemoryView(memory, movable_node=movable_node)
        self.set_policy(policy)
        self.auto_online = int(policy.auto_online)
        self.guest = guest
        self.series = series
        self.memmap_on_memory = memmap_on_memory
        self.owners: dict[int, BlockOwner] = {}
        self.device_of: dict[int, int] = {}
        self.log: Callable[[int, int, int, Explanation], None] | None = None
        self.appeared: Callable[[int, int], None] | None = None
        self.decisions = 0
        self.refusals = 0
        self.moved = 0
        self.ooms: list[tuple[int, OomEvent]] = []
        self.oom_seen: Callable[[], None] | None = None
        self.record = recorder.append
        self._request = ZoneRequest(0, 0, memory.block_pages, None)

    def set_policy(self, policy: Policy) -> None:
        """Use another policy from now on. Blocks never move; ``auto_online`` stays as it is."""
        self.policy = policy
        # The hook that most policies leave alone is not called on their behalf.
        self._tell_offline = None if type(policy).on_offline is Policy.on_offline else policy.on_offline

    # Choosing a zone -------------------------------------------------------------------------------------------------

    def _ask(self, block: int) -> ZoneRequest:
        memory = self.memory
        request = self._request
        group_id = memory.blocks.group[block]
        request.node = memory.blocks.node[block]
        request.first_page = block * memory.block_pages
        request.group = memory.groups.find(group_id) if group_id >= 0 else None
        return request

    def choose(self, online_type: int, block: int) -> int:
        """Return the zone type that ``block`` goes to when it is put online with ``online_type`` now. No side effect.

        Raises PolicyError where the policy fails.
        """
        if online_type == _TYPE_MOVABLE:
            return ZONE_MOVABLE
        memory = self.memory
        if online_type == _TYPE_KERNEL:
            first = block * memory.block_pages
            return memory.nodes[memory.blocks.node[block]].default_kernel_zone(first, memory.block_pages)
        try:
            zone_type = self.policy.zone_for(self._ask(block), self.view)
        except Exception as error:
            raise self._policy_failed(error, block) from error
        # One comparison on the hot path settles the common answers; all else is looked at closely.
        if zone_type.__class__ is int and 0 <= zone_type < NR_ZONES:
            return zone_type
        return self._checked_zone(zone_type, block)

    def _checked_zone(self, answer: object, block: int) -> int:
        if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < NR_ZONES:
            return int(answer)
        zones = ", ".join(f"{number} ({label})" for number, label in enumerate(ZONE_LABELS))
        raise PolicyError(
            f"policy {self.policy.name!r} answered {answer!r} for block {block}, which is none of the zones {zones}"
        )

    def _decide(self, online_type: int, block: int) -> int:
        """Choose, count and log: for a block that is now put online."""
        zone_type = self.choose(online_type, block)
        if online_type == _TYPE_ONLINE:
            self.decisions += 1
        if self.log is not None:
            self.log(online_type, block, 1, self.explain(online_type, block))
        return zone_type

    def explain(self, online_type: int, block: int) -> Explanation:
        """Return what :meth:`choose` would return, with the reason."""
        from policies.contract import Explanation
        from sim.memory.zones import ZoneType

        if online_type == _TYPE_ONLINE:
            try:
                return self.policy.explain(self._ask(block), self.view)
            except Exception as error:
                raise PolicyError(
                    f"policy {self.policy.name!r} raised {type(error).__name__} when asked to explain block {block}: {error}"
                ) from error
        zone = ZoneType(self.choose(online_type, block))
        return Explanation(zone, f"{OnlineType(online_type).word}: {zone.label}", {})

    def valid_zones(self, block: int) -> list[int]:
        """Return the zone types that ``valid_zones`` of an offline block lists: what ``online`` would choose, then the kernel's, then MOVABLE."""
        zones = [self.choose(_TYPE_ONLINE, block)]
        for online_type in (_TYPE_KERNEL, _TYPE_MOVABLE):
            zone_type = self.choose(online_type, block)
            if zone_type not in zones:
                zones.append(zone_type)
        return zones

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
        """Add a range as blocks of ``group_id`` (or of ``node``) and put them online as ``auto_online`` (or ``online_type``) says.

        ``plugged`` pages of the range are backed by the device (all, where None); ``self_host`` asks for the memmap in the block itself.
        Raises E2BIG, EEXIST, EINVAL (not whole blocks, unknown group, impossible node) and ENOMEM (no room for the memmap); then nothing was added. That
        a block could not be put online does not fail the call: it and those above it stay offline.
        """
        memory = self.memory
        block_pages = memory.block_pages
        if first_page % block_pages or pages % block_pages or pages <= 0:
            self._refuse_odd_range(first_page, pages)
        first = first_page // block_pages
        count = pages // block_pages
        hosted = bool(self.memmap_on_memory) and self_host and self._can_self_host(count)
        guest = self.guest
        if guest is not None:
            if group_id != NO_GROUP:
                group = memory.groups.find(group_id)
                node = node if group is None else group.node
            if not guest.add_memory(node, first, count, hosted):
                raise HotplugError(ENOMEM, f"no memory for the memmap of {count} blocks")
            try:
                memory.add(first, count, node=node, group_id=group_id, self_hosted=hosted)
            except HotplugError:
                guest.remove_memory(first, count)
                raise
        else:
            memory.add(first, count, node=node, group_id=group_id, self_hosted=hosted)
        withheld = 0 if plugged is None else pages - plugged
        if online_type is None:
            online_type = self.auto_online
        if online_type == _TYPE_OFFLINE:
            self.record((self.env.now, _ADD, device, first, count, -1, pages - withheld))
            if self.appeared is not None:
                self.appeared(first, count)
        elif count == 1:
            zone_type = self._decide(online_type, first)
            memory.online(first, zone_type, withheld=withheld)
            if guest is not None:
                guest.online(zone_type, memory.blocks.node[first], first, 1, pages - withheld)
            self.record((self.env.now, _PLUG, device, first, 1, zone_type, pages - withheld))
        else:
            self._online_new_run(device, first, count, online_type, withheld)

    def plug_block(self, device: int, block: int, group: MemoryGroup, pages: int) -> int:
        """Add one block of a dynamic ``group``, ``pages`` of it plugged, and put it online if ``auto_online`` says so.

        The same as :meth:`add_memory` for one whole block, without its checks: the hot path of virtio-mem. Returns the zone type, -1 where
        the block stays offline. Raises E2BIG, EEXIST and ENOMEM.
        """
        online_type = self.auto_online
        if not online_type or self.memmap_on_memory:
            block_pages = self.memory.block_pages
            self.add_memory(device, block * block_pages, block_pages, group_id=group.id, plugged=pages)
            zone = self.memory.zone_of(block)
            return -1 if zone is None else zone.type
        memory = self.memory
        guest = self.guest
        if guest is not None and not guest.add_memory(group.node, block, 1, False):  # noqa: FBT003
            raise HotplugError(ENOMEM, f"no memory for the memmap of block {block}")
        memory.add_one(block, group)
        if online_type == _TYPE_ONLINE and self.log is None:
            self.decisions += 1
            request = self._request
            request.node = group.node
            request.first_page = block * request.pages
            request.group = group
            try:
                zone_type = self.policy.zone_for(request, self.view)
            except Exception as error:
                raise self._policy_failed(error, block) from error
            if zone_type.__class__ is not int or not 0 <= zone_type < NR_ZONES:
                zone_type = self._checked_zone(zone_type, block)
        else:
            zone_type = self._decide(online_type, block)
        memory.online(block, zone_type, 1, memory.block_pages - pages)
        if guest is not None:
            guest.online(zone_type, group.node, block, 1, pages)
        self.record((self.env._now, _PLUG, device, block, 1, zone_type, pages))  # noqa: SLF001 - env.now costs a call
        return zone_type

    def _policy_failed(self, error: Exception, block: int) -> PolicyError:
        return PolicyError(f"policy {self.policy.name!r} raised {type(error).__name__} for block {block}: {error}")

    def _refuse_odd_range(self, first_page: int, pages: int) -> None:
        block_pages = self.memory.block_pages
        first, last = first_page // block_pages, (first_page + pages - 1) // block_pages
        if last >= self.memory.max_blocks:
            raise HotplugError(E2BIG, f"blocks up to {last} lie beyond the addressable range")
        if pages > 0 and not self.memory.blocks.all_absent(first, last - first + 1):
            raise HotplugError(EEXIST, f"some of blocks {first}-{last} are there already")
        raise HotplugError(EINVAL, f"pages {first_page}+{pages} are not whole memory blocks of {block_pages} pages")

    def _can_self_host(self, count: int) -> bool:
        """Whether a block's memmap can lie in the block itself (``mhp_supports_memmap_on_memory``)."""
        if count > 1 and self.series < _SPLIT_SELF_HOSTED_SINCE:
            return False
        vmemmap = self.memory.memmap_pages
        if self.memmap_on_memory == "force":
            vmemmap = -(-vmemmap // PAGEBLOCK_PAGES) * PAGEBLOCK_PAGES
        return vmemmap % PAGEBLOCK_PAGES == 0 and 0 < vmemmap < self.memory.block_pages

    def _online_new_run(self, device: int, first: int, count: int, online_type: int, withheld: int) -> None:
        """Put freshly added adjacent blocks online, as many at once as the policy can decide at once.

        ``withheld`` pages are missing at the end of the run; only single blocks of virtio-mem have any.
        """
        memory = self.memory
        guest = self.guest
        node = memory.blocks.node[first]
        end = first + count
        for length, zone_type in self._zones_of_run(first, count, online_type):
            memory.online(first, zone_type, length)
            if guest is not None:
                guest.online(zone_type, node, first, length, memory.block_pages)
            self.record((self.env.now, _PLUG, device, first, length, zone_type, length * memory.block_pages))
            first += length
        while first < end:
            zone_type = self._decide(online_type, first)
            memory.online(first, zone_type)
            if guest is not None:
                guest.online(zone_type, node, first, 1, memory.block_pages)
            self.record((self.env.now, _PLUG, device, first, 1, zone_type, memory.block_pages))
            first += 1

    def _zones_of_run(self, first: int, count: int, online_type: int) -> list[tuple[int, int]]:
        """Return runs of (blocks, zone) that cover all of ``count`` blocks, or nothing where each has to be decided alone."""
        if self.log is not None:
            return []  # somebody wants to read every single decision
        if online_type == _TYPE_MOVABLE:
            return [(count, ZONE_MOVABLE)]
        request = self._ask(first)
        if online_type == _TYPE_KERNEL:
            above = request.first_page >= self.view.low_end(request.node)
            return [(count, ZONE_NORMAL)] if above else []
        try:
            runs = self.policy.zones_for_run(request, count, self.view)
        except Exception as error:
            raise self._policy_failed(error, first) from error
        if runs is None:
            return []
        if sum(length for length, _ in runs) != count or any(length <= 0 for length, _ in runs):
            raise PolicyError(f"policy {self.policy.name!r} decided {runs!r} for a run of {count} blocks")
        self.decisions += count
        return [(length, self._checked_zone(zone_type, first)) for length, zone_type in runs]

    def remove(self, device: int, first: int, count: int, *, plugged: int | None = None) -> None:
        """Remove offline blocks. Raises EBUSY where one is online (nothing is removed), EINVAL where one does not exist."""
        self.memory.remove(first, count)
        if self.guest is not None:
            self.guest.remove_memory(first, count)
        pages = count * self.memory.block_pages if plugged is None else plugged
        self.record((self.env.now, _REMOVE, device, first, count, -1, pages))

    # Online and offline ----------------------------------------------------------------------------------------------

    def online_block(self, device: int, block: int, online_type: int) -> int:
        """Put one offline block online and return its zone type. Raises EINVAL where it is not offline, EBUSY where its driver vetoes it."""
        memory = self.memory
        blocks = memory.blocks
        blocks.left_over.pop(block, None)
        if not blocks.exists(block) or blocks.where[block] != OFFLINE:
            raise HotplugError(EINVAL, f"block {block} is not offline")
        owner = self.owners.get(blocks.group[block])
        withheld = 0
        if owner is not None:
            if not owner.may_online(block):
                raise HotplugError(EBUSY, f"the driver of block {block} vetoes onlining it")
            withheld = owner.unplugged_pages(block)
        zone_type = self._decide(online_type, block)
        memory.online(block, zone_type, withheld=withheld)
        if self.guest is not None:
            self.guest.online(zone_type, blocks.node[block], block, 1, memory.block_pages - withheld)
        self.record((self.env.now, _ONLINE, device, block, 1, zone_type, 0))
        if owner is not None:
            owner.block_online(block, zone_type)
        return zone_type

    def offline_block(self, device: int, block: int, *, tell_owner: bool = True) -> int:
        """Take one online block offline and return the zone type it left.

        Raises EINVAL (not online, spans zones, has holes) or EBUSY (something on it cannot move; recorded and counted).
        """
        memory = self.memory
        blocks = memory.blocks
        code = blocks.where[block] if blocks.exists(block) else ABSENT
        zone = memory.zone_by_code[code]
        owner = self.owners.get(blocks.group[block]) if code else None
        withheld = owner.unplugged_pages(block) if owner is not None else 0
        if zone is None:
            raise HotplugError(EINVAL, f"block {block} is not online in a single zone")
        if self.guest is not None and blocks.flags[block] & blocks.HAS_HOLES == 0:
            self._empty(device, block, zone, memory.block_pages - withheld)
        memory.offline(block, withheld=withheld)
        if self._tell_offline is not None:
            self._tell_offline(zone.node, zone.type, memory.block_pages)
        self.record((self.env.now, _OFFLINE, device, block, 1, zone.type, 0))
        if owner is not None and tell_owner:
            owner.block_offline(block)
        return zone.type

    def _empty(self, device: int, block: int, zone: Zone, pages: int) -> None:
        """Have the guest move everything off a block of ``pages`` plugged pages. Raises EBUSY (recorded, counted) where it cannot."""
        guest = self.guest
        if guest is None:
            return
        outcome = guest.offline(zone.type, zone.node, block, 1, pages)
        self.moved += outcome.moved
        if outcome.ooms:
            self.note_ooms(outcome.ooms)
        if outcome.refused:
            self.refusals += 1
            self.record((self.env.now, _REFUSED, device, block, 1, zone.type, 0))
            raise HotplugError(EBUSY, f"block {block} holds pages that cannot move")

    def note_ooms(self, ooms: tuple[OomEvent, ...]) -> None:
        """Record runs of the guest's out-of-memory killer."""
        for oom in ooms:
            self.ooms.append((self.env.now, oom))
            self.record((self.env.now, _OOM, -1, 0, 1, int(oom.kind), oom.mem_available))
        if self.oom_seen is not None:
            self.oom_seen()

    def take_moved(self) -> int:
        """Return the pages that had to be migrated since the last call: a driver turns them into time."""
        moved = self.moved
        self.moved = 0
        return moved

    def unplug_block(self, device: int, block: int, plugged: int, withheld: int) -> None:
        """Take one online block offline and remove it, in one go; ``plugged`` pages leave the device, ``withheld`` were unplugged before.

        Raises EBUSY (recorded, counted) where something on it cannot move, and EINVAL for a block that can never go offline.
        """
        memory = self.memory
        guest = self.guest
        if guest is not None:
            zone = memory.zone_by_code[memory.blocks.where[block]]
            if zone is not None:
                self._empty(device, block, zone, memory.block_pages - withheld)
        zone = memory.offline(block, 1, withheld)
        if self._tell_offline is not None:
            self._tell_offline(zone.node, zone.type, memory.block_pages)
        memory.remove_one(block)
        if guest is not None:
            guest.remove_memory(block, 1)
        self.record((self.env._now, _UNPLUG, device, block, 1, zone.type, plugged))  # noqa: SLF001 - as above

    def offline_and_remove(self, device: int, first: int, count: int, *, plugged: int) -> None:
        """Take blocks offline, ascending, and remove them; ``plugged`` pages leave the device.

        Raises what the first refused block raises; the blocks taken offline until then are back online in the kind of zone they had.
        """
        blocks = self.memory.blocks
        if count == 1 and blocks.where[first] >= FIRST_ZONE_CODE:
            self.unplug_block(device, first, plugged, 0)
            return
        taken: list[tuple[int, int]] = []
        for block in range(first, first + count):
            if blocks.where[block] == OFFLINE:
                continue
            try:
                taken.append((block, self.offline_block(device, block, tell_owner=False)))
            except HotplugError:
                for again, zone_type in taken:
                    self.online_block(device, again, _TYPE_MOVABLE if zone_type == ZONE_MOVABLE else _TYPE_KERNEL)
                raise
        self.remove(device, first, count, plugged=plugged)

    # User space ------------------------------------------------------------------------------------------------------

    def write_state(self, block: int, word: int) -> None:
        """Write an OnlineType to ``memoryN/state``. Raises EINVAL where the block has that state already, EBUSY where it refuses.

        A word in vain for an online block stays stored on it: see :meth:`put_back`.
        """
        blocks = self.memory.blocks
        if not blocks.exists(block):
            raise HotplugError(EINVAL, f"there is no block {block}")
        device = self.device_of.get(blocks.group[block], -1)
        online = blocks.where[block] >= MIXED
        if word == _TYPE_OFFLINE:
            if not online:
                raise HotplugError(EINVAL, f"block {block} is offline already")
            self.offline_block(device, block)
        elif online:
            blocks.left_over[block] = word
            raise HotplugError(EINVAL, f"block {block} is online already")
        else:
            self.online_block(device, block, word)

    def put_back(self, device: int, block: int) -> int:
        """Put a block online with no word of one's own, as ACPI does after a failed removal: the left-over word, else ``online``."""
        return self.online_block(device, block, self.memory.blocks.left_over.get(block, _TYPE_ONLINE))
