"""Adding, onlining, offlining, removing, sub-blocks, and what stays behind."""

from __future__ import annotations

import pytest

from sim.guest import BootZone, GuestModel, GuestParameters, OomKind, parameters_for
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, SMALL_BLOCK, guest, plug, small

FULL = (1 << 64) - 1


def state(model: GuestModel) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    return {key: (z.managed, z.free, z.kernel, z.memmap) for key, z in model.zones.items() if z.managed}


def test_memmap_is_taken_at_once_and_comes_back() -> None:
    model = guest(1024)
    before = state(model)
    assert model.add_memory(0, FIRST, 32, altmap=False)
    assert model.zones[0, ZONE_DMA32].memmap == 64 * MIB
    model.remove_memory(FIRST, 32)
    model.check()
    assert state(model) == before


def test_of_an_add_that_fails_the_memmap_of_the_sections_done_before_stays() -> None:
    model = guest(1024)
    free = model.zones[0, ZONE_DMA32].free
    assert not model.add_memory(0, FIRST, 8 * 70, altmap=False)
    model.check()
    taken = {zone.type: zone.memmap for zone in model.zones.values()}
    assert taken == {ZONE_DMA: 5 * 512, ZONE_DMA32: 396 * 512}
    assert 0 <= free - taken[ZONE_DMA32] - model.zones[0, ZONE_DMA32].min < 512
    # Nothing gives it back; the next one fails at its first section and takes nothing.
    before = state(model)
    assert not model.add_memory(0, FIRST + 1000, 1, altmap=False)
    assert state(model) == before


def test_altmap_takes_nothing_and_withholds_from_the_zone() -> None:
    model = guest(1024)
    assert model.add_memory(0, FIRST, 8, altmap=True)
    assert model.zones[0, ZONE_DMA32].memmap == 0
    model.online(ZONE_MOVABLE, 0, FIRST, 8, BLOCK)
    assert model.zones[0, ZONE_MOVABLE].managed == 8 * (BLOCK - 512)
    assert not model.offline(ZONE_MOVABLE, 0, FIRST, 8, BLOCK).refused
    assert model.zones[0, ZONE_MOVABLE].managed == 0
    model.remove_memory(FIRST, 8)
    model.check()


def test_blocks_that_hold_their_memmap_are_known_until_they_go() -> None:
    model = guest(1024)
    for first, nr in ((FIRST, 2), (FIRST + 4, 1), (FIRST + 8, 1)):
        assert model.add_memory(0, first, nr, altmap=True)
    model.remove_memory(FIRST + 4, 1)
    assert model.memmaps.hosted == {FIRST, FIRST + 1, FIRST + 8}


def test_used_sub_blocks_of_a_kernel_zone_go_as_long_as_all_of_it_is_free_or_moves() -> None:
    model = small(ZONE_NORMAL)
    model.demands.anonymous("a", 60_000)
    normal = model.zones[0, ZONE_NORMAL]
    assert normal.free < normal.user
    assert model.give_subblocks(ZONE_NORMAL, 0, 31, 0xFF, 512, 8).mask == 0xFF


def test_what_is_not_plugged_of_a_kernel_block_is_no_room_for_kernel_pages() -> None:
    model = small(ZONE_NORMAL)
    model.online(ZONE_NORMAL, 0, 40, 1, 3 * 512)
    pageblocks = model.zones[0, ZONE_NORMAL].pageblocks
    assert pageblocks is not None
    assert (pageblocks.absent, pageblocks.nr_absent) == ({40: 0b1111_1000}, 5)


def test_memmap_prefers_hotplugged_kernel_memory() -> None:
    model = guest(1024)
    plug(model, 128, ZONE_NORMAL, FIRST)
    boot = model.zones[0, ZONE_DMA32].memmap
    plug(model, 1024, ZONE_MOVABLE, FIRST + 10)
    assert model.zones[0, ZONE_DMA32].memmap == boot
    assert model.zones[0, ZONE_NORMAL].memmap == 16 * MIB


def test_memmap_reclaims_page_cache() -> None:
    model = guest(1024)
    model.demands.read_file("/mnt/a", 2000 * MIB)
    assert model.add_memory(0, FIRST, 8 * 20, altmap=False)
    assert model.zones[0, ZONE_DMA32].memmap == 320 * MIB
    model.check()


def test_parts_of_a_range_can_be_removed() -> None:
    model = guest(2048)
    before = state(model)
    assert model.add_memory(0, FIRST, 10, altmap=False)
    for block in (3, 0, 9, 4):
        model.remove_memory(FIRST + block, 1)
        model.check()
    model.remove_memory(FIRST, 10)
    model.check()
    assert state(model) == before


