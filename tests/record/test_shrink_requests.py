"""Every request for memory back, followed to its end: which count, from when until when, and what ends them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.record.shrink_requests import NEVER, follow_shrink_requests
from sim.scores.registry import compute_scores
from tests.plain.returns import follow_returns
from tests.support.made_by_hand import made_by_hand

Step = tuple[int, str, int]


def events(*steps: Step, device: int = 0) -> list[tuple[int, ...]]:
    """Rows of (second, verb, pages): ``ask`` for a size, ``plug`` and ``take`` a change, the device ``goes``."""
    kinds = {"ask": EventKind.REQUEST, "plug": EventKind.SUBPLUG, "take": EventKind.SUBUNPLUG, "goes": EventKind.DEVICE}
    return [(second * 1_000_000, kinds[verb], device, 7, int(pages > 0), -1, pages) for second, verb, pages in steps]


Waits = list[tuple[int, float | None, bool]]
"""Of each: pages, seconds (None for never), whether they came back."""


def followed(*rows: tuple[int, ...], seconds: int = 100) -> tuple[Waits, int]:
    table = np.array(sorted(rows, key=lambda row: row[0]), dtype=np.int64).reshape(-1, 7)
    found = follow_shrink_requests(Events.of(table), seconds * 1_000_000)
    still_held = found.asked - found.returned - found.wanted_again
    assert still_held >= 0
    assert found.waits.pages.sum() == found.asked
    waits = [
        (pages, None if after_us == NEVER else after_us / 1_000_000, fulfilled)
        for pages, after_us, fulfilled in found.waits.rows()
    ]
    return waits, found.unfulfilled


FULL: tuple[Step, ...] = ((0, "ask", 8), (0, "plug", 8))
"""8 pages are there from the start, as they were asked for."""

BACK, NOT = True, False


@pytest.mark.parametrize(
    ("steps", "waits", "unfulfilled"),
    [
        ((), [], 0),
        # Sizes 4, 3, 4: the request for 4 is still the one from second 10; the one for 3 was taken back.
        (((10, "ask", 4), (20, "ask", 3), (30, "ask", 4), (50, "take", 4)), [(1, 10, NOT), (4, 40, BACK)], 1),
        (((10, "ask", 4), (20, "ask", 3), (30, "ask", 4)), [(1, 10, NOT), (4, 90, NOT)], 2),
        (
            ((10, "ask", 4), (20, "ask", 3), (30, "ask", 4), (40, "ask", 3), (50, "take", 5)),
            [(1, 10, NOT), (4, 40, BACK), (1, 10, BACK)],
            1,
        ),
        # The same within an earlier request that stays open.
        (
            ((10, "ask", 6), (20, "ask", 4), (30, "ask", 3), (40, "ask", 4), (50, "take", 4)),
            [(1, 10, NOT), (2, 40, BACK), (2, 30, BACK)],
            1,
        ),
        (((10, "ask", 6), (20, "ask", 2)), [(2, 90, NOT), (4, 80, NOT)], 2),
        (((10, "ask", 6), (20, "ask", 4), (30, "ask", 2)), [(2, 90, NOT), (2, 80, NOT), (2, 70, NOT)], 3),
        # Asked again for the same: one request, from the first time on.
        (((10, "ask", 4), (20, "ask", 4), (50, "take", 4)), [(4, 40, BACK)], 0),
        # Two requests, both open at once, the older one met first.
        (((10, "ask", 6), (20, "ask", 2), (30, "take", 2), (70, "take", 4)), [(2, 20, BACK), (4, 50, BACK)], 0),
        (((10, "ask", 6), (20, "ask", 2), (30, "take", 6)), [(2, 20, BACK), (4, 10, BACK)], 0),
        # Of the newer one a page is back when the other three are wanted again.
        (
            ((10, "ask", 6), (20, "ask", 2), (30, "take", 3), (40, "ask", 5)),
            [(2, 20, BACK), (3, 20, NOT), (1, 10, BACK)],
            1,
        ),
        # Asked for more than before, but for less than is there: three pages are asked back as before.
        (((10, "ask", 2), (20, "ask", 5), (30, "take", 2)), [(3, 10, NOT), (3, 90, NOT)], 1),
        (((10, "ask", 2), (20, "ask", 5), (30, "take", 3)), [(3, 10, NOT), (3, 20, BACK)], 1),
        # Both taken back at once, the newer one first.
        (((10, "ask", 4), (20, "ask", 3), (30, "ask", 8)), [(1, 10, NOT), (4, 20, NOT)], 2),
        # Asked for what is there, or for more: nothing is asked back.
        (((10, "ask", 8), (20, "ask", 9), (30, "plug", 1), (40, "ask", 9)), [], 0),
        # Met in the instant of the request itself; counted from what was there just before.
        (((10, "ask", 4), (10, "take", 4)), [(4, 0, BACK)], 0),
        (((10, "take", 4), (10, "ask", 4)), [(4, 0, BACK)], 0),
        # More is plugged in the instant of the request, and asked back with it.
        (((10, "plug", 2), (10, "ask", 9), (12, "take", 1)), [(1, 2, BACK)], 0),
        # What is met is met, even if more is plugged than asked for afterwards: that is asked back from then on.
        (((10, "ask", 4), (30, "take", 4), (31, "plug", 3), (90, "take", 1)), [(4, 20, BACK), (3, 69, NOT)], 1),
        (((10, "ask", 4), (30, "take", 4), (40, "ask", 4), (50, "plug", 1), (60, "take", 2)),
         [(4, 20, BACK), (1, 10, BACK)], 0),
        # A device that goes is asked for nothing any more: what it still has is due at once.
        (((10, "ask", 4), (30, "take", 8), (30, "goes", 0)), [(4, 20, BACK), (4, 0, BACK)], 0),
    ],
)  # fmt: skip
def test_requests_of_a_device_with_eight_pages(steps: tuple[Step, ...], waits: Waits, unfulfilled: int) -> None:
    assert followed(*events(*FULL, *steps)) == (waits, unfulfilled)


@pytest.mark.parametrize(
    ("steps", "waits"),
    [
        (((10, "ask", 900), (20, "take", 94)), [(100, 90, NOT)]),
        (((10, "ask", 900), (20, "take", 94), (30, "take", 1)), [(100, 20, BACK)]),
        # Fulfilled is fulfilled, whatever becomes of the rest.
        (((10, "ask", 900), (20, "take", 97), (30, "ask", 1000)), [(100, 10, BACK)]),
        # Of 101 pages 95 % are 95.95.
        (((10, "ask", 899), (20, "take", 95)), [(101, 90, NOT)]),
        (((10, "ask", 899), (20, "take", 96)), [(101, 10, BACK)]),
        # Once 20 of 100 are wanted again, 76 of 80 do: they were back at second 15, one page later was too late.
        (((10, "ask", 900), (15, "take", 76), (20, "take", 1), (30, "ask", 920)), [(20, 20, NOT), (80, 5, BACK)]),
        (((10, "ask", 900), (15, "take", 75), (20, "take", 1), (30, "ask", 920)), [(20, 20, NOT), (80, 10, BACK)]),
        (((10, "ask", 900), (15, "take", 75), (30, "ask", 920)), [(20, 20, NOT), (80, 90, NOT)]),
        # Each page that is given belongs to the older request until that has all of its own.
        (((10, "ask", 900), (20, "ask", 800), (30, "take", 194)), [(100, 20, BACK), (100, 80, NOT)]),
        (((10, "ask", 900), (20, "ask", 800), (30, "take", 194), (40, "take", 1)), [(100, 20, BACK), (100, 20, BACK)]),
    ],
)
def test_a_request_is_fulfilled_once_95_percent_is_back(steps: tuple[Step, ...], waits: Waits) -> None:
    assert followed(*events((0, "ask", 1000), (0, "plug", 1000), *steps))[0] == waits


@pytest.mark.parametrize(
    ("steps", "waits"),
    [
        (((10, "ask", 4), (12, "take", 4)), [(4, 2, BACK)]),
        (((10, "ask", 4), (15, "ask", 8)), [(4, 5, NOT)]),
        (((10, "ask", 4),), [(4, None, NOT)]),
        (((10, "ask", 4), (30, "ask", 7)), [(3, None, NOT), (1, None, NOT)]),
        (((30, "ask", 4),), [(4, None, NOT)]),
        # Never came, never went.
        (((30, "ask", 20), (40, "ask", 0)), [(20, None, NOT)]),
        (((10, "ask", 20), (40, "ask", 0)), [(20, None, NOT)]),
        (((30, "ask", 20), (40, "ask", 5), (50, "ask", 10), (60, "ask", 9)),
         [(5, None, NOT), (10, None, NOT), (1, None, NOT)]),
    ],
)  # fmt: skip
def test_a_guest_that_dies_at_second_20_gives_nothing_back_ever_after(steps: tuple[Step, ...], waits: Waits) -> None:
    death = (20_000_000, EventKind.DEATH, -1, -1, 0, 0, 7)
    assert followed(*events(*FULL, *steps), death)[0] == waits


def test_a_device_that_was_never_asked_for_anything_gives_nothing_back() -> None:
    assert followed(*events((0, "plug", 8), (10, "take", 8))) == ([], 0)
    assert followed(*events((0, "plug", 8), (10, "ask", 3), (25, "take", 5))) == ([(5, 15, BACK)], 0)
    assert followed(*events((0, "ask", 0), (10, "plug", 8))) == ([(8, 90, NOT)], 1)
    assert followed(*events((0, "plug", 8), (0, "ask", 3))) == ([(5, 100, NOT)], 1)
    assert followed(*events((0, "plug", 8), (0, "ask", 0), (30, "take", 8))) == ([(8, 30, BACK)], 0)


def test_devices_are_followed_one_by_one_and_add_up() -> None:
    first = events(*FULL, (10, "ask", 4), (40, "take", 4), (50, "ask", 1))
    second = events((5, "ask", 3), (6, "plug", 3), (20, "ask", 0), (27, "take", 3), (60, "ask", 5), device=1)
    third = events(*FULL, (10, "ask", 5), (11, "ask", 4), (12, "ask", 7), device=3)
    never_asked = events((1, "plug", 9), (2, "take", 9), device=4)
    waits = [(4, 30, BACK), (3, 50, NOT), (3, 7, BACK), (1, 1, NOT), (2, 2, NOT), (1, 90, NOT)]
    assert followed(*first, *second, *third, *never_asked) == (waits, 1 + 2)
    table = np.array(sorted([*first, *second, *third, *never_asked]), dtype=np.int64)
    found = follow_shrink_requests(Events.of(table), 100_000_000)
    assert (found.asked, found.returned, found.wanted_again, found.first_us) == (14, 7, 3, 10_000_000)


def test_a_device_may_begin_when_the_one_before_it_has_just_given_back() -> None:
    first = events((0, "ask", 3), (1, "plug", 3), (2, "ask", 0), (9, "take", 3))
    second = events((9, "ask", 5), (9, "plug", 5), (40, "ask", 4), device=1)
    assert followed(*first, *second) == ([(3, 7, BACK), (1, 60, NOT)], 1)


def test_the_first_request_for_memory_back_is_the_hosts_whatever_there_is_to_give() -> None:
    asks = events((0, "ask", 8), (30, "ask", 5), (40, "plug", 5), (50, "ask", 2))
    found = follow_shrink_requests(Events.of(np.array(asks, dtype=np.int64)), 100_000_000)
    assert (found.first_us, found.asked) == (30_000_000, 3)
    never = follow_shrink_requests(Events.of(np.array(asks[:1], dtype=np.int64)), 100_000_000)
    assert (never.first_us, never.asked) == (None, 0)


def test_a_part_of_a_second_is_kept() -> None:
    rows = events(*FULL, (1, "ask", 4), (2, "take", 4))
    rows[-1] = (1_000_001, *rows[-1][1:])
    assert followed(*rows) == ([(4, 0.000001, BACK)], 0)


def test_a_run_that_ends_while_a_request_is_open_leaves_it_unfulfilled_and_not_given_until_the_end() -> None:
    base = made_by_hand(())
    rows = events(*FULL, (90, "ask", 5), (95, "take", 1))
    run = replace(base, events=np.array(rows, dtype=np.int64), duration_us=97_500_000)
    scores = compute_scores(run)
    assert scores["returns_unfulfilled"] == 1
    assert scores["return_time"] == 7.5
    assert scores["returned_share"] == pytest.approx(100 / 3)
    assert scores["not_given_end"] == 2 * 4096
    assert scores["not_given_byte_seconds"] == (5 * 3 + 2.5 * 2) * 4096


MOVES = st.lists(
    st.tuples(
        st.integers(0, 40), st.integers(0, 2), st.sampled_from(("ask", "ask", "plug", "take")), st.integers(1, 60)
    ),
    max_size=40,
)


@given(MOVES, st.none() | st.integers(0, 50))
def test_random_requests_are_followed_as_plain_loops_follow_them(
    moves: list[tuple[int, int, str, int]], death: int | None
) -> None:
    plugged = [0, 0, 0]
    rows: list[tuple[int, ...]] = []
    for second, device, verb, pages in sorted(moves, key=lambda move: move[0]):
        dead = death is not None and second > death
        some = min(pages, plugged[device]) if verb == "take" else pages
        if (dead and verb != "ask") or not some:
            continue
        plugged[device] += {"ask": 0, "plug": some, "take": -some}[verb]
        rows += events((second, verb, some), device=device)
    if death is not None:
        rows.append((death * 1_000_000, EventKind.DEATH, -1, -1, 0, 0, 7))
        rows.sort(key=lambda row: row[0])
    table = np.array(rows, dtype=np.int64).reshape(-1, 7)
    found = follow_shrink_requests(Events.of(table), 50_000_000)
    plain = follow_returns(table.tolist(), 3, 50_000_000)
    assert (found.asked, found.returned, found.held) == (plain.asked, plain.returned, plain.held)
    assert (found.unfulfilled, found.first_us) == (plain.unfulfilled, plain.first)
    waits = [(pages, None if after_us == NEVER else after_us, back) for pages, after_us, back in found.waits.rows()]
    assert sorted(waits, key=str) == sorted(plain.waits, key=str)
    assert int((found.excess.pages * found.excess.dt_us).sum()) == plain.held_times_us
