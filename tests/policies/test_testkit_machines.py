"""What the random machines of the test kit reach: kinds of machine, of change, and what a policy is asked and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.auto_movable import AutoMovable
from policies.testkit.machines import RandomMachine, seeded
from sim.memory.blocks import BLOCK_OFFLINE, BlockTable
from sim.memory.zones import ZONE_LABELS
from sim.units import GIB, KIB, MIB
from tests.support.reach import Reach

if TYPE_CHECKING:
    from sim.machine.spec import MachineSpec

REACH = Reach(
    {
        # Machines
        "1 nodes": 6,
        "2 nodes": 6,
        "3 nodes": 6,
        "a node without boot memory": 4,
        "memory above 4 GiB": 6,
        "a block of 128 MiB": 8,
        "a block of 256 MiB": 4,
        "a block of 512 MiB": 1,
        "pages of 4 KiB": 10,
        "pages of 16 KiB": 1,
        "pages of 64 KiB": 1,
        "a block of 1024 MiB": 4,
        "kernelcore": 4,
        "movable_node": 4,
        "cma": 2,
        "a guest": 10,
        "no guest": 10,
        # What is decided
        "a run of a static group": 30,
        "a run of a static group that is larger": 10,
        "a run of a static group that is smaller": 10,
        "a run of a unit of 1 blocks": 200,
        "a run of a unit of 2 blocks": 200,
        "a run of a unit of 4 blocks": 200,
        "a run of a unit of 8 blocks": 100,
        "a run without a group": 50,
        "a run below 4 GiB": 10,
        "one block that was offline": 60,
        "one boot block that was offline": 25,
        "put in DMA32": 2,
        "put in Normal": 2000,
        "put in Movable": 2000,
        # What happens beside
        "put online by a word that asks nobody": 50,
        "an add that stays offline": 100,
        "removed": 300,
        "a group is forgotten": 5,
        "on_offline of Movable": 100,
        "on_offline of Normal": 100,
        "on_offline of DMA32": 20,
        "on_pressure": 50,
    }
)


class Counting(RandomMachine):
    """Decides as auto-movable, and counts."""

    policy = AutoMovable()

    def _draw_machine(self) -> MachineSpec:
        spec = super()._draw_machine()
        REACH(f"{len(spec.nodes)} nodes")
        REACH("a node without boot memory", any(node.boot_memory == 0 for node in spec.nodes))
        REACH("memory above 4 GiB", sum(node.boot_memory for node in spec.nodes) > 3 * GIB)
        REACH(f"a block of {spec.block_size // MIB} MiB")
        REACH(f"pages of {spec.page_size // KIB} KiB")
        REACH("kernelcore", spec.kernelcore > 0)
        REACH("movable_node", spec.movable_node)
        REACH("cma", spec.cma > 0)
        return spec

    def play(self, changes: int) -> None:
        REACH("no guest" if self._view.kernel_headroom is None else "a guest")
        super().play(changes)

    def _zone(self, block: int) -> int:
        zone = self.policy.zone_for(self._question(block), self._view)
        REACH(f"put in {ZONE_LABELS[zone]}")
        return zone

    def _decide(self, block: int) -> int:
        early = self._memory.blocks.flags[block] & BlockTable.EARLY
        REACH(f"one {'boot ' if early else ''}block that was offline")
        return self._zone(block)

    def _decide_run(self, first: int, count: int) -> None:
        memory = self._memory
        group = memory.groups.find(memory.blocks.group[first]) if memory.blocks.group[first] >= 0 else None
        if group is None:
            REACH("a run without a group")
        elif group.is_dynamic:
            assert count * memory.block_pages == group.unit_pages
            REACH(f"a run of a unit of {count} blocks")
        else:
            added = count * memory.block_pages
            kind = " that is larger" if group.max_pages > added else " that is smaller" * (group.max_pages < added)
            REACH(f"a run of a static group{kind}")
        REACH("a run below 4 GiB", first * memory.block_pages < (4 * GIB) // 4096)
        for block in range(first, first + count):
            memory.online(block, self._zone(block))

    def _tell_offline(self, node: int, zone: int, pages: int) -> None:
        assert node in self._memory.nodes
        assert pages == self._memory.block_pages
        REACH(f"on_offline of {ZONE_LABELS[zone]}")

    def _tell_pressure(self, node: int, kernel_headroom: int) -> None:
        assert node in self._memory.nodes
        assert 0 <= kernel_headroom < 1 << 20
        REACH("on_pressure")

    def _offline_blocks(self) -> int:
        return bytes(self._memory.blocks.where).count(BLOCK_OFFLINE)

    def _add(self, count: int, group_id: int, *, low: bool = False) -> None:
        before = self._offline_blocks()
        super()._add(count, group_id, low=low)
        REACH("an add that stays offline", self._offline_blocks() > before)

    def _put_online(self) -> None:
        before, asked = self._offline_blocks(), self._decisions()
        super()._put_online()
        REACH("put online by a word that asks nobody", self._offline_blocks() < before and self._decisions() == asked)

    def _decisions(self) -> int:
        return sum(count for kind, count in REACH.counts.items() if kind.startswith("put in"))

    def _remove(self) -> None:
        blocks, groups = self._offline_blocks(), len(self._memory.groups)
        super()._remove()
        REACH("removed", blocks - self._offline_blocks())
        REACH("a group is forgotten", groups - len(self._memory.groups))


def test_what_the_random_machines_reach() -> None:
    REACH.counts.clear()
    for number in range(40):
        Counting(seeded(0, number)).play(40)
    REACH.check()
