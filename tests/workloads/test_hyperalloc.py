"""HyperAlloc's controller: when it asks and when it rests, and that it needs no look at what has not changed."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from sim.devices.specs import VirtioMemSpec
from sim.units import GIB, MIB, MICROSECONDS
from tests.workloads.watched_guest import ANSWERS, Answer, Use, random_script, same_with_all_looks, sizes, watched
from workloads.hyperalloc import HyperAlloc, Rule

RULE = Rule(2 * GIB, 16 * GIB, GIB, 0.9)
SECOND = MICROSECONDS


@pytest.mark.parametrize(
    ("free_mib", "steps"),
    [
        (0, 2),
        (568, 2),  # x 0.9 = 511.2
        (570, 1),  # 513
        (1136, 1),  # 1022.4
        (1138, 0),  # 1024.2
        (2274, 0),  # 2046.6
        (2276, -1),  # 2048.4
        (9000, -1),
    ],
)
def test_the_published_limits_say_how_many_steps(free_mib: int, steps: int) -> None:
    assert RULE.next(8 * GIB, free_mib * MIB) == (8 + steps) * GIB


def test_limits_themselves_belong_to_the_side_that_asks_for_less() -> None:
    whole = RULE._replace(share=1.0)
    assert [whole.next(8 * GIB, free) for free in (GIB // 2 - 1, GIB // 2, GIB - 1, GIB, 2 * GIB, 2 * GIB + 1)] == [
        10 * GIB,
        9 * GIB,
        9 * GIB,
        8 * GIB,
        8 * GIB,
        7 * GIB,
    ]


def test_sizes_stay_within_bounds_and_in_whole_huge_pages() -> None:
    assert RULE.next(15 * GIB, 0) == 16 * GIB
    assert RULE.next(2 * GIB, 9 * GIB) == 2 * GIB
    assert Rule(2 * GIB, 15 * GIB, 15 * GIB // 16, 0.9).next(2 * GIB, 600 * MIB) == (2048 + 960) * MIB
    assert Rule(2 * GIB, 16 * GIB, 1_000_000_000, 0.9).next(2 * GIB, 0) == (2048 + 1908) * MIB


def test_it_attaches_a_device_of_what_is_beyond_the_boot_memory() -> None:
    host, _ = watched(HyperAlloc(node=1, device="v", duration=0.5), [Use(0, 0)])
    assert host.calls[0] == (0, "plug", "v", VirtioMemSpec("v", 14 * GIB, 1, 2 * MIB))
    assert list(HyperAlloc(node=1).node_capacity()) == [1]


def test_it_asks_at_each_look_until_enough_is_free_and_then_rests() -> None:
    """2 GiB at boot of which 1.75 are used: 0.25 free, two steps; then 2.25 x 0.9 = 2.03 GiB: one step less, twice."""
    used = 2 * GIB - GIB // 4
    host, _ = watched(HyperAlloc(duration=20.0), [Use(0, 0), Use(SECOND // 2, used)])
    assert sizes(host.calls) == [(1.0, 2 * GIB), (2.0, GIB)]


def test_what_is_not_there_yet_is_asked_for_again_and_more() -> None:
    """Whether a request was fulfilled does not matter: while memory is short each look asks for two steps more."""
    host, _ = watched(HyperAlloc(duration=30.0), [Use(0, GIB // 4), Use(SECOND // 2, 2 * GIB)], answer="slow")
    asked = sizes(host.calls)
    assert [at for at, _ in asked[:3]] == [1.0, 2.0, 3.0]
    assert [size for _, size in asked[:3]] == [2 * GIB, 4 * GIB, 6 * GIB]


def test_at_the_largest_size_it_asks_for_nothing_more() -> None:
    host, looks = watched(HyperAlloc(duration=1000.0), [Use(0, 20 * GIB)])
    assert [size // GIB for _, size in sizes(host.calls)] == [2, 4, 6, 8, 10, 12, 14]
    assert looks < 12
    assert host.report().total == 16 * GIB


@pytest.mark.parametrize("answer", ANSWERS)
def test_skipped_looks_ask_for_nothing(answer: Answer) -> None:
    for seed in range(20):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        script = random_script(rng, most=18 * GIB, span_us=300 * SECOND, period_us=SECOND)
        controller = HyperAlloc(start=rng.choice((0.0, 0.3)))
        same_with_all_looks(controller, script, answer=answer, seed=seed, end_us=400 * SECOND)


@pytest.mark.parametrize("guests", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_on_random_demand_it_stays_in_its_bounds_and_comes_to_rest(guests: int) -> None:
    """Guests that do what is asked before the next look: on constant demand sizes turn at most once, then all rests.

    From below it may go up by two steps where one and a half would do, and gives one back.
    """
    requests = 0
    for seed in range(guests):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        script = random_script(rng, most=18 * GIB, span_us=200 * SECOND, period_us=30 * SECOND)
        last = Use(200 * SECOND, rng.randrange(18 * GIB), 0, 0.0, rng.choice((1.0, 0.5, 0.25)))
        controller = HyperAlloc(duration=400.0, fraction=rng.choice((1 / 16, 1 / 8, 1 / 4)))
        host, _ = watched(controller, [*script, last], seed=seed)
        found = sizes(host.calls)
        requests += len(found)
        assert all(size % (2 * MIB) == 0 and 0 <= size <= 14 * GIB for _, size in found)
        steps = [then - before for before, then in pairwise(size for at, size in found if at >= 200)]
        turns = sum((one > 0) != (other > 0) for one, other in pairwise(steps))
        assert turns <= 1
        assert not [at for at, _ in found if at > 200 + 17]
    assert requests > 3 * guests


def test_it_swings_on_constant_demand_where_requests_take_longer_than_a_look() -> None:
    """The published rule does not look at whether a request was fulfilled, so it asks for more until the first is.

    5 GiB are used of 2, and each request takes 4.5 s. Up to the look at 5 s there are 4 GiB, so each asks for two steps
    more, the one at 6 s (6 GiB, 0.9 free) for one; at 7 s there are 8, and what was asked for is taken back.
    """
    script = [Use(0, 5 * GIB)]
    prompt, _ = watched(HyperAlloc(duration=100.0), script)
    slow, _ = watched(HyperAlloc(duration=100.0), script, answer="late")
    assert [size // GIB for _, size in sizes(prompt.calls)] == [2, 4, 5]
    swings = [size // GIB for _, size in sizes(slow.calls)]
    assert swings[:8] == [2, 4, 6, 8, 10, 12, 13, 12]
    assert len(swings) > 60, "and it never ends"


def test_looks_cost_hardly_more_than_the_samples() -> None:
    """Three days, a new level every five minutes: 259,200 looks of a real controller."""
    rng = random.Random(1)  # noqa: S311  not for secrets
    script = [Use(at * 300 * SECOND, rng.randrange(100 * MIB, 15 * GIB)) for at in range(864)]
    host, looks = watched(HyperAlloc(duration=3 * 86400.0), script)
    assert looks <= len(script) + 1 + len(sizes(host.calls))
