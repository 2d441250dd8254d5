"""Boot memory as recorded kernels lay it out: zones, spans, present pages, blocks, and where devices begin."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sim.faults import InputError
from sim.machine.address_map import firmware_pages
from sim.machine.boot_layout import BootLayout, lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.blocks import BlockTable
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.record.run_result import SEVERAL_ZONES
from sim.units import GIB, MIB, TIB
from tests.support.pages import PAGE_SIZE
from tests.support.reach import Reach

G = GIB // PAGE_SIZE
"""Pages of a gibibyte."""
MISSING_LOW = 1 + (0x100 - 0x9F)
"""Pages missing below 1 MiB: page 0, video memory and BIOS."""
ACPI_TABLES = 32
"""Pages that the firmware's tables take at the top of low memory, up to 64 GiB."""


def zones_of(*nodes: int, **options: int) -> dict[tuple[int, int], tuple[int, int, int]]:
    """(node, zone) -> (start, end, present), for nodes of so many GiB."""
    layout = lay_out(MachineSpec(tuple(NodeSpec(size * GIB) for size in nodes), **options))  # type: ignore[arg-type]
    return {(zone.node, zone.zone): (zone.start, zone.end, zone.present) for zone in layout.zones}


def test_a_small_machine_ends_below_the_hole() -> None:
    zones = zones_of(2)
    assert zones == {
        (0, ZONE_DMA): (1, 4096, 4096 - MISSING_LOW),
        (0, ZONE_DMA32): (4096, 2 * G - ACPI_TABLES, 2 * G - 4096 - ACPI_TABLES),
    }
    assert lay_out(MachineSpec((NodeSpec(2 * GIB),))).device_base == 4 * GIB


def test_dma32_spans_the_hole_where_memory_goes_on_above() -> None:
    zones = zones_of(4)
    assert zones[0, ZONE_DMA32] == (4096, 4 * G, 3 * G - 4096 - ACPI_TABLES)
    assert zones[0, ZONE_NORMAL] == (4 * G, 5 * G, G)


