"""What the guest says of its memory: /proc/zoneinfo, MemAvailable, room for kernel requests, what could be returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.guest.loads import LoadKind
from sim.guest.zone import Floor, total_room
from sim.memory.view import MemoryUse
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from sim.guest.contract import ZoneUse
    from sim.guest.loads import Load, Loads
    from sim.guest.parameters import GuestParameters
    from sim.guest.zone import GuestZone
    from sim.guest.zones import GuestZones


class Sums(NamedTuple):
    """What all zones come to, in pages: what :class:`Meminfo` answers to each question, asked one by one."""

    headroom: int
    headroom_free: int
    free_movable: int
    available: int
    managed: int
    user: int
    kernel: int
    memmap: int
    room_for_user: int


_NOTHING: Final = (0,) * 15


class Meminfo:
    """Reads zones and loads, and changes neither. Amounts are pages."""

    def __init__(self, zones: GuestZones, loads: Loads, parameters: GuestParameters) -> None:
        self._zones = zones
        self._loads = loads
        self._parameters = parameters
        self._changes = -1
        self._sums = Sums(0, 0, 0, 0, 0, 0, 0, 0, 0)
        """As of so many changes."""
        self._counts: dict[GuestZone, tuple[int, ...]] = {}
        self._total = _NOTHING[:13]
        """What each zone adds to each sum, and at last what user pages and kernel requests have room for there; and the
        sums. Their order: :meth:`_recount`."""

    def sums(self) -> Sums:
        """Return the answers to all questions that are asked after every change, not in the middle of one.

        Known for as long as nothing changes; else only zones that have changed are counted anew. The same as
        :meth:`available`, :meth:`kernel_headroom`, :meth:`kernel_headroom_free` and :meth:`room_for_user_pages` say.
        """
        changes = self._zones.changes.count
        if changes != self._changes:
            self._sums = self._summed_up()
            self._changes = changes
        return self._sums

    def _summed_up(self) -> Sums:
        zones, loads = self._zones, self._loads
        zones.refresh_watermarks()
        if zones.recount:
            self._recount(zones.recount)
        (
            headroom, headroom_free, free_movable, managed, user, kernel, memmap, room_for_user, low, reserve, cache,
            slab, free,
        ) = self._total  # fmt: skip
        if loads.cached:
            counts = self._counts
            could_go: dict[GuestZone, int] = {}
            for load in loads.cached.values():
                self._count_what_could_go(load, could_go)
                if load.kind is LoadKind.DISK_FILES:
                    slab += sum(load.kernel.values()) + sum(load.orphans.values())
            for zone, pages in could_go.items():
                room = counts[zone][-1]
                headroom += max(0, room + pages) - max(0, room)
            for zone, pages in self._dirty_cache().items():
                room = counts[zone][-2]
                room_for_user += max(0, room - pages) - max(0, room)
        available = free - reserve + cache - min(cache // 2, low) + slab - min(slab // 2, low)
        return Sums(
            headroom, headroom_free, free_movable, max(0, available), managed, user, kernel, memmap, room_for_user
        )

    def _recount(self, recount: set[GuestZone]) -> None:
        """Have the sums follow the zones that have changed: less what they added before, and what they add now.

        Page cache is counted as if all of it were clean, and nothing of it as what kernel requests could have.
        """
        # In one loop, without calls and look-ups: it runs after every change.
        share, known = self._parameters.pcp_adaptive_share, self._counts
        (
            headroom, headroom_free, free_movable, managed, user, kernel, memmap, room_for_user, low, reserve, cache,
            slab, free,
        ) = self._total  # fmt: skip
        for zone in recount:
            was = known.get(zone, _NOTHING)
            zone_managed, zone_free, zone_slab, zone_cache = zone.managed, zone.free, zone.slab, zone.cache
            zone_user, zone_kernel, zone_memmap, zone_low = zone.user, zone.kernel, zone.memmap, zone.low
            kept = zone.high + zone.reserve_user
            if kept > zone_managed:  # noqa: PLR1730 - spares a call
                kept = zone_managed
            unlisted = zone_free - zone.listed_pcp(share) if zone.pcp or zone.pcp_loads else zone_free
            _, user_min, _, kernel_min, _ = zone.floors
            for_user = zone_free + zone_slab + zone_cache - user_min
            room = for_user if for_user > 0 else 0  # noqa: FURB136 - as above
            if zone.type == ZONE_MOVABLE:
                movable, zone_headroom, zone_headroom_free, for_kernel = zone_free, 0, 0, 0
            else:
                movable, for_kernel = 0, zone_free - kernel_min
                zone_headroom_free = for_kernel if for_kernel > 0 else 0  # noqa: FURB136 - as above
                for_kernel += zone_slab
                zone_headroom = for_kernel if for_kernel > 0 else 0  # noqa: FURB136 - as above
            headroom += zone_headroom - was[0]
            headroom_free += zone_headroom_free - was[1]
            free_movable += movable - was[2]
            managed += zone_managed - was[3]
            user += zone_user - was[4]
            kernel += zone_kernel - was[5]
            memmap += zone_memmap - was[6]
            room_for_user += room - was[7]
            low += zone_low - was[8]
            reserve += kept - was[9]
            cache += zone_cache - was[10]
            slab += zone_slab - was[11]
            free += unlisted - was[12]
            known[zone] = (
                zone_headroom, zone_headroom_free, movable, zone_managed, zone_user, zone_kernel, zone_memmap, room,
                zone_low, kept, zone_cache, zone_slab, unlisted, for_user, for_kernel,
            )  # fmt: skip
        self._total = (
            headroom, headroom_free, free_movable, managed, user, kernel, memmap, room_for_user, low, reserve, cache,
            slab, free,
        )  # fmt: skip
        recount.clear()

    def _dirty_cache(self) -> dict[GuestZone, int]:
        """Return page cache by zone that cannot be given up; empty where there is none."""
        dirty: dict[GuestZone, int] = {}
        for load in self._loads.cached.values():
            if load.dirty:
                for zone, clean in load.clean_by_zone().items():
                    dirty[zone] = dirty.get(zone, 0) + load.user[zone] - clean
        return dirty

    def uses(self) -> tuple[ZoneUse, ...]:
        """Return all zones' counters, by node and zone type."""
        self._zones.refresh_watermarks()
        share = self._parameters.pcp_adaptive_share
        return tuple(zone.use(share) for _, zone in sorted(self._zones.by_key.items()))

    def available(self) -> int:
        """Return MemAvailable: free above the reserves, half or more of cache and slab (mm/show_mem.c).

        Slab counts by the kind of its cache: inodes of files whose data is cached too, though none of them can go.
        """
        self._zones.refresh_watermarks()
        share = self._parameters.pcp_adaptive_share
        low = reserve = cache = slab = free = 0
        for zone in self._zones.by_key.values():
            low += zone.low
            # What is kept from user pages is never less than what is kept from the kernel's.
            kept, managed = zone.high + zone.reserve_user, zone.managed
            reserve += kept if kept < managed else managed  # noqa: FURB136 - spares a call
            cache += zone.cache
            slab += zone.slab
            free += zone.free - zone.listed_pcp(share)
        for load in self._loads.cached.values():
            if load.kind is LoadKind.DISK_FILES:
                slab += sum(load.kernel.values()) + sum(load.orphans.values())
        return max(0, free - reserve + cache - min(cache // 2, low) + slab - min(slab // 2, low))

    def kernel_headroom(self, node: int | None = None) -> int:
        """Return the pages that kernel requests could still get in the kernel zones of ``node`` (None: of all).

        What is free down to the limit of kernel requests, and what :class:`~sim.guest.reclaim.Reclaim` would give up
        for them before one fails: clean page cache in these zones with its index nodes, and slab, the inodes of files
        whose data could be dropped among it. Where cache goes in part only, reclaim rounds index nodes and inodes down
        with every batch, so that a page less for each batch may be had.
        """
        self._zones.refresh_watermarks()
        zones = self._zones.kernel_zones(node)
        held: dict[GuestZone, int] = {}
        for load in self._loads.cached.values():
            self._count_what_could_go(load, held)
        pages = 0
        for zone in zones:
            room = zone.free + zone.slab - zone.floors[Floor.KERNEL_MIN] + held.get(zone, 0)
            if room > 0:
                pages += room
        return pages

    @staticmethod
    def _count_what_could_go(load: Load, by_zone: dict[GuestZone, int]) -> None:
        """Add the pages of a cached load that kernel requests could have, by kernel zone; slab is counted already."""
        for zone, pages in load.orphans.items():
            by_zone[zone] = by_zone.get(zone, 0) + pages
        dropped = 0
        for zone, pages in load.clean_by_zone().items():
            if zone.type != ZONE_MOVABLE:
                in_cma = 0 if zone.cma is None else zone.cma.part_of(load, pages, load.user[zone])
                by_zone[zone] = by_zone.get(zone, 0) + pages - in_cma
                dropped += pages
        if dropped and load.kernel:
            before = load.user_pages()
            for zone, pages in load.kernel.items():
                by_zone[zone] = by_zone.get(zone, 0) + pages * dropped // before

    def kernel_headroom_free(self, node: int | None = None) -> int:
        """Return the part of :meth:`kernel_headroom` that is free: what can be had with nothing given up."""
        self._zones.refresh_watermarks()
        return total_room(self._zones.kernel_zones(node), Floor.KERNEL_MIN)

    def use(self, node: int | None = None) -> MemoryUse:
        """Return who uses the memory of ``node`` (None: of all nodes), and what is left to be used."""
        user = kernel = free = 0
        for zone in self._zones.by_key.values():
            if node is None or zone.node == node:
                user += zone.user
                kernel += zone.kernel - zone.slab
                free += zone.free + zone.slab
        for load in self._loads.cached.values():
            clean = sum(pages for zone, pages in load.clean_by_zone().items() if node is None or zone.node == node)
            user -= clean
            free += clean
        return MemoryUse(user, kernel, free)

    def kernel_nodes(self) -> list[int]:
        """Return the nodes that have memory in kernel zones, ascending."""
        return sorted({zone.node for zone in self._zones.kernel_zones(None) if zone.managed})

    def nodes_short_of_kernel_memory(self) -> list[int]:
        """Return the nodes whose kernel zones have nothing left for kernel requests above their low watermarks.

        Not even once page cache and reclaimable slab would be given up. Ascending; nodes without kernel zones are out.
        """
        self._zones.refresh_watermarks()
        roomy = {
            zone.node
            for zone in self._zones.kernel_zones(None)
            if zone.room(Floor.KERNEL_LOW) + zone.cache - (zone.cma.cache() if zone.cma else 0) + zone.slab > 0
        }
        return [node for node in self.kernel_nodes() if node not in roomy]

    def room_for_user_pages(self) -> int:
        """Return the pages that user pages could still take before one finds no place, cache and slab given up."""
        self._zones.refresh_watermarks()
        clean = self._clean_cache()
        room = 0
        for zone in self._zones.by_key.values():
            in_zone = zone.free + zone.slab - zone.floors[Floor.USER_MIN] + clean.get(zone, 0)
            if in_zone > 0:
                room += in_zone
        return room

    def _clean_cache(self) -> dict[GuestZone, int]:
        """Return clean page cache by zone; empty where there is none."""
        clean: dict[GuestZone, int] = {}
        for load in self._loads.cached.values():
            for zone, pages in load.clean_by_zone().items():
                clean[zone] = clean.get(zone, 0) + pages
        return clean

    def returnable_blocks(self) -> int:
        """Return the hotplugged kernel blocks online that hold no kernel page: those a DIMM could give back.

        The time it takes grows with the blocks that do hold one.
        """
        hot_from = self._zones.hot_from
        blocks = 0
        for zone in self._zones.by_key.values():
            pageblocks = zone.pageblocks
            if pageblocks is not None:
                blocks += sum(max(0, first + count - max(first, hot_from)) for first, count in pageblocks.runs())
                blocks -= sum(1 for block in pageblocks.held.keys() | pageblocks.pieces.keys() if block >= hot_from)
        return blocks
