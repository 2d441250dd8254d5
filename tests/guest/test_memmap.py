"""The memmap of added memory and what blocks cost besides: exact amounts.

In the small guest a block of 4,096 pages needs 64 pages of memmap, so eight blocks need a pageblock.
"""

from __future__ import annotations

import pytest

from sim.guest import BootZone, GuestModel
from sim.guest.memmap import split
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import ROUND, SIZE, SMALL_BLOCK, guest, small
from tests.guest.test_amounts import LOW, MIN


def memmaps(model: GuestModel) -> dict[tuple[int, int], tuple[int, int]]:
    """Return (pages of memmap, whole pageblocks of it) of each zone that has any."""
    return {
        key: (z.memmap, z.pageblocks.nr_pieces if z.pageblocks else 0) for key, z in model.zones.items() if z.memmap
    }


@pytest.mark.parametrize(("blocks", "pages", "pieces"), [(1, 64, 0), (7, 448, 0), (8, 512, 1), (20, 1280, 2)])
def test_a_64th_is_taken_in_whole_pageblocks_while_it_fills_them(blocks: int, pages: int, pieces: int) -> None:
    model = small(ZONE_MOVABLE)
    assert model.add_memory(0, 100, blocks, altmap=False)
    assert memmaps(model) == {(0, ZONE_DMA32): (pages, pieces)}
    assert model.zones[0, ZONE_DMA32].free == SIZE - pages
    model.check()
    model.remove_memory(100, blocks)
    assert memmaps(model) == {}
    assert model.zones[0, ZONE_DMA32].free == SIZE
    model.check()


def test_the_highest_kernel_zone_of_the_node_pays() -> None:
    model = GuestModel(ROUND, block_pages=SMALL_BLOCK)
    model.boot(
        [BootZone(0, ZONE_DMA32, SIZE, SIZE, runs=((0, 16),)), BootZone(1, ZONE_NORMAL, SIZE, SIZE, runs=((16, 16),))]
    )
    model.online(ZONE_NORMAL, 0, 32, 16, SMALL_BLOCK)
    model.add_memory(0, 100, 1, altmap=False)
    model.add_memory(1, 200, 2, altmap=False)
    model.add_memory(2, 300, 4, altmap=False)  # a node without memory: the first other one
    assert memmaps(model) == {(0, ZONE_NORMAL): (64 + 256, 0), (1, ZONE_NORMAL): (128, 0)}


def test_it_is_taken_down_to_the_minimum_and_not_a_page_more() -> None:
    for room, fits in ((512, True), (511, False)):
        model = small(ZONE_MOVABLE)
        model.demands.pin("p", SIZE - MIN - room)
        assert model.add_memory(0, 100, 8, altmap=False) is fits
        assert model.zones[0, ZONE_DMA32].free == MIN + room - 512 * fits
        model.check()


@pytest.mark.parametrize(
    ("fragments", "room", "fits"),
    [
        # More fragments than the minimum raised by a piece: there it ends.
        (4096, 1024, True),
        (4096, 1023, False),
        # Fewer: it ends with them.
        (MIN + 300, 812, True),
        (MIN + 300, 811, False),
        # None above the minimum.
        (MIN, 512, True),
        (MIN, 511, False),
    ],
)
def test_fragments_of_user_pageblocks_are_not_had_for_it(fragments: int, room: int, fits: bool) -> None:  # noqa: FBT001
    model = small(fragment_bytes=(MIN + fragments) * 4096)
    model.demands.anonymous("a", SIZE - 2 * MIN - room)
    assert model.add_memory(0, 100, 8, altmap=False) is fits


def test_what_loads_use_of_the_kernels_memory_comes_out_of_the_fragments() -> None:
    for pinned, fits in ((300, False), (301, True)):
        model = small(fragment_bytes=(2 * MIN + 600) * 4096)
        model.demands.pin("p", pinned)
        model.demands.anonymous("a", SIZE - 2 * MIN - 811 - pinned)
        assert model.add_memory(0, 100, 8, altmap=False) is fits


@pytest.mark.parametrize(("room", "cache", "starves"), [(63, 0, True), (64, 0, False), (0, 64, False), (0, 63, True)])
def test_whoever_asks_next_starves_where_less_than_a_piece_is_left(room: int, cache: int, starves: bool) -> None:  # noqa: FBT001
    model = small(ZONE_MOVABLE, system_cache_bytes=cache * 4096)
    model.demands.kernel_memory("k", SIZE - MIN - room)
    assert bool(model.starve()) is starves
    assert model.killer.guest_died is starves


