"""User space that puts blocks online: a program such as udev, which acts on every block that the kernel left offline.

What it writes to ``state`` takes the device hotplug lock like everybody else (``lock_device_hotplug_sysfs``), one
after the other, in the order in which the blocks appeared. It looks at a block's ``state`` first, as all shipped rules
do, and leaves alone what is online.

Events wait in the buffer of its socket until they are handled; what finds it full is dropped
(``netlink_broadcast_deliver`` of ``net/netlink/af_netlink.c``). The blocks of a DIMM all appear under the lock, so that
none of them is handled until the last one has: of more than the buffer holds, the others are lost.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from simpy.events import Timeout

from sim.kernel.listener import CoreListener
from sim.kernel.timing import scale
from sim.kernel.worker import Worker
from sim.memory.blocks import BLOCK_OFFLINE
from sim.memory.errors import HotplugError
from sim.memory.zones import MMOP_OFFLINE

if TYPE_CHECKING:
    import simpy

    from policies.contract import UserSpaceRule, UserSpaceRules
    from sim.kernel.hotplug_core import HotplugCore
    from sim.kernel.timing import Timing
    from sim.kernel.worker import Threads, Work

OF_NO_DEVICE: Final = "none"
"""The kind of a block that belongs to no device, in :attr:`policies.contract.UserSpaceRule.devices`."""


class _Task(NamedTuple):
    """``blocks`` from ``first`` that get ``word``; ``buffered``: their events wait in the buffer."""

    first: int
    blocks: int
    word: int
    tries: int
    buffered: bool


class UserSpace(CoreListener):
    """Follows ``program`` in one guest, a machine of ``architecture`` that is ``bare_metal`` or virtual."""

    def __init__(
        self,
        env: simpy.Environment,
        threads: Threads,
        timing: Timing,
        program: UserSpaceRules,
        *,
        bare_metal: bool,
        architecture: str,
    ) -> None:
        self._env = env
        self._timing = timing
        self._program = program
        self._rules = [
            rule
            for rule in program.rules
            if rule.bare_metal in (None, bare_metal) and architecture in (rule.architectures or (architecture,))
        ]
        self._waiting = 0
        self._due: deque[_Task] = deque()
        self._threads = threads
        self._worker = Worker(env, threads)

    def left_offline(self, core: HotplugCore, first: int, count: int) -> None:
        """Act on new blocks of one device once the delay of their rule is over and the program has begun."""
        rule = self._rule_for(core, first)
        if rule is None or rule.online_type == MMOP_OFFLINE:
            return
        program = self._program
        to_begin = program.begins_us - int(self._env.now)
        buffered = program.buffer is not None and to_begin < 0  # what is there when it begins, it finds by itself
        if buffered and program.buffer is not None:
            arrived = min(count, program.buffer - self._waiting)
            if arrived < count:
                core.listener.missed(first + arrived, count - arrived)
            if not arrived:
                return
            count = arrived
            self._waiting += count
        task = _Task(first, count, int(rule.online_type), program.tries, buffered)
        self._later(core, max(rule.delay_us, to_begin), task)

    def _rule_for(self, core: HotplugCore, block: int) -> UserSpaceRule | None:
        """Return the first rule that applies to ``block``, or None."""
        node = core.memory.blocks.node[block]
        kind = core.kind_of.get(core.memory.blocks.group[block], OF_NO_DEVICE)
        applying = (
            rule for rule in self._rules if node in (rule.nodes or (node,)) and kind in (rule.devices or (kind,))
        )
        return next(applying, None)

    def _later(self, core: HotplugCore, delay_us: int, task: _Task) -> None:
        self._threads.due += 1
        event = Timeout(self._env, delay_us)
        event.callbacks.append(lambda _event: self._begin(core, task))

    def _begin(self, core: HotplugCore, task: _Task) -> None:
        self._threads.due -= 1
        self._due.append(task)
        if not self._worker.busy:
            self._worker.start(self._write(core))

    def _write(self, core: HotplugCore) -> Work:
        took = scale(self._timing.online, core.memory.block_pages * core.memory.geometry.size)
        while self._due:
            task = self._due.popleft()
            for block in range(task.first, task.first + task.blocks):
                if _is_offline(core, block):
                    yield core.lock
                    if _is_offline(core, block):
                        yield took
                    try:
                        core.write_state(block, task.word)
                    except HotplugError:
                        # Somebody else was quicker, or a driver or the policy will not have it: on with the next.
                        if task.tries > 1 and _is_offline(core, block):
                            again = _Task(block, 1, task.word, task.tries - 1, buffered=False)
                            self._later(core, self._program.try_again_us, again)
                    core.lock.release()
                self._waiting -= task.buffered


def _is_offline(core: HotplugCore, block: int) -> bool:
    blocks = core.memory.blocks
    return blocks.exists(block) and blocks.where[block] == BLOCK_OFFLINE
