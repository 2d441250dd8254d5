"""What is given up for a request: page cache and slab, to exact amounts.

The small guest of test_amounts.py: DMA32 and MOVABLE of 65,536 pages, watermarks 256, 321 and 386.
"""

from __future__ import annotations

import pytest

from sim.guest import GuestModel, OomKind
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import SIZE, SMALL_BLOCK, guest, small
from tests.guest.test_amounts import HIGH, LOW, MIN, RESERVE

ROOM = 2 * (SIZE - LOW) - RESERVE
"""User pages that go in above the low watermarks."""


def caches(model: GuestModel) -> dict[int, int]:
    return {zone: z.cache for (_, zone), z in model.zones.items()}


# Page cache -----------------------------------------------------------------------------------------------------------


def test_a_user_page_drops_as_much_cache_as_lifts_all_zones_to_high() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", ROOM)
    assert not model.demands.anonymous("a", 1).ooms
    dropped = 1 + 2 * (HIGH - LOW)
    assert caches(model) == {ZONE_MOVABLE: SIZE - LOW - dropped, ZONE_DMA32: SIZE - LOW - RESERVE}
    assert model.zones[0, ZONE_MOVABLE].user == SIZE - LOW - dropped + 1
    model.demands.anonymous("a", dropped - 1)  # fits without dropping more
    assert sum(caches(model).values()) == ROOM - dropped
    assert model.zones[0, ZONE_MOVABLE].free == LOW


def test_a_kernel_page_drops_cache_of_kernel_zones_only() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", ROOM)
    model.demands.pin("p", RESERVE)
    assert caches(model) == {ZONE_MOVABLE: SIZE - LOW, ZONE_DMA32: SIZE - LOW - RESERVE}
    assert not model.demands.pin("p", 1).ooms
    assert caches(model) == {ZONE_MOVABLE: SIZE - LOW, ZONE_DMA32: SIZE - LOW - RESERVE - 1 - (HIGH - LOW)}
    assert model.zones[0, ZONE_DMA32].free == HIGH


def test_the_oldest_file_goes_first() -> None:
    model = small(ZONE_MOVABLE)
    for name, pages in (("/old", 100), ("/young", 500), ("/rest", ROOM - 600)):
        model.demands.read_file(name, pages)
    model.demands.anonymous("a", 1)
    assert [model.loads[name].user_pages() for name in ("/old", "/young")] == [0, 500 - (131 - 100)]


def test_cache_cannot_be_dropped_while_it_is_dirty() -> None:
    model = small(ZONE_MOVABLE, dirty_share=1.0)
    model.demands.write_file("/f", ROOM)
    assert model.loads["/f"].dirty == ROOM
    assert model.demands.drop_caches() == 0
    outcome = model.demands.anonymous("a", 1000)
    assert [e.victim for e in outcome.ooms] == ["a"]
    assert outcome.pages == 2 * (LOW - MIN)
    model.demands.sync()
    assert model.loads["/f"].dirty == 0
    assert model.demands.drop_caches(slab=False) == ROOM


def test_a_single_page_can_be_dropped() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", 1)
    assert (model.demands.drop_caches(), caches(model)[ZONE_MOVABLE]) == (1, 0)


def test_who_writes_nothing_has_nothing_written() -> None:
    """As memory fills, more is dirty than may be; that is for the next one who writes to see to."""
    for rest, read in ((100, 1), (-1, 0)):  # with a page too much it goes step by step
        model = small(ZONE_MOVABLE, dirty_share=0.5)
        model.demands.write_file("/f", 20_000)
        model.demands.anonymous("a", ROOM - 20_000 - rest)
        if read:
            model.demands.read_file("/f", read)
        assert model.loads["/f"].dirty == 20_000
        model.demands.write_file("/f", 1)
        assert model.loads["/f"].dirty < 11_000


def test_dirty_pages_are_the_youngest() -> None:
    """What was written last is dirty, in the zone that was used last."""
    model = small(ZONE_MOVABLE, dirty_share=1.0)
    model.demands.read_file("/f", SIZE - LOW + 100)
    model.loads["/f"].dirty = 40
    assert model.demands.drop_caches() == SIZE - LOW + 60
    assert caches(model) == {ZONE_MOVABLE: 0, ZONE_DMA32: 40}
    model.loads["/f"].dirty = 0
    model.demands.read_file("/f", 10)
    assert model.loads["/f"].user_pages() == 50


