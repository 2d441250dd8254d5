"""Where user pages go when memory is asked back, and what is killed for it: exact amounts.

The small guest of test_amounts.py (watermarks 256, 321, 386), and one with 65,536 pages each in DMA32 and Normal. There
the minimum is sqrt(16 x 512 MiB in KiB) = 2,896 KiB or 724 pages: 362 for each zone, and steps of 90.
"""

from __future__ import annotations

from sim.guest import GuestModel, OomKind
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import SIZE, SMALL_BLOCK, small
from tests.guest.test_amounts import LOW, MIN, RESERVE, free, users

FULL = 0xFF
"""All 8 sub-blocks of a block."""


def watermarks(model: GuestModel, zone: int) -> tuple[int, int]:
    use = next(u for u in model.meminfo.uses() if u.zone == zone)
    return use.min, use.low


def test_pages_move_to_other_zones_as_far_as_those_above_them_are_not_free() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", SIZE - LOW)
    outcome = model.offline(ZONE_MOVABLE, 0, 28, 4, SMALL_BLOCK)
    moved = 4 * SMALL_BLOCK - LOW
    assert outcome == ((), moved, ())
    assert users(model) == {ZONE_MOVABLE: SIZE - LOW - moved, ZONE_DMA32: moved}
    assert free(model) == {ZONE_MOVABLE: 0, ZONE_DMA32: SIZE - moved}
    assert model.zones[0, ZONE_MOVABLE].managed == SIZE - 4 * SMALL_BLOCK
    model.check()


def test_free_pages_go_first() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 100)
    assert model.offline(ZONE_MOVABLE, 0, 17, 15, SMALL_BLOCK) == ((), 0, ())
    assert model.offline(ZONE_MOVABLE, 0, 16, 1, SMALL_BLOCK) == ((), 100, ())
    assert users(model) == {ZONE_MOVABLE: 0, ZONE_DMA32: 100}


