"""Random machines and what happens to their memory: the stage on which :mod:`policies.testkit.check` tries policies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import numpy as np

from policies.contract import ZoneRequest
from sim.faults import Unwinding
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.blocks import BLOCK_OFFLINE, FIRST_ZONE_CODE, BlockTable
from sim.memory.groups import NO_GROUP
from sim.memory.view import MemoryUse, MemoryView
from sim.memory.zones import LEAVE_OFFLINE, ZONE_MOVABLE
from sim.pages import SMALLEST_PAGE
from sim.units import GIB, KIB, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.memory.groups import MemoryGroup
    from sim.memory.hotplug import Memory
    from sim.memory.zones import ScopeTotals

_BLOCK_SIZES: Final = (128 * MIB, 128 * MIB, 256 * MIB, GIB)
_BOOT_SIZES: Final = tuple(size * MIB for size in (0, 128, 512, 1024, 2048, 3072, 4096, 6144))
_PAGE_SIZES: Final = (SMALLEST_PAGE, SMALLEST_PAGE, SMALLEST_PAGE, 16 * KIB, 64 * KIB)
_LONGEST_RUN: Final = 40
_GROUPS_KEPT: Final = 12


def seeded(seed: int, number: int) -> Callable[[int], int]:
    """Return the draws of machine ``number`` of ``seed``: the same on every run."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,))))
    return lambda below: int(generator.integers(below))


class MachineOver(Unwinding):
    """Ends what happens to one machine: nothing that would follow says anything more."""


class _Guest:
    """What a guest says that uses ``used`` pages on each node, from kernel zones where there are as many, and of all.

    The kernel's part of them is another from guest to guest.
    """

    def __init__(self, memory: Memory, used: int) -> None:
        self._memory = memory
        self._used = used

    def kernel_headroom(self, node: int | None = None) -> int:
        """Return the pages of kernel zones that are left."""
        return max(0, self._totals(node).kernel - self._used)

    def use(self, node: int | None = None) -> MemoryUse:
        """Return who uses memory."""
        totals = self._totals(node)
        present = totals.kernel + totals.movable
        used = min(self._used, present)
        kernel = used * (self._used % 100) // 100
        return MemoryUse(used - kernel, kernel, present - used)

    def _totals(self, node: int | None) -> ScopeTotals:
        return self._memory.system if node is None else self._memory.nodes[node].totals


