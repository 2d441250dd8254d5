"""Runs a driver's work: a plain generator, driven straight from SimPy's timeouts, and the lock that drivers share.

A SimPy process costs an event at its start, one at its end and a new event for each wait. A device does one piece of
work after another for the whole simulation, so it drives its generator itself, by one event that is scheduled again
for every wait: a wait of n microseconds costs less than half a timeout and a wait of none is nothing at all.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from simpy.events import NORMAL, Event, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    Work = Generator[int, None, None]

LOCK: Final = -1
"""Yielded by work that wants the hotplug lock; it goes on once it holds it.

Any other value is a wait in microseconds.
"""


class HotplugLock:
    """Linux's device hotplug lock (``device_hotplug_lock``): one holder, the others queue first come, first served.

    Where nobody holds it, setting ``held`` is taking it, and clearing it is giving it back where nobody is ``waiting``.
    """

    __slots__ = ("_env", "held", "waiting")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self.waiting: deque[Callable[[object], None]] = deque()
        self.held = False

    def acquire(self, resume: Callable[[object], None]) -> bool:
        """Take the lock and return True, or queue ``resume``, called once the caller holds it, and return False."""
        if self.held:
            self.waiting.append(resume)
            return False
        self.held = True
        return True

    def release(self) -> None:
        """Give the lock to the next in the queue, in an event of its own at the same time, or to nobody."""
        if self.waiting:
            handover = Timeout(self._env, 0)
            handover.callbacks.append(self.waiting.popleft())
        else:
            self.held = False


class Worker:
    """One thread of work of a driver. ``busy`` while work is under way."""

    __slots__ = ("_callbacks", "_env", "_event", "_lock", "_work", "busy")

    def __init__(self, env: simpy.Environment, lock: HotplugLock) -> None:
        self._env = env
        self._lock = lock
        self._work: Work | None = None
        self.busy = False
        # SimPy forbids to trigger an event twice, for good reasons that do not hold here: nobody else waits for this
        # one, and it is only scheduled again after it was processed. env.schedule bypasses that check.
        self._event = Event(env)
        self._event._ok = True  # noqa: SLF001
        self._event._value = None  # noqa: SLF001
        self._callbacks = [self._advance]

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
                event = self._event
                event.callbacks = self._callbacks  # type: ignore[assignment]
                self._env.schedule(event, NORMAL, wait)
                return
            if wait == LOCK and not self._lock.acquire(self._advance):
                return
        self._work = None
        self.busy = False
