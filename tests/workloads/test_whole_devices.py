"""DIMMs and cards by need: when they must come, when they must rest, and what is asked again after a refusal."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DimmSpec
from sim.units import GIB, MIB, MICROSECONDS
from tests.workloads.demanding_host import DemandingHost, asked, play
from tests.workloads.watched_guest import poll
from workloads.cxl_cards import CxlCards
from workloads.dimm_controller import DimmController
from workloads.parts.controllers.whole_devices import ORDERS, Figure, NeedRule

if TYPE_CHECKING:
    from workloads.contract import Workload

HALF = GIB // 2


# When memory is short, and when a device is idle -----------------------------------------------------------------


def test_short_is_less_than_either_bound() -> None:
    rule = NeedRule(low=2 * GIB, low_share=0.25, spare=2 * GIB, spare_share=0.25)

    assert rule.short(Figure(2 * GIB - 1, 4 * GIB))
    assert not rule.short(Figure(2 * GIB, 8 * GIB))
    assert rule.short(Figure(2 * GIB, 8 * GIB + 4))


def test_idle_is_a_device_without_which_both_bounds_would_hold() -> None:
    rule = NeedRule(low_share=0.25, spare_share=0.25)

    # Of 8 GiB, 3.25 are left: without a GiB 2.25 of 7, which are more than a quarter; without two 1.25 of 6.
    assert rule.idle(Figure(13 * GIB // 4, 8 * GIB), GIB)
    assert not rule.idle(Figure(13 * GIB // 4, 8 * GIB), 2 * GIB)
    assert rule.idle(Figure(3 * GIB, 5 * GIB), 2 * GIB - GIB // 3)
    exact = NeedRule(low=GIB, spare=GIB)
    assert exact.idle(Figure(2 * GIB, 8 * GIB), GIB)
    assert not exact.idle(Figure(2 * GIB - 1, 8 * GIB), GIB)


def test_what_is_idle_and_missed_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="less than"):
        NeedRule(low=2, spare=1)


FIGURES = st.tuples(st.integers(0, 1 << 20), st.integers(1, 1 << 20)).map(lambda pair: Figure(min(pair), max(pair)))


@given(FIGURES, st.integers(1, 1 << 18), st.data())
def test_no_device_is_idle_that_has_just_been_needed(figure: Figure, size: int, data: st.DataObject) -> None:
    """On constant demand nothing comes and goes, whatever the bounds: in no step, and so never."""
    low, low_share = data.draw(st.integers(0, 1 << 19)), data.draw(st.floats(0, 1))
    spare, spare_share = data.draw(st.integers(low, 1 << 20)), data.draw(st.floats(low_share, 1))
    rule = NeedRule(low, low_share, spare, spare_share)
    if rule.short(figure):
        more = data.draw(st.integers(0, size))  # of a device some may be its own memmap
        grown = Figure(figure.left + more, figure.total + more)
        assert not rule.idle(grown, size)
    if rule.idle(figure, size):
        assert not rule.short(Figure(figure.left - size, figure.total - size))


# DIMMs -----------------------------------------------------------------------------------------------------------


def test_the_published_constants_are_the_defaults() -> None:
    """NeonVM: every 5 s, memory is short above 0.75 of it used; one DIMM at a time, the newest goes first."""
    used = [(0, 3 * GIB), (12, 3 * GIB + 1), (22, 5 * GIB), (98, 3 * GIB)]

    assert asked(DimmController(duration=200.0), used) == [
        (15.0, "plug", "dimm0"),
        (25.0, "plug", "dimm1"),
        (30.0, "plug", "dimm2"),
        (100.0, "unplug", "dimm2"),
        (105.0, "unplug", "dimm1"),
        (110.0, "unplug", "dimm0"),
    ]


def test_it_rests_while_enough_is_left_and_nothing_too_much() -> None:
    assert asked(DimmController(duration=2000.0), [(0, GIB), (600, 3 * GIB), (1200, 0)]) == []


def test_several_come_at_a_look_but_no_more_than_are_missing() -> None:
    work = DimmController(at_once=8, duration=20.0)

    # Of 4 GiB all are used: with one 1 of 5 is left, with two 2 of 6, which is more than a quarter.
    assert asked(work, [(0, 4 * GIB)]) == [(0.0, "plug", "dimm0"), (0.0, "plug", "dimm1")]


def test_slots_have_sizes_and_nodes_in_turn() -> None:
    work = DimmController(
        slots=3,
        sizes=[GIB, 2 * GIB],
        nodes=[0, 0, 1],
        at_once=3,
        low=64 * GIB,
        address=16 * GIB,
        duration=9.0,
        device="d",
    )

    host = play(work, [(0, 0)], boot=(4 * GIB, 4 * GIB))

    assert list(host.devices.values()) == [
        DimmSpec("d0", GIB, 0, 16 * GIB),
        DimmSpec("d1", 2 * GIB, 0, 18 * GIB),
        DimmSpec("d2", GIB, 1, 20 * GIB),
    ]
    assert list(work.node_capacity()) == [0, 1]
    assert work.needs_dimms()


def test_nothing_is_asked_for_while_the_guest_is_at_work() -> None:
    work = DimmController(at_once=2, duration=100.0)

    times = [at for at, _, _ in asked(work, [(0, 7 * GIB)], takes_us=12 * MICROSECONDS)]

    assert times == [0.0, 0.0, 15.0, 15.0, 30.0, 30.0]


def test_a_dimm_that_is_refused_gives_way_to_the_one_before_and_is_asked_again_ever_later() -> None:
    """At 5, 10, 20 s and so on after the last refusal, which is seen at the look after it."""
    used = [(0, 6 * GIB), (98, 0)]
    work = DimmController(again=10.0, again_most=40.0, duration=220.0)

    requests = asked(work, used, stuck=("dimm3",))

    assert [device for _, verb, device in requests if verb == "plug"] == [f"dimm{slot}" for slot in range(4)]
    assert requests[4:] == [
        (100.0, "unplug", "dimm3"),
        (105.0, "unplug", "dimm2"),
        (110.0, "unplug", "dimm1"),
        (115.0, "unplug", "dimm3"),
        (120.0, "unplug", "dimm0"),
        (140.0, "unplug", "dimm3"),
        (185.0, "unplug", "dimm3"),
    ]


def test_a_dimm_that_was_asked_for_in_vain_is_kept_once_it_is_needed() -> None:
    """At 50 s of 6 GiB one is left without it, which is no quarter of five; before it is full again nothing is."""
    used = [(0, 4 * GIB), (38, 2 * GIB), (48, 4 * GIB), (58, 2 * GIB)]
    work = DimmController(slots=1, again=1000.0, duration=70.0)

    assert asked(work, used, stuck=("dimm0",)) == [
        (0.0, "plug", "dimm0"),
        (40.0, "unplug", "dimm0"),
        (50.0, "keep", "dimm0"),
        (60.0, "unplug", "dimm0"),
    ]


def test_one_that_the_host_refuses_is_tried_again() -> None:
    work = DimmController(slots=1, retry=12.0, duration=40.0)

    assert asked(work, [(0, 4 * GIB)], no_room={"dimm0": 20}) == [
        (0.0, "plug", "dimm0"),
        (15.0, "plug", "dimm0"),
        (30.0, "plug", "dimm0"),
    ]


def test_one_that_the_guest_cannot_add_is_taken_out_and_tried_again() -> None:
    """Twelve seconds after it was seen."""
    work = DimmController(slots=1, retry=12.0, duration=40.0)

    assert asked(work, [(0, 4 * GIB)], no_memmap={"dimm0": 12}) == [
        (0.0, "plug", "dimm0"),
        (5.0, "unplug", "dimm0"),
        (20.0, "plug", "dimm0"),
    ]


def test_none_goes_before_it_has_been_held_and_idle_for_long_enough() -> None:
    used = [(0, 4 * GIB), (18, 0), (28, 4 * GIB), (33, 0)]

    assert asked(DimmController(slots=1, hold=33.0, duration=90.0), used)[1:] == [(35.0, "unplug", "dimm0")]
    assert asked(DimmController(slots=1, idle=12.0, duration=90.0), used)[1:] == [(50.0, "unplug", "dimm0")]


def test_the_order_is_as_said() -> None:
    used = [(0, 24 * GIB), (98, 0)]
    sizes = [4 * GIB, 2 * GIB, 2 * GIB, 8 * GIB]

    def gone(order: str) -> list[str]:
        work = DimmController(slots=4, sizes=sizes, nodes=[0, 1], order=order, duration=200.0)
        requests = asked(work, used, boot=(4 * GIB, 12 * GIB))
        assert len(requests) == 8
        return [device[-1] for _, verb, device in requests if verb == "unplug"]

    assert gone("newest") == ["3", "2", "1", "0"]
    assert gone("oldest") == ["0", "1", "2", "3"]
    assert gone("smallest") == ["2", "1", "0", "3"]
    # Node 1 has more of what is free until its second DIMM has gone.
    assert gone("emptiest-node") == ["3", "1", "2", "0"]


def test_free_memory_of_some_nodes_may_count_alone() -> None:
    """A quarter of node 1 is free as of all, but the bound is for node 1."""
    work = DimmController(signal="free", watch_nodes=[1], nodes=[1], low=3 * GIB, low_share=0.0, duration=20.0)

    assert asked(work, [(0, 4 * GIB)], boot=(4 * GIB, 4 * GIB)) == [(0.0, "plug", "dimm0"), (5.0, "plug", "dimm1")]


def test_a_node_without_memory_is_short_of_it() -> None:
    work = CxlCards(signal="free", watch_nodes=[1], size=2 * GIB, low=GIB, low_share=0.0, duration=20.0)

    assert asked(work, [(0, 0)], boot=(4 * GIB,)) == [(0.0, "plug", "cxl0")]


# Whatever the guest does -------------------------------------------------------------------------------------------

KINDS = ("dimm", "daxctl", "state")


class Chance(NamedTuple):
    """A guest and who plugs devices into it, at random."""

    kind: str
    demand: list[tuple[int, int]]
    host: dict[str, Any]
    chosen: dict[str, Any]

    def work(self, **more: Any) -> Workload:  # noqa: ANN401
        if self.kind == "dimm":
            return DimmController(slots=5, sizes=[GIB, 2 * GIB], nodes=[0, 1], device="x", **self.chosen, **more)
        return CxlCards(cards=5, size=GIB, way=self.kind, device="x", **self.chosen, **more)

    def play(self, work: Workload) -> DemandingHost:
        return play(work, self.demand, boot=(4 * GIB, 0), **self.host)


def chance(seed: int) -> Chance:
    rng = random.Random(seed)  # noqa: S311  not for secrets

    def some(*names: str) -> dict[str, int]:
        return {name: rng.randrange(900) for name in names if rng.random() < 0.4}

    steps = sorted((rng.randrange(600), rng.randrange(25) * HALF) for _ in range(rng.randrange(9)))
    host = {
        "takes_us": rng.choice((0, 400_000, 7_000_000)),
        "stuck": set(some("x0", "x1", "x2")),
        "until": some("x0", "x1"),
        "no_room": some("x1", "x2"),
        "no_memmap": some("x0", "x2", "x3"),
    }
    kind = rng.choice(KINDS)
    if kind == "daxctl":
        host["leaves"] = {device: rng.randrange(9) * GIB // 8 for device in ("x0", "x1", "x2")}
    chosen = {
        "low_share": rng.choice((0.0, 0.1, 0.25, 0.6)),
        "low": rng.choice((MIB, GIB, 3 * GIB)),
        "spare": rng.choice((0, 4 * GIB)),
        "idle": rng.choice((0.0, 31.0)),
        "hold": rng.choice((0.0, 60.0)),
        "at_once": rng.randrange(1, 4),
        "order": rng.choice(ORDERS),
    }
    return Chance(kind, [(0, 2 * GIB), *steps], host, chosen)


def test_1000_random_guests_get_no_more_than_there_is_and_come_to_rest() -> None:
    """Once demand and what holds devices up have ended, sizes go one way only, and then nothing moves any more."""
    moved = asked_again = made_whole = 0
    for seed in range(1000):
        drawn = chance(seed)
        made = drawn.play(drawn.work(duration=1500.0, period=20.0, again_most=100.0))

        most = 7 * GIB if drawn.kind == "dimm" else 5 * GIB
        assert all(0 <= size <= most for _, size in made.history)
        late = [size for at, size in made.history if at > 1000 * MICROSECONDS]
        assert late in (sorted(late), sorted(late, reverse=True)), "what came does not go again, nor what went come"
        assert len(set(late)) <= 5
        asks = [(at, device) for at, verb, device, what in made.calls if verb == "unplug" or what == "unplugged"]
        for device in {device for _, device in asks}:
            refused = [at for at, asked_for in asks if asked_for == device and at > 1150 * MICROSECONDS]
            gaps = [after - before for before, after in pairwise(refused)]
            assert all(gap >= 100 * MICROSECONDS for gap in gaps), "one that stays is not asked for all the time"
            asked_again += len(gaps)
        back = [at for at, verb, *_ in made.calls if verb == "online_memory"]
        assert all(at <= 1000 * MICROSECONDS for at in back), "what went offline is not fetched back on constant demand"
        made_whole += len(back)
        moved += len(set(made.history))
    assert moved > 1000
    assert asked_again > 100
    assert made_whole > 20


def test_the_looks_that_are_left_out_would_have_asked_for_nothing() -> None:
    for seed in range(60):
        drawn = chance(seed)
        seldom = drawn.play(drawn.work(duration=1000.0))
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("workloads.parts.controllers.controller.watch", poll)
            often = drawn.play(drawn.work(duration=1000.0))
        assert seldom.calls == often.calls
