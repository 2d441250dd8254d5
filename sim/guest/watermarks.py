"""Watermarks and lowmem reserves of all zones, computed as the kernel series does.

Follows mm/page_alloc.c (``calculate_min_free_kbytes``, ``__setup_per_zone_wmarks``, ``setup_per_zone_lowmem_reserve``) and
mm/khugepaged.c (``set_recommended_min_free_kbytes``). They change only when blocks go online or offline, so the model computes
them when next needed and not with every event.
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
    kernel_pages = sum(z.managed for z in zones if z.zone != MOVABLE)
    total = min(max(isqrt(kernel_pages * 4 * 16), _MIN_KB), _MAX_KB) // 4
    if huge_pages:
        # The recommendation is cut by what nr_free_buffer_pages() says, which leaves out the high watermarks that the first,
        # small minimum has just produced.
        _share_out(zones, total, parameters)
        buffer_pages = kernel_pages - sum(z.high for z in zones if z.zone != MOVABLE)
        populated = sum(1 for z in zones if z.zone != MOVABLE and z.managed)
        total = max(total, min(parameters.thp_pages_per_zone * populated, int(parameters.thp_max_share * buffer_pages)))
    _share_out(zones, total, parameters)
    _set_reserves(zones, parameters)


def _share_out(zones: Sequence[Zone], total: int, parameters: GuestParameters) -> None:
    """Share ``total`` pages out by managed pages: 6.1 over all zones, 6.12 over the kernel zones with a token for MOVABLE."""
    token = parameters.series == "6.12"
    base = sum(z.managed for z in zones if not (token and z.zone == MOVABLE)) or 1
    scale = parameters.watermark_scale_factor
    for z in zones:
        share = total * z.managed // base
        step = max(share >> 2, z.managed * scale // 10_000)
        z.min = min(max(z.managed // 1024, 32), 128) if token and z.zone == MOVABLE else share
        z.low = z.min + step
        z.high = z.low + step


def _set_reserves(zones: Sequence[Zone], parameters: GuestParameters) -> None:
    """Set what each zone keeps from requests that could have used higher zones of its node."""
    ratio = parameters.lowmem_reserve_ratio
    for z in zones:
        kernel = movable = 0
        for other in zones:
            if other.node == z.node and other.zone > z.zone:
                movable += other.managed
                if other.zone <= NORMAL:
                    kernel += other.managed
        divisor = ratio[z.zone] if z.zone < MOVABLE else 0
        z.reserve_user = movable // divisor if divisor else 0
        z.reserve_kernel = kernel // divisor if divisor else 0
