"""A virtio-mem device: one worker that brings what is plugged to what is requested, block by block.

This module is the part common to both modes: geometry, the main loop, the retry timer, what the device itself
answers. Follows ``drivers/virtio/virtio_mem.c`` (``virtio_mem_run_wq``, ``virtio_mem_init``) and, for the usable
region and refusals, QEMU's ``hw/virtio/virtio-mem.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpy.events import Timeout

from sim.devices.found_sub_blocks import find_sub_blocks
from sim.devices.virtio_mem_bbm import BigBlockMode
from sim.devices.virtio_mem_mode import VirtioMemParameters, piece_of
from sim.devices.virtio_mem_sbm import SubBlockMode
from sim.kernel.found_memory import FoundBlock, find
from sim.kernel.worker import Worker
from sim.memory.errors import EAGAIN, EBUSY, ENODEV, ENOMEM, ENOSPC, ETXTBSY
from sim.record.device_group import dynamic_group
from sim.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.kernel.context import DriverContext
    from sim.kernel.found_memory import FoundRun
    from sim.kernel.worker import Work


class VirtioMem:
    """One virtio-mem device at ``address`` with a region of ``max_size`` bytes in device blocks of ``block_size``.

    ``requested`` and ``plugged`` are bytes. ``done`` is called with success whenever the worker comes to rest.
    """

    kind = "virtio-mem"

    def __init__(
        self,
        context: DriverContext,
        name: str,
        node: int,
        address: int,
        max_size: int,
        block_size: int,
        *,
        parameters: VirtioMemParameters | None = None,
        done: Callable[[str, bool], None] | None = None,
    ) -> None:
        self.context = context
        self.core = context.core
        self.name = name
        self.node = node
        self.address = address
        self.max_size = max_size
        self.block_size = block_size
        self.parameters = VirtioMemParameters() if parameters is None else parameters
        self.requested = 0
        self.plugged = 0
        self.usable = 0
        self._most_requested = 0
        self.config_changed = False
        self.broken = False
        self.stalled = 0
        """The errno that the last run ended with; 0 when it met its request."""
        self._done = done
        self._worker = Worker(context.env, context.core.threads)
        self._retry_us = context.timing.retry_first
        self._timer = 0
        self.mode: SubBlockMode | BigBlockMode = self._choose_mode()
        self.threshold_pages = max(GIB // context.page_bytes, 2 * self.mode.unit_pages)
        """Pages of the device's blocks that may be offline at a time: 1 GiB, or two units where that is more."""
        self.index = context.recorder.add_device(name, node, dynamic_group(self.mode.unit_pages))
        self.group = self.core.memory.groups.register_dynamic(node, self.mode.unit_pages)
        self.core.register(self.group.id, self.index, self.kind, self.mode)

    @property
    def busy(self) -> bool:
        """Whether the worker is at work."""
        return self._worker.busy

    @property
    def plugged_pages(self) -> int:
        """Pages that the device has plugged."""
        return self.plugged // self.context.page_bytes

    def _choose_mode(self) -> SubBlockMode | BigBlockMode:
        piece = piece_of(
            self.block_size,
            self.parameters,
            block_bytes=self.context.block_bytes,
            geometry=self.core.memory.geometry,
            series=self.core.series,
        )
        return BigBlockMode(self, piece.bytes) if piece.big else SubBlockMode(self, piece.bytes)

    def resize(self, requested: int) -> bool:
        """Set the requested size in bytes; False where it is no multiple of the device block or exceeds the region."""
        if requested < 0 or requested > self.max_size or requested % self.block_size:
            return False
        self.requested = requested
        if requested > self._most_requested:
            # A smaller request leaves the usable region as it is: only "unplug all" would shrink it.
            self._most_requested = requested
            self.usable = (
                -(-min(self.max_size, requested + self.parameters.usable_extent) // self.block_size) * self.block_size
            )
            self.mode.usable_grew()
        context = self.context
        context.recorder.requested(context.env._now, self.index, requested // context.page_bytes)  # noqa: SLF001 - as in plug_block
        self.config_changed = True
        self.kick()
        return True

    def find(
        self, runs: Sequence[FoundRun], requested: int, *, partly: Mapping[int, int], usable: int | None = None
    ) -> None:
        """Take over what was added before the run: ``runs`` are all blocks of the device.

        ``partly`` has a bitmap of the plugged sub-blocks of each that is not fully plugged. ``usable`` bytes of the
        region may be used (None: as much as the request or the highest block makes it). Where the request is not met
        the driver tries again when its timer expires.
        """
        context, extent, block = self.context, self.parameters.usable_extent, self.block_size
        self.requested = requested
        end = max((run.first + run.blocks for run in runs), default=0) * context.block_bytes - self.address
        self.usable = -(-max(min(self.max_size, requested + extent), end) // block) * block
        if usable is not None:
            self.usable = usable
        self._most_requested = max(requested, self.usable - extent)
        self.mode.usable_grew()
        pages = self.mode.granularity // context.page_bytes
        blocks = {at: FoundBlock(mask, pages) for at, mask in partly.items()}
        find(self.core, self.index, runs, node=self.node, group_id=self.group.id, at_once=False, partly=blocks)
        if isinstance(self.mode, SubBlockMode):
            find_sub_blocks(self.mode, runs, partly)
        else:
            self.mode.find(runs)
        missing = sum(self.mode.unit_pages - each.plugged for each in blocks.values())
        self.plugged = sum(run.blocks for run in runs) * context.block_bytes - missing * context.page_bytes
        context.recorder.requested(context.env.now, self.index, requested // context.page_bytes)
        if requested != self.plugged or self.mode.leftovers:
            self._arm_timer()

    def kick(self) -> None:
        """Have the worker look at the request now, unless it is at work already (it will look again by itself)."""
        if not self.parameters.driver:
            self.stalled = ENODEV  # nobody hears of it
            if self._done is not None:
                self._done(self.name, self.stalled == 0)
        elif not self._worker.busy and not self.broken:
            self._worker.start(self._run())

    def steps(self, wait: int) -> int:
        """Return how many waits of ``wait`` microseconds, one after the other, nothing else happens in between."""
        return 0 if self.core.lock.held else self._worker.steps(wait)

    def admits(self, amount: int) -> bool:
        """Whether the device lets the guest plug ``amount`` more bytes: never beyond the request."""
        return self.plugged + amount <= self.requested

    def _run(self) -> Work:  # noqa: C901 - one main loop, as in the driver
        """One or more passes of ``virtio_mem_run_wq``: until the request is met, or cannot be met for now."""
        self._timer += 1  # whatever timer is running, its expiry is no longer awaited
        mode = self.mode
        while True:
            self.config_changed = False
            result = 0
            if mode.leftovers:
                result = yield from mode.clean_up()
            if not result:
                missing = self.requested - self.plugged
                if missing > 0:
                    result = yield from mode.plug(missing)
                elif missing < 0:
                    result = yield from mode.unplug(-missing)
            if not result and mode.leftovers:
                result = EBUSY
            if result == EAGAIN:
                continue
            self.stalled = result
            if result == 0:
                self._retry_us = self.context.timing.retry_first
            elif result in (ETXTBSY, EBUSY, ENOMEM):
                self._arm_timer()
            elif result != ENOSPC:
                self.broken = True
            # Who is told may ask for another size at once: that has to be seen before the worker goes to rest.
            if self._done is not None and not self.config_changed:
                self._done(self.name, self.stalled == 0)
            if not self.config_changed or self.broken:
                break
            self._timer += 1

    def _arm_timer(self) -> None:
        self._timer += 1
        armed = self._timer
        expiry = Timeout(self.context.env, self._retry_us)
        expiry.callbacks.append(lambda _event: self._expired(armed))

    def _expired(self, armed: int) -> None:
        if armed == self._timer and not self._worker.busy and not self.core.threads.ended:
            self._retry_us = min(2 * self._retry_us, self.context.timing.retry_most)
            self.kick()
