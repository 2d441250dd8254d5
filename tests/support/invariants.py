"""The numbered invariants of the memory model (docs/invariants.md), each as a check of one machine.

Every check raises AssertionError where the invariant does not hold. They walk everything and are for tests only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.memory.blocks import BLOCK_ABSENT, BLOCK_MIXED, BLOCK_OFFLINE, FIRST_ZONE_CODE, BlockTable
from sim.memory.zones import NR_ZONES, ZONE_DMA32, ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.memory.groups import MemoryGroup
    from sim.memory.hotplug import Memory
    from sim.memory.view import MemoryView
    from sim.memory.zones import ScopeTotals, Zone


@dataclass(frozen=True)
class Subject:
    """A machine under check. ``outside``: a zone's pages (present, early) beside its whole blocks, as at boot."""

    memory: Memory
    view: MemoryView
    outside: dict[tuple[int, int], tuple[int, int]]

    @classmethod
    def at_boot(cls, memory: Memory, view: MemoryView) -> Subject:
        outside: dict[tuple[int, int], tuple[int, int]] = {}
        for zone in zones(memory):
            pages = memory.block_pages * len(blocks_of(memory, zone))
            outside[zone.node, zone.type] = (zone.present - pages, zone.present_early - pages)
        return cls(memory, view, outside)


def zones(memory: Memory) -> Iterator[Zone]:
    for node in memory.nodes.values():
        for zone in node.zones:
            if zone is not None:
                yield zone


def blocks_of(memory: Memory, zone: Zone) -> list[int]:
    return [block for block, code in enumerate(memory.blocks.where) if code == zone.code]


def inv_1(subject: Subject) -> None:
    """A zone's present pages are those of its whole online blocks plus what boot left beside them."""
    memory = subject.memory
    for zone in zones(memory):
        outside = subject.outside.get((zone.node, zone.type), (0, 0))[0]
        assert zone.present == outside + memory.block_pages * len(blocks_of(memory, zone))
        assert zone.present >= 0


def inv_2(subject: Subject) -> None:
    """A zone's early pages are those of its whole online boot blocks plus what boot left beside them."""
    memory = subject.memory
    for zone in zones(memory):
        early = [b for b in blocks_of(memory, zone) if memory.blocks.flags[b] & BlockTable.EARLY]
        outside = subject.outside.get((zone.node, zone.type), (0, 0))[1]
        assert zone.present_early == outside + memory.block_pages * len(early)
        assert zone.present_early <= zone.present


def inv_3(subject: Subject) -> None:
    """The totals of every scope are the sums over its zones and dynamic groups: MV, KE, kernel pages, GM."""
    memory = subject.memory
    scopes: list[tuple[int | None, ScopeTotals]] = [(None, memory.system)]
    scopes += [(nid, node.totals) for nid, node in memory.nodes.items()]
    for nid, totals in scopes:
        populated = [z for z in zones(memory) if nid in (None, z.node) and z.present > 0]
        kernel = [z for z in populated if z.type != ZONE_MOVABLE]
        movable = sum(z.present for z in populated if z.type == ZONE_MOVABLE)
        cma = sum(z.cma for z in kernel)
        dynamic = [g for g in memory.groups if g.is_dynamic and nid in (None, g.node)]
        assert totals.movable == movable + cma
        assert totals.early_kernel == sum(z.present_early for z in kernel) - cma
        assert totals.kernel == sum(z.present for z in kernel)
        assert totals.dynamic_movable == sum(g.movable for g in dynamic)


def inv_4(subject: Subject) -> None:
    """A group's counters are the sums over its member blocks, which all lie on its node."""
    memory = subject.memory
    blocks = memory.blocks
    for group in memory.groups:
        members = [b for b in blocks.ids() if blocks.group[b] == group.id]
        online = [z for b in members if (z := memory.zone_of(b)) is not None]
        assert group.blocks == len(members)
        assert group.movable == memory.block_pages * sum(z.movable for z in online)
        assert group.kernel == memory.block_pages * sum(not z.movable for z in online)
        assert all(blocks.node[b] == group.node for b in members)
    known = {group.id for group in memory.groups} | {-1}
    assert {blocks.group[b] for b in blocks.ids()} <= known


def inv_5(subject: Subject) -> None:
    """The early pages that dynamic groups reserve are those of a walk over the groups, whoever is left out."""
    memory = subject.memory

    def charge(group: MemoryGroup, ratio: int) -> int:
        needed = 100 * group.movable // ratio if ratio < 2**31 else 0
        return max(0, needed - group.kernel)

    for ratio in (1, 301, 2**31):
        for left_out in [None, *memory.groups]:
            for nid in [None, *memory.nodes]:
                walked = sum(
                    charge(g, ratio)
                    for g in memory.groups
                    if g.is_dynamic and g is not left_out and nid in (None, g.node)
                )
                shown = None if left_out is None else left_out.view
                assert subject.view.others_charge(ratio, shown, nid) == walked


