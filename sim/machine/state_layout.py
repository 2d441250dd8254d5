"""The boot memory of a machine that starts from a state: which pages of its blocks are there, and in which zones.

The state says which blocks are there and the zone of each. What it does not say is as this machine would boot, where it
boots with the same blocks; else it follows from the architecture, or is assumed, and what was assumed is said.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from sim.machine.address_map import NodeRange, boot_block_nodes, present_ranges, without
from sim.machine.boot_zones import BootZone, zones_at_boot
from sim.machine.cma import cma_areas, place
from sim.machine.state import Ownership, ownership
from sim.machine.state_managed import added_pages, withheld_pages
from sim.memory.blocks import BlockTable
from sim.memory.boot import add_boot_blocks, add_offline_boot_blocks, add_shared_boot_block, veto_offlining
from sim.memory.zones import NR_ZONES, ZONE_DMA, ZONE_LABELS, ZONE_MOVABLE
from sim.record.run_result import SEVERAL_ZONES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.machine.spec import MachineSpec
    from sim.machine.state import BlockRun, MachineState, ZoneBounds
    from sim.memory.hotplug import Memory

    Key = tuple[int, int]

# Page 0, and the video and BIOS area up to 1 MiB: missing on every PC.
_PC_HOLES = ((0, 1), (0x9F, 0x100))


class _Piece(NamedTuple):
    """Page frames [start, end) of a boot block in one zone; some of them may be missing."""

    start: int
    end: int
    node: int
    zone: int


@dataclass(slots=True)
class StateLayout:
    """Boot memory as a state has it.

    ``ranges`` are the pages of boot blocks that are there, offline ones too; ``zones`` as they are now; ``assumed``
    what neither state nor machine say, a sentence each.
    """

    machine: MachineSpec
    state: MachineState
    owned: Ownership
    ranges: list[NodeRange] = field(default_factory=list)
    zones: list[BootZone] = field(default_factory=list)
    areas: dict[Key, list[NodeRange]] = field(default_factory=dict)
    """CMA, by zone."""
    assumed: list[str] = field(default_factory=list)
    mixed: dict[int, list[_Piece]] = field(default_factory=dict)
    """By block of several zones: its pieces."""
    lacking: dict[Key, int] = field(default_factory=dict)
    """By zone: how many pages fewer it has than its blocks, nobody knows where."""

    @property
    def pages(self) -> int:
        """Pages of a memory block."""
        return self.machine.block_size // self.machine.page_size

    def present(self, start: int, end: int) -> int:
        """Return how many pages of [start, end) are there."""
        return sum(min(end, part.end) - max(start, part.start) for part in self.over(start, end))

    def over(self, start: int, end: int) -> list[NodeRange]:
        """Return the ranges that have pages of [start, end)."""
        first = bisect_right(self.ranges, start, key=lambda part: part.end)
        return self.ranges[first : bisect_left(self.ranges, end, first, key=lambda part: part.start)]


def lay_out_state(machine: MachineSpec, state: MachineState, memory: Memory) -> StateLayout:
    """Return the boot memory of ``machine`` as its ``state`` has it; ``memory`` is that of the machine, still empty."""
    layout = StateLayout(machine, state, ownership(state, machine.block_size))
    _find_ranges(layout)
    pieces = list(_pieces(layout))
    _find_zones(layout, pieces, memory)
    _find_cma(layout, pieces)
    return layout


# Pages ----------------------------------------------------------------------------------------------------------------


def _find_ranges(layout: StateLayout) -> None:
    """Take the pages as the machine boots if it has the same blocks, or else whole blocks, but for a PC's first MiB."""
    machine, pages = layout.machine, layout.pages
    found = {block: run.node for run in layout.owned.boot for block in range(run.first, run.end)}
    if boot_block_nodes(machine, machine.block_size) == found:
        layout.ranges = present_ranges(machine)
        return
    ranges = [NodeRange(run.node, run.first * pages, run.end * pages) for run in layout.owned.boot]
    for start, end in _PC_HOLES if machine.built_for.pc_layout else ():
        ranges = without(ranges, start, end)
    layout.ranges = ranges
    holes = " but for page 0 and the 388 KiB below 1 MiB" if machine.built_for.pc_layout else ""
    layout.assumed.append(
        "boot memory has other blocks than QEMU would give this machine: which pages of them are missing is not known,"
        f" and all are taken to be there{holes}"
    )


