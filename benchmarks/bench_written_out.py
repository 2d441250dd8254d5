"""What the ways that are written out for one block save against the way for any memory: nanoseconds, and that they do.

What ``sim/memory/hotplug.py`` and ``sim/kernel/hotplug_core.py`` say that it saves is quoted from here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import simpy

from policies.auto_movable import AutoMovable
from sim.kernel.hotplug_core import HotplugCore
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.blocks import BLOCK_OFFLINE
from sim.memory.zones import MMOP_ONLINE
from sim.record.recorder import Recorder
from sim.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable


BLOCKS = range(100, 500)
ROUNDS = 60


class Machine:
    """A core without a guest, and a dynamic group for BLOCKS."""

    def __init__(self) -> None:
        layout = lay_out(MachineSpec((NodeSpec(4 * GIB),)))
        self.memory = layout.memory
        self.core = HotplugCore(simpy.Environment(), self.memory, AutoMovable(), Recorder())
        self.pages = self.memory.block_pages
        self.group = self.memory.groups.register_dynamic(0, self.pages)

    def add(self) -> None:
        for block in BLOCKS:
            self.memory.add(block, 1, node=0, group_id=self.group.id)

    def add_one(self) -> None:
        for block in BLOCKS:
            self.memory.add_one(block, self.group)

    def remove(self) -> None:
        for block in BLOCKS:
            self.memory.remove(block)

    def remove_one(self) -> None:
        for block in BLOCKS:
            self.memory.remove_one(block)

    def add_memory(self) -> None:
        for block in BLOCKS:
            self.core.add_memory(0, block * self.pages, self.pages, group_id=self.group.id, plugged=self.pages)

    def plug_block(self) -> None:
        for block in BLOCKS:
            self.core.plug_block(0, block, self.group, self.pages)

    def offline_and_remove(self) -> None:
        for block in BLOCKS:
            self.core.offline_block(0, block)
            self.core.remove(0, block, 1)

    def unplug_block(self) -> None:
        for block in BLOCKS:
            self.core.unplug_block(0, block, self.pages, 0)

    def set_bytes(self) -> None:
        where = self.memory.blocks.where
        for block in BLOCKS:
            where[block] = BLOCK_OFFLINE

    def set_slices(self) -> None:
        where, count = self.memory.blocks.where, 1
        for block in BLOCKS:
            where[block : block + count] = bytes([BLOCK_OFFLINE]) * count

    def look_at_bytes(self) -> None:
        where = self.memory.blocks.where
        for block in BLOCKS:
            assert where[block]

    def look_at_slices(self) -> None:
        blocks, count = self.memory.blocks, 1
        for block in BLOCKS:
            assert not blocks.all_absent(block, count)

    def add_and_decide(self) -> None:
        self.add_one()
        for block in BLOCKS:
            self.core.zone_choice.decide(MMOP_ONLINE, block)


def nanoseconds(work: Callable[[], None], undo: Callable[[], None]) -> float:
    """Nanoseconds of CPU time for each block, the least of many rounds: what else runs only adds to it."""
    least = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        work()
        least = min(least, time.process_time_ns() - start)
        undo()
    return least / len(BLOCKS)


def test_what_one_block_written_out_saves(report: Callable[[str, float, float], None]) -> None:
    machine = Machine()
    adding = nanoseconds(machine.add_one, machine.remove), nanoseconds(machine.add, machine.remove)
    deciding = nanoseconds(machine.add_and_decide, machine.remove) - adding[0]
    machine.add()
    setting = nanoseconds(machine.set_bytes, lambda: None), nanoseconds(machine.set_slices, lambda: None)
    looking = nanoseconds(machine.look_at_bytes, lambda: None), nanoseconds(machine.look_at_slices, lambda: None)
    removing = nanoseconds(machine.remove_one, machine.add), nanoseconds(machine.remove, machine.add)
    machine.remove()
    plug = nanoseconds(machine.plug_block, machine.unplug_block), nanoseconds(machine.add_memory, machine.unplug_block)
    machine.plug_block()
    unplug = (
        nanoseconds(machine.unplug_block, machine.plug_block),
        nanoseconds(machine.offline_and_remove, machine.plug_block),
    )
    report("a decision by ZoneChoice.decide, in ns", deciding, float("inf"))
    for what, (short, long) in {
        "a byte set against a slice of one": setting,
        "a byte looked at against a slice of one": looking,
        "add_one against add": adding,
        "remove_one against remove": removing,
        "plug_block against add_memory": plug,
        "unplug_block against offline_block and remove": unplug,
    }.items():
        report(f"{what}, ns saved ({short:.0f} and {long:.0f})", long - short, float("inf"))
        assert short < long, f"{what}: written out for nothing"
