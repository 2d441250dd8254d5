"""Making room: where the user pages of memory that goes away end up.

Follows mm/memory_hotplug.c (``do_migrate_range``) and mm/page_alloc.c (``alloc_contig_range``), reduced to counts by
block (:mod:`sim.guest.layout`): user pages are packed at the bottom of a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import OomEvent, OomKind
from sim.guest.zone import Floor, spread
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from sim.guest.cma import CmaPages
    from sim.guest.layout import Layout
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

    def withdraw(
        self, zone: GuestZone, first: int, count: int, pages: int, *, drop_cache: bool
    ) -> tuple[int, list[OomEvent]]:
        """Take all ``pages`` out of ``count`` blocks that are alike; return what was in the way, and the kills.

        User pages are moved; with ``drop_cache`` clean page cache is dropped.
        """
        layout = zone.layout
        if layout is None:
            zone.shrink(min(pages, zone.free))
            return 0, []
        blocks = layout.touched(first, count)
        touched, before = layout.nr_touched, zone.chunks.small + zone.user
        among = pages // count * sum(block in layout.plugged for block in range(first, first + count)) if touched else 0
        for block in blocks:
            layout.unplug(block, pages // count)
        taken = self._take_out(zone, layout, blocks, pages, drop_cache=drop_cache)
        if among:
            zone.chunks.left(among, touched, before, zone.user)
        return taken

    def withdraw_part(self, zone: GuestZone, block: int, pages: int) -> tuple[int, list[OomEvent]]:
        """Do so with a part of a block, as virtio-mem does: clean page cache in the way is dropped."""
        layout = zone.layout
        if layout is None:
            zone.shrink(min(pages, zone.free))
            return 0, []
        touched, before = layout.nr_touched, zone.chunks.small + zone.user
        layout.unplug(block, pages)
        taken = self._take_out(zone, layout, [block], pages, drop_cache=True)
        zone.chunks.left(pages, touched, before, zone.user)
        return taken

    def _take_out(
        self, zone: GuestZone, layout: Layout, blocks: list[int], pages: int, *, drop_cache: bool
    ) -> tuple[int, list[OomEvent]]:
        in_the_way = layout.overfull(blocks) if blocks else 0
        if self._zones.parted and (in_the_way or zone.free < pages or zone.cma is not None):
            self._zones.refresh_watermarks()  # of what was there before
        zone.shrink(pages - in_the_way)
        moved, ooms = self._clear(zone, layout, blocks, in_the_way, drop_cache=drop_cache) if in_the_way else (0, [])
        if zone.cma is not None and zone.free < zone.cma_free:
            moved += self._move_to_cma(zone, zone.cma)
        if zone.free < 0:
            more, kills = self._make_up(zone)
            moved += more
            ooms += kills
        if zone.free < zone.cma_free:
            zone.recount.add(zone)
            zone.managed += zone.cma_free - zone.free
            zone.free = zone.cma_free
        return moved, ooms

    def _clear(
        self, zone: GuestZone, layout: Layout, blocks: list[int], in_the_way: int, *, drop_cache: bool
    ) -> tuple[int, list[OomEvent]]:
        """Get user pages out of blocks that hold more than they are to have, and these pages out of the zone."""
        self._zones.refresh_watermarks()
        moved = 0
        ooms: list[OomEvent] = []
        while in_the_way:
            for block in blocks:
                for load in layout.holders(block):
                    part = min(layout.where[load][block], layout.overfull((block,)))
                    if part:
                        moved += self._clear_load(load, zone, block, part, drop_cache=drop_cache)
            in_the_way = layout.overfull(blocks)
            if not in_the_way:
                break
            ooms += self._find_room(in_the_way)
            # What was in the way and has gone meanwhile goes out of the zone as well.
            left = layout.overfull(blocks)
            zone.shrink(in_the_way - left)
            in_the_way = left
            if self._killer.guest_died:
                for block in blocks:  # the dead do not move: the pages stay where they are
                    layout.unplug(block, -layout.overfull((block,)))
                break
        return moved, ooms

    def _clear_load(self, load: Load, zone: GuestZone, block: int, pages: int, *, drop_cache: bool) -> int:
        """Get pages of a load out of a block and its zone; return how many found a place or were dropped."""
        clean = min(pages, load.clean_pages()) if drop_cache and load.cached else 0
        if clean:
            self._reclaim.drop_cache_pages(load, zone, clean, block)
            zone.shrink(clean)
        return clean + self._migrate(load, zone, block, pages - clean)

    def _migrate(self, load: Load, source: GuestZone, block: int | None, pages: int) -> int:
        """Move pages of a load out of a block, or out of wherever in a zone; return how many found a place.

        The free memory of MOVABLE is used to the last page first (alloc_migration_target, mm/page_isolation.c); all
        else as by a request for user pages, down to the low watermarks and then to the minimum.
        """
        left = pages
        if source.type == ZONE_MOVABLE and block is not None:
            part = min(left, source.free)
            if part > 0:
                self._move(load, source, block, source, part)
                left -= part
        for floor in (Floor.USER_LOW, Floor.USER_MIN):
            if not left:
                break
            parts, left = spread(left, self._zones.user_list(source.node), floor)
            for target, part in parts:
                self._move(load, source, block, target, part)
        self.moved += pages - left
        return pages - left

    @staticmethod
    def _move(load: Load, source: GuestZone, block: int | None, target: GuestZone, pages: int) -> None:
        load.drop_user(source, pages, block)
        if block is not None:
            source.shrink(pages)
        load.put_user(target, pages)

    def _find_room(self, pages: int) -> list[OomEvent]:
        """Give up clean page cache anywhere, and slab, or else kill; return the kills."""
        zones = self._zones.by_key.values()
        if self._reclaim.for_user_pages(pages, zones):
            return []
        if self._loads.ripen() and self._reclaim.for_user_pages(pages, zones):
            return []
        return list(self._killer.kill(OomKind.MIGRATION))

    def _move_to_cma(self, zone: GuestZone, cma: CmaPages) -> int:
        """Move user pages, the youngest first, to CMA of their zone where less is free beside it than has gone."""
        moved = 0
        for load in reversed(list(self._loads.by_name.values())):
            beside = load.user.get(zone, 0) - cma.where.get(load, 0)
            part = min(beside, zone.cma_free - max(zone.free, 0))
            if part > 0 and zone.layout is not None:
                zone.layout.take(load, part)
                cma.put(load, part)
                zone.use_cma(part)
                moved += part
        self.moved += moved
        return moved

    def _make_up(self, zone: GuestZone) -> tuple[int, list[OomEvent]]:
        """Move the youngest pages out of a zone that has given more than was free by the counts of its blocks."""
        moved = 0
        ooms: list[OomEvent] = []
        self._zones.refresh_watermarks()
        while zone.free < 0 and zone.user:
            before = zone.free
            for load in reversed(list(self._loads.by_name.values())):
                part = min(load.user.get(zone, 0), -zone.free)
                if part > 0:
                    moved += self._migrate(load, zone, None, part)
            if zone.free == before:
                ooms += self._find_room(-zone.free)
                if self._killer.guest_died:
                    break
        if zone.free < 0:
            zone.recount.add(zone)
            zone.managed -= zone.free
            zone.free = 0
        return moved, ooms
