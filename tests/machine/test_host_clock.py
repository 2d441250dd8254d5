"""At one microsecond the guest comes first, whoever began to wait first, and workloads are a turn at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
