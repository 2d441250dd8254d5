"""The PSI governor: when it asks and for how much, when it rests, what breaks the rest, and where it finds none."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from sim.devices.specs import VirtioMemSpec
from sim.guest.report import GuestReport, Pressure
from sim.units import GIB, MIB, MICROSECONDS
from tests.workloads.oscillation import turns
from tests.workloads.watched_guest import (
    ANSWERS,
    Answer,
    Use,
    WatchedGuest,
    random_script,
    same_with_all_looks,
    sizes,
    watched,
)
from workloads.parts.controllers.host_memory import HostMemory
from workloads.psi_governor import Law, PsiGovernor, Room

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = MICROSECONDS
RANGE = 3584 * MIB
LAW: Law = PsiGovernor()._law  # noqa: SLF001  the published constants as they are handed on


def report(available: int, total: int = 1000 * MIB, *, some: float = 0.0, full: float = 0.0) -> GuestReport:
    """A guest of which ``available`` MiB are available, with these averages of 10 seconds in percent."""
    return GuestReport(total, 0, available * MIB, 0, pressure=Pressure(some_avg10=some, full_avg10=full))


# What a sample wants ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "wants"),
    [
        (report(199), "growth"),
        (report(200), ""),
        (report(450), ""),
        (report(451), "shrink"),
        (report(900, some=9.99), "shrink"),
        (report(900, some=10.0), "growth"),
        (report(300, some=10.0), "growth"),
        (report(300, full=50.0), ""),
    ],
    ids=str,
)
def test_the_published_limits_say_what_a_sample_wants(sample: GuestReport, wants: str) -> None:
    assert (LAW.wants_growth(sample), LAW.wants_shrink(sample)) == (wants == "growth", wants == "shrink")


@pytest.mark.parametrize(
    ("sample", "emergency"), [(report(79), True), (report(80), False), (report(500, full=10.0), True)], ids=str
)
def test_the_published_limits_say_what_is_an_emergency(sample: GuestReport, *, emergency: bool) -> None:
    assert LAW.is_emergency(sample) is emergency


def test_a_kernel_without_psi_is_judged_by_what_is_available_alone() -> None:
    law: Law = PsiGovernor(pressure=False)._law  # noqa: SLF001
    sample = report(460, some=90.0, full=90.0)
    assert (law.wants_growth(sample), law.wants_shrink(sample), law.is_emergency(sample)) == (False, True, False)


# By how much -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "available", "grown"),
    [
        (1000, 100, 350),  # to 45 %
        (1000, 199, 256),  # 251 would do, 256 are the least
        (4000, 0, 1792),  # 1800 would be needed, half of the range is the most
        (1001, 100, 352),  # 350.45: whole device blocks
    ],
)
def test_it_grows_to_45_percent_within_its_steps(total: int, available: int, grown: int) -> None:
    assert LAW.grown(GIB, report(available, total * MIB)) - GIB == grown * MIB


def test_it_shrinks_by_half_of_the_range_and_not_below_the_minimum() -> None:
    assert LAW.shrunk(3 * GIB) == 3 * GIB - RANGE // 2
    assert LAW.shrunk(GIB) == 0
    assert LAW.grown(RANGE - 100 * MIB, report(0)) == RANGE


@pytest.mark.parametrize(
    ("maximum", "grown", "shrunk"), [(128, 128, 0), (400, 256, 0), (600, 300, 88), (1200, 450, 600)]
)
def test_in_a_small_range_the_least_steps_count(maximum: int, grown: int, shrunk: int) -> None:
    law: Law = PsiGovernor(maximum=maximum * MIB)._law  # noqa: SLF001
    assert law.grown(0, report(0)) == grown * MIB
    assert law.shrunk(maximum * MIB) == shrunk * MIB


# When ------------------------------------------------------------------------------------------------------------

BOOT = 2000 * MIB


def asked(script: Sequence[tuple[float, int, float]], end: int = 400, **parameters: object) -> list[tuple[float, int]]:
    """Return (seconds, MiB) of what is asked for in a guest of 2000 MiB: from seconds on, MiB used, percent waiting."""
    uses = [Use(round(at * SECOND), used * MIB, waiting=waiting) for at, used, waiting in script]
    host, _ = watched(PsiGovernor(**parameters), uses, boot=BOOT, end_us=end * SECOND)  # type: ignore[arg-type]
    return [(at, size // MIB) for at, size in sizes(host.calls)]


def test_it_attaches_a_device_of_its_range() -> None:
    host, _ = watched(PsiGovernor(node=1, device="v", minimum=GIB, duration=0.5), [Use(0, 0)])
    assert host.calls == [(0, "plug", "v", VirtioMemSpec("v", RANGE, 1, 2 * MIB, GIB))]


def test_it_looks_first_ten_seconds_after_boot_and_grows_at_the_first_bad_sample() -> None:
    """1700 of 2000 used: 300 available, 900 would be 45 %."""
    assert asked([(0, 1700, 0)], end=60) == [(10.0, 600)]


def test_it_looks_every_five_seconds() -> None:
    assert asked([(0, 1500, 0), (11, 1700, 0)], end=60) == [(15.0, 600)]


def test_pressure_alone_makes_it_grow_and_an_old_one_has_faded() -> None:
    """Half is available, so the least step; 20 percent fade to 10 in seven seconds."""
    assert asked([(0, 1000, 0), (9, 1000, 20)], end=60) == [(10.0, 256)]
    assert asked([(0, 1000, 0), (7.5, 1000, 20), (7.6, 1000, 11)], end=60) == []


def test_after_a_growth_it_rests_for_a_minute_and_looks_every_two_seconds() -> None:
    """2100 of then 2600 used leave 19 percent; looks at 10, 12, 17, ..., 67, and from then on every two seconds."""
    assert asked([(0, 1700, 0), (63, 2100, 0)], end=120) == [(10.0, 600), (71.0, 1270)]


def test_an_emergency_breaks_the_rest() -> None:
    """2500 of 2600 used: 4 percent."""
    assert asked([(0, 1700, 0), (23, 2500, 0)], end=40) == [(10.0, 600), (27.0, 1670)]


def test_everybody_waiting_breaks_the_rest_too() -> None:
    """The full average is half of the other in this guest: 20 percent at 24 s, 14.8 at 27, 12.1 at 29, 9.9 at 31."""
    assert asked([(0, 1700, 0), (24, 1700, 40)], end=60) == [(10.0, 600), (27.0, 870), (29.0, 1126)]


def test_it_shrinks_after_five_good_samples_and_then_rests_for_two_minutes() -> None:
    """Little is used from 100 on: seen at 102, the fifth time at 122. At 123 it has 85 percent in use, no emergency."""
    quiet = [(0, 1990, 0), (100, 500, 0), (123, 1700, 0)]
    assert asked(quiet) == [(10.0, 890), (122.0, 0), (243.0, 600)]
    assert asked([*quiet, (200, 1990, 0)]) == [(10.0, 890), (122.0, 0), (201.0, 890)], "unless there is an emergency"


def test_one_bad_sample_begins_the_count_anew() -> None:
    pattern = [(0, 1990, 0), (100, 500, 0), (113, 1800, 0), (118, 500, 0)]
    assert asked(pattern, end=200) == [(10.0, 890), (142.0, 0)]


def test_samples_are_counted_while_it_rests() -> None:
    """Far more than five good samples lie behind it when the minute is over: the next look is at 72."""
    assert asked([(0, 1990, 0), (12, 500, 0)], end=200) == [(10.0, 890), (72.0, 0)]


# What is refused -------------------------------------------------------------------------------------------------


def test_a_size_that_is_not_in_whole_blocks_is_asked_for_as_it_is() -> None:
    """45 % of 2001 MiB are 900.45 MiB, 301 are available."""
    host, _ = watched(PsiGovernor(unaligned="refused"), [Use(0, 1700 * MIB)], boot=2001 * MIB, end_us=20 * SECOND)
    assert sizes(host.calls) == [(10.0, int(900.45 * MIB) - 301 * MIB)]
    assert [size % (2 * MIB) for _, size in sizes(host.calls)] != [0]


def test_what_the_host_refuses_is_asked_for_again_after_the_rest() -> None:
    """85 percent are used: looked at every two seconds, asked again after a minute."""
    found: list[tuple[float, int]] = []

    def refuse(guest: WatchedGuest, device: str, requested: int) -> bool:
        del device
        found.append((guest.env.now / SECOND, requested // MIB))
        return False

    with mock.patch.object(WatchedGuest, "resize", refuse):
        watched(PsiGovernor(), [Use(0, 1700 * MIB)], boot=BOOT, end_us=140 * SECOND)
    assert found == [(10.0, 600), (70.0, 600), (130.0, 600)]


def test_what_the_guest_does_not_give_is_not_seen() -> None:
    """The guest keeps all that it has when it is asked back; the next growth counts from what was asked for."""
    script = [Use(0, 1990 * MIB), Use(100 * SECOND, 500 * MIB), Use(200 * SECOND, 2500 * MIB)]

    def arrive(guest: WatchedGuest, device: str, size: int, reaches: float, *, gone: bool) -> None:
        del reaches, gone
        guest.has[device] = max(size, guest.has[device])
        guest.tell_of_change()

    with mock.patch.object(WatchedGuest, "_arrive", arrive):
        host, _ = watched(PsiGovernor(), script, boot=BOOT, end_us=400 * SECOND)
    # 390 of 2890 MiB are left: 910.5 to 45 percent, of which 20.5 is all that is more than what it has.
    assert [(at, size // MIB) for at, size in sizes(host.calls)][:3] == [(10.0, 890), (122.0, 0), (242.0, 912)]


def test_a_host_without_room_is_asked_at_each_look_and_not_before() -> None:
    """64 GiB, of which 5 percent have to stay: the growth by 600 MiB has to wait until others leave at 33 s."""
    use = [[0, 64 * GIB - 3800 * MIB], [33, 64 * GIB - 3876 * MIB - 600 * MIB]]
    assert asked([(0, 1700, 0)], end=60, host_memory=64 * GIB, host_use=use) == [(34.0, 600)]


def test_a_host_keeps_a_twentieth_or_a_gibibyte() -> None:
    small, large = Room(8 * GIB, [[0, 4 * GIB]], 0.05), Room(100 * GIB, None, 0.05)
    assert [small.has(2 * GIB, 0, GIB), small.has(2 * GIB + 1, 0, GIB)] == [True, False]
    assert [large.has(95 * GIB, 0, 0), large.has(95 * GIB + 1, 0, 0)] == [True, False]
    assert Room(0, None, 0.05).has(1 << 50, 0, 0)


def test_what_others_use_of_a_host_holds_from_its_time_on() -> None:
    host = HostMemory(10 * GIB, [[5, 2 * GIB], [10, 3 * GIB]])
    assert [host.used(at * SECOND, GIB) // GIB for at in (0, 4, 5, 9, 10, 99)] == [1, 1, 3, 3, 4, 4]
    assert host.available(10 * SECOND, 9 * GIB) == 0


# A thousand random ones ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ANSWERS)
def test_random_guests_stay_within_bounds_and_skipped_looks_ask_for_nothing(answer: Answer) -> None:
    for seed in range(250):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        script = random_script(rng, most=6 * GIB, span_us=300 * SECOND, period_us=5 * SECOND)
        low = rng.randrange(0, 512) * 2 * MIB
        controller = PsiGovernor(minimum=low, maximum=low + rng.randrange(1, 2048) * 2 * MIB)
        calls = same_with_all_looks(controller, script, answer=answer, seed=seed, boot=GIB, end_us=400 * SECOND)
        law = controller._law  # noqa: SLF001
        asked_for = sizes(calls)
        assert all(law.minimum <= size <= law.maximum for _, size in asked_for)
        for (before, _), (after, _) in pairwise(asked_for):
            assert after - before >= 2


def test_on_constant_demand_it_swings_only_in_guests_whose_least_step_is_too_much() -> None:
    """More than 80 % used, and with 256 MiB more less than 55 %: possible under 451 MiB of use in a guest of 563 MiB.

    What a growth adds beyond its least step never leads to more than 45 % available.
    """
    swings = 0
    for seed in range(1000):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        boot = rng.choice((rng.randrange(64, 640), rng.randrange(64, 4096))) * MIB
        maximum = rng.choice((128, 256, 512, 1024, 3584, 7000)) * MIB
        used = int(boot * rng.uniform(0.1, 1.0)) if rng.random() < 0.8 else rng.randrange(boot + maximum)
        found = turns(PsiGovernor(maximum=maximum), used, boot=boot, seconds=2000)
        if 0.8 * boot < used < 0.55 * (boot + min(256 * MIB, maximum)):
            assert found > 10, (boot / MIB, maximum / MIB, used / MIB)
            swings += 1
        elif used >= 451 * MIB or boot >= 564 * MIB:
            assert found <= 1, (boot / MIB, maximum / MIB, used / MIB)
    assert swings > 20


def test_a_sandbox_of_512_mib_swings_between_two_sizes_every_three_minutes() -> None:
    """MemTotal 484 MiB, 400 used: 17 % are left, with 256 MiB more 46 %."""
    host, _ = watched(PsiGovernor(), [Use(0, 400 * MIB)], boot=484 * MIB, end_us=600 * SECOND)
    assert sizes(host.calls) == [
        (10.0, 256 * MIB), (72.0, 0), (193.0, 256 * MIB), (255.0, 0), (376.0, 256 * MIB), (438.0, 0), (559.0, 256 * MIB)
    ]  # fmt: skip


def test_from_any_past_a_guest_that_is_large_enough_comes_to_rest() -> None:
    for seed in range(200):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        before = random_script(rng, most=5 * GIB, span_us=200 * SECOND, period_us=5 * SECOND)
        used = rng.randrange(5 * 1024) * MIB
        assert turns(PsiGovernor(), used, boot=GIB, seconds=1500, before=before) <= 2
