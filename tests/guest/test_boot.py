"""Boot memory: what an idle kernel takes of it, and where that lies. All figures are pages, worked out by hand."""

from __future__ import annotations

import pytest

from sim.guest import BootZone, GuestModel, GuestParameters, PresentZone, default_boot, parameters_for
from sim.guest.boot import fix_boot_use, stuck_blocks
from sim.guest.kernel_pages import KernelPages
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import ROUND, SIZE, SMALL_BLOCK

GIB = 1 << 18
Present = list[tuple[int, int, int, tuple[tuple[int, int], ...]]]


def booted(present: Present, parameters: GuestParameters) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Return (managed, free, pcp) by zone; what is passed on must be as it was given."""
    left = default_boot([PresentZone(*zone) for zone in present], parameters)
    assert [(b.node, b.zone, b.present, b.runs) for b in left] == present
    return {(b.node, b.zone): (b.managed, b.free, b.pcp) for b in left}


def test_one_gib() -> None:
    present: Present = [(0, ZONE_DMA, 3998, ()), (0, ZONE_DMA32, 258_016, ((0, 8),))]
    # Zone DMA loses a 32th. Of the 33,280 pages reserved (130 MiB) the rest comes from DMA32, and so does the memmap
    # of 262,014 pages, 4,093. The idle kernel uses 6,912 pages (27 MiB) and 4 in 10,000 of what is left.
    assert booted(present, parameters_for("6.1")) == {
        (0, ZONE_DMA): (3998 - 124, 3874, 0),
        (0, ZONE_DMA32): (258_016 - (33_280 - 124) - 4093, 220_767 - 6912 - 89, 2816),
    }
    # 123 MiB, 21 MiB and 13 MiB.
    managed = 258_016 - (31_488 - 124) - 4093
    assert booted(present, parameters_for("6.12"))[0, ZONE_DMA32] == (managed, managed - 5376 - 90, 3328)


def test_several_zones_and_nodes() -> None:
    present: Present = [
        (0, ZONE_DMA, 3998, ()),
        (0, ZONE_DMA32, 3 * GIB - 4096, ((0, 24),)),
        (0, ZONE_NORMAL, 13 * GIB, ((32, 104),)),
        (1, ZONE_NORMAL, 16 * GIB, ((136, 128),)),
        (1, ZONE_MOVABLE, 4 * GIB, ((264, 32),)),
    ]
    total = 36 * GIB - 98
    # The reserved part at the bottom of node 0; each node's memmap at its top; the idle kernel in the highest kernel
    # zone of node 0.
    managed = total - 33_280 - (16 * GIB - 98) // 64 - 20 * GIB // 64
    idle = 6912 + managed * 4 // 10_000
    memmap = (16 * GIB - 98) // 64
    assert booted(present, parameters_for("6.1")) == {
        (0, ZONE_DMA): (3874, 3874, 0),
        (0, ZONE_DMA32): (3 * GIB - 4096 - 33_156, 3 * GIB - 4096 - 33_156, 0),
        (0, ZONE_NORMAL): (13 * GIB - memmap, 13 * GIB - memmap - idle, 2816),
        (1, ZONE_NORMAL): (16 * GIB, 16 * GIB, 0),
        (1, ZONE_MOVABLE): (4 * GIB - 20 * GIB // 64, 4 * GIB - 20 * GIB // 64, 0),
    }


def test_the_first_node_need_not_be_node_0() -> None:
    found = booted([(3, ZONE_DMA32, GIB, ((0, 8),)), (2, ZONE_DMA32, GIB, ((8, 8),))], parameters_for("6.1"))
    memmap = GIB // 64
    assert found[3, ZONE_DMA32] == (GIB - memmap, GIB - memmap, 0)
    assert found[2, ZONE_DMA32][0] == GIB - memmap - 33_280


def test_a_small_zone_gives_what_it_has_and_the_next_the_rest() -> None:
    parameters = GuestParameters(
        boot_reserved_bytes=5000 * 4096, idle_use_bytes=3000 * 4096, idle_use_share=0.0, idle_pcp_bytes=700 * 4096
    )
    found = booted([(0, ZONE_DMA32, 4000, ((0, 1),)), (0, ZONE_NORMAL, 6400, ((1, 1),))], parameters)
    memmap = 10_400 // 64
    assert found == {(0, ZONE_DMA32): (0, 0, 0), (0, ZONE_NORMAL): (5400 - memmap, 2400 - memmap, 700)}
    # Zone DMA is the last that the idle kernel uses, and lists hold no more than is free.
    found = booted([(0, ZONE_DMA, 3200, ()), (0, ZONE_NORMAL, 8000, ((1, 1),))], parameters)
    left = 8000 - 4900 - 175
    assert found == {(0, ZONE_DMA): (3100, 3100 - (3000 - left), 0), (0, ZONE_NORMAL): (left, 0, 0)}


def test_a_guest_too_small_keeps_a_sixteenth_and_a_tenth_of_that_free() -> None:
    found = booted([(0, ZONE_DMA32, 16_000, ((0, 1),))], parameters_for("6.1"))
    managed = 1000 - 250
    assert found == {(0, ZONE_DMA32): (managed, managed - managed * 9 // 10, 75)}


# Where it lies --------------------------------------------------------------------------------------------------------


def fixed(*zones: BootZone) -> dict[tuple[int, int], dict[int, int]]:
    model = GuestModel(ROUND, block_pages=SMALL_BLOCK)
    model.boot(zones)
    model.check()
    return {key: z.pageblocks.fixed for key, z in model.zones.items() if z.pageblocks is not None}


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (0, {0: 0b1}),  # the node's own structures
        (1, {0: 0b1}),
        (2, {0: 0b1, 15: 0b1000_0000}),
        (5, {0: 0b111, 15: 0b1100_0000}),
        (16, {0: 0xFF, 15: 0xFF}),
        (20, {0: 0xFF, 15: 0xFF, 14: 0b1111_0000}),
    ],
)
def test_what_boot_used_lies_half_in_block_0_half_at_the_top(used: int, expected: dict[int, int]) -> None:
    free = SIZE - used * 512
    assert fixed(BootZone(0, ZONE_DMA32, SIZE, free, runs=((0, 16),))) == {(0, ZONE_DMA32): expected}


def test_other_zones_use_their_top_and_one_pageblock_at_the_bottom_of_the_highest() -> None:
    found = fixed(
        BootZone(0, ZONE_DMA, 3000, 2500),
        BootZone(0, ZONE_DMA32, SIZE, SIZE - 512, runs=((0, 16),)),
        BootZone(0, ZONE_NORMAL, SIZE, SIZE - 20 * 512, runs=((46, 2), (32, 14))),
        BootZone(1, ZONE_NORMAL, SIZE, SIZE, runs=((64, 16),)),
        BootZone(1, ZONE_MOVABLE, SIZE, SIZE, present=SIZE, runs=((80, 16),)),
    )
    assert found == {
        (0, ZONE_DMA): {},
        (0, ZONE_DMA32): {0: 0b1},
        (0, ZONE_NORMAL): {47: 0xFF, 46: 0xFF, 45: 0b1111_0000, 32: 0b1},
        (1, ZONE_NORMAL): {64: 0b1},
    }


def test_boot_memory_is_reserved_and_never_returnable() -> None:
    model = GuestModel(ROUND, block_pages=SMALL_BLOCK)
    model.boot(
        [
            BootZone(0, ZONE_DMA32, SIZE, SIZE - 5000, 300, runs=((0, 16),)),
            BootZone(0, ZONE_MOVABLE, SIZE, SIZE, present=SIZE, runs=((16, 16),)),
        ]
    )
    z = model.zones[0, ZONE_DMA32]
    assert (z.managed, z.free, z.pcp, z.reserved) == (SIZE, SIZE - 5000, 300, 5000)
    assert model.meminfo.returnable_blocks() == 0
    model.online(ZONE_NORMAL, 0, 32, 3, SMALL_BLOCK)
    model.online(ZONE_MOVABLE, 0, 35, 2, SMALL_BLOCK)
    assert model.meminfo.returnable_blocks() == 3
    model.demands.pin("p", 512 + 1)
    assert model.meminfo.returnable_blocks() == 2
    assert not model.can_offline(ZONE_DMA, 0, 0)


@pytest.mark.parametrize(("managed", "minimum"), [(131_071, 724), (131_072, 5632)])
def test_huge_pages_are_on_from_512_mib_of_managed_boot_memory(managed: int, minimum: int) -> None:
    """Without: sqrt(16 x KiB) = 2,896 KiB. With: 5,632 pages for the one kernel zone."""
    model = GuestModel(GuestParameters())
    model.boot([BootZone(0, ZONE_DMA32, managed, managed, runs=((0, 4),))])
    (use,) = model.meminfo.uses()
    assert use.min == minimum


def test_only_a_movable_zone_that_lacks_pages_has_a_block_that_stays() -> None:
    runs = ((0, 2), (6, 4))
    zones = [BootZone(node, ZONE_MOVABLE, pages, pages, present=100, runs=runs) for node, pages in enumerate((100, 99))]
    assert [stuck_blocks([zone]) for zone in zones] == [set(), {9}]


def test_what_boot_took_lies_in_its_blocks_from_the_top_down() -> None:
    """Of two blocks apart, of 8 pageblocks each, 12 pageblocks are in use."""
    pageblocks = KernelPages(8, 1.0, 100.0)
    for block in (2, 6):
        pageblocks.insert(block, 1)
    fix_boot_use(pageblocks, BootZone(0, ZONE_NORMAL, 16 * 512, 4 * 512, runs=((2, 1), (6, 1))))
    assert pageblocks.fixed == {6: 0xFF, 2: 0xF0}
