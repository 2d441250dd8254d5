"""What a machine counts its memory in: base pages, and the larger pieces that its kernel makes of them.

The page size is a property of the machine. Whoever turns bytes into pages or back has a :class:`PageGeometry` at hand:
the machine's memory, its guest and its recordings carry it, and a stored run knows its page size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sim.units import KIB, MIB

PAGE_SIZES: Final = (4 * KIB, 16 * KIB, 64 * KIB)
"""Base pages, in bytes, that Linux can be built for and that are modelled."""

SMALLEST_PAGE: Final = PAGE_SIZES[0]
"""Bytes. What is a whole number of these may be asked for on some machine; what a guest gets is in its own pages."""

STRUCT_PAGE_BYTES: Final = 64
"""Bytes of the descriptor that the memmap holds for every page (``struct page``), whatever the page size."""

_SUBSECTION: Final = 2 * MIB  # include/linux/mmzone.h, SUBSECTION_SHIFT
_TABLE_ENTRY: Final = 8
_LEAST_CHUNK_PAGES: Final = 1024  # MAX_PAGE_ORDER is 10, or what a pageblock needs where that is more


@dataclass(frozen=True, slots=True)
class PageGeometry:
    """The page size of a machine in bytes, and what follows from it.

    ``pageblock_size``: bytes of a pageblock, 0 for as much as a page of page tables maps (a PMD: 2 MiB with pages of
    4 KiB, 32 MiB with 16 KiB, 512 MiB with 64 KiB), which is what x86-64 and arm64 kernels take. ``huge_memmap``:
    whether the memmap of added memory is mapped in pieces of a PMD, where there are any, or in base pages only.
    """

    size: int = SMALLEST_PAGE
    pageblock_size: int = 0
    huge_memmap: bool = True

    def pages(self, size: int) -> int:
        """Return how many pages ``size`` bytes fill, rounded up as the kernel's PFN_UP does."""
        return -(-size // self.size)

    def memmap_pages(self, pages: int) -> int:
        """Return the pages that the descriptors of ``pages`` pages take, rounded down."""
        return pages * STRUCT_PAGE_BYTES // self.size

    def whole_pageblocks(self, pages: int) -> int:
        """Return ``pages``, rounded up to whole pageblocks."""
        return -(-pages // self.pageblock_pages) * self.pageblock_pages

    @property
    def pageblock_pages(self) -> int:
        """Pages of a pageblock (``pageblock_nr_pages``)."""
        return self.pageblock_size // self.size or self.size // _TABLE_ENTRY

    @property
    def chunk_pages(self) -> int:
        """Pages of the page allocator's largest chunk (``MAX_ORDER_NR_PAGES``)."""
        return max(_LEAST_CHUNK_PAGES, self.pageblock_pages)

    @property
    def subsection_pages(self) -> int:
        """Pages of a sub-section (``PAGES_PER_SUBSECTION``), 2 MiB on every machine."""
        return _SUBSECTION // self.size


PAGES_4K: Final = PageGeometry()
"""Pages of 4 KiB on x86-64: what a machine has unless it says otherwise."""
