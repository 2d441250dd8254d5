"""Who waits for memory, and how the kernel averages it: exact figures, and the plain model of psi.c beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.guest import GuestParameters
from sim.guest.pressure import PERIOD_US, Averages, Stalls
from sim.guest.report import Pressure
from sim.memory.zones import ZONE_MOVABLE
from tests.guest.machines import SIZE, small
from tests.plain import pressure as plain

if TYPE_CHECKING:
    from sim.guest import GuestModel

SECOND = 1_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def stalls(**parameters: float) -> tuple[Stalls, Clock]:
    """Return who waits in a guest, and its clock. Every page that is taken back directly costs a microsecond."""
    given = {"direct_user_share": 1.0, "direct_page_us": 1.0, "full_stall_share": 0.5, **parameters}
    made, clock = Stalls(GuestParameters(**given)), Clock()  # type: ignore[arg-type]
    made.clock = clock
    return made, clock


class Draws:
    """Random whole numbers from 0, or from a least one, to below another."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, low: int, high: int | None = None) -> int:
        return int(self._random.integers(low, high))

    def one_of(self, values: tuple[int, ...]) -> int:
        return values[self(len(values))]


def shown(pressure: Pressure) -> tuple[dict[int, str], dict[int, str]]:
    some = (pressure.some_avg10, pressure.some_avg60, pressure.some_avg300)
    full = (pressure.full_avg10, pressure.full_avg60, pressure.full_avg300)
    return tuple({w: f"{value:.2f}" for w, value in zip((10, 60, 300), row, strict=True)} for row in (some, full))  # type: ignore[return-value]


# Averages -------------------------------------------------------------------------------------------------------------


def test_averages_by_hand() -> None:
    """A period of nothing but waiting, 100 * 371 / 2048 is 18.12 percent; a period later 1,677 / 2,048 of that."""
    averages = Averages()
    assert averages.shown() == (0.0, 0.0, 0.0)
    averages.add(PERIOD_US)
    assert averages.shown() == (18.11, 3.27, 0.68)
    averages.add(0)
    assert averages.shown() == (14.83, 3.16, 0.67)


