"""CMA pages of a kernel zone: memory that only pages that can move may use, until a driver wants it in one piece.

Follows mm/page_alloc.c: ``__zone_watermark_ok`` leaves free CMA pages out for who may not use them, and ``__rmqueue``
gives user pages CMA first while more than half of what is free in the zone is CMA, and else when there is nothing left
beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.guest.loads import Load

Area = tuple[int, int]
"""A CMA area: its first page frame, and its pages."""


class CmaPages:
    """User pages in the CMA areas of one zone, by load. In which block of an area they lie does not matter.

    A block with CMA in it never goes offline.
    """

    __slots__ = ("pages", "where")

    def __init__(self, pages: int) -> None:
        """Make an empty pool of ``pages``."""
        self.pages = pages
        self.where: dict[Load, int] = {}

    def free(self) -> int:
        """Return the pages that nobody uses."""
        return self.pages - sum(self.where.values())

    def cache(self) -> int:
        """Return the pages of page cache in it."""
        return sum(pages for load, pages in self.where.items() if load.cached)

    def put(self, load: Load, pages: int) -> None:
        """Note that pages of a load lie here."""
        if pages:
            self.where[load] = self.where.get(load, 0) + pages

    def take(self, load: Load, pages: int, of: int) -> int:
        """Free what lies here of ``pages`` that a load frees, of its ``of`` pages in the zone; return how many."""
        part = self.part_of(load, pages, of)
        if part:
            left = self.where[load] - part
            if left:
                self.where[load] = left
            else:
                del self.where[load]
        return part

    def part_of(self, load: Load, pages: int, of: int) -> int:
        """Return how many of ``pages`` of a load, out of ``of`` in the zone, lie here: their share."""
        return self.where.get(load, 0) * pages // of


def cma_share(free: int, cma_free: int, pages: int) -> int:
    """Return how many of ``pages`` user pages go to CMA in a zone with so many free pages, ``cma_free`` of them CMA.

    The larger half is used until both are alike, then one page of each in turn.
    """
    ahead = 2 * cma_free - free
    first = min(abs(ahead), pages)
    share = (first if ahead > 0 else 0) + (pages - first) // 2
    return min(cma_free, max(share, pages - (free - cma_free)))


def cma_by_block(areas: Sequence[Area], block_pages: int) -> dict[int, list[Area]]:
    """Return by block the parts of ``areas`` in it, as (first page within the block, pages)."""
    found: dict[int, list[Area]] = {}
    for first, pages in areas:
        end = first + pages
        for block in range(first // block_pages, -(-end // block_pages)):
            start = max(first, block * block_pages)
            stop = min(end, (block + 1) * block_pages)
            found.setdefault(block, []).append((start - block * block_pages, stop - start))
    return found