def test_kernelcore_is_spread_over_the_nodes_low_memory_first() -> None:
    """4 GiB on two nodes of 4 GiB: node 0 pays with its 3 GiB of low memory, the rest is split."""
    zones = zones_of(4, 4, kernelcore=4 * GIB)
    missing = MISSING_LOW + ACPI_TABLES
    kernel = sum(present for (_, zone), (_, _, present) in zones.items() if zone != ZONE_MOVABLE)
    assert kernel - 4 * G in range(2 * 1024), "each node's zone starts at a multiple of 4 MiB"
    start = zones[0, ZONE_MOVABLE][0]
    assert start - zones[0, ZONE_NORMAL][0] in range((G + missing) // 2, (G + missing) // 2 + 1024 + missing)
    assert zones[1, ZONE_NORMAL][2] - (G + missing) // 2 in range(-missing, 1024)


def test_movablecore_is_what_kernelcore_leaves() -> None:
    by_movable = zones_of(8, movablecore=3 * GIB)
    missing = MISSING_LOW + ACPI_TABLES
    assert by_movable[0, ZONE_MOVABLE][2] - 3 * G in range(-1024, 1)
    assert by_movable == zones_of(8, kernelcore=5 * GIB - missing * PAGE_SIZE)


def test_the_larger_kernelcore_wins_where_both_are_given() -> None:
    assert zones_of(8, kernelcore=6 * GIB, movablecore=4 * GIB) == zones_of(8, kernelcore=6 * GIB)
    assert zones_of(8, kernelcore=2 * GIB, movablecore=4 * GIB) == zones_of(8, movablecore=4 * GIB)


def test_a_node_of_low_memory_only_never_gets_movable_memory() -> None:
    zones = zones_of(2, 6, kernelcore=3 * GIB)
    assert (0, ZONE_MOVABLE) not in zones
    assert (1, ZONE_MOVABLE) in zones


def test_kernelcore_of_all_memory_leaves_no_movable_zone() -> None:
    assert not any(zone == ZONE_MOVABLE for _, zone in zones_of(4, kernelcore=4 * GIB))
    assert not any(zone == ZONE_MOVABLE for _, zone in zones_of(4))


def test_a_zone_that_starts_inside_a_block_makes_it_mixed() -> None:
    layout = lay_out(MachineSpec((NodeSpec(8 * GIB),), kernelcore=5 * GIB + 64 * MIB))
    start = next(zone.start for zone in layout.zones if zone.zone == ZONE_MOVABLE)
    block = start // layout.memory.block_pages
    assert start % layout.memory.block_pages
    assert layout.memory.zone_label(block) == "none"
    assert [layout.memory.zone_label(near) for near in (block - 1, block + 1)] == ["Normal", "Movable"]


def test_cma_lies_in_low_memory_and_counts_as_movable() -> None:
    layout = lay_out(MachineSpec((NodeSpec(4 * GIB),), cma=GIB))
    assert [(zone.zone, zone.cma) for zone in layout.zones if zone.cma] == [(ZONE_DMA32, G)]
    assert layout.memory.system.movable == G
    assert layout.memory.system.early_kernel == layout.boot.kernel_pages - G
    assert (layout.boot.movable_pages, layout.boot.cma_pages) == (0, G)


def test_nodes_without_boot_memory_have_no_zones_and_may_get_memory_later() -> None:
    layout = lay_out(MachineSpec((NodeSpec(0), NodeSpec(4 * GIB), NodeSpec(0))))
    assert {zone.node for zone in layout.zones} == {1}
    assert list(layout.memory.nodes) == [0, 1, 2]


def test_blocks_with_missing_pages_can_never_go_offline() -> None:
    """Low memory ends 32 pages early: its last block has a hole, as has the first (of several zones)."""
    memory = lay_out(MachineSpec((NodeSpec(4 * GIB),))).memory
    holes = [block for block in memory.blocks.ids() if memory.blocks.flags[block] & BlockTable.HAS_HOLES]
    assert holes == [23]
    assert memory.zone_label(0) == "none"


def test_blocks_of_two_gibibytes_of_small_sections() -> None:
    """65.5 GiB end inside the last block of 2 GiB: there, and at the hole, sections are missing."""
    layout = lay_out(MachineSpec((NodeSpec(65 * GIB + 512 * MIB),), block_size=2 * GIB))
    memory = layout.memory
    assert layout.boot.runs == ((0, 1, SEVERAL_ZONES, 0), (1, 1, ZONE_DMA32, 0), (2, 32, ZONE_NORMAL, 0))
    holes = [block for block in memory.blocks.ids() if memory.blocks.flags[block] & BlockTable.HAS_HOLES]
    assert holes == [1, 33]
    assert layout.device_base == 67 * GIB


def check(layout: BootLayout, machine: MachineSpec) -> None:
    """What holds for every machine."""
    memory = layout.memory
    total = machine.boot_memory // PAGE_SIZE
    present = sum(zone.present for zone in layout.zones)
    assert total - MISSING_LOW - firmware_pages(machine.boot_memory) <= present <= total
    boot, system = layout.boot, memory.system
    assert boot.kernel_pages + boot.movable_pages == present
    assert (boot.kernel_pages, boot.kernel_pages - boot.cma_pages, boot.movable_pages + boot.cma_pages) == (
        system.kernel,
        system.early_kernel,
        system.movable,
    )
    cma = sum(zone.cma for zone in layout.zones)
    assert cma == machine.cma // PAGE_SIZE
    assert 0 <= boot.cma_pages <= min(cma, boot.kernel_pages)
    assert boot.cma_pages == sum(zone.cma for zone in layout.zones if zone.zone != ZONE_MOVABLE)
    for zone in layout.zones:
        assert 0 < zone.present <= zone.end - zone.start
        kept = memory.zone(zone.node, zone.zone)
        assert (kept.start, kept.end, kept.present, kept.present_early) == (
            zone.start,
            zone.end,
            zone.present,
            zone.present,
        )
    blocks = [block for first, count, _, _ in layout.boot.runs for block in range(first, first + count)]
    assert blocks == memory.blocks.ids()
    assert all(memory.blocks.flags[block] & BlockTable.EARLY for block in blocks)
    assert layout.device_base % GIB == 0
    assert layout.device_base >= max(zone.end for zone in layout.zones) * PAGE_SIZE
    assert layout.device_base >= 4 * GIB
    kernel = sum(zone.present for zone in layout.zones if zone.zone != ZONE_MOVABLE)
    wanted = present if machine.movable_node else machine.kernelcore // PAGE_SIZE
    assert kernel >= min(wanted, present)


REACH = Reach(
    {
        "kernelcore": 6,
        "movablecore": 6,
        "both": 6,
        "neither": 6,
        "MOVABLE memory": 15,
        "no MOVABLE memory": 15,
        "CMA areas": 15,
        "a node without memory": 3,
        "several nodes": 20,
        "memory above 4 GiB": 20,
        "a mixed block": 20,
        "CMA in Normal": 4,
        "CMA in MOVABLE": 2,
        "CMA that does not fit": 2,
    }
)


@REACH.test(examples=72)
@given(
    nodes=st.lists(st.integers(0, 96) | st.just(0), min_size=1, max_size=4).filter(any),
    block_shift=st.integers(0, 4),
    share=st.integers(0, 100),
    words=st.sampled_from(("kernelcore", "movablecore", "both", "neither")),
    cma=st.sampled_from((0, 16 * MIB, 64 * MIB, GIB)),
)
def test_what_holds_for_every_machine(nodes: list[int], block_shift: int, share: int, words: str, cma: int) -> None:
    memory = tuple(NodeSpec(size * 128 * MIB) for size in nodes)
    part = sum(node.boot_memory for node in memory) * share // 100 // PAGE_SIZE * PAGE_SIZE
    options: dict[str, Any] = {
        "block_size": 128 * MIB << block_shift,
        "kernelcore": part if words in ("kernelcore", "both") else 0,
        "movablecore": part if words in ("movablecore", "both") else 0,
    }
    try:
        machine = MachineSpec(memory, **options, cma=cma)
    except InputError as error:
        REACH("CMA that does not fit" if [fault.key for fault in error.faults] == ["cma"] else "another fault")
        machine = MachineSpec(memory, **options)
    layout = lay_out(machine)
    check(layout, machine)
    kinds = {zone.zone for zone in layout.zones}
    REACH(words)
    REACH("MOVABLE memory" if ZONE_MOVABLE in kinds else "no MOVABLE memory")
    REACH("CMA areas", any(zone.cma for zone in layout.zones))
    REACH("CMA in Normal", any(zone.cma for zone in layout.zones if zone.zone == ZONE_NORMAL))
    REACH("CMA in MOVABLE", any(zone.cma for zone in layout.zones if zone.zone == ZONE_MOVABLE))
    REACH("a node without memory", any(not node.boot_memory for node in memory))
    REACH("several nodes", len(memory) > 1)
    REACH("memory above 4 GiB", ZONE_NORMAL in kinds)
    REACH("a mixed block", any(zone == SEVERAL_ZONES for _, _, zone, _ in layout.boot.runs))


def test_the_largest_machine() -> None:
    machine = MachineSpec((NodeSpec(12 * TIB), NodeSpec(12 * TIB)), block_size=2 * GIB)
    layout = lay_out(machine)
    check(layout, machine)
    assert len(layout.memory.blocks.ids()) == 12 * 1024 + 1
