"""Making room: where the user pages of memory that goes away end up.

Follows mm/memory_hotplug.c (``do_migrate_range``) and mm/page_alloc.c (``alloc_contig_range``), reduced to counts:
used pages are packed from the bottom of a zone, so what is taken off is free first, then the youngest user pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import MOVABLE, OomEvent, OomKind
from sim.guest.demands import Demands
from sim.guest.loads import CACHED, Load

if TYPE_CHECKING:
    from sim.guest.zone import Zone


class Migration(Demands):
    """Adds moving user pages out of the way of memory that is asked back."""

    def _withdraw(self, z: Zone, pages: int, *, drop_cache: bool) -> tuple[int, list[OomEvent]]:
        """Take ``pages`` out of a zone whose user pages may be in the way; return the pages moved and the kills.

        Used pages are packed from the bottom of the zone, so what is taken off is free first, then the youngest
        user pages.
        """
        left = z.free - pages
        if left >= 0 and (not z.user or left > z.managed >> 3):
            # Nothing in the way, or far above any watermark (at most a sixteenth and a thousandth of the zone): no
            # need for them.
            z.managed -= pages
            z.free = left
            z.pcp = z.pcp_loads = 0
            return 0, []
        self._fresh_watermarks()
        moved = 0
        ooms: list[OomEvent] = []
        if z.zone != MOVABLE:
            # Migration leaves a kernel zone at its low watermark while other zones have room; MOVABLE is packed to
            # the last page.
            soft = min(z.low - (z.free - pages), z.user)
            if soft > 0:
                moved += self._move_out(z, soft, drop_cache=drop_cache, watermark="low")
        while z.free < pages and z.user:
            need = min(pages - z.free, z.user)
            got = self._move_out(z, need, drop_cache=drop_cache, watermark="min")
            moved += got
            if got < need:
                others = tuple(x for x in self.zones.values() if x is not z)
                if not self._reclaim_cache(need - got, (z, *others)):
                    event = self._oom(OomKind.MIGRATION, 0.0)
                    ooms.append(event)
                    if event.guest_died:
                        break
        taken = min(pages, z.free)
        z.managed -= taken
        z.free -= taken
        z.pcp = z.pcp_loads = 0  # the CPU lists of the zone are drained first
        return moved, ooms

    def _move_out(self, z: Zone, pages: int, *, drop_cache: bool, watermark: str) -> int:
        """Move the youngest user pages of a zone to other zones; return how many found a place or were dropped."""
        done = 0
        for load in list(reversed(self.loads.values())):
            n = min(load.user.get(z, 0), pages - done)
            if n <= 0:
                continue
            if drop_cache and load.kind in CACHED:
                clean = min(n, self._clean(load))
                if clean:
                    self._drop_cache_pages(load, z, clean)
                    done += clean
                    n -= clean
            if n:
                done += self._migrate(load, z, n, watermark)
            if done >= pages:
                break
        return done

    def _migrate(self, load: Load, source: Zone, pages: int, watermark: str) -> int:
        """Move pages of one load from a zone to others, down to their watermark; return how many."""
        left = pages
        for z in self._user_list(source.node):
            if z is source:
                continue
            room = z.free - (z.low if watermark == "low" else z.min) - z.reserve_user
            n = min(room, left)
            if n > 0:
                self._drop_user(load, source, n)
                self._put_user(load, z, n)
                left -= n
                if not left:
                    break
        return pages - left
