"""Who holds memory in the guest: named loads, each with its pages by zone.

A load's pages and the counters of the zones that they lie in change together, here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING

from sim.guest.cma import cma_share
from sim.guest.remains import Remains

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.guest.cma import CmaPages
    from sim.guest.kernel_pages import KernelPages
    from sim.guest.parameters import GuestParameters
    from sim.guest.pressure import Stalls
    from sim.guest.zone import GuestZone


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
    SLAB = "slab"
    """Slab that can be given up, of which nothing else is known."""
    PROCESSES = "processes"
    """Many small sleeping processes."""
    WORKERS = "workers"
    """The same, of one parent and made to die with it."""
    PAGE_TABLES = "page tables"
    """A process with page tables and hardly anything else."""
    KERNEL_STACKS = "kernel stacks"
    """The stacks of processes of which nothing else is counted here."""
    PIPES = "pipes"
    """A process with full pipes."""
    SOCKETS = "sockets"
    """A process with data queued on sockets."""
    PINNED = "pinned"
    """A process with long-term pinned pages: never in MOVABLE, never moved."""
    KERNEL = "kernel"
    """Kernel memory without an owner that could be killed for it."""

    __hash__ = object.__hash__  # there is one of each; Enum's own is a call in Python at each look-up


OWNED = frozenset(
    {
        LoadKind.ANONYMOUS, LoadKind.PROCESSES, LoadKind.WORKERS, LoadKind.PAGE_TABLES,
        LoadKind.KERNEL_STACKS, LoadKind.PIPES, LoadKind.SOCKETS, LoadKind.PINNED,
    }
)  # fmt: skip
"""Kinds that are processes: killing one frees it."""

CACHED = frozenset({LoadKind.PAGE_CACHE, LoadKind.DISK_FILES})
"""Kinds whose user pages are page cache."""


IN_CHUNKS = frozenset(
    {
        LoadKind.TMPFS_FILES, LoadKind.DISK_FILES, LoadKind.SLAB, LoadKind.PROCESSES, LoadKind.WORKERS,
        LoadKind.KERNEL_STACKS, LoadKind.PIPES, LoadKind.SOCKETS,
    }
)  # fmt: skip
"""Kinds whose kernel pages are slab and stacks for the greater part: chunks of several pages."""


class Load:
    """One named load.

    Pages by zone: ``user``, ``kernel`` (not to be had back before the load goes) and ``slab`` (reclaimable).
    """

    __slots__ = (
        "cached", "claims", "dirty", "huge", "index_share", "kernel", "kind", "leftover", "lost", "name", "node",
        "nr_kernel", "nr_user", "orphans", "remains", "slab", "slab_per_unit", "stalls", "units", "user",
    )  # fmt: skip

    def __init__(
        self, name: str, kind: LoadKind, node: int, leftover: float, remains: dict[tuple[GuestZone, LoadKind], Remains]
    ) -> None:
        """Make an empty load; ``leftover`` is how many of its pageblocks in a zone stay held once freed, at most.

        ``remains`` is shared by all loads: what those of a kind leave behind in a zone.
        """
        self.name = name
        self.kind = kind
        self.cached = kind in CACHED
        """Its user pages are page cache."""
        self.node = node
        self.leftover = leftover
        self.remains = remains
        self.claims: dict[GuestZone, dict[int, int]] = {}
        """Pageblocks that its kernel pages were the first to use, by zone and block; others may use them too."""
        self.units = 0.0
        """Files, processes, pipes, socket pairs; otherwise pages asked for."""
        self.slab_per_unit = 0.0
        """Reclaimable slab pages of each unit, as long as it is in memory."""
        self.index_share = 0.0
        """Pages of index nodes for each page of its files, as long as it is in memory."""
        self.user: dict[GuestZone, int] = {}
        self.kernel: dict[GuestZone, int] = {}
        self.slab: dict[GuestZone, int] = {}
        self.nr_user = self.nr_kernel = 0
        """Pages in all zones; kernel pages with the reclaimable ones."""
        self.orphans: dict[GuestZone, int] = {}
        """Kernel pages of inodes whose data has just been dropped."""
        self.huge = False
        """Made of huge pages, which do not pass through the CPU lists of small ones."""
        self.stalls: Stalls | None = None
        """Who follows whether programs wait for pages of files that were dropped."""
        self.lost = 0
        """Pages for which they do."""
        self.dirty = 0
        """Of the user pages: written and not yet on disk. They are the youngest."""

    def want(self, units: float) -> None:
        """Have its programs want so many more units."""
        self.units += units
        if self.stalls is not None:
            self.stalls.cache_changed(self)

    # Pages in and out -----------------------------------------------------------------------------------------------

    def put_user(self, zone: GuestZone, pages: int) -> None:
        """Use free pages of a zone as user pages."""
        in_cma = self._put_in_cma(zone, zone.cma, pages) if zone.cma is not None else 0
        zone.recount.add(zone)
        zone.free -= pages
        zone.user += pages
        if not self.huge:
            zone.spend_pcp(pages)
            if zone.chunks.small:
                zone.chunks.used(pages, zone.managed)
        self.user[zone] = self.user.get(zone, 0) + pages
        self.nr_user += pages
        if zone.layout is not None:
            zone.layout.put(self, pages - in_cma)
        if self.cached:
            zone.cache += pages
            if self.stalls is not None:
                self.stalls.cache_changed(self)

    def drop_user(self, zone: GuestZone, pages: int, block: int | None = None) -> None:
        """Free user pages in a zone, or in a block of it: of page cache the oldest, of all else the youngest."""
        there = self.user[zone]
        in_cma = 0
        if zone.cma is not None and block is None:
            in_cma = zone.cma.take(self, pages, there)
            zone.use_cma(-in_cma)
        zone.recount.add(zone)
        zone.free += pages
        zone.user -= pages
        if not self.huge:
            zone.fill_pcp_loads(pages)
            zone.chunks.freed(pages, zone.user)
        layout = zone.layout
        if layout is not None:
            if block is not None:
                layout.take_from(self, block, pages)
            elif pages == there:
                layout.take_all(self)
            else:
                layout.take(self, pages - in_cma, oldest=self.cached)
        _take_from(self.user, zone, pages)
        self.nr_user -= pages
        if self.cached:
            zone.cache -= pages
            if self.stalls is not None:
                self.stalls.cache_changed(self)

    def _put_in_cma(self, zone: GuestZone, cma: CmaPages, pages: int) -> int:
        """Use free CMA pages of a zone for a part of ``pages`` user pages; return how many."""
        part = cma_share(zone.free, zone.cma_free, pages)
        cma.put(self, part)
        zone.use_cma(part)
        return part

    def put_kernel(self, zone: GuestZone, pages: int, *, slab: bool = False) -> None:
        """Use free pages of a kernel zone as kernel pages; as reclaimable ones with ``slab``."""
        zone.recount.add(zone)
        zone.free -= pages
        zone.kernel += pages
        zone.spend_pcp(pages)
        if slab:
            zone.slab += pages
        held = self.slab if slab else self.kernel
        held[zone] = held.get(zone, 0) + pages
        self.nr_kernel += pages
        if zone.pageblocks is not None:
            claimed = zone.pageblocks.take(pages)
            if claimed:
                self._note_claims(zone, claimed)

    def put_slab(self, zone: GuestZone, pages: int) -> None:
        """Use free pages of a kernel zone as reclaimable slab."""
        self.put_kernel(zone, pages, slab=True)

    def drop_kernel(self, zone: GuestZone, pages: int, *, slab: bool = False) -> None:
        """Free kernel pages, reclaimable ones with ``slab``. Some of their pageblocks stay held."""
        if zone.pageblocks is not None:
            self._give(zone, zone.pageblocks, pages)
        zone.recount.add(zone)
        zone.free += pages
        zone.kernel -= pages
        if self.kind not in IN_CHUNKS:
            zone.fill_pcp_loads(pages)
        elif pages >= zone.pcp_flushed:
            zone.flush_pcp()
        if slab:
            zone.slab -= pages
        _take_from(self.slab if slab else self.kernel, zone, pages)
        self.nr_kernel -= pages

    def _note_claims(self, zone: GuestZone, claimed: dict[int, int]) -> None:
        """Remember which pageblocks were claimed for this load."""
        mine = self.claims.setdefault(zone, {})
        for block, mask in claimed.items():
            mine[block] = mine.get(block, 0) | mask
        if self.leftover:
            remains = self.remains.get((zone, self.kind))
            if remains is None:
                remains = self.remains[zone, self.kind] = Remains()
            remains.claimed(sum(mask.bit_count() for mask in claimed.values()))

    def _give(self, zone: GuestZone, pageblocks: KernelPages, pages: int) -> None:
        """Free kernel pages of a zone that still count as this load's."""
        total = self.kernel.get(zone, 0) + self.slab.get(zone, 0) + self.orphans.get(zone, 0)
        mine = self.claims.get(zone)
        remains = self.remains.get((zone, self.kind)) if mine and self.leftover else None
        most = self.leftover * pageblocks.novelty() * pageblocks.reach(mine, total) if remains is not None else 0.0
        pageblocks.give(pages, mine, pages / total, remains, most)
        if mine is not None and not mine:
            del self.claims[zone]

    def orphan(self, zone: GuestZone, pages: int) -> None:
        """Note that kernel pages belong to inodes whose data has just been dropped."""
        self.orphans[zone] = self.orphans.get(zone, 0) + pages
        _take_from(self.kernel, zone, pages)

    def ripen(self) -> None:
        """Make the inodes of dropped data reclaimable: time has passed."""
        for zone, pages in self.orphans.items():
            self.slab[zone] = self.slab.get(zone, 0) + pages
            zone.recount.add(zone)
            zone.slab += pages
        self.orphans.clear()

    # Sums -----------------------------------------------------------------------------------------------------------

    def user_pages(self) -> int:
        """Return the user pages in all zones."""
        return self.nr_user

    def clean_pages(self) -> int:
        """Return the user pages that are not dirty."""
        return self.nr_user - self.dirty

    def clean_by_zone(self) -> Mapping[GuestZone, int]:
        """Return the user pages by zone that are not dirty, to be read: dirty ones lie in the zones used last."""
        dirty, clean = self.dirty, {}
        if not dirty:
            return self.user
        for zone in reversed(self.user):
            dirty_part = min(dirty, self.user[zone])
            dirty -= dirty_part
            clean[zone] = self.user[zone] - dirty_part
        return clean

    def kernel_pages(self) -> int:
        """Return the kernel pages in all zones, reclaimable ones included."""
        return self.nr_kernel

    def by_zone(self) -> Counter[GuestZone]:
        """Return all pages by zone."""
        pages: Counter[GuestZone] = Counter(self.user)
        for held in (self.kernel, self.slab, self.orphans):
            pages.update(held)
        return pages

    def badness(self) -> float:
        """Return the pages that count against one process: resident and page tables (mm/oom_kill.c, oom_badness).

        ``oom_score_adj`` is left out: the recorded loads all had the same, which cannot decide between them.
        """
        pages = self.user_pages()
        if self.kind in (LoadKind.ANONYMOUS, LoadKind.PAGE_TABLES, LoadKind.PINNED):
            pages += self.kernel_pages()
        if self.kind in (LoadKind.PROCESSES, LoadKind.WORKERS):
            return pages / self.units if self.units else 0.0
        return float(pages)


