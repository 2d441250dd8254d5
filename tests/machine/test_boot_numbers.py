"""Boot memory in numbers worked out by hand: holes, zones, kernel memory on unequal nodes, where devices begin.

Missing everywhere: page 0, the 97 pages from 0x9F to 0x100, and 32 pages at the top of low memory.
"""

from __future__ import annotations

from typing import Any

import pytest

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.machine.boot_layout import BootLayout, lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.blocks import BlockTable
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.record.series import run_series
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.pages import PAGE_SIZE
from workloads.dimm_slots import DimmSlots

DMA = (1, 4096, 3998)
"""Start, end and present pages of zone DMA on any machine of more than 16 MiB."""
LOW = 3 * GIB // PAGE_SIZE
HIGH = 4 * GIB // PAGE_SIZE


def laid_out(*mib: float, **options: Any) -> BootLayout:  # noqa: ANN401
    return lay_out(MachineSpec(tuple(NodeSpec(round(size * MIB)) for size in mib), **options))


def zones(layout: BootLayout) -> dict[tuple[int, int], tuple[int, int, int]]:
    """(node, zone) -> (start, end, present); what a zone manages at boot is what is present."""
    for zone in layout.zones:
        kept = layout.memory.zone(zone.node, zone.zone)
        assert (kept.present, kept.managed, kept.cma) == (zone.present, zone.present, zone.cma)
    return {(zone.node, zone.zone): (zone.start, zone.end, zone.present) for zone in layout.zones}


# Holes and where devices begin ----


@pytest.mark.parametrize(
    ("mib", "low_end", "high_end", "base"),
    [
        (2048, 524_288, 0, 4),
        (3456, 884_736, 0, 4),
        (3584, LOW, HIGH + 131_072, 5),  # from 3.5 GiB on, what is above 3 GiB lies above the hole
        (3712, LOW, HIGH + 163_840, 5),
        (4096, LOW, HIGH + 262_144, 5),
        (4224, LOW, HIGH + 294_912, 6),
        (5120, LOW, HIGH + 524_288, 6),
    ],
)
def test_low_memory_ends_at_3_gib_from_3_and_a_half_gib_on(mib: int, low_end: int, high_end: int, base: int) -> None:
    layout = laid_out(mib)
    expected = {(0, ZONE_DMA): DMA, (0, ZONE_DMA32): (4096, HIGH if high_end else low_end - 32, low_end - 32 - 4096)}
    if high_end:
        expected[0, ZONE_NORMAL] = (HIGH, high_end, high_end - HIGH)
    assert zones(layout) == expected
    assert layout.device_base == base * GIB


@pytest.mark.parametrize(
    ("pages", "dma32"),
    [(4096, None), (4097, 1), (4128, 32), (4129, 1), (4160, 32), (4161, 33)],
)
def test_the_firmwares_tables_lie_in_dma32_or_nowhere(pages: int, dma32: int | None) -> None:
    """Its 32 pages are taken once low memory reaches beyond zone DMA by more than that."""
    layout = lay_out(MachineSpec((NodeSpec(pages * PAGE_SIZE),)))
    expected = {(0, ZONE_DMA): DMA}
    if dma32 is not None:
        expected[0, ZONE_DMA32] = (4096, 4096 + dma32, dma32)
    assert zones(layout) == expected


def test_three_unequal_nodes_follow_each_other_across_the_hole() -> None:
    """1, 5 and half a GiB: the second has two GiB below the hole and three above."""
    layout = laid_out(1024, 5120, 512)
    assert zones(layout) == {
        (0, ZONE_DMA): DMA,
        (0, ZONE_DMA32): (4096, 262_144, 258_048),
        (1, ZONE_DMA32): (262_144, HIGH, 524_256),
        (1, ZONE_NORMAL): (HIGH, 1_835_008, 786_432),
        (2, ZONE_NORMAL): (1_835_008, 1_966_080, 131_072),
    }
    assert layout.device_base == 8 * GIB
    assert layout.boot.runs == ((0, 1, -1, 0), (1, 7, 1, 0), (8, 16, 1, 1), (32, 24, 2, 1), (56, 4, 2, 2))


def test_a_block_of_two_nodes_belongs_to_the_lower_one_and_to_no_zone() -> None:
    """The first node ends in the middle of block 8, the second in the middle of block 16."""
    layout = laid_out(1088, 1024)
    assert layout.boot.runs == ((0, 1, -1, 0), (1, 7, 1, 0), (8, 1, -1, 0), (9, 8, 1, 1))
    flags = layout.memory.blocks.flags
    assert [block for block in layout.memory.blocks.ids() if flags[block] & BlockTable.HAS_HOLES] == [16]


