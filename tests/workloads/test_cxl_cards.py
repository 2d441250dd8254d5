"""CXL cards by need: how they come, how they go by daxctl and by their state, and what becomes of one that refuses."""

from __future__ import annotations

from typing import Any

from sim.devices.specs import DaxSpec
from sim.units import GIB, MICROSECONDS
from tests.workloads.demanding_host import asked, play
from workloads.cxl_cards import CxlCards


def test_a_card_is_one_device_of_several_ranges_on_its_node() -> None:
    work = CxlCards(
        cards=2, size=4 * GIB, ranges=2, gap=GIB, memmap_on_memory=True, low=64 * GIB, address=64 * GIB, duration=9.0
    )

    host = play(work, [(0, 0)], boot=(4 * GIB, 0))

    ranges = (2 * GIB, 2 * GIB)
    assert list(host.devices.values()) == [
        DaxSpec("cxl0", 4 * GIB, 1, 64 * GIB, self_host=True, ranges=ranges, gap=GIB),
        DaxSpec("cxl1", 4 * GIB, 1, 69 * GIB, self_host=True, ranges=ranges, gap=GIB),
    ]
    assert (work.needs_kernel(), list(work.node_capacity()), work.needs_dimms()) == ("6.8", [1], False)
    assert CxlCards().needs_kernel() is None


def test_by_daxctl_a_card_is_bound_and_unbound() -> None:
    work = CxlCards(cards=1, size=4 * GIB, duration=60.0)
    used = [(0, 4 * GIB), (18, 0), (38, 4 * GIB)]

    assert asked(work, used, boot=(4 * GIB, 0)) == [
        (0.0, "plug", "cxl0"),
        (20.0, "unplug", "cxl0"),
        (40.0, "plug", "cxl0"),
    ]


HALF_GONE: dict[str, Any] = {"stuck": ("cxl0",), "leaves": {"cxl0": 2 * GIB}, "boot": (4 * GIB, 0)}
"""A card of which one block always stays, and the others, half of it, go offline."""


def test_what_a_refused_card_has_left_offline_is_put_online_when_it_is_needed_again() -> None:
    """Of 6 GiB 3 are used at 60 s: without the 2 that are online a quarter of 4 is left, and at 80 s a byte less."""
    used = [(0, 4 * GIB), (18, 0), (58, 3 * GIB), (78, 3 * GIB + 1), (98, 0), (118, 4 * GIB)]

    for word in ("online", "online_movable"):
        work = CxlCards(cards=1, size=4 * GIB, word=word, again=1000.0, duration=140.0)
        assert asked(work, used, **HALF_GONE) == [
            (0.0, "plug", "cxl0"),
            (20.0, "unplug", "cxl0"),
            (80.0, word, "cxl0"),
            (100.0, "unplug", "cxl0"),
            (120.0, word, "cxl0"),
        ]


def test_it_stays_offline_for_as_long_as_the_card_is_asked_for_again() -> None:
    """Of 6 GiB 3 are used: without the 2 that are online a quarter is left, so that none of it is missed."""
    work = CxlCards(cards=1, size=4 * GIB, again=10.0, duration=120.0)

    host = play(work, [(0, 4 * GIB), (18, 3 * GIB)], **HALF_GONE)

    assert [(at // MICROSECONDS, verb) for at, verb, *_ in host.calls] == [
        (0, "plug"),
        (20, "unplug"),
        (35, "unplug"),
        (60, "unplug"),
        (105, "unplug"),
    ]
    assert host.offline("cxl0") == 2 * GIB


def test_no_further_card_comes_while_one_can_be_made_whole() -> None:
    """Of 8 GiB with the whole card 3.5 are left in one case, which are 40 percent, and 3 in the other."""
    for used, comes in ((9 * GIB // 2, []), (5 * GIB, [(60.0, "plug", "cxl1")])):
        work = CxlCards(cards=2, size=4 * GIB, low_share=0.4, again=1000.0, duration=80.0)
        demand = [(0, 4 * GIB), (18, 0), (58, used)]
        assert asked(work, demand, **HALF_GONE)[2:] == [(60.0, "online", "cxl0"), *comes]


def test_by_its_state_a_card_stays_and_its_memory_comes_and_goes() -> None:
    work = CxlCards(cards=1, size=4 * GIB, way="state", word="online_movable", again=10.0, duration=100.0)
    used = [(0, 4 * GIB), (18, 0), (58, 4 * GIB)]

    assert asked(work, used, boot=(4 * GIB, 0), until={"cxl0": 30}) == [
        (0.0, "plug", "cxl0"),
        (20.0, "unplugged", "cxl0"),
        (35.0, "unplugged", "cxl0"),
        (60.0, "online_movable", "cxl0"),
    ]
    assert work.needs_kernel() == "7.3"
