"""The last instant of a run: what is part of it, what is open, how long everything weighs, and what is plugged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

import pytest

from policies.fixed import OnlineKernel, OnlineMovable
from sim.devices.specs import VirtioMemSpec
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import EventKind
from sim.record.series import device_series, run_series
from sim.results.frames import run_row
from sim.results.identity import CellId
from sim.scores.registry import compute_scores
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.policies.scripted import Script
from tests.support.pages import PAGE_SIZE
from workloads.contract import Workload
from workloads.random_mix import RandomMix

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from policies.contract import Policy
    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract

MACHINE = MachineSpec((NodeSpec(4 * GIB),))
BLOCK = 128 * MIB
PAGES = BLOCK // PAGE_SIZE
SECOND = 1_000_000


class Grown(Workload):
    """A virtio-mem device gets a GiB at once; at the microsecond ``at`` all but a quarter of it is asked back."""

    name: ClassVar[str] = "grown"
    summary: ClassVar[str] = "one device grows and shrinks"

    def __init__(self, at: int, seconds: float) -> None:
        self.at = at
        self.seconds = seconds

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        host.plug(VirtioMemSpec("v", GIB, requested=GIB))
        yield host.env.timeout(self.at)
        host.resize("v", 2 * BLOCK)

    def duration(self) -> float:
        return self.seconds


def grown(at: int, seconds: float, *, unplug_us: int = 0, policy: Policy | None = None) -> RunResult:
    timing = Timing(virtio_mem_plug=0, virtio_mem_unplug=unplug_us)
    return simulate(MACHINE, policy or OnlineMovable(), Grown(at, seconds), Streams(1, 0), timing=timing)


def test_a_request_one_microsecond_before_the_end_is_part_of_the_run_and_one_at_the_end_is_not() -> None:
    last = grown(10 * SECOND - 1, 10.0, unplug_us=5)
    assert last.events[-1, [0, 1, 6]].tolist() == [10 * SECOND - 1, EventKind.REQUEST, 2 * PAGES]
    scores = compute_scores(last)
    assert scores["not_given_end"] == 6 * BLOCK
    assert scores["not_given_byte_seconds"] == pytest.approx(6 * BLOCK * 1e-6, rel=1e-12)
    assert scores["returns_unfulfilled"] == 1
    assert run_series(last).dt_us[-1] == 1

    late = grown(10 * SECOND, 10.0)
    assert late.events[-1, 0] == 0
    assert compute_scores(late)["not_given_end"] == compute_scores(late)["returns_unfulfilled"] == 0
    assert run_series(late).dt_us.tolist() == [10 * SECOND]


def test_a_run_that_ends_while_memory_is_given_back_counts_what_is_left_until_the_end() -> None:
    """A block a second from second 10 on; after 3.5 seconds 3 of 6 are given."""
    result = grown(10 * SECOND, 13.5, unplug_us=SECOND)
    assert result.duration_us == 13_500_000
    series = run_series(result)
    assert series.t_us.tolist() == [0, 10 * SECOND, 11 * SECOND, 12 * SECOND, 13 * SECOND]
    assert series.dt_us.tolist() == [10 * SECOND, SECOND, SECOND, SECOND, SECOND // 2]
    assert series.plugged.tolist() == [8 * PAGES, 8 * PAGES, 7 * PAGES, 6 * PAGES, 5 * PAGES]
    assert series.requested.tolist() == [8 * PAGES, *[2 * PAGES] * 4]
    assert series.not_given.tolist() == [0, 6 * PAGES, 5 * PAGES, 4 * PAGES, 3 * PAGES]
    scores = compute_scores(result)
    assert scores["not_given_byte_seconds"] == (6 + 5 + 4 + 3 / 2) * BLOCK
    assert scores["not_given_end"] == 3 * BLOCK
    assert scores["returned"] == 3 * BLOCK
    assert scores["returns_unfulfilled"] == 1
    assert (scores["return_time"], scores["returned_share"]) == (3.5, 50)
    percent = 100 * PAGES / result.boot.kernel_pages
    assert scores["ratio_end"] == pytest.approx(5 * percent, rel=1e-12)
    assert scores["ratio_mean"] == pytest.approx((8 * 11 + 7 + 6 + 5 / 2) / 13.5 * percent, rel=1e-12)
    # Another 2.6 seconds and it is met: 6 seconds after the request.
    met = compute_scores(grown(10 * SECOND, 16.1, unplug_us=SECOND))
    assert (met["return_time"], met["returns_unfulfilled"], met["not_given_end"]) == (6, 0, 0)
    assert met["not_given_byte_seconds"] == (6 + 5 + 4 + 3 + 2 + 1) * BLOCK


def test_means_weigh_kernel_memory_up_to_the_end() -> None:
    """4 GiB of boot memory and 1 GiB for 12.25 seconds, then a quarter of it for 7.75."""
    result = grown(12_250_000, 20.0, policy=OnlineKernel())
    assert compute_scores(result)["kernel_mean"] == pytest.approx(
        result.boot.kernel_pages * PAGE_SIZE + (GIB * 12.25 + GIB / 4 * 7.75) / 20, rel=1e-12
    )


def test_the_row_of_a_run_says_how_long_it_was() -> None:
    result = grown(SECOND, 13.5)
    row = json.loads(run_row(CellId("0" * 32, "m", "w", "p", 0, 1), result, compute_scores(result)))
    assert (row["duration_s"], row["block_bytes"], row["devices"], row["configured_ratio"]) == (13.5, BLOCK, 1, None)
    assert row["events"] == len(result.events)


@pytest.mark.parametrize(
    ("period", "seconds", "expected"), [(1.0, 4.0, 4), (1.5, 4.0, 3), (3.0, 2.5, 1), (0.0, 3.0, 3)]
)
def test_the_guest_is_sampled_from_the_start_to_the_very_end(period: float, seconds: float, expected: int) -> None:
    spec = GuestSpec(sample_every=period)
    result = simulate(MACHINE, OnlineMovable(), Grown(500_000, seconds), Streams(1, 0), guest=spec)
    step = period or 1.0
    times = [round(number * step * SECOND) for number in range(expected)]
    assert result.guest["t_us"].tolist() == [*times, round(seconds * SECOND)]


def test_what_the_guest_uses_at_the_end_is_in_its_last_sample() -> None:
    steps = [(0.0, "kernel", "k", 0), (3.999999, "kernel", "k", 64 * MIB)]
    result = simulate(
        MACHINE, OnlineMovable(), Script(steps, seconds=4.0), Streams(1, 0), guest=GuestSpec(sample_every=3.0)
    )
    times, kernel, headroom = (result.guest[name].tolist() for name in ("t_us", "kernel", "headroom"))
    assert times == [0, 0, 3 * SECOND, 4 * SECOND - 1, 4 * SECOND]
    assert [pages - kernel[0] for pages in kernel] == [0, 0, 0, 64 * MIB // PAGE_SIZE, 64 * MIB // PAGE_SIZE]
    scores = compute_scores(result)
    assert scores["headroom_min"] == headroom[-1] * PAGE_SIZE
    assert scores["headroom_mean"] == pytest.approx(
        (headroom[0] * 3.999999 + headroom[-1] * 0.000001) / 4 * PAGE_SIZE, rel=1e-12
    )


class Watched(RandomMix):
    """Random requests to all kinds of devices; keeps the host, to be asked when the run is over."""

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        self.host = host
        return super().run(host, streams)


@pytest.mark.parametrize("policy", [OnlineMovable, OnlineKernel], ids=["movable", "kernel"])
@pytest.mark.parametrize(
    ("seconds", "at_work"), [(30.234567, {"vmem0"}), (50.234567, {"vmem0", "vmem1", "dax0"}), (300.0, None)]
)
def test_what_the_series_say_is_plugged_in_the_end_is_what_the_host_knows(
    policy: Callable[[], Policy], seconds: float, at_work: set[str] | None
) -> None:
    """Also where the run ends amid work: everything takes its default time, and requests come every few seconds."""
    workload = Watched(interval=2.0, same_moment=0.5, maximum=48 * GIB, duration=seconds, device_block=4 * MIB)
    result = simulate(MACHINE, policy(), workload, Streams(3, 1), guest=GuestSpec(sample_every=60.0))
    host, total = workload.host, 0
    if at_work is not None:
        assert {name for name in result.device_names if host.busy(name)} == at_work
    last = {name: number for number, name in enumerate(result.device_names)}
    for number, name in enumerate(result.device_names):
        ends = device_series(result, number)
        if number < last[name]:
            assert ends.plugged[-1] == ends.requested[-1] == 0, "a device of that name that was there before"
            continue
        assert ends.plugged[-1] * PAGE_SIZE == host.plugged(name), name
        if name.startswith("vmem"):
            assert ends.requested[-1] * PAGE_SIZE == host.requested(name), name
        total += host.plugged(name)
    assert run_series(result).plugged[-1] * PAGE_SIZE == total > 0
