"""What freed kernel memory leaves behind: how many pageblocks, where, and when they go. Amounts by hand."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import pytest

from sim.guest.remains import Remains
from tests.guest.pageblocks import blocks

if TYPE_CHECKING:
    from sim.guest.kernel_pages import KernelPages

FULL = 0xFF


def test_what_is_freed_are_the_pageblocks_of_who_had_them() -> None:
    k = blocks((0, 4))
    first, second, third = k.take(6 * 512), k.take(6 * 512), k.take(512)
    assert (first, second, third) == ({0: 0b111111}, {0: 0b11000000, 1: 0b1111}, {1: 0b10000})
    k.give(6 * 512, second)
    assert k.held == {0: 0b111111, 1: 0b10000}
    assert (k.nr_held, k.pages, k.nr_left, second) == (7, 7 * 512, 0, {})
    k.take(2 * 512)
    assert k.held == {0: 0b11111111, 1: 0b10000}


def test_of_a_part_that_is_freed_the_youngest_go() -> None:
    k = blocks((0, 4))
    mine = k.take(12 * 512)
    k.give(3 * 512, mine, 0.25)
    assert k.held == mine == {0: FULL, 1: 0b1}
    k.give(100, mine, 100 / (9 * 512))  # less than a pageblock's worth
    assert k.held == mine == {0: FULL, 1: 0b1}


def let_go(k: KernelPages, mine: dict[int, int], most: float, share: float = 1.0) -> None:
    """Free what lies in ``mine`` as the only load of its kind."""
    remains = Remains()
    owned = sum(mask.bit_count() for mask in mine.values())
    remains.claimed(owned)
    k.give(int(owned * share) * 512, mine, share, remains, most)


@pytest.mark.parametrize(
    ("pageblocks", "most", "left"),
    [
        (16, 0.0, 0),
        (16, 16.0, 10),  # 16 (1 - 1/e)
        (16, 1000.0, 16),
        (160, 16.0, 15),  # 160 (1 - exp(-0.1)): however much it was, no more than 16 stay
        (2, 1.0, 1),  # 2 (1 - exp(-0.5)) = 0.8
    ],
)
def test_long_lived_pages_hold_as_many_pageblocks_as_they_hit_at_random(
    pageblocks: int, most: float, left: int
) -> None:
    k = blocks((0, 40))
    let_go(k, k.take(pageblocks * 512), most)
    assert (k.nr_held, k.nr_left, k.pages) == (left, left, 0)


def test_many_small_loads_leave_as_much_behind_as_one_large_one_and_all_over() -> None:
    k = blocks((0, 20))
    remains = Remains()
    loads = [k.take(4 * 512) for _ in range(20)]
    for mine in loads:
        remains.claimed(sum(mask.bit_count() for mask in mine.values()))
    for mine in loads:
        k.give(4 * 512, mine, 1.0, remains, 12.0)
    # 80 (1 - exp(-12 / 80)) = 11.1, of 4 pageblocks each time 0.557.
    assert k.nr_left == 11
    assert sum(mask.bit_count() for block, mask in k.left.items() if block < 5) in {5, 6}
    assert (remains.alive, remains.height, remains.owed) == (0, 0, 0.0)


def test_the_next_wave_of_a_kind_leaves_its_own() -> None:
    remains = Remains()
    for height in (10, 100):
        remains.claimed(height)
        left = [remains.vacated(1, 5.0) for _ in range(height - 1)]
        assert sum(left) == round((height - 1) * (1.0 - exp(-5.0 / height)))
        remains.claimed(1)  # no more than there was at its height
        assert (remains.alive, remains.height) == (2, height)
        remains.vacated(2, 0.0)
        assert (remains.alive, remains.height) == (0, 0)


def test_leftovers_lie_where_the_load_lay_in_each_block_of_it() -> None:
    k = blocks((0, 9))
    other = k.take(16 * 512)
    let_go(k, k.take(32 * 512), 9.2)
    assert k.left == {2: 0b11, 3: 0b11, 4: 0b11, 5: 0b11}
    k.give(16 * 512, other)
    assert k.held == k.left


def test_leftovers_are_filled_first_and_stay_though_what_filled_them_goes() -> None:
    k = blocks((0, 20))
    let_go(k, k.take(50 * 512), 1e9)
    assert (k.nr_held, k.nr_left) == (50, 50)
    mine = k.take(60 * 512)
    assert (k.nr_held, mine) == (60, {6: 0b11111100, 7: 0b1111})
    assert k.reach(mine, 60 * 512) == pytest.approx(1 / 6)
    k.give(60 * 512, mine)
    assert (k.nr_held, k.nr_left, k.pages) == (50, 50, 0)
    assert k.reach({}, 5) == k.reach(None, 5) == 0.0


def test_the_more_is_left_the_less_comes_on_top() -> None:
    k = blocks((0, 20), left_half=16.0)
    assert k.novelty() == 1.0
    let_go(k, k.take(16 * 512), 1e9)
    assert k.novelty() == 0.5


def test_pageblocks_that_others_use_too_go_once_these_do() -> None:
    k = blocks((0, 2))
    mine = k.take(512 + 1)
    other = k.take(511)  # lies beside the one page
    assert other == {}
    k.give(512 + 1, mine)
    assert (k.nr_held, k.shared) == (1, {0: 0b1})
    k.give(511, other)
    assert (k.held, k.shared, k.pages) == ({}, {}, 0)


def test_leftovers_thin_out_by_the_next_growth_and_shrink() -> None:
    k = blocks((0, 20))
    mine = k.take(100 * 512)
    assert not k.fresh
    let_go(k, mine, 100 * 0.6931)  # half of them
    assert (k.fresh, k.thinning, k.nr_left) == (True, False, 50)
    k.note_growth()
    assert (k.fresh, k.thinning) == (False, True)
    k.take(10 * 512)
    k.thin(0.4)  # 40 unused: 24 of them go
    assert (k.nr_held, k.nr_left, k.thinning) == (26, 26, False)
    assert sum(mask.bit_count() for mask in k.left.values()) == 26
    k.take(15 * 512)
    k.thin(0.0)  # all but one of them in use
    assert (k.nr_held, k.nr_left) == (25, 25)
    k.thin(0.0)
    assert (k.nr_held, k.nr_left) == (25, 25)
    k.take(5 * 512)
    assert (k.nr_held, k.nr_left) == (30, 25)


def test_what_has_settled_never_goes() -> None:
    k = blocks((0, 2))
    k.take(100)
    k.hold_one()
    assert k.held == {0: 0b11}
    k.floor = 2
    mine = k.take(924 + 2 * 512)
    assert k.nr_held == 4
    k.give(924 + 2 * 512, mine)
    assert k.held == {0: 0b11}


def test_no_more_goes_than_the_rest_needs() -> None:
    k = blocks((0, 2))
    mine = k.take(6 * 512)
    k.take(2 * 512)
    k.give(4 * 512, mine, 1.0)  # says all, but 4 pageblocks' worth of pages is still there
    assert k.nr_held == 4
    assert k.held[0].bit_count() == 4