def test_waiting_all_the_time_is_a_hundred_percent_in_the_end_and_stays() -> None:
    averages = Averages()
    for _ in range(2000):
        averages.add(PERIOD_US)
    assert averages.shown() == (100.0, 100.0, 100.0)
    assert averages.settled(PERIOD_US)
    assert not averages.settled(PERIOD_US // 2)


def test_less_than_a_percent_of_a_period_is_nothing_to_the_averages() -> None:
    averages = Averages()
    averages.add(PERIOD_US // 100 - 1)
    assert averages.shown() == (0.0, 0.0, 0.0)
    averages.add(PERIOD_US // 100)
    assert averages.shown()[0] == 0.18


@pytest.mark.parametrize("seed", range(6))
def test_averages_are_those_of_the_plain_model(seed: int) -> None:
    random = Draws(seed)
    averages = Averages()
    stalled: list[int] = []
    for _ in range(60):
        kind = random(4)
        for time in {
            0: [0] * random(1, 40),
            1: [PERIOD_US] * random(1, 9),
            2: [random(PERIOD_US)],
            3: [0, random(PERIOD_US // 20)],
        }[kind]:
            averages.add(time)
            stalled.append(time)
        assert dict(zip((10, 60, 300), (f"{value:.2f}" for value in averages.shown()), strict=True)) == plain.averages(
            stalled
        )


# Stalls ---------------------------------------------------------------------------------------------------------------


def test_an_idle_guest_has_no_pressure_whatever_time_passes() -> None:
    made, clock = stalls()
    for now in (0, 1, PERIOD_US, 10**12):
        clock.now = now
        assert made.pressure() == Pressure()


def test_a_stall_lasts_from_when_it_was_caused() -> None:
    made, clock = stalls()
    clock.now = SECOND
    made.reclaimed(400_000, kernel=False)
    totals = []
    for now in (SECOND, SECOND + 100_000, SECOND + 400_000, 10 * SECOND):
        clock.now = now
        totals.append((made.pressure().some_total_us, made.pressure().full_total_us))
    assert totals == [(0, 0), (100_000, 50_000), (400_000, 200_000), (400_000, 200_000)]


@pytest.mark.parametrize("seed", range(4))
def test_stalls_are_those_of_the_plain_model_whoever_looks_when(seed: int) -> None:
    random = Draws(seed)
    looked, clock = stalls()
    unlooked, other = stalls()
    caused: list[tuple[int, int]] = []
    now = 0
    for _ in range(80):
        now += random.one_of((0, random(SECOND), random(SECOND), random(90 * SECOND)))
        clock.now = other.now = now
        if random(10) < 6:
            lasts = random.one_of((1, random(100_000), random(4 * SECOND)))
            caused.append((now, lasts))
            looked.reclaimed(lasts, kernel=False)
            unlooked.reclaimed(lasts, kernel=False)
        else:
            waits = plain.spent(caused, now)
            periods = plain.by_period(waits, now)
            found = looked.pressure()
            assert found.some_total_us == looked.total_us(now) == sum(to - since for since, to in waits)
            assert shown(found) == (plain.averages(periods), plain.averages([time // 2 for time in periods]))
            assert sum(time // 2 for time in periods) <= found.full_total_us <= found.some_total_us
    clock.now = other.now = now + 77 * SECOND
    assert looked.pressure() == unlooked.pressure()


def test_many_notes_are_worked_out_without_a_look_and_to_the_same() -> None:
    looked, clock = stalls()
    unlooked, other = stalls()
    for number in range(35_000):
        clock.now = other.now = number * 700_000
        looked.reclaimed(number % 50 * 1000, kernel=False)
        unlooked.reclaimed(number % 50 * 1000, kernel=False)
        if number % 1000 == 0:
            looked.pressure()
    assert looked.pressure() == unlooked.pressure()
    assert looked.pressure().some_total_us > SECOND


def test_parts_of_a_microsecond_add_up() -> None:
    made, clock = stalls(direct_page_us=0.25)
    for _ in range(10):
        made.reclaimed(1, kernel=False)
    clock.now = SECOND
    assert made.total_us(clock.now) == 2


# What makes somebody wait, in a guest ---------------------------------------------------------------------------------


def timed(**parameters: float) -> tuple[GuestModel, Clock]:
    model, clock = small(ZONE_MOVABLE, cma=0, **parameters), Clock()
    model.stalls.clock = clock
    return model, clock


def test_memory_that_is_free_is_had_without_waiting() -> None:
    model, clock = timed(direct_user_share=1.0, direct_kernel_share=1.0)
    model.demands.anonymous("a", 50_000)
    model.demands.page_tables("t", 20_000)
    clock.now = 60 * SECOND
    assert model.stalls.pressure() == Pressure()


def test_who_takes_page_cache_back_himself_waits_for_it() -> None:
    model, clock = timed(direct_user_share=1.0, direct_page_us=10.0, cache_active_share=0.0)
    model.demands.read_file("/f", 100_000)
    before = sum(zone.cache for zone in model.zones.values())
    model.demands.anonymous("a", 60_000)
    taken = before - sum(zone.cache for zone in model.zones.values())
    assert taken > 20_000
    clock.now = 60 * SECOND
    assert model.stalls.total_us(clock.now) == 10 * taken


def test_kernel_requests_take_back_a_part_of_their_own() -> None:
    model, clock = timed(direct_user_share=0.0, direct_kernel_share=0.5, direct_page_us=10.0, cache_active_share=0.0)
    model.demands.read_file("/f", 2 * SIZE)
    before = sum(zone.cache for zone in model.zones.values())
    model.demands.page_tables("t", 1000)
    taken = before - sum(zone.cache for zone in model.zones.values())
    clock.now = 60 * SECOND
    assert model.stalls.total_us(clock.now) == 5 * taken > 0


def test_what_an_administrator_drops_nobody_waits_for() -> None:
    model, clock = timed(direct_user_share=1.0, direct_kernel_share=1.0, cache_active_share=0.0)
    model.demands.read_file("/f", 100_000)
    model.demands.disk_files("/d", 1000)
    model.demands.drop_caches()
    clock.now = 60 * SECOND
    assert model.stalls.total_us(clock.now) == 0


def test_a_request_that_finds_nothing_tries_for_a_while_before_somebody_is_killed() -> None:
    model, clock = timed()
    assert len(model.demands.anonymous("a", 3 * SIZE).ooms) == 1
    clock.now = 60 * SECOND
    assert model.stalls.total_us(clock.now) == 68_000


def test_who_misses_pages_that_he_reads_again_and_again_waits_until_there_is_room() -> None:
    """A quarter of 100,000 pages is read every 60 s, at 100 us a page: 24,000 missing ones take 4 percent."""
    model, clock = timed()
    model.demands.read_file("/f", 100_000)
    model.demands.drop_caches()
    assert model.loads["/f"].lost == 25_000
    model.demands.read_file("/f", 1000)
    assert model.loads["/f"].lost == 24_250
    model.demands.shrink("/f", 1 / 101)
    clock.now = 200 * SECOND
    assert model.loads["/f"].lost == 25_000 - 990
    assert model.stalls.total_us(clock.now) == 8 * SECOND
    assert model.stalls.pressure().some_avg10 == 4.0
    model.demands.remove_files("/f")
    clock.now = 9000 * SECOND
    assert model.stalls.pressure() == Pressure(some_total_us=8 * SECOND, full_total_us=4 * SECOND)


def test_files_that_fit_or_are_wanted_no_more_make_nobody_wait() -> None:
    model, clock = timed()
    model.demands.read_file("/f", 100_000)
    model.demands.anonymous("a", 60_000)
    assert model.loads["/f"].user_pages() > 25_000
    assert model.loads["/f"].lost == 0
    model.demands.shrink("/f", 0.5)
    assert model.loads["/f"].lost == 0
    clock.now = 60 * SECOND
    assert model.stalls.pressure().some_avg10 == 0.0


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("cache_reuse_seconds", 0.0), ("refault_us", -1.0), ("direct_page_us", float("nan")), ("full_stall_share", 1.5)],
)
def test_parameters_that_make_no_sense_are_refused(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=name):
        GuestParameters(**{name: wrong})  # type: ignore[arg-type]
