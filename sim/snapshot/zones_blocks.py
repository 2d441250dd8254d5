"""The memory blocks of a machine that no file lists: by the bounds of its zones, or by its firmware's ranges.

A zone begins and ends in a block that is there, as Linux keeps its span no larger than that; only where a zone ends at
the limit of its addresses may there be a hole before it, such as a PC's below 4 GiB.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE
from sim.readers.bounds import MOST_BLOCKS
from sim.readers.facts import ZoneView
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.account import Assumed
from sim.snapshot.block_map import Block, BlockMap
from sim.snapshot.block_zones import zone_number
from sim.units import format_size, parse_series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.readers.facts import MemoryRange, ZoneRange
    from sim.snapshot.draft import Draft
    from sim.snapshot.evidence import Said


class _Span(NamedTuple):
    """A zone with pages: bytes [start, end), of which ``present`` are there."""

    start: int
    end: int
    present: int
    node: int
    zone: int


def blocks_of_zones(draft: Draft) -> BlockMap | None:
    """Return the blocks that zones of known bounds are made of, and say how; None where the zones do not tell."""
    evidence, kernel = draft.evidence, draft.kernel
    said = evidence.zones()
    spans = _spans(() if said is None else said.value, kernel.page_size)
    if said is None or draft.host is not None or not spans:
        return None
    end = max((span.end for span in spans if span.zone != ZONE_MOVABLE), default=0)
    block_size = _block_size(draft, end)
    # Spans may overlap, but not so that they are more than all blocks many times over.
    if sum(span.end - span.start for span in spans) // block_size > MOST_BLOCKS or any(
        span.zone == ZONE_MOVABLE and span.present % block_size for span in spans
    ):
        return None
    limits = {ZONE_DMA: kernel.built_for.dma_end, ZONE_DMA32: kernel.built_for.dma32_end}
    homes: dict[int, list[_Span]] = {}
    for span in sorted(spans, key=lambda span: span.end - span.start - span.present):
        for block in _chosen(span, block_size, homes, at_limit=span.end == limits.get(span.zone)):
            homes.setdefault(block, []).append(span)
    what = "blocks that are missing within a zone lie below its last one, or below 4 GiB"
    if evidence.first("block_size") is None:
        what = f"memory blocks of {format_size(block_size)}; {what}"
    evidence.account.assumed.append(Assumed(what, "add lsmem's output"))
    evidence.take(f"{len(homes)} memory blocks, which its zones are made of", said)
    return BlockMap(block_size, {block: _block(own) for block, own in sorted(homes.items())})


def blocks_of_ranges(draft: Draft) -> BlockMap | None:
    """Return the blocks that firmware's ranges of memory are in; None where no boot log has them, or another file more.

    The zones follow from the ranges, too: the evidence has them then.
    """
    evidence, page = draft.evidence, draft.kernel.page_size
    known = _ranges(draft)
    if known is None:
        return None
    said, zones = known
    of_node: dict[int, list[MemoryRange]] = {}
    for part in sorted(said.value, key=lambda part: part.start):
        of_node.setdefault(part.node, []).append(part)
    block_size = _block_size(draft, max(own[-1].end for own in of_node.values()))
    homes: dict[int, set[tuple[int, int]]] = {}
    views = []
    for node, own in sorted(of_node.items()):
        for number, zone in zones:
            pieces = [(max(part.start, zone.start), min(part.end, zone.end)) for part in own]
            pieces = [(low, high) for low, high in pieces if low < high]
            for low, high in pieces:
                for block in range(low // block_size, (high - 1) // block_size + 1):
                    homes.setdefault(block, set()).add((node, number))
            if pieces:
                start, end = max(own[0].start, zone.start) // page, min(own[-1].end, zone.end) // page
                present = sum(high - low for low, high in pieces) // page
                views.append(ZoneView(node, zone.zone, start=start, spanned=end - start, present=present))
    if not homes:
        return None
    evidence.zones_at_boot = said._replace(value=tuple(views))
    if evidence.first("block_size") is None:
        evidence.account.assumed.append(Assumed(f"memory blocks of {format_size(block_size)}", "add lsmem's output"))
    evidence.take(f"{len(homes)} memory blocks, which firmware's memory is in", said)
    return BlockMap(
        block_size,
        {
            block: Block(True, next(iter(own))[1] if len(own) == 1 else SEVERAL_ZONES, min(own)[0])  # noqa: FBT003
            for block, own in sorted(homes.items())
        },
    )


def _ranges(draft: Draft) -> tuple[Said, list[tuple[int, ZoneRange]]] | None:
    """Return firmware's ranges, and those of zones by number; None where they do not tell of all that is there."""
    evidence, page = draft.evidence, draft.kernel.page_size
    said, limits = evidence.first("ranges"), evidence.first("zone_ranges")
    if said is None or limits is None or draft.host is not None or draft.wishes.boot_memory is not None:
        return None
    zones = [(number, part) for part in limits.value if (number := zone_number(part.zone)) is not None]
    ranges = sorted(said.value, key=lambda part: part.start)
    later = evidence.zones()
    odd = any(low.end > high.start for low, high in pairwise(ranges)) or len(dict(zones)) < len(zones)
    grown = later is not None and _pages(later.value) * page > sum(part.end - part.start for part in ranges)
    too_many = max(part.end for part in ranges) // _block_size(draft, ranges[-1].end) > MOST_BLOCKS
    return None if odd or grown or too_many else (said, zones)


def _block_size(draft: Draft, end: int) -> int:
    """Return the size of memory blocks that a file says, or else the kernel's where boot memory ends at ``end``."""
    kernel = draft.kernel
    size = draft.evidence.one("block_size", "memory block size", format_size)
    if size is not None:
        return int(size.value)
    section = kernel.built_for.section_size(kernel.page_size, parse_series(kernel.series))
    return kernel.built_for.block_size(section, end)


def _pages(zones: Iterable[ZoneView]) -> int:
    return sum(zone.present or 0 for zone in zones)


def _spans(zones: Iterable[ZoneView], page: int) -> list[_Span]:
    """Return the zones with pages, none where the bounds of one are not known."""
    found: list[_Span] = []
    for zone in zones:
        number = zone_number(zone.zone)
        if number is None or not zone.present:
            continue
        if zone.start is None or not zone.spanned:
            return []
        end = (zone.start + zone.spanned) * page
        found.append(_Span(zone.start * page, end, zone.present * page, zone.node, number))
    return found


def _chosen(span: _Span, block_size: int, homes: dict[int, list[_Span]], *, at_limit: bool) -> list[int]:
    """Return as many blocks as hold what is present of a zone: those at its ends, and the lowest that are free."""
    first, last = span.start // block_size, (span.end - 1) // block_size
    order = range(first, last + 1) if at_limit else dict.fromkeys((first, last, *range(first, last)))
    chosen, left = [], span.present
    for block in order:
        start, end = max(span.start, block * block_size), min(span.end, (block + 1) * block_size)
        if left <= 0:
            break
        if end - start == block_size and block in homes:
            continue  # another zone has all of it
        chosen.append(block)
        left -= end - start
    return chosen


def _block(own: Sequence[_Span]) -> Block:
    node = min(span.node for span in own)
    return Block(True, own[0].zone if len(own) == 1 else SEVERAL_ZONES, node)  # noqa: FBT003 - online
