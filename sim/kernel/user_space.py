"""User space that puts blocks online: a rule such as udev's, which acts on every block that the kernel left offline.

Writes to ``state`` take the device hotplug lock like everybody else (``lock_device_hotplug_sysfs``), one after the
other, in the order in which the blocks appeared.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from simpy.events import Timeout

from sim.kernel.timing import scale
from sim.kernel.worker import LOCK, Worker
from sim.memory.blocks import OFFLINE
from sim.memory.errors import HotplugError

if TYPE_CHECKING:
    from policies.contract import UserSpaceRule
    from sim.kernel.context import DriverContext
    from sim.kernel.worker import Work


class UserSpace:
    """Follows ``rule`` in one guest: after its delay, its word is written to the ``state`` of every new block."""

    def __init__(self, context: DriverContext, rule: UserSpaceRule) -> None:
        self._context = context
        self._rule = rule
        self._due: deque[tuple[int, int]] = deque()
        self._worker = Worker(context.env, context.lock)
        context.core.appeared = self._appeared

    def _appeared(self, first: int, count: int) -> None:
        event = Timeout(self._context.env, self._rule.delay_us)
        event.callbacks.append(lambda _event: self._begin(first, count))

    def _begin(self, first: int, count: int) -> None:
        self._due.append((first, count))
        if not self._worker.busy:
            self._worker.start(self._write())

    def _write(self) -> Work:
        context = self._context
        core = context.core
        took = scale(context.timing.online, core.memory.block_pages)
        word = int(self._rule.online_type)
        while self._due:
            first, count = self._due.popleft()
            for block in range(first, first + count):
                yield LOCK
                if core.memory.blocks.exists(block) and core.memory.blocks.where[block] == OFFLINE:
                    yield took
                try:
                    core.write_state(block, word)
                except HotplugError:
                    context.lock.release()  # gone, or online already: the rule's program goes on with the next
                    continue
                context.lock.release()
