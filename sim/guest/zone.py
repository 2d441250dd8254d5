"""One zone's counters."""

from __future__ import annotations

from sim.guest.contract import MOVABLE, ZoneUse
from sim.guest.kernel_pages import KernelPages

_KNEE = 4096
"""Pages (16 MiB) of freed memmap that a CPU list reliably keeps; of more, only a part is there later."""
_OVERRUN = 2048
"""Pages by which a CPU list may be overfull before it gives back large amounts: the first few times it gives one
piece."""


class Zone:
    """Pages of a (node, zone) by use, its watermarks, and for kernel zones which pageblocks hold kernel pages.

    Invariant GUEST-1: ``free + user + kernel + memmap + reserved == managed`` and none is negative.
    """

    __slots__ = (
        "blocks", "boot_managed", "cache", "free", "high", "kernel", "low", "managed", "memmap", "min", "node", "pcp",
        "pcp_loads",
        "reserve_kernel", "reserve_user", "reserved", "slab", "user", "zone",
    )  # fmt: skip

    def __init__(self, node: int, zone: int, pageblocks_per_block: int, fill: float) -> None:
        """Make an empty zone; ``fill`` is how full kernel pageblocks get."""
        self.node = node
        self.zone = zone
        self.managed = self.free = self.user = self.kernel = self.memmap = self.reserved = 0
        self.boot_managed = 0
        """Of ``managed`` in MOVABLE: from boot memory."""
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
        self.min = self.low = self.high = 0
        self.reserve_user = self.reserve_kernel = 0
        self.blocks = None if zone == MOVABLE else KernelPages(pageblocks_per_block, fill)

    def listed_pcp(self, adaptive_share: float = 0.0) -> int:
        """Return the free pages on CPU lists.

        With one CPU a list holds at most the low watermark (mm/page_alloc.c, zone_highsize). A list that has run
        over by freed memmap gives back ever more at a time, up to nearly all (nr_pcp_free), while the limit itself
        moves with every block: how much is left is anything from nothing to the limit. The idle recordings are met
        best by all of the first 16 MiB and a fifth of the rest, and by a quarter of the limit once it has clearly
        run over. 6.12 keeps all that is within the limit, and lets lists grow with what loads free, to
        ``adaptive_share`` of the zone.
        """
        low = self.low
        pcp = self.pcp
        if pcp > low + _OVERRUN:
            pcp = low // 4
        else:
            pcp = min(pcp, low)
            if pcp > _KNEE and not adaptive_share:
                pcp = _KNEE + (pcp - _KNEE) // 5
        loads = min(self.pcp_loads, max(low * 5 // 8 - pcp, int(self.managed * adaptive_share) - pcp, 0))
        return min(pcp + loads, self.free)

    def fill_pcp(self, pages: int) -> None:
        """Note pages freed in pieces of 2 MiB. The low watermark is at most about a sixteenth of the zone."""
        pcp, most = self.pcp + pages, (self.managed >> 4) + _OVERRUN + 512
        self.pcp = pcp if pcp < most else most  # noqa: FURB136 - called for every block that goes: spares a call

    def fill_pcp_loads(self, pages: int) -> None:
        """Note small pages freed by a load; no more than a sixteenth of the zone is believed."""
        self.pcp_loads = min(self.pcp_loads + pages, self.managed >> 4)

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
            self.node, self.zone, self.managed, self.free, self.listed_pcp(adaptive_share), self.user, self.kernel,
            self.memmap, self.reserved, self.min, self.low, self.high,
        )  # fmt: skip
