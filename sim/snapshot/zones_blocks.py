"""The memory blocks of a machine that no file lists: by the bounds of its zones, or by its firmware's ranges.

A zone begins and ends in a block that is there, as Linux keeps its span no larger than that; only where a zone ends at
the limit of its addresses may there be a hole before it, such as a PC's below 4 GiB.
"""

from __future__ import annotations

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

    from sim.readers.facts import MemoryRange
    from sim.snapshot.draft import Draft


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
    size = evidence.one("block_size", "memory block size", format_size)
    section = kernel.built_for.section_size(kernel.page_size, parse_series(kernel.series))
    end = max((span.end for span in spans if span.zone != ZONE_MOVABLE), default=0)
    block_size: int = kernel.built_for.block_size(section, end) if size is None else size.value
    if max(span.end for span in spans) // block_size > MOST_BLOCKS or any(
        span.zone == ZONE_MOVABLE and span.present % block_size for span in spans
    ):
        return None
    limits = {ZONE_DMA: kernel.built_for.dma_end, ZONE_DMA32: kernel.built_for.dma32_end}
    homes: dict[int, list[_Span]] = {}
    for span in sorted(spans, key=lambda span: span.end - span.start - span.present):
        for block in _chosen(span, block_size, homes, at_limit=span.end == limits.get(span.zone)):
            homes.setdefault(block, []).append(span)
    what = "blocks that are missing within a zone lie below its last one, or below 4 GiB"
    if size is None:
        what = f"memory blocks of {format_size(block_size)}; {what}"
    evidence.account.assumed.append(Assumed(what, "add lsmem's output"))
    evidence.take(f"{len(homes)} memory blocks, which its zones are made of", said)
    return BlockMap(block_size, {block: _block(own) for block, own in sorted(homes.items())})


def blocks_of_ranges(draft: Draft) -> BlockMap | None:
    """Return the blocks that firmware's ranges of memory are in; None where no boot log has them, or another file more.

    The zones follow from the ranges, too: the evidence has them then.
    """
    evidence, kernel = draft.evidence, draft.kernel
    said, limits = evidence.first("ranges"), evidence.first("zone_ranges")
    if said is None or limits is None or draft.host is not None or draft.wishes.boot_memory is not None:
        return None
    ranges: Sequence[MemoryRange] = said.value
    size = evidence.one("block_size", "memory block size", format_size)
    section = kernel.built_for.section_size(kernel.page_size, parse_series(kernel.series))
    end = max(part.end for part in ranges)
    block_size: int = kernel.built_for.block_size(section, end) if size is None else size.value
    if end // block_size > MOST_BLOCKS:
        return None
    zones = [(number, part) for part in limits.value if (number := zone_number(part.zone)) is not None]
    homes: dict[int, set[tuple[int, int]]] = {}
    views = []
    for node in sorted({part.node for part in ranges}):
        own = [part for part in ranges if part.node == node]
        first, last = min(part.start for part in own), max(part.end for part in own)
        for number, zone in zones:
            pieces = [(max(part.start, zone.start), min(part.end, zone.end)) for part in own]
            pieces = [(low, high) for low, high in pieces if low < high]
            for low, high in pieces:
                for block in range(low // block_size, (high - 1) // block_size + 1):
                    homes.setdefault(block, set()).add((node, number))
            if pieces:
                start, stop = (min(max(edge, zone.start), zone.end) // kernel.page_size for edge in (first, last))
                present = sum(high - low for low, high in pieces) // kernel.page_size
                views.append(ZoneView(node, zone.zone, start=start, spanned=stop - start, present=present))
    if not homes:
        return None
    evidence.zones_at_boot = said._replace(value=tuple(views))
    if size is None:
        evidence.account.assumed.append(Assumed(f"memory blocks of {format_size(block_size)}", "add lsmem's output"))
    evidence.take(f"{len(homes)} memory blocks, which firmware's memory is in", said)
    return BlockMap(
        block_size,
        {
            block: Block(True, next(iter(own))[1] if len(own) == 1 else SEVERAL_ZONES, min(own)[0])  # noqa: FBT003
            for block, own in sorted(homes.items())
        },
    )


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
