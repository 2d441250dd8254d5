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


def test_the_youngest_pages_move_first() -> None:
    model = small(ZONE_MOVABLE)
    for name in "abc":
        model.demands.anonymous(name, 20_000)
    movable, dma32 = model.zones[0, ZONE_MOVABLE], model.zones[0, ZONE_DMA32]
    model.offline(ZONE_MOVABLE, 0, 16, 8, SMALL_BLOCK)
    moved = 60_000 - SIZE // 2
    assert [load.user.get(movable) for load in model.loads.values()] == [20_000, SIZE // 2 - 20_000, None]
    assert [load.user.get(dma32) for load in model.loads.values()] == [None, moved - 20_000, 20_000]


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


def test_a_kernel_zone_is_left_at_its_low_watermark_while_there_is_room_elsewhere() -> None:
    model = small(ZONE_NORMAL)
    model.demands.anonymous("a", 60_000)
    assert users(model) == {ZONE_NORMAL: 60_000, ZONE_DMA32: 0}
    assert model.offline(ZONE_NORMAL, 0, 31, 1, SMALL_BLOCK) == ((), 0, ())
    assert free(model)[ZONE_NORMAL] == SIZE - SMALL_BLOCK - 60_000 == 1440
    low = watermarks(model, ZONE_NORMAL)[1]
    assert low == 430  # 61,440 of 126,976 pages: 344 of 712, and a quarter
    outcome = model.offline(ZONE_NORMAL, 0, 30, 1, SMALL_BLOCK)
    moved = low + SMALL_BLOCK - 1440
    assert outcome == ((), moved, ())
    assert free(model)[ZONE_NORMAL] == low
    assert users(model) == {ZONE_NORMAL: 60_000 - moved, ZONE_DMA32: moved}


def test_one_page_below_the_low_watermark_is_moved_too() -> None:
    model = small(ZONE_NORMAL)
    low = watermarks(model, ZONE_NORMAL)[1]
    model.demands.anonymous("a", SIZE - SMALL_BLOCK - low + 1)
    assert model.offline(ZONE_NORMAL, 0, 31, 1, SMALL_BLOCK) == ((), 1, ())
    assert (free(model)[ZONE_NORMAL], users(model)[ZONE_DMA32]) == (low, 1)


def test_other_zones_are_filled_to_low_for_the_watermark_and_to_min_for_the_pages() -> None:
    model = small(ZONE_NORMAL)
    model.demands.anonymous("a", SIZE - 452)  # Normal at low
    model.demands.pin("p", SIZE - 452 - RESERVE - 4000)  # 4,000 pages above DMA32's low watermark and reserve
    outcome = model.offline(ZONE_NORMAL, 0, 31, 1, SMALL_BLOCK)
    # 4,096 pages would lift Normal to low again; 4,000 find room, then nothing more is needed: 356 stay free.
    assert outcome == ((), 4000, ())
    assert free(model) == {ZONE_NORMAL: 356, ZONE_DMA32: 452 + RESERVE}
    # Now DMA32 has the watermarks 367 and 458 and keeps 61,440 / 256 = 240: 10 pages down to low, 91 more to min.
    outcome = model.offline(ZONE_NORMAL, 0, 30, 1, SMALL_BLOCK)
    assert outcome.moved == 10 + 91
    assert [(e.kind, e.victim) for e in outcome.ooms] == [(OomKind.MIGRATION, "a")]
    assert {u.zone: u.free for u in outcome.ooms[0].zones} == {ZONE_NORMAL: 356 + 101, ZONE_DMA32: 367 + 240}


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
