"""Making room: where the user pages of memory that goes away end up.

Follows mm/memory_hotplug.c (``do_migrate_range``) and mm/page_alloc.c (``alloc_contig_range``), reduced to counts:
used pages are packed from the bottom of a zone, so what is taken off is free first, then the youngest user pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import OomEvent, OomKind
from sim.guest.zone import Floor, spread
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from sim.guest.loads import Load, Loads
    from sim.guest.oom import OomKiller
    from sim.guest.reclaim import Reclaim
    from sim.guest.zone import GuestZone
    from sim.guest.zones import GuestZones


class Migration:
    """Moves user pages out of the way of memory that is asked back, and kills where they find no other place.

    ``moved`` counts the pages that were migrated so far (pgmigrate_success in /proc/vmstat, less compaction).
    """

    def __init__(self, zones: GuestZones, loads: Loads, reclaim: Reclaim, killer: OomKiller) -> None:
        self.moved = 0
        self._zones = zones
        self._loads = loads
        self._reclaim = reclaim
        self._killer = killer

    def withdraw(self, zone: GuestZone, pages: int, *, drop_cache: bool) -> tuple[int, list[OomEvent]]:
        """Take ``pages`` out of a zone, of which user pages may be in the way; return the pages moved and the kills.

        With ``drop_cache`` clean page cache in the way is dropped and not moved.
        """
        free_then = zone.free - pages
        # A shortcut past clear(), because it saves 200 ns, or 3 us where watermarks are stale: nothing is in the way.
        # Above an eighth of the zone no watermark has to be computed to know it (the low one is at most a sixteenth and
        # a thousandth).
        if free_then >= 0 and (not zone.user or free_then > zone.managed >> 3):
            zone.shrink(pages)
            return 0, []
        return self.clear(zone, pages, drop_cache=drop_cache)

    def clear(self, zone: GuestZone, pages: int, *, drop_cache: bool) -> tuple[int, list[OomEvent]]:
        """Do what :meth:`withdraw` does, step by step."""
        self._zones.refresh_watermarks()
        moved = 0
        ooms: list[OomEvent] = []
        if zone.type != ZONE_MOVABLE:
            # Migration leaves a kernel zone at its low watermark while other zones have room; MOVABLE is packed to
            # the last page.
            to_low = min(zone.low - (zone.free - pages), zone.user)
            if to_low > 0:
                moved += self._move_out(zone, to_low, Floor.USER_LOW, drop_cache=drop_cache)
        while zone.free < pages and zone.user:
            in_the_way = min(pages - zone.free, zone.user)
            cleared = self._move_out(zone, in_the_way, Floor.USER_MIN, drop_cache=drop_cache)
            moved += cleared
            if cleared < in_the_way:
                others = (other for other in self._zones.by_key.values() if other is not zone)
                if not self._reclaim.cache(in_the_way - cleared, (zone, *others)):
                    ooms += self._killer.kill(OomKind.MIGRATION)
                    if self._killer.guest_died:
                        break
        zone.shrink(min(pages, zone.free))
        return moved, ooms

    def _move_out(self, zone: GuestZone, pages: int, floor: Floor, *, drop_cache: bool) -> int:
        """Move the youngest user pages of a zone to other zones; return how many found a place or were dropped."""
        done = 0
        for load in reversed(list(self._loads.by_name.values())):
            part = min(load.user.get(zone, 0), pages - done)
            if part <= 0:
                continue
            if drop_cache and load.cached:
                clean = min(part, load.clean_pages())
                if clean:
                    self._reclaim.drop_cache_pages(load, zone, clean)
                    done += clean
                    part -= clean
            if part:
                done += self._migrate(load, zone, part, floor)
            if done >= pages:
                break
        return done

    def _migrate(self, load: Load, source: GuestZone, pages: int, floor: Floor) -> int:
        """Move pages of one load from a zone to others, down to their floor; return how many."""
        targets = [zone for zone in self._zones.user_list(source.node) if zone is not source]
        parts, unplaced = spread(pages, targets, floor)
        for zone, part in parts:
            load.drop_user(source, part)
            load.put_user(zone, part)
        self.moved += pages - unplaced
        return pages - unplaced
