"""Times of the week as people write them, and when they come, clocks put forward and back among it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from workloads.parts.controllers.calendar import Clock, LocalTime, TimeOfWeek, Zone, occurrences, read_time, zone_of

HOUR = 3600
DAY = 24 * HOUR
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "days", "seconds"),
    [
        ("06:30", range(7), 23400),
        ("Mon 00:00", [0], 0),
        ("mon-FRI 23:59:59", range(5), 86399),
        ("Sat,Sun 08:00", [5, 6], 28800),
        ("Fri-Mon 08:00", [4, 5, 6, 0], 28800),
        ("Sun-Sat 08:00", range(7), 28800),
        ("Mon,Wed-Thu 01:02:03", [0, 2, 3], 3723),
    ],
)
def test_times_are_read_as_people_write_them(text: str, days: list[int], seconds: int) -> None:
    assert read_time(text) == (frozenset(days), seconds)


@pytest.mark.parametrize(
    "text",
    ["", "6:30", "06:60", "24:00", "06", "Mon", "Mo 06:30", "Mon- 06:30", "Mon-Tue-Wed 06:30", "Mon 06:30 x", "-1:00"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    (complaint,) = Clock().complaints(text)
    assert complaint.startswith("must be")


def test_dates_and_zones_are_checked() -> None:
    assert [list(LocalTime().complaints(good)) for good in ("2026-11-23T00:00", "2026-11-23")] == [[], []]
    assert all(list(LocalTime().complaints(bad)) for bad in ("2026-11-23T00:00Z", "2026-13-01", "now", 7, "9999-01-01"))
    assert not list(Zone().complaints("Europe/Berlin"))
    assert all(list(Zone().complaints(bad)) for bad in ("Europe", "Europe/Nowhere", "/etc/passwd", "", None))
    assert zone_of("UTC") is UTC


def comes(entries: list[tuple[str, str]], begins: str, days: float, zone: str = "UTC") -> list[tuple[float, str]]:
    found = occurrences(
        [(read_time(time), what) for time, what in entries], datetime.fromisoformat(begins), ZoneInfo(zone), days * DAY
    )
    return [(at / HOUR, what) for at, what in found]


OFFICE = [("Mon-Fri 08:00", "on"), ("Mon-Fri 18:00", "off")]


def test_it_begins_with_what_came_last() -> None:
    assert comes(OFFICE, "2026-11-23T00:00", 1) == [(0, "off"), (8, "on"), (18, "off")]
    assert comes(OFFICE, "2026-11-25T12:00", 1) == [(0, "on"), (6, "off"), (20, "on")]
    assert comes([("Wed 05:00", "x")], "2026-11-25T04:59", 0.0001) == [(0, "x")], "a week ago"


def test_a_time_at_the_beginning_is_the_first_and_one_at_the_end_counts() -> None:
    assert comes([("00:00", "a"), ("12:00", "b")], "2026-11-23T00:00", 1) == [(0, "a"), (12, "b"), (24, "a")]


def test_the_week_repeats() -> None:
    found = comes(OFFICE, "2026-11-23T00:00", 14)
    assert [at for at, what in found if what == "on"] == [
        8 + 24 * day + 168 * week for week in range(2) for day in range(5)
    ]


def test_of_two_at_one_moment_the_last_counts() -> None:
    assert comes([("06:00", "daily"), ("Mon 06:00", "monday")], "2026-11-23T00:00", 2) == [
        (0, "daily"),
        (6, "monday"),
        (30, "daily"),
    ]


def test_a_time_that_clocks_leave_out_comes_later() -> None:
    """On 29 March 2026 in Berlin 02:00 is followed by 03:00; the day has 23 hours."""
    found = comes([("02:30", "x"), ("08:00", "y")], "2026-03-29T00:00", 1.5, "Europe/Berlin")
    assert found == [(0, "y"), (2.5, "x"), (7, "y"), (25.5, "x"), (31, "y")]


def test_of_a_time_that_comes_twice_the_first_counts() -> None:
    """On 25 October 2026 in Berlin 02:00 to 03:00 comes twice; the day has 25 hours."""
    found = comes([("02:30", "x"), ("08:00", "y")], "2026-10-25T00:00", 1.2, "Europe/Berlin")
    assert found == [(0, "y"), (2.5, "x"), (9, "y"), (27.5, "x")]


def test_random_weeks_are_what_a_look_at_the_clock_every_minute_says() -> None:
    """The plain way: at each minute of real time, what does the clock on the wall show?"""
    for seed in range(8):
        rng = random.Random(seed)  # noqa: S311  not for secrets
        zone = rng.choice((BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")))
        # Not between 01:00 and 04:00, where clocks are put forward and back.
        entries = [
            (frozenset(rng.sample(range(7), rng.randint(1, 7))), rng.randrange(4 * 60, 25 * 60) % (24 * 60), number)
            for number in range(rng.randint(1, 5))
        ]
        begins = datetime(2026, rng.choice((3, 10, 11)), rng.randint(1, 30), rng.randrange(4, 24))  # noqa: DTZ001
        found = occurrences(
            [(read_time_of(days, minute), what) for days, minute, what in entries], begins, zone, 9 * DAY
        )
        start = begins.replace(tzinfo=zone).astimezone(UTC)
        plain = []
        for minute in range(9 * 24 * 60 + 1):
            wall = (start + timedelta(minutes=minute)).astimezone(zone)
            due = [what for days, at, what in entries if wall.weekday() in days and wall.hour * 60 + wall.minute == at]
            if due:
                plain.append((minute * 60, due[-1]))
        assert [each for each in found if each[0]] == [each for each in plain if each[0]], seed


def read_time_of(days: frozenset[int], minute: int) -> TimeOfWeek:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return read_time(f"{','.join(names[day] for day in sorted(days))} {minute // 60:02}:{minute % 60:02}")
