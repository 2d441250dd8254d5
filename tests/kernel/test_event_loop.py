"""The loop over events does what SimPy's own does: the same order, the same failures, the same end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim.kernel.event_loop import run_until
from sim.machine.host_clock import HostClock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Loop = Callable[[simpy.Environment, simpy.Event], object]
    Steps = Generator[simpy.Event, object, None]

WAITS = st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=1, max_size=4)


def by_simpy(env: simpy.Environment, end: simpy.Event) -> None:
    env.run(until=end)


def story(loop: Loop, guest: list[list[int]], host: list[list[int]], until: int) -> tuple[list[object], float]:
    """Return who went on when, in processes that wait so on either clock, and the time at the end."""
    env = simpy.Environment()
    clock = HostClock(env)
    told: list[object] = []

    def process(on: simpy.Environment, name: str, waits: list[int]) -> Steps:
        for wait in waits:
            value = yield on.timeout(wait, value=name)
            told.append((env.now, value))

    for on, all_waits in ((env, guest), (clock, host)):
        for number, waits in enumerate(all_waits):
            on.process(process(on, f"{type(on).__name__} {number}", waits))
    loop(env, env.timeout(until))
    return told, env.now


@given(WAITS, WAITS, st.integers(0, 9))
def test_events_come_in_the_order_of_simpys_own_loop(guest: list[list[int]], host: list[list[int]], until: int) -> None:
    assert story(run_until, guest, host, until) == story(by_simpy, guest, host, until)


def failure(loop: Loop, *, caught: bool) -> tuple[object, ...]:
    """Return what a run ends with in which somebody fails, maybe someone whose failure is ``caught``."""
    env = simpy.Environment()

    def fails() -> Steps:
        yield env.timeout(2)
        raise LookupError("no such thing", 7)

    def waits() -> Steps:
        try:
            yield env.process(fails())
        except LookupError:
            yield env.timeout(3)

    env.process(waits() if caught else fails())
    try:
        loop(env, env.timeout(9))
    except LookupError as error:
        return error.args, type(error.__cause__), env.now
    return (env.now,)


@pytest.mark.parametrize("caught", [True, False])
def test_a_failure_ends_the_run_unless_somebody_catches_it(*, caught: bool) -> None:
    assert failure(run_until, caught=caught) == failure(by_simpy, caught=caught)
    assert (failure(run_until, caught=caught) == (9,)) is caught


def test_a_timeout_of_the_hosts_clock_is_simpys_own_in_all_but_its_place_in_line() -> None:
    env = simpy.Environment()
    ours, plain = HostClock(env).timeout(4, "it"), env.timeout(4, "it")
    assert type(ours) is type(plain)
    assert repr(ours).split(" ")[0] == repr(plain).split(" ")[0]
    assert {**vars(ours), "env": None} == {**vars(plain), "env": None}
    with pytest.raises(ValueError, match="Negative delay -1"):
        HostClock(env).timeout(-1)