def inv_6(subject: Subject) -> None:
    """The online sections counted for a unit are those of a walk over its sections."""
    memory = subject.memory
    units = {
        (g.unit_pages, b * memory.block_pages // g.unit_pages)
        for g in memory.groups
        if g.unit_pages > memory.block_pages
        for b in memory.blocks.ids()
        if memory.blocks.group[b] == g.id
    }
    for unit_pages, number in units:
        first = number * unit_pages
        walked = [memory.zone_type_at(page) for page in range(first, first + unit_pages, memory.section_pages)]
        movable = walked.count(ZONE_MOVABLE)
        kernel = sum(zone is not None for zone in walked) - movable
        assert memory.unit_sections(unit_pages, first) == (kernel, movable)


def inv_7(subject: Subject) -> None:
    """Every whole online block lies in its zone's span; an empty span has start and end 0."""
    memory = subject.memory
    for zone in zones(memory):
        for block in blocks_of(memory, zone):
            flags = memory.blocks.flags[block]
            if flags & BlockTable.HAS_HOLES:
                assert zone.intersects(block * memory.block_pages, memory.block_pages)
            else:
                assert zone.start <= block * memory.block_pages
                assert (block + 1) * memory.block_pages <= zone.end
        assert zone.end > zone.start or (zone.start, zone.end) == (0, 0)


def inv_8(subject: Subject) -> None:
    """A node knows how far its low zones span, and spans the hull of its zones."""
    memory = subject.memory
    for node in memory.nodes.values():
        ends = [z.end for z in node.zones[: ZONE_DMA32 + 1] if z is not None]
        assert node.low_end == max(ends, default=0)
        hull = [(z.start, z.end) for z in node.zones if z is not None and z.end]
        expected = (min(s for s, _ in hull), max(e for _, e in hull)) if hull else (0, 0)
        assert node.span == expected


def inv_9(subject: Subject) -> None:
    """A block is absent, offline, online in a zone of its node, or a mixed boot block; absent ones keep nothing."""
    memory = subject.memory
    blocks = memory.blocks
    for block, code in enumerate(blocks.where):
        if code >= FIRST_ZONE_CODE:
            zone = memory.zone_by_code[code]
            assert zone is not None
            assert zone.node == blocks.node[block]
            assert zone.type < NR_ZONES
        elif code == BLOCK_MIXED:
            assert blocks.flags[block] & BlockTable.EARLY
        else:
            assert code in {BLOCK_ABSENT, BLOCK_OFFLINE}
        if code == BLOCK_ABSENT:
            assert blocks.group[block] == -1
    assert all(blocks.exists(block) for block in blocks.left_over)


def inv_10(subject: Subject) -> None:
    """Group ids are unique and the registry finds each group under its own; the lowest free id is given next."""
    memory = subject.memory
    ids = [group.id for group in memory.groups]
    assert len(set(ids)) == len(ids)
    assert all(memory.groups.find(number) is not None for number in ids)
    new = memory.groups.register_static(next(iter(memory.nodes)), 1).id
    assert new == next(n for n in range(len(ids) + 1) if n not in ids)
    memory.groups.unregister(new)


#: The checks of one machine by itself, by number; those above compare two machines (the state machine).
CHECKS: dict[int, Callable[[Subject], None]] = {
    1: inv_1,
    2: inv_2,
    3: inv_3,
    4: inv_4,
    5: inv_5,
    6: inv_6,
    7: inv_7,
    8: inv_8,
    9: inv_9,
    10: inv_10,
}

#: What only a comparison can show, by number; tests/decisions checks these.
COMPARED: dict[int, str] = {
    11: "the two implementations agree about memory",
    12: "the two implementations choose the same zones",
    13: "a refused request changes nothing",
    14: "an explanation names the zone that is chosen",
    15: "ratio 0 is never MOVABLE",
    16: "numa-aware: no MOVABLE on a node without early kernel memory",
    17: "a run is decided as its blocks would be",
    18: "blocks that go offline at once leave what one by one leaves",
}


def check_all(subject: Subject) -> None:
    """Check every invariant of one machine; the number of one that does not hold goes with the error."""
    for number, check in CHECKS.items():
        try:
            check(subject)
        except AssertionError as error:
            error.add_note(f"INV-{number}: {check.__doc__}")
            raise
