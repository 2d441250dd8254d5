"""Runs a driver's work: a plain generator, driven straight from SimPy's timeouts, and the lock that drivers share.

A SimPy process costs an event at its start, one at its end and a new event for each wait. A device does one piece of
work after another for the whole simulation, so it drives its generator itself, by one event that is scheduled again
for every wait. Where nothing else happens until a wait is over, that event need not go through SimPy's queue either:
the clock is set and the work goes on. A wait of none is nothing at all.
"""

from __future__ import annotations

from collections import deque
from heapq import heappush
from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakSet

from simpy.events import NORMAL, Event, Timeout

from sim.faults import Unwinding
from sim.kernel.event_loop import run_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    Wait: TypeAlias = "int | HotplugLock"
    """What work may yield: microseconds to wait, or the lock, which it holds when it goes on."""

    Work = Generator[Wait, None, None]


_ANY: Final = 1 << 62
"""More steps than there are."""
_LAST: Final = NORMAL + 3
"""Priority of what happens after all else of its time, what hosts do included: theirs come after the guest's."""


def settle(env: simpy.Environment) -> None:
    """Process all that happens without time passing, for who drives a run by hand.

    Single steps of SimPy's alone do not do: in one of them work goes on for as long as nothing else is due.
    """
    end = Event(env)
    end._ok, end._value = True, None  # noqa: SLF001 - as Environment.run() makes its own
    env.schedule(end, _LAST)  # type: ignore[arg-type]
    run_until(env, end)


class GuestDied(Unwinding):
    """Raised inside the work in which the guest dies, and caught by its worker: not one step more is done.

    Unwinding, because nothing on the way may take it for an error of its own and go on.
    """


class Threads:
    """All threads of one guest. Once it has ``ended`` (the guest died), no work goes on and none begins.

    ``at_work`` counts those that are, ``begun`` how often one has begun, and ``due`` what somebody is about to do and
    waits for a time to come. ``told`` is called whenever one of them has begun or ended work.
    """

    __slots__ = ("_workers", "at_work", "begun", "due", "ended", "told")

    def __init__(self) -> None:
        # Held weakly: devices come and go, and their workers with them.
        self._workers: WeakSet[Worker] = WeakSet()
        self.at_work = self.begun = self.due = 0
        self.ended = False
        self.told: Callable[[], None] | None = None

    @property
    def at_rest(self) -> bool:
        """Whether nobody is at work, nor about to be. A driver that tries again later is at rest until then."""
        return not self.due and not self.at_work

    def join(self, worker: Worker) -> None:
        """Have ``worker`` be one of them."""
        self._workers.add(worker)

    def tell(self) -> None:
        """Tell who wants to know that something may have changed in the guest."""
        if self.told is not None:
            self.told()

    def go_on(self) -> None:
        """Raise GuestDied where they have ended. For work that may just have brought that about."""
        if self.ended:
            raise GuestDied

    def end(self) -> None:
        """End all work. Who is at work looks busy for ever; the lock stays with who has it."""
        self.ended = True
        for worker in self._workers:
            worker.halt()


class HotplugLock:
    """Linux's device hotplug lock (``device_hotplug_lock``): one holder, the others queue first come, first served.

    Work takes it with ``yield lock`` and gives it back with :meth:`release`. Where it is taken often,
    ``if not lock.try_take(): yield lock`` spares a turn through the worker.
    """

    __slots__ = ("_env", "_held", "_queue")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._queue: deque[Callable[[object], None]] = deque()
        self._held = False

    @property
    def held(self) -> bool:
        """Whether somebody holds the lock, or it is on its way to the next in the queue."""
        return self._held

    def try_take(self) -> bool:
        """Take the lock if nobody holds it. Returns whether it is the caller's now."""
        if self._held:
            return False
        self._held = True
        return True

    def take_later(self, resume: Callable[[object], None]) -> None:
        """Queue for a lock that is held; ``resume`` is called once it is the caller's."""
        self._queue.append(resume)

    def release(self) -> None:
        """Give the lock to the next in the queue, in an event of its own at the same time, or to nobody."""
        if self._queue:
            handover = Timeout(self._env, 0)
            handover.callbacks.append(self._queue.popleft())
        else:
            self._held = False


class Worker:
    """One thread of work of a driver, one of ``threads``. ``busy`` while work is under way."""

    __slots__ = (
        "__weakref__",
        "_alone",
        "_callbacks",
        "_env",
        "_event",
        "_numbers",
        "_queue",
        "_threads",
        "_work",
        "busy",
    )

    def __init__(self, env: simpy.Environment, threads: Threads) -> None:
        self._env = env
        self._threads = threads
        self._queue = env._queue  # noqa: SLF001 - see _advance
        self._numbers = env._eid  # noqa: SLF001
        self._work: Work | None = None
        self.busy = False
        self._alone = False
        """Whether an event has called this work, and nobody who is at work himself."""
        # SimPy forbids to trigger an event twice, for good reasons that do not hold here: nobody else waits for this
        # one, and it is only scheduled again after it was processed. env.schedule bypasses that check.
        self._event = Event(env)
        self._event._ok = True  # noqa: SLF001
        self._event._value = None  # noqa: SLF001
        self._callbacks = [self._advance]
        threads.join(self)

    def start(self, work: Work) -> None:
        """Begin ``work`` now. There must be none under way. In a dead guest it is never begun, and never over."""
        self.busy = True
        threads = self._threads
        threads.at_work += 1
        threads.begun += 1
        if not threads.ended:
            self._work = work
            self._advance(None)
        if threads.told is not None:
            threads.told()

    def steps(self, wait: int) -> int:
        """Return how many waits of ``wait`` microseconds, one after the other, nothing else happens in between.

        For the work itself, which may then do at once what it would do after each, and wait for all of them together.
        """
        if not wait:
            return _ANY
        if not self._alone:
            return 0
        queue = self._queue
        return int((queue[0][0] - 1 - self._env._now) // wait) if queue else _ANY  # noqa: SLF001

    def halt(self) -> None:
        """Do not go on with the work that is under way, whatever it waits for."""
        self._work = None

    def _advance(self, event: object) -> None:
        """Go on with the work: ``event`` has come, or is None where whoever starts it is at work himself.

        He must not find the clock at another time, so that only what an event has called sets it: these have this one
        callback.
        """
        work = self._work
        if work is None:
            return
        env, queue = self._env, self._queue
        self._alone = alone = event is not None
        try:
            for wait in work:
                if isinstance(wait, int):
                    if wait > 0:
                        at = env._now + wait  # noqa: SLF001
                        if alone and (not queue or queue[0][0] > at):
                            env._now = at  # noqa: SLF001
                            continue
                        mine = self._event
                        mine.callbacks = self._callbacks  # type: ignore[assignment]
                        # Inlined from simpy.Environment.schedule() because it saves 50 ns a wait
                        # (benchmarks/bench_events.py, plugging).
                        heappush(queue, (at, NORMAL, next(self._numbers), mine))
                        return
                elif not wait.try_take():
                    wait.take_later(self._advance)
                    return
        except GuestDied:
            return
        self._work = None
        self.busy = False
        threads = self._threads
        threads.at_work -= 1
        if threads.told is not None:
            threads.told()
