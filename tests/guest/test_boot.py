"""Boot memory: what an idle kernel takes of it, and where that lies. All figures are pages, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.faults import InputError
from sim.guest import BootZone, GuestModel, GuestParameters, PresentZone, default_boot, parameters_for
from sim.guest.boot import fix_boot_use, stuck_blocks
from sim.guest.kernel_pages import KernelPages
from sim.guest.reserve import BootOptions
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import ROUND, SIZE, SMALL_BLOCK

GIB = 1 << 18
Present = list[tuple[int, int, int, tuple[tuple[int, int], ...]]]


def booted(
    present: Present, parameters: GuestParameters, options: BootOptions | None = None
) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Return (managed, free, pcp) by zone; what is passed on must be as it was given."""
    left = default_boot([PresentZone(*zone) for zone in present], parameters, options)
    assert [(b.node, b.zone, b.present, b.runs) for b in left] == present
    return {(b.node, b.zone): (b.managed, b.free, b.pcp) for b in left}


ONE_GIB: Present = [(0, ZONE_DMA, 3998, ()), (0, ZONE_DMA32, 258_016, ((0, 8),))]


def test_one_gib() -> None:
    # 158 pages of zone DMA; of DMA32 the kernel, SWIOTLB and its 192 pages of slots, 60 for the CPU, 66 for the node,
    # the memmap of 8 sections, and hash tables: 1,008 MiB without memmap need 131,072 and 65,536 entries of 8 bytes.
    # The idle kernel uses 6,912 pages (27 MiB) and 4 in 10,000 of what is left.
    managed = 258_016 - (11_318 + 16_384 + 192 + 60 + 66 + 8 * 512 + 384)
    assert booted(ONE_GIB, parameters_for("6.1")) == {
        (0, ZONE_DMA): (3840, 3840, 0),
        (0, ZONE_DMA32): (managed, managed - 6912 - 91, 2816),
    }
    # Another kernel, 20.5 and 12.5 MiB.
    managed += 11_318 - 9_555
    assert booted(ONE_GIB, parameters_for("6.12"))[0, ZONE_DMA32] == (managed, managed - 5248 - 80, 3200)


@pytest.mark.parametrize(
    ("options", "less"),
    [
        (BootOptions(swiotlb=False), -16_384 - 192),
        (BootOptions(crashkernel=256 << 20), 65_536),
        (BootOptions(log_buf_len=4 << 20), 1024 + 768 + 2816),
        (BootOptions(log_buf_len=128 << 10), 0),
        (BootOptions(memoryless_nodes=2), 2 * 43),
        (BootOptions(section_size=1 << 30), 0),
        (BootOptions(section_size=1 << 31), 4096),
    ],
)
def test_what_the_command_line_and_the_machine_change(options: BootOptions, less: int) -> None:
    usual = booted(ONE_GIB, parameters_for("6.1"))[0, ZONE_DMA32][0]
    assert usual - booted(ONE_GIB, parameters_for("6.1"), options)[0, ZONE_DMA32][0] == less


def test_with_movable_node_the_log_buffer_lies_where_it_fits_from_below() -> None:
    """Text and descriptors fit into zone DMA, details (11 MiB) do not."""
    found = booted(ONE_GIB, parameters_for("6.1"), BootOptions(log_buf_len=4 << 20, bottom_up=True))
    usual = booted(ONE_GIB, parameters_for("6.1"))
    assert usual[0, ZONE_DMA][0] - found[0, ZONE_DMA][0] == 1024 + 768
    assert usual[0, ZONE_DMA32][0] - found[0, ZONE_DMA32][0] == 2816


def test_one_sum_stands_for_all_parts_but_memmap_hash_tables_and_crash_kernel() -> None:
    parameters = replace(parameters_for("6.1"), boot_reserved_bytes=20 << 20)
    for options, crash in ((BootOptions(log_buf_len=4 << 20), 0), (BootOptions(crashkernel=64 << 20), 16_384)):
        found = booted(ONE_GIB, parameters, options)
        assert found[0, ZONE_DMA][0] + found[0, ZONE_DMA32][0] == 262_014 - 5120 - 8 * 512 - 384 - crash


def test_hash_tables_grow_half_as_fast_from_64_gib_on() -> None:
    """At 60 GiB 2^23 and 2^22 entries, at 68 GiB no more; a kernel of 6.12 leaves out CMA."""
    for gib, entries in ((60, 3 << 22), (68, 3 << 22), (140, 3 << 23)):
        present: Present = [(0, ZONE_NORMAL, gib * GIB, ((32, gib * 8),))]
        parameters = replace(parameters_for("6.1"), boot_reserved_bytes=1 << 20)
        managed = booted(present, parameters)[0, ZONE_NORMAL][0]
        assert gib * GIB - 256 - gib * GIB // 64 - managed == entries * 8 // 4096
    usual, with_cma = (booted(ONE_GIB, parameters_for("6.12"), BootOptions(cma=size)) for size in (0, 600 << 20))
    assert with_cma[0, ZONE_DMA32][0] - usual[0, ZONE_DMA32][0] == 192


