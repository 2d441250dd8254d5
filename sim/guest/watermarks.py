"""Watermarks and lowmem reserves of all zones, computed as the kernel series does.

Follows mm/page_alloc.c (``calculate_min_free_kbytes``, ``__setup_per_zone_wmarks``,
``setup_per_zone_lowmem_reserve``) and mm/khugepaged.c (``set_recommended_min_free_kbytes``). They change only when
blocks go online or offline, so the model computes them when next needed and not with every event.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Final

from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.guest.parameters import GuestParameters
    from sim.guest.zone import GuestZone

_MIN_KB, _MAX_KB = 128, 262144
_MOST_ZONES: Final = 8
"""Zones of a guest whose watermarks are kept."""
_MOST_KEPT: Final = 1024
"""Sizes of a guest that they are kept of."""

_Marks = tuple[tuple[int, int, int, int], int, int, int, int, int, tuple[int, int, int, int, int]]
"""What :func:`set_watermarks` sets in a zone."""


class Watermarks:
    """Sets watermarks as :func:`set_watermarks` does, of a guest with these ``parameters``.

    What it came to is kept: who grows and shrinks by the same steps has been of nearly every size before.
    """

    __slots__ = ("_kept", "_parameters")

    def __init__(self, parameters: GuestParameters) -> None:
        self._parameters = parameters
        self._kept: dict[tuple[int, ...], list[_Marks]] = {}
        """By the managed pages of all zones."""

    def set(self, zones: Sequence[GuestZone], *, huge_pages: bool) -> None:
        """Set those of all ``zones``, which are always the same ones, and others beside them as these come."""
        if len(zones) > _MOST_ZONES:
            set_watermarks(zones, self._parameters, huge_pages=huge_pages)
            return
        managed = tuple([zone.managed for zone in zones])
        kept = self._kept.get(managed)
        if kept is None:
            set_watermarks(zones, self._parameters, huge_pages=huge_pages)
            if any(zone.cma is not None for zone in zones):
                return  # what is free of that is in the floors
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[managed] = [
                (zone.marked, zone.min, zone.low, zone.high, zone.reserve_user, zone.reserve_kernel, zone.floors)
                for zone in zones
            ]
            return
        for zone, marks in zip(zones, kept, strict=True):
            if zone.marked != marks[0]:  # what the others follow from
                zone.recount.add(zone)
                (
                    zone.marked, zone.min, zone.low, zone.high, zone.reserve_user, zone.reserve_kernel, zone.floors,
                ) = marks  # fmt: skip


def set_watermarks(zones: Sequence[GuestZone], parameters: GuestParameters, *, huge_pages: bool) -> None:
    """Set watermarks, reserves and floors of every zone from the managed pages of all.

    ``zones``: those of a node stand together, the highest type first. ``huge_pages``: transparent huge pages are on,
    which is decided once at boot.
    """
    # Called for single events when memory is tight: plain loops, no temporaries.
    newer = parameters.series != "6.1"
    total, base = _total_minimum(zones, parameters, newer=newer, huge_pages=huge_pages)
    scale = parameters.watermark_scale_factor
    ratio = parameters.lowmem_reserve_ratio
    kernel_min_share = parameters.kernel_min_share
    node = -1
    above = above_kernel = 0
    for zone in zones:
        managed = zone.managed
        movable = zone.type == ZONE_MOVABLE
        share = total * managed // base
        # What a zone keeps from requests that could have used higher zones of its node.
        if zone.node != node:
            node = zone.node
            above = above_kernel = 0
        # All else follows from these: a block changes little on a machine of many nodes.
        marked = share, managed, above, above_kernel
        if marked != zone.marked:
            zone.marked = marked
            zone.recount.add(zone)
            step, by_scale = share >> 2, managed * scale // 10_000
            if by_scale > step:  # noqa: PLR1730 - spares a call
                step = by_scale
            zone.min = minimum = min(max(managed // 1024, 32), 128) if newer and movable else share
            zone.low = low = minimum + step
            zone.high = low + step
            user = kernel = 0
            if not movable:
                zone.reserve_user = user = above // ratio[zone.type]
                zone.reserve_kernel = kernel = above_kernel // ratio[zone.type]
            kernel_min = minimum if kernel_min_share == 1.0 else int(minimum * kernel_min_share)
            kernel += zone.cma_free
            # In the order of Floor.
            zone.floors = (low + user, minimum + user, low + kernel, kernel_min + kernel, low + step + user)
        above += managed
        if not movable:
            above_kernel += managed


def _total_minimum(
    zones: Sequence[GuestZone], parameters: GuestParameters, *, newer: bool, huge_pages: bool
) -> tuple[int, int]:
    """Return the minimum watermarks' sum (min_free_kbytes, in pages) and the pages over which it is shared out."""
    kernel = movable = populated = 0
    for zone in zones:
        if zone.type == ZONE_MOVABLE:
            movable += zone.managed
        elif zone.managed:
            kernel += zone.managed
            populated += 1
    # 6.1 shares the minimum out over all zones, 6.12 and later over the kernel zones.
    base = (kernel if newer else kernel + movable) or 1
    page_kb = parameters.geometry.size >> 10
    total = min(max(isqrt(kernel * page_kb * 16), _MIN_KB), _MAX_KB) // page_kb
    if huge_pages:
        # The recommendation is cut by what nr_free_buffer_pages() says, which leaves out the high watermarks that the
        # first, small minimum has just produced.
        share = total * kernel // base
        high = share + 2 * max(share >> 2, kernel * parameters.watermark_scale_factor // 10_000)
        most = int(parameters.thp_max_share * (kernel - high))
        total = max(
            total, min(parameters.thp_pageblocks_per_zone * parameters.geometry.pageblock_pages * populated, most)
        )
    return total, base
