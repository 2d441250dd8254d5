"""Zones that a file tells of beside the blocks: their bounds and amounts, or that they contradict them."""

from __future__ import annotations

from sim.machine.boot_layout import lay_out
from sim.machine.state import ZoneBounds
from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.readers.facts import Facts, ZoneView
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.account import Taken
from sim.units import GIB
from tests.snapshot.machines import blocks, imported, lsmem


def test_zones_and_nodes_that_lsmem_left_out_come_from_zoneinfo() -> None:
    zones = (
        ZoneView(0, "DMA", start=1, spanned=4095, present=3998),
        ZoneView(0, "DMA32", start=4096, spanned=782304, present=782304),
        ZoneView(1, "Normal", start=1 << 20, spanned=262144, present=262144),
        ZoneView(1, "Movable", start=5 << 18, spanned=262144, present=262144),
    )
    views = blocks((0, 23, None), (32, 39, None), (40, 47, None), node=None)
    found = imported(lsmem(views), Facts("zoneinfo", "zoneinfo", zones=zones), boot_memory=4 * GIB)
    assert found.machine.state is not None
    assert [(run.first, run.blocks, run.node, run.state) for run in found.machine.state.blocks] == [
        (0, 1, 0, SEVERAL_ZONES),
        (1, 23, 0, ZONE_DMA32),
        (32, 8, 1, ZONE_NORMAL),
        (40, 8, 1, ZONE_MOVABLE),
    ]
    assert found.machine.state.zones[3] == ZoneBounds(1, ZONE_MOVABLE, 5 << 18, 262144, 262144)


def test_zoneinfo_of_another_moment_is_told_and_left_out() -> None:
    zones = (ZoneView(0, "Movable", start=5 << 18, spanned=262144, present=262144),)
    found = imported(
        lsmem(blocks((0, 0, "None"), (1, 23, "DMA32"), (32, 39, "Normal"))), Facts("zoneinfo", "zoneinfo", zones=zones)
    )
    assert found.machine.state is not None
    assert found.machine.state.zones == ()
    assert "Movable of node 0 has 1GiB, its blocks make from 0B to 128MiB" in found.account.conflicts[0]


def test_zones_that_miss_one_that_blocks_are_in_are_told() -> None:
    dma32 = ZoneView(0, "DMA32", spanned=262112, present=258013)
    found = imported(lsmem(blocks((0, 7, "DMA32"), (32, 39, "Normal"))), Facts("zi", "zoneinfo", zones=(dma32,)))
    assert found.account.conflicts == [
        "zi: Normal of node 0 is not there, which blocks 32-39 are in. The blocks are believed; zones are left out"
    ]


def test_zones_of_a_report_without_bounds_have_those_of_their_blocks() -> None:
    """As of an out-of-memory report, in which the amounts stand and no bounds."""
    zones = tuple(
        ZoneView(0, name, present=present, managed=managed)
        for name, present, managed in (
            ("DMA", 3998, 3840),
            ("DMA32", 782288, 700000),
            ("Normal", 262144, 250000),
            ("Movable", 65536, 65536),
        )
    )
    views = blocks((0, 0, "None"), (1, 23, "DMA32"), (32, 39, "Normal"), (40, 41, "Movable"))
    found = imported(lsmem(views), Facts("oom", "Mem-Info", zones=zones))
    assert found.machine.state is not None
    assert found.machine.state.zones == (
        ZoneBounds(0, ZONE_DMA, 1, 4095, 3998, 3840),
        ZoneBounds(0, ZONE_DMA32, 4096, 24 * 32768 - 4096, 782288, 700000),
        ZoneBounds(0, ZONE_NORMAL, 32 * 32768, 8 * 32768, 262144, 250000),
        ZoneBounds(0, ZONE_MOVABLE, 40 * 32768, 2 * 32768, 65536, 65536),
    )
    assert Taken("pages of zones; their bounds are those of the blocks", "oom", "") in found.account.taken
    assert found.account.conflicts == []
    partly = (*zones[:2], zones[2]._replace(present=262144 + 1000))
    views = blocks((0, 0, "None"), (1, 23, "DMA32"), (32, 39, "Normal"), (40, 40, "None"))
    cut = imported(lsmem(views), Facts("oom", "Mem-Info", zones=partly)).machine
    assert cut.state is not None
    assert cut.state.zones[2] == ZoneBounds(0, ZONE_NORMAL, 32 * 32768, 262144 + 1000, 262144 + 1000, 250000)
    memory = lay_out(found.machine).memory
    assert sum(zone.managed for zone in memory.zone_by_code if zone is not None) == 3840 + 700000 + 250000
