"""One zone's counters."""

from __future__ import annotations

from sim.guest.contract import MOVABLE, ZoneUse
from sim.guest.kernel_pages import KernelPages


class Zone:
    """Pages of a (node, zone) by use, its watermarks, and for kernel zones which pageblocks hold kernel pages.

    Invariant GUEST-1: ``free + user + kernel + memmap + reserved == managed`` and none is negative.
    """

    __slots__ = (
        "blocks", "cache", "first_block", "free", "high", "kernel", "low", "managed", "memmap", "min", "node", "pcp",
        "reserve_kernel", "reserve_user", "reserved", "slab", "user", "zone",
    )  # fmt: skip

    def __init__(self, node: int, zone: int, pageblocks_per_block: int, fill: float) -> None:
        """Make an empty zone; ``fill`` is how full kernel pageblocks get."""
        self.node = node
        self.zone = zone
        self.managed = self.free = self.user = self.kernel = self.memmap = self.reserved = 0
        self.cache = 0
        """Of ``user``: page cache that can be given up."""
        self.slab = 0
        """Of ``kernel``: slab that can be given up."""
        self.pcp = 0
        """Of ``free``: on CPU lists. Only capped by the low watermark when it is looked at."""
        self.min = self.low = self.high = 0
        self.reserve_user = self.reserve_kernel = 0
        self.first_block = -1
        self.blocks = None if zone == MOVABLE else KernelPages(pageblocks_per_block, fill)

    def listed_pcp(self) -> int:
        """Return the free pages on CPU lists: with one CPU a list holds at most the low watermark (zone_highsize)."""
        if self.pcp > self.low:
            self.pcp = self.low
        return self.pcp if self.pcp < self.free else self.free

    def use(self) -> ZoneUse:
        """Return the counters as they are now."""
        return ZoneUse(
            self.node, self.zone, self.managed, self.free, self.listed_pcp(), self.user, self.kernel, self.memmap,
            self.reserved, self.min, self.low, self.high,
        )  # fmt: skip
