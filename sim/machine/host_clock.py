"""The clock that workloads run on: at one microsecond the guest comes first, and they see what it has come to.

Without it, who comes first at one moment would hang on when each of them began to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import simpy
from simpy.events import NORMAL, EventPriority

if TYPE_CHECKING:
    from simpy.core import SimTime

_LATER = 2
"""Added to the priority of an event: URGENT is 0 and NORMAL 1 there, so all of the guest's come before."""


class HostClock(simpy.Environment):
    """A second face of the environment ``env``: the same time and queue, but its events come after all others.

    Of what happens at one microsecond, the events of this clock are the last; what one of them has the guest do at that
    very microsecond is done before the next one. All that SimPy builds on an environment works: processes, timeouts,
    conditions, resources. Events of two environments cannot stand in one condition, as SimPy has it (ValueError).
    """

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__()
        self._env = env
        self._put_into_queue = env.schedule  # looked up once: every step of a workload comes by here

    @property
    def now(self) -> SimTime:
        """The current simulation time."""
        return self._env.now

    def schedule(self, event: simpy.Event, priority: EventPriority = NORMAL, delay: SimTime = 0) -> None:
        """Schedule an event behind all that the guest does at that time."""
        self._put_into_queue(event, priority + _LATER, delay)  # type: ignore[arg-type]  # SimPy takes any number

    def peek(self) -> SimTime:
        """Return the time of the next event, whoever's it is."""
        return self._env.peek()

    def step(self) -> NoReturn:
        """Raise RuntimeError: time passes while a workload waits, it does not make it pass."""
        raise RuntimeError("a workload cannot run the simulation; it yields the event that it waits for")