def test_dirty_pages_are_a_fifth_of_free_and_cache_and_the_oldest_are_cleaned() -> None:
    model = small(ZONE_MOVABLE)
    limit = 2 * SIZE // 5
    model.demands.write_file("/a", limit)
    assert model.loads["/a"].dirty == limit
    model.demands.write_file("/a", 5000)
    assert model.loads["/a"].dirty == limit
    model.demands.disk_files("/b", 3000, 4096)
    # The inodes of these files are neither free nor cache.
    limit = int(0.2 * (2 * SIZE - 3000))
    assert (model.loads["/a"].dirty, model.loads["/b"].dirty) == (limit - 3000, 3000)
    model.demands.anonymous("p", 2000)
    model.demands.write_file("/a", 0)
    limit = int(0.2 * (2 * SIZE - 5000))
    assert (model.loads["/a"].dirty, model.loads["/b"].dirty) == (limit - 3000, 3000)


def test_of_dirty_files_the_oldest_is_cleaned_and_then_the_next_as_far_as_need_be() -> None:
    model = small(ZONE_MOVABLE)
    for name, pages in (("/a", 1000), ("/b", 20_000), ("/c", 3000)):
        model.demands.write_file(name, pages)
    assert [load.dirty for load in model.loads.values()] == [1000, 20_000, 3000]
    model.demands.anonymous("p", 60_000)
    model.demands.write_file("/c", 0)
    limit = int(0.2 * (2 * SIZE - 60_000))
    assert [load.dirty for load in model.loads.values()] == [0, limit - 3000, 3000, 0]


def test_a_file_larger_than_memory_is_cleaned_while_it_is_written() -> None:
    model = small(ZONE_MOVABLE)
    assert model.demands.write_file("/f", 3 * SIZE) == (3 * SIZE, 1.0, ())
    z = model.zones.values()
    assert model.loads["/f"].dirty == int(0.2 * sum(x.free + x.cache for x in z)) == 2 * SIZE // 5
    model.check()


def test_no_more_is_dirty_than_was_written() -> None:
    model = small(ZONE_MOVABLE, dirty_share=1.0)
    assert model.demands.write_file("/f", 3 * SIZE).ooms[-1].guest_died
    load = model.loads["/f"]
    assert load.dirty == load.user_pages() == ROOM + 2 * (LOW - MIN)
    model.check()


def test_index_nodes_go_with_their_pages() -> None:
    model = small(ZONE_MOVABLE, cache_slab_share=0.5)
    model.demands.read_file("/f", 1000)
    assert model.zones[0, ZONE_DMA32].kernel == 500
    assert model.demands.drop_caches(slab=False) == 1500
    model.demands.read_file("/g", SIZE - LOW + 10_000)
    before = sum(model.loads["/g"].kernel.values())
    assert before == 37_608  # half of 75,215
    model.demands.anonymous("a", ROOM - (SIZE - LOW + 10_000) - before)
    model.demands.anonymous("a", 1)
    # 131 pages of 75,215: their share of the index nodes, rounded down.
    gone = before * 131 // (SIZE - LOW + 10_000)
    assert sum(model.loads["/g"].kernel.values()) == before - gone == before - 65


# Slab -----------------------------------------------------------------------------------------------------------------


def full_of_inodes() -> GuestModel:
    """DMA32 at its low watermark: 10,000 inodes, the rest pinned."""
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("/d", 10_000)
    model.demands.pin("p", SIZE - LOW - 10_000)
    assert model.zones[0, ZONE_DMA32].free == LOW
    return model


def test_the_first_shrink_drops_most_inodes_later_ones_a_tenth() -> None:
    model = full_of_inodes()
    assert not model.demands.pin("p", 1).ooms
    assert model.zones[0, ZONE_DMA32].slab == 1500
    assert model.zones[0, ZONE_DMA32].free == LOW + 8500 - 1
    model.demands.pin("p", 8499)
    assert model.zones[0, ZONE_DMA32].slab == 1500
    model.demands.pin("p", 1)
    assert model.zones[0, ZONE_DMA32].slab == 1350
    model.demands.pin("p", 149 + 400)  # more than a tenth: all that is needed, in steps
    assert model.zones[0, ZONE_DMA32].slab < 1350 - 400
    assert not model.killer.events