def test_a_newer_kernel_takes_it_further_down() -> None:
    for room, fits in ((512, True), (511, False)):
        model = small(ZONE_MOVABLE, kernel_min_share=0.5)
        model.demands.pin("p", SIZE - MIN // 2 - room)
        assert model.add_memory(0, 100, 8, altmap=False) is fits


def test_a_zone_is_left_at_its_low_watermark_while_another_has_room() -> None:
    """Watermarks 362 and 452, as DMA32 and Normal are alike; DMA32 keeps 256 pages."""
    model = small(ZONE_NORMAL)
    model.demands.pin("p", SIZE - 452 - 700)
    model.add_memory(0, 100, 16, altmap=False)  # 1,024 pages: one whole piece of 700 pages, the rest elsewhere
    assert memmaps(model) == {(0, ZONE_NORMAL): (512, 1), (0, ZONE_DMA32): (512, 1)}
    model.demands.pin("q", SIZE - 512 - 452 - 256 - 600 + 188)
    assert (model.zones[0, ZONE_NORMAL].free, model.zones[0, ZONE_DMA32].free) == (452, 452 + 256 + 600)
    assert model.add_memory(0, 200, 10, altmap=False)  # 640 pages: 600 above low, so down to min
    assert memmaps(model) == {(0, ZONE_NORMAL): (512, 1), (0, ZONE_DMA32): (512 + 640, 2)}
    model.check()


def test_cache_and_slab_in_kernel_zones_make_room_for_it() -> None:
    """65 pages lie between low and min: 447 more are needed."""
    for pages, fits in ((447, True), (446, False)):
        for slab in (False, True):
            model = small(ZONE_MOVABLE)
            model.demands.anonymous("a", SIZE - LOW)
            if slab:
                model.demands.disk_files("/d", pages)
            else:
                model.demands.read_file("/f", pages)
            model.demands.pin("p", SIZE - LOW - pages)
            assert model.zones[0, ZONE_DMA32].free == LOW
            assert model.add_memory(0, 100, 8, altmap=False) is fits
            assert model.zones[0, ZONE_DMA32].memmap == 512 * fits
            model.check()


def test_cache_is_given_up_for_it_as_long_as_there_is_any() -> None:
    """As much as is needed is not enough where the zone has less than memmap leaves in it."""
    model = small(fragment_bytes=(MIN + 4096) * 4096)
    model.demands.read_file("/f", SIZE)
    assert model.add_memory(0, 100, 8, altmap=False)
    assert model.zones[0, ZONE_DMA32].memmap == 512
    assert model.zones[0, ZONE_DMA32].cache > SIZE - 3000
    model.check()


def test_cache_in_movable_makes_no_room_for_it() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.read_file("/f", 1000)
    model.demands.pin("p", SIZE - MIN)
    assert not model.add_memory(0, 100, 8, altmap=False)
    assert model.zones[0, ZONE_MOVABLE].cache == 1000


def test_single_blocks_give_back_their_part() -> None:
    model = small(ZONE_MOVABLE)
    model.add_memory(0, 100, 20, altmap=False)  # 1,280 pages, two pieces
    for first, nr, pages in ((108, 4, 1024), (119, 1, 960), (100, 1, 896), (101, 7, 448), (112, 7, 0)):
        model.remove_memory(first, nr)
        assert model.zones[0, ZONE_DMA32].memmap == pages
        assert model.zones[0, ZONE_DMA32].free == SIZE - pages
        model.check()
    assert memmaps(model) == {}


def test_one_removal_may_reach_over_several_ranges() -> None:
    model = small(ZONE_NORMAL)
    for first, nr in ((100, 4), (104, 4), (110, 4)):
        model.add_memory(0, first, nr, altmap=False)
    model.remove_memory(102, 9)  # halves of the outer ranges, all of the middle one, a hole
    assert memmaps(model) == {(0, ZONE_NORMAL): ((2 + 3) * 64, 0)}
    model.remove_memory(100, 2)
    model.remove_memory(111, 3)
    assert memmaps(model) == {}
    model.check()


def test_memory_of_zone_dma_is_taken_last_and_by_pages() -> None:
    model = GuestModel(ROUND, block_pages=SMALL_BLOCK)
    model.boot([BootZone(0, ZONE_DMA, 3000, 3000), BootZone(0, ZONE_DMA32, SIZE, SIZE, runs=((0, 16),))])
    dma = model.zones[0, ZONE_DMA]
    model.meminfo.uses()
    model.demands.pin("p", SIZE - model.zones[0, ZONE_DMA32].low)
    assert dma.free == 3000
    assert model.add_memory(0, 100, 16, altmap=False)
    assert memmaps(model) == {(0, ZONE_DMA): (1024, 0)}


# A memmap in its own block --------------------------------------------------------------------------------------------


def test_a_block_that_hosts_its_memmap_is_smaller_by_it_and_costs_nothing() -> None:
    for zone in (ZONE_MOVABLE, ZONE_NORMAL):
        model = small(zone)
        model.add_memory(0, 100, 4, altmap=True)
        model.add_memory(0, 104, 1, altmap=False)
        paid = 64
        assert sum(z.memmap for z in model.zones.values()) == paid
        model.online(zone, 0, 100, 4, SMALL_BLOCK)
        model.online(zone, 0, 104, 1, SMALL_BLOCK)
        assert model.zones[0, zone].managed == SIZE + 4 * (SMALL_BLOCK - 64) + SMALL_BLOCK
        tracked = model.zones[0, zone].pageblocks
        assert tracked is None or tracked.nr_absent == 0
        assert model.offline(zone, 0, 101, 2, SMALL_BLOCK).refused == ()
        assert model.offline(zone, 0, 104, 1, SMALL_BLOCK).refused == ()
        assert model.zones[0, zone].managed == SIZE + 2 * (SMALL_BLOCK - 64)
        model.remove_memory(101, 2)
        model.remove_memory(104, 1)
        # The same place, added anew without it.
        model.add_memory(0, 101, 1, altmap=False)
        model.online(zone, 0, 101, 1, SMALL_BLOCK)
        assert model.zones[0, zone].managed == SIZE + 2 * (SMALL_BLOCK - 64) + SMALL_BLOCK
        assert sum(z.memmap for z in model.zones.values()) == paid
        model.check()


# What blocks cost besides ---------------------------------------------------------------------------------------------


def test_blocks_cost_15_kib_each_charged_by_the_hundred_pages() -> None:
    """3.75 pages each: 26 blocks are 97.5 pages, 27 are 101.25, 53 are 198.75 and 54 are 202.5."""
    model = guest(4096)
    kernel = model.zones[0, ZONE_NORMAL]
    for number, charged in ((26, 0), (27, 101), (53, 101), (54, 202)):
        while (done := len(model.memmaps.parts())) < number:
            model.add_memory(0, 1024 + done, 1, altmap=False)
        assert kernel.kernel == charged
    for number, charged in ((54, 202), (28, 202), (27, 102)):
        while (done := len(model.memmaps.parts())) > number:
            model.remove_memory(1024 + done - 1, 1)
        assert kernel.kernel == charged
    model.check()


def test_a_run_costs_what_its_blocks_cost_with_and_without_a_memmap_of_its_own() -> None:
    for altmap in (True, False):
        model = guest(4096)
        model.add_memory(0, 1024, 80, altmap=altmap)
        assert model.zones[0, ZONE_NORMAL].kernel == 300
        model.remove_memory(1024, 80)
        assert model.zones[0, ZONE_NORMAL].kernel == 0
        model.check()


def test_what_is_cut_off_a_memmap_takes_whole_pageblocks_lowest_first_and_leaves_the_rest() -> None:
    model = small(ZONE_MOVABLE)
    low, other = model.zones[0, ZONE_DMA32], model.zones[0, ZONE_MOVABLE]
    parts = [(low, 0, []), (low, 1200, [(3, 0b1011)]), (other, 700, [(5, 0b10)])]
    # All but 176 pages of the second part: two whole pageblocks, the lowest; then 76 pages, none whole.
    assert split(parts, 1024) == [(low, 1024, [(3, 0b0011)])]
    assert parts == [(low, 0, []), (low, 176, [(3, 0b1000)]), (other, 700, [(5, 0b10)])]
    assert split(parts, 176 + 511) == [(low, 176, [(3, 0b1000)]), (other, 511, [])]
    assert parts == [(low, 0, []), (low, 0, []), (other, 189, [(5, 0b10)])]
    assert split(parts, 500) == [(other, 189, [(5, 0b10)])]


def test_what_is_cut_off_takes_as_many_whole_pageblocks_as_it_fills_wherever_they_lie() -> None:
    low = small(ZONE_MOVABLE).zones[0, ZONE_DMA32]
    parts = [(low, 6 * 512, [(3, 0b11), (4, 0b11), (5, 0b11)])]
    assert split(parts, 3 * 512) == [(low, 3 * 512, [(3, 0b11), (4, 0b01)])]
    assert parts == [(low, 3 * 512, [(4, 0b10), (5, 0b11)])]