def test_a_hole_in_the_address_space_ends_a_run_of_blocks() -> None:
    """A node without zone DMA and DMA32 apart: Normal blocks end at 4.5 GiB, those of the next node begin there."""
    layout = laid_out(0, 3584, 128)
    assert layout.boot.runs == ((0, 1, -1, 1), (1, 23, 1, 1), (32, 4, 2, 1), (36, 1, 2, 2))


def test_a_large_block_ends_with_its_last_section() -> None:
    """65.5 GiB with blocks of 2 GiB: low memory ends in the middle of block 1, all of it in a part of block 33."""
    layout = lay_out(MachineSpec((NodeSpec(65 * GIB + 512 * MIB),), block_size=2 * GIB))
    memory = layout.memory
    end = (66 * GIB + 512 * MIB) // PAGE_SIZE
    assert [memory.zone_type_at(page) for page in (LOW - 1, LOW, HIGH - 1, HIGH)] == [
        ZONE_DMA32,
        None,
        None,
        ZONE_NORMAL,
    ]
    assert [memory.zone_type_at(page) for page in (end - 1, end)] == [ZONE_NORMAL, None]
    unit = 4 * GIB // PAGE_SIZE
    # Sections of 128 MiB: of the 24 below 3 GiB the first begins with page 0, which is missing; 20 from 64 GiB on.
    assert memory.unit_sections(unit, 0) == (23, 0)
    assert memory.unit_sections(unit, end) == (20, 0)


def test_a_span_shrinks_to_the_last_section_of_the_last_boot_block() -> None:
    """Blocks of 2 GiB, of which the last at boot has 512 MiB: what came behind it goes again, and the span with it."""
    layout = lay_out(MachineSpec((NodeSpec(65 * GIB + 512 * MIB),), block_size=2 * GIB))
    memory = layout.memory
    normal = memory.zone(0, ZONE_NORMAL)
    end = (66 * GIB + 512 * MIB) // PAGE_SIZE
    assert normal.end == end
    memory.add(40, 1, node=0)
    memory.online(40, ZONE_NORMAL)
    assert normal.end == 82 * GIB // PAGE_SIZE
    memory.offline(40)
    assert (normal.start, normal.end) == (HIGH, end)


@pytest.mark.parametrize(
    "words", [{"kernelcore": 2 * GIB}, {"movablecore": GIB}, {"kernelcore": GIB, "movablecore": GIB}]
)
def test_movable_node_makes_the_kernel_ignore_kernelcore_and_movablecore(words: dict[str, int]) -> None:
    assert (0, ZONE_MOVABLE) in zones(laid_out(8192, **words))
    assert zones(laid_out(8192, **words, movable_node=True)) == zones(laid_out(8192))


class Quiet(DimmSlots):
    """A workload that asks for nothing within its duration."""

    def duration(self) -> float:
        return 1e-3


def test_the_series_of_a_machine_with_cma_begins_with_no_movable_memory() -> None:
    """CMA belongs to the kernel zone that it lies in; auto-movable counts it as MOVABLE and not as kernel memory."""
    machine = MachineSpec((NodeSpec(8 * GIB),), cma=256 * MIB, movablecore=GIB)
    series = run_series(simulate(machine, OnlineMovable(), Quiet(), Streams(1, 0)))
    assert series.movable.tolist() == [262_144]
    assert series.auto_movable.tolist() == [262_144 + 65_536]
    assert series.kernel.tolist() == [2_097_152 - 130 - 262_144]
    assert series.auto_kernel.tolist() == [2_097_152 - 130 - 262_144 - 65_536]


# kernelcore and movablecore ----

