"""NeonVM's autoscaler on a guest: when it asks, when it rests, what it asks again, and how seldom it has to look."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from sim.devices.specs import VirtioMemSpec
from sim.units import GIB, MIB, MICROSECONDS
from tests.workloads.watched_guest import ANSWERS, Answer, Use, random_script, same_with_all_looks, sizes, watched
from workloads.neonvm import NeonVM

SECOND = MICROSECONDS
HOST: dict[str, Any] = {"host_memory": 6 * GIB, "host_use": [[0.0, GIB], [80.0, 4 * GIB], [150.0, 0]]}


def asked(controller: NeonVM, *script: Use, answer: Answer = "prompt") -> list[tuple[float, int]]:
    """Return (seconds, units of the guest) of what is asked for; the guest boots with a unit."""
    host, _ = watched(controller, script, answer=answer, boot=GIB)
    return [(at, 1 + size // GIB) for at, size in sizes(host.calls)]


def test_it_attaches_a_device_of_what_is_beyond_the_least() -> None:
    host, _ = watched(NeonVM(minimum=2, maximum=16, node=1, device="v", duration=1.0), [Use(0, 0)], boot=2 * GIB)
    assert host.calls == [(0, "plug", "v", VirtioMemSpec("v", 14 * GIB, 1, 8 * MIB))]
    assert list(NeonVM(node=1).node_capacity()) == [1]


def test_it_asks_two_answers_after_it_has_read_a_usage_above_the_target() -> None:
    """Read at 2.5, 7.5, 12.5. 668 MiB and 100 for the kernel are three quarters of a unit, a MiB more is not."""
    work = NeonVM(duration=60.0)
    assert asked(work, Use(0, 600 * MIB), Use(3 * SECOND, 668 * MIB)) == []
    assert asked(work, Use(0, 600 * MIB), Use(3 * SECOND, 669 * MIB)) == [(7.7, 2)]
    assert asked(NeonVM(answer=0.0, duration=60.0), Use(0, 0), Use(3 * SECOND, 669 * MIB)) == [(7.5, 2)]


def test_it_shrinks_at_the_next_reading_a_unit_at_a_time() -> None:
    work = NeonVM(duration=60.0)
    found = asked(work, Use(0, 2000 * MIB), Use(20 * SECOND, 100 * MIB))
    assert found[-2:] == [(22.7, 2), (22.8, 1)]
    assert found[-3][1] == 3


def test_the_guest_wishes_for_more_before_usage_is_read() -> None:
    """Of 1,024 MiB 880 are over 85 %, in the mean of five samples from 3.4 on.

    The wish is over at 13.4, but the guest denies to shrink until memory is given back at 30.
    """
    work = NeonVM(start=0.0, period=60.0, duration=50.0)
    found = asked(work, Use(0, 600 * MIB), Use(3 * SECOND, 880 * MIB), Use(30 * SECOND, 600 * MIB))
    assert found == [(3.6, 2), (34.0, 1)], "asked at 13.4, 18.5, 23.6, 28.7 and 33.8"


def test_of_a_host_that_is_full_it_takes_what_there_is_and_asks_for_the_rest_every_two_seconds() -> None:
    """The guest wishes for more at 20, 21 and 22; the last was not permitted, and is asked for at 24, 26 and so on."""
    work = NeonVM(host_memory=4 * GIB, host_use=[[0.0, 2 * GIB], [31.0, GIB], [51.0, 0]], duration=70.0)
    assert asked(work, Use(0, 100 * MIB), Use(20 * SECOND, 4 * GIB)) == [
        (20.2, 2),
        (21.2, 3),
        (32.2, 4),
        (52.2, 5),
    ]


def test_a_guest_that_falls_short_is_believed_to_have_all_of_it() -> None:
    """What it does not reach it goes on trying by itself; the agent asks for nothing a second time."""
    found = asked(NeonVM(duration=100.0), Use(0, 0), Use(3 * SECOND, 4 * GIB), answer="short")
    assert len(found) == len({units for _, units in found})


def test_page_cache_counts_with_the_file_cache_alone_and_for_as_long_as_it_was_in_use() -> None:
    use = [Use(0, 400 * MIB), Use(50 * SECOND, 400 * MIB, 2 * GIB), Use(200 * SECOND, 400 * MIB)]
    assert asked(NeonVM(duration=900.0), *use) == []
    with_it = asked(NeonVM(file_cache=True, duration=900.0), *use)
    assert next(units for _, units in with_it) in (3, 4)
    assert with_it[0][0] < 63
    assert with_it[-1][1] == 1
    assert 197.5 + 300 < with_it[-1][0] < 197.5 + 301, "what was in use within the last five minutes still is"


def cases(rng: random.Random) -> NeonVM:
    """Return an autoscaler of one of many kinds."""
    kinds: list[dict[str, Any]] = [{}, {}, HOST, {"file_cache": True}, {"answer": 0.0}, {"answer": 1.0}]
    kinds += [{"reserved": 0.5, "margin": 512 * MIB}, {"maximum": 3}, {"unit": 256 * MIB, "minimum": 4, "maximum": 20}]
    return NeonVM(**rng.choice(kinds))


@pytest.mark.parametrize("answer", ANSWERS)
def test_skipped_looks_ask_for_nothing(answer: Answer) -> None:
    for seed in range(5):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        script = random_script(rng, most=9 * GIB, span_us=150 * SECOND, period_us=5 * SECOND)
        controller = cases(rng)
        same_with_all_looks(controller, script, answer=answer, seed=seed, boot=GIB, end_us=200 * SECOND)


@pytest.mark.parametrize("guests", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_on_random_demand_it_stays_in_its_bounds_and_comes_to_rest(guests: int) -> None:
    """Guests that use what they do for random times, and from 600 s on the same; within two minutes it is done.

    The fake device refuses sizes beyond its bounds. A guest that falls short of what was asked for reports no more
    usage than it has memory, so its demand is constant only in its own eyes.
    """
    requests = 0
    for seed in range(guests):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        script = random_script(rng, most=9 * GIB, span_us=600 * SECOND, period_us=100 * SECOND)
        last = Use(600 * SECOND, rng.randrange(9 * GIB), rng.randrange(GIB))
        work = NeonVM(duration=1500.0)
        answer = rng.choice(ANSWERS)
        host, _ = watched(work, [*script, last], answer=answer, seed=seed, boot=GIB)
        found = sizes(host.calls)
        requests += len(found)
        assert all(size % GIB == 0 and 0 <= size <= 7 * GIB for _, size in found)
        after = [size for at, size in found if at > 606]  # what was under way is done
        steps = [then - before for before, then in pairwise(after)]
        assert rests_after_wish(steps) or answer in ("short", "moody")
        assert not [at for at, _ in found if at > 720]
    assert requests > 5 * guests


def rests_after_wish(steps: list[int]) -> bool:
    """Whether it went up, and then down for good: the guest wished for more than its usage is worth."""
    down = next((at for at, step in enumerate(steps) if step < 0), len(steps))
    return all(step > 0 for step in steps[:down]) and all(step < 0 for step in steps[down:])


def test_looks_cost_hardly_more_than_the_samples() -> None:
    """Three days, a new level every five minutes: 51,840 readings of usage and 2,592,000 samples of the guest's own."""
    rng = random.Random(1)  # noqa: S311  not for secrets
    script = [Use(at * 300 * SECOND, rng.randrange(100 * MIB, 6 * GIB)) for at in range(864)]
    host, looks = watched(NeonVM(duration=3 * 86400.0), script, boot=GIB)
    resizes = len(sizes(host.calls))
    assert resizes > 500
    assert looks < 3 * len(script) + 4 * resizes