def test_a_run_is_as_good_as_its_blocks() -> None:
    one, many = guest(4096), guest(4096)
    for zone, first in ((ZONE_NORMAL, FIRST), (ZONE_MOVABLE, FIRST + 100)):
        one.add_memory(0, first, 40, altmap=False)
        one.online(zone, 0, first, 40, BLOCK)
        many.add_memory(0, first, 40, altmap=False)
        for block in range(first, first + 40):
            many.online(zone, 0, block, 1, BLOCK)
    assert one.meminfo.uses() == many.meminfo.uses()
    for zone, first in ((ZONE_NORMAL, FIRST), (ZONE_MOVABLE, FIRST + 100)):
        refused = one.offline(zone, 0, first, 40, BLOCK).refused
        assert refused == tuple(
            block for block in range(first, first + 40) if many.offline(zone, 0, block, 1, BLOCK).refused
        )
    assert one.meminfo.uses() == many.meminfo.uses()
    one.check()
    many.check()


def test_idle_guest_keeps_two_pageblocks_of_its_first_kernel_block() -> None:
    model = guest(1024)
    plug(model, 512, ZONE_NORMAL, FIRST)
    assert not model.can_offline(ZONE_NORMAL, 0, FIRST)
    assert all(model.can_offline(ZONE_NORMAL, 0, FIRST + i) for i in (1, 2, 3))
    given = model.give_subblocks(ZONE_NORMAL, 0, FIRST, FULL, 512, 64)
    assert given.mask.bit_count() == 62
    assert given.mask == FULL & ~0b11
    model.check()


def test_a_guest_with_boot_memory_in_normal_keeps_nothing() -> None:
    model = guest(4096)
    plug(model, 512, ZONE_NORMAL, FIRST)
    assert all(model.can_offline(ZONE_NORMAL, 0, FIRST + i) for i in range(4))


def test_a_node_without_memory_starts_its_threads_in_the_first_that_it_gets() -> None:
    model = guest(1024)
    plug(model, 512, ZONE_NORMAL, FIRST, node=1)
    assert model.offline(ZONE_NORMAL, 1, FIRST, 4, BLOCK).refused == (FIRST,)
    assert model.give_subblocks(ZONE_NORMAL, 1, FIRST, FULL, 512, 64).mask == FULL & ~1
    model.check()
    plug(model, 512, ZONE_NORMAL, FIRST + 8, node=2)
    plug(model, 512, ZONE_NORMAL, FIRST + 16, node=2)  # the node has memory already
    assert not model.offline(ZONE_NORMAL, 2, FIRST + 16, 4, BLOCK).refused


def test_the_threads_of_a_node_with_movable_memory_only_lie_on_another() -> None:
    model = guest(1024)
    plug(model, 512, ZONE_MOVABLE, FIRST, node=1)
    plug(model, 512, ZONE_NORMAL, FIRST + 4, node=1)
    assert not model.offline(ZONE_NORMAL, 1, FIRST + 4, 4, BLOCK).refused


def test_kernel_pages_hold_blocks_and_movable_never_does() -> None:
    model = guest(1024)
    plug(model, 512, ZONE_NORMAL, FIRST)
    plug(model, 512, ZONE_MOVABLE, FIRST + 4)
    model.demands.page_tables("t", 200 * MIB)
    assert model.offline(ZONE_NORMAL, 0, FIRST, 4, BLOCK).refused == (FIRST, FIRST + 1)
    assert model.offline(ZONE_MOVABLE, 0, FIRST + 4, 4, BLOCK).refused == ()
    model.demands.kill("t")
    assert model.can_offline(ZONE_NORMAL, 0, FIRST + 1)  # page tables give back all of their pageblocks
    model.check()


