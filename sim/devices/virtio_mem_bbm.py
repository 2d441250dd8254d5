"""virtio-mem's big-block mode: one or more whole memory blocks are plugged, onlined and unplugged together.

Follows ``virtio_mem_bbm_*`` of ``drivers/virtio/virtio_mem.c``: states, order of reuse, the three unplug passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.kernel.timing import scale
from sim.memory.blocks import FIRST_ZONE_CODE
from sim.memory.errors import EAGAIN, EBUSY, ENOMEM, ENOSPC, HotplugError
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sim.devices.virtio_mem_mode import ModeDevice
    from sim.kernel.found_memory import FoundRun
    from sim.kernel.hotplug_core import HotplugCore
    from sim.kernel.worker import Wait

BBM_NEVER_USED: Final = 0
BBM_UNUSED: Final = 1
# An added big block by what is online of it: the driver tells these apart when it looks for one to unplug.
BBM_OFFLINE: Final = 2
BBM_MOVABLE: Final = 3
BBM_KERNEL: Final = 4
_NR_STATES: Final = 5
_PASSES: Final = ((BBM_OFFLINE,), (BBM_OFFLINE, BBM_MOVABLE), (BBM_OFFLINE, BBM_MOVABLE, BBM_KERNEL))
"""States that each of the three passes of an unplug takes."""

_CONFIG_CHECK_SINCE: Final = (6, 6)


class BigBlockMode:
    """States of a device's big blocks by offset from its first usable one.

    ``state`` has one byte a big block; ``online`` and ``kernel`` count its memory blocks that are online, and in a
    kernel zone.
    """

    __slots__ = (
        "_blocks_per_unit",
        "_checks_config",
        "_core",
        "_device",
        "_page_size",
        "counts",
        "first",
        "granularity",
        "kernel",
        "leftovers",
        "next_new",
        "offline_pages",
        "online",
        "state",
        "unit_pages",
        "usable_blocks",
    )

    def __init__(self, device: ModeDevice, big_block: int) -> None:
        self._device = device
        self._core: HotplugCore = device.core
        self.granularity = big_block
        self._page_size = device.context.page_bytes
        self.unit_pages = big_block // self._page_size
        self._blocks_per_unit = big_block // device.context.block_bytes
        self.first = -(-device.address // big_block)
        end = (device.address + device.max_size) // big_block
        size = max(0, end - self.first)
        self.state = bytearray(size)
        self.online: dict[int, int] = {}
        self.kernel: dict[int, int] = {}
        self.counts = [0] * _NR_STATES
        self.next_new = 0
        self.usable_blocks = 0
        self.offline_pages = 0
        self.leftovers = False
        self._checks_config = device.core.series >= _CONFIG_CHECK_SINCE

    # What others ask -------------------------------------------------------------------------------------------------

    def _at(self, block: int) -> int:
        return block // self._blocks_per_unit - self.first

    def may_online(self, block: int) -> bool:
        """Only blocks of an added big block may go online."""
        return self.state[self._at(block)] >= BBM_OFFLINE

    def block_online(self, block: int, zone_type: int) -> None:
        """Note the zone; when enough blocks have left the offline state, the worker may add more."""
        at = self._at(block)
        self.online[at] = self.online.get(at, 0) + 1
        if zone_type != ZONE_MOVABLE:
            self.kernel[at] = self.kernel.get(at, 0) + 1
        self._classify(at)
        self.offline_pages -= self.unit_pages // self._blocks_per_unit
        if not self._device.busy and 2 * self.offline_pages <= self._device.threshold_pages:
            self._device.kick()

    def block_offline(self, block: int) -> None:
        """Note that user space took the block offline."""
        self._recount(self._at(block))
        self.offline_pages += self.unit_pages // self._blocks_per_unit
        if not self._device.parameters.unplug_online:
            self._device.kick()

    def plugged_pages(self) -> int:
        """Return the pages that the device has plugged."""
        return self._device.plugged // self._page_size

    def unplugged_pages(self, block: int) -> int:
        """A big block is always plugged as a whole."""
        return 0

    def _recount(self, at: int) -> None:
        """Count the big block's online memory blocks afresh, from the block table."""
        memory = self._core.memory
        start = (self.first + at) * self._blocks_per_unit
        online = kernel = 0
        for code in memory.blocks.where[start : start + self._blocks_per_unit]:
            if code >= FIRST_ZONE_CODE:
                zone = memory.zone_by_code[code]
                online += 1
                kernel += zone is not None and not zone.movable
        self.online[at] = online
        self.kernel[at] = kernel
        self._classify(at)

    def _classify(self, at: int) -> None:
        if self.kernel.get(at):
            self._set(at, BBM_KERNEL)
        else:
            self._set(at, BBM_MOVABLE if self.online.get(at) else BBM_OFFLINE)

    def _set(self, at: int, state: int) -> None:
        self.counts[self.state[at]] -= 1
        self.counts[state] += 1
        self.state[at] = state

    # Plugging --------------------------------------------------------------------------------------------------------

    def plug(self, amount: int) -> Generator[Wait, None, int]:
        """Reuse removed big blocks, lowest first, then append new ones."""
        rest = amount // self.granularity
        at = 0
        while rest and self.counts[BBM_UNUSED]:
            at = self.state.find(BBM_UNUSED, at)
            if at < 0 or at >= self.usable_blocks:
                break
            result = yield from self._add(at)
            if result:
                return result
            rest -= 1
        while rest:
            if self.next_new >= self.usable_blocks:
                return ENOSPC
            result = yield from self._add(self.next_new)
            if result:
                return result
            rest -= 1
        return 0

    def usable_grew(self) -> None:
        """Note that the device's usable region has grown."""
        device = self._device
        self.usable_blocks = min(len(self.state), (device.address + device.usable) // self.granularity - self.first)

    def _add(self, at: int) -> Generator[Wait, None, int]:
        """Plug and add one big block; its memory blocks go online one after the other. Returns 0 or an errno."""
        device, core = self._device, self._core
        if self.offline_pages + self.unit_pages > device.threshold_pages:
            return ENOSPC
        if not device.admits(self.granularity):
            return EAGAIN
        yield core.lock
        wait = scale(device.context.timing.virtio_mem_plug, self.granularity)
        if wait:
            yield wait
            if not device.admits(self.granularity):
                core.lock.release()
                return EAGAIN
        result = self._add_now(at)
        core.lock.release()
        return result

    def _add_now(self, at: int) -> int:
        device, core = self._device, self._core
        if at >= self.next_new:
            self.next_new = at + 1
        first_page = (self.first + at) * self.unit_pages
        try:
            core.add_memory(device.index, first_page, self.unit_pages, group_id=device.group.id)
        except HotplugError as error:
            self._set(at, BBM_UNUSED)
            device.context.note_failure(device.index, error)
            return error.errno
        device.plugged += self.granularity
        self._recount(at)
        self.offline_pages += self.unit_pages - self.online[at] * (self.unit_pages // self._blocks_per_unit)
        return 0

    def find(self, runs: Sequence[FoundRun]) -> None:
        """Take over the blocks that a run starts with; big blocks missing below the highest one were there once."""
        units = {self._at(block) for run in runs for block in range(run.first, run.first + run.blocks)}
        self.next_new = max(units, default=-1) + 1
        for at in range(self.next_new):
            if at in units:
                self._recount(at)
                self.offline_pages += self.unit_pages - self.online[at] * (self.unit_pages // self._blocks_per_unit)
            else:
                self._set(at, BBM_UNUSED)

    # Unplugging ------------------------------------------------------------------------------------------------------

    def unplug(self, amount: int) -> Generator[Wait, None, int]:
        """Unplug big blocks in three passes, highest first each time: wholly offline, nothing in a kernel zone, any."""
        device = self._device
        rest = amount // self.granularity
        if not rest:
            return 0
        for number, states in enumerate(_PASSES):
            at = self._find_highest(states, len(self.state))
            while at >= 0:
                result = yield from self._remove(at, states)
                if result == 0:
                    rest -= 1
                elif result != EBUSY:
                    return result
                if not rest:
                    return 0
                at = self._find_highest(states, at)
            if number == 0 and not device.parameters.unplug_online:
                return 0
        return EBUSY

    def _find_highest(self, states: tuple[int, ...], below: int) -> int:
        return max(self.state.rfind(state, 0, below) if self.counts[state] else -1 for state in states)

    def _remove(self, at: int, states: tuple[int, ...]) -> Generator[Wait, None, int]:
        """Take one big block offline, remove and unplug it.

        Returns 0, EBUSY where it stays, or EAGAIN for a new request.
        """
        device, core = self._device, self._core
        if self._checks_config and device.config_changed and self.state[at] != BBM_OFFLINE:
            return EAGAIN
        yield core.lock
        wait = scale(device.context.timing.virtio_mem_unplug, self.granularity)
        if wait:
            yield wait
        if self.state[at] not in states:
            core.lock.release()  # user space changed it meanwhile
            return EBUSY
        online_before = self.online.get(at, 0)
        start = (self.first + at) * self._blocks_per_unit
        try:
            moved = core.offline_and_remove(device.index, start, self._blocks_per_unit, plugged=self.unit_pages)
        except HotplugError as error:
            moved = error.moved
            result = ENOMEM if error.errno == ENOMEM else EBUSY
        else:
            result = 0
            self.offline_pages -= self.unit_pages - online_before * (self.unit_pages // self._blocks_per_unit)
            device.plugged -= self.granularity
            self.online.pop(at, None)
            self.kernel.pop(at, None)
            self._set(at, BBM_UNUSED)
        if moved:
            yield scale(device.context.timing.migrate, moved * self._page_size)
        core.lock.release()
        return result

    def clean_up(self) -> Generator[Wait, None, int]:
        """Nothing is left over between runs in this mode."""
        yield from ()
        return 0
