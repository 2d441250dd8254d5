"""What a DIMM and a dax device have in common: a static group, added and given back as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from sim.kernel.timing import scale
from sim.kernel.worker import Worker
from sim.memory.blocks import BLOCK_OFFLINE
from sim.memory.errors import HotplugError
from sim.memory.groups import NO_GROUP
from sim.record.device_group import STATIC_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.kernel.context import DriverContext
    from sim.kernel.worker import Work


class StaticDevice(ABC):
    """A device of fixed ``ranges``, (start, length) in bytes. ``size`` is their sum.

    ``done`` is called when a request has ended, with success. ``error`` is why plugging failed, ``gone`` whether the
    device has been given back.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        context: DriverContext,
        name: str,
        node: int,
        ranges: list[tuple[int, int]],
        done: Callable[[str, bool], None] | None,
    ) -> None:
        self._context = context
        self._core = context.core
        self._worker = Worker(context.env, context.core.threads)
        self._done = done
        self.name = name
        self.node = node
        self.ranges = ranges
        self.size = sum(length for _, length in ranges)
        self.index = context.recorder.add_device(name, node, STATIC_GROUP)
        self.group_id = NO_GROUP
        self.gone = False
        self.error: HotplugError | None = None
        self.failed = 0
        """Ranges that could not be added; each has been recorded as a failure."""

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._worker.busy

    @property
    @abstractmethod
    def plugged_pages(self) -> int:
        """Pages of the ranges that this device added."""

    @property
    def offline_pages(self) -> int:
        """Pages of its blocks that are there and offline."""
        memory = self._core.memory
        where = memory.blocks.where
        return sum(where.count(BLOCK_OFFLINE, first, end) for first, end in self._runs()) * memory.block_pages

    def blocks(self) -> list[int]:
        """All blocks that are there, ascending."""
        return [block for first, end in self._runs() for block in range(first, end)]

    @abstractmethod
    def _runs(self) -> list[tuple[int, int]]:
        """Return all blocks that are there, as runs [first, end), ascending."""

    def _any_online(self) -> bool:
        """Whether any of its blocks is online."""
        none_online = self._core.memory.blocks.none_online
        return not all(none_online(first, end) for first, end in self._runs())

    def plug(self) -> None:
        """Start adding the device."""
        self._worker.start(self._plug())

    def eject(self) -> None:
        """Start giving the device back."""
        self._worker.start(self._give_back())

    def _plug(self) -> Work:
        context, core = self._context, self._core
        took = self._duration(self.size)
        yield core.lock
        # The whole device goes in under one hold of the lock: time passes, nobody else gets in between.
        yield took
        try:
            self._add()
        except HotplugError as error:
            self.error = error
            if not self.failed:
                # What its ranges failed for is recorded already: one add that fails is one failure.
                context.note_failure(self.index, error)
        core.lock.release()
        self._finish(ok=self.error is None)

    def _duration(self, size: int) -> int:
        """Return the microseconds that adding ``size`` bytes takes."""
        return scale(self._context.timing.dimm_add, size)

    @abstractmethod
    def _add(self) -> None:
        """Register the group and add all ranges. Raises HotplugError where the driver gives up."""

    @abstractmethod
    def _give_back(self) -> Work:
        """Take all blocks offline and remove them, if they let themselves be."""

    def _register(self, max_pages: int) -> None:
        self.group_id = self._core.memory.groups.register_static(self.node, max_pages).id
        self._core.register(self.group_id, self.index, self.kind)

    def _unregister(self) -> None:
        """Let the group go. Raises EBUSY where blocks are left in it."""
        if self.group_id != NO_GROUP:
            self._core.memory.groups.unregister(self.group_id)
            self._core.unregister(self.group_id)
            self.group_id = NO_GROUP

    def _finish(self, *, ok: bool) -> None:
        if self._done is not None:
            self._done(self.name, ok)
