"""Where pages that are asked for end up: which zones are filled how far, and what is given up for them on the way.

Follows mm/page_alloc.c (``get_page_from_freelist``, ``__zone_watermark_ok``), reduced to page counts per zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.zone import Floor, spread, total_room

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.guest.loads import Load
    from sim.guest.pressure import Stalls
    from sim.guest.reclaim import Reclaim
    from sim.guest.zone import GuestZone
    from sim.guest.zones import GuestZones


_USER_FLOORS = (Floor.USER_LOW, Floor.USER_MIN)
_KERNEL_FLOORS = (Floor.KERNEL_LOW, Floor.KERNEL_MIN)


class Allocation:
    """Places pages of loads in zones. Nobody is killed here: what finds no place is returned."""

    def __init__(self, zones: GuestZones, reclaim: Reclaim, stalls: Stalls) -> None:
        self._zones = zones
        self._reclaim = reclaim
        self._stalls = stalls

    def take_user(self, load: Load, pages: int) -> int:
        """Place user pages, giving up page cache and slab if need be; return how many found no place.

        A file that is read when nothing else is left goes through those of its pages that can be dropped.
        """
        zonelist = self._zones.user_list(load.node)
        left = self._take(zonelist, pages, _USER_FLOORS, load.put_user, self._reclaim.for_user_pages)
        return 0 if left and load.cached and load.clean_pages() > 0 else left

    def take_kernel(self, load: Load, pages: int, *, slab: bool = False) -> int:
        """Place kernel pages, giving up cache and slab in kernel zones if need be; return how many found no place."""
        zonelist = self._zones.kernel_list(load.node)
        put = load.put_slab if slab else load.put_kernel
        return self._take(zonelist, pages, _KERNEL_FLOORS, put, self._reclaim.cache_and_slab)

    def _take(
        self,
        zonelist: Sequence[GuestZone],
        pages: int,
        floors: tuple[Floor, Floor],
        put: Callable[[GuestZone, int], None],
        give_up: Callable[[int, Sequence[GuestZone]], int],
    ) -> int:
        """Fill zones to the first floor, time and again as long as something can be given up, then to the second."""
        self._zones.refresh_watermarks()
        low, minimum = floors
        while True:
            parts, pages = spread(pages, zonelist, low)
            for zone, part in parts:
                put(zone, part)
            if not pages:
                return 0
            # As much is given up as lifts all zones to their high watermarks, as kswapd does.
            freed = give_up(pages + sum(zone.high - zone.low for zone in zonelist), zonelist)
            if not freed:
                break
            self._stalls.reclaimed(freed, kernel=low is Floor.KERNEL_LOW)
        parts, pages = spread(pages, zonelist, minimum)
        for zone, part in parts:
            put(zone, part)
        return pages

    def read_back(self, load: Load, pages: int) -> int:
        """Place pages of a file that is read again in what is free above the high watermarks; return how many.

        Nothing is given up for them. Of their index nodes as many come as find room above the low watermarks: those of
        pages that were taken back hold what is known of these (mm/workingset.c, ``workingset_eviction``), and are there
        in truth, so that no page is without for want of kernel memory.
        """
        self._zones.refresh_watermarks()
        parts, left = spread(pages, self._zones.user_list(load.node), Floor.USER_HIGH)
        for zone, part in parts:
            load.put_user(zone, part)
        if left < pages:
            missing = round(load.user_pages() * load.index_share) - load.kernel_pages()
            for zone, part in spread(missing, self._zones.kernel_list(load.node), Floor.KERNEL_LOW)[0]:
                load.put_kernel(zone, part)
        return pages - left

    def take_at_once(self, load: Load, user: int, kernel: int, slab: int) -> tuple[int, int, int] | None:
        """Place all pages of a demand that fits: user pages above the low watermarks, and all others with one to spare.

        Returns how many of each were placed: kernel pages and slab only as far as user pages have left room for them.
        None, and nothing is placed, for a demand that does not fit.
        """
        zones, node = self._zones, load.node
        zones.refresh_watermarks()
        kernel_list = zones.kernel_list(node)
        if kernel + slab >= total_room(kernel_list, Floor.KERNEL_LOW):
            return None
        if user and not _place(zones.user_list(node), user, Floor.USER_LOW, load.put_user):
            return None
        if kernel and not _place(kernel_list, kernel, Floor.KERNEL_LOW, load.put_kernel):
            return user, 0, 0
        if slab and not _place(kernel_list, slab, Floor.KERNEL_LOW, load.put_slab):
            return user, kernel, 0
        return user, kernel, slab


def _place(zonelist: Sequence[GuestZone], pages: int, floor: Floor, put: Callable[[GuestZone, int], None]) -> bool:
    """Place all pages above a floor; False, and nothing is placed, where there is no room for all."""
    parts, homeless = spread(pages, zonelist, floor)
    if homeless:
        return False
    for zone, part in parts:
        put(zone, part)
    return True
