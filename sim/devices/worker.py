"""Runs a driver's work: a plain generator, driven straight from SimPy's timeouts, and the lock that drivers share.

A SimPy process costs an event at its start, one at its end and a generator round trip for each wait. A device does one piece of
work after another for the whole simulation, so it drives its generator itself: a wait of n microseconds is one bare timeout and a wait of none is
nothing at all.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from simpy.events import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    Work = Generator[int, None, None]

LOCK: Final = -1
"""Yielded by work that wants the hotplug lock; it goes on once it holds it. Any other value is a wait in microseconds."""


class HotplugLock:
    """Linux's device hotplug lock (``device_hotplug_lock``): one holder, the others queue first come, first served."""

    __slots__ = ("_env", "_waiting", "held")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._waiting: deque[Callable[[object], None]] = deque()
        self.held = False

    def acquire(self, resume: Callable[[object], None]) -> bool:
        """Take the lock and return True, or queue ``resume``, to be called when the caller holds it, and return False."""
        if self.held:
            self._waiting.append(resume)
            return False
        self.held = True
        return True

    def release(self) -> None:
        """Give the lock to the next in the queue, in an event of its own at the same time, or to nobody."""
        if self._waiting:
            handover = Timeout(self._env, 0)
            handover.callbacks.append(self._waiting.popleft())  # type: ignore[union-attr]
        else:
            self.held = False


class Worker:
    """One thread of work of a driver. ``busy`` while work is under way."""

    __slots__ = ("_env", "_lock", "_work", "busy")

    def __init__(self, env: simpy.Environment, lock: HotplugLock) -> None:
        self._env = env
        self._lock = lock
        self._work: Work | None = None
        self.busy = False

    def start(self, work: Work) -> None:
        """Begin ``work`` now. There must be none under way."""
        self._work = work
        self.busy = True
        self._advance(None)

    def _advance(self, _event: object) -> None:
        work = self._work
        if work is None:
            return
        for wait in work:
            if wait > 0:
                Timeout(self._env, wait).callbacks.append(self._advance)  # type: ignore[union-attr]
                return
            if wait == LOCK and not self._lock.acquire(self._advance):
                return
        self._work = None
        self.busy = False
