"""virtio-mem's sub-block mode: memory blocks are plugged and unplugged by sub-blocks of 2 MiB or the device block.

Follows ``virtio_mem_sbm_*`` of ``drivers/virtio/virtio_mem.c``: states, orders and thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.kernel.timing import scale
from sim.memory.errors import EAGAIN, EBUSY, ENOSPC, HotplugError
from sim.memory.zones import ZONE_MOVABLE
from sim.record.recorder import EventKind
from sim.units import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.devices.virtio_mem_mode import ModeDevice
    from sim.guest.contract import Guest
    from sim.kernel.hotplug_core import HotplugCore
    from sim.kernel.worker import Wait

_SUBPLUG: Final = int(EventKind.SUBPLUG)
_SUBUNPLUG: Final = int(EventKind.SUBUNPLUG)

NEVER_USED: Final = 0
UNUSED: Final = 1
PLUGGED: Final = 2
OFFLINE: Final = 3
OFFLINE_PARTIAL: Final = 4
KERNEL: Final = 5
KERNEL_PARTIAL: Final = 6
MOVABLE: Final = 7
MOVABLE_PARTIAL: Final = 8
_NR_STATES: Final = 9

_PARTIAL_OF: Final = {OFFLINE: OFFLINE_PARTIAL, KERNEL: KERNEL_PARTIAL, MOVABLE: MOVABLE_PARTIAL}
_FULL_OF: Final = {partial: full for full, partial in _PARTIAL_OF.items()}
_FILL_ORDER: Final = (KERNEL_PARTIAL, MOVABLE_PARTIAL, OFFLINE_PARTIAL)
_CLEAN_UP_ORDER: Final = (MOVABLE_PARTIAL, KERNEL_PARTIAL, OFFLINE_PARTIAL)
_UNPLUG_ONLINE_ORDER: Final = (MOVABLE_PARTIAL, KERNEL_PARTIAL, MOVABLE, KERNEL)

_RETRY_UNPLUGGED_SINCE: Final = (6, 6)


class SubBlockMode:
    """States of a device's memory blocks by offset from its first usable block.

    ``state`` has one byte a block, so that the next block of a state is a byte search; ``masks`` holds, for blocks
    that are there and not fully plugged only, a bit for each plugged sub-block. ``offline_pages`` counts blocks added
    and not online.
    """

    __slots__ = (
        "_core",
        "_device",
        "_full_mask",
        "_highest",
        "_per_block",
        "_plug_wait",
        "_retries_unplugged",
        "_sub_pages",
        "_unplug_wait",
        "counts",
        "first",
        "granularity",
        "masks",
        "next_new",
        "offline_pages",
        "state",
        "unit_pages",
        "usable_blocks",
    )

    def __init__(self, device: ModeDevice, sub_block: int) -> None:
        block_bytes = device.context.block_bytes
        self._device = device
        self._core: HotplugCore = device.core
        self.granularity = sub_block
        self.unit_pages = block_bytes // PAGE_SIZE
        self._per_block = block_bytes // sub_block
        self._sub_pages = sub_block // PAGE_SIZE
        self._full_mask = (1 << self._per_block) - 1
        self._plug_wait = scale(device.context.timing.virtio_mem_plug, self.unit_pages)
        self._unplug_wait = scale(device.context.timing.virtio_mem_unplug, self.unit_pages)
        self.first = -(-device.address // block_bytes)
        end = (device.address + device.max_size) // block_bytes
        self.state = bytearray(max(0, end - self.first))
        self.counts = [0] * _NR_STATES
        # No block of a state lies above its bound, so that looking for the highest one does not start at the device's
        # end.
        self._highest = [-1] * _NR_STATES
        self.masks: dict[int, int] = {}
        self.next_new = 0
        self.usable_blocks = 0
        self.offline_pages = 0
        self._retries_unplugged = device.core.series >= _RETRY_UNPLUGGED_SINCE

    # What others ask -------------------------------------------------------------------------------------------------

    @property
    def leftovers(self) -> bool:
        """Whether blocks are there of which nothing is plugged, and this series keeps trying to remove them."""
        return self._retries_unplugged and bool(self.masks) and 0 in self.masks.values()

    def may_online(self, block: int) -> bool:
        """Only blocks that the driver knows to be offline may go online."""
        return self.state[block - self.first] in (OFFLINE, OFFLINE_PARTIAL)

    def block_online(self, block: int, zone_type: int) -> None:
        """Note the zone; when enough blocks have left the offline state, the worker may add more."""
        at = block - self.first
        online = MOVABLE if zone_type == ZONE_MOVABLE else KERNEL
        self._set(at, online if self.state[at] == OFFLINE else _PARTIAL_OF[online])
        self.offline_pages -= self.unit_pages
        if not self._device.busy and 2 * self.offline_pages <= self._device.threshold_pages:
            self._device.kick()

    def block_offline(self, block: int) -> None:
        """Note that user space took the block offline."""
        at = block - self.first
        self._set(at, OFFLINE if at not in self.masks else OFFLINE_PARTIAL)
        self.offline_pages += self.unit_pages
        if not self._device.parameters.unplug_online:
            self._device.kick()

    def unplugged_pages(self, block: int) -> int:
        """Return the block's pages that are not plugged."""
        mask = self.masks.get(block - self.first)
        return 0 if mask is None else self.unit_pages - mask.bit_count() * self._sub_pages

    def _set(self, at: int, state: int) -> None:
        counts = self.counts
        counts[self.state[at]] -= 1
        counts[state] += 1
        self.state[at] = state
        if at > self._highest[state]:  # noqa: PLR1730 - max() costs a call
            self._highest[state] = at

    def _find_highest(self, state: int, below: int) -> int:
        """Return the highest block of ``state`` below offset ``below``, -1 where there is none."""
        if not self.counts[state]:
            return -1
        highest = self._highest
        bound = highest[state] + 1
        if below < bound:
            return self.state.rfind(state, 0, below)
        at = self.state.rfind(state, 0, bound)
        highest[state] = at
        return at

    # Plugging --------------------------------------------------------------------------------------------------------

    def plug(self, amount: int) -> Generator[Wait, None, int]:  # noqa: C901, PLR0912 - the hot path, without calls
        """Fill partly plugged blocks, then reuse removed ones, then append new ones; lowest first each time."""
        wanted = amount // self.granularity
        if self.masks:
            for state in _FILL_ORDER:
                at = self.state.find(state) if self.counts[state] else -1
                while at >= 0 and wanted:
                    result, wanted = yield from self._fill(at, wanted)
                    if result:
                        return result
                    at = self.state.find(state, at + 1)
        # The loop over whole blocks is written out instead of calling a generator for each: it is the simulator's hot
        # path.
        device = self._device
        lock = self._core.lock
        per_block, granularity, unit_pages, whole_wait = (
            self._per_block,
            self.granularity,
            self.unit_pages,
            self._plug_wait,
        )
        at = 0
        while wanted:
            at = self.state.find(UNUSED, at) if self.counts[UNUSED] else -1
            if at < 0:
                at = self.next_new
            if at >= self.usable_blocks:
                return ENOSPC
            if self.offline_pages + unit_pages > device.threshold_pages:
                return ENOSPC
            number = per_block if wanted > per_block else wanted  # noqa: FURB136 - min() costs a call
            size = number * granularity
            if device.plugged + size > device.requested:
                return EAGAIN
            if not lock.try_take():
                yield lock
            if number == per_block:
                wait = whole_wait
            else:
                wait = scale(device.context.timing.virtio_mem_plug, number * self._sub_pages)
            if wait:
                yield wait
            # The request may have fallen meanwhile: then the device refuses.
            result = EAGAIN if device.plugged + size > device.requested else self._add(at, number)
            lock.release()
            if result:
                return result
            wanted -= number
        return 0

    def usable_grew(self) -> None:
        """Note that the device's usable region has grown."""
        device = self._device
        end = (device.address + device.usable) // (self.unit_pages * PAGE_SIZE)
        self.usable_blocks = min(len(self.state), end - self.first)

    def _fill(self, at: int, wanted: int) -> Generator[Wait, None, tuple[int, int]]:
        """Plug the lowest free sub-blocks of a block that is there. Returns (errno, sub-blocks still wanted)."""
        device, core = self._device, self._core
        mask = self.masks[at]
        missing = self._per_block - mask.bit_count()
        number = min(wanted, missing)
        pages = number * self._sub_pages
        if not device.admits(pages * PAGE_SIZE):
            return EAGAIN, wanted
        wait = scale(device.context.timing.virtio_mem_plug, pages)
        if wait:
            yield wait
            if not device.admits(pages * PAGE_SIZE):
                return EAGAIN, wanted
        mask = self.masks.get(at, self._full_mask)
        added = _lowest_bits(self._full_mask & ~mask, number)
        device.plugged += pages * PAGE_SIZE
        block = self.first + at
        self._plug_sub_blocks(at, mask, added)
        core.record((core.env.now, _SUBPLUG, device.index, block, 1, -1, pages))
        return 0, wanted - number

    def _plug_sub_blocks(self, at: int, mask: int, added: int) -> None:
        core = self._core
        block = self.first + at
        state = self.state[at]
        zone = core.memory.zone_of(block)
        if zone is not None:
            core.memory.adjust_managed(block, added.bit_count() * self._sub_pages)
            if core.guest is not None:
                core.guest.take_subblocks(zone.type, zone.node, block, added, self._sub_pages)
        mask |= added
        if mask == self._full_mask:
            del self.masks[at]
            self._set(at, _FULL_OF[state])
        else:
            self.masks[at] = mask

    def _add(self, at: int, number: int) -> int:
        """Plug and add one block with ``number`` sub-blocks now. Returns 0 or an errno."""
        device = self._device
        block = self.first + at
        pages = number * self._sub_pages
        if at >= self.next_new:
            self.next_new = at + 1
        try:
            zone_type = self._core.plug_block(device.index, block, device.group, pages)
        except HotplugError as error:
            # The sub-blocks that were plugged for it are unplugged again at once.
            self._set(at, UNUSED)
            device.context.note_failure(device.index, error)
            return error.errno
        device.plugged += number * self.granularity
        if zone_type < 0:
            self.offline_pages += self.unit_pages
            state = OFFLINE
        else:
            state = MOVABLE if zone_type == ZONE_MOVABLE else KERNEL
        if number < self._per_block:
            self.masks[at] = (1 << number) - 1
            state = _PARTIAL_OF[state]
        self._set(at, state)
        return 0

    # Unplugging ------------------------------------------------------------------------------------------------------

    def unplug(self, amount: int) -> Generator[Wait, None, int]:  # noqa: C901, PLR0912 - as plug
        """Unplug offline blocks first, then online ones class by class; highest block first each time."""
        device = self._device
        lock = self._core.lock
        wanted = amount // self.granularity
        for state in (OFFLINE_PARTIAL, OFFLINE):
            at = self._find_highest(state, len(self.state)) if self.counts[state] else -1
            while at >= 0 and wanted:
                wanted = yield from self._unplug_offline(at, wanted)
                at = self._find_highest(state, at)
        if not device.parameters.unplug_online:
            return 0
        for state in _UNPLUG_ONLINE_ORDER:
            at = self._find_highest(state, len(self.state)) if self.counts[state] else -1
            while at >= 0 and wanted:
                if self._retries_unplugged and device.config_changed:
                    return EAGAIN
                if wanted >= self._per_block and at not in self.masks:
                    wait = self._unplug_wait
                else:
                    plugged = self.masks.get(at, self._full_mask).bit_count()
                    wait = scale(device.context.timing.virtio_mem_unplug, min(wanted, plugged) * self._sub_pages)
                if not lock.try_take():
                    yield lock
                if wait:
                    yield wait
                if self.state[at] >= KERNEL:  # else user space took the block offline meanwhile
                    number, moved = self._unplug_online(at, wanted)
                    wanted -= number
                    if moved:
                        yield scale(device.context.timing.migrate, moved)
                lock.release()
                if not wanted:
                    return 0
                at = self._find_highest(state, at)
        return EBUSY if wanted else 0

    def _unplug_offline(self, at: int, wanted: int) -> Generator[Wait, None, int]:
        """Unplug sub-blocks of an offline block, and remove it once it is empty.

        Returns the sub-blocks still wanted.
        """
        device, core = self._device, self._core
        mask = self.masks.get(at, self._full_mask)
        taken = _highest_bits(mask, wanted)
        number = taken.bit_count()
        yield core.lock
        wait = scale(device.context.timing.virtio_mem_unplug, number * self._sub_pages)
        if wait:
            yield wait
        if self.state[at] not in (OFFLINE, OFFLINE_PARTIAL):
            core.lock.release()  # user space put it online meanwhile
            return wanted
        pages = number * self._sub_pages
        device.plugged -= pages * PAGE_SIZE
        block = self.first + at
        if taken == mask:
            self._forget(at)
            self.offline_pages -= self.unit_pages
            core.remove(device.index, block, 1, plugged=pages)
        else:
            self.masks[at] = mask & ~taken
            self._set(at, OFFLINE_PARTIAL)
            core.record((core.env.now, _SUBUNPLUG, device.index, block, 1, -1, pages))
        core.lock.release()
        return wanted - number

    def _forget(self, at: int) -> None:
        self.masks.pop(at, None)
        self._set(at, UNUSED)

    def _unplug_online(self, at: int, wanted: int) -> tuple[int, int]:
        """Unplug what an online block gives up now, and remove it once nothing of it is plugged.

        Returns the sub-blocks that went and the pages that had to be moved.
        """
        device, core = self._device, self._core
        block = self.first + at
        guest = core.guest
        if guest is None and wanted >= self._per_block and at not in self.masks:
            # Without a guest nothing refuses, and nearly all blocks that go are whole ones.
            device.plugged -= self._per_block * self.granularity
            core.unplug_block(device.index, block, self.unit_pages, 0)
            self._set(at, UNUSED)
            return self._per_block, 0
        mask = self.masks.get(at, self._full_mask)
        if guest is None:
            given, moved = _highest_bits(mask, wanted), 0
        else:
            given, moved = self._ask_guest(guest, block, mask, wanted)
        if not given and mask:
            return 0, moved
        number = given.bit_count()
        pages = number * self._sub_pages
        device.plugged -= number * self.granularity
        if given == mask:
            return number, moved + self._remove_emptied(at, mask, pages)
        self.masks[at] = mask & ~given
        core.memory.adjust_managed(block, -pages)
        core.record((core.env.now, _SUBUNPLUG, device.index, block, 1, -1, pages))
        state = self.state[at]
        if state in _PARTIAL_OF:
            self._set(at, _PARTIAL_OF[state])
        return number, moved

    def _ask_guest(self, guest: Guest, block: int, mask: int, wanted: int) -> tuple[int, int]:
        """Return the sub-blocks that ``guest`` gives up, and the pages that it moved for that."""
        zone = self._core.memory.zone_of(block)
        if zone is None:
            return 0, 0
        outcome = guest.give_subblocks(zone.type, zone.node, block, mask, self._sub_pages, wanted)
        if outcome.ooms:
            self._core.listener.out_of_memory(outcome.ooms)
        return outcome.mask, outcome.moved

    def _remove_emptied(self, at: int, mask: int, pages: int) -> int:
        """Remove a block of which nothing is plugged any more. Where it refuses it stays, present and empty.

        Returns the pages that had to be moved.
        """
        device, core = self._device, self._core
        block = self.first + at
        if core.guest is None:
            withheld = self.unit_pages - pages
        else:
            # The guest has given the sub-blocks up already: nothing of the block is in its hands any more.
            core.memory.adjust_managed(block, -pages)
            withheld = self.unit_pages
        try:
            moved = core.unplug_block(device.index, block, pages, withheld)
        except HotplugError as error:
            self.masks[at] = 0
            state = self.state[at]
            if state in _PARTIAL_OF:
                self._set(at, _PARTIAL_OF[state])
            core.record((core.env.now, _SUBUNPLUG, device.index, block, 1, -1, pages))
            return error.moved
        if mask != self._full_mask:
            del self.masks[at]
        self._set(at, UNUSED)
        return moved

    def clean_up(self) -> Generator[Wait, None, int]:
        """Try again to remove blocks of which nothing is plugged: MOVABLE, kernel, offline ones, ascending.

        Series 6.6 and later (``virtio_mem_cleanup_pending_mb``).
        """
        device, core = self._device, self._core
        for state in _CLEAN_UP_ORDER:
            for at in sorted(at for at, mask in self.masks.items() if not mask and self.state[at] == state):
                yield core.lock
                moved = self._remove_unplugged(at)
                if moved:
                    yield scale(device.context.timing.migrate, moved)
                core.lock.release()
        return 0

    def _remove_unplugged(self, at: int) -> int:
        """Remove a block of which nothing is plugged, if it goes. User space may have taken it offline meanwhile.

        Returns the pages that had to be moved.
        """
        core, block = self._core, self.first + at
        moved = 0
        if self.state[at] == OFFLINE_PARTIAL:
            self.offline_pages -= self.unit_pages
            core.remove(self._device.index, block, 1, plugged=0)
        else:
            try:
                moved = core.unplug_block(self._device.index, block, 0, self.unit_pages)
            except HotplugError as error:
                return error.moved
        self._forget(at)
        return moved


def _highest_bits(mask: int, number: int) -> int:
    """Return the ``number`` highest set bits of ``mask`` (all, where it has fewer)."""
    surplus = mask.bit_count() - number
    if surplus <= 0:
        return mask
    if mask & (mask + 1) == 0:  # the usual case: plugged from 0 without a gap
        return mask & ~((1 << surplus) - 1)
    return mask & ~_lowest_bits(mask, surplus)


def _lowest_bits(mask: int, number: int) -> int:
    """Return the ``number`` lowest set bits of ``mask`` (all, where it has fewer)."""
    found = 0
    while number > 0 and mask:
        bit = mask & -mask
        found |= bit
        mask ^= bit
        number -= 1
    return found