def _pieces(layout: StateLayout) -> Iterator[_Piece]:
    """Yield what is online of boot memory, cut where zones meet."""
    pages = layout.pages
    by_rule = [
        _Piece(zone.start, zone.end, zone.node, zone.zone) for zone in zones_at_boot(layout.machine, layout.ranges)
    ]
    for run in layout.owned.boot:
        if run.state == NR_ZONES:
            continue
        if run.state != SEVERAL_ZONES:
            yield _Piece(run.first * pages, run.end * pages, run.node, run.state)
            continue
        for block in range(run.first, run.end):
            start, end = block * pages, (block + 1) * pages
            cuts = (
                [
                    part._replace(start=max(part.start, start), end=min(part.end, end))
                    for part in by_rule
                    if part.start < end and part.end > start
                ],
                _by_bounds(layout.state.zones, start, end),
            )
            known = [cut for cut in cuts if _several(layout, cut)]
            layout.mixed[block] = known[0] if known else _by_halves(layout, run, block, cuts[0])
            yield from layout.mixed[block]


def _several(layout: StateLayout, cut: list[_Piece]) -> bool:
    """Whether a block that is cut so has a part in several zones, and none in a zone that is known not to be there.

    That a zone is not among those of known bounds says so only where those that blocks are in all are, and nothing of
    DMA, which has no block of its own.
    """
    zones = {(piece.node, piece.zone) for piece in cut}
    lasting = {zone for zone in zones if zone[1] != ZONE_DMA}
    known = {(zone.node, zone.zone) for zone in layout.state.zones if zone.present}
    online = (run for run in layout.owned.boot if run.state not in (SEVERAL_ZONES, NR_ZONES))
    all_known = bool(known) and all((run.node, run.state) in known for run in online)
    return len(zones) > 1 and not (all_known and lasting - known)


def _by_bounds(zones: tuple[ZoneBounds, ...], start: int, end: int) -> list[_Piece]:
    """Cut [start, end) where a zone of known bounds begins or ends.

    Of two that overlap, one that has an edge there has it, or else the one that starts later.
    """
    near = [zone for zone in zones if zone.spanned and zone.start < end and zone.start + zone.spanned > start]
    edges = {edge for zone in near for edge in (zone.start, zone.start + zone.spanned) if start < edge < end}
    cuts = sorted({start, end, *edges})
    parts: list[_Piece] = []
    for low, high in pairwise(cuts):
        over = [zone for zone in near if zone.start <= low and zone.start + zone.spanned >= high]
        if not over:
            continue
        owner = max(over, key=lambda zone: (bool(edges & {zone.start, zone.start + zone.spanned}), zone.start))
        if parts and parts[-1][1:] == (low, owner.node, owner.zone):
            low = parts.pop().start  # noqa: PLW2901 - one piece, though another zone has an edge in it
        parts.append(_Piece(low, high, owner.node, owner.zone))
    return parts


