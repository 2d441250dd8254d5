"""How the span of a zone shrinks when blocks at its edge go offline.

Follows ``shrink_zone_span`` of ``mm/memory_hotplug.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.memory.blocks import BlockTable
    from sim.memory.zones import Zone


class Spans:
    """Finds the new edge of a zone's span in the table of blocks.

    ``sections_end`` has, for a boot block whose upper sections have no memory, the page after the last that has.
    """

    __slots__ = ("_block_pages", "_blocks", "_subsection", "sections_end")

    def __init__(self, blocks: BlockTable, block_pages: int, subsection_pages: int) -> None:
        self._blocks = blocks
        self._block_pages = block_pages
        self._subsection = subsection_pages
        self.sections_end: dict[int, int] = {}

    def shrink(self, zone: Zone, block: int, count: int) -> None:
        """Pull in the edge that ``count`` blocks from ``block`` formed until now, over all holes at once."""
        where = self._blocks.where
        start = block * self._block_pages
        end = start + count * self._block_pages
        if zone.start == start:
            edge = self._first_page_above(zone, block + count, end)
            zone.start, zone.end = (edge, zone.end) if edge is not None else (0, 0)
        else:
            last = where.rfind(zone.code, 0, block)
            # Where no block of the zone is left below, last is -1 and the edge page 0, which stands for "none".
            edge = self.sections_end.get(last, (last + 1) * self._block_pages)
            for part_start, part_end in zone.mixed_parts:
                part_edge = part_end - part_end % self._subsection
                if max(edge, zone.start) < part_edge <= start and part_start < part_edge:
                    edge = part_edge
            if edge:
                zone.end = edge
            else:
                zone.start = zone.end = 0

    def _first_page_above(self, zone: Zone, block: int, first_page: int) -> int | None:
        """Return the zone's first page at or above ``first_page``, in steps of a sub-section within the span."""
        edges = []
        above = self._blocks.where.find(zone.code, block)
        if above >= 0 and above * self._block_pages < zone.end:
            edges.append(above * self._block_pages)
        for part_start, part_end in zone.mixed_parts:
            edge = -(-part_start // self._subsection) * self._subsection
            if first_page <= edge < min(part_end, zone.end):
                edges.append(edge)
        return min(edges, default=None)
