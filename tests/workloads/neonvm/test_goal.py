"""How many units a guest should have: limits by hand, and the figures of the source's own tests."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from sim.guest.report import GuestReport
from sim.units import GIB, MIB, MICROSECONDS
from workloads.neonvm.goal import FileCache, Metrics, Targets, highest_ahead, true_working_set

TARGETS = Targets(
    unit=GIB,
    usage_share=0.75,
    total_share=0.9,
    cache_share=0.75,
    window=5,
    wait=5,
    largest_window=False,
    steepest=3.0,
    ahead=0.5,
)
MINUTE = 60 * MICROSECONDS


def test_usage_is_what_is_not_available_and_a_little_for_the_kernel() -> None:
    report = GuestReport(total=4 * GIB, free=GIB, available=3 * GIB, cached=2 * GIB)
    assert Metrics.of(report, 100 * MIB) == Metrics(GIB + 100 * MIB, 2 * GIB)


@pytest.mark.parametrize(
    ("usage", "units"),
    [(0, 0), (1, 1), (768 * MIB, 1), (768 * MIB + 1, 2), (1536 * MIB, 2), (6 * GIB, 8), (6 * GIB + MIB, 9)],
)
def test_without_a_file_cache_three_quarters_of_the_memory_may_be_in_use(usage: int, units: int) -> None:
    assert TARGETS.units(Metrics(usage, 50 * GIB)) == units


def test_the_largest_of_three_counts() -> None:
    """Usage 3 GiB: 4 units. With 2.4 GiB of cache in use 5.4 / 0.9. With 6 GiB of it, of which 1 is there, 6 / 0.75."""
    flat = [round(2.4 * GIB)] * 60
    assert TARGETS.units(Metrics(3 * GIB, 0), [0] * 60) == 4
    assert TARGETS.units(Metrics(3 * GIB, 8 * GIB), flat) == 7, "5.4 GiB and what is lost in rounding"
    assert TARGETS.units(Metrics(3 * GIB, 8 * GIB), [2 * GIB] * 60) == 6
    assert TARGETS.units(Metrics(3 * GIB, GIB), [6 * GIB] * 60) == 8


def test_the_working_set_ends_where_the_windows_rise_steeply() -> None:
    plateau = [*range(1, 11), 10, 10, 10, 10, 10, *range(11, 21)]
    assert true_working_set(plateau, first=9, window=5, steepest=2.0) == 10
    early = [1, 2, 3, 3, 3, 3, 3, *range(4, 12)]
    assert true_working_set(early, first=9, window=5, steepest=2.0) == 11


def test_rises_are_taken_to_go_on() -> None:
    assert highest_ahead([50, 60, 70, 80, 90, 100, 100], 0.5) == 105
    assert highest_ahead([0, 30, 50, 60], 2.0) == 90
    assert highest_ahead([7, 3], 1.0) == 7


def test_what_is_in_use_in_the_next_minute_is_seen_coming() -> None:
    """A GiB more with each minute, up to 6; from the ninth on it is 60: too steep as seen from the fifth."""
    series = [GIB * (1 + min(at, 5)) for at in range(8)] + [60 * GIB] * 52
    assert TARGETS.working_set(series) == 5.5 * GIB
    assert replace(TARGETS, largest_window=True).working_set(series) == 87 * GIB


def plain_working_sets(readings: list[tuple[int, int]], now: int) -> list[int]:
    return [max(size for at, size in readings if now - minutes * MINUTE < at <= now) for minutes in range(1, 61)]


def test_the_file_cache_remembers_the_most_of_each_window_though_readings_are_left_out() -> None:
    for seed in range(3):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        cache = FileCache(15 * MICROSECONDS)
        readings: list[tuple[int, int]] = []
        size = rng.randrange(100)
        for step in range(300):
            if rng.random() < 0.1:
                size = rng.randrange(100)
            now = step * 15 * MICROSECONDS
            readings.append((now, size))
            if cache.last != size or rng.random() < 0.2:
                cache.read(now, size)
                assert cache.working_sets(now) == plain_working_sets(readings, now)
                assert cache.settled == (set(cache.working_sets(now)) == {size})
