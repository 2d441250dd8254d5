"""Random boot layouts for the two implementations: one description, built once as each.

They have what no MachineSpec asks for: missing pages, odd ends, blocks that nodes share. Machines as experiments have
them are drawn by :mod:`policies.testkit.machines`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hypothesis import strategies as st

from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_BY_LABEL
from tests.plain.machine import DMA, DMA32, MOVABLE, NORMAL, Block, BootZone, Knobs, Machine, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB_PAGES = 256
GIB_PAGES = 262144
FOUR_GIB = 4 * GIB_PAGES

#: 2^46 bytes, what x86-64 addresses with four levels of page tables.
ADDRESSABLE_PAGES = 1 << 34

#: Kernel zones by address, as x86-64 cuts them.
KERNEL_ZONES = ((DMA, 1, 4096), (DMA32, 4096, FOUR_GIB), (NORMAL, FOUR_GIB, 1 << 40))

#: Block numbers that devices may take above boot memory.
ROOM_FOR_DEVICES = 48


@dataclass(frozen=True)
class NodeRange:
    """Boot memory of a node: pages ``start .. end`` without ``hole``; MOVABLE from ``movable_start`` (kernelcore=)."""

    node: int
    start: int
    end: int
    hole: tuple[int, int]
    movable_start: int
    missing: int
    cma_share: int

    @property
    def zones(self) -> Iterator[tuple[str, int, int]]:
        """Zone spans as the kernel sets them at boot: by address limits, holes included."""
        for zone, low, high in (*KERNEL_ZONES, (MOVABLE, self.movable_start, self.end)):
            cut = self.end if zone == MOVABLE else min(self.end, self.movable_start)
            first, end = max(low, self.start), min(high, cut)
            if first < end and self.covered(first, end):
                yield zone, first, end

    def covered(self, first: int, end: int) -> int:
        """Pages of ``first .. end`` that are not in the hole."""
        return end - first - max(0, min(end, self.hole[1]) - max(first, self.hole[0]))


@dataclass(frozen=True)
class MachinePlan:
    """Everything about a machine at boot. Pages."""

    block_pages: int
    section_pages: int
    possible_nodes: int
    ranges: tuple[NodeRange, ...]
    movable_node: bool
    self_hosting: bool = False
    """Whether memmap_on_memory is set."""
    recent: bool = False
    """Whether the kernel also lets ranges of several blocks host their memmap (6.8)."""

    page_size: ClassVar[int] = 4096
    pageblock_pages: ClassVar[int] = 512
    forced: ClassVar[bool] = False
    four_gib: ClassVar[int] = FOUR_GIB
    addressable_pages: ClassVar[int] = ADDRESSABLE_PAGES

    @property
    def nodes_with_memory(self) -> int:
        return len(self.ranges)

    @property
    def device_blocks(self) -> range:
        """Block numbers at or above zero that devices may be plugged at, those of holes included."""
        top = max(boot.end for boot in self.ranges)
        return range(1, -(-top // self.block_pages) + ROOM_FOR_DEVICES)

    def zones(self) -> list[BootZone]:
        zones = []
        blocks = self.blocks()
        for boot in self.ranges:
            for zone, first, end in boot.zones:
                whole = [b for b in blocks if b.node == boot.node and b.zone == zone and not b.has_holes]
                present = boot.covered(first, end) - boot.missing
                if first == 1 and not boot.missing:
                    present += 1  # as if page 0 were there: sums of whole blocks meet limits exactly
                cma = 0
                if zone != MOVABLE and whole and boot.cma_share:
                    cma = min(len(whole), boot.cma_share) * self.block_pages // 2
                zones.append(BootZone(boot.node, zone, first, end - first, max(present, cma + 1), cma))
        return zones

    def blocks(self) -> list[Block]:
        """Boot blocks: of one zone, of several zones or nodes, or with pages missing."""
        found: dict[int, Block] = {}
        spans = [(other.node, zone, low, high) for other in self.ranges for zone, low, high in other.zones]
        for boot in self.ranges:
            for number in range(boot.start // self.block_pages, -(-boot.end // self.block_pages)):
                first, end = number * self.block_pages, (number + 1) * self.block_pages
                if not boot.covered(max(first, boot.start), min(end, boot.end)):
                    continue
                homes = [
                    Part(max(low, first), min(high, end), node, zone)
                    for node, zone, low, high in spans
                    if low < end and first < high
                ]
                holes = boot.covered(first, end) < end - first or end > boot.end or first < boot.start
                parts = homes if len(homes) > 1 else self._sections(boot, first, end, homes[0].zone)
                block = Block(number, boot.node, early=True, parts=tuple(parts), has_holes=holes)
                found.setdefault(number, block)
            if boot.missing:  # from the lowest whole block of each zone
                whole = [b for b in found.values() if b.node == boot.node and b.zone and not b.has_holes]
                for block in {b.zone: b for b in reversed(whole)}.values():
                    block.has_holes = True
        return list(found.values())

    def _sections(self, boot: NodeRange, first: int, end: int, zone: str) -> list[Part]:
        """The sections that have memory; missing pages of a section lie in the zone around them."""
        return [
            Part(at, at + self.section_pages, boot.node, zone)
            for at in range(first, end, self.section_pages)
            if boot.covered(max(at, boot.start), min(at + self.section_pages, boot.end)) > 0
        ]

    def pinned(self) -> set[int]:
        """Blocks that hold CMA areas: the highest of their zone. They never go offline."""
        blocks = self.blocks()
        held: set[int] = set()
        for boot in self.ranges:
            for zone in (DMA, DMA32, NORMAL):
                mine = [b.number for b in blocks if b.node == boot.node and b.zone == zone and not b.has_holes]
                held.update(sorted(mine)[::-1][: boot.cma_share])
        return held

    def plain(self) -> Machine:
        return Machine(
            self.block_pages,
            self.section_pages,
            frozenset(range(self.possible_nodes)),
            tuple(self.zones()),
            tuple(self.blocks()),
            Knobs(movable_node=self.movable_node),
            ADDRESSABLE_PAGES,
        )

    def fast(self) -> Memory:
        memory = Memory(
            block_pages=self.block_pages, section_pages=self.section_pages, nodes=range(self.possible_nodes)
        )
        for zone in self.zones():
            add_boot_zone(
                memory,
                zone.node,
                ZONE_BY_LABEL[zone.zone],
                start=zone.start,
                end=zone.start + zone.spanned,
                present=zone.present,
                managed=zone.present,
                cma=zone.cma,
            )
        for block in self.blocks():
            zone_type = None if block.zone is None else ZONE_BY_LABEL[block.zone]
            last = max(part.end for part in block.parts)
            add_boot_blocks(
                memory,
                block.node,
                block.number,
                1,
                zone_type,
                holes=block.has_holes,
                sections_end=last if last < (block.number + 1) * self.block_pages else None,
            )
        return memory


def _sizes(block_pages: int, section_pages: int) -> st.SearchStrategy[int]:
    """Sizes of boot memory: whole blocks mostly, whole sections or odd ones at times."""
    return st.one_of(
        st.integers(2, 12).map(lambda n: n * block_pages),
        st.integers(1, 40).map(lambda n: n * section_pages),
        st.integers(1, 8 * block_pages),
    )


@st.composite
def machine_plans(draw: st.DrawFn) -> MachinePlan:
    """1 to 3 nodes, some without boot memory; blocks of 128 MiB to 2 GiB of one or more sections."""
    block_pages = 128 * MIB_PAGES << draw(st.integers(0, 4))
    section_pages = block_pages >> draw(st.sampled_from((0, 0, 1, 2, 4)))
    possible = draw(st.sampled_from((1, 2, 2, 3)))
    ranges: list[NodeRange] = []
    at = 0
    for node in range(possible):
        if node and draw(st.integers(0, 2)) == 0:
            continue
        if node and draw(st.booleans()):  # this node begins above 4 GiB
            at = max(at, FOUR_GIB)
        align = 1024 if draw(st.integers(0, 2)) else block_pages  # at times two nodes share a block
        start = -(-at // align) * align
        end = start + draw(_sizes(block_pages, section_pages))
        hole = (end, end)
        if draw(st.integers(0, 2)) and start < FOUR_GIB:  # memory goes on above the hole below 4 GiB
            hole = (min(end, FOUR_GIB), FOUR_GIB)
            if draw(st.booleans()):
                hole = (min(end, FOUR_GIB) // block_pages * block_pages, FOUR_GIB)
            hole = (max(hole[0], start + min(4096, block_pages)), FOUR_GIB)
            end = FOUR_GIB + draw(_sizes(block_pages, section_pages))
        movable_start = end
        if draw(st.integers(0, 2)) == 0:
            low = start + 4096
            movable_start = draw(
                st.one_of(
                    st.integers(low // block_pages + 1, max(low, end) // block_pages + 1).map(
                        lambda n: n * block_pages
                    ),
                    st.integers(low // 256 + 1, max(low, end) // 256 + 1).map(lambda n: n * 256),
                )
            )
            if hole[0] <= movable_start < hole[1]:
                movable_start = hole[1]
            movable_start = min(movable_start, end)
        ranges.append(
            NodeRange(
                node=node,
                start=max(start, 1) if not node else start,
                end=end,
                hole=hole,
                movable_start=movable_start,
                missing=draw(st.sampled_from((0, 0, 0, 1, 500))),
                cma_share=draw(st.sampled_from((0, 0, 0, 1, 2))),
            )
        )
        at = end
    return MachinePlan(
        block_pages=block_pages,
        section_pages=section_pages,
        possible_nodes=possible,
        ranges=tuple(ranges),
        movable_node=draw(st.booleans()),
        self_hosting=draw(st.booleans()),
        recent=draw(st.booleans()),
    )
