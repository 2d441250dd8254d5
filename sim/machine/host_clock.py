"""The clock that workloads run on: at one microsecond the guest comes first, and they see what it has come to.

Without it, who comes first at one moment would hang on when each of them began to wait.
"""

from __future__ import annotations

from heapq import heappush
from typing import TYPE_CHECKING, Final, NoReturn

import simpy
from simpy.events import NORMAL, EventPriority, Timeout

from sim.faults import shown

if TYPE_CHECKING:
    from simpy.core import SimTime

NEVER_US: Final = 1 << 62
"""Microseconds that no run comes to, and that still fit into 64 bits."""
_LATER = 2
"""Added to the priority of an event: URGENT is 0 and NORMAL 1 there, so all of the guest's come before."""
_NORMAL_LATER: Final = NORMAL + _LATER


class HostClock(simpy.Environment):
    """A second face of the environment ``env``: the same time and queue, but its events come after all others.

    Of what happens at one microsecond, the events of this clock are the last; what one of them has the guest do at that
    very microsecond is done before the next one. All that SimPy builds on an environment works: processes, timeouts,
    conditions, resources. Events of two environments cannot stand in one condition, as SimPy has it (ValueError).
    """

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__()
        self._env = env
        self._queue = env._queue  # noqa: SLF001 - see schedule
        self._eid = env._eid  # noqa: SLF001
        self.timeout = self._timeout  # type: ignore[method-assign]  # SimPy has the class itself there

    @property
    def now(self) -> SimTime:
        """The current simulation time."""
        return self._env.now

    def schedule(self, event: simpy.Event, priority: EventPriority = NORMAL, delay: SimTime = 0) -> None:
        """Schedule an event behind all that the guest does at that time.

        Raises ValueError for a ``delay`` that is no time to come: SimPy would take NaN, and what is due after it would
        come in any order.
        """
        # Inlined from simpy.Environment.schedule(), because every step of a workload comes by here: it saves 60 ns.
        now = self._env._now  # noqa: SLF001
        at = now + delay
        if not now <= at < NEVER_US:
            raise _no_time(delay)
        entry = (at, priority + _LATER, next(self._eid), event)
        heappush(self._queue, entry)  # type: ignore[misc]  # SimPy takes any number for a priority

    def _timeout(self, delay: SimTime = 0, value: object = None) -> Timeout:
        """Return a Timeout. Raises ValueError as :meth:`schedule` does, and where ``delay`` is negative."""
        if delay < 0:
            raise ValueError(f"Negative delay {delay}")
        at = self._env._now + delay  # noqa: SLF001
        if not at < NEVER_US:  # nor NaN
            raise _no_time(delay)
        # What Timeout() does, inlined with schedule(), because it saves 120 ns at every step of a workload.
        event = Timeout.__new__(Timeout)
        event.env = self
        event.callbacks = []
        event._value = value  # noqa: SLF001
        event._delay = delay  # noqa: SLF001
        event._ok = True  # noqa: SLF001
        heappush(self._queue, (at, _NORMAL_LATER, next(self._eid), event))  # type: ignore[misc]
        return event

    def peek(self) -> SimTime:
        """Return the time of the next event, whoever's it is."""
        return self._env.peek()

    def step(self) -> NoReturn:
        """Raise RuntimeError: time passes while a workload waits, it does not make it pass."""
        raise RuntimeError("a workload cannot run the simulation; it yields the event that it waits for")


def _no_time(delay: object) -> ValueError:
    return ValueError(f"a wait must be a number of microseconds, from 0 to {NEVER_US}, but is {shown(delay)}")