class RandomMachine(ABC):
    """One machine and what happens to it.

    All chance comes from ``draw``, which returns a whole number from 0 to below the one that it is given: from a seed
    (:func:`seeded`), or from a search for the simplest machine on which something fails. A subclass decides zones and
    hears of what a policy hears of.
    """

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        machine = self._draw_machine()
        layout = lay_out(machine)
        self._memory = layout.memory
        used = self._draw(4 * GIB // machine.geometry.size) if self._draw(2) else None
        self._view = MemoryView(
            layout.memory,
            movable_node=machine.movable_node,
            meminfo=None if used is None else _Guest(layout.memory, used),
        )
        self._next = layout.device_base // machine.block_size
        # Memory in the hole below 4 GiB, too: there a block may belong to DMA32.
        self._low = [block for block in range(1, self._next) if not self._memory.blocks.exists(block)]
        self._growing: list[MemoryGroup] = []
        self._step = 0
        nodes = ", ".join(format_size(node.boot_memory) for node in machine.nodes)
        blocks = format_size(machine.block_size)
        pages = format_size(machine.page_size)
        self._where = f"boot memory {nodes}, blocks of {blocks}, pages of {pages}"

    @abstractmethod
    def _decide(self, block: int) -> int:
        """Return the zone that an offline block shall go to."""

    @abstractmethod
    def _decide_run(self, first: int, count: int) -> None:
        """Put a run of new blocks online."""

    @abstractmethod
    def _tell_offline(self, node: int, zone: int, pages: int) -> None:
        """Tell of a block that has gone offline: see :meth:`policies.contract.Policy.on_offline`."""

    @abstractmethod
    def _tell_pressure(self, node: int, kernel_headroom: int) -> None:
        """Tell of kernel zones that have run short: see :meth:`policies.contract.Policy.on_pressure`."""

    def _draw_machine(self) -> MachineSpec:
        sizes = [_BOOT_SIZES[1 + self._draw(len(_BOOT_SIZES) - 1)]]
        sizes += [_BOOT_SIZES[self._draw(len(_BOOT_SIZES))] for _ in range(self._draw(3))]
        total = sum(sizes)
        block_size = _BLOCK_SIZES[self._draw(len(_BLOCK_SIZES))]
        kernelcore = total // 2 if self._draw(4) == 0 else 0
        page_size = _PAGE_SIZES[self._draw(len(_PAGE_SIZES))]
        return MachineSpec(
            tuple(NodeSpec(size) for size in sizes),
            # With larger pages it is a machine of arm64, whose blocks are what they are.
            block_size=block_size if page_size == SMALLEST_PAGE else 0,
            page_size=page_size,
            kernelcore=kernelcore,
            movable_node=self._draw(4) == 0,
            cma=64 * MIB if self._draw(4) == 0 and total >= GIB and page_size < 64 * KIB and not kernelcore else 0,
        )

    def play(self, changes: int) -> None:
        """Make ``changes`` changes, each of a kind that is drawn."""
        kinds = (self._add_static, self._add_dynamic, self._grow, self._add_plain, self._offline, self._put_online)
        for self._step in range(changes):
            draw = self._draw(2 * len(kinds) + 1)
            kinds[draw % len(kinds)]() if draw < 2 * len(kinds) else self._remove()

    def _question(self, block: int) -> ZoneRequest:
        """Return what a policy is asked about ``block``."""
        blocks, pages = self._memory.blocks, self._memory.block_pages
        group = self._view.group(blocks.group[block]) if blocks.group[block] != NO_GROUP else None
        return ZoneRequest(blocks.node[block], block * pages, pages, group)

    # Changes ----

    def _add_static(self) -> None:
        count = 1 + self._draw(_LONGEST_RUN)
        pages = count * self._memory.block_pages
        # Some devices are larger than what could be added of them, and some are smaller.
        size = max(1, pages + (0, 0, pages, -pages // 2)[self._draw(4)])
        group = self._memory.groups.register_static(self._draw(len(self._memory.nodes)), size)
        self._add(count, group.id)

    def _add_dynamic(self) -> None:
        unit = self._memory.block_pages << self._draw(4)
        self._growing.append(self._memory.groups.register_dynamic(self._draw(len(self._memory.nodes)), unit))
        self._grow()

    def _grow(self) -> None:
        """Have a dynamic device grow by some of its units, each added in one go."""
        if not self._growing:
            return
        group = self._growing[self._draw(len(self._growing))]
        count = group.unit_pages // self._memory.block_pages
        self._next = -(-self._next // count) * count
        for _ in range(1 + self._draw(12)):
            self._add(count, group.id)

    def _add_plain(self) -> None:
        self._add(1 + self._draw(_LONGEST_RUN // 4), NO_GROUP, low=bool(self._low) and self._draw(2) == 0)

    def _add(self, count: int, group_id: int, *, low: bool = False) -> None:
        first, node = self._next, self._draw(len(self._memory.nodes))
        if low:
            first, count = self._low.pop(self._draw(len(self._low))), 1
        else:
            self._next += count + (self._draw(3) if group_id == NO_GROUP else 0)
        self._memory.add(first, count, node=node, group_id=group_id)
        if self._draw(5):
            self._decide_run(first, count)

    def _offline(self) -> None:
        """Take a run of online blocks offline, boot memory included, and tell the policy."""
        blocks = self._memory.blocks
        online = self._boot_or_all([block for block, code in enumerate(blocks.where) if code >= FIRST_ZONE_CODE])
        for block in online[self._draw(len(online) or 1) :][: 1 + self._draw(8)]:
            if blocks.flags[block] & BlockTable.STAYS:
                continue
            zone = self._memory.offline(block)
            self._tell_offline(zone.node, zone.type, self._memory.block_pages)

    def _boot_or_all(self, blocks: list[int]) -> list[int]:
        """Return half of the time only the boot memory among these blocks, if there is any: device memory is more."""
        boot = [block for block in blocks if self._memory.blocks.flags[block] & BlockTable.EARLY]
        return boot if self._draw(2) and boot else blocks

    def _put_online(self) -> None:
        """Put offline blocks online: some by a word that asks nobody, the rest as the policy says."""
        blocks = self._memory.blocks
        offline = self._boot_or_all([block for block, code in enumerate(blocks.where) if code == BLOCK_OFFLINE])
        word = self._draw(4)
        for block in offline[self._draw(len(offline) or 1) :][: 1 + self._draw(8)]:
            if word == 0:
                self._memory.online(block, ZONE_MOVABLE)
            elif word == 1:
                node = self._memory.nodes[blocks.node[block]]
                first = block * self._memory.block_pages
                self._memory.online(block, node.default_kernel_zone(first, self._memory.block_pages))
            else:
                self._put(block, self._decide(block))

    def _put(self, block: int, zone: int) -> None:
        """Put a block online in ``zone``, or leave it offline if that was the answer."""
        if zone != LEAVE_OFFLINE:
            self._memory.online(block, zone)

    def _remove(self) -> None:
        """Remove what is offline, forget groups that are empty, and tell the policy of pressure."""
        blocks = self._memory.blocks
        for block in range(len(blocks)):
            if blocks.where[block] == BLOCK_OFFLINE and not blocks.flags[block] & BlockTable.EARLY:
                self._memory.remove(block)
        for group in list(self._memory.groups):
            if not group.blocks and len(self._memory.groups) > _GROUPS_KEPT:
                self._memory.groups.unregister(group.id)
        self._growing = [group for group in self._growing if self._memory.groups.find(group.id) is group]
        self._tell_pressure(self._draw(len(self._memory.nodes)), self._draw(1 << 20))
