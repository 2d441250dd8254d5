"""Boot memory of a machine that starts from a state: as it was where all is known, and what is assumed where not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DimmSpec
from sim.machine.boot_layout import BootLayout, lay_out
from sim.machine.current_state import starting_from
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import BlockRun, MachineState, ZoneBounds
from sim.memory.errors import HotplugError
from sim.memory.zones import MMOP_ONLINE_KERNEL, MMOP_ONLINE_MOVABLE
from sim.record.blockmap import BlockState
from sim.units import GIB, MIB
from tests.devices.rig import Rig
from tests.machine.test_going_on import answers, counters
from tests.support.booted_layouts import booted_machines, spec_of
from tests.support.reach import Reach

if TYPE_CHECKING:
    from tests.plain.boot import Booted

REACH = Reach(
    {
        "a boot block is offline": 10,
        "a boot block has changed its zone": 5,
        "CMA": 3,
        "a block of several zones": 30,
        "several nodes": 10,
        "memory that is no device's": 8,
    }
)


@REACH.test(examples=90)
@given(booted_machines(largest=5), st.lists(st.tuples(st.integers(0, 999), st.integers(0, 5)), max_size=30))
def test_a_machine_is_what_it_was(booted: Booted, changes: list[tuple[int, int]]) -> None:
    machine = spec_of(booted)
    rig = Rig(machine=machine)
    memory, core = rig.memory, rig.core
    at_boot = {block: memory.zone_label(block) for block in memory.blocks.ids()}
    above = max(at_boot) + 1
    for which, what in changes:
        ids = memory.blocks.ids()
        block = ids[which % len(ids)]
        try:
            match what:
                case 0:
                    nodes = sorted(memory.nodes)
                    memory.add(above + 200 + which % 20, 1 + which % 3, node=nodes[which % len(nodes)])
                case 1 if machine.built_for.dimms:
                    rig.host.plug(DimmSpec(f"d{which}", machine.block_size * (1 + which % 3)))
                    rig.settle()
                case 2 | 3:
                    if memory.blocks.is_online(block):
                        core.write_state(block, 0)
                    core.write_state(block, MMOP_ONLINE_KERNEL if what == 2 else MMOP_ONLINE_MOVABLE)
                case _:
                    core.write_state(block, 0)
        except HotplugError:
            continue
    state = rig.host.state()
    again = Rig(machine=starting_from(machine, state))
    again.host.boot()

    assert again.host.state() == state
    assert counters(again.memory) == counters(memory)
    assert answers(again) == answers(rig)
    REACH("a boot block is offline", any(run.boot and run.state == BlockState.OFFLINE for run in state.blocks))
    now = {block: memory.zone_label(block) for block in at_boot}
    REACH("a boot block has changed its zone", any(now[b] not in (None, zone) for b, zone in at_boot.items()))
    REACH("CMA", bool(machine.cma))
    REACH("a block of several zones", "none" in at_boot.values())
    REACH("several nodes", len(memory.nodes) > 1)
    REACH("memory that is no device's", any(not run.boot for run in state.blocks) and not state.devices)


@given(booted_machines(largest=5))
def test_blocks_alone_say_nearly_all_of_a_machine_that_has_just_booted(booted: Booted) -> None:
    machine = spec_of(booted)
    rig = Rig(machine=machine)
    state = replace(rig.host.state(), zones=())

    again = Rig(machine=starting_from(machine, state))
    assert again.host.state().blocks == state.blocks
    found, was = counters(again.memory), counters(rig.memory)
    assert found["totals"] == was["totals"]
    assert found["blocks"] == was["blocks"]
    assert {key: zone[2:] for key, zone in found["zones"].items()} == {
        key: zone[2:] for key, zone in was["zones"].items()
    }
    assert answers(again) == answers(rig)


def test_a_few_bounds_do_not_unmake_the_zones_that_blocks_are_in() -> None:
    """Of DMA nothing is said, as nothing is of DMA32, which is there: the first block is cut where x86-64 cuts it."""
    blocks = (
        BlockRun(0, 1, 0, BlockState.SEVERAL_ZONES, boot=True),
        BlockRun(1, 23, 0, BlockState.DMA32, boot=True),
        BlockRun(32, 8, 0, BlockState.NORMAL, boot=True),
    )
    normal = ZoneBounds(0, BlockState.NORMAL, 1 << 20, 1 << 18, 1 << 18)
    for zones in ((), (normal,)):
        layout = lay_out(MachineSpec((NodeSpec(4 * GIB),), block_size=128 * MIB, state=MachineState(blocks, zones)))
        assert next((zone.zone, zone.start, zone.end) for zone in layout.zones) == (BlockState.DMA, 1, 4096)
        assert not any("several zones" in told for told in layout.assumed)


def state_of(*runs: tuple[int, int, int, int], zones: tuple[ZoneBounds, ...] = ()) -> MachineState:
    """Boot memory: (first block, blocks, state, node)."""
    return MachineState(
        tuple(BlockRun(first, count, node, state, boot=True) for first, count, state, node in runs), zones
    )


def layout_of(state: MachineState, *, block_size: int = 128 * MIB, nodes: int = 1, **options: Any) -> BootLayout:  # noqa: ANN401
    memory = [block_size * sum(run.blocks for run in state.blocks if run.node == node) for node in range(nodes)]
    return lay_out(MachineSpec(tuple(map(NodeSpec, memory)), block_size=block_size, state=state, **options))


S, DMA, D32, N, M, OFF = (BlockState(number) for number in (-1, 0, 1, 2, 3, 4))


def test_a_pc_with_holes_of_its_own() -> None:
    """A real PC: memory up to 2.5 GiB and again from 4 GiB on, with a block missing there."""
    layout = layout_of(state_of((0, 1, S, 0), (1, 19, D32, 0), (32, 10, N, 0), (43, 1, N, 0)))

    block = 32768
    assert [(z.zone, z.start, z.end, z.present) for z in layout.zones] == [
        (DMA, 1, 4096, 3998),
        (D32, 4096, 20 * block, 20 * block - 4096),
        (N, 32 * block, 44 * block, 11 * block),
    ]
    assert layout.device_base == 6 * GIB
    assert layout.boot.kernel_pages == 31 * block - 98
    assert [line.split(":")[0] for line in layout.assumed] == [
        "boot memory has other blocks than QEMU would give this machine",
        "bounds and amounts of zones are what their blocks come to (DMA, DMA32, Normal of node 0)",
    ]


def test_standby_memory_of_s390() -> None:
    """Blocks of 256 MiB: 8 in DMA, 11 in Normal, 5 that are offline and were never boot memory."""
    state = state_of((0, 8, DMA, 0), (8, 11, N, 0))
    state = replace(state, blocks=(*state.blocks, BlockRun(19, 5, 0, OFF, boot=False)))
    rig = Rig(machine=MachineSpec((NodeSpec(19 * 256 * MIB),), block_size=256 * MIB, architecture="s390x", state=state))
    rig.host.boot()
    assert rig.states(0, 25) == "Dx8 Nx11 -x5 .x1"
    assert rig.base == 6 * GIB
    rig.core.write_state(19, MMOP_ONLINE_MOVABLE)
    rig.core.write_state(23, MMOP_ONLINE_KERNEL)
    assert rig.states(0, 25) == "Dx8 Nx11 Mx1 -x3 Nx1 .x1"
    assert rig.memory.system.early_kernel == 19 * 65536


def test_where_zones_meet_in_a_block_is_as_known_or_in_the_middle() -> None:
    """A block of 2 GiB in which movablecore= or kernelcore= has put the edge."""
    size, block = 2 * GIB, 524288
    shared = state_of((0, 1, S, 0), (1, 1, D32, 0), (2, 30, N, 0), (32, 1, S, 0), (33, 8, M, 0))
    layout = layout_of(shared, block_size=size)
    parts = {(z.node, z.type): z.mixed_parts for z in layout.memory.zone_by_code if z is not None and z.mixed_parts}
    middle = 32 * block + block // 2
    assert parts[0, N] == [(32 * block, middle)]
    assert parts[0, M] == [(middle, 33 * block)]
    assert layout.assumed[1] == (
        "block 32 is in several zones, and where they meet is not known: half of it is taken for Normal of node 0,"
        " half for Movable of node 0"
    )
    edge = 32 * block + 1024
    known = (
        ZoneBounds(0, M, edge, 20 * block, 20 * block),
        ZoneBounds(0, N, 2 * block, edge - 2 * block, edge - 2 * block),
    )
    alone = state_of((0, 1, S, 0), (1, 1, D32, 0), (2, 30, N, 0), (32, 1, S, 0), (33, 19, M, 0), zones=known)
    layout = layout_of(alone, block_size=size)
    parts = {(z.node, z.type): z.mixed_parts for z in layout.memory.zone_by_code if z is not None and z.mixed_parts}
    assert (parts[0, N], parts[0, M]) == ([(32 * block, edge)], [(edge, 33 * block)])


def test_a_last_block_of_several_zones_is_one_with_missing_pages() -> None:
    """As on PCs with older kernels: no other zone begins below the end of memory."""
    runs = (0, 1, S, 0), (1, 23, D32, 0), (32, 103, N, 0), (135, 1, S, 0)
    layout = layout_of(state_of(*runs))
    assert (layout.zones[-1].zone, layout.zones[-1].end, layout.zones[-1].present) == (
        N,
        135 * 32768 + 16384,
        103 * 32768 + 16384,
    )
    what = "block 135 has missing pages, or is in several zones: half of it is taken for Normal of node 0, half for"
    assert f"{what} missing" in layout.assumed
    bounds = ZoneBounds(0, N, 1048576, 103 * 32768 + 512, 103 * 32768 + 512)
    layout = layout_of(state_of(*runs, zones=(bounds,)))
    assert (layout.zones[-1].end, layout.zones[-1].present) == (135 * 32768 + 512, 103 * 32768 + 512)
    assert not any("135" in line for line in layout.assumed)
    with pytest.raises(HotplugError):
        layout.memory.offline(135)


@pytest.mark.parametrize(
    ("runs", "block", "zone"),
    [
        (((0, 1, S, 0), (1, 1, D32, 0), (2, 30, N, 0), (32, 1, S, 0), (33, 8, N, 1)), 32, (0, N)),  # before a node
        (((0, 1, S, 0), (1, 1, S, 0), (2, 30, N, 0)), 1, (0, D32)),  # below a PC's hole
    ],
)
def test_a_block_of_several_zones_below_another_node_or_a_hole_has_missing_pages(
    runs: tuple[tuple[int, int, int, int], ...], block: int, zone: tuple[int, int]
) -> None:
    layout = layout_of(state_of(*runs), block_size=2 * GIB, nodes=1 + max(run[3] for run in runs))
    homes = [
        ((each.node, each.type), part)
        for each in layout.memory.zone_by_code
        if each is not None
        for part in each.mixed_parts
        if part[0] >= block << 19
    ]
    assert homes == [(zone, (block << 19, (block << 19) + (1 << 18)))]
    assert any(line.startswith(f"block {block} has missing pages, or is in several zones") for line in layout.assumed)


def test_known_amounts_count_and_what_they_do_not_explain_is_said() -> None:
    zones = (
        ZoneBounds(0, D32, 4096, 24 * 32768 - 4096, 700000, 650000, 8192),
        ZoneBounds(0, N, 1000000, 70000, 65536, 60000),
        ZoneBounds(1, N, 0, 0, 0),
        ZoneBounds(0, M, 9999999, 100, 100),
    )
    layout = layout_of(state_of((0, 1, S, 0), (1, 22, D32, 0), (32, 2, N, 0), zones=zones), nodes=2)
    found = {(zone.node, zone.zone): zone for zone in layout.zones}
    dma32, normal = found[0, D32], found[0, N]
    assert (dma32.start, dma32.end, dma32.present, dma32.managed, dma32.cma) == (4096, 24 * 32768, 700000, 650000, 8192)
    assert (normal.start, normal.end, normal.present, normal.managed) == (1000000, 34 * 32768, 65536, 60000)
    lost = 23 * 32768 - 4096 - 700000
    lacking = f"DMA32 of node 0 has {lost} pages fewer than its blocks: they are taken to be missing in its highest"
    lacking += " blocks of boot memory"
    assert layout.assumed[1:] == (
        lacking,
        "Normal of node 0 has blocks outside its bounds: it is taken to reach over them",
        "bounds and amounts of zones are what their blocks come to (DMA of node 0)",
        "CMA is taken to lie at 0xb6000000, which decides which blocks can never go offline",
        "Movable of node 0 has 100 pages, but no blocks: it is left out",
    )
    memory = layout.memory
    assert memory.blocks.flags[22] & memory.blocks.HAS_HOLES
    assert memory.blocks.flags[21] & memory.blocks.HAS_HOLES  # they lack more than one block's pages
    with pytest.raises(HotplugError):
        memory.offline(22)
    memory.offline(20)


def test_pages_that_no_block_has_are_left_out() -> None:
    zones = (ZoneBounds(0, D32, 4096, 20 * 32768, 19 * 32768), ZoneBounds(0, N, 1048576, 9 * 32768, 4 * 32768))
    layout = layout_of(state_of((0, 1, S, 0), (1, 15, D32, 0), (32, 1, N, 0), zones=zones))
    assert [(zone.zone, zone.present) for zone in layout.zones] == [(DMA, 3998), (D32, 16 * 32768 - 4096), (N, 32768)]
    assert f"Normal of node 0 has {3 * 32768} pages more than its blocks: they are left out" in layout.assumed
