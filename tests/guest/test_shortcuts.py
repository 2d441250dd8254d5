"""What is written out for speed gives the same as the long way that it spares."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sim.guest import BootZone, GuestModel, parameters_for
from sim.guest.allocation import Allocation
from sim.guest.kernel_pages import KernelPages
from sim.guest.layout import Layout
from sim.guest.loads import Load, LoadKind, Loads
from sim.guest.memmap import Memmaps, take
from sim.guest.pressure import Stalls
from sim.guest.reclaim import Reclaim
from sim.guest.settled import SETTLED, SettledKernel
from sim.guest.zone import Floor, spread, total_room
from sim.guest.zones import GuestZones
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import BLOCK, FIRST, MIB, guest, plug

if TYPE_CHECKING:
    from sim.guest.zone import GuestZone

# ruff: noqa: S311, SLF001 - any numbers will do; the parts of a guest are its own

FULL = (1 << 64) - 1
"""All sub-blocks of a block."""


def state(model: GuestModel) -> object:
    """Return everything that a guest knows of its pages."""
    pageblocks = [slots(zone.pageblocks) for zone in model.zones.values() if zone.pageblocks is not None]
    loads = [(load.name, load.dirty, load.user_pages(), load.kernel_pages()) for load in model.loads.values()]
    lists = [(zone.pcp, zone.pcp_loads, zone.cache, zone.slab) for zone in model.zones.values()]
    layouts = [by_block(zone.layout) for zone in model.zones.values() if zone.layout is not None]
    return model.meminfo.uses(), pageblocks, loads, lists, layouts


def slots(pageblocks: KernelPages) -> dict[str, object]:
    found = {name: getattr(pageblocks, name) for name in KernelPages.__slots__ if name != "layout"}
    return found | {"changed": set(pageblocks.changed)}


def by_block(layout: Layout) -> object:
    """Return where user pages lie, and what is to be filled next."""
    where = {load.name: list(blocks.items()) for load, blocks in layout.where.items()}
    return where, layout.used, layout.plugged, list(layout.fresh), layout.next()


def lived_in(draw: random.Random) -> GuestModel:
    """Return a guest with hotplugged memory in both kinds of zone, used to any degree."""
    model = guest(draw.choice([1024, 2048, 8192]), draw.choice(["6.1", "6.12"]))
    plug(model, 128 * draw.randrange(1, 17), ZONE_MOVABLE, FIRST)
    if draw.random() < 0.7:
        plug(model, 128 * draw.randrange(1, 9), ZONE_NORMAL, FIRST + 100)
    for number in range(draw.randrange(5)):
        verb = draw.choice(["anonymous", "read_file", "page_tables", "pin", "tmpfs_data", "write_file"])
        getattr(model.demands, verb)(f"{verb} {number}", draw.choice([10, 200, 700]) * MIB)
    return model


# Pageblocks -----------------------------------------------------------------------------------------------------------


def test_a_single_piece_is_taken_as_any_number_is() -> None:
    draw = random.Random(1)
    shortcuts = 0
    for _ in range(300):
        short = KernelPages(8, 1.0, 100.0)
        layout = short.layout = Layout(short)
        short.hot_from = draw.choice([0, 12, 1 << 62])
        for first in draw.sample(range(0, 40, 4), 4):
            blocks = draw.randrange(1, 4)
            short.insert(first, blocks)
            layout.fresh.add(first, blocks, 4096)
        for number in range(draw.randrange(8)):
            load = Load(f"{number}", LoadKind.ANONYMOUS, 0, 0.0, {})
            layout.put(load, draw.choice([1, 300, 5000]))
            short.take(draw.randrange(1, 4000))
            if draw.random() < 0.5:
                layout.take_all(load)
        if draw.random() < 0.5:
            short.give_pieces(short.take_pieces(draw.randrange(2, 9)))
        for _ in range(10):
            long = deepcopy(short)
            shortcuts += bool(layout.room) and min(layout.room) not in layout.used
            claimed = long._claim(long.pieces, 1)
            long.nr_pieces += len(claimed)
            assert short.take_pieces(1) == list(claimed.items())
            assert slots(short) == slots(long)
            assert list(layout.room) == list(long.layout.room if long.layout else ())
    assert shortcuts > 500


def test_a_part_of_a_block_that_nobody_uses_goes_as_any_does() -> None:
    draw = random.Random(4)
    for _ in range(60):
        short = guest(1024)
        zone = draw.choice([ZONE_MOVABLE, ZONE_NORMAL])
        plug(short, 1024, zone, FIRST)
        short.demands.anonymous("a", draw.choice([0, 300, 700]) * MIB)
        if draw.random() < 0.5:
            short.demands.kill("a")
        long = deepcopy(short)
        block, subs = FIRST + draw.randrange(3, 8), draw.randrange(1, 64)
        outcome = short.give_subblocks(zone, 0, block, (1 << 64) - 1, 512, subs)
        its_zone = long.zones[0, zone]
        if its_zone.pageblocks is not None:
            its_zone.pageblocks.remove_pageblocks(block, outcome.mask)
        moved, ooms = long.migration.withdraw_part(its_zone, block, subs * 512)
        assert (outcome.mask.bit_count(), outcome.moved, outcome.ooms) == (subs, moved, tuple(ooms))
        assert state(short) == state(long)


# Memmap ---------------------------------------------------------------------------------------------------------------


def first_kernel_zone(model: GuestModel) -> GuestZone:
    return next(zone for key, zone in sorted(model.zones.items(), reverse=True) if key[1] != ZONE_MOVABLE)


def test_memmap_goes_where_a_search_would_put_it() -> None:
    draw = random.Random(2)
    shortcuts = 0
    for _ in range(150):
        model = lived_in(draw)
        zone = first_kernel_zone(model)
        zonelist = [model.zones[key] for key in sorted(model.zones, reverse=True) if key[1] != ZONE_MOVABLE]
        blocks = draw.choice([1, 8, draw.randrange(1, 300)])
        need = blocks * BLOCK // 64
        if zone.free - need <= zone.managed // 8:
            continue
        shortcuts += 1
        assert model.memmaps.find(zonelist, need) == ([(zone, need)], 0)
        long = deepcopy(model)
        part = take(first_kernel_zone(long), need)
        long._settled.charge(blocks)
        already = model.memmaps.parts()
        assert model.add_memory(0, FIRST + 1000, blocks, altmap=False)
        assert [new[1:] for new in model.memmaps.parts() if new not in already] == [part[1:]]
        assert state(model) == state(long)
    assert shortcuts > 75


def test_no_memmap_is_too_much_for_the_shortcut_by_a_page() -> None:
    model = GuestModel(parameters_for("6.1"))
    model.boot([BootZone(0, ZONE_DMA32, 8 * BLOCK, 8 * BLOCK, runs=((0, 8),))])
    zone = model.zones[0, ZONE_DMA32]
    model.demands.pin("p", zone.free - zone.managed // 8 - 512)
    assert model.memmaps.find([zone], 512) == ([(zone, 512)], 0)
    assert zone.low < zone.managed // 8 == zone.free - 512


@pytest.mark.parametrize("overhead", [15 << 10, 40_960])  # of the latter ten blocks are a lot of 100 pages, exactly
def test_blocks_are_charged_as_one_by_one(overhead: int) -> None:
    parameters = replace(parameters_for("6.1"), block_overhead_bytes=overhead)

    def parts() -> tuple[GuestZones, Loads, Reclaim, SettledKernel]:
        stalls = Stalls(parameters)
        zones, loads = GuestZones(parameters, BLOCK), Loads(parameters, stalls)
        zones.boot([BootZone(0, ZONE_DMA32, 16 * BLOCK, 16 * BLOCK, runs=((0, 16),))])
        reclaim = Reclaim(zones, loads, parameters)
        return zones, loads, reclaim, SettledKernel(loads, Allocation(zones, reclaim, stalls), parameters)

    zones, loads, reclaim, settled = parts()
    memmaps = Memmaps(zones, reclaim, settled, BLOCK, parameters)
    _, charged_loads, _, charged = parts()
    draw = random.Random(3)
    added: list[tuple[int, int]] = []
    lots = 0
    for blocks in (range(1000, 1010), range(1000, 1010)):  # up to a lot, and down again
        for block in blocks:
            if block in {first for first, _ in added}:
                memmaps.remove(block, 1)
                charged.charge(-1)
                added.remove((block, 1))
            else:
                assert memmaps.add(0, block, 1, hosted=False)
                charged.charge(1)
                added.append((block, 1))
            assert settled.due == charged.due
    assert settled.due == 0 or overhead == 15 << 10
    for number in range(400):
        if added and draw.random() < 0.45:
            first, count = added.pop(draw.randrange(len(added)))
            memmaps.remove(first, count)
            charged.charge(-count)
        else:
            first, count = 1000 + 100 * number, draw.choice([1, 1, 2, 30])
            assert memmaps.add(0, first, count, draw.random() < 0.3)
            added.append((first, count))
            charged.charge(count)
        assert settled.due == charged.due
        assert abs(settled.due) < 100_000
        assert (SETTLED in loads.by_name) is (SETTLED in charged_loads.by_name)
        if SETTLED in loads.by_name:
            lots += 1
            assert loads.by_name[SETTLED].kernel_pages() == charged_loads.by_name[SETTLED].kernel_pages()
    assert lots > 300


# Memory that goes -----------------------------------------------------------------------------------------------------


def with_movable_boot_memory(present: int) -> GuestModel:
    """Return a guest with boot memory in MOVABLE, blocks 32 to 39: with more present than managed the last stays."""
    model = GuestModel(parameters_for("6.1"))
    model.boot(
        [
            BootZone(0, ZONE_DMA32, 8 * BLOCK, 7 * BLOCK, runs=((0, 8),)),
            BootZone(0, ZONE_MOVABLE, 8 * BLOCK - 1, 8 * BLOCK - 1, present=present, runs=((32, 8),)),
        ]
    )
    return model


def test_movable_blocks_go_as_where_some_would_refuse() -> None:
    short, long = with_movable_boot_memory(8 * BLOCK - 1), with_movable_boot_memory(8 * BLOCK)
    assert short.can_offline(ZONE_MOVABLE, 0, 39)
    assert not long.can_offline(ZONE_MOVABLE, 0, 39)
    draw = random.Random(5)
    online: set[int] = set()
    moved = 0
    for number in range(400):
        block = FIRST + draw.randrange(12)
        pages = draw.randrange(700 * MIB)
        for model in (short, long):
            model.demands.anonymous(f"{number}", pages)
            model.demands.kill(f"{number - 5}")
        if block in online:
            online.remove(block)
            outcome = short.offline(ZONE_MOVABLE, 0, block, 1, BLOCK)
            assert outcome == long.offline(ZONE_MOVABLE, 0, block, 1, BLOCK)
            moved += outcome.moved > 0
        else:
            online.add(block)
            for model in (short, long):
                model.online(ZONE_MOVABLE, 0, block, 1, BLOCK)
        assert state(short) == state(long)
    assert 10 < moved < 250


# Room -----------------------------------------------------------------------------------------------------------------


def test_requests_are_spread_by_the_room_of_each_zone() -> None:
    draw = random.Random(6)
    for _ in range(60):
        model = lived_in(draw)
        model.meminfo.uses()  # computes the watermarks
        zonelist = [model.zones[key] for key in sorted(model.zones, reverse=True)]
        for floor in Floor:
            rooms = [max(0, zone.room(floor)) for zone in zonelist]
            assert total_room(zonelist, floor) == sum(rooms)
            pages = draw.randrange(2 * sum(rooms) + 2)
            parts, unplaced = spread(pages, zonelist, floor)
            assert sum(part for _, part in parts) == min(pages, sum(rooms)) == pages - unplaced
            filled = dict(parts)
            for zone, room in zip(zonelist, rooms, strict=True):
                assert filled.get(zone, 0) in {0, room} or zone is parts[-1][0]


def test_a_demand_that_fits_is_served_at_once_as_piece_by_piece() -> None:
    draw = random.Random(7)
    at_once = 0
    for _ in range(150):
        short = lived_in(draw)
        if draw.random() < 0.5:  # much of what is left is in kernel zones
            short.demands.anonymous("filler", max(1, short.meminfo.kernel_headroom_free() - draw.randrange(60_000)))
        if short.killer.guest_died:
            continue
        long = deepcopy(short)
        allocation = long.demands._allocation
        takes = allocation.take_at_once
        allocation.take_at_once = (  # type: ignore[method-assign]
            lambda *demand, takes=takes, long=long: (0, 0, 0) if fits(long, *demand) else takes(*demand)
        )
        amount = draw.choice([1, 700, 20_000, 90_000])
        verb, more = draw.choice(
            [
                ("anonymous", ()), ("write_file", ()), ("tmpfs_files", (4096,)), ("disk_files", ()),
                ("disk_files", (4096,)), ("pin", ()), ("processes", ()), ("slab", ()),
            ]
        )  # fmt: skip
        served = [getattr(model.demands, verb)("/mnt/new", amount, *more) for model in (short, long)]
        assert served[0] == served[1]
        assert state(short) == state(long)
        assert short.write_back._written == long.write_back._written
        at_once += fits(short, short.loads.get("/mnt/new"), 1, 0, 0)
    assert at_once > 30


def fits(model: GuestModel, load: Load | None, user: int, kernel: int, slab: int) -> bool:
    """Say whether a demand fits, by the room of each zone."""
    if load is None:
        return False
    model.meminfo.uses()  # computes the watermarks
    zones = model._zones
    room = sum(max(0, zone.room(Floor.USER_LOW)) for zone in zones.user_list(load.node))
    kernel_room = sum(max(0, zone.room(Floor.KERNEL_LOW)) for zone in zones.kernel_list(load.node))
    return user <= room and kernel + slab < kernel_room


def test_watermarks_are_those_of_the_last_block_whenever_they_are_looked_at() -> None:
    """Parts of blocks leave them alone: computed after each step they are as computed once at the end."""
    draw = random.Random(8)
    looked = 0
    for _ in range(60):
        late = lived_in(draw)
        plug(late, 512, ZONE_MOVABLE, FIRST + 200)
        late.demands.anonymous("filler", late.meminfo.room_for_user_pages() * draw.choice([1, 3, 4]) // 4)
        if late.killer.guest_died or not plug(late, 512, ZONE_MOVABLE, FIRST + 204):
            continue
        early = deepcopy(late)
        masks = dict.fromkeys(range(FIRST + 200, FIRST + 208), FULL)
        for number in range(draw.randrange(1, 12)):
            block = draw.choice(list(masks))
            step = draw.choice(["give", "give", "take", "offline", "online"])
            subs = draw.randrange(1, 64)
            added = FIRST + 300 + number
            for model in (early, late):
                mask = change_part(model, step, block, masks[block], subs, added)
                if model is early:
                    model.meminfo.uses()
            masks[block] = mask
        looked += bool(late._zones.parted)
        assert state(early) == state(late)
    assert looked > 10


def change_part(model: GuestModel, step: str, block: int, mask: int, subs: int, added: int) -> int:
    """Have a part of a MOVABLE block come or go, or another block; return the sub-blocks that are plugged then."""
    if step == "give" and mask:
        return mask & ~model.give_subblocks(ZONE_MOVABLE, 0, block, mask, 512, subs).mask
    if step == "take" and mask != FULL:
        model.take_subblocks(ZONE_MOVABLE, 0, block, FULL & ~mask, 512)
        return FULL
    if step == "online":
        plug(model, 128, ZONE_NORMAL if subs % 2 else ZONE_MOVABLE, added)
    if step == "offline" and mask == FULL:
        model.offline(ZONE_MOVABLE, 0, block, 1, BLOCK)
        model.online(ZONE_MOVABLE, 0, block, 1, BLOCK)
    return mask
