"""Levels as shares, presets, rests, the host's own limit, and a thousand random guests."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from sim.plugins.parameters import ParameterError
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
from workloads.parts.controllers.level import Level
from workloads.watermark import PRESETS, Rule, Watermark

if TYPE_CHECKING:
    from collections.abc import Iterable

SECOND = MICROSECONDS


def asked(
    script: Iterable[tuple[float, int]],
    end: int,
    **parameters: Any,  # noqa: ANN401  whatever they are
) -> list[tuple[float, int]]:
    """Return (seconds, MiB) of what is asked for in a guest of 1000 MiB that uses so many MiB from seconds on."""
    uses = [Use(round(at * SECOND), used * MIB) for at, used in script]
    host, _ = watched(Watermark(**parameters), uses, boot=1000 * MIB, end_us=end * SECOND)
    return [(at, size // MIB) for at, size in sizes(host.calls)]


def test_a_share_grows_with_the_guest() -> None:
    """Less than 20 percent are left of 1000, 1256, 1512 and, with 301, of 1768 MiB; 557 of 2024 are more."""
    assert asked([(0, 1467)], 20, low=0.2) == [(float(second), 256 * (second + 1)) for second in range(4)]


def test_a_target_share_counts_the_growth_in() -> None:
    """940 used are half of 1880: 880 more, to which 896 is the nearest multiple of 128, and 768 of 256."""
    assert asked([(0, 940)], 20, low=0.2, target=0.5, step=128 * MIB) == [(0.0, 896)]
    assert asked([(0, 940)], 20, low=0.2, target=0.5, high=0.6) == [(0.0, 768)]


def test_it_shrinks_to_a_target_share() -> None:
    """At first nothing is left of 1000; then 1900 are half of 3800, 1400 of 2800, 400 of less than it boots with."""
    found = asked([(0, 1900), (1.5, 1400), (4.5, 400)], 9, low=0.2, target=0.5, high=0.6, step=128 * MIB, shrink_rest=3)
    assert found == [(0.0, 1024), (1.0, 2816), (4.0, 1792), (7.0, 0)]


def test_a_rest_keeps_it_from_growing_too() -> None:
    assert asked([(0, 1467)], 14, low=0.2, grow_rest=5.0) == [(0.0, 256), (5.0, 512), (10.0, 768)]


def test_with_free_memory_counted_page_cache_is_in_use() -> None:
    script = [Use(0, 300 * MIB, cached=600 * MIB)]
    for counts, calls in (("available", []), ("free", [(0.0, 256 * MIB)])):
        host, _ = watched(Watermark(low=0.2, counts=counts), script, boot=1000 * MIB, end_us=9 * SECOND)
        assert sizes(host.calls) == calls


PROXMOX: dict[str, Any] = {"preset": "proxmox", "start": 60.0}


def test_proxmox_looks_every_minute_and_moves_by_512_mib() -> None:
    """Above 85 percent of 1000, then of 1512 MiB; below 25 percent at 250 s: of 2024, of 1512, and of 1000 MiB."""
    found = asked([(0, 850), (61, 1300), (250, 200)], 700, **PROXMOX)
    assert found == [(120.0, 512), (180.0, 1024), (300.0, 512), (360.0, 0)]


def test_proxmox_1_7_needs_two_low_readings_and_rests_for_its_five_minutes() -> None:
    work = {"preset": "proxmox-1.7", "start": 300.0}
    assert asked([(0, 900), (301, 1500), (601, 200)], 4000, **work) == [
        (300.0, 512),
        (600.0, 1024),
        (1200.0, 512),
        (1800.0, 0),
    ]


def test_a_host_that_is_full_is_not_looked_at_and_its_readings_do_not_count() -> None:
    """Low readings at 600, 900 (full), 1200 s."""
    room = {"host_memory": 100 * GIB, "host_use": [[0, 0], [800, 95 * GIB], [1000, 0]]}
    work = {"preset": "proxmox-1.7", "start": 300.0, **room}
    assert asked([(0, 900), (301, 200)], 2000, **work) == [(300.0, 512), (1200.0, 0)]


def test_what_the_host_refuses_is_asked_for_again_at_the_next_look_whatever_the_rest() -> None:
    found: list[float] = []

    def refuse(guest: WatchedGuest, device: str, requested: int) -> bool:
        del device, requested
        found.append(guest.env.now / SECOND)
        return False

    with mock.patch.object(WatchedGuest, "resize", refuse):
        asked([(0, 900)], 200, **PROXMOX, grow_rest=300.0)
    assert found == [60.0, 120.0, 180.0]


@pytest.mark.parametrize(
    ("written", "value"), [("15%", 0.15), ("0.5%", 0.005), (0.15, 0.15), ("256MiB", 256 * MIB), (0, 0)]
)
def test_levels_are_read_as_people_write_them(written: object, value: float) -> None:
    read = Level().read(written)
    assert (read, type(read)) == (value, type(value))
    assert not list(Level().complaints(read))


@pytest.mark.parametrize("wrong", ["x%", "%", "nan%", "15 percent", True, None, [1]])
def test_what_is_no_level_is_told_in_words(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"is no share|no size|not a size|cannot|must|size"):
        Level().read(wrong)


def test_shares_are_from_none_to_all() -> None:
    assert [bool(list(Level().complaints(level))) for level in (-0.1, 0.0, 1.0, 1.1, float("nan"))] == [
        True, False, False, True, True,
    ]  # fmt: skip


def test_every_preset_names_the_same_parameters() -> None:
    assert {frozenset(preset) for preset in PRESETS.values()} == {frozenset(PRESETS["plain"])}


def test_what_is_given_goes_before_the_preset() -> None:
    assert asked([(0, 900)], 130, **PROXMOX, step=256 * MIB, period=30.0) == [(60.0, 256)]


FULL = {"host_memory": 100 * GIB, "host_use": [[0, 91 * GIB], [200, 80 * GIB]]}


def test_a_host_above_its_limit_stops_growth_and_with_proxmox_all() -> None:
    grows, shrinks = [(0, 900)], [(0, 10)]
    assert asked(grows, 290, **PROXMOX, **FULL) == [(240.0, 512)]
    assert asked(shrinks, 290, **PROXMOX, **FULL, minimum=0, maximum=GIB) == []
    full_later = FULL | {"host_use": [[0, 0], [100, 95 * GIB], [350, 0]]}
    back = [(0, 900), (61, 200)]
    assert asked(back, 500, **PROXMOX, **full_later) == [(60.0, 512), (360.0, 0)]
    assert asked(back, 500, **PROXMOX, **full_later, host_stops="growth") == [(60.0, 512), (120.0, 0)]


def test_the_host_counts_the_device_itself() -> None:
    """90.5 GiB of 100 with the first step; the limit is no longer kept, and nothing more is asked for."""
    room = {"host_memory": 100 * GIB, "host_use": [[0, 90 * GIB]]}
    assert asked([(0, 5000)], 500, **PROXMOX, **room) == [(60.0, 512)]


@pytest.mark.parametrize(
    ("low", "high", "target", "message"),
    [
        (GIB, GIB + 255 * MIB, 0, "at least 1280MiB, where a growth may lead, or it would grow and shrink in turn"),
        (GIB, 2 * GIB, 2 * GIB, "at least 2176MiB"),
        (0.2, 0.2, 0, "more than 20%"),
        (0.2, 0.4, 0.4, "more than 40%"),
    ],
)
def test_levels_without_rest_between_them_are_refused(low: float, high: float, target: float, message: str) -> None:
    with pytest.raises(ParameterError, match=f"^high: must be {re.escape(message)}"):
        Watermark(low=low, high=high, target=target)


# A thousand random ones -------------------------------------------------------------------------------------


def random_watermark(rng: random.Random) -> Watermark:
    step = rng.randrange(1, 512) * 2 * MIB
    low = rng.randrange(1, 1024) * MIB
    target = rng.choice((0, low + rng.randrange(1, 1024) * MIB))
    high = max(low + step, target + step // 2) + rng.choice((0, rng.randrange(2048) * MIB))
    minimum = rng.randrange(512) * 2 * MIB
    return Watermark(
        low=low, target=target, high=rng.choice((0, high)), step=step, shrink_step=rng.choice((0, step, 3 * step)),
        minimum=minimum, maximum=minimum + rng.randrange(1, 4096) * 2 * MIB, period=rng.choice((1.0, 5.0, 0.7)),
        start=rng.choice((0.0, 3.3)), delay=rng.choice((0.0, 0.0, 0.7, 8.0)), shrink_looks=rng.choice((1, 3)),
        grow_rest=rng.choice((0.0, 30.0)), shrink_rest=rng.choice((0.0, 60.0)),
    )  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_random_guests_stay_within_bounds_and_skipped_looks_ask_for_nothing(answer: Answer) -> None:
    for seed in range(250):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        work = random_watermark(rng)
        script = random_script(rng, most=8 * GIB, span_us=200 * SECOND, period_us=SECOND)
        calls = same_with_all_looks(work, script, answer=answer, seed=seed, boot=GIB, end_us=300 * SECOND)
        rule: Rule = work._rule  # noqa: SLF001
        assert all(rule.minimum <= size <= rule.maximum for _, size in sizes(calls))


def test_levels_in_bytes_come_to_rest_on_constant_demand_from_any_past() -> None:
    for seed in range(1000):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        before = random_script(rng, most=5 * GIB, span_us=30 * SECOND, period_us=SECOND) if seed % 2 else ()
        work = random_watermark(rng)
        assert turns(work, rng.randrange(8 * 1024) * MIB, boot=GIB, seconds=600, before=before) <= 2


def test_proxmox_swings_only_where_a_step_is_more_than_2_4_times_the_guest() -> None:
    swings = 0
    for seed in range(1000):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        boot = rng.randrange(64, 300 if seed % 2 else 4096) * MIB
        used = rng.choice((int(boot * rng.uniform(0.7, 1.0)), rng.randrange(4096) * MIB))
        found = turns(Watermark(preset="proxmox"), used, boot=boot, seconds=4000)
        step = 512 * MIB
        swinging = used > 0.85 * boot and used < 0.25 * (boot + step)
        assert (found > 10) == swinging, (boot / MIB, used / MIB)
        assert swinging or found <= 1
        assert not swinging or step > 2.4 * boot
        swings += swinging
    assert swings > 20
