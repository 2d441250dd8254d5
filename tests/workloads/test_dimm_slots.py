"""DIMM slots: bounds, order of removal, hold times, and the walk of the target."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DimmSpec
from sim.units import GIB, MIB
from tests.support.reach import Reach
from tests.workloads.fake_host import Call, calls, play
from workloads.dimm_slots import DimmSlots, reflect

REACH = Reach(
    {"plug": 200, "unplug": 200, "every slot is full": 30, "every slot is empty": 20, "one that is ripe of some": 100}
    | {f"{removal} goes": 50 for removal in ("newest", "oldest", "random")}
    | {"coin": 10, "target": 10, "exponential": 10, "fixed": 10, "held for some time": 10}
)


@REACH.test()
@given(
    slots=st.integers(1, 20),
    sizes=st.lists(st.sampled_from([128 * MIB, GIB, 3 * GIB]), min_size=1, max_size=4),
    nodes=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    interval=st.floats(0.5, 100.0),
    spacing=st.sampled_from(["exponential", "fixed"]),
    mode=st.sampled_from(["coin", "target"]),
    grow_probability=st.floats(0.0, 1.0),
    largest_step=st.integers(1, 30),
    hold=st.sampled_from([0.0, 10.0, 300.0]),
    removal=st.sampled_from(["newest", "oldest", "random"]),
    data=st.data(),
)
def test_bounds_and_order(  # noqa: PLR0917  one for each thing that is drawn
    slots: int,
    sizes: list[int],
    nodes: list[int],
    interval: float,
    spacing: str,
    mode: str,
    grow_probability: float,
    largest_step: int,
    hold: float,
    removal: str,
    data: st.DataObject,
) -> None:
    initial = data.draw(st.integers(0, slots))
    workload = DimmSlots(
        slots=slots,
        sizes=sizes,
        nodes=nodes,
        initial=initial,
        interval=interval,
        spacing=spacing,
        mode=mode,
        grow_probability=grow_probability,
        largest_step=largest_step,
        hold=hold,
        removal=removal,
        duration=100 * interval,
    )
    requests = calls(workload, seed=data.draw(st.integers(0, 1000)))
    assert sum(now == 0 for now, *_ in requests) == initial
    REACH(mode)
    REACH(spacing)
    REACH("held for some time", hold > 0)
    check_requests(requests, slots, sizes, nodes, hold, removal)


def check_requests(
    requests: list[Call], slots: int, sizes: list[int], nodes: list[int], hold: float, removal: str
) -> None:
    """Follow the requests with a plain dict of what is plugged since when, in order of plugging."""
    plugged: dict[str, int] = {}
    for now, verb, device, what in requests:
        if verb == "plug":
            assert isinstance(what, DimmSpec)
            assert what.id == device not in plugged
            assert what.size in sizes
            assert what.node in nodes
            plugged[device] = now
        else:
            assert verb == "unplug"
            ripe = [name for name, since in plugged.items() if now - since >= hold * 1_000_000]
            assert device in ripe
            REACH(f"{removal} goes", len(ripe) > 1)
            REACH("one that is ripe of some", 0 < len(ripe) < len(plugged))
            if removal != "random":
                assert device == ripe[-1 if removal == "newest" else 0]
            del plugged[device]
        assert len(plugged) <= slots
        REACH(verb)
        REACH("every slot is full", len(plugged) == slots)
        REACH("every slot is empty", not plugged)


def test_a_certain_coin_fills_every_slot_and_stops() -> None:
    requests = calls(DimmSlots(slots=5, grow_probability=1.0, duration=1e5))
    assert [(verb, device) for _, verb, device, _ in requests] == [("plug", f"dimm{slot}") for slot in range(5)]


def test_a_coin_that_never_grows_empties_every_slot() -> None:
    requests = calls(DimmSlots(slots=3, initial=3, grow_probability=0.0, duration=1e5))
    assert [device for _, verb, device, _ in requests if verb == "unplug"] == ["dimm2", "dimm1", "dimm0"]


def test_requests_come_at_the_mean_interval() -> None:
    requests = calls(DimmSlots(slots=256, initial=128, interval=10.0, duration=20_000.0))
    times = [now / 1e6 for now, *_ in requests if now]
    waits = [after - before for before, after in pairwise(times)]
    assert mean(waits) == pytest.approx(10.0, rel=0.05)
    # An exponential wait exceeds its mean with probability 1/e.
    assert mean(wait > 10.0 for wait in waits) == pytest.approx(0.368, abs=0.03)


def test_fixed_spacing_is_a_clock() -> None:
    requests = calls(DimmSlots(slots=256, initial=128, interval=7.5, spacing="fixed", duration=750.0))
    assert [now for now, *_ in requests if now] == [7_500_000 * n for n in range(1, 101)]


def test_sizes_and_nodes_are_drawn_evenly() -> None:
    workload = DimmSlots(slots=16, sizes=[GIB, GIB, 2 * GIB], nodes=[0, 3], interval=1.0, duration=20_000.0)
    specs = [what for _, verb, _, what in calls(workload) if isinstance(what, DimmSpec) and verb == "plug"]
    assert len(specs) > 5000
    assert mean(spec.size == 2 * GIB for spec in specs) == pytest.approx(1 / 3, abs=0.03)
    assert mean(spec.node == 3 for spec in specs) == pytest.approx(1 / 2, abs=0.03)


def test_a_second_size_shifts_nothing_else() -> None:
    one, two = (calls(DimmSlots(sizes=sizes, nodes=[0, 1])) for sizes in ([GIB], [GIB, 2 * GIB]))
    assert [call[:3] for call in one] == [call[:3] for call in two]
    nodes = [[call[3].node for call in found if isinstance(call[3], DimmSpec)] for found in (one, two)]
    assert nodes[0] == nodes[1]


def test_the_target_walks_and_is_met_at_once() -> None:
    workload = DimmSlots(slots=6, mode="target", largest_step=3, interval=10.0, spacing="fixed", duration=5000.0)
    held, levels = 0, {}
    for now, verb, _, _ in calls(workload):
        held += 1 if verb == "plug" else -1
        levels[now] = held
    walk = [0]
    for step in range(1, 501):
        walk.append(levels.get(step * 10_000_000, walk[-1]))
    moves = [abs(after - before) for before, after in pairwise(walk)]
    assert max(moves) == 3
    assert set(walk) == set(range(7)), "it gets everywhere"


@given(st.integers(-1000, 1000), st.integers(1, 50))
def test_reflect(value: int, high: int) -> None:
    expected = value
    while not 0 <= expected <= high:
        expected = -expected if expected < 0 else 2 * high - expected
    assert reflect(value, high) == expected


def test_a_dimm_that_stays_takes_the_place_of_the_next() -> None:
    workload = DimmSlots(slots=2, interval=1.0, duration=500.0)
    reference = calls(workload, "obliging")
    requests = calls(workload, "stubborn")
    assert [call for call in requests if call[1] == "unplug"] == [call for call in reference if call[1] == "unplug"]
    plugs = [device for _, verb, device, _ in requests if verb == "plug"]
    assert sorted(plugs) == ["dimm0", "dimm1"], "each slot is filled once and never comes empty"


def test_a_refused_dimm_is_not_asked_back() -> None:
    requests = calls(DimmSlots(duration=10_000.0), "refusing")
    assert {verb for _, verb, _, _ in requests} == {"plug"}


def test_ask_again_goes_round() -> None:
    workload = DimmSlots(
        slots=3, initial=3, grow_probability=0.0, interval=10.0, spacing="fixed", ask_again=True, duration=90.0
    )
    unplugs = [(now // 10_000_000, device) for now, verb, device, _ in calls(workload, "stubborn") if verb == "unplug"]
    first, second, third = "dimm2", "dimm1", "dimm0"  # newest first
    # From the second on, each request repeats one, and the plan has three of its own.
    assert unplugs == [
        *((1, first), (2, first), (2, second), (3, first), (3, third)),
        *((4, second), (5, first), (6, third), (7, second), (8, first), (9, third)),
    ]


def test_ask_again_forgets_what_has_gone() -> None:
    workload = DimmSlots(slots=3, initial=3, grow_probability=0.0, interval=100.0, ask_again=True, duration=5000.0)
    host, _ = play(workload, "slow")
    assert sum(verb == "unplug" for _, verb, _, _ in host.calls) == 3
    assert not any(host.present(f"dimm{slot}") for slot in range(3))
