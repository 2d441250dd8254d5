"""One zone of one node as the guest sees it: pages by use, watermarks, and how far down requests may fill it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from sim.guest.contract import ZoneUse
from sim.guest.huge_chunks import HugeChunks
from sim.guest.layout import Layout
from sim.guest.parameters import GuestParameters
from sim.memory.zones import ZONE_DMA, ZONE_MOVABLE
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.guest.cma import CmaPages
    from sim.guest.kernel_pages import KernelPages

_KNEE = 16 * MIB
"""Bytes of freed memmap that a CPU list reliably keeps; of more, only a part is there later."""
_FLUSHED = 800 << 10
"""Bytes on a CPU list that has been emptied (units recording: 0.6 to 1.3 MiB)."""
_OVERRUN = 8 * MIB
"""Bytes by which a CPU list may be overfull before it gives back large amounts: the first few times it gives one
piece."""


class Floor(IntEnum):
    """How far down a request may fill a zone: by who asks and how hard.

    User and kernel pages leave different reserves to requests that can use no other zone. At first both stop at the
    low watermark; where nothing is left to reclaim, user pages go on to the minimum, and kernel pages to the share of
    it at which the kernel series gives up. Above the high watermark nobody takes memory back.
    """

    USER_LOW = 0
    USER_MIN = 1
    KERNEL_LOW = 2
    KERNEL_MIN = 3
    USER_HIGH = 4


class GuestZone:
    """Pages of a (node, zone type) by use, its watermarks, and for kernel zones which pageblocks hold kernel pages.

    Invariant GUEST-1: ``free + user + kernel + memmap + reserved == managed`` and none is negative.
    """

    __slots__ = (
        "boot_managed", "cache", "chunks", "cma", "cma_free", "floors", "free", "high", "huge_memmap", "kernel",
        "layout", "low", "managed", "marked", "memmap", "min", "node", "pageblocks", "pcp", "pcp_flushed", "pcp_knee",
        "pcp_loads", "pcp_most", "pcp_overrun", "recount", "reserve_kernel", "reserve_user", "reserved", "slab", "type",
        "user",
    )  # fmt: skip

    def __init__(
        self,
        node: int,
        zone_type: int,
        pageblocks: KernelPages | None,
        parameters: GuestParameters | None = None,
        recount: set[GuestZone] | None = None,
    ) -> None:
        """Make an empty zone; ``pageblocks`` is where its kernel pages lie, None for MOVABLE.

        ``recount`` are the guest's zones of which pages or marks have changed since somebody has counted them. Whoever
        changes any adds the zone.
        """
        self.recount: set[GuestZone] = set() if recount is None else recount
        parameters = parameters or GuestParameters()
        geometry = parameters.geometry
        self.node = node
        self.chunks = HugeChunks(parameters)
        self.type = zone_type
        self.pageblocks = pageblocks
        self.layout: Layout | None = None
        """Where its user pages lie; None for a zone DMA without blocks of its own, which never go."""
        if zone_type != ZONE_DMA:
            self.lay_out()
        self.managed = self.free = self.user = self.kernel = self.memmap = self.reserved = 0
        self.boot_managed = 0
        """Of ``managed`` in MOVABLE: from boot memory."""
        self.cma: CmaPages | None = None
        """Its CMA areas, where it has any; in MOVABLE they make no difference."""
        self.cma_free = 0
        """Of ``free``: CMA, which kernel requests cannot have. The floors of these are higher by it."""
        self.cache = 0
        """Of ``user``: page cache that can be given up."""
        self.slab = 0
        """Of ``kernel``: slab that can be given up."""
        self.pcp = 0
        """Of ``free``: pages on CPU lists at boot and by freed memmap.

        Capped by the low watermark only when it is looked at.
        """
        self.pcp_loads = 0
        """Of ``free``: pages put on CPU lists by what loads freed."""
        self.huge_memmap = geometry.huge_memmap
        """Whether memmap takes whole pageblocks, or base pages as the kernel's other pages are."""
        self.pcp_knee = _KNEE // geometry.size
        self.pcp_overrun = _OVERRUN // geometry.size
        self.pcp_flushed = _FLUSHED // geometry.size
        self.pcp_most = self.pcp_overrun + geometry.pageblock_pages
        self.marked = (-1, 0, 0, 0)
        """What watermarks, reserves and floors were computed from last."""
        self.min = self.low = self.high = 0
        self.reserve_user = self.reserve_kernel = 0
        self.floors = (0, 0, 0, 0, 0)
        """Pages that requests must leave free, by :class:`Floor`: watermark plus reserve, set along with them, and free
        CMA for kernel requests."""

    def lay_out(self) -> None:
        """Follow where in the zone's blocks its pages lie."""
        self.layout = Layout(self.pageblocks)
        if self.pageblocks is not None:
            self.pageblocks.layout = self.layout

    def room(self, floor: Floor) -> int:
        """Return the pages that a request may still take; negative where the zone is below the floor already."""
        return self.free - self.floors[floor]

    def use_cma(self, pages: int) -> None:
        """Note free CMA pages as used; negative: as free again."""
        self.recount.add(self)
        self.cma_free -= pages
        user_low, user_min, kernel_low, kernel_min, user_high = self.floors
        self.floors = (user_low, user_min, kernel_low - pages, kernel_min - pages, user_high)

    def free_huge(self, listed: int, fragment: int) -> int:
        """Return the free pages in chunks of a huge page or more; ``listed`` lie on CPU lists.

        A kernel zone has ``fragment`` pages in smaller pieces between those of the boot kernel, and what is free in
        pageblocks that kernel pages hold.
        """
        # Plain comparisons, as in listed_pcp().
        small = self.chunks.small
        if listed > small:  # noqa: PLR1730 - spares a call
            small = listed
        pageblocks = self.pageblocks
        if pageblocks is not None:
            small += fragment
            inside = pageblocks.nr_held * pageblocks.pageblock - pageblocks.pages
            if inside > 0:
                small += inside
        free = self.free - small
        return free if free > 0 else 0  # noqa: FURB136 - as above

    def unplug_free(self, layout: Layout, block: int, pages: int) -> None:
        """Take free pages of a block that holds no user pages."""
        chunks = self.chunks
        if chunks.small and block in layout.plugged:
            chunks.left(pages, layout.nr_touched, chunks.small + self.user, self.user)
        layout.unplug(block, pages)
        self.shrink(pages)

    def shrink(self, pages: int) -> None:
        """Take free pages out of the zone. The CPU lists of the zone are drained first."""
        self.recount.add(self)
        self.managed -= pages
        self.free -= pages
        self.pcp = self.pcp_loads = 0

    # Free pages on CPU lists ----------------------------------------------------------------------------------------

    def listed_pcp(self, adaptive_share: float = 0.0) -> int:
        """Return the free pages on CPU lists.

        With one CPU a list holds at most the low watermark (mm/page_alloc.c, zone_highsize). A list that has run
        over by freed memmap gives back ever more at a time, up to nearly all (nr_pcp_free), while the limit itself
        moves with every block: how much is left is anything from nothing to the limit. The idle recordings are met
        best by all of the first 16 MiB and a fifth of the rest, and by a quarter of the limit once it has clearly
        run over. 6.12 keeps all that is within the limit, and lets lists grow with what loads free: in kernel zones
        to ``adaptive_share`` of the zone, in MOVABLE to twice the low watermark (as recorded; why is not known).
        """
        # Plain comparisons: each zone is asked for every sample that shows a change.
        low = self.low
        pcp = self.pcp
        if pcp > low + self.pcp_overrun:
            pcp = low // 4
        else:
            if pcp > low:  # noqa: PLR1730 - spares a call
                pcp = low
            if pcp > self.pcp_knee and not adaptive_share:
                pcp = self.pcp_knee + (pcp - self.pcp_knee) // 5
        loads = self.pcp_loads
        if loads:
            most = low * 5 // 8
            if adaptive_share:
                adaptive = 2 * low if self.type == ZONE_MOVABLE else int(self.managed * adaptive_share)
                if adaptive > most:  # noqa: PLR1730 - as above
                    most = adaptive
            room = most - pcp
            if loads > room:
                loads = room if room > 0 else 0  # noqa: FURB136 - as above
            pcp += loads
        free = self.free
        return pcp if pcp < free else free  # noqa: FURB136 - as above

    def fill_pcp(self, pages: int) -> None:
        """Note pages freed in pieces of 2 MiB. The low watermark is at most about a sixteenth of the zone."""
        pcp, most = self.pcp + pages, (self.managed >> 4) + self.pcp_most
        self.pcp = pcp if pcp < most else most  # noqa: FURB136 - called for every block that goes: spares a call

    def fill_pcp_loads(self, pages: int) -> None:
        """Note single pages freed by a load; lists take an eighth of the zone at most (zone_highsize)."""
        pcp, most = self.pcp_loads + pages, self.managed >> 3
        self.pcp_loads = pcp if pcp < most else most  # noqa: FURB136 - as above

    def flush_pcp(self) -> None:
        """Note that chunks of several pages were freed one after the other: that empties a list (free_high)."""
        self.pcp_loads = 0
        self.pcp = min(self.pcp, self.pcp_flushed)

    def decay_pcp(self, pages: int) -> bool:
        """Give back what lists have beyond the low watermark, at most ``pages`` (decay_pcp_high); False for nothing."""
        beyond = self.pcp + self.pcp_loads - self.low
        if beyond <= 0:
            return False
        self.recount.add(self)
        self.pcp_loads -= min(pages, beyond, self.pcp_loads)
        return True

    def spend_pcp(self, pages: int) -> None:
        """Serve an allocation of small pages from the CPU lists first."""
        if self.pcp_loads >= pages:
            self.pcp_loads -= pages
        else:
            self.pcp = max(0, self.pcp + self.pcp_loads - pages)
            self.pcp_loads = 0

    def use(self, adaptive_share: float = 0.0) -> ZoneUse:
        """Return the counters as they are now; ``adaptive_share`` as for :meth:`listed_pcp`."""
        return ZoneUse(
            self.node, self.type, self.managed, self.free, self.listed_pcp(adaptive_share), self.user, self.kernel,
            self.memmap, self.reserved, self.min, self.low, self.high,
        )  # fmt: skip


def spread(
    pages: int, zonelist: Iterable[GuestZone], floor: Floor, piece: int = 1
) -> tuple[list[tuple[GuestZone, int]], int]:
    """Spread ``pages`` over zones in order, each filled down to ``floor``; return the parts and the pages left over.

    Nothing is taken yet. A zone without room for all that is left gets whole pieces of ``piece`` pages only.
    """
    parts = []
    for zone in zonelist:
        room = zone.free - zone.floors[floor]  # inlined from room(), because it saves 26 ns for each zone of a request
        part = pages if room >= pages else room - room % piece
        if part > 0:
            parts.append((zone, part))
            pages -= part
            if not pages:
                break
    return parts, pages


def total_room(zonelist: Iterable[GuestZone], floor: Floor) -> int:
    """Return the pages that requests may still take from several zones."""
    pages = 0
    for zone in zonelist:
        room = zone.free - zone.floors[floor]  # inlined from room(), as above
        if room > 0:
            pages += room
    return pages
