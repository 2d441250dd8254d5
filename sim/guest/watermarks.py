"""Watermarks and lowmem reserves of all zones, computed as the kernel series does.

Follows mm/page_alloc.c (``calculate_min_free_kbytes``, ``__setup_per_zone_wmarks``,
``setup_per_zone_lowmem_reserve``) and mm/khugepaged.c (``set_recommended_min_free_kbytes``). They change only when
blocks go online or offline, so the model computes them when next needed and not with every event.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

from sim.guest.contract import MOVABLE, NORMAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.guest.parameters import GuestParameters
    from sim.guest.zone import Zone

_MIN_KB, _MAX_KB = 128, 262144


def set_watermarks(zones: Sequence[Zone], parameters: GuestParameters, *, huge_pages: bool) -> None:
    """Set ``min``, ``low``, ``high`` and the two reserves of every zone from the managed pages of all.

    ``huge_pages``: transparent huge pages are on, which is decided once at boot.
    """
    # Called for single events when memory is tight: plain loops, no temporaries.
    token = parameters.series == "6.12"
    kernel = movable = populated = 0
    for z in zones:
        if z.zone == MOVABLE:
            movable += z.managed
        elif z.managed:
            kernel += z.managed
            populated += 1
    # 6.1 shares the minimum out over all zones, 6.12 over the kernel zones.
    base = (kernel if token else kernel + movable) or 1
    total = min(max(isqrt(kernel * 64), _MIN_KB), _MAX_KB) // 4
    scale = parameters.watermark_scale_factor
    if huge_pages:
        # The recommendation is cut by what nr_free_buffer_pages() says, which leaves out the high watermarks that the
        # first, small minimum has just produced.
        share = total * kernel // base
        high = share + 2 * max(share >> 2, kernel * scale // 10_000)
        most = int(parameters.thp_max_share * (kernel - high))
        total = max(total, min(parameters.thp_pages_per_zone * populated, most))
    for z in zones:
        managed = z.managed
        share = total * managed // base
        step = max(share >> 2, managed * scale // 10_000)
        z.min = min(max(managed // 1024, 32), 128) if token and z.zone == MOVABLE else share
        z.low = z.min + step
        z.high = z.low + step
    _set_reserves(zones, parameters)


def _set_reserves(zones: Sequence[Zone], parameters: GuestParameters) -> None:
    """Set what each zone keeps from requests that could have used higher zones of its node."""
    ratio = parameters.lowmem_reserve_ratio
    for z in zones:
        number = z.zone
        if number == MOVABLE:
            continue
        above = above_kernel = 0
        for other in zones:
            if other.zone > number and other.node == z.node:
                above += other.managed
                if other.zone <= NORMAL:
                    above_kernel += other.managed
        z.reserve_user = above // ratio[number]
        z.reserve_kernel = above_kernel // ratio[number]