def test_subblocks_highest_first_and_busy_ones_left_out() -> None:
    model = guest(1024)
    plug(model, 128, ZONE_NORMAL, FIRST)
    model.demands.page_tables("t", 40 * MIB)
    busy = 2 * -(-40 * MIB * 1.003 // 512)
    given = model.give_subblocks(ZONE_NORMAL, 0, FIRST, FULL, 512, 10)
    assert given.mask == ((1 << 10) - 1) << 54
    given = model.give_subblocks(ZONE_NORMAL, 0, FIRST, FULL & ~given.mask, 512, 64)
    left = 54 - given.mask.bit_count()
    assert 20 <= left <= busy
    assert model.zones[0, ZONE_NORMAL].managed == left * 512
    model.check()


@pytest.mark.parametrize("per", [1, 2, 4])
def test_a_subblock_of_several_pageblocks_is_busy_with_one_of_them(per: int) -> None:
    model = guest(1024)
    plug(model, 128, ZONE_NORMAL, FIRST)
    model.demands.page_tables("t", 2 * MIB)
    held = model.zones[0, ZONE_NORMAL].pageblocks
    assert held is not None
    sub = 512 * per
    nr = 64 // per
    busy = sum(1 for i in range(nr) if held.busy(FIRST) >> (i * per) & ((1 << per) - 1))
    given = model.give_subblocks(ZONE_NORMAL, 0, FIRST, (1 << nr) - 1, sub, nr)
    assert given.mask.bit_count() == nr - busy
    model.take_subblocks(ZONE_NORMAL, 0, FIRST, given.mask, sub)
    assert model.zones[0, ZONE_NORMAL].managed == BLOCK
    model.check()


def test_partly_plugged_blocks() -> None:
    model = guest(4096)
    model.add_memory(0, FIRST, 1, altmap=False)
    model.online(ZONE_NORMAL, 0, FIRST, 1, 10 * 512)
    before = model.zones[0, ZONE_NORMAL].managed
    model.take_subblocks(ZONE_NORMAL, 0, FIRST, ((1 << 54) - 1) << 10, 512)
    assert model.zones[0, ZONE_NORMAL].managed - before == 54 * 512
    assert model.give_subblocks(ZONE_NORMAL, 0, FIRST, FULL, 512, 64).mask == FULL
    assert not model.offline(ZONE_NORMAL, 0, FIRST, 1, 0).refused
    model.remove_memory(FIRST, 1)
    model.check()


def test_user_pages_make_room_by_moving() -> None:
    model = guest(1024)
    plug(model, 2048, ZONE_MOVABLE, FIRST)
    model.demands.anonymous("a", 1500 * MIB)
    outcome = model.offline(ZONE_MOVABLE, 0, FIRST + 8, 8, BLOCK)
    assert not outcome.ooms
    assert outcome.moved == pytest.approx(476 * MIB, rel=0.1)
    assert model.zones[0, ZONE_DMA32].user == outcome.moved
    model.check()


def test_free_blocks_go_without_moving_anything() -> None:
    model = guest(1024)
    plug(model, 4096, ZONE_MOVABLE, FIRST)
    model.demands.anonymous("a", 1000 * MIB)
    assert model.offline(ZONE_MOVABLE, 0, FIRST + 16, 16, BLOCK).moved == 0


def test_shrinking_beyond_room_kills_instead_of_being_refused() -> None:
    model = guest(1024)
    plug(model, 2048, ZONE_MOVABLE, FIRST)
    model.demands.anonymous("a", 1024 * MIB)
    model.demands.anonymous("b", 1024 * MIB)
    assert not model.offline(ZONE_MOVABLE, 0, FIRST + 12, 4, BLOCK).ooms
    outcome = model.offline(ZONE_MOVABLE, 0, FIRST + 8, 4, BLOCK)
    assert [e.kind for e in outcome.ooms] == [OomKind.MIGRATION]
    assert outcome.ooms[0].victim == "b"
    assert outcome.refused == ()
    assert model.zones[0, ZONE_MOVABLE].managed == 1024 * MIB
    model.check()


def test_clean_page_cache_in_the_way_costs_nobody() -> None:
    for drop in (True, False):
        model = guest(1024)
        plug(model, 2048, ZONE_MOVABLE, FIRST)
        model.demands.read_file("/mnt/a", 6000 * MIB)
        for block in range(FIRST + 15, FIRST + 7, -1):
            if drop:
                assert not model.give_subblocks(ZONE_MOVABLE, 0, block, FULL, 512, 64).ooms
                assert not model.offline(ZONE_MOVABLE, 0, block, 1, 0).ooms
            else:
                assert not model.offline(ZONE_MOVABLE, 0, block, 1, BLOCK).ooms
        assert model.zones[0, ZONE_MOVABLE].managed == 1024 * MIB
        model.check()


def test_leftovers_stay_thin_out_and_are_used_again() -> None:
    model = guest(1024)
    plug(model, 2048, ZONE_NORMAL, FIRST)
    normal = model.zones[0, ZONE_NORMAL].pageblocks
    assert normal is not None
    idle = normal.nr_held
    model.demands.pipes("q", 800)
    under_load = normal.nr_held
    assert under_load * 2 == pytest.approx(52 * 1.05, abs=5)
    model.demands.kill("q")
    left = normal.nr_held
    assert idle + 0.3 * under_load < left < idle + 0.7 * under_load
    model.demands.pipes("r", 800)
    assert normal.nr_held <= under_load + 2  # leftovers are filled first
    model.demands.kill("r")
    more = normal.nr_held
    assert left <= more < under_load
    plug(model, 128, ZONE_NORMAL, FIRST + 50)
    model.can_offline(ZONE_NORMAL, 0, FIRST)
    model.offline(ZONE_NORMAL, 0, FIRST + 50, 1, BLOCK)
    assert normal.nr_held < more
    model.check()


def test_boot_blocks_of_movable_with_boot_allocations_stay() -> None:
    model = GuestModel()
    model.boot(
        [
            BootZone(0, ZONE_DMA32, 200_000, 190_000, runs=((0, 8),)),
            BootZone(0, ZONE_MOVABLE, 240_000, 240_000, present=8 * BLOCK, runs=((32, 8),)),
        ]
    )
    assert not model.can_offline(ZONE_MOVABLE, 0, 39)
    model.online(ZONE_MOVABLE, 0, 40, 2, BLOCK)
    assert model.can_offline(ZONE_MOVABLE, 0, 38)
    assert not model.can_offline(ZONE_MOVABLE, 1, 38)
    assert model.offline(ZONE_MOVABLE, 0, 40, 2, BLOCK).refused == ()  # the run beside it
    assert model.offline(ZONE_MOVABLE, 0, 38, 1, BLOCK).refused == ()
    assert model.zones[0, ZONE_MOVABLE].managed == 240_000 - BLOCK
    model.online(ZONE_MOVABLE, 0, 38, 1, BLOCK)
    assert model.offline(ZONE_MOVABLE, 0, 32, 8, BLOCK).refused == (39,)
    assert model.zones[0, ZONE_MOVABLE].managed == 240_000 - 7 * BLOCK
    assert model.give_subblocks(ZONE_MOVABLE, 0, 39, FULL, 512, 64).mask == 0


def test_returnable_blocks_are_those_of_all_kernel_zones() -> None:
    model = small(ZONE_NORMAL)
    model.online(ZONE_NORMAL, 1, 48, 2, SMALL_BLOCK)
    assert model.meminfo.returnable_blocks() == 16 + 1  # the first of a node holds its threads


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="regrow_keep_share"):
        GuestParameters(regrow_keep_share=1.5)
    for name in ("pageblock_fill", "kernel_min_share"):
        GuestParameters(**{name: 1.0})  # type: ignore[arg-type]
        for value in (0.0, 1.001):
            with pytest.raises(ValueError, match=f"{name}: {value} must lie above 0 and not above 1"):
                GuestParameters(**{name: value})  # type: ignore[arg-type]
    for value in (-0.001, 1.001):
        with pytest.raises(ValueError, match=f"dirty_share: {value} must lie between 0 and 1"):
            GuestParameters(dirty_share=value)
    with pytest.raises(ValueError, match=r"series: '5.4'"):
        GuestParameters(series="5.4")
    with pytest.raises(ValueError, match=r"5\.4.*6\.1, 6\.12"):
        parameters_for("5.4")
    with pytest.raises(ValueError, match="block_pages"):
        GuestModel(block_pages=1000)
    GuestModel(block_pages=512)


