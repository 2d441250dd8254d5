"""Who holds memory in the guest: named loads, each with its pages by zone."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.guest.zone import Zone


class LoadKind(Enum):
    """What a load is made of; decides what frees it and what can be taken from it."""

    ANONYMOUS = "anonymous"
    """A process with anonymous memory and its page tables."""
    PAGE_CACHE = "page cache"
    """Cached pages of a file that was read or written; given up under pressure once clean."""
    TMPFS_DATA = "tmpfs data"
    """A file in memory: user pages, movable, without swap never given up."""
    TMPFS_FILES = "tmpfs files"
    """Many files in memory: inodes and dentries, and data."""
    DISK_FILES = "disk files"
    """Many files of a disk file system: inodes that can be dropped, and cached data."""
    PROCESSES = "processes"
    """Many small sleeping processes."""
    PAGE_TABLES = "page tables"
    """A process with page tables and hardly anything else."""
    PIPES = "pipes"
    """A process with full pipes."""
    SOCKETS = "sockets"
    """A process with data queued on sockets."""
    PINNED = "pinned"
    """A process with long-term pinned pages: never in MOVABLE, never moved."""
    KERNEL = "kernel"
    """Kernel memory without an owner that could be killed for it."""


OWNED = frozenset(
    {
        LoadKind.ANONYMOUS, LoadKind.PROCESSES, LoadKind.PAGE_TABLES, LoadKind.PIPES, LoadKind.SOCKETS, LoadKind.PINNED,
    }
)  # fmt: skip
"""Kinds that are processes: killing one frees it."""

CACHED = frozenset({LoadKind.PAGE_CACHE, LoadKind.DISK_FILES})
"""Kinds whose user pages are page cache."""

WHOLE_PAGES = frozenset({LoadKind.ANONYMOUS, LoadKind.PAGE_TABLES, LoadKind.PINNED, LoadKind.KERNEL})
"""Kinds whose kernel pages are not shared between objects: freed, they leave nothing behind."""


class Load:
    """One named load.

    Pages by zone: ``user``, ``kernel`` (not to be had back before the load goes) and ``slab`` (reclaimable).
    """

    __slots__ = (
        "dirty",
        "huge",
        "kernel",
        "kind",
        "name",
        "node",
        "orphans",
        "slab",
        "slab_per_unit",
        "stay",
        "units",
        "user",
    )

    def __init__(self, name: str, kind: LoadKind, node: int, stay: float) -> None:
        """Make an empty load; ``stay`` is the share of its kernel pageblocks that stay held once freed."""
        self.name = name
        self.kind = kind
        self.node = node
        self.stay = stay
        self.units = 0.0
        """Files, processes, pipes, socket pairs; otherwise pages asked for."""
        self.slab_per_unit = 0.0
        """Reclaimable slab pages of each unit, as long as it is in memory."""
        self.user: dict[Zone, int] = {}
        self.kernel: dict[Zone, int] = {}
        self.slab: dict[Zone, int] = {}
        self.orphans: dict[Zone, int] = {}
        """Kernel pages of inodes whose data has just been dropped."""
        self.huge = False
        """Made of huge pages, which do not pass through the CPU lists of small ones."""
        self.dirty = 0
        """Of the user pages: written and not yet on disk. They are the youngest."""

    def user_pages(self) -> int:
        """Return the user pages in all zones."""
        return sum(self.user.values())

    def kernel_pages(self) -> int:
        """Return the kernel pages in all zones, reclaimable ones included."""
        return sum(self.kernel.values()) + sum(self.slab.values()) + sum(self.orphans.values())

    def badness(self) -> float:
        """Return the pages that count against one process: resident and page tables (mm/oom_kill.c, oom_badness).

        ``oom_score_adj`` is left out: the recorded loads all had the same, which cannot decide between them.
        """
        pages = self.user_pages()
        if self.kind in (LoadKind.ANONYMOUS, LoadKind.PAGE_TABLES, LoadKind.PINNED):
            pages += self.kernel_pages()
        if self.kind is LoadKind.PROCESSES:
            return pages / self.units if self.units else 0.0
        return float(pages)
