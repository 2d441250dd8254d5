"""The boot parameter ``swiotlb=``: whether bounce buffers are set up, and how large (``kernel/dma/swiotlb.c``)."""

from __future__ import annotations

from typing import Final, NamedTuple

from sim.machine import memparse
from sim.units import KIB

_SLOT: Final = 2 * KIB  # IO_TLB_SIZE
_SEGMENT_SLOTS: Final = 128  # IO_TLB_SEGSIZE


class Swiotlb(NamedTuple):
    """What the word says: ``size`` in bytes (None: the kernel's own), and buffers in any case, or in none."""

    size: int | None = None
    force: bool = False
    off: bool = False


def parse(word: str) -> Swiotlb | None:
    """Return what ``swiotlb=word`` says: slots of 2 KiB, areas, ``force`` or ``noforce``; None for anything else.

    Slots are rounded up to whole segments of 128. In how many areas they lie does not change their size.
    """
    *numbers, name = word.split(",")
    if name not in {"force", "noforce"}:
        numbers, name = [*numbers, name], ""
    read = [memparse.whole(text) for text in numbers]
    if len(read) > len(("slots", "areas")) or None in read:
        return None
    if not read or read[0] is None:
        return Swiotlb(None, name == "force", name == "noforce")
    slots = -(-read[0] // _SEGMENT_SLOTS) * _SEGMENT_SLOTS
    return Swiotlb(slots * _SLOT, name == "force", name == "noforce" or not slots)