def test_what_lies_in_the_blocks_moves_first_to_the_free_rest_of_their_zone() -> None:
    model = small(ZONE_MOVABLE)
    for name in "abc":
        model.demands.anonymous(name, 20_000)
    movable, dma32 = model.zones[0, ZONE_MOVABLE], model.zones[0, ZONE_DMA32]
    outcome = model.offline(ZONE_MOVABLE, 0, 16, 8, SMALL_BLOCK)
    assert outcome.moved == model.migration.moved == SIZE // 2
    assert free(model) == {ZONE_MOVABLE: 0, ZONE_DMA32: SIZE - (60_000 - SIZE // 2)}
    # Of "a" all lay there, of "b" what was left of eight blocks: 5,536 pages found room in the zone.
    there = SIZE - 60_000
    assert [load.user.get(movable) for load in model.loads.values()] == [there, 40_000 - SIZE // 2, 20_000]
    assert [load.user.get(dma32) for load in model.loads.values()] == [20_000 - there, SIZE // 2 - 20_000, None]
    model.check()


def test_of_a_range_that_is_free_nothing_moves_however_full_the_zone_is() -> None:
    """A whole device of free memory goes, and what fills the rest of the zone stays."""
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 8 * SMALL_BLOCK)
    assert model.offline(ZONE_MOVABLE, 0, 24, 8, SMALL_BLOCK) == ((), 0, ())
    assert free(model) == {ZONE_MOVABLE: 0, ZONE_DMA32: SIZE}


def test_cache_in_the_range_goes_and_free_memory_beside_it_stays() -> None:
    for drop in (True, False):
        model = small(ZONE_MOVABLE)
        model.demands.read_file("/f", SMALL_BLOCK)
        if drop:
            assert model.give_subblocks(ZONE_MOVABLE, 0, 16, FULL, 512, 8) == (FULL, SMALL_BLOCK, ())
        else:
            assert model.offline(ZONE_MOVABLE, 0, 16, 1, SMALL_BLOCK) == ((), SMALL_BLOCK, ())
        assert free(model)[ZONE_MOVABLE] == (15 if drop else 14) * SMALL_BLOCK
        assert (model.zones[0, ZONE_MOVABLE].cache, model.migration.moved) == ((0, 0) if drop else (4096, 4096))
        model.check()


def test_whole_blocks_of_virtio_mem_lose_their_cache_as_parts_do() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", SMALL_BLOCK)
    assert model.offline(ZONE_MOVABLE, 0, 16, 1, SMALL_BLOCK, drop_cache=True) == ((), SMALL_BLOCK, ())
    assert (free(model)[ZONE_MOVABLE], model.migration.moved) == (15 * SMALL_BLOCK, 0)


def test_pages_that_moved_lie_where_the_next_shrink_finds_them_again() -> None:
    """From the top down, as virtio-mem shrinks: what was freed last is filled first, and so moves time and again."""
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("gone", 4 * SMALL_BLOCK)
    model.demands.anonymous("stays", 1000)
    model.demands.kill("gone")
    moved = [model.offline(ZONE_MOVABLE, 0, block, 1, SMALL_BLOCK).moved for block in range(31, 15, -1)]
    assert moved == [0] * 11 + [1000, 1000, 1000, 1000, 1000]  # 20, then 19, 18, 17 and 16, the last out of the zone
    assert users(model)[ZONE_DMA32] == 1000


def test_moving_fills_another_zone_to_min_and_reserve_before_anybody_dies() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("mover", SIZE - LOW)
    moved = SMALL_BLOCK - LOW
    model.demands.pin("rest", SIZE - MIN - RESERVE - moved)
    assert model.offline(ZONE_MOVABLE, 0, 31, 1, SMALL_BLOCK) == ((), moved, ())
    assert free(model) == {ZONE_MOVABLE: 0, ZONE_DMA32: MIN + RESERVE}


def test_one_page_too_many_kills_and_the_request_is_met() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("old", SIZE - LOW - 5000)
    model.demands.anonymous("young", 5000)
    moved = SMALL_BLOCK - LOW
    model.demands.pin("rest", SIZE - MIN - RESERVE - moved + 1)
    outcome = model.offline(ZONE_MOVABLE, 0, 31, 1, SMALL_BLOCK)
    assert [(e.kind, e.victim, e.done_share) for e in outcome.ooms] == [(OomKind.MIGRATION, "rest", 0.0)]
    assert outcome.refused == ()
    assert outcome.moved == moved
    assert users(model) == {ZONE_MOVABLE: SIZE - SMALL_BLOCK, ZONE_DMA32: moved}
    assert model.zones[0, ZONE_MOVABLE].managed == SIZE - SMALL_BLOCK


def test_without_anybody_to_kill_the_guest_dies_of_it() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.tmpfs_data("/tmp/a", SIZE - LOW)  # noqa: S108 - a path inside the guest
    model.demands.kernel_memory("k", SIZE - MIN - RESERVE)
    outcome = model.offline(ZONE_MOVABLE, 0, 31, 1, SMALL_BLOCK)
    assert [(e.kind, e.victim, e.guest_died) for e in outcome.ooms] == [(OomKind.MIGRATION, None, True)]
    assert model.killer.guest_died
    assert users(model) == {ZONE_MOVABLE: SIZE - LOW, ZONE_DMA32: 0}


def test_clean_cache_elsewhere_makes_room() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", SIZE - LOW)
    model.demands.read_file("/f", SIZE - LOW - RESERVE)
    assert model.zones[0, ZONE_DMA32].cache == SIZE - LOW - RESERVE
    outcome = model.offline(ZONE_MOVABLE, 0, 31, 1, SMALL_BLOCK)
    moved = SMALL_BLOCK - LOW
    assert outcome == ((), moved, ())
    # DMA32 takes 65 pages to its minimum, then as many as cache is dropped.
    assert users(model) == {ZONE_MOVABLE: SIZE - SMALL_BLOCK, ZONE_DMA32: SIZE - MIN - RESERVE}
    assert model.zones[0, ZONE_DMA32].cache == SIZE - LOW - RESERVE - (moved - (LOW - MIN))


def test_pages_of_a_kernel_zone_move_within_it_down_to_its_low_watermark() -> None:
    model = small(ZONE_NORMAL)
    model.demands.anonymous("a", 60_000)
    assert users(model) == {ZONE_NORMAL: 60_000, ZONE_DMA32: 0}
    assert model.offline(ZONE_NORMAL, 0, 31, 1, SMALL_BLOCK) == ((), 0, ())
    assert free(model)[ZONE_NORMAL] == SIZE - SMALL_BLOCK - 60_000 == 1440
    low = watermarks(model, ZONE_NORMAL)[1]
    assert low == 430  # 61,440 of 126,976 pages: 344 of 712, and a quarter
    there = 60_000 - 14 * SMALL_BLOCK
    outcome = model.offline(ZONE_NORMAL, 0, 30, 1, SMALL_BLOCK)
    assert outcome == ((), there, ())
    # Its own free pages go with the block: none is left beside it, so all move to the other zone.
    assert users(model) == {ZONE_NORMAL: 14 * SMALL_BLOCK, ZONE_DMA32: there}
    model.demands.shrink("a", 0.01)
    assert users(model) == {ZONE_NORMAL: 14 * SMALL_BLOCK - 573, ZONE_DMA32: there - 27}
    low = watermarks(model, ZONE_NORMAL)[1]
    outcome = model.offline(ZONE_NORMAL, 0, 16, 1, SMALL_BLOCK)
    assert outcome == ((), SMALL_BLOCK, ())
    assert free(model)[ZONE_NORMAL] == low


def test_other_zones_are_filled_to_low_and_then_all_to_min() -> None:
    model = small(ZONE_NORMAL)
    model.demands.anonymous("a", SIZE - 452)  # Normal at low, all of it free in the last block
    model.demands.pin("p", SIZE - 452 - RESERVE - 3000)  # 3,000 pages above DMA32's low watermark and reserve
    outcome = model.offline(ZONE_NORMAL, 0, 31, 1, SMALL_BLOCK)
    # 3,644 pages: 3,000 to DMA32's low watermark, and 90 to its minimum; for the others "a" dies.
    assert [(e.kind, e.victim) for e in outcome.ooms] == [(OomKind.MIGRATION, "a")]
    assert outcome.moved == 3000 + 90
    assert users(model) == {ZONE_NORMAL: 0, ZONE_DMA32: 0}
    assert free(model)[ZONE_NORMAL] == SIZE - SMALL_BLOCK
    model.check()


def test_virtio_mem_drops_clean_cache_where_a_dimm_moves_it() -> None:
    for drop in (True, False):
        model = small(ZONE_MOVABLE)
        model.demands.write_file("/f", SIZE - LOW)
        model.loads["/f"].dirty = 1000
        if drop:
            given = model.give_subblocks(ZONE_MOVABLE, 0, 31, FULL, 512, 8)
            assert given == (FULL, SMALL_BLOCK - LOW, ())
        else:
            assert model.offline(ZONE_MOVABLE, 0, 31, 1, SMALL_BLOCK) == ((), SMALL_BLOCK - LOW, ())
        assert users(model) == {ZONE_MOVABLE: SIZE - SMALL_BLOCK, ZONE_DMA32: 0 if drop else SMALL_BLOCK - LOW}
        assert model.zones[0, ZONE_MOVABLE].managed == SIZE - SMALL_BLOCK
        model.check()


def test_dirty_cache_moves_even_for_virtio_mem() -> None:
    model = small(ZONE_MOVABLE, dirty_share=1.0)
    model.demands.write_file("/f", SIZE - LOW)
    model.loads["/f"].dirty = SIZE - LOW - 1000
    given = model.give_subblocks(ZONE_MOVABLE, 0, 31, FULL, 512, 8)
    moved = SMALL_BLOCK - LOW
    assert given == (FULL, moved, ())
    assert users(model) == {ZONE_MOVABLE: SIZE - SMALL_BLOCK, ZONE_DMA32: moved - 1000}


def test_pages_of_a_node_move_within_the_node_first() -> None:
    model = small(ZONE_NORMAL)
    model.online(ZONE_MOVABLE, 1, 40, 2, SMALL_BLOCK)
    model.online(ZONE_NORMAL, 1, 48, 2, SMALL_BLOCK)
    model.demands.anonymous("a", 5000, 1)
    assert model.zones[1, ZONE_MOVABLE].user == 5000
    assert model.offline(ZONE_MOVABLE, 1, 40, 2, SMALL_BLOCK).moved == 5000
    assert model.zones[1, ZONE_NORMAL].user == 5000
    assert model.offline(ZONE_NORMAL, 1, 48, 2, SMALL_BLOCK).moved == 5000
    assert users(model)[ZONE_NORMAL] == 0  # the last zone is that of node 1
    assert model.zones[0, ZONE_NORMAL].user == 5000
