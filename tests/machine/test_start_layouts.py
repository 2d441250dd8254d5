"""Boot memory of a machine that starts from a state: as it was where all is known, and what is assumed where not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DimmSpec
from sim.machine.boot_layout import lay_out
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
