"""What is given up when memory is short: clean page cache, and slab whose objects can be dropped.

Follows mm/vmscan.c, reduced to page counts per zone: the oldest load gives first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.loads import LoadKind
from sim.guest.zone import Floor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.guest.loads import Load, Loads
    from sim.guest.parameters import GuestParameters
    from sim.guest.zone import GuestZone
    from sim.guest.zones import GuestZones


class Reclaim:
    """Frees pages that loads can do without. All methods return how many pages went."""

    def __init__(self, zones: GuestZones, loads: Loads, parameters: GuestParameters) -> None:
        self._zones = zones
        self._loads = loads
        self._parameters = parameters
        self._slab_rested = True
        """Reclaimable slab has not been under pressure since it began to grow."""

    def cache(self, pages: int, zonelist: Iterable[GuestZone]) -> int:
        """Drop up to ``pages`` clean cache pages that lie in ``zonelist``, oldest load first.

        Index nodes that go with them are not counted.
        """
        allowed = [zone for zone in zonelist if zone.cache]
        if not allowed:
            return 0
        freed = 0
        for load in list(self._loads.by_name.values()):
            if not load.cached or not load.user:
                continue
            clean = load.clean_by_zone()
            for zone in list(load.user):
                part = min(clean[zone], pages - freed) if zone in allowed else 0
                if part > 0:
                    self.drop_cache_pages(load, zone, part)
                    freed += part
            if freed >= pages:
                break
        return freed

    def drop_cache_pages(self, load: Load, zone: GuestZone, pages: int, block: int | None = None) -> None:
        """Drop cached pages of a load, of a block or the oldest: index nodes go with them, inodes become free to go."""
        before = load.user_pages()
        load.drop_user(zone, pages, block)
        for kernel_zone in list(load.kernel):
            held = load.kernel[kernel_zone]
            part = held * pages // before if before > pages else held
            if not part:
                continue
            if load.kind is LoadKind.DISK_FILES:
                # The inodes stay. They can go from now on, but not so fast that it would help the request that
                # dropped the data.
                load.orphan(kernel_zone, part)
            else:
                load.drop_kernel(kernel_zone, part)
        if load.stalls is not None and load.stalls.lost:
            load.stalls.dropped()

    def slab(self, pages: int, zonelist: Iterable[GuestZone]) -> int:
        """Drop at least ``pages`` of reclaimable slab in ``zonelist``, as far as there are any.

        Shrinking goes in batches, so more may go.
        """
        allowed = [zone for zone in zonelist if zone.slab]
        total = sum(zone.slab for zone in allowed)
        parameters = self._parameters
        share = parameters.first_shrink_share if self._slab_rested else parameters.shrink_batch_share
        batch = min(total, max(pages, int(total * share)))
        self._slab_rested = False
        freed = 0
        for load in list(self._loads.by_name.values()):
            for zone in list(load.slab):
                part = min(load.slab[zone], batch - freed) if zone in allowed else 0
                if part > 0:
                    load.drop_kernel(zone, part, slab=True)
                    freed += part
        return freed

    def cache_and_slab(self, pages: int, zonelist: Sequence[GuestZone]) -> int:
        """Drop cache, and slab as far as that was not enough."""
        freed = self.cache(pages, zonelist)
        if freed < pages:
            freed += self.slab(pages - freed, zonelist)
        return freed

    def in_time(self, pages: int, zonelist: Sequence[GuestZone]) -> int:
        """Drop cache and slab for somebody who can wait: inodes of data that was just dropped can go, too."""
        self._loads.ripen()
        return self.cache_and_slab(pages, zonelist)

    def for_user_pages(self, pages: int, zonelist: Iterable[GuestZone]) -> int:
        """Drop cache, and as far as that was not enough slab: of the zones that user pages could then use."""
        zones = list(zonelist)
        freed = self.cache(pages, zones)
        if freed < pages:
            useful = [zone for zone in zones if zone.slab and zone.free + zone.slab > zone.floors[Floor.USER_MIN]]
            if useful:
                freed += self.slab(pages - freed, useful)
        return freed

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> int:
        """Drop clean page cache and reclaimable slab (/proc/sys/vm/drop_caches: 1, 2 and 3), all of it."""
        zonelist = tuple(self._zones.by_key.values())
        before = sum(zone.free for zone in zonelist)
        if cache:
            self.cache(sum(zone.cache for zone in zonelist), zonelist)
        self._loads.ripen()
        if slab:
            self.slab(sum(zone.slab for zone in zonelist), zonelist)
            self._slab_rested = True
        return sum(zone.free for zone in zonelist) - before
