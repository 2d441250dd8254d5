"""Levels in bytes: when it asks, for how much, and the recording of a real guest that grew so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import simpy

from policies.fixed import OnlineMovable
from sim.devices.specs import VirtioMemSpec
from sim.engine import simulate
from sim.guest.report import GuestReport
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.pages import PAGE_SIZE
from tests.workloads.fake_host import Character, FakeHost
from workloads.guest_load import GuestLoad
from workloads.parts.together import Together
from workloads.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sim.record.run_result import RunResult

SECOND = 1_000_000
LOW, HIGH = 100 * MIB, 10 * GIB


def report(host: FakeHost, available: int | None, free: int = 0) -> None:
    """Have a guest of 16 GiB report this MemAvailable and MemFree; None: no guest is modelled."""
    host.figures = None if available is None else GuestReport(16 * GIB, free, available, 0)
    host.tell_of_change()


def requests(
    workload: Watermark, available: list[tuple[int, int | None]], character: Character = "obliging"
) -> list[tuple[float, int]]:
    """Return (seconds, size) of what is asked for; ``available`` says MemAvailable from just before each second on."""
    env = simpy.Environment()
    host = FakeHost(env, character)
    report(host, available[0][1])

    def guest() -> Iterator[simpy.Event]:
        for second, now in available:
            if second * SECOND - 1 > env.now:
                yield env.timeout(second * SECOND - 1 - int(env.now))
            report(host, now)

    env.process(guest())  # type: ignore[arg-type]  # a generator
    env.run(until=env.process(workload.run(host, Streams(1, 0))))
    return [(at / SECOND, what) for at, verb, _, what in host.calls if verb == "resize" and isinstance(what, int)]


def test_the_device_is_attached_as_described() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    work = Watermark(minimum=GIB, maximum=4 * GIB, region=8 * GIB, node=1, device_block=4 * MIB, device="v")

    env.run(until=env.process(work.run(host, Streams(1, 0))))

    assert host.calls == [(0, "plug", "v", VirtioMemSpec("v", 8 * GIB, 1, 4 * MIB, GIB))]
    assert list(work.node_capacity()) == [1]


def test_it_grows_by_a_step_at_a_time_up_to_the_maximum() -> None:
    work = Watermark(maximum=700 * MIB, period=2.0, start=1.0, duration=20.0)

    assert requests(work, [(0, HIGH), (4, LOW)]) == [(5.0, 256 * MIB), (7.0, 512 * MIB), (9.0, 700 * MIB)]


def test_it_grows_to_the_target_in_the_nearest_number_of_steps() -> None:
    work = Watermark(low=512 * MIB, target=4 * GIB, step=128 * MIB, period=10.0, duration=15.0)

    assert requests(work, [(0, 380 * MIB), (5, 153 * MIB)]) == [(0.0, 29 * 128 * MIB), (10.0, (29 + 31) * 128 * MIB)]


def test_it_waits_until_the_last_growth_is_fulfilled() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    report(host, LOW)
    host.plugged = lambda device: 0 if env.now < 5 * SECOND - 1 else 256 * MIB  # type: ignore[method-assign]  # noqa: ARG005
    work = Watermark(duration=7.5)

    def guest() -> Iterator[simpy.Event]:
        yield env.timeout(5 * SECOND - 1)
        host.tell_of_change()

    env.process(guest())  # type: ignore[arg-type]  # a generator
    env.run(until=env.process(work.run(host, Streams(1, 0))))

    assert [(at // SECOND, what) for at, verb, _, what in host.calls if verb == "resize"] == [
        (0, 256 * MIB),
        (5, 512 * MIB),
    ]


def test_a_growth_that_is_not_fulfilled_is_not_made_larger() -> None:
    """Four steps are asked for; at the next looks six would be needed, but the first four are not there yet."""
    env = simpy.Environment()
    host = FakeHost(env)
    host.plugged = lambda device: 0 if env.now < 3 * SECOND - 1 else GIB  # type: ignore[method-assign]  # noqa: ARG005
    work = Watermark(low=GIB, target=2 * GIB, step=256 * MIB, duration=3.5)

    def guest() -> Iterator[simpy.Event]:
        report(host, GIB - 1)
        yield env.timeout(SECOND // 2)
        report(host, GIB // 2)
        yield env.timeout(2 * SECOND + SECOND // 2 - 1)
        host.tell_of_change()

    env.process(guest())  # type: ignore[arg-type]  # a generator
    env.run(until=env.process(work.run(host, Streams(1, 0))))

    assert [(at / SECOND, what) for at, verb, _, what in host.calls if verb == "resize"] == [
        (0.0, GIB),
        (3.0, 5 * GIB // 2),
    ]


def test_a_decision_takes_its_time_and_the_observer_keeps_its_beat() -> None:
    work = Watermark(period=1.0, delay=2.5, duration=9.0)

    assert requests(work, [(0, LOW)])[:3] == [(2.5, 256 * MIB), (5.5, 512 * MIB), (8.5, 768 * MIB)]


def test_it_gives_back_what_is_too_much_after_a_while() -> None:
    work = Watermark(minimum=GIB, step=GIB, low=512 * MIB, target=GIB, high=2 * GIB, shrink_rest=10.0, duration=60.0)
    found = requests(work, [(0, HIGH), (5, LOW), (6, HIGH), (20, 3 * GIB // 2)])

    assert found == [(5.0, 2 * GIB), (15.0, GIB)], "asked back after the hold time, never below the initial size"


def test_it_gives_back_a_part_at_a_time() -> None:
    work = Watermark(
        low=512 * MIB,
        step=512 * MIB,
        target=8 * GIB,
        high=9 * GIB,
        shrink_step=2 * GIB,
        shrink_rest=5.0,
        duration=30.0,
    )
    found = requests(work, [(0, 0), (1, 13 * GIB)])

    assert found == [(0.0, 8 * GIB), (5.0, 6 * GIB), (10.0, 4 * GIB), (15.0, 2 * GIB), (20.0, 0)]


def test_a_shrink_that_hangs_does_not_keep_it_from_growing() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    work = Watermark(low=512 * MIB, step=GIB, high=4 * GIB, shrink_rest=1.0, duration=6.0)
    stuck = 3 * GIB
    host.plugged = lambda device: stuck  # type: ignore[method-assign]  # noqa: ARG005

    def guest() -> Iterator[simpy.Event]:
        report(host, HIGH)
        yield env.timeout(1)
        host.sizes["vmem0"] = stuck
        host.tell_of_change()
        yield env.timeout(3 * SECOND)
        report(host, LOW)

    env.process(guest())  # type: ignore[arg-type]  # a generator
    env.run(until=env.process(work.run(host, Streams(1, 0))))

    sizes = [what for _, verb, _, what in host.calls if verb == "resize"]
    assert sizes[0] == 0
    assert sizes[-1] == stuck + GIB


# Exactly at a limit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("available", "grown"), [(256 * MIB, []), (256 * MIB - 1, [(0.0, 256 * MIB)])])
def test_memory_that_is_just_the_threshold_is_enough(available: int, grown: list[tuple[float, int]]) -> None:
    assert requests(Watermark(duration=0.5), [(0, available)]) == grown


@pytest.mark.parametrize(("available", "shrunk"), [(4 * GIB, []), (4 * GIB + 1, [(3.0, 0)])])
def test_memory_that_is_just_the_upper_bound_is_not_too_much(available: int, shrunk: list[tuple[float, int]]) -> None:
    work = Watermark(step=GIB, high=4 * GIB, shrink_rest=2.0, period=3.0, duration=5.0)
    assert requests(work, [(0, 0), (1, available)]) == [(0.0, GIB), *shrunk]


@pytest.mark.parametrize(("hold", "at"), [(3.0, 3.0), (3.001, 6.0), (2.999, 3.0)])
def test_a_hold_time_of_whole_periods_is_over_at_the_last_of_them(hold: float, at: float) -> None:
    work = Watermark(step=GIB, high=4 * GIB, shrink_rest=hold, period=3.0, duration=8.0)
    assert requests(work, [(0, 0), (1, HIGH)]) == [(0.0, GIB), (at, 0)]


@pytest.mark.parametrize(("lacking", "steps"), [(128, 1), (383, 1), (384, 2), (639, 2), (640, 3), (700, 3)], ids=str)
def test_half_a_step_counts_as_one(lacking: int, steps: int) -> None:
    """Steps of 256 MiB: up to a step and a half less one, one; from there on two."""
    work = Watermark(low=900 * MIB, target=GIB, step=256 * MIB, duration=0.5)
    assert requests(work, [(0, GIB - lacking * MIB)]) == [(0.0, steps * 256 * MIB)]


def test_without_a_target_it_shrinks_to_a_step_above_the_threshold() -> None:
    """5 GiB are available, 1.5 are to stay: 3.5 GiB, in steps of one, are 4 of the 6 that it has."""
    work = Watermark(low=GIB // 2, step=GIB, high=4 * GIB, shrink_rest=2.0, duration=7.5)
    grown = [(float(second), (second + 1) * GIB) for second in range(6)]
    assert requests(work, [(0, 0), (6, 5 * GIB)]) == [*grown, (7.0, 2 * GIB)]


def test_a_decision_made_at_the_next_observation_is_followed_by_one_at_once() -> None:
    """Two periods pass until the request of second 2; the guest is looked at in the same second, and again."""
    work = Watermark(period=1.0, delay=2.0, duration=6.0)
    assert requests(work, [(0, LOW)]) == [(2.0, 256 * MIB), (4.0, 512 * MIB), (6.0, 768 * MIB)]
    assert requests(Watermark(period=1.0, delay=2.0, duration=5.999), [(0, LOW)])[-1] == (4.0, 512 * MIB)


def test_the_hold_time_runs_from_the_request_not_from_the_observation() -> None:
    """Asked for at 2 s after a look at 0; with 3 s to hold, the look at 4 is too early and the one at 6 is not."""
    work = Watermark(step=GIB, high=4 * GIB, shrink_rest=3.0, period=2.0, delay=2.0, duration=9.0)
    assert requests(work, [(0, 0), (1, HIGH)]) == [(2.0, GIB), (8.0, 0)]


def test_without_a_guest_it_stays_as_it_is() -> None:
    assert requests(Watermark(), [(0, None)]) == []


def test_a_host_that_refuses_the_device_is_left_alone() -> None:
    assert requests(Watermark(duration=10.0), [(0, LOW)], "refusing") == []


# A real guest ----------------------------------------------------------------------------------------------


class Recorded(NamedTuple):
    """What a recording of reactive growth says: the program's mean rate (bytes/s), what came out of it (MiB)."""

    rate: int
    period: float
    grown: int
    lowest: float


