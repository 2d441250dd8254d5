"""A dax device given to kmem (persistent memory, CXL): a static group, as a DIMM, but unbound by user space.

Follows ``drivers/dax/kmem.c`` (``dev_dax_kmem_probe``, ``dev_dax_kmem_remove``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.static_device import StaticDevice
from sim.kernel.timing import scale
from sim.memory.blocks import BLOCK_MIXED
from sim.memory.errors import EBUSY, EEXIST, EINVAL, HotplugError
from sim.units import bytes_to_pages

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.kernel.context import DriverContext
    from sim.kernel.worker import Work


class Dax(StaticDevice):
    """One dax device. ``ranges`` are (start, length) in bytes.

    ``bytes_for_pages`` registers the group as kernels before 46e66dab8565 did: with its size in bytes where pages are
    meant. ``self_host`` asks for memmap on memory (a device attribute since 6.8).
    """

    kind = "dax"

    def __init__(
        self,
        context: DriverContext,
        name: str,
        node: int,
        ranges: list[tuple[int, int]],
        *,
        bytes_for_pages: bool = False,
        self_host: bool = False,
        done: Callable[[str, bool], None] | None = None,
    ) -> None:
        block = context.block_bytes
        inward = [(-(-start // block) * block, (start + length) // block * block) for start, length in ranges]
        super().__init__(context, name, node, [(start, end - start) for start, end in inward if end > start], done)
        self._bytes_for_pages = bytes_for_pages
        self._self_host = self_host
        self.added: list[tuple[int, int]] = []

    @property
    def plugged_pages(self) -> int:
        """Pages of the ranges that were added."""
        return sum(count for _, count in self.added) * self._core.memory.block_pages

    def _add(self) -> None:
        """Bind the device to kmem (``dev_dax_kmem_probe``)."""
        core = self._core
        if self.node not in core.memory.nodes:
            raise HotplugError(EINVAL, f"node {self.node} of {self.name} is not possible on this machine")
        if not self.ranges:
            raise HotplugError(EINVAL, f"{self.name} holds no whole memory block")
        self._register(self.size if self._bytes_for_pages else bytes_to_pages(self.size))
        page = self._context.page_bytes
        for start, length in self.ranges:
            try:
                core.add_memory(
                    self.index, start // page, length // page, group_id=self.group_id, self_host=self._self_host
                )
            except HotplugError as error:
                if not self.added:
                    self._unregister()
                    if error.errno == EEXIST:  # the driver reserves the range itself before it adds it
                        raise HotplugError(EBUSY, f"the range of {self.name} at {start:#x} is in use") from error
                    raise
                self.failed += 1
                self._context.note_failure(self.index, error, self._duration(length))
                continue
            self.added.append((start // self._context.block_bytes, length // self._context.block_bytes))

    def _give_back(self) -> Work:
        """Do what an operator does: write ``offline`` to the blocks, highest first, then unbind if all went."""
        context, core = self._context, self._core
        blocks = sorted((block for first, count in self.added for block in range(first, first + count)), reverse=True)
        for block in blocks:
            if core.memory.blocks.where[block] < BLOCK_MIXED:
                continue
            yield core.lock
            yield scale(context.timing.offline, core.memory.block_pages)
            try:
                moved = core.offline_block(self.index, block)
            except HotplugError as error:
                moved = error.moved  # user space goes on with the next block
            if moved:
                yield scale(context.timing.migrate, moved)
            core.lock.release()
        yield core.lock
        self._unbind(blocks)
        core.lock.release()
        self._finish(ok=self.gone)

    def _unbind(self, blocks: list[int]) -> None:
        """Remove every range, none where a block is still online: the driver never takes blocks offline itself."""
        core = self._core
        if any(core.memory.blocks.where[block] >= BLOCK_MIXED for block in blocks):
            self._context.note_failure(self.index, HotplugError(EBUSY, f"{self.name} has blocks that are still online"))
            return
        for first, count in self.added:
            core.remove(self.index, first, count)
        self.added = []
        self._unregister()
        self.gone = True
