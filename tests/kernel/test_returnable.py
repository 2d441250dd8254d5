"""What could be returned, in units that devices can give, held against counting it piece by piece and asking for it."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel, OnlineMovable
from sim.devices.specs import DaxSpec, VirtioMemSpec
from sim.memory.zones import ZONE_MOVABLE
from sim.units import GIB, MIB
from tests.kernel.guest_with_devices import FIRST, PAGES, Guest, dimm, random_step
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from sim.guest import GuestModel
    from sim.memory.hotplug import Memory

BLOCK = 128 * PAGES


def test_a_static_device_goes_whole_or_not_at_all() -> None:
    guest = Guest(OnlineKernel())
    assert guest.returnable == 0
    guest.plug(dimm(0, 512))
    assert guest.returnable == 0, "the idle kernel settles in two pageblocks of its first hotplugged zone"
    guest.plug(dimm(1, 512), DaxSpec("dax", 256 * MIB))
    assert guest.returnable == 512 + 256
    guest.use("k", "kernel", 600)
    assert guest.returnable == 256 == guest.ask_all_back()


def test_ten_mib_in_each_dimm_keep_all_of_them() -> None:
    """Kernel pages lie above what page cache fills at that moment."""
    guest = Guest(OnlineKernel())
    guest.plug(dimm(0, 8192), dimm(1, 8192))
    assert guest.returnable == 8192, "the idle kernel has settled in the first"
    for number in range(2):
        guest.use(f"/file{number}", "page-cache", 7900)
        guest.use(f"k{number}", "kernel", 10)
    assert guest.returnable == 0 == guest.ask_all_back()


def test_sub_blocks_of_kernel_zones_count_one_by_one() -> None:
    guest = Guest(OnlineKernel())
    guest.plug(VirtioMemSpec("v", 4 * GIB, requested=GIB))
    idle = guest.returnable
    assert 1000 < idle < 1024
    guest.use("k", "kernel", 100)
    assert idle - 110 <= guest.returnable <= idle - 100
    said = guest.returnable
    assert guest.ask_all_back() >= said
    assert guest.returnable == 0


@pytest.mark.parametrize(("size", "more"), [(8, {}), (256, {"force_bbm": True}), (512, {})])
def test_pieces_of_a_device_have_its_size(size: int, more: dict[str, bool]) -> None:
    guest = Guest(OnlineKernel())
    guest.plug(VirtioMemSpec("v", 4 * GIB, block_size=size * MIB, requested=2 * GIB, **more))
    guest.use("k", "kernel", 300)
    said = guest.returnable
    assert said % size == 0
    assert 0 < said <= 2048 - 300
    assert said <= guest.ask_all_back() <= said + max(size, 32), "what holds the memmap of the rest goes after it"


def test_user_pages_must_find_room_in_what_stays() -> None:
    guest = Guest(OnlineMovable())
    guest.plug(*(dimm(number, 512) for number in range(4)))
    assert guest.returnable == 2048
    guest.use("a", "anonymous", 1800)
    room = guest.link.model.meminfo.room_for_user_pages() // PAGES
    assert 512 < room < 1024
    assert guest.returnable == 512
    guest.use("a", "anonymous", 600)
    guest.use("/c", "page-cache", 3000)
    assert guest.returnable == 2048, "clean page cache would be dropped"


def test_memory_that_is_offline_could_go_too() -> None:
    guest = Guest(OnlineMovable())
    guest.plug(dimm(0, 512))
    for block in range(FIRST, FIRST + 2):
        guest.core.offline_block(-1, block)
    assert guest.returnable == 512


def test_a_group_that_got_the_id_of_one_that_is_gone_starts_anew() -> None:
    guest = Guest(OnlineKernel())
    guest.plug(dimm(0, 512), dimm(1, 1024))
    guest.use("k", "kernel", 700)
    assert guest.returnable == 0
    guest.use("k", "kernel", 0)
    guest.host.unplug("dimm1")
    guest.rest()
    assert not guest.host.present("dimm1")
    guest.plug(dimm(2, 256))
    assert guest.returnable == 256


# On random guests -----------------------------------------------------------------------------------------------------


def pieces_of(memory: Memory, guest: Guest) -> list[tuple[list[tuple[int, int]], int]]:
    """Return each piece that a device could give, as its (block, mask of pageblocks), and its pages, by looking."""
    blocks, pieces = memory.blocks, []
    for group in memory.groups:
        mine = [b for b in range(len(blocks.where)) if blocks.where[b] and blocks.group[b] == group.id]
        owner = guest.core.owners.get(group.id)
        if owner is None:
            pieces.append(([(b, (1 << 64) - 1) for b in mine], len(mine) * BLOCK))
            continue
        size = owner.granularity // PAGE_SIZE
        if size >= BLOCK:
            per = size // BLOCK
            units = {b // per for b in mine}
            pieces += [([(b, (1 << 64) - 1) for b in mine if b // per == unit], size) for unit in sorted(units)]
            continue
        for b in mine:
            plugged = owner.states.masks.get(b - owner.first, (1 << BLOCK // size) - 1)  # type: ignore[attr-defined]
            width = size // 512
            pieces += [
                ([(b, ((1 << width) - 1) << at * width)], size) for at in range(BLOCK // size) if plugged >> at & 1
            ]
    return pieces


def holds_kernel_pages(model: GuestModel, memory: Memory, block: int, mask: int) -> bool:
    zone = memory.zone_of(block)
    if zone is None:
        return False
    pageblocks = model.zones[zone.node, zone.type].pageblocks
    return pageblocks is not None and bool(pageblocks.busy(block) & mask)


@pytest.mark.parametrize("seed", range(24))
def test_on_random_guests_it_is_what_counting_piece_by_piece_gives(seed: int) -> None:
    draw = Random(seed)  # noqa: S311 - nothing secret
    policy = draw.choice([OnlineKernel(), OnlineMovable(), AutoMovable(ratio=100), AutoMovable(ratio=200)])
    guest = Guest(policy, draw.choice([1, 2, 4]) * GIB, seconds=20)
    for step in range(draw.randrange(5, 25)):
        random_step(guest, draw, step)
        model, memory = deepcopy(guest.link.model), guest.core.memory
        free = [pages for parts, pages in pieces_of(memory, guest)
                if not any(holds_kernel_pages(model, memory, *part) for part in parts)]  # fmt: skip
        said, room = guest.returnable, model.meminfo.room_for_user_pages()
        if guest.link.died:
            return
        if sum(free) <= room:
            assert said == sum(free) // PAGES
        else:
            left = room
            for pages in sorted(free, reverse=True):
                left -= pages if pages <= left else 0
            assert said == (room - left) // PAGES


def test_movable_pieces_come_back_as_said() -> None:
    guest = Guest(AutoMovable(ratio=150), 2 * GIB)
    guest.plug(*(dimm(number, 256) for number in range(12)), VirtioMemSpec("v", 2 * GIB, requested=GIB))
    guest.use("a", "anonymous", 500)
    guest.use("k", "kernel", 100)
    said = guest.returnable
    zones = {guest.core.memory.zone_of(block).type for block in range(FIRST, FIRST + 24)}  # type: ignore[union-attr]
    assert ZONE_MOVABLE in zones
    assert len(zones) > 1
    assert guest.ask_all_back() == said > 0
