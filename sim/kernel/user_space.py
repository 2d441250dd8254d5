"""User space that puts blocks online: a rule such as udev's, which acts on every block that the kernel left offline.

Writes to ``state`` take the device hotplug lock like everybody else (``lock_device_hotplug_sysfs``), one after the
other, in the order in which the blocks appeared.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from simpy.events import Timeout

from sim.kernel.listener import CoreListener
from sim.kernel.timing import scale
from sim.kernel.worker import Worker
from sim.memory.blocks import BLOCK_OFFLINE
from sim.memory.errors import HotplugError

if TYPE_CHECKING:
    import simpy

    from policies.contract import UserSpaceRule
    from sim.kernel.hotplug_core import HotplugCore
    from sim.kernel.timing import Timing
    from sim.kernel.worker import Threads, Work


class UserSpace(CoreListener):
    """Follows ``rule`` in one guest: after its delay, its word is written to the ``state`` of every new block."""

    def __init__(self, env: simpy.Environment, threads: Threads, timing: Timing, rule: UserSpaceRule) -> None:
        self._env = env
        self._timing = timing
        self._rule = rule
        self._due: deque[tuple[int, int]] = deque()
        self._worker = Worker(env, threads)

    def left_offline(self, core: HotplugCore, first: int, count: int) -> None:
        """Act on new blocks once the rule's delay is over and its program has begun."""
        event = Timeout(self._env, max(self._rule.delay_us, self._rule.begins_us - self._env.now))
        event.callbacks.append(lambda _event: self._begin(core, first, count))

    def _begin(self, core: HotplugCore, first: int, count: int) -> None:
        self._due.append((first, count))
        if not self._worker.busy:
            self._worker.start(self._write(core))

    def _write(self, core: HotplugCore) -> Work:
        timing = self._timing
        page_size = core.memory.geometry.size
        took = scale(timing.online, core.memory.block_pages * page_size)
        word = int(self._rule.online_type)
        while self._due:
            first, count = self._due.popleft()
            for block in range(first, first + count):
                yield core.lock
                if core.memory.blocks.exists(block) and core.memory.blocks.where[block] == BLOCK_OFFLINE:
                    yield took
                try:
                    moved = core.write_state(block, word)
                except HotplugError as error:
                    moved = error.moved  # gone, or online already: the rule's program goes on with the next
                if moved:
                    yield scale(timing.migrate, moved * page_size)
                core.lock.release()