def test_several_zones_and_nodes() -> None:
    present: Present = [
        (0, ZONE_DMA, 3998, ()),
        (0, ZONE_DMA32, 3 * GIB - 4096, ((0, 24),)),
        (0, ZONE_NORMAL, 13 * GIB, ((32, 104),)),
        (1, ZONE_NORMAL, 16 * GIB, ((136, 128),)),
        (1, ZONE_MOVABLE, 4 * GIB, ((264, 32),)),
    ]
    # The kernel lies low, and SWIOTLB below 4 GiB; what is for CPUs, with a page for each GiB above 4 GiB, at the very
    # top; what is for nodes at the top of each node. Hash tables for 35.4 GiB are made later, of managed memory.
    dma32 = 3 * GIB - 4096 - 11_318 - 16_384
    normal = 13 * GIB - 66 - 43 - 128 * 512
    movable = 4 * GIB - 192 - 60 - 33 - 160 * 512
    total = 3840 + dma32 + normal + 16 * GIB + movable
    idle = 6912 + total * 4 // 10_000 + (3 << 22) * 8 // 4096 + 1792
    lists = 2816 * dma32 // (dma32 + normal - idle)
    assert booted(present, parameters_for("6.1"), BootOptions(above_4g=True)) == {
        (0, ZONE_DMA): (3840, 3840, 0),
        (0, ZONE_DMA32): (dma32, dma32, lists),
        (0, ZONE_NORMAL): (normal, normal - idle, 2815 - lists),
        (1, ZONE_NORMAL): (16 * GIB, 16 * GIB, 0),
        (1, ZONE_MOVABLE): (movable, movable, 0),
    }


def test_the_first_node_need_not_be_node_0() -> None:
    found = booted([(3, ZONE_DMA32, GIB, ((8, 8),)), (2, ZONE_DMA32, GIB, ((0, 8),))], parameters_for("6.1"))
    left = GIB - 16_384 - 192 - 60 - 4096
    assert found[3, ZONE_DMA32] == (left, left, 0)
    assert found[2, ZONE_DMA32][0] == GIB - 11_318 - 66 - 43 - 4096


def test_a_small_zone_gives_what_it_has_and_the_next_the_rest() -> None:
    parameters = GuestParameters(
        boot_reserved_bytes=5000 * 4096,
        idle_use_bytes=3000 * 4096,
        idle_use_share=0.0,
        idle_pcp_bytes=700 * 4096,
        idle_pcp_small_share=1.0,
    )
    found = booted([(0, ZONE_DMA32, 4000, ((0, 1),)), (0, ZONE_NORMAL, 6400, ((1, 1),))], parameters)
    left = 5400 - 512 - 24  # memmap of a section, hash tables of 40 MiB
    assert found == {(0, ZONE_DMA32): (0, 0, 0), (0, ZONE_NORMAL): (left, left - 3000, 700)}
    # Zone DMA is the last that the idle kernel uses, and lists hold no more than is free.
    found = booted([(0, ZONE_DMA, 3200, ()), (0, ZONE_NORMAL, 8000, ((1, 1),))], parameters)
    left = 8000 - (5000 - 158) - 512 - 24
    assert found == {(0, ZONE_DMA): (3042, 3042 - (3000 - left), 0), (0, ZONE_NORMAL): (left, 0, 0)}


@pytest.mark.parametrize(
    ("mib", "least"),
    [(1, 74), (62, 74), (139, 141)],
)
def test_a_machine_too_small_for_its_kernel_is_told_what_it_needs(mib: int, least: int) -> None:
    """The more, the larger are memmap (of whole sections) and hash tables; with what is told the guest boots.

    Below 130 MiB bounce buffers do not fit, and the kernel goes without them.
    """
    present: Present = [(0, ZONE_DMA32, mib * 256, ((0, 2),))]
    with pytest.raises(
        InputError, match=rf"{mib}MiB of boot memory are less .*; give the machine more than {least}MiB"
    ):
        booted(present, parameters_for("6.1"))
    for enough in (76, 142):
        assert booted([(0, ZONE_DMA32, enough * 256, ((0, 2),))], parameters_for("6.1"))[0, ZONE_DMA32][1] > 0


@pytest.mark.parametrize(
    ("series", "room", "buffers"),
    [("6.1", 66, 64), ("6.1", 65, 0), ("6.12", 66, 64), ("6.12", 65, 32), ("6.12", 34, 32), ("6.12", 33, 16)],
)
def test_bounce_buffers_that_do_not_fit_are_fewer_or_none(series: str, room: int, buffers: int) -> None:
    """Of the room 2 MiB are still taken then; memmap, hash tables and what is kept for the CPU and the node are not."""
    image = 20 << 20
    parameters = replace(
        parameters_for(series), kernel_image_bytes=image, idle_use_bytes=0, idle_use_share=0.0, idle_pcp_bytes=0
    )
    tables = 48 if room > 50 else 24
    present: Present = [(0, ZONE_DMA32, (20 + room) * 256 + 60 + 66 + 512 + tables, ((0, 1),))]
    with_all = booted(present, parameters)[0, ZONE_DMA32][0]
    without = booted(present, parameters, BootOptions(swiotlb=False))[0, ZONE_DMA32][0]
    assert without == room * 256
    assert with_all == room * 256 - buffers * 256 - buffers * 3


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