def test_a_shrink_drops_at_least_what_is_asked_for() -> None:
    model = full_of_inodes()
    model.demands.pin("p", 8500)
    assert model.zones[0, ZONE_DMA32].slab == 1500
    # One step of a demand of 64 x 500 pages: 500 and what lifts the zone to high, more than a tenth of 1,500.
    outcome = model.demands.pin("p", 64 * 500)
    assert outcome.ooms[0].done_share == (1500 + LOW - MIN) / (64 * 500)
    assert outcome.ooms[0].kind is OomKind.KERNEL


def test_slab_gives_what_cache_does_not() -> None:
    model = small(ZONE_MOVABLE, first_shrink_share=0.0, shrink_batch_share=0.0)
    model.demands.anonymous("a", SIZE - LOW)
    model.demands.read_file("/f", 20)
    model.demands.disk_files("/d", 1000)
    model.demands.pin("p", SIZE - LOW - 1020)
    model.demands.pin("p", 1)
    # One page, and 65 that lift DMA32 to its high watermark: 20 of cache, 46 of slab.
    assert (model.zones[0, ZONE_DMA32].cache, model.zones[0, ZONE_DMA32].slab) == (0, 1000 - 46)
    assert model.zones[0, ZONE_DMA32].free == HIGH


def test_slab_stays_where_cache_gives_enough() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", SIZE - LOW)
    model.demands.read_file("/f", 1 + HIGH - LOW)
    model.demands.disk_files("/d", 1000)
    model.demands.pin("p", model.zones[0, ZONE_DMA32].free - LOW)
    assert not model.demands.pin("q", 1).ooms
    assert (model.zones[0, ZONE_DMA32].cache, model.zones[0, ZONE_DMA32].slab) == (0, 1000)


def test_user_pages_have_slab_dropped_where_no_cache_is_left() -> None:
    """Linux kills nobody while shrinking inodes makes room."""
    model = full_of_inodes()
    room = SIZE - MIN + LOW + 10_000 - MIN - RESERVE
    assert model.meminfo.room_for_user_pages() == room
    assert not model.demands.anonymous("b", room).ooms
    assert model.zones[0, ZONE_DMA32].slab == 0
    assert model.demands.anonymous("b", 1).ooms
    model.check()


def test_slab_stays_where_user_pages_could_not_use_it() -> None:
    """DMA32 keeps 256 pages from them."""
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("/d", 100)
    model.demands.pin("p", SIZE - 100 - LOW)
    assert LOW + 100 < MIN + RESERVE
    assert model.demands.anonymous("a", SIZE).ooms
    assert model.zones[0, ZONE_DMA32].slab == 100


def test_a_file_is_read_through_the_last_pages_that_are_left() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.tmpfs_data("/tmp/t", ROOM)  # noqa: S108 - a path inside the guest
    outcome = model.demands.read_file("/f", 100_000)
    assert (outcome.pages, outcome.ooms) == (100_000, ())
    assert model.loads["/f"].user_pages() == 2 * (LOW - MIN)
    assert model.demands.read_file("/g", 1000).ooms == ()
    model.check()


@pytest.mark.parametrize("kind", ["page tables", "files"])
def test_inodes_of_dropped_data_go_at_once_for_whoever_is_no_file_system(kind: str) -> None:
    """Who is can drop the data for its own request and not the inodes."""
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", SIZE - LOW)
    model.demands.disk_files("/d", 10_000, 4096)
    model.demands.sync()
    model.demands.pin("p", model.zones[0, ZONE_DMA32].free - LOW)
    if kind == "files":
        assert model.demands.disk_files("/x", 12_000, 4096).ooms
    else:
        assert not model.demands.page_tables("x", 15_000).ooms
    model.check()


def test_inodes_of_dropped_data_go_before_an_add_that_failed_or_pages_that_move_kill() -> None:
    for moving in (False, True):
        model = small(ZONE_MOVABLE)
        model.demands.anonymous("a", SIZE - LOW)
        model.demands.disk_files("/d", 2000, 4096)
        model.demands.sync()
        model.demands.kernel_memory("k", model.zones[0, ZONE_DMA32].free - LOW)
        if moving:
            outcome = model.offline(ZONE_MOVABLE, 0, 31, 1, SMALL_BLOCK)
            assert (outcome.ooms, outcome.moved) == ((), SMALL_BLOCK - LOW)
        else:
            assert not model.add_memory(0, 100, 8 * 5, altmap=False)  # takes 2,048 of 2,560 pages: the data's
            assert model.starve() == ()
        assert "a" in model.loads
        model.check()


