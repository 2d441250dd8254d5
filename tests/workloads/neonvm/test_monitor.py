"""The monitor in the guest: when it finds memory short, what it allows, and that left out samples change nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sim.units import GIB, MIB, MICROSECONDS
from workloads.neonvm.monitor import Limits, Monitor

TENTH = MICROSECONDS // 10
LIMITS = Limits(
    sample_us=TENTH,
    samples=5,
    reserved_share=0.15,
    system=100 * MIB,
    margin=100 * MIB,
    ask_every_us=MICROSECONDS,
)


def test_the_threshold_leaves_a_share_free_of_what_the_guest_counts_as_its_memory() -> None:
    assert LIMITS.threshold(GIB) == int(924 * MIB * 0.85)
    assert LIMITS.threshold(50 * MIB) == 0


@pytest.mark.parametrize(("anonymous", "allowed"), [(685 * MIB, True), (686 * MIB, False)])
def test_a_size_is_allowed_with_a_margin_below_its_threshold(anonymous: int, allowed: bool) -> None:  # noqa: FBT001
    """924 MiB x 0.85 = 785.4 MiB, less 100."""
    monitor = Monitor(LIMITS, 4 * GIB)
    monitor.sample(0, anonymous)
    assert monitor.allows(GIB) is allowed


def test_it_asks_when_the_mean_of_five_samples_has_come_to_the_threshold() -> None:
    monitor = Monitor(LIMITS, 1000)  # 850
    asked = [monitor.sample(at * TENTH, 0 if at < 10 else 1000) for at in range(20)]
    assert asked.index(True) == 14, "200, 400, 600, 800, 1000"
    assert asked.count(True) == 1


def test_it_asks_again_each_second_for_as_long_as_memory_is_short() -> None:
    monitor = Monitor(LIMITS, 1000)
    asked = [at for at in range(50) if monitor.sample(at * TENTH, 850 if 3 < at < 31 else 0)]
    assert asked == [8, 18, 28]


def test_samples_that_are_left_out_change_nothing() -> None:
    """One monitor sees every sample, another only the first after each change and those that it says it needs."""
    for seed in range(200):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        limits = replace(LIMITS, system=10, margin=20)
        every, few = Monitor(limits, 1000), Monitor(limits, 1000)
        anonymous = 0
        plain: list[int] = []
        looks = 0
        due = True
        for at in range(400):
            now = at * TENTH
            if rng.random() < 0.08:
                anonymous, due = rng.randrange(1200), True
            plain += [now] if every.sample(now, anonymous) else []
            told = rng.random() < 0.02
            if due or told:
                looks += 1
                few.catch_up(now)
                few.sample(now, anonymous)
                assert few.asked_us == every.asked_us
                assert few.allows(700) == every.allows(700)
                if told:
                    size = rng.randrange(800, 2000)
                    every.told(size)
                    few.told(size)
                due = few.wavers
        assert looks < 400
        assert every.asked_us == (plain[-1] if plain else None)
