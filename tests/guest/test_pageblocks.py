"""Which pageblocks kernel pages hold: placement, leftovers, what could go. Blocks of 8 pageblocks, amounts by hand."""

from __future__ import annotations

import random

import pytest

from sim.guest.bits import highest, lowest, per_pageblock, per_subblock
from sim.guest.kernel_pages import KernelPages
from sim.guest.layout import Layout
from sim.guest.loads import Load, LoadKind

FULL = 0xFF


def blocks(*runs: tuple[int, int], fill: float = 1.0, left_half: float = 1e9) -> KernelPages:
    """Return the pageblocks of a zone with these runs (first block, blocks) online."""
    out = KernelPages(8, fill, left_half)
    out.layout = Layout(out)
    for first, nr in runs:
        add(out, first, nr)
    return out


def add(k: KernelPages, first: int, nr: int) -> None:
    """Put blocks online."""
    assert k.layout is not None
    k.layout.fresh[first] = (nr, 8 * 512)
    k.insert(first, nr)


def go(k: KernelPages, first: int, nr: int) -> None:
    """Take blocks offline."""
    assert k.layout is not None
    k.layout.remove(first, nr)
    k.delete(first, nr)


def users(k: KernelPages, pages: int, name: str = "u") -> Load:
    """Put user pages into the zone."""
    load = Load(name, LoadKind.ANONYMOUS, 0, 0.0, {})
    assert k.layout is not None
    k.layout.put(load, pages)
    return load


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


# Leftovers ------------------------------------------------------------------------------------------------------------


def test_what_is_freed_are_the_pageblocks_of_who_had_them() -> None:
    k = blocks((0, 4))
    first, second, third = k.take(6 * 512), k.take(6 * 512), k.take(512)
    assert (first, second, third) == ({0: 0b111111}, {0: 0b11000000, 1: 0b1111}, {1: 0b10000})
    assert k.give(6 * 512, second) == 0
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
    mine = k.take(pageblocks * 512)
    assert k.give(pageblocks * 512, mine, 1.0, most) == left
    assert (k.nr_held, k.nr_left, k.pages) == (left, left, 0)


def test_leftovers_lie_where_the_load_lay_in_each_block_of_it() -> None:
    k = blocks((0, 9))
    other = k.take(16 * 512)
    mine = k.take(32 * 512)
    k.give(32 * 512, mine, 1.0, 9.2)
    assert k.left == {2: 0b11, 3: 0b11, 4: 0b11, 5: 0b11}
    k.give(16 * 512, other)
    assert k.held == k.left


def test_leftovers_are_filled_first_and_stay_though_what_filled_them_goes() -> None:
    k = blocks((0, 20))
    k.give(50 * 512, k.take(50 * 512), 1.0, 1e9)
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
    k.give(16 * 512, k.take(16 * 512), 1.0, 1e9)
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
    k.give(100 * 512, mine, 1.0, 100 * 0.6931)  # half of them
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
