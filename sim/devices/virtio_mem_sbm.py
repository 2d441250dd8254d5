"""virtio-mem's sub-block mode: memory blocks are plugged and unplugged by sub-blocks of 2 MiB or the device block.

Follows ``virtio_mem_sbm_*`` of ``drivers/virtio/virtio_mem.c``: states, orders and thresholds. Which block comes next
is decided in ``plug`` and ``unplug``; which sub-blocks of an online one go, by the guest (``Guest.give_subblocks``), or
highest first where none is modelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.devices.virtio_mem_runs import BlockRuns
from sim.devices.virtio_mem_sub_blocks import (
    PARTIAL_OF,
    SBM_KERNEL,
    SBM_KERNEL_PARTIAL,
    SBM_MOVABLE,
    SBM_MOVABLE_PARTIAL,
    SBM_OFFLINE,
    SBM_OFFLINE_PARTIAL,
    SBM_UNUSED,
    SubBlockStates,
)
from sim.guest.bits import highest, lowest
from sim.kernel.large_steps import LEAST, lets_go
from sim.kernel.timing import scale
from sim.memory.errors import EAGAIN, EBUSY, ENOSPC, HotplugError
from sim.memory.zones import ZONE_MOVABLE
from sim.record.recorder import NO_ZONE, EventKind

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.devices.virtio_mem_mode import ModeDevice
    from sim.guest.contract import Guest
    from sim.kernel.hotplug_core import HotplugCore
    from sim.kernel.worker import Wait

_SUBPLUG: Final = int(EventKind.SUBPLUG)  # plain integers are quicker to find and to pack
_SUBUNPLUG: Final = int(EventKind.SUBUNPLUG)

_FILL_ORDER: Final = (SBM_KERNEL_PARTIAL, SBM_MOVABLE_PARTIAL, SBM_OFFLINE_PARTIAL)
_CLEAN_UP_ORDER: Final = (SBM_MOVABLE_PARTIAL, SBM_KERNEL_PARTIAL, SBM_OFFLINE_PARTIAL)
_UNPLUG_ONLINE_ORDER: Final = (SBM_MOVABLE_PARTIAL, SBM_KERNEL_PARTIAL, SBM_MOVABLE, SBM_KERNEL)

_RETRY_UNPLUGGED_SINCE: Final = (6, 6)


class SubBlockMode:
    """Plugs and unplugs a device's memory blocks, known by their offset from ``first``, its first usable block.

    ``states`` says which of them are there and online; ``offline_pages`` counts blocks added and not online.
    """

    __slots__ = (
        "_core", "_device", "_full_mask", "_page_size", "_per_block", "_plug_wait", "_retries_unplugged", "_runs",
        "_sub_pages", "_unplug_wait", "first", "granularity", "next_new", "offline_pages", "states", "unit_pages",
        "usable_blocks",
    )  # fmt: skip

    def __init__(self, device: ModeDevice, sub_block: int) -> None:
        block_bytes = device.context.block_bytes
        self._device = device
        self._core: HotplugCore = device.core
        self.granularity = sub_block
        self._page_size = device.context.page_bytes
        self.unit_pages = block_bytes // self._page_size
        self._per_block = block_bytes // sub_block
        self._sub_pages = sub_block // self._page_size
        self._full_mask = (1 << self._per_block) - 1
        self._plug_wait = scale(device.context.timing.virtio_mem_plug, block_bytes)
        self._unplug_wait = scale(device.context.timing.virtio_mem_unplug, block_bytes)
        self.first = -(-device.address // block_bytes)
        end = (device.address + device.max_size) // block_bytes
        self.states = SubBlockStates(max(0, end - self.first))
        self._runs = BlockRuns(device, self.states, self.first, self._plug_wait, self._unplug_wait)
        self.next_new = self.usable_blocks = self.offline_pages = 0
        self._retries_unplugged = device.core.series >= _RETRY_UNPLUGGED_SINCE

    # What others ask -------------------------------------------------------------------------------------------------

    @property
    def leftovers(self) -> bool:
        """Whether blocks are there of which nothing is plugged, and this series keeps trying to remove them."""
        masks = self.states.masks  # looked at first: asked twice at every request, and nearly always there are none
        return bool(masks) and self._retries_unplugged and 0 in masks.values()

    def may_online(self, block: int) -> bool:
        """Only blocks that the driver knows to be offline may go online."""
        return self.states.of_block[block - self.first] in (SBM_OFFLINE, SBM_OFFLINE_PARTIAL)

    def block_online(self, block: int, zone_type: int) -> None:
        """Note the zone; when enough blocks have left the offline state, the worker may add more."""
        at = block - self.first
        states = self.states
        online = SBM_MOVABLE if zone_type == ZONE_MOVABLE else SBM_KERNEL
        states.set(at, online if states.of_block[at] == SBM_OFFLINE else PARTIAL_OF[online])
        self.offline_pages -= self.unit_pages
        if not self._device.busy and 2 * self.offline_pages <= self._device.threshold_pages:
            self._device.kick()

    def block_offline(self, block: int) -> None:
        """Note that user space took the block offline."""
        at = block - self.first
        self.states.set(at, SBM_OFFLINE if at not in self.states.masks else SBM_OFFLINE_PARTIAL)
        self.offline_pages += self.unit_pages
        if not self._device.parameters.unplug_online:
            self._device.kick()

    def plugged_pages(self) -> int:
        """Return the pages that the device has plugged."""
        return self._device.plugged // self._page_size

    def unplugged_pages(self, block: int) -> int:
        """Return the block's pages that are not plugged."""
        mask = self.states.masks.get(block - self.first)
        return 0 if mask is None else self.unit_pages - mask.bit_count() * self._sub_pages

    # Plugging --------------------------------------------------------------------------------------------------------

    def plug(self, amount: int) -> Generator[Wait, None, int]:  # noqa: C901, PLR0912 - the hot path, without calls
        """Fill partly plugged blocks, then reuse removed ones, then append new ones; lowest first each time."""
        rest = amount // self.granularity
        states = self.states
        if states.masks:
            for state in _FILL_ORDER:
                at = states.lowest(state)
                while at >= 0 and rest:
                    result, rest = yield from self._fill(at, rest)
                    if result:
                        return result
                    at = states.lowest(state, at + 1)
        # The loop over whole blocks is written out instead of calling a generator for each, because it saves 130 ns a
        # block (benchmarks/bench_events.py, plugging with another policy than auto-movable): the simulator's hot path.
        device = self._device
        lock = self._core.lock
        per_block = self._per_block
        at = 0
        while rest:
            at = states.unused(at)
            if at < 0:
                at = self.next_new
            if at >= self.usable_blocks:
                return ENOSPC
            if self.offline_pages + self.unit_pages > device.threshold_pages:
                return ENOSPC
            if rest >= LEAST * per_block and (many := self._runs.plug(at, rest // per_block, self.usable_blocks)):
                rest -= many * per_block
                self.next_new = max(self.next_new, at + many)
                yield many * self._plug_wait
                continue
            number = per_block if rest > per_block else rest  # noqa: FURB136 - min() costs a call
            size = number * self.granularity
            if device.plugged + size > device.requested:
                return EAGAIN
            if not lock.try_take():
                yield lock
            if number == per_block:
                wait = self._plug_wait
            else:
                wait = scale(device.context.timing.virtio_mem_plug, number * self.granularity)
            if wait:
                yield wait
            # The request may have fallen meanwhile: then the device refuses.
            result = EAGAIN if device.plugged + size > device.requested else self._add(at, number)
            lock.release()
            if result:
                return result
            rest -= number
        return 0

    def usable_grew(self) -> None:
        """Note that the device's usable region has grown."""
        end = (self._device.address + self._device.usable) // (self.unit_pages * self._page_size)
        self.usable_blocks = min(len(self.states.of_block), end - self.first)

    def _fill(self, at: int, rest: int) -> Generator[Wait, None, tuple[int, int]]:
        """Plug the lowest free sub-blocks of a block that is there. Returns (errno, the rest of the sub-blocks)."""
        device, core, masks = self._device, self._core, self.states.masks
        number = min(rest, self._per_block - masks[at].bit_count())
        pages = number * self._sub_pages
        if not device.admits(number * self.granularity):
            return EAGAIN, rest
        wait = scale(device.context.timing.virtio_mem_plug, number * self.granularity)
        if wait:
            yield wait
            if not device.admits(number * self.granularity):
                return EAGAIN, rest
        mask = masks[at]
        added = lowest(self._full_mask & ~mask, number)
        device.plugged += number * self.granularity
        block = self.first + at
        zone = core.memory.zone_of(block)
        if zone is not None:
            core.memory.adjust_managed(block, pages)
            if core.guest is not None:
                core.guest.take_subblocks(zone.type, zone.node, block, added, self._sub_pages)
        if mask | added == self._full_mask:
            self.states.make_full(at)
        else:
            masks[at] = mask | added
        core.record((core.env.now, _SUBPLUG, device.index, block, 1, NO_ZONE, pages))
        return 0, rest - number

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
            self.states.set(at, SBM_UNUSED)
            device.context.note_failure(device.index, error)
            return error.errno
        device.plugged += number * self.granularity
        if zone_type == NO_ZONE:
            self.offline_pages += self.unit_pages
            state = SBM_OFFLINE
        else:
            state = SBM_MOVABLE if zone_type == ZONE_MOVABLE else SBM_KERNEL
        if number < self._per_block:
            self.states.masks[at] = (1 << number) - 1
            state = PARTIAL_OF[state]
        self.states.set(at, state)
        return 0

    # Unplugging ------------------------------------------------------------------------------------------------------

    def unplug(self, amount: int) -> Generator[Wait, None, int]:  # noqa: C901, PLR0912 - as plug
        """Unplug offline blocks first, then online ones class by class; highest block first each time."""
        device, lock, states = self._device, self._core.lock, self.states
        rest = amount // self.granularity
        counts = states.counts
        end = len(states.of_block)
        # Asking the counts first spares a call for each state that no block is in: most of them, at every request.
        for state in (SBM_OFFLINE_PARTIAL, SBM_OFFLINE) if self.offline_pages else ():
            at = states.highest(state, end) if counts[state] else -1
            while at >= 0 and rest:
                rest = yield from self._unplug_offline(at, rest)
                at = states.highest(state, at)
        if not device.parameters.unplug_online:
            return 0
        for state in _UNPLUG_ONLINE_ORDER:
            at = states.highest(state, end) if counts[state] else -1
            while at >= 0 and rest:
                if self._retries_unplugged and device.config_changed:
                    return EAGAIN
                if rest >= self._per_block and at not in states.masks:
                    wait = self._unplug_wait
                    if rest >= LEAST * self._per_block and (many := self._runs.unplug(at, rest // self._per_block)):
                        rest -= many * self._per_block
                        yield many * wait
                        if not rest:
                            return 0
                        at = states.highest(state, at)
                        continue
                else:
                    plugged = states.masks.get(at, self._full_mask).bit_count()
                    wait = scale(device.context.timing.virtio_mem_unplug, min(rest, plugged) * self.granularity)
                if not lock.try_take():
                    yield lock
                if wait:
                    yield wait
                # Inlined from is_online() because it saves 35 ns a block. Else user space took it offline meanwhile.
                if states.of_block[at] > SBM_OFFLINE_PARTIAL:
                    number, moved = self._unplug_online(at, rest)
                    rest -= number
                    if moved:
                        yield scale(device.context.timing.migrate, moved * self._page_size)
                lock.release()
                if not rest:
                    return 0
                at = states.highest(state, at)
        return EBUSY if rest else 0

    def _unplug_offline(self, at: int, rest: int) -> Generator[Wait, None, int]:
        """Unplug sub-blocks of an offline block, remove it once it is empty; return the sub-blocks left to unplug."""
        device, core, states = self._device, self._core, self.states
        mask = states.masks.get(at, self._full_mask)
        bits = highest(mask, rest)
        number = bits.bit_count()
        yield core.lock
        wait = scale(device.context.timing.virtio_mem_unplug, number * self.granularity)
        if wait:
            yield wait
        if states.is_online(at):
            core.lock.release()  # user space put it online meanwhile
            return rest
        pages = number * self._sub_pages
        device.plugged -= number * self.granularity
        block = self.first + at
        if bits == mask:
            states.remove(at)
            self.offline_pages -= self.unit_pages
            core.remove(device.index, block, 1, plugged=pages)
        else:
            states.make_partial(at, mask & ~bits)
            core.record((core.env.now, _SUBUNPLUG, device.index, block, 1, NO_ZONE, pages))
        core.lock.release()
        return rest - number

    def _unplug_online(self, at: int, rest: int) -> tuple[int, int]:
        """Unplug what an online block gives up, remove it once empty. Return sub-blocks that went and pages moved."""
        device, core = self._device, self._core
        block = self.first + at
        guest = core.guest
        if rest >= self._per_block and at not in self.states.masks and (guest is None or lets_go(core, guest, block)):
            # Inlined from what follows, for a whole block where nothing can refuse, because it saves 380 ns a block
            # (benchmarks/bench_events.py, unplugging).
            device.plugged -= self._per_block * self.granularity
            core.unplug_block(device.index, block, self.unit_pages, 0, emptied=True)
            self.states.set(at, SBM_UNUSED)
            return self._per_block, 0
        mask = self.states.masks.get(at, self._full_mask)
        bits, moved = (highest(mask, rest), 0) if guest is None else self._ask_guest(guest, block, mask, rest)
        if not bits and mask:
            core.threads.tell()  # no row says so, but the guest may have let go of pageblocks all the same
            return 0, moved
        number = bits.bit_count()
        pages = number * self._sub_pages
        device.plugged -= number * self.granularity
        if bits == mask:
            return number, moved + self._remove_emptied(at, mask, pages)
        self.states.make_partial(at, mask & ~bits)
        core.memory.adjust_managed(block, -pages)
        core.record((core.env.now, _SUBUNPLUG, device.index, block, 1, NO_ZONE, pages))
        return number, moved

    def _ask_guest(self, guest: Guest, block: int, mask: int, rest: int) -> tuple[int, int]:
        """Return the sub-blocks that ``guest`` gives up, and the pages that it moved for that."""
        zone = self._core.memory.zone_of(block)
        if zone is None:
            return 0, 0
        outcome = guest.give_subblocks(zone.type, zone.node, block, mask, self._sub_pages, rest)
        if outcome.ooms:
            self._core.listener.out_of_memory(outcome.ooms)
            self._core.threads.go_on()
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
            self.states.make_partial(at, 0)
            core.record((core.env.now, _SUBUNPLUG, device.index, block, 1, NO_ZONE, pages))
            return error.moved
        self.states.remove(at)
        return moved

    def clean_up(self) -> Generator[Wait, None, int]:
        """Try again to remove blocks of which nothing is plugged: MOVABLE, kernel, offline ones, ascending.

        Series 6.6 and later (``virtio_mem_cleanup_pending_mb``).
        """
        device, core, states = self._device, self._core, self.states
        for state in _CLEAN_UP_ORDER:
            for at in sorted(at for at, mask in states.masks.items() if not mask and states.of_block[at] == state):
                yield core.lock
                moved = self._remove_unplugged(at)
                if moved:
                    yield scale(device.context.timing.migrate, moved * self._page_size)
                core.lock.release()
        return 0

    def _remove_unplugged(self, at: int) -> int:
        """Remove a block of which nothing is plugged, if it goes. User space may have taken it offline meanwhile.

        Returns the pages that had to be moved.
        """
        core, block = self._core, self.first + at
        moved = 0
        if self.states.of_block[at] == SBM_OFFLINE_PARTIAL:
            self.offline_pages -= self.unit_pages
            core.remove(self._device.index, block, 1, plugged=0)
        else:
            try:
                moved = core.unplug_block(self._device.index, block, 0, self.unit_pages)
            except HotplugError as error:
                return error.moved
        self.states.remove(at)
        return moved
