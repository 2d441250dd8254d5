"""Which pageblocks kernel pages hold: placement, leftovers, what could go. Blocks of 8 pageblocks, amounts by hand."""

from __future__ import annotations

import random

import pytest

from sim.guest.bits import highest, lowest, per_pageblock, per_subblock
from sim.guest.kernel_pages import KernelPages

FULL = 0xFF


def blocks(*runs: tuple[int, int], fill: float = 1.0, left_half: float = 100.0) -> KernelPages:
    """Return the pageblocks of a zone with these runs (first block, blocks) online."""
    out = KernelPages(8, fill, left_half)
    for first, nr in runs:
        out.insert(first, nr)
    return out


# Sets of pageblocks and sub-blocks ------------------------------------------------------------------------------------


def test_sets_of_bits_are_as_a_plain_loop_finds_them() -> None:
    draw = random.Random(5)  # noqa: S311 - any numbers will do
    for _ in range(200):
        mask = draw.getrandbits(12)
        ones = [i for i in range(12) if mask >> i & 1]
        nr = draw.randint(0, len(ones))
        assert lowest(mask, nr) == sum(1 << i for i in ones[:nr])
        assert highest(mask, nr) == sum(1 << i for i in ones[len(ones) - nr :])
        for per in (1, 2, 3, 4):
            assert per_subblock(mask, per) == sum(1 << s for s in {i // per for i in ones})
            assert per_pageblock(mask, per) == sum(1 << (i * per + k) for i in ones for k in range(per))


def test_more_bits_than_there_are_are_all() -> None:
    assert highest(0b1010, 9) == 0b1010


# Runs -----------------------------------------------------------------------------------------------------------------


def test_runs_join_and_split_as_blocks_come_and_go() -> None:
    draw = random.Random(3)  # noqa: S311 - any numbers will do
    found, plain = blocks(), set[int]()
    for _ in range(400):
        first, nr = draw.randrange(40), draw.randint(1, 4)
        run = set(range(first, first + nr))
        if not run & plain:
            found.insert(first, nr)
            plain |= run
        elif run <= plain:
            found.delete(first, nr)
            plain -= run
        assert [b for start, n in found.runs() for b in range(start, start + n)] == sorted(plain)
        assert all(a + n < b for (a, n), (b, _) in zip(found.runs(), found.runs()[1:], strict=False))
        assert (found.nr_blocks, found.untouched()) == (len(plain), 8 * len(plain))


# Placement ------------------------------------------------------------------------------------------------------------


def test_kernel_pages_fill_pageblocks_from_the_bottom() -> None:
    k = blocks((10, 2), (20, 1))
    for pages, held in (
        (1, {10: 0b1}),
        (511, {10: 0b1}),
        (1, {10: 0b11}),
        (511 + 6 * 512, {10: FULL}),
        (8 * 512 + 1, {10: FULL, 11: FULL, 20: 0b1}),
    ):
        k.take(pages, 0)
        assert k.held == held
        assert k.nr_held == sum(mask.bit_count() for mask in held.values())
    assert k.slack() == 511
    assert k.untouched() == 7


def test_pageblocks_are_filled_to_their_share() -> None:
    k = blocks((0, 4), fill=0.75)
    k.take(384, 0)
    assert k.nr_held == 1
    assert k.slack() == 0
    k.take(1, 0)
    assert k.nr_held == 2
    assert k.slack() == 383


def test_what_boot_took_has_room_for_a_rest() -> None:
    k = blocks((0, 4), fill=0.75)
    k.fix(0, 0b11)
    assert k.slack() == 2 * 128
    k.take(256, 0)
    assert k.held == {}
    k.take(1, 0)
    assert k.held == {0: 0b100}
    k.fix(0, 0b111)  # held already: nothing more to mark
    assert k.fixed == {0: 0b11}
    assert k.nr_fixed == 2
    assert k.untouched() == 4 * 8 - 2 - 1


def test_a_zone_that_is_full_packs_denser() -> None:
    k = blocks((0, 1), fill=0.5)
    k.take(4096, 0)
    assert k.nr_held == 8
    assert k.slack() == 0


def test_kernel_pages_lie_above_what_user_pages_fill() -> None:
    k = blocks((10, 2), (20, 4))
    k.take(1, 8 * 512)
    assert k.held == {11: 0b1}
    k.take(512, 8 * 512 * 2 - 512)  # 15 pageblocks of users and the one held: two blocks, so the third
    assert k.held == {11: 0b1, 20: 0b1}
    k.take(512, 511)  # less than a pageblock of users: from the bottom
    assert k.held == {10: 0b1, 11: 0b1, 20: 0b1}
    k.take(512, 1_000_000)  # users fill everything: from the bottom
    assert k.held == {10: 0b11, 11: 0b1, 20: 0b1}


def test_a_pageblock_of_users_counts_less_does_not() -> None:
    for user, place in ((511, (0, 0b1000_0000)), (512, (1, 0b1))):
        k = blocks((0, 2))
        k.take(7 * 512, 0)
        assert k.take_pieces(1, user) == [place]
        k = blocks((0, 2))
        k.take(7 * 512, 0)
        k.take(512, user)
        assert k.held[place[0]] & place[1]


def test_what_finds_no_room_above_users_goes_below() -> None:
    k = blocks((0, 3))
    k.take(10 * 512, 2 * 8 * 512)
    assert k.held == {0: 0b11, 2: FULL}


def test_memmap_takes_whole_pageblocks_and_gives_them_back() -> None:
    k = blocks((0, 2))
    k.take(512, 0)
    assert k.take_pieces(1, 0) == [(0, 0b10)]
    assert k.take_pieces(8, 0) == [(0, 0b11111100), (1, 0b11)]
    assert k.take_pieces(1, 512) == [(1, 0b100)]
    assert k.take_pieces(9, 0) == [(1, 0b11111000)]
    assert k.take_pieces(1, 0) == []
    assert (k.nr_pieces, k.nr_held, k.untouched()) == (15, 1, 0)
    assert (k.busy(0), k.busy(1), k.busy(2)) == (FULL, FULL, 0)
    k.give_pieces([(0, 0b1000), (1, 0b11)])
    assert k.nr_pieces == 12
    assert k.take_pieces(2, 0) == [(0, 0b1000), (1, 0b1)]


def test_unplugged_pageblocks_are_left_out() -> None:
    k = blocks((0, 2))
    k.remove_pageblocks(0, 0b0101)
    k.take(2 * 512, 0)
    assert k.held == {0: 0b1010}
    assert k.untouched() == 12
    k.add_pageblocks(0, 0b0001)
    assert k.absent == {0: 0b0100}
    k.take(1, 0)
    assert k.held == {0: 0b1011}
    k.take(4 * 512, 0)
    assert k.held == {0: 0b11111011}  # block 0 is full
    k.take(512, 0)
    assert k.held[1] == 0b1
    k.add_pageblocks(0, 0b0100)
    assert (k.absent, k.nr_absent) == ({}, 0)
    k.take(512, 0)
    assert k.held == {0: FULL, 1: 0b1}


def test_of_blocks_that_go_together_all_are_forgotten_and_no_other() -> None:
    k = blocks((0, 5))
    for block in range(5):
        k.remove_pageblocks(block, 0b11)
    k.delete(1, 2)
    assert (k.runs(), k.nr_absent) == ([(0, 1), (3, 2)], 6)
    assert k.absent == dict.fromkeys((0, 3, 4), 0b11)


def test_kernel_pages_begin_above_users_and_the_boot_kernels_own_in_whatever_run_that_is() -> None:
    k = blocks((0, 4))
    k.fix(0, FULL)
    k.take(1, 8 * 512)
    assert k.held == {2: 0b1}
    k = blocks((10, 2), (20, 4))
    k.take(1, 3 * 8 * 512)
    assert k.held == {21: 0b1}


def test_a_block_that_has_gone_takes_nothing_though_it_was_the_next() -> None:
    for piece in (False, True):
        k = blocks((0, 2), (10, 1))
        k.take(9 * 512, 0)
        k.give(512, 0.0)
        assert (k.held, k.hint) == ({0: FULL}, 1)
        k.delete(1, 1)
        if piece:
            assert k.take_pieces(1, 0) == [(10, 0b1)]
        else:
            k.take(512, 0)
            assert k.held == {0: FULL, 10: 0b1}


def test_one_pageblock_goes_as_well_and_none_that_was_left_before() -> None:
    k = blocks((0, 20))
    k.take(2 * 512, 0)
    k.give(512, 0.0)
    assert k.held == {0: 0b1}
    k = blocks((0, 20))
    k.take(100 * 512, 0)
    k.give(100 * 512, 0.5)
    k.take(40 * 512, 0)
    k.give(40 * 512, 0.0)
    assert (k.nr_held, k.nr_left) == (50, 50)


def test_lower_blocks_that_come_later_are_filled_next() -> None:
    k = blocks((10, 2))
    k.take(10 * 512, 0)
    k.insert(4, 1)
    k.take(512, 0)
    assert k.held == {4: 0b1, 10: FULL, 11: 0b11}
    k.take(7 * 512, 0)
    k.insert(6, 1)
    assert k.take_pieces(1, 0) == [(6, 0b1)]
    assert k.take_pieces(8, 0) == [(6, 0b11111110), (11, 0b100)]


def test_a_zone_that_was_empty_starts_anew_wherever_it_is() -> None:
    k = blocks((4, 1))
    k.delete(4, 1)
    k.insert(9, 1)
    k.insert(12, 1)
    assert k.take_pieces(1, 0) == [(9, 0b1)]
    k.take(8 * 512, 0)
    assert k.held == {9: 0b11111110, 12: 0b1}


def test_which_blocks_of_a_run_are_busy() -> None:
    k = blocks((0, 8))
    k.fix(1, 0b1)
    k.take_pieces(15, 0)
    k.take(2 * 512, 0)
    assert sorted(k.held.keys() | k.pieces.keys() | k.fixed.keys()) == [0, 1, 2]
    assert k.busy_blocks(0, 8) == [0, 1, 2]
    assert k.busy_blocks(0, 2) == [0, 1]
    assert k.busy_blocks(1, 1) == [1]
    assert k.busy_blocks(3, 1) == []
    assert k.busy_blocks(1, 2) == [1, 2]
    assert k.busy_blocks(2, 2) == [2]
    assert k.busy_blocks(3, 5) == []


# Leftovers ------------------------------------------------------------------------------------------------------------


def test_freed_from_the_top() -> None:
    k = blocks((0, 4))
    k.take(20 * 512, 0)
    k.give(7 * 512, 0.0)
    assert k.held == {0: FULL, 1: 0b11111}
    assert (k.nr_held, k.pages, k.nr_left) == (13, 13 * 512, 0)
    k.take(512, 0)
    assert k.held == {0: FULL, 1: 0b111111}


def test_leftovers_stay_add_up_and_are_filled_first() -> None:
    k = blocks((0, 20))
    k.take(100 * 512, 0)
    k.give(100 * 512, 0.5)
    assert (k.nr_held, k.nr_left, k.pages) == (50, 50, 0)
    k.take(100 * 512, 0)
    assert k.nr_held == 100
    # Half of the pages lay in leftovers and give nothing back. Of the other 50 pageblocks only a third stays this time,
    # as there are 50 leftovers already: 100 / (100 + 50) of a half.
    k.give(100 * 512, 0.5)
    assert (k.nr_held, k.nr_left) == (100 - 33, 50 + 16)
    k.take(60 * 512, 0)
    assert k.nr_held == 67


def test_leftovers_thin_out_by_the_next_growth_and_shrink() -> None:
    k = blocks((0, 20))
    k.take(100 * 512, 0)
    assert not k.fresh
    k.give(100 * 512, 0.5)
    assert (k.fresh, k.thinning) == (True, False)
    k.note_growth()
    assert (k.fresh, k.thinning) == (False, True)
    k.take(10 * 512, 0)
    k.thin(0.4)  # 40 unused: 24 of them go
    assert (k.nr_held, k.nr_left, k.thinning) == (26, 26, False)
    k.take(15 * 512, 0)
    k.thin(0.0)  # all but one of them in use
    assert (k.nr_held, k.nr_left) == (25, 25)
    k.thin(0.0)
    assert (k.nr_held, k.nr_left) == (25, 25)
    k.take(5 * 512, 0)
    assert (k.nr_held, k.nr_left) == (30, 25)


def test_what_has_settled_never_goes() -> None:
    k = blocks((0, 2))
    k.take(100, 0)
    k.hold_one()
    assert k.held == {0: 0b11}
    k.floor = 2
    k.take(924 + 2 * 512, 0)
    assert k.nr_held == 4
    k.give(1024 + 1024, 0.0)
    # Half of all pageblocks can go: those pages give back two of four.
    assert k.held == {0: 0b11}


@pytest.mark.parametrize("stay", [0.0, 0.25, 1.0])
def test_no_more_goes_than_the_rest_needs(stay: float) -> None:
    k = blocks((0, 2), left_half=1e9)
    k.take(8 * 512, 0)
    k.give(4 * 512 - 1, stay)
    # 3.998 pageblocks' worth, of which the share stays: 3.998, 2.999 and 0 go, and 2,049 pages need 5.
    assert k.nr_held == {0.0: 5, 0.25: 5, 1.0: 8}[stay]