WHOLE_8 = 2_097_152 - 130
"""Present pages of one node of 8 GiB, of which 786302 are low."""


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"kernelcore": 5 * GIB}, 1_573_888),  # 4 GiB + 524418 pages, rounded up to 4 MiB
        ({"kernelcore": 786_302 * PAGE_SIZE}, HIGH),
        ({"kernelcore": 786_303 * PAGE_SIZE}, HIGH + 1024),
        ({"kernelcore": (786_302 + 1024) * PAGE_SIZE}, HIGH + 1024),
        ({"kernelcore": (786_302 + 1025) * PAGE_SIZE}, HIGH + 2048),
        ({"movablecore": 3 * GIB}, 1_572_864),
        ({"movablecore": 3 * GIB + PAGE_SIZE}, 1_571_840),  # what is asked for is rounded up to 4 MiB as well
        ({"movablecore": 3 * GIB + 4 * MIB}, 1_571_840),
        ({"movablecore": 3 * GIB, "kernelcore": 6 * GIB}, HIGH + 787_456),  # the larger kernel part wins
        ({"movablecore": 3 * GIB, "kernelcore": 4 * GIB}, 1_572_864),
    ],
)
def test_where_zone_movable_begins_on_one_node(options: dict[str, int], start: int) -> None:
    layout = laid_out(8192, **options)
    end = HIGH + 1_310_720
    expected = {
        (0, ZONE_DMA): DMA,
        (0, ZONE_DMA32): (4096, HIGH, LOW - 32 - 4096),
        (0, ZONE_MOVABLE): (start, end, end - start),
    }
    if start > HIGH:
        expected[0, ZONE_NORMAL] = (HIGH, start, start - HIGH)
    assert zones(layout) == expected
    assert (layout.boot.kernel_pages, layout.boot.movable_pages) == (WHOLE_8 - (end - start), end - start)


@pytest.mark.parametrize("pages", [WHOLE_8, WHOLE_8 - 1, WHOLE_8 - 1023])
def test_kernelcore_that_leaves_less_than_4_mib_leaves_nothing(pages: int) -> None:
    assert (0, ZONE_MOVABLE) not in zones(laid_out(8192, kernelcore=pages * PAGE_SIZE))
    assert (0, ZONE_MOVABLE) in zones(laid_out(8192, kernelcore=(WHOLE_8 - 1024) * PAGE_SIZE))


def movable(layout: BootLayout) -> dict[int, tuple[int, int, int]]:
    """Node -> (start, end, present) of its ZONE_MOVABLE."""
    return {node: found for (node, zone), found in zones(layout).items() if zone == ZONE_MOVABLE}


def test_two_unequal_nodes_each_give_half() -> None:
    """6 GiB of 4 and 12: the first pays with its low memory and 130 pages, the second with 786432 pages."""
    assert movable(laid_out(4096, 12_288, kernelcore=6 * GIB)) == {
        0: (HIGH + 1024, 1_310_720, 261_120),
        1: (2_097_152, 4_456_448, 2_359_296),
    }


def test_low_memory_beyond_a_nodes_share_is_spread_again() -> None:
    """3.25 GiB of 4 and 4: low memory leaves 65666 pages, of which each node gives half."""
    assert movable(laid_out(4096, 4096, kernelcore=3 * GIB + 256 * MIB)) == {
        0: (HIGH + 33 * 1024, 1_310_720, 262_144 - 33 * 1024),
        1: (1_310_720 + 33 * 1024, 2_359_296, 1_048_576 - 33 * 1024),
    }


def test_what_a_small_node_cannot_give_the_others_do() -> None:
    """7.5 GiB of 4, 1 and 8: the middle node gives all that it has and gets no ZONE_MOVABLE."""
    assert movable(laid_out(4096, 1024, 8192, kernelcore=7 * GIB + 512 * MIB)) == {
        0: (1_180_672, 1_310_720, 130_048),
        2: (2_360_320, 3_670_016, 1_309_696),
    }


def test_four_unequal_nodes_below_4_gib_take_three_rounds() -> None:
    """1600 MiB of 1024, 32, 512 and 1024: only zone DMA is low here; the second and the third node give all."""
    layout = laid_out(1024, 32, 512, 1024, kernelcore=1600 * MIB)
    assert zones(layout) == {
        (0, ZONE_DMA): DMA,
        (0, ZONE_DMA32): (4096, 136_192, 132_096),
        (0, ZONE_MOVABLE): (136_192, 262_144, 125_952),
        (1, ZONE_DMA32): (262_144, 270_336, 8_192),
        (2, ZONE_DMA32): (270_336, 401_408, 131_072),
        (3, ZONE_DMA32): (401_408, 536_576, 135_168),
        (3, ZONE_MOVABLE): (536_576, 663_520, 126_944),
    }


def test_the_last_pages_that_do_not_divide_evenly_are_let_go() -> None:
    """An odd page between two nodes is no reason to push the first one's ZONE_MOVABLE up by 4 MiB."""
    share = 786_302 + 262_144
    assert movable(laid_out(8192, 8192, kernelcore=(2 * share + 1) * PAGE_SIZE)) == {
        0: (HIGH + 262_144, 2_359_296, 1_048_576),
        1: (3_407_872, 4_456_448, 1_048_576),
    }
