"""Zone types, zones and nodes: present pages, spans and the totals that are kept over them.

Follows ``include/linux/mmzone.h`` and the span functions of ``mm/memory_hotplug.c``. No time, no policy, no groups.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol, cast

from sim.memory.read_only import ReadOnly


class ZoneType(IntEnum):
    """A node's allocation pools that memory hotplug knows, in the kernel's order. All but MOVABLE are kernel zones."""

    DMA = 0
    DMA32 = 1
    NORMAL = 2
    MOVABLE = 3

    @property
    def label(self) -> str:
        """The name that the kernel prints."""
        return ZONE_LABELS[self]


ZONE_LABELS: Final = ("DMA", "DMA32", "Normal", "Movable")
ZONE_BY_LABEL: Final = {label: ZoneType(number) for number, label in enumerate(ZONE_LABELS)}

# Plain integers for the hot path: an IntEnum member costs an attribute look-up and a slower comparison.
ZONE_DMA: Final = int(ZoneType.DMA)
ZONE_DMA32: Final = int(ZoneType.DMA32)
ZONE_NORMAL: Final = int(ZoneType.NORMAL)
ZONE_MOVABLE: Final = int(ZoneType.MOVABLE)
NR_ZONES: Final = len(ZoneType)


class NoZone(IntEnum):
    """What a policy answers instead of a zone."""

    LEAVE_OFFLINE = -1

    @property
    def label(self) -> str:
        """What becomes of the block."""
        return "offline"


LEAVE_OFFLINE: Final = NoZone.LEAVE_OFFLINE
"""The block shall not go online, for all that the policy is asked: it stays as it is."""


def zone_or_none(zone: int) -> ZoneType | NoZone:
    """Return what a zone's number stands for, LEAVE_OFFLINE's too."""
    return LEAVE_OFFLINE if zone == LEAVE_OFFLINE else ZoneType(zone)


class OnlineType(IntEnum):
    """The words of ``auto_online_blocks`` and ``memoryN/state``, numbered as the kernel does (``MMOP_*``)."""

    OFFLINE = 0
    ONLINE = 1
    ONLINE_KERNEL = 2
    ONLINE_MOVABLE = 3

    @property
    def word(self) -> str:
        """The word as written to sysfs."""
        return self.name.lower()


ONLINE_TYPE_BY_WORD: Final = {each.word: each for each in OnlineType}

# The same as plain integers, by the kernel's names, for the same reason as above.
MMOP_OFFLINE: Final = int(OnlineType.OFFLINE)
MMOP_ONLINE: Final = int(OnlineType.ONLINE)
MMOP_ONLINE_KERNEL: Final = int(OnlineType.ONLINE_KERNEL)
MMOP_ONLINE_MOVABLE: Final = int(OnlineType.ONLINE_MOVABLE)


class TotalsView(Protocol):
    """Present pages of all nodes or of one, as they are now."""

    @property
    def movable(self) -> int:
        """Pages of ZONE_MOVABLE, and CMA in kernel zones (MV of the auto-movable statistics)."""

    @property
    def early_kernel(self) -> int:
        """Pages of kernel zones that were there at boot, without CMA (KE)."""

    @property
    def kernel(self) -> int:
        """Pages of kernel zones, hotplugged ones too."""

    @property
    def dynamic_movable(self) -> int:
        """Pages of ZONE_MOVABLE that belong to dynamic memory groups (GM, the deciding group included)."""


class ScopeTotals:
    """The sums of :class:`TotalsView`, kept up to date by the accounting primitive. ``view`` is what policies get."""

    __slots__ = ("__dict__", "view")

    movable: int
    early_kernel: int
    kernel: int
    dynamic_movable: int

    def __init__(self) -> None:
        # A literal, not assignments: see ReadOnly.
        self.__dict__ = {"movable": 0, "early_kernel": 0, "kernel": 0, "dynamic_movable": 0}
        self.view = cast("TotalsView", ReadOnly(self))


class Zone:
    """One zone of one node. Pages are counted; ``start`` and ``end`` bound the span in page frames (both 0 when empty).

    ``mixed_parts`` are the pieces [start, end) of boot blocks that this zone shares with others: such a block can
    never go offline, and the search for a new span edge stops at them too.
    """

    __slots__ = (
        "cma",
        "code",
        "end",
        "managed",
        "mixed_parts",
        "movable",
        "node",
        "present",
        "present_early",
        "start",
        "totals",
        "type",
    )

    def __init__(self, node: int, zone_type: int, code: int, totals: ScopeTotals) -> None:
        self.node = node
        self.type = zone_type
        self.code = code
        self.movable = zone_type == ZONE_MOVABLE
        self.totals = totals
        self.start = 0
        self.end = 0
        self.present = 0
        self.present_early = 0
        self.managed = 0
        self.cma = 0
        self.mixed_parts: list[tuple[int, int]] = []

    @property
    def spanned(self) -> int:
        """Pages of the span, holes included."""
        return self.end - self.start

    def intersects(self, first: int, pages: int) -> bool:
        """Whether the span and ``[first, first + pages)`` overlap; never for an empty zone (``zone_intersects``).

        ``pages`` is negative where a static group got more than it announced; a sum below 0 wraps, as in the kernel.
        """
        end = first + pages
        return self.end > first and (self.start < end or end < 0) and self.end > self.start

    def grow_span(self, start: int, end: int) -> None:
        """Stretch the span over ``[start, end)`` (``resize_zone_range``)."""
        if self.end == 0:
            self.start = start
            self.end = end
        else:
            # min() and max() cost a call each, at every block that a growing device brings.
            if start < self.start:  # noqa: PLR1730
                self.start = start
            if end > self.end:  # noqa: PLR1730
                self.end = end


class Node:
    """A NUMA node: its zones by type (None where it never had pages), its totals, and how far its low zones span.

    ``low_end`` is the highest end of the spans of DMA and DMA32: a range that starts there or above is NORMAL
    whenever a kernel zone is asked for, which spares the look at both spans.
    """

    __slots__ = ("id", "low_end", "totals", "zones")

    def __init__(self, nid: int) -> None:
        self.id = nid
        self.zones: list[Zone | None] = [None] * NR_ZONES
        self.totals = ScopeTotals()
        self.low_end = 0

    @property
    def present(self) -> int:
        """Present pages of all zones."""
        return sum(zone.present for zone in self.zones if zone is not None)

    @property
    def span(self) -> tuple[int, int]:
        """Hull of the non-empty zone spans as (start, end); (0, 0) where the node spans nothing."""
        spans = [(zone.start, zone.end) for zone in self.zones if zone is not None and zone.end]
        if not spans:
            return (0, 0)
        return (min(start for start, _ in spans), max(end for _, end in spans))

    def update_low_end(self) -> None:
        """Recompute :attr:`low_end` after a low zone's span has changed."""
        self.low_end = max((zone.end for zone in self.zones[:ZONE_NORMAL] if zone is not None), default=0)

    def default_kernel_zone(self, first: int, pages: int) -> int:
        """Return the kernel zone for a range that is put online: a low zone whose span it meets, else NORMAL.

        Goes by present spans, not by the 16 MiB and 4 GiB limits (``default_kernel_zone_for_pfn``).
        """
        if first < self.low_end:
            for zone in self.zones[:ZONE_NORMAL]:
                if zone is not None and zone.intersects(first, pages):
                    return zone.type
        return ZONE_NORMAL
