"""Zone types, zones and nodes: present pages, spans and the totals that are kept over them.

Follows ``include/linux/mmzone.h`` and the span functions of ``mm/memory_hotplug.c``. No time, no policy, no groups.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


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
ZONE_DMA: Final = 0
ZONE_DMA32: Final = 1
ZONE_NORMAL: Final = 2
ZONE_MOVABLE: Final = 3
NR_ZONES: Final = 4


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