def _take_from(held: dict[GuestZone, int], zone: GuestZone, pages: int) -> None:
    """Take off pages that a load holds in a zone; a zone where it holds none is left out."""
    rest = held[zone] - pages
    if rest:
        held[zone] = rest
    else:
        del held[zone]


class Loads:
    """The loads of a guest. ``by_name`` has the oldest first: the order of placement in the zones and of reclaim.

    In the same order ``cached`` are those of them whose user pages are page cache, ``unowned`` those that nobody can be
    killed for.
    """

    def __init__(self, parameters: GuestParameters, stalls: Stalls) -> None:
        self.by_name: dict[str, Load] = {}
        self.cached: dict[str, Load] = {}
        self.unowned: dict[str, Load] = {}
        self._stalls = stalls
        self._remains: dict[tuple[GuestZone, LoadKind], Remains] = {}
        self._leftover = dict.fromkeys(LoadKind, 0.0) | {
            LoadKind.PAGE_CACHE: parameters.leftover_cache,
            LoadKind.TMPFS_DATA: parameters.leftover_cache,
            LoadKind.TMPFS_FILES: parameters.leftover_tmpfs,
            LoadKind.DISK_FILES: parameters.leftover_disk,
            LoadKind.SLAB: parameters.leftover_disk,
            LoadKind.PROCESSES: parameters.leftover_processes,
            LoadKind.WORKERS: parameters.leftover_processes,
            LoadKind.KERNEL_STACKS: parameters.leftover_processes,
            LoadKind.PIPES: parameters.leftover_pipes,
            LoadKind.SOCKETS: parameters.leftover_pipes,
        }
        """By kind: pageblocks that stay held once its pages are freed."""

    def get(self, name: str, kind: LoadKind, node: int) -> Load:
        """Return the load, made if need be. Raises ValueError where it is of another kind."""
        load = self.by_name.get(name)
        if load is None:
            load = Load(name, kind, node, self._leftover[kind], self._remains)
            if kind is LoadKind.PAGE_CACHE:
                load.stalls = self._stalls
            self.by_name[name] = load
            if load.cached:
                self.cached[name] = load
            elif kind is LoadKind.KERNEL:
                self.unowned[name] = load
        elif load.kind is not kind:
            raise ValueError(f"load {name!r} is {load.kind.value} and cannot take {kind.value}")
        return load

    def ripen(self) -> bool:
        """Make the inodes of all dropped data reclaimable: time has passed. Return whether there were any."""
        ripe = [load for load in self.cached.values() if load.orphans]  # inodes of files, whose data is page cache
        for load in ripe:
            load.ripen()
        return bool(ripe)

    def free_part(self, load: Load, share: float) -> None:
        """Free a share (0 to 1) of a load's pages."""
        self.ripen()
        for zone, held in list(load.user.items()):
            pages = round(held * share)
            if pages:
                load.drop_user(zone, pages)
        for slab, by_zone in ((False, load.kernel), (True, load.slab)):
            for zone, held in list(by_zone.items()) if by_zone else ():
                pages = round(held * share)
                if pages:
                    load.drop_kernel(zone, pages, slab=slab)
        load.dirty = min(load.dirty, load.nr_user)

    def free_user_pages(self, load: Load) -> None:
        """Free the user pages of a load, which keeps all else."""
        for zone, pages in list(load.user.items()):
            load.drop_user(zone, pages)
        load.dirty = 0

    def free(self, load: Load) -> None:
        """Free all of a load and forget it."""
        self.free_part(load, 1.0)
        if load.stalls is not None:
            load.stalls.cache_gone(load)
        self.by_name.pop(load.name, None)
        self.cached.pop(load.name, None)
        self.unowned.pop(load.name, None)
