"""At one microsecond the guest comes first, whoever began to wait first, and workloads are a turn at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import simpy

from policies.fixed import OnlineMovable
from sim.devices.specs import DimmSpec
from sim.kernel.timing import Timing
from sim.machine.host_clock import HostClock
from sim.units import GIB, MICROSECONDS
from tests.support.cells import Script, run

if TYPE_CHECKING:
    from collections.abc import Generator

    from workloads.contract import Host, Streams

    Steps = Generator[simpy.Event, object, None]


def test_an_event_of_the_clock_comes_after_all_others_of_its_time_whoever_waited_first() -> None:
    env = simpy.Environment()
    clock = HostClock(env)
    order: list[str] = []

    def wait(on: simpy.Environment, name: str, delay: int) -> Steps:
        yield on.timeout(delay)
        order.append(name)
        yield on.timeout(0)
        order.append(f"{name} again")

    clock.process(wait(clock, "host", 5))
    env.process(wait(env, "guest", 5))
    clock.process(wait(clock, "second host", 5))
    env.run(until=6)
    assert order == ["guest", "guest again", "host", "second host", "host again", "second host again"]


def test_what_an_event_has_the_guest_do_is_done_before_the_next_event_of_the_clock() -> None:
    env = simpy.Environment()
    clock = HostClock(env)
    order: list[str] = []

    def works(name: str) -> Steps:
        yield env.timeout(0)
        yield env.timeout(0)
        order.append(f"{name} is done")

    def asks(name: str) -> Steps:
        yield clock.timeout(3)
        order.append(f"{name} asks")
        env.process(works(name))

    first, second = clock.process(asks("first")), clock.process(asks("second"))
    env.run(until=clock.all_of([first, second]))
    assert order == ["first asks", "first is done", "second asks", "second is done"]
    assert clock.now == env.now == 3


def test_a_host_that_looks_when_the_guest_gets_ready_sees_it_ready_however_long_it_has_waited() -> None:
    """A block takes a second, and the host has waited for that second from before the plug on."""
    seen: list[bool] = []

    class Looks(Script):
        def run(self, host: Host, streams: Streams) -> Steps:
            early = host.env.timeout(8 * MICROSECONDS)
            host.plug(DimmSpec("d", GIB))
            yield host.env.timeout(8 * MICROSECONDS - 1)
            seen.append(host.busy("d"))
            yield early
            seen.append(host.busy("d"))

    run(OnlineMovable(), Looks(), timing=Timing(dimm_add=MICROSECONDS))
    assert seen == [True, False]


def test_what_simpy_builds_on_an_environment_works_on_the_clock() -> None:
    env = simpy.Environment()
    clock = HostClock(env)
    done: list[tuple[str, float]] = []
    bay = simpy.Resource(clock, capacity=1)
    shelf = simpy.Store(clock)

    def loads(name: str, takes: int) -> Steps:
        with bay.request() as turn:
            yield turn
            yield clock.timeout(takes)
        yield shelf.put(name)
        done.append((name, clock.now))

    def sleeps() -> Steps:
        try:
            yield clock.timeout(100)
        except simpy.Interrupt as woken:
            done.append((f"woken by {woken.cause}", clock.now))

    def all_of_it() -> Steps:
        first, second = clock.process(loads("first", 4)), clock.process(loads("second", 3))
        sleeper = clock.process(sleeps())
        yield first | clock.timeout(50)
        sleeper.interrupt("the first")
        yield clock.all_of([second, sleeper])
        assert clock.active_process is me
        assert clock.peek() == 50  # the timeout that was not waited for to its end
        done.append((f"{yield shelf.get()} is taken", clock.now))

    me = clock.process(all_of_it())
    env.run()
    assert done == [("first", 4), ("woken by the first", 4), ("second", 7), ("first is taken", 7)]


def test_an_event_of_another_environment_in_a_condition_is_refused() -> None:
    env = simpy.Environment()
    clock = HostClock(env)
    with pytest.raises(ValueError, match="mix events from different environments"):
        clock.all_of([clock.timeout(1), env.timeout(1)])


def test_a_workload_cannot_run_the_simulation_itself() -> None:
    env = simpy.Environment()
    clock = HostClock(env)
    env.timeout(3)
    with pytest.raises(RuntimeError, match="yields the event that it waits for"):
        clock.run(until=10)
    with pytest.raises(RuntimeError, match="yields the event that it waits for"):
        clock.step()
    assert env.peek() == 3
