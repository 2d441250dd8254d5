"""A guest that grows and is asked to shrink again: exact requests, and relatives drawn at random."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from math import log
from typing import TYPE_CHECKING

import pytest
import simpy

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel, OnlineMovable
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.plugins.parameters import ParameterError
from sim.record.events import Events
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.pages import PAGE_SIZE
from tests.workloads.fake_host import FakeHost, calls, play
from workloads.grow_and_return import DEVICES, Amounts, GrowAndReturn

if TYPE_CHECKING:
    from policies.contract import Policy
    from sim.record.run_result import RunResult

SECOND = 1_000_000
SMALL = {
    "size": 512 * MIB,
    "step": 128 * MIB,
    "pace": 32 * MIB,
    "tick": 1.0,
    "leave": 20.0,
    "ask_back": 30.0,
    "duration": 60.0,
}
"""Four steps, 4 s from one to the next."""


def small(**more: object) -> GrowAndReturn:
    return GrowAndReturn(**(SMALL | {"return_pace": 64 * MIB, "user": 0, "kernel": 0} | more))  # type: ignore[arg-type]


def requests(workload: GrowAndReturn, seed: int = 1) -> list[tuple[float, str, str, object]]:
    """Return what is asked of devices: (second, verb, device, what)."""
    return [(at / SECOND, *call) for at, *call in calls(workload, seed=seed) if call[0] != "set_demand"]  # type: ignore[misc]


def demands(workload: GrowAndReturn, load: str) -> list[tuple[float, object]]:
    """Return what a load uses: (second, (kind, bytes))."""
    return [(at / SECOND, what) for at, verb, name, what in calls(workload) if (verb, name) == ("set_demand", load)]


# What is asked of devices ----


def test_dimms_are_plugged_at_their_pace_and_asked_back_newest_first() -> None:
    assert requests(small()) == [
        *((4.0 * n, "plug", f"dimm{n}", DimmSpec(f"dimm{n}", 128 * MIB)) for n in range(4)),
        *((30.0 + 2 * turn, "unplug", f"dimm{3 - turn}", None) for turn in range(4)),
    ]


@pytest.mark.parametrize("device", DEVICES[1:])
def test_a_virtio_mem_device_is_asked_for_as_much_at_the_same_times(device: str) -> None:
    big = device == "virtio-mem-big-blocks"
    workload = small(device=device, device_block=4 * MIB, big_block=128 * MIB)
    asked = VirtioMemSpec(
        "vmem0", 512 * MIB, block_size=4 * MIB, requested=128 * MIB, force_bbm=big, bbm_block_size=128 * MIB
    )
    assert requests(workload) == [
        (0.0, "plug", "vmem0", asked),
        *((4.0 * n, "resize", "vmem0", (n + 1) * 128 * MIB) for n in (1, 2, 3)),
        *((30.0 + 2 * turn, "resize", "vmem0", (3 - turn) * 128 * MIB) for turn in range(4)),
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_with_no_pace_all_is_asked_back_at_once(device: str) -> None:
    last = requests(small(device=device, return_pace=0))[4:]
    assert [at for at, *_ in last] == [30.0] * 4


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_not_plugged_when_memory_is_asked_back_is_not_plugged_at_all(device: str) -> None:
    found = requests(small(device=device, leave=5.0, ask_back=8.0))
    assert [at for at, *_ in found] == [0.0, 4.0, 8.0, 10.0]


def test_a_pace_that_is_no_whole_time_does_not_add_up_its_rounding() -> None:
    found = requests(small(size=3 * GIB, pace=384 * MIB))
    plugs = [at for at, verb, *_ in found if verb == "plug"]
    assert plugs == [round(n * SECOND / 3) / SECOND for n in range(24)]


# What the guest uses ----


def test_programs_grow_together_and_leave() -> None:
    workload = small(programs=2, user=100 * MIB, user_rate=20 * MIB)
    for load in ("program0", "program1"):
        found = demands(workload, load)
        assert found[:5] == [(float(second), ("anonymous", second * 10 * MIB)) for second in (1, 2, 3, 4, 5)]
        assert found[-1] == (20.0, ("anonymous", 0))


@pytest.mark.parametrize(("leaves", "last"), [(0.0, 40 * MIB), (0.75, 10 * MIB), (1.0, 0)])
def test_the_kernel_begins_later_and_part_of_it_leaves_with_the_programs(leaves: float, last: int) -> None:
    workload = small(
        kernel=40 * MIB, kernel_rate=10 * MIB, kernel_kind="pinned", kernel_start=3.0, kernel_leaves=leaves
    )
    found = demands(workload, "kernel")
    assert found[:4] == [(3.0 + second, ("pinned", second * 10 * MIB)) for second in (1, 2, 3, 4)]
    before, after = ([what for at, what in found if (at >= 20) is late] for late in (False, True))
    assert set(before[3:]) == {("pinned", 40 * MIB)}
    assert set(after) == {("pinned", last)}


def test_without_a_guest_devices_are_asked_for_and_nothing_is_used() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    host.available = None
    workload = small(user=GIB, kernel=GIB)
    env.run(until=env.process(workload.run(host, Streams(1, 0))))
    assert [verb for _, verb, _, _ in host.calls] == ["plug"] * 4 + ["unplug"] * 4


# Relatives ----

SPREAD = GrowAndReturn(spread=3.0)
MIDDLE = asdict(GrowAndReturn().draw(Streams(1, 0)))


def test_without_a_spread_nothing_is_drawn() -> None:
    workload = GrowAndReturn()
    _, streams = play(workload)
    assert streams.names == []
    assert workload.drawn == Amounts(16 * MIB, 8 * GIB, 6 * MIB, GIB, 2 * MIB)


def test_each_factor_is_the_first_number_of_a_stream_of_its_own() -> None:
    play(SPREAD, seed=7)
    assert SPREAD.drawn is not None
    for name, amount in asdict(SPREAD.drawn).items():
        assert amount == pytest.approx(MIDDLE[name] * 3 ** (2 * Streams(7, 0)(f"spread/{name}").random() - 1))


def test_factors_are_spread_evenly_on_a_logarithmic_scale_and_go_their_own_ways() -> None:
    relatives = [asdict(SPREAD.draw(Streams(1, replication))) for replication in range(400)]
    columns = {name: [log(one[name] / MIDDLE[name]) / log(3) for one in relatives] for name in MIDDLE}
    for column in columns.values():
        assert -1 <= min(column) < -0.97
        assert 0.97 < max(column) <= 1
        assert abs(sum(column) / 400) < 0.1  # 3.5 standard errors
        assert [sum(low <= x < low + 0.5 for x in column) for low in (-1, -0.5, 0, 0.5)] == pytest.approx(
            [100] * 4, abs=30
        )
    for one, other in combinations(columns.values(), 2):
        product = sum(x * y for x, y in zip(one, other, strict=True)) / 400
        assert abs(product) < 0.06  # 3.5 standard errors


def test_a_relative_is_asked_for_at_its_own_pace() -> None:
    workload = small(spread=2.0)
    plugs = [at for at, verb, *_ in requests(workload, seed=3) if verb == "plug"]
    assert workload.drawn is not None
    assert plugs == [round(n * 128 * MIB * SECOND / workload.drawn.pace) / SECOND for n in range(4)]
    assert 16 * MIB < workload.drawn.pace < 64 * MIB
    assert workload.drawn.pace != 32 * MIB


def run(policy: Policy, **more: object) -> tuple[RunResult, Amounts | None]:
    size: dict[str, object] = {
        "size": 2 * GIB,
        "user": GIB,
        "user_rate": 8 * MIB,
        "kernel": 128 * MIB,
        "leave": 200.0,
        "ask_back": 250.0,
    }
    workload = small(**(size | {"duration": 400.0} | more))
    machine = MachineSpec(nodes=(NodeSpec(GIB),))
    return simulate(machine, policy, workload, Streams(5, 2), guest=GuestSpec()), workload.drawn


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_drawn_does_not_depend_on_the_policy(device: str) -> None:
    runs = [run(policy, device=device, spread=2.0) for policy in (OnlineMovable(), OnlineKernel(), AutoMovable())]
    assert len({drawn for _, drawn in runs}) == 1
    wishes = [Events.of(result.events) for result, _ in runs]
    first = wishes[0].t_us[wishes[0].requested > 0]
    assert all(list(wish.t_us[wish.requested > 0]) == list(first) for wish in wishes)


@pytest.mark.parametrize("device", DEVICES)
def test_all_is_plugged_used_and_given_back_where_the_kernel_wants_nothing_of_it(device: str) -> None:
    result, _ = run(OnlineMovable(), device=device)
    plugged = Events.of(result.events).plugged_change().cumsum() * PAGE_SIZE
    assert (plugged.max(), plugged[-1]) == (2 * GIB, 0)
    assert result.guest["user"].max() * PAGE_SIZE >= GIB
    assert result.guest["user"][-1] == 0


def test_kernel_memory_that_stays_keeps_what_lies_around_it() -> None:
    kept = {}
    for leaves in (0.0, 1.0):
        result, _ = run(OnlineKernel(), kernel=GIB, kernel_rate=16 * MIB, kernel_leaves=leaves)
        kept[leaves] = int(Events.of(result.events).plugged_change().sum()) * PAGE_SIZE
    assert kept[0.0] > kept[1.0]


@pytest.mark.parametrize("device", DEVICES)
def test_never_less_than_nothing_could_be_returned(device: str) -> None:
    """A big block holds kernel pages before its device counts it as plugged."""
    result, _ = run(OnlineKernel(), device=device)
    assert result.guest["returnable"].min() == 0


def test_a_step_of_time_longer_than_the_run_is_a_fault() -> None:
    with pytest.raises(ParameterError, match=r"tick: must not be longer than the duration, 2400, but is 2401"):
        GrowAndReturn(tick=2401.0, duration=2400.0)
    GrowAndReturn(tick=2400.0, duration=2400.0)