@pytest.mark.parametrize("grow", ["online", "take", "none"])
@pytest.mark.parametrize("shrink", ["offline", "give"])
def test_leftovers_thin_out_by_a_growth_and_the_shrink_after_it(grow: str, shrink: str) -> None:
    model = small(ZONE_NORMAL, leftover_pipes=1e9, leftover_half_pageblocks=1e9, regrow_keep_share=0.25)
    blocks = model.zones[0, ZONE_NORMAL].pageblocks
    assert blocks is not None
    model.give_subblocks(ZONE_NORMAL, 0, 31, 0xFF, 512, 2)
    model.demands.pipes("q", 1280)  # 20,480 pages, 40 pageblocks, and all of them stay
    model.demands.kill("q")
    assert blocks.nr_held == 40
    if grow == "online":
        model.online(ZONE_NORMAL, 0, 40, 1, SMALL_BLOCK)
    elif grow == "take":
        model.take_subblocks(ZONE_NORMAL, 0, 31, 0x80, 512)
    assert blocks.nr_held == 40
    # Once, not with every shrink. What is taken back here is a growth itself.
    for held in (40, 10, 10) if grow == "none" else (10, 10, 10):
        if shrink == "offline":
            model.offline(ZONE_NORMAL, 0, 30, 1, SMALL_BLOCK)
            model.online(ZONE_NORMAL, 0, 30, 1, SMALL_BLOCK)
        else:
            model.give_subblocks(ZONE_NORMAL, 0, 30, 0xFF, 512, 1)
            model.take_subblocks(ZONE_NORMAL, 0, 30, 0x80, 512)
        assert blocks.nr_held == held
    model.check()
