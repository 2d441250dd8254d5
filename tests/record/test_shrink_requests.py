"""Every request for memory back, followed to its end: which count, from when until when, and what ends them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.record.shrink_requests import follow_shrink_requests
from sim.scores.registry import compute_scores
from tests.support.made_by_hand import made_by_hand

Step = tuple[int, str, int]


def events(*steps: Step, device: int = 0) -> list[tuple[int, ...]]:
    """Rows of (second, verb, pages): ``ask`` for a size, ``plug`` and ``take`` a change, the device ``goes``."""
    kinds = {"ask": EventKind.REQUEST, "plug": EventKind.SUBPLUG, "take": EventKind.SUBUNPLUG, "goes": EventKind.DEVICE}
    return [(second * 1_000_000, kinds[verb], device, 7, int(pages > 0), -1, pages) for second, verb, pages in steps]


def followed(*rows: tuple[int, ...]) -> tuple[list[float], int]:
    table = np.array(sorted(rows, key=lambda row: row[0]), dtype=np.int64).reshape(-1, 7)
    found = follow_shrink_requests(Events.of(table))
    return list(found.seconds), found.unfulfilled


FULL: tuple[Step, ...] = ((0, "ask", 8), (0, "plug", 8))
"""8 pages are there from the start, as they were asked for."""


@pytest.mark.parametrize(
    ("steps", "seconds", "unfulfilled"),
    [
        ((), [], 0),
        # Sizes 4, 3, 4: the request for 4 is still the one from second 10; the one for 3 was taken back.
        (((10, "ask", 4), (20, "ask", 3), (30, "ask", 4), (50, "take", 4)), [40], 1),
        (((10, "ask", 4), (20, "ask", 3), (30, "ask", 4)), [], 2),
        (((10, "ask", 4), (20, "ask", 3), (30, "ask", 4), (40, "ask", 3), (50, "take", 5)), [40, 10], 1),
        # The same within an earlier request that stays open.
        (((10, "ask", 6), (20, "ask", 4), (30, "ask", 3), (40, "ask", 4), (50, "take", 4)), [40, 30], 1),
        (((10, "ask", 6), (20, "ask", 2)), [], 2),
        (((10, "ask", 6), (20, "ask", 4), (30, "ask", 2)), [], 3),
        # Asked again for the same: one request, from the first time on.
        (((10, "ask", 4), (20, "ask", 4), (50, "take", 4)), [40], 0),
        # Two requests, both open at once, the larger size met first.
        (((10, "ask", 6), (20, "ask", 2), (30, "take", 2), (70, "take", 4)), [20, 50], 0),
        (((10, "ask", 6), (20, "ask", 2), (30, "take", 6)), [20, 10], 0),
        (((10, "ask", 6), (20, "ask", 2), (30, "take", 3), (40, "ask", 5)), [20], 1),
        # Asked for more than before, but for less than is there: a request, of which one page too much may be left.
        (((10, "ask", 2), (20, "ask", 5), (30, "take", 2)), [], 2),
        (((10, "ask", 2), (20, "ask", 5), (30, "take", 3)), [10], 1),
        # Both taken back at once.
        (((10, "ask", 4), (20, "ask", 3), (30, "ask", 8)), [], 2),
        # Asked for what is there, or for more: nothing is asked back.
        (((10, "ask", 8), (20, "ask", 9), (30, "plug", 1), (40, "ask", 9)), [], 0),
        # Met in the instant of the request itself; counted from what was there just before.
        (((10, "ask", 4), (10, "take", 4)), [0], 0),
        (((10, "take", 4), (10, "ask", 4)), [0], 0),
        # More is plugged in the instant of the request, and asked back with it.
        (((10, "plug", 2), (10, "ask", 9), (12, "take", 1)), [2], 0),
        # What is met for a moment is met, even if it is plugged again.
        (((10, "ask", 4), (30, "take", 4), (31, "plug", 3), (90, "take", 1)), [20], 0),
        # Once met, a later change asks for nothing.
        (((10, "ask", 4), (30, "take", 4), (40, "ask", 4), (50, "plug", 1), (60, "take", 2)), [20], 0),
        # A device that goes is asked for nothing any more: what it still has is due at once.
        (((10, "ask", 4), (30, "take", 8), (30, "goes", 0)), [20, 0], 0),
    ],
)
def test_requests_of_a_device_with_eight_pages(steps: tuple[Step, ...], seconds: list[float], unfulfilled: int) -> None:
    assert followed(*events(*FULL, *steps)) == (seconds, unfulfilled)


def test_a_device_that_was_never_asked_for_anything_gives_nothing_back() -> None:
    assert followed(*events((0, "plug", 8), (10, "take", 8))) == ([], 0)
    assert followed(*events((0, "plug", 8), (10, "ask", 3), (25, "take", 5))) == ([15], 0)
    assert followed(*events((0, "ask", 0), (10, "plug", 8))) == ([], 0)
    assert followed(*events((0, "plug", 8), (0, "ask", 3))) == ([], 1)
    assert followed(*events((0, "plug", 8), (0, "ask", 0), (30, "take", 8))) == ([30], 0)


def test_devices_are_followed_one_by_one_and_add_up() -> None:
    first = events(*FULL, (10, "ask", 4), (40, "take", 4), (50, "ask", 1))
    second = events((5, "ask", 3), (6, "plug", 3), (20, "ask", 0), (27, "take", 3), (60, "ask", 5), device=1)
    third = events(*FULL, (10, "ask", 5), (11, "ask", 4), (12, "ask", 7), device=3)
    never_asked = events((1, "plug", 9), (2, "take", 9), device=4)
    assert followed(*first, *second, *third, *never_asked) == ([30, 7], 1 + 3)


def test_a_part_of_a_second_is_kept() -> None:
    rows = events(*FULL, (1, "ask", 4), (2, "take", 4))
    rows[-1] = (1_000_001, *rows[-1][1:])
    assert followed(*rows) == ([0.000001], 0)


def test_a_run_that_ends_while_a_request_is_open_leaves_it_unfulfilled_and_not_given_until_the_end() -> None:
    base = made_by_hand(())
    rows = events(*FULL, (90, "ask", 5), (95, "take", 1))
    run = replace(base, events=np.array(rows, dtype=np.int64), duration_us=97_500_000)
    scores = compute_scores(run)
    assert scores["returns_unfulfilled"] == 1
    assert np.isnan(scores["return_time_mean"])
    assert scores["not_given_end"] == 2 * 4096
    assert scores["not_given_byte_seconds"] == (5 * 3 + 2.5 * 2) * 4096
