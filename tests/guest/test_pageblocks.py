"""Which pageblocks kernel pages hold: placement, what could go. Blocks of 8 pageblocks, amounts by hand."""

from __future__ import annotations

import random

from sim.guest.bits import highest, lowest, per_pageblock, per_subblock
from tests.guest.pageblocks import add, blocks, go, users

FULL = 0xFF


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
        k.take(pages)
        assert k.held == held
        assert k.nr_held == sum(mask.bit_count() for mask in held.values())
    assert k.slack() == 511
    assert k.untouched() == 7


def test_pageblocks_are_filled_to_their_share() -> None:
    k = blocks((0, 4), fill=0.75)
    k.take(384)
    assert k.nr_held == 1
    assert k.slack() == 0
    k.take(1)
    assert k.nr_held == 2
    assert k.slack() == 383


def test_what_boot_took_has_room_for_a_rest() -> None:
    k = blocks((0, 4), fill=0.75)
    k.fix(0, 0b11)
    assert k.slack() == 2 * 128
    k.take(256)
    assert k.held == {}
    k.take(1)
    assert k.held == {0: 0b100}
    k.fix(0, 0b111)  # held already: nothing more to mark
    assert k.fixed == {0: 0b11}
    assert k.nr_fixed == 2
    assert k.untouched() == 4 * 8 - 2 - 1


def test_a_zone_that_is_full_packs_denser() -> None:
    k = blocks((0, 1), fill=0.5)
    k.take(4096)
    assert k.nr_held == 8
    assert k.slack() == 0


def test_kernel_pages_lie_above_the_user_pages_that_came_before() -> None:
    k = blocks((10, 2), (20, 4))
    users(k, 8 * 512)
    k.take(1)
    assert k.held == {11: 0b1}
    users(k, 7 * 512 + 5)
    k.take(8 * 512)
    # Of block 20 users have begun the first pageblock: kernel pages take seven of it, whichever, and one of the next.
    assert k.held == {11: 0b1, 20: 0b1111111, 21: 0b1}
    assert k.layout is not None
    assert k.layout.used == {10: 4096, 11: 7 * 512, 20: 5}


def test_a_pageblock_that_users_have_begun_is_theirs() -> None:
    for pages, place in ((7 * 512, (0, 0b1)), (7 * 512 + 1, (1, 0b1))):
        k = blocks((0, 2))
        users(k, pages)
        assert k.take_pieces(1) == [place]
        k = blocks((0, 2))
        users(k, pages)
        k.take(512)
        assert k.held == dict([place])


def test_what_users_free_is_filled_before_what_nobody_had() -> None:
    k = blocks((0, 3))
    load = users(k, 10 * 512)
    assert k.layout is not None
    k.layout.take_all(load)
    k.take(9 * 512)
    assert k.held == {1: FULL, 0: 0b1}  # block 1 was freed last


def test_memmap_takes_whole_pageblocks_and_gives_them_back() -> None:
    k = blocks((0, 2))
    k.take(512)
    assert k.take_pieces(1) == [(0, 0b10)]
    assert k.take_pieces(8) == [(0, 0b11111100), (1, 0b11)]
    users(k, 512)
    assert k.take_pieces(1) == [(1, 0b100)]
    assert k.take_pieces(9) == [(1, 0b01111000)]
    assert k.take_pieces(1) == []
    assert (k.nr_pieces, k.nr_held, k.untouched()) == (14, 1, 1)
    assert (k.busy(0), k.busy(1), k.busy(2)) == (FULL, 0b01111111, 0)
    k.give_pieces([(1, 0b11), (0, 0b1000)])
    assert k.nr_pieces == 11
    assert k.take_pieces(2) == [(0, 0b1000), (1, 0b1)]


def test_unplugged_pageblocks_are_left_out() -> None:
    k = blocks((0, 2))
    k.remove_pageblocks(0, 0b0101)
    k.take(2 * 512)
    assert k.held == {0: 0b1010}
    assert k.untouched() == 12
    k.add_pageblocks(0, 0b0001)
    assert k.absent == {0: 0b0100}
    k.take(1)
    assert k.held == {0: 0b1011}
    k.take(4 * 512)
    assert k.held == {0: 0b11111011}  # block 0 is full
    k.take(512)
    assert k.held[1] == 0b1
    k.add_pageblocks(0, 0b0100)
    assert k.layout is not None
    k.layout.plug(0, 512, again=False)
    assert (k.absent, k.nr_absent) == ({}, 0)
    k.take(512)
    assert k.held == {0: FULL, 1: 0b1}


def test_of_blocks_that_go_together_all_are_forgotten_and_no_other() -> None:
    k = blocks((0, 5))
    for block in range(5):
        k.remove_pageblocks(block, 0b11)
    go(k, 1, 2)
    assert (k.runs(), k.nr_absent) == ([(0, 1), (3, 2)], 6)
    assert k.absent == dict.fromkeys((0, 3, 4), 0b11)


def test_kernel_pages_leave_out_the_boot_kernels_own() -> None:
    k = blocks((0, 4))
    k.fix(0, FULL)
    users(k, 8 * 512)
    k.take(1)
    assert k.held == {2: 0b1}


def test_a_block_that_has_gone_takes_nothing_though_it_was_the_next() -> None:
    for piece in (False, True):
        k = blocks((0, 2), (10, 1))
        k.take(8 * 512)
        mine = k.take(512)
        k.give(512, mine)
        assert (k.held, mine) == ({0: FULL}, {})
        go(k, 1, 1)
        if piece:
            assert k.take_pieces(1) == [(10, 0b1)]
        else:
            k.take(512)
            assert k.held == {0: FULL, 10: 0b1}


def test_blocks_are_filled_in_the_order_in_which_they_came_whatever_their_addresses() -> None:
    k = blocks((10, 2))
    k.take(10 * 512)
    add(k, 4, 1)
    k.take(6 * 512)
    assert k.held == {10: FULL, 11: FULL}
    k.take(512)
    assert k.held[4] == 0b1
    add(k, 2, 1)
    assert k.take_pieces(8) == [(4, 0b11111110), (2, 0b1)]


def test_a_zone_that_was_empty_starts_anew_wherever_it_is() -> None:
    k = blocks((4, 1))
    go(k, 4, 1)
    add(k, 9, 1)
    add(k, 12, 1)
    assert k.take_pieces(1) == [(9, 0b1)]
    k.take(8 * 512)
    assert k.held == {9: 0b11111110, 12: 0b1}


def test_which_blocks_of_a_run_are_busy() -> None:
    k = blocks((0, 8))
    k.fix(1, 0b1)
    k.take_pieces(15)
    k.take(2 * 512)
    assert sorted(k.held.keys() | k.pieces.keys() | k.fixed.keys()) == [0, 1, 2]
    assert k.busy_blocks(0, 8) == [0, 1, 2]
    assert k.busy_blocks(0, 2) == [0, 1]
    assert k.busy_blocks(1, 1) == [1]
    assert k.busy_blocks(3, 1) == []
    assert k.busy_blocks(1, 2) == [1, 2]
    assert k.busy_blocks(2, 2) == [2]
    assert k.busy_blocks(3, 5) == []
