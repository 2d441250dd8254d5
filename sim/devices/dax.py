"""A dax device given to kmem (persistent memory, CXL): a static group, as a DIMM, but handled by user space.

Follows ``drivers/dax/kmem.c``: binding (``dev_dax_kmem_probe``), unbinding (``dev_dax_kmem_remove``) and, since Linux
7.3, the attribute ``state`` of the device (``state_store``), which adds or takes away all of its memory at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.specs import DAX_STATE_SINCE, DAX_STATES, ONLINE_WORDS, UNPLUGGED
from sim.devices.static_device import StaticDevice
from sim.kernel.found_memory import find
from sim.kernel.large_steps import offline_run, put_back_run
from sim.kernel.timing import scale
from sim.kernel.worker import Worker
from sim.memory.blocks import BLOCK_MIXED, BLOCK_OFFLINE
from sim.memory.errors import EBUSY, EEXIST, EINVAL, ENODEV, HotplugError
from sim.memory.zones import MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE, OnlineType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.kernel.context import DriverContext
    from sim.kernel.found_memory import FoundRun
    from sim.kernel.worker import Work


class Dax(StaticDevice):
    """One dax device. ``ranges`` are (start, length) in bytes; all of them are one group.

    ``state`` is the word given last, or None while the device is not bound to kmem; on kernels before 7.3 nobody can
    read it. ``lost`` says that it was unbound with memory online: that memory stays, and the device is never bound
    again. ``bytes_for_pages`` registers the group as kernels before 46e66dab8565 did: with its size in bytes where
    pages are meant. ``self_host`` asks for memmap on memory (a device attribute since 6.8).
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
        """First block and blocks of the ranges that are there."""
        self.state: str | None = None
        self.lost = False
        self._by_hand = Worker(context.env, context.core.threads)

    @property
    def plugged_pages(self) -> int:
        """Pages of the ranges that were added."""
        return sum(count for _, count in self.added) * self._core.memory.block_pages

    def _runs(self) -> list[tuple[int, int]]:
        """Return all blocks of the ranges that are there."""
        return [(first, first + count) for first, count in sorted(self.added)]

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._by_hand.busy or self.locked

    @property
    def locked(self) -> bool:
        """Whether the device is being bound or unbound, or its state changed: only one of these at a time."""
        return super().busy

    def eject(self) -> None:
        """Start giving the device back block by block. Somebody else may change its state meanwhile."""
        self._by_hand.start(self._give_back())

    def online_memory(self, word: str) -> None:
        """Start writing ``word`` to the ``state`` of each block that is offline."""
        self._by_hand.start(self._put_online(word))

    def unbind(self) -> None:
        """Start unbinding the device from kmem, whatever its blocks are."""
        self._worker.start(self._unbind())

    def write_state(self, word: str) -> None:
        """Start writing ``word`` to the device's ``state``."""
        self._worker.start(self._write_state(word))

    # Binding and unbinding -------------------------------------------------------------------------------------------

    def _add(self) -> None:
        """Bind the device to kmem (``dev_dax_kmem_probe``): it takes the default online type of this moment."""
        core = self._core
        self.error, self.failed, self.gone = None, 0, False
        if self.lost:
            raise HotplugError(EBUSY, f"{self.name} was unbound with memory online, which is still there")
        if self.state is not None:
            raise HotplugError(EBUSY, f"{self.name} is bound already")
        if self.node not in core.memory.nodes:
            raise HotplugError(EINVAL, f"node {self.node} of {self.name} is not possible on this machine")
        if not self.ranges:
            raise HotplugError(EINVAL, f"{self.name} holds no whole memory block")
        self._register_group()
        try:
            self._add_ranges(core.auto_online)
        except HotplugError:
            self._unregister()
            raise
        self.state = OnlineType(core.auto_online).word

    def _register_group(self) -> None:
        self._register(self.size if self._bytes_for_pages else self._core.memory.geometry.pages(self.size))

    def _add_ranges(self, online_type: int) -> None:
        """Add all ranges; one that fails after another one was added is left out. Raises what the first one raises."""
        page, block = self._context.page_bytes, self._context.block_bytes
        for start, length in self.ranges:
            try:
                self._core.add_memory(
                    self.index,
                    start // page,
                    length // page,
                    group_id=self.group_id,
                    self_host=self._self_host,
                    online_type=online_type,
                )
            except HotplugError as error:
                if not self.added:
                    if error.errno == EEXIST:  # the driver reserves the range itself before it adds it
                        raise HotplugError(EBUSY, f"the range of {self.name} at {start:#x} is in use") from error
                    raise
                self.failed += 1
                self._context.note_failure(self.index, error)
                continue
            self.added.append((start // block, length // block))

    def find(self, parts: Mapping[int, Sequence[FoundRun]], state: str | None, *, lost: bool = False) -> None:
        """Take over what was added before the run: ``parts`` are the blocks by number of the range.

        ``state`` is what the device's attribute reads (None: it is not bound to kmem); ``lost``: it was unbound with
        memory online.
        """
        context = self._context
        self.state, self.lost = state, lost
        wanted = 0 if state in (None, UNPLUGGED) else self.size // context.page_bytes
        context.recorder.requested(context.env.now, self.index, wanted)
        if not self.ranges:
            self.state = None  # kmem finds no whole block in it
        if (state is None and not lost) or not self.ranges:
            return
        self._register_group()
        for number in sorted(parts):
            runs = parts[number]
            find(self._core, self.index, runs, node=self.node, group_id=self.group_id, self_host=self._self_host)
            self.added.append((runs[0].first, sum(run.blocks for run in runs)))

    def _give_back(self) -> Work:
        """Do what an operator does: write ``offline`` to the blocks, highest first, then unbind if all went."""
        context, core = self._context, self._core
        wait = scale(context.timing.offline, context.block_bytes)
        for first, end in reversed(self._runs()):
            block = end - 1
            while block >= first:
                if core.memory.blocks.where[block] < BLOCK_MIXED:
                    block -= 1
                    continue
                most = 0 if core.lock.held else self._by_hand.steps(wait)
                many = offline_run(core, self.index, range(block, max(first - 1, block - most), -1), wait)
                if many:
                    yield many * wait
                    block -= many
                    continue
                yield core.lock
                yield wait
                try:
                    moved = core.offline_block(self.index, block)
                except HotplugError as error:
                    moved = error.moved  # user space goes on with the next block
                if moved:
                    yield scale(context.timing.migrate, moved * context.page_bytes)
                core.lock.release()
                block -= 1
        yield core.lock
        if self.lost or self._any_online():
            context.note_failure(self.index, HotplugError(EBUSY, f"{self.name} has blocks that are still online"))
        else:
            self._remove_ranges()
            self.gone = True
        core.lock.release()
        self._finish(ok=self.gone)

    def _put_online(self, word: str) -> Work:
        """Do what an operator does: write ``word`` to each block that is offline, lowest first."""
        context, core = self._context, self._core
        self.error = None
        if word not in ONLINE_WORDS:
            self._refuse(EINVAL, f"has no block that {word!r} puts online (but {', '.join(ONLINE_WORDS)})")
            self._finish(ok=False)
            return
        online_type = _type_of(word)
        for block in self.blocks():
            yield core.lock
            if core.memory.blocks.where[block] == BLOCK_OFFLINE:
                yield scale(context.timing.online, context.block_bytes)
                try:
                    core.write_state(block, online_type)
                except HotplugError as error:
                    self.error = error  # user space goes on with the next block
            core.lock.release()
        if self.error is not None:
            context.note_failure(self.index, self.error)
        self._finish(ok=self.error is None)

    def _unbind(self) -> Work:
        """Unbind from kmem (``dev_dax_kmem_remove``), which never takes blocks offline itself."""
        core = self._core
        yield core.lock
        self.error = None
        if self.state is None:
            self._refuse(ENODEV, "is not bound to kmem")
        elif not self._remove_ranges():
            self._refuse(EBUSY, "was unbound with blocks online: they stay until the guest is booted again")
        core.lock.release()
        self._finish(ok=self.error is None)

    def _remove_ranges(self) -> bool:
        """Remove the ranges of which every block is offline, and let go of the device. Returns whether all went.

        Where one stays the device is lost, as what the driver knew of it is.
        """
        none_online = self._core.memory.blocks.none_online
        online = [(first, count) for first, count in self.added if not none_online(first, first + count)]
        for first, count in self.added:
            if (first, count) not in online:
                self._core.remove(self.index, first, count)
        self.added = online
        self.state = None
        self.lost = bool(online)
        if not self.lost:
            self._unregister()
        return not self.lost

    # The attribute of the whole device -------------------------------------------------------------------------------

    def _write_state(self, word: str) -> Work:
        """Do what the ``state`` of the device does (``state_store``)."""
        context, core = self._context, self._core
        yield core.lock
        self.error = None
        if core.series < DAX_STATE_SINCE or self.state is None:
            self._refuse(ENODEV, "has no state: not bound to kmem, or a kernel before 7.3")
        elif word not in DAX_STATES:
            self._refuse(EINVAL, f"cannot be set to {word!r} (but to {', '.join(DAX_STATES)})")
        elif word == self.state:
            pass  # success, whatever was done to single blocks meanwhile
        elif word == UNPLUGGED:
            yield from self._unplug_all()
        elif self.state != UNPLUGGED:
            self._refuse(EBUSY, f"is {self.state}: it has to be unplugged before it can be {word}")
        else:
            took = self._duration(self.size)
            yield took
            try:
                self._add_ranges(_type_of(word))
                self.state = word
            except HotplugError as error:
                self.error = error
                context.note_failure(self.index, error)
        core.lock.release()
        self._finish(ok=self.error is None)

    def _unplug_all(self) -> Work:
        """Take all blocks offline, ascending, and remove them; or put back what went, each in the zone it had.

        Follows ``offline_and_remove_memory_ranges``: blocks that are offline already are as good as gone.
        """
        context, core, memory = self._context, self._core, self._core.memory
        to_put_back: list[tuple[range, int]] = []
        wait = scale(context.timing.offline, context.block_bytes)
        for first, end in self._runs():
            block = first
            while block < end:
                if memory.blocks.where[block] < BLOCK_MIXED:
                    block = memory.blocks.first_online(block, end)
                    continue
                zone = memory.zone_of(block)
                movable = zone is not None and zone.movable
                online_type = MMOP_ONLINE_MOVABLE if movable else MMOP_ONLINE_KERNEL
                most = self._worker.steps(wait)
                many = offline_run(core, self.index, range(block, min(end, block + most)), wait)
                if many:
                    yield many * wait
                else:
                    many = 1
                    yield wait
                    try:
                        moved = core.offline_block(self.index, block)
                    except HotplugError as error:
                        moved = error.moved * context.page_bytes
                        refused = scale(context.timing.refused, context.block_bytes)
                        yield refused + scale(context.timing.migrate, moved)
                        self._put_back(to_put_back)
                        self._refuse(EBUSY, "holds memory that cannot move: all of it stays")
                        return
                    yield scale(context.timing.migrate, moved * context.page_bytes)
                to_put_back.append((range(block, block + many), online_type))
                block += many
        for first, count in self.added:
            core.remove(self.index, first, count)
        self.added = []
        self.state = UNPLUGGED

    def _put_back(self, runs: list[tuple[range, int]]) -> None:
        """Put blocks online again, each run with its online type."""
        core = self._core
        for blocks, online_type in runs:
            if not put_back_run(core, self.index, blocks.start, len(blocks), online_type):
                for block in blocks:
                    core.listener.put_back(block)
                    core.online_block(self.index, block, online_type)

    def _refuse(self, errno: int, why: str) -> None:
        self.error = HotplugError(errno, f"{self.name} {why}")
        self._context.note_failure(self.index, self.error)


def _type_of(word: str) -> int:
    return next(int(kind) for kind in OnlineType if kind.word == word)
