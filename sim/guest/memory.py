"""The guest's zones: where pages go, what is reclaimed for them, and who is killed when nothing is left.

Placement follows mm/page_alloc.c (``get_page_from_freelist``, ``__zone_watermark_ok``), reclaim mm/vmscan.c, the killer
mm/oom_kill.c, all reduced to page counts per zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import MOVABLE, OomEvent, OomKind, ZoneUse
from sim.guest.loads import CACHED, OWNED, Load, LoadKind
from sim.guest.watermarks import set_watermarks
from sim.guest.zone import Zone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.guest.parameters import GuestParameters

_CROWD = 64
"""Part of many small processes that is killed at a time."""


class Memory:
    """Zones, loads and the rules between them. The base of :class:`sim.guest.model.GuestModel`."""

    def __init__(self, parameters: GuestParameters, block_pages: int) -> None:
        """Make a guest without memory; ``block_pages`` pages of a memory block."""
        self.parameters = parameters
        self.block_pages = block_pages
        self.zones: dict[tuple[int, int], Zone] = {}
        self.loads: dict[str, Load] = {}
        """By name, oldest first: the order of placement in the zones and of reclaim."""
        self.events: list[OomEvent] = []
        """Every run of the out-of-memory killer so far."""
        self.died = False
        """The killer found nobody: the guest is gone."""
        self._user_lists: dict[int, tuple[Zone, ...]] = {}
        self._kernel_lists: dict[int, tuple[Zone, ...]] = {}
        self._stale = True
        self._hot_from = 1 << 62
        """First block above boot memory."""
        self._huge_pages = False
        self._slab_rested = True
        """Reclaimable slab has not been under pressure since it began to grow."""

    # Zones and watermarks.

    def _zone(self, node: int, zone: int) -> Zone:
        """Return the zone, made if need be."""
        found = self.zones.get((node, zone))
        if found is None:
            found = Zone(node, zone, self.block_pages // 512, self.parameters.pageblock_fill)
            if found.blocks is not None:
                found.blocks.hot_from = self._hot_from
            self.zones[node, zone] = found
            self._user_lists.clear()
            self._kernel_lists.clear()
        return found

    def _user_list(self, node: int) -> tuple[Zone, ...]:
        """Return the zones for user pages on ``node``: its own from MOVABLE down, then those of the other nodes."""
        found = self._user_lists.get(node)
        if found is None:
            found = tuple(sorted(self.zones.values(), key=lambda z: (z.node != node, z.node, -z.zone)))
            self._user_lists[node] = found
        return found

    def _kernel_list(self, node: int) -> tuple[Zone, ...]:
        """Return the zones for kernel pages: the same without MOVABLE."""
        found = self._kernel_lists.get(node)
        if found is None:
            found = tuple(z for z in self._user_list(node) if z.zone != MOVABLE)
            self._kernel_lists[node] = found
        return found

    def _fresh_watermarks(self) -> None:
        """Recompute the watermarks if a block went online or offline since they were last needed."""
        if self._stale:
            set_watermarks(tuple(self.zones.values()), self.parameters, huge_pages=self._huge_pages)
            self._stale = False

    def uses(self) -> tuple[ZoneUse, ...]:
        """Return all zones' counters, by node and zone."""
        self._fresh_watermarks()
        share = self.parameters.pcp_adaptive_share
        return tuple(self.zones[key].use(share) for key in sorted(self.zones))

    # Pages in and out.

    def _put_user(self, load: Load, zone: Zone, pages: int) -> None:
        zone.free -= pages
        zone.user += pages
        if not load.huge:
            zone.spend_pcp(pages)
        load.user[zone] = load.user.get(zone, 0) + pages
        if load.kind in CACHED:
            zone.cache += pages

    def _drop_user(self, load: Load, zone: Zone, pages: int) -> None:
        zone.free += pages
        zone.user -= pages
        zone.fill_pcp_loads(pages)
        rest = load.user[zone] - pages
        if rest:
            load.user[zone] = rest
        else:
            del load.user[zone]
        if load.kind in CACHED:
            zone.cache -= pages

    def _put_kernel(self, load: Load, zone: Zone, pages: int, *, slab: bool) -> None:
        zone.free -= pages
        zone.kernel += pages
        zone.spend_pcp(pages)
        if slab:
            zone.slab += pages
        held = load.slab if slab else load.kernel
        held[zone] = held.get(zone, 0) + pages
        if zone.blocks is not None:
            zone.blocks.take(pages, zone.user)

    def _drop_kernel(self, load: Load, zone: Zone, pages: int, *, slab: bool) -> None:
        zone.free += pages
        zone.kernel -= pages
        zone.fill_pcp_loads(pages)
        held = load.slab if slab else load.kernel
        if slab:
            zone.slab -= pages
        rest = held[zone] - pages
        if rest:
            held[zone] = rest
        else:
            del held[zone]
        if zone.blocks is not None:
            zone.blocks.give(pages, load.stay, self.parameters.leftover_half_pageblocks)

    # Allocation.

    def _take_user(self, load: Load, pages: int) -> int:
        """Place user pages, giving up page cache if need be; return how many found no place."""
        self._fresh_watermarks()
        zones = self._user_list(load.node)
        while pages:
            for z in zones:
                room = z.free - z.low - z.reserve_user
                if room > 0:
                    n = min(room, pages)
                    self._put_user(load, z, n)
                    pages -= n
                    if not pages:
                        return 0
            gap = sum(z.high - z.low for z in zones)
            if not self._reclaim_cache(pages + gap, zones):
                break
        for z in zones:
            room = z.free - z.min - z.reserve_user
            if room > 0:
                n = min(room, pages)
                self._put_user(load, z, n)
                pages -= n
                if not pages:
                    return 0
        return pages

    def _take_kernel(self, load: Load, pages: int, *, slab: bool = False) -> int:
        """Place kernel pages, giving up cache and slab in kernel zones if need be; return how many found no place."""
        self._fresh_watermarks()
        zones = self._kernel_list(load.node)
        while pages:
            for z in zones:
                room = z.free - z.low - z.reserve_kernel
                if room > 0:
                    n = min(room, pages)
                    self._put_kernel(load, z, n, slab=slab)
                    pages -= n
                    if not pages:
                        return 0
            gap = sum(z.high - z.low for z in zones)
            freed = self._reclaim_cache(pages + gap, zones)
            if freed < pages + gap:
                freed += self._reclaim_slab(pages + gap - freed, zones)
            if not freed:
                break
        share = self.parameters.kernel_min_share
        for z in zones:
            room = z.free - int(z.min * share) - z.reserve_kernel
            if room > 0:
                n = min(room, pages)
                self._put_kernel(load, z, n, slab=slab)
                pages -= n
                if not pages:
                    return 0
        return pages

    def kernel_headroom(self, node: int | None = None) -> int:
        """Return the pages that a kernel allocation may still take on ``node`` (None: anywhere), nothing reclaimed."""
        self._fresh_watermarks()
        share = self.parameters.kernel_min_share
        out = 0
        for z in self.zones.values():
            if z.zone != MOVABLE and (node is None or z.node == node):
                room = z.free - int(z.min * share) - z.reserve_kernel
                if room > 0:
                    out += room
        return out

    def kernel_nodes(self) -> list[int]:
        """Return the nodes that have memory in kernel zones, ascending."""
        return sorted({z.node for z in self.zones.values() if z.zone != MOVABLE and z.managed})

    def nodes_short_of_kernel_memory(self) -> list[int]:
        """Return the nodes whose kernel zones have nothing left for kernel requests above their low watermarks.

        Not even once page cache and reclaimable slab would be given up. Ascending; nodes without kernel zones are out.
        """
        self._fresh_watermarks()
        roomy = {
            z.node
            for z in self.zones.values()
            if z.zone != MOVABLE and z.free + z.cache + z.slab > z.low + z.reserve_kernel
        }
        return [node for node in self.kernel_nodes() if node not in roomy]

    # Reclaim.

    def _clean(self, load: Load) -> int:
        return sum(load.user.values()) - load.dirty

    def _reclaim_cache(self, pages: int, zones: Iterable[Zone]) -> int:
        """Drop up to ``pages`` clean cache pages that lie in ``zones``, oldest load first; return how many went."""
        allowed = [z for z in zones if z.cache]
        if not allowed:
            return 0
        got = 0
        for load in list(self.loads.values()):
            if load.kind not in CACHED or not load.user:
                continue
            # Dirty pages are the youngest, those in the zones that were used last.
            dirty = load.dirty
            spare = {}
            for z in reversed(load.user):
                keep = min(dirty, load.user[z])
                dirty -= keep
                spare[z] = load.user[z] - keep
            for z in list(load.user):
                n = min(spare[z], pages - got) if z in allowed else 0
                if n > 0:
                    self._drop_cache_pages(load, z, n)
                    got += n
            if got >= pages:
                break
        return got

    def _drop_cache_pages(self, load: Load, zone: Zone, pages: int) -> None:
        """Drop cached pages of a load: its index nodes go with them, inodes become free to go."""
        before = load.user_pages()
        self._drop_user(load, zone, pages)
        for z in list(load.kernel):
            n = load.kernel[z] * pages // before if before > pages else load.kernel[z]
            if not n:
                continue
            if load.kind is LoadKind.DISK_FILES:
                # The inodes stay. They can go from now on, but not so fast that it would help the request that
                # dropped the data.
                load.orphans[z] = load.orphans.get(z, 0) + n
                load.kernel[z] -= n
                if not load.kernel[z]:
                    del load.kernel[z]
            else:
                self._drop_kernel(load, z, n, slab=False)

    def _ripen(self) -> None:
        """Make the inodes of dropped data reclaimable: time has passed."""
        for load in self.loads.values():
            for z, n in load.orphans.items():
                load.slab[z] = load.slab.get(z, 0) + n
                z.slab += n
            load.orphans.clear()

    def _reclaim_slab(self, pages: int, zones: Iterable[Zone]) -> int:
        """Drop at least ``pages`` of reclaimable slab in ``zones``, as far as there are any; return how many went."""
        allowed = [z for z in zones if z.slab]
        total = sum(z.slab for z in allowed)
        p = self.parameters
        want = min(
            total, max(pages, int(total * (p.first_shrink_share if self._slab_rested else p.shrink_batch_share)))
        )
        self._slab_rested = False
        got = 0
        for load in list(self.loads.values()):
            for z in list(load.slab):
                n = min(load.slab[z], want - got) if z in allowed else 0
                if n > 0:
                    self._drop_kernel(load, z, n, slab=True)
                    got += n
        return got

    # Out of memory.

    def mem_available(self) -> int:
        """Return MemAvailable in pages: free above the reserves, half or more of cache and slab (mm/show_mem.c).

        Slab counts by the kind of its cache: inodes of files whose data is cached too, though none of them can go.
        """
        self._fresh_watermarks()
        share = self.parameters.pcp_adaptive_share
        low = reserve = cache = slab = free = 0
        for z in self.zones.values():  # one loop: this is looked at after every demand
            low += z.low
            reserve += min(z.high + max(z.reserve_user, z.reserve_kernel), z.managed)
            cache += z.cache
            slab += z.slab
            free += z.free - z.listed_pcp(share)
        for load in self.loads.values():
            if load.kind is LoadKind.DISK_FILES:
                slab += sum(load.kernel.values()) + sum(load.orphans.values())
        return max(0, free - reserve + cache - min(cache // 2, low) + slab - min(slab // 2, low))

    def _oom(self, kind: OomKind, done_share: float) -> OomEvent:
        """Kill the biggest process, of equals the youngest; where there is none, the guest dies."""
        victim: Load | None = None
        most = -1.0
        for load in self.loads.values():
            if load.kind in OWNED and (load.user or load.kernel):
                bad = load.badness()
                if bad >= most:
                    victim, most = load, bad
        event = OomEvent(
            kind, victim.name if victim else None, victim is None, done_share, self.uses(), self.mem_available()
        )
        self.events.append(event)
        if victim is None:
            self.died = True
        elif victim.kind is LoadKind.PROCESSES and victim.units > 1:
            # Small processes die one by one; of a crowd of them a part goes at a time, or it would take for ever.
            gone = max(1, int(victim.units) // _CROWD)
            self._free_part(victim, gone / victim.units)
            victim.units -= gone
        else:
            self._free_load(victim)
        return event

    def starve(self) -> OomEvent:
        """Tell that all kernel memory was in use for so long that somebody's allocation failed; return the kill."""
        return self._oom(OomKind.KERNEL, 0.0)

    def _free_part(self, load: Load, share: float) -> None:
        """Free a share (0 to 1) of a load's pages."""
        self._ripen()
        for z in list(load.user):
            n = round(load.user[z] * share)
            if n:
                self._drop_user(load, z, n)
        for slab, held in ((False, load.kernel), (True, load.slab)):
            for z in list(held):
                n = round(held[z] * share)
                if n:
                    self._drop_kernel(load, z, n, slab=slab)
        load.dirty = min(load.dirty, load.user_pages())

    def _free_load(self, load: Load) -> None:
        """Free all of a load and forget it."""
        self._free_part(load, 1.0)
        self.loads.pop(load.name, None)
