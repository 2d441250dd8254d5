"""Parts of the program by themselves: what must not grow with blocks, groups or history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy

from benchmarks.ratios import ratio, timed
from policies.auto_movable import AutoMovable
from policies.contract import ZoneRequest
from sim.devices.specs import DimmSpec
from sim.kernel.context import DriverContext
from sim.kernel.hotplug_core import HotplugCore
from sim.machine.boot_layout import lay_out
from sim.machine.host import MachineHost
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import Recorder
from sim.units import GIB, MIB, TIB

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 128 * MIB
BLOCKS = 4_000


def guest(boot_memory: int = 4 * GIB, nodes: int = 1) -> tuple[simpy.Environment, MachineHost, HotplugCore]:
    """Return a guest under auto-movable 301 with everything that a run has: policy, accounting, record."""
    machine = MachineSpec(tuple(NodeSpec(boot_memory // nodes) for _ in range(nodes)))
    env, recorder, layout = simpy.Environment(), Recorder(), lay_out(machine)
    core = HotplugCore(env, layout.memory, AutoMovable(), recorder)
    context = DriverContext(env, core, recorder)
    return env, MachineHost(context, machine), core


def test_a_dimm_of_a_terabyte_costs_at_most_twenty_times_one_block(report: Callable[[str, float, float], None]) -> None:
    def plug(size: int) -> Callable[[], float]:
        def cost() -> float:
            best = float("inf")
            for _ in range(20):
                env, host, _ = guest()
                host.plug(DimmSpec("dimm", size))
                best = min(best, timed(env.run))
                assert host.plugged("dimm") == size
            return best

        return cost

    report("a DIMM of 8192 blocks against one of one block", ratio(plug(TIB), plug(BLOCK)), 20)


def test_a_decision_does_not_grow_with_groups(report: Callable[[str, float, float], None]) -> None:
    def decide(groups: int) -> Callable[[], float]:
        _, _, core = guest(boot_memory=64 * GIB)
        memory = core.memory
        first = memory.max_blocks // 2
        for number in range(groups):
            group_id = memory.groups.register_dynamic(0, memory.block_pages).id
            memory.add(first + number, 1, node=0, group_id=group_id)
            memory.online(first + number, 3 if number % 2 else 2)
        group = core.view.group(group_id)
        request = ZoneRequest(0, (first + groups) * memory.block_pages, memory.block_pages, group)
        policy, view = AutoMovable(), core.view
        decisions = 20_000

        def loop() -> None:
            for _ in range(decisions):
                policy.zone_for(request, view)

        return lambda: timed(loop) / decisions

    report(
        "a decision with 10,000 dynamic groups against one with a single group", ratio(decide(10_000), decide(1)), 1.2
    )


def test_a_change_and_decision_in_turn_over_many_groups_does_not_grow(
    report: Callable[[str, float, float], None],
) -> None:
    """The worst case of the incremental sums: every event is about another group than the one before."""

    def events(groups: int) -> Callable[[], float]:
        _, _, core = guest(boot_memory=64 * GIB)
        memory = core.memory
        first = memory.max_blocks // 2
        ids = [memory.groups.register_dynamic(0, memory.block_pages).id for _ in range(groups)]
        for number, group_id in enumerate(ids):
            memory.add(first + number, 1, node=0, group_id=group_id)
        policy, view = AutoMovable(), core.view
        turns = 4_000

        def loop() -> None:
            for turn in range(turns):
                block = first + turn % groups
                group = view.group(memory.blocks.group[block])
                request = ZoneRequest(0, block * memory.block_pages, memory.block_pages, group)
                memory.online(block, policy.zone_for(request, view))
                memory.offline(block)

        return lambda: timed(loop) / turns

    report("decide, online, offline in turn over 4,000 groups against two groups", ratio(events(4_000), events(2)), 1.5)