def recorded(step: dict[str, Any]) -> Recorded:
    columns = step["columns"]
    table = np.array([[np.nan if value is None else value for value in row] for row in step["timeline"]], dtype=float)
    at, available = (table[:, columns.index(name)] for name in ("guest_seconds", "available_mib"))
    seconds, mib = step["program"][-1]
    return Recorded(
        int(mib / seconds * MIB), float(np.median(np.diff(at))), step["size"] // MIB, float(np.nanmin(available))
    )


def grown_like(step: dict[str, Any], found: Recorded) -> RunResult:
    duration = step["total_mib"] * MIB / found.rate + 5
    work = Together(
        parts=[
            Watermark(
                low=step["threshold"],
                step=step["step"],
                maximum=step["limit"],
                region=6 * GIB,
                period=found.period,
                duration=duration,
            ),
            GuestLoad(shape="ramp", size=step["total_mib"] * MIB, rate=found.rate, duration=duration),
        ]
    )
    return simulate(MachineSpec(nodes=(NodeSpec(GIB),)), OnlineMovable(), work, Streams(1, 0), guest=GuestSpec())


def test_a_recorded_guest_grows_as_much_and_comes_as_close(shared_dir: Path) -> None:
    path = shared_dir / "kernel-traces" / "guest-load" / "reactive-movable.json"
    if not path.is_file():
        pytest.skip(f"no recording {path.name}")
    steps = [step for step in json.loads(path.read_text("utf-8"))["steps"] if step["op"] == "reactive_growth"]
    assert len(steps) == 5
    for step in steps:
        found = recorded(step)
        result = grown_like(step, found)
        events = result.events
        asked = events[events[:, 1] == EventKind.REQUEST][-1, 6] * PAGE_SIZE // MIB
        lowest = int(result.guest["mem_available"].min()) * PAGE_SIZE / MIB

        assert asked == found.grown
        assert lowest == pytest.approx(found.lowest, abs=32)
        assert not (events[:, 1] == EventKind.OOM).any()
