"""An ACPI memory device (DIMM): a static group, added range by range in one go, ejected as a whole or not at all.

Follows ``drivers/acpi/acpi_memhotplug.c`` (``acpi_memory_enable_device``) and ``acpi_scan_hot_remove`` of
``drivers/acpi/scan.c``. Whether it goes or stays is decided in ``Dimm._give_back``; why a single block refuses, by the
guest (``HotplugCore.offline_block``).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sim.devices.static_device import StaticDevice
from sim.kernel.found_memory import find
from sim.kernel.large_steps import offline_run, put_back_run
from sim.kernel.timing import scale
from sim.memory.blocks import BLOCK_MIXED
from sim.memory.errors import EBUSY, EEXIST, EINVAL, HotplugError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from sim.kernel.context import DriverContext
    from sim.kernel.found_memory import FoundRun
    from sim.kernel.worker import Wait, Work

_SELF_HOST_ANY_RANGE_SINCE = (6, 6)
"""Series from which on the driver always asks for a self-hosted memmap; before, only for ranges of one block."""


def asks_to_self_host(series: tuple[int, int], length: int, block_bytes: int) -> bool:
    """Whether the driver asks for the memmap of a range of ``length`` bytes to lie in the range itself."""
    return series >= _SELF_HOST_ANY_RANGE_SINCE or length == block_bytes


class Dimm(StaticDevice):
    """One DIMM. ``ranges`` are in firmware order."""

    kind = "dimm"

    def __init__(
        self,
        context: DriverContext,
        name: str,
        node: int,
        ranges: list[tuple[int, int]],
        *,
        done: Callable[[str, bool], None] | None = None,
    ) -> None:
        super().__init__(context, name, node, ranges, done)
        self.enabled: list[tuple[int, int, bool]] = []
        """Ranges that the driver counts as its own: (first block, blocks, added here)."""

    @property
    def plugged_pages(self) -> int:
        """Pages of the ranges that were added."""
        return sum(count for _, count, added in self.enabled if added) * self._core.memory.block_pages

    def _runs(self) -> list[tuple[int, int]]:
        """Return all blocks bound to the device. A range that was there before may hold some only."""
        runs_of, end = self._core.memory.blocks.runs, 0
        runs: list[tuple[int, int]] = []
        for first, count, _ in sorted(self.enabled):
            # Two ranges that were there before may have a block in common.
            runs += runs_of(max(first, end), first + count)
            end = max(end, first + count)
        return runs

    def _add(self) -> None:
        """Add all ranges (``acpi_memory_enable_device``). Raises EINVAL where none could be added."""
        core = self._core
        total = sum(length for _, length in self.ranges)
        if total <= 0:
            raise HotplugError(EINVAL, f"{self.name} has no memory")
        self._register(core.memory.geometry.pages(total))
        block_bytes = self._context.block_bytes
        for start, length in self.ranges:
            if not length:
                continue
            added = True
            try:
                if (start | length) % self._context.page_bytes:
                    self._context.check_aligned(start, length)
                core.add_memory(
                    self.index,
                    start // self._context.page_bytes,
                    length // self._context.page_bytes,
                    group_id=self.group_id,
                    self_host=asks_to_self_host(core.series, length, block_bytes),
                )
            except HotplugError as error:
                if error.errno != EEXIST:
                    self.failed += 1
                    self._context.note_failure(self.index, error)
                    continue
                added = False  # already system memory, from the boot map for example
            first = start // block_bytes
            self.enabled.append((first, -(-(start + length) // block_bytes) - first, added))
        if not self.enabled:
            self._drop_group()
            raise HotplugError(EINVAL, f"no range of {self.name} could be added")

    def find(self, parts: Mapping[int, Sequence[FoundRun]]) -> None:
        """Take over what the driver has added before the run: ``parts`` are the blocks by number of the range.

        A range of which there are none could not be added, or was there already and is not the device's own.
        """
        context, core, block_bytes = self._context, self._core, self._context.block_bytes
        context.recorder.requested(context.env.now, self.index, self.size // context.page_bytes)
        self._register(core.memory.geometry.pages(self.size))
        for number, (start, length) in enumerate(self.ranges):
            first, end = start // block_bytes, -(-(start + length) // block_bytes)
            runs = parts.get(number)
            if runs:
                hosted = asks_to_self_host(core.series, length, block_bytes)
                find(core, self.index, runs, node=self.node, group_id=self.group_id, self_host=hosted)
            if runs or not core.memory.blocks.all_absent(first, end - first):
                self.enabled.append((first, end - first, bool(runs)))
            else:
                self.failed += bool(length)
        if not self.enabled:
            self._drop_group()

    def _drop_group(self) -> None:
        """Let the group go; where blocks are left in it, it stays, as the driver ignores that error."""
        try:
            self._unregister()
        except HotplugError as error:
            if error.errno != EBUSY:
                raise

    def _give_back(self) -> Work:
        """Take everything offline in two passes, then remove it; or put back what went.

        Two passes exist because one block may hold another block's memmap. The lock is held throughout.
        """
        context, core = self._context, self._core
        yield core.lock
        to_put_back: list[tuple[int, int]] = []
        for last_pass in (False, True):
            refused = yield from self._pass(to_put_back, last=last_pass)
            if not refused:
                break
        if self._any_online():
            for first, end in _joined(to_put_back):
                self._put_back(first, end)
            context.note_failure(self.index, HotplugError(EBUSY, f"{self.name} holds memory that cannot move"))
        else:
            self._remove()
        core.lock.release()
        self._finish(ok=self.gone)

    def _pass(self, to_put_back: list[tuple[int, int]], *, last: bool) -> Generator[Wait, None, bool]:
        """Try every block that is still online, ascending; the ``last`` pass ends with its first refusal.

        Returns whether a block refused.
        """
        core, context = self._core, self._context
        where, timing = core.memory.blocks.where, context.timing
        wait = scale(timing.offline, context.block_bytes)
        refused = False
        for first, end in self._runs():
            block = first
            while block < end:
                if where[block] < BLOCK_MIXED:
                    block = core.memory.blocks.first_online(block, end)
                    continue
                many = offline_run(core, self.index, range(block, min(end, block + self._worker.steps(wait))), wait)
                if many:
                    to_put_back.append((block, block + many))
                    yield many * wait
                    block += many
                    continue
                yield wait
                try:
                    moved = core.offline_block(self.index, block)
                    to_put_back.append((block, block + 1))
                except HotplugError as error:
                    refused = True
                    moved = error.moved
                    yield scale(timing.refused, context.block_bytes)
                if moved:
                    yield scale(timing.migrate, moved * context.page_bytes)
                if refused and last:
                    return True
                block += 1
        return refused

    def _put_back(self, first: int, end: int) -> None:
        """Put blocks online that were taken offline; the policy may leave some so (``acpi_bus_online`` goes on)."""
        core = self._core
        if put_back_run(core, self.index, first, end - first):
            return
        for block in range(first, end):
            core.listener.put_back(block)
            with suppress(HotplugError):
                core.put_back(self.index, block)

    def _remove(self) -> None:
        """Remove every range, all of it being offline, and let the group go."""
        core = self._core
        for first, count, added in self.enabled:
            if added:
                core.remove(self.index, first, count)
            else:
                self._remove_foreign(first, count)
        self._drop_group()
        self.enabled = []
        self.gone = True

    def _remove_foreign(self, first: int, count: int) -> None:
        """Remove what there is of a range that this device did not add (it was there at boot): never plugged by it."""
        for block in range(first, first + count):
            if self._core.memory.blocks.exists(block):
                self._core.remove(self.index, block, 1, plugged=0)


def _joined(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield runs [first, end) of blocks ascending, those that touch as one."""
    before = None
    for first, end in sorted(runs):
        if before is not None and before[1] == first:
            before = (before[0], end)
            continue
        if before is not None:
            yield before
        before = (first, end)
    if before is not None:
        yield before