def test_no_guest_dies_of_files_whose_inodes_can_go() -> None:
    model = guest(1024)
    outcome = model.demands.disk_files("/mnt/x", 500_000, 4096)
    assert (outcome.share, outcome.ooms) == (1.0, ())
    model.check()


def test_dropping_slab_makes_the_next_shrink_a_first_one() -> None:
    model = full_of_inodes()
    model.demands.pin("p", 1)
    assert model.demands.drop_caches(cache=False) == 1500
    model.demands.disk_files("/d", 9_000)
    model.demands.pin("p", SIZE - LOW - model.zones[0, ZONE_DMA32].kernel)
    model.demands.pin("p", 1)
    assert model.zones[0, ZONE_DMA32].slab == 9_000 - 7_650


@pytest.mark.parametrize(
    ("cache", "slab", "freed"), [(True, False, 3000), (False, True, 700), (True, True, 3700), (False, False, 0)]
)
def test_dropping_caches_drops_what_was_named(cache: bool, slab: bool, freed: int) -> None:  # noqa: FBT001
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", 3000)
    model.demands.disk_files("/d", 700)
    assert model.demands.drop_caches(cache=cache, slab=slab) == freed
    assert sum(caches(model).values()) == (0 if cache else 3000)
    assert model.zones[0, ZONE_DMA32].slab == (0 if slab else 700)
    model.check()


def test_inodes_of_dropped_data_can_go_from_the_next_demand_on() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("/d", 1000, 4096)
    model.demands.sync()
    assert model.demands.drop_caches(cache=False) == 0
    model.demands.pin("p", SIZE - LOW - 1000)
    # Data goes for a user request; its inodes are not reclaimable before the next.
    model.demands.anonymous("a", SIZE - LOW - 1000)
    load = model.loads["/d"]
    outcome = model.demands.anonymous("a", 1)
    assert not outcome.ooms
    assert (load.user_pages(), sum(load.kernel.values()), sum(load.orphans.values())) == (869, 869, 131)
    assert load.kernel_pages() == 1000
    assert model.zones[0, ZONE_DMA32].slab == 0
    available = model.meminfo.available()
    model.demands.anonymous("a", 0)
    assert model.meminfo.available() == available  # they count before and after
    model.demands.anonymous("a", 1)
    assert (sum(load.slab.values()), sum(load.orphans.values()), model.zones[0, ZONE_DMA32].slab) == (131, 0, 131)
    model.check()


def test_inodes_of_dropped_data_are_freed_in_every_zone_that_holds_their_share() -> None:
    """One of them in Normal, of which half is less than a page, and 99 in DMA32."""
    model = small(ZONE_NORMAL, ZONE_MOVABLE)
    model.meminfo.uses()
    normal, dma32 = model.zones[0, ZONE_NORMAL], model.zones[0, ZONE_DMA32]
    model.demands.pin("p", normal.free - normal.low - 1)
    model.demands.disk_files("/d", 100, 4096)
    load = model.loads["/d"]
    load.dirty = 50
    assert load.kernel == {normal: 1, dma32: 99}
    assert model.demands.drop_caches(slab=False) == 50
    assert load.kernel == {normal: 1, dma32: 50}
    assert load.slab == {dma32: 49}


def test_inodes_looked_up_again_are_those_that_went() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("/d/a", 1000)
    model.demands.disk_files("/d/b", 500)
    model.demands.disk_files("/e", 200)
    model.demands.drop_caches(cache=False)
    assert model.zones[0, ZONE_DMA32].kernel == 0
    assert model.demands.look_up_files("/d/a") == (1000, 1.0, ())
    assert model.demands.look_up_files("/d") == (500, 1.0, ())
    assert model.demands.look_up_files("/d") == (0, 1.0, ())
    assert model.zones[0, ZONE_DMA32].slab == 1500


def test_looking_up_may_find_no_room() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.disk_files("/d/a", 1)
    model.demands.disk_files("/d/b", 500)
    model.demands.drop_caches(cache=False)
    model.demands.pin("p", SIZE - MIN - 1)
    found = model.demands.look_up_files("/d")
    assert [(e.kind, e.victim) for e in found.ooms] == [(OomKind.KERNEL, "p")]
    assert (found.pages, found.share) == (501, 1.0)
    # The one that was there went for the others before anybody was killed.
    assert [load.kernel_pages() for load in model.loads.values()] == [0, 500]