def _by_halves(layout: StateLayout, run: BlockRun, block: int, by_rule: list[_Piece]) -> list[_Piece]:
    """Give half a block to the zone below it, and half to ZONE_MOVABLE of its node, if one of them is that.

    Where other zones meet follows from addresses, and a node rarely begins within a block: pages are missing then.
    Kernels before 5.18 call a block one of several zones if a zone ends in it, too.
    """
    singles = [each for each in layout.owned.boot if each.state not in (SEVERAL_ZONES, NR_ZONES)]
    lowest = (run.node, by_rule[0].zone if by_rule else ZONE_DMA)
    below = next(((each.node, each.state) for each in reversed(singles) if each.first < block), lowest)
    above = next(((each.node, each.state) for each in singles if each.first > block), below)
    start, middle, end = (block * layout.pages + part * layout.pages // 2 for part in range(3))
    if above != below and above[0] == run.node and ZONE_MOVABLE in (above[1], below[1]):
        layout.assumed.append(
            f"block {block} is in several zones, and where they meet is not known: half of it is taken for"
            f" {_named(below)}, half for {_named(above)}"
        )
        return [_Piece(start, middle, *below), _Piece(middle, end, *above)]
    last = next((z.start + z.spanned for z in layout.state.zones if (z.node, z.zone) == below), middle)
    if last <= start:
        last = middle
    if last < end:
        layout.ranges = without(layout.ranges, last, end)
    if last == middle:
        layout.assumed.append(
            f"block {block} has missing pages, or is in several zones: half of it is taken for {_named(below)}, half"
            " for missing"
        )
    return [_Piece(start, min(last, end), *below)]


def _named(key: Key) -> str:
    return f"{ZONE_LABELS[key[1]]} of node {key[0]}"


# Zones ----------------------------------------------------------------------------------------------------------------


def _find_zones(layout: StateLayout, pieces: list[_Piece], memory: Memory) -> None:
    """Set the zones that boot memory is in: bounds and amounts as the state has them, or as their blocks come to."""
    added = added_pages(layout.machine, layout.owned)
    withheld = withheld_pages(layout.machine, memory, layout.owned)
    known = {(zone.node, zone.zone): zone for zone in layout.state.zones}
    by_zone: dict[Key, list[_Piece]] = {}
    for piece in pieces:
        by_zone.setdefault((piece.node, piece.zone), []).append(piece)
    for key, own in sorted(by_zone.items()):
        present = sum(layout.present(piece.start, piece.end) for piece in own)
        start, end = min(piece.start for piece in own), max(piece.end for piece in own)
        hull = _without_holes(layout, start, end)
        zone = BootZone(*key, *hull, present)
        bounds = known.get(key)
        if bounds is not None:
            zone = _as_known(layout, zone, bounds, added[key], withheld[key])
            low, high = min(piece.start for piece in own) + layout.pages, max(piece.end for piece in own) - layout.pages
            if zone.start >= low or zone.end <= high:
                zone = replace(zone, start=min(zone.start, hull[0]), end=max(zone.end, hull[1]))
                layout.assumed.append(f"{_named(key)} has blocks outside its bounds: it is taken to reach over them")
        layout.zones.append(zone)
    missing = [key for key in by_zone if key not in known]
    if missing:
        names: dict[int, list[str]] = {}
        for node, zone_type in sorted(missing):
            names.setdefault(node, []).append(ZONE_LABELS[zone_type])
        where = "; ".join(f"{', '.join(labels)} of node {node}" for node, labels in names.items())
        layout.assumed.append(f"bounds and amounts of zones are what their blocks come to ({where})")


def _without_holes(layout: StateLayout, start: int, end: int) -> tuple[int, int]:
    """Return [start, end) without missing pages at either side."""
    inside = layout.over(start, end)
    return (max(start, inside[0].start), min(end, inside[-1].end)) if inside else (start, end)


def _as_known(layout: StateLayout, zone: BootZone, bounds: ZoneBounds, added: int, withheld: int) -> BootZone:
    """Return ``zone`` as it is known, less the pages that were ``added`` after boot."""
    present, name = bounds.present - added, _named((zone.node, zone.zone))
    last = max((run.end for run in layout.owned.boot if (run.node, run.state) == (zone.node, zone.zone)), default=0)
    left = layout.present((last - 1) * layout.pages, last * layout.pages) if last else layout.pages
    if present < zone.present - left * (left < layout.pages):  # one that has holes anyway may have more of them
        layout.lacking[zone.node, zone.zone] = zone.present - present
        layout.assumed.append(
            f"{name} has {zone.present - present} pages fewer than its blocks: they are taken to be missing in its"
            " highest blocks of boot memory"
        )
    shared = sum(zone.node == part.node for parts in layout.mixed.values() for part in parts) * layout.pages
    if present > zone.present + shared:
        layout.assumed.append(f"{name} has {present - zone.present} pages more than its blocks: they are left out")
        present = zone.present
    managed = None if bounds.managed is None else max(0, min(present, bounds.managed - (added - withheld)))
    return replace(
        zone,
        start=bounds.start,
        end=bounds.start + bounds.spanned,
        present=present,
        managed=managed,
    )


def _find_cma(layout: StateLayout, pieces: list[_Piece]) -> None:
    """Find where CMA lies: as the kernel places it, or in a zone that is known to have so much of it."""
    machine = layout.machine
    known = {(zone.node, zone.zone): zone.cma for zone in layout.state.zones if zone.cma is not None}
    most = {(zone.node, zone.zone): zone.present if zone.managed is None else zone.managed for zone in layout.zones}
    for area in cma_areas(machine, layout.ranges) or [] if machine.cma else []:
        # By blocks, for spans of zones may overlap.
        home = next((piece for piece in pieces if piece.start <= area.start < piece.end), None)
        if home is not None and area.end - area.start <= most[home.node, home.zone]:
            layout.areas.setdefault((home.node, home.zone), []).append(area)
    if any(_size(layout.areas.get(key, ())) != cma for key, cma in known.items()):
        layout.areas = {}
        for key, pages in most.items():
            size = machine.geometry.whole_pageblocks(known.get(key, 0))
            room = [NodeRange(piece.node, piece.start, piece.end) for piece in pieces if piece[2:] == key]
            found = place(room, size, machine.geometry) if 0 < size <= pages else None
            if found is not None:
                layout.areas[key] = [found]
    if layout.areas or machine.cma or any(known.values()):
        starts = [area.start for areas in layout.areas.values() for area in areas]
        where = ", ".join(f"{start * machine.page_size:#x}" for start in sorted(starts)) or "in no block"
        layout.assumed.append(f"CMA is taken to lie at {where}, which decides which blocks can never go offline")
    layout.zones = [
        replace(zone, cma=known.get((zone.node, zone.zone), _size(layout.areas.get((zone.node, zone.zone), ()))))
        for zone in layout.zones
    ]


def _size(areas: Iterable[NodeRange]) -> int:
    return sum(area.end - area.start for area in areas)


# Blocks ---------------------------------------------------------------------------------------------------------------


def declare_blocks(layout: StateLayout, memory: Memory) -> None:
    """Enter the boot blocks as the state has them. The zones are there already."""
    for run in layout.owned.boot:
        if run.state == NR_ZONES:
            add_offline_boot_blocks(memory, run.node, run.first, run.blocks)
        elif run.state != SEVERAL_ZONES:
            add_boot_blocks(memory, run.node, run.first, run.blocks, run.state)
    for run in layout.owned.boot:
        if run.state == SEVERAL_ZONES:
            for block in range(run.first, run.end):
                parts = [(memory.zone(part.node, part.zone), part.start, part.end) for part in layout.mixed[block]]
                add_shared_boot_block(memory, run.node, block, parts)
    _note_holes(layout, memory)
    _stretch_others(layout, memory)
    if not layout.machine.built_for.boot_goes_offline:
        veto_offlining(memory)


def _stretch_others(layout: StateLayout, memory: Memory) -> None:
    """Give the zones that boot memory has no part in the bounds that are known of them."""
    booted = {(zone.node, zone.zone) for zone in layout.zones}
    added = added_pages(layout.machine, layout.owned)
    for bounds in layout.state.zones:
        key = bounds.node, bounds.zone
        if key in booted or not bounds.spanned:
            continue
        if added[key]:
            zone = memory.zone(*key)
            zone.start, zone.end = bounds.start, bounds.start + bounds.spanned
            memory.nodes[bounds.node].update_low_end()
        elif bounds.present:
            layout.assumed.append(f"{_named(key)} has {bounds.present} pages, but no blocks: it is left out")


def _note_holes(layout: StateLayout, memory: Memory) -> None:
    """Mark the blocks of one zone that have missing pages."""
    blocks, pages, section = memory.blocks, layout.pages, memory.section_pages
    edges = {edge for part in layout.ranges for edge in (part.start, part.end)}
    edges |= {edge for zone in layout.zones for edge in (zone.start, zone.end)}
    for block in {edge // pages for edge in edges if edge % pages}:
        start, end = block * pages, (block + 1) * pages
        if block in layout.mixed or not blocks.is_online(block):
            continue
        home = memory.zone_of(block)
        inside = home is None or (home.start <= start and home.end >= end)
        if layout.present(start, end) == pages and inside:
            continue
        blocks.flags[block] |= BlockTable.HAS_HOLES
        last = layout.over(start, end)[-1].end
        if -(-last // section) * section < end:
            memory.spans.sections_end[block] = -(-last // section) * section
    for (node, zone), lack in layout.lacking.items():
        own = [run for run in layout.owned.boot if (run.node, run.state) == (node, zone)]
        number = -(-lack // pages)  # so that what could go offline is there
        for block in islice((block for run in reversed(own) for block in reversed(range(run.first, run.end))), number):
            blocks.flags[block] |= BlockTable.HAS_HOLES
