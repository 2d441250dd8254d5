"""The memory blocks of machines of which only /proc/zoneinfo is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.machine.address_map import present_ranges
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import BlockRun
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL
from sim.readers.facts import Facts, MemoryRange, ZoneRange, ZoneView
from sim.record.run_result import SEVERAL_ZONES
from sim.units import GIB, MIB
from tests.snapshot.machines import imported, xml

if TYPE_CHECKING:
    from collections.abc import Iterable


def _zone(name: str, start: int, spanned: int, present: int, node: int = 0) -> ZoneView:
    return ZoneView(node, name, start=start, spanned=spanned, present=present, managed=present)


def _zoneinfo(zones: Iterable[ZoneView]) -> Facts:
    return Facts("zoneinfo.txt", "zoneinfo", zones=tuple(zones))


_UNAME = {None: "x86_64", "arm64": "aarch64", "s390x": "s390x"}
PC = (_zone("DMA", 1, 4095, 3998), _zone("DMA32", 4096, 98304, 98304))


def test_zones_with_bounds_make_the_blocks_that_they_span() -> None:
    zones = (*PC, _zone("Normal", 262144, 32768, 32768), _zone("Movable", 294912, 98304, 65536))
    state = imported(_zoneinfo(zones)).machine.state
    assert state is not None
    assert state.blocks == (
        BlockRun(0, 1, 0, SEVERAL_ZONES, boot=True),
        BlockRun(1, 3, 0, ZONE_DMA32, boot=True),
        BlockRun(8, 1, 0, ZONE_NORMAL, boot=True),
        BlockRun(9, 1, 0, ZONE_MOVABLE, boot=False),
        BlockRun(11, 1, 0, ZONE_MOVABLE, boot=False),  # a zone ends in a block that is there
    )
    assert [(zone.zone, zone.start, zone.spanned, zone.present) for zone in state.zones] == [
        (ZONE_DMA, 1, 4095, 3998),
        (ZONE_DMA32, 4096, 98304, 98304),
        (ZONE_NORMAL, 262144, 32768, 32768),
        (ZONE_MOVABLE, 294912, 98304, 65536),
    ]


def test_a_zone_that_spans_another_takes_the_blocks_that_are_left() -> None:
    zones = (*PC, _zone("Normal", 262144, 98304, 65536), _zone("Movable", 294912, 32768, 32768))
    state = imported(_zoneinfo(zones)).machine.state
    assert state is not None
    assert [run[:4] for run in state.blocks[2:]] == [
        (8, 1, 0, ZONE_NORMAL),
        (9, 1, 0, ZONE_MOVABLE),
        (10, 1, 0, ZONE_NORMAL),
    ]


def test_zones_with_no_bounds_or_of_a_host_or_with_parts_of_blocks_make_no_blocks() -> None:
    without = (PC[0], PC[1]._replace(start=None))
    assert imported(_zoneinfo(without)).machine.state is None
    assert imported(_zoneinfo(PC), xml(512 * MIB)).machine.state is None
    odd = (*PC, _zone("Movable", 262144, 32768, 30000))
    assert imported(_zoneinfo(odd)).machine.movablecore == 30000 * 4096


MACHINES = pytest.mark.parametrize(
    ("machine", "architecture"),
    [
        (MachineSpec(nodes=(NodeSpec(512 * MIB),)), None),
        (MachineSpec(nodes=(NodeSpec(5 * GIB),)), None),
        (MachineSpec(nodes=(NodeSpec(5 * GIB), NodeSpec(3 * GIB))), None),
        (MachineSpec(nodes=(NodeSpec(80 * GIB),)), None),
        (MachineSpec(nodes=(NodeSpec(4 * GIB),), architecture="arm64"), "arm64"),
        (MachineSpec(nodes=(NodeSpec(6 * GIB),), architecture="s390x"), "s390x"),
    ],
)


@MACHINES
def test_the_zones_of_a_machine_that_booted_make_its_blocks_again(
    machine: MachineSpec, architecture: str | None
) -> None:
    booted = lay_out(machine)
    zones = [
        ZoneView(zone.node, ZONE_LABELS[zone.zone], start=zone.start, spanned=zone.end - zone.start,
                 present=zone.present, managed=zone.present)
        for zone in booted.zones
    ]  # fmt: skip
    found = imported(_zoneinfo(zones), kernel=machine.kernel).machine
    assert found.architecture == architecture
    assert found.block_size == machine.block_size
    again = lay_out(found)
    assert again.boot.runs == booted.boot.runs
    assert [zone[:5] for zone in again.present_zones()] == [zone[:5] for zone in booted.present_zones()]


ZONES = (
    ZoneRange("DMA", 0x1000, 16 * MIB),
    ZoneRange("DMA32", 16 * MIB, 4 * GIB),
    ZoneRange("Normal", 4 * GIB, 9 * GIB),
)


def test_firmwares_ranges_make_blocks_and_zones() -> None:
    """A PC of two nodes with holes; the last block of each node is not whole."""
    ranges = (
        MemoryRange(0, 0x1000, 0x9F000),
        MemoryRange(0, 0x100000, 0x5E2F_F000),
        MemoryRange(0, 0x6FFF_F000, 0x7000_0000),
        MemoryRange(0, 4 * GIB, 5 * GIB - 64 * MIB),
        MemoryRange(1, 5 * GIB, 6 * GIB - MIB),
    )
    log = Facts("dmesg", "boot log", {"ranges": "line 7"}, ranges=ranges, zone_ranges=ZONES)
    found = imported(log)
    state = found.machine.state
    assert state is not None
    assert [run[:4] for run in state.blocks] == [
        (0, 1, 0, SEVERAL_ZONES),
        (1, 11, 0, ZONE_DMA32),
        (13, 1, 0, ZONE_DMA32),
        (32, 8, 0, ZONE_NORMAL),
        (40, 8, 1, ZONE_NORMAL),
    ]
    assert [zone[:5] for zone in state.zones] == [
        (0, ZONE_DMA, 1, 4095, 0x9E + 0xF00),
        (0, ZONE_DMA32, 4096, (1 << 20) - 4096, 0x5E2FF - 4096 + 1),
        (0, ZONE_NORMAL, 1 << 20, (1 << 18) - (1 << 14), (1 << 18) - (1 << 14)),
        (1, ZONE_NORMAL, 5 << 18, (1 << 18) - 256, (1 << 18) - 256),
    ]
    assert imported(log, xml(2 * GIB)).machine.state is None
    assert imported(log, boot_memory=2 * GIB).machine.state is None


@MACHINES
def test_firmwares_ranges_of_a_machine_that_booted_make_its_blocks_again(
    machine: MachineSpec, architecture: str | None
) -> None:
    booted, page = lay_out(machine), machine.page_size
    ranges = tuple(MemoryRange(part.node, part.start * page, part.end * page) for part in present_ranges(machine))
    limits = {
        zone.zone: (
            min(each.start for each in booted.zones if each.zone == zone.zone) * page,
            max(each.end for each in booted.zones if each.zone == zone.zone) * page,
        )
        for zone in booted.zones
    }
    zones = tuple(ZoneRange(ZONE_LABELS[zone], *limits[zone]) for zone in limits)
    log = Facts("dmesg", "boot log", ranges=ranges, zone_ranges=zones, architecture=_UNAME[architecture])
    again = lay_out(imported(log, kernel=machine.kernel).machine)
    assert again.boot.runs == booted.boot.runs
    assert [zone[:3] for zone in again.present_zones()] == [zone[:3] for zone in booted.present_zones()]


def test_a_report_with_more_memory_than_at_boot_is_of_a_machine_that_grew() -> None:
    ranges = (MemoryRange(0, 0x1000, 0x9F000), MemoryRange(0, MIB, GIB))
    log = Facts("dmesg", "boot log", ranges=ranges, zone_ranges=ZONES)
    zones = (ZoneView(0, "DMA32", present=258013), ZoneView(0, "Movable", present=262144))
    state = imported(log, Facts("dmesg", "Mem-Info", zones=zones)).machine.state
    assert state is not None
    assert [run[:4] for run in state.blocks] == [
        (0, 1, 0, SEVERAL_ZONES),
        (1, 7, 0, ZONE_DMA32),
        (32, 8, 0, ZONE_MOVABLE),
    ]


def test_what_no_kernel_says_of_ranges_makes_no_blocks_and_takes_no_time() -> None:
    """Ranges and zones that lie over each other many thousand times: each alone is of half a million blocks."""
    whole = 64 * 1024 * GIB
    ranges = (MemoryRange(0, 0, whole), *(MemoryRange(0, step << 12, whole) for step in range(20_000)))
    log = Facts("dmesg", "boot log", ranges=ranges, zone_ranges=ZONES, memory_known=4 * GIB)
    assert imported(log).machine.state is None
    twice = Facts("dmesg", "boot log", ranges=ranges[:1], zone_ranges=ZONES * 5000, memory_known=4 * GIB)
    assert imported(twice).machine.state is None
    pages = whole >> 12
    zones = tuple(_zone("Normal", 0, pages, 262144, node) for node in range(1000))
    assert imported(_zoneinfo(zones), boot_memory=4 * GIB).machine.state is None
