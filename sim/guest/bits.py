"""Sets of pageblocks and sub-blocks as integers: bit i stands for the i-th of a memory block. Devices use them too."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def lowest(mask: int, count: int) -> int:
    """Return the lowest ``count`` set bits of ``mask``."""
    out = 0
    for _ in range(count):
        bit = mask & -mask
        out |= bit
        mask ^= bit
    return out


def highest(mask: int, count: int) -> int:
    """Return the highest ``count`` set bits of ``mask``."""
    for _ in range(mask.bit_count() - count):
        mask &= mask - 1
    return mask


def per_subblock(pageblocks: int, per: int) -> int:
    """Return which sub-blocks of ``per`` pageblocks hold one of ``pageblocks``."""
    if per == 1:
        return pageblocks
    out = 0
    while pageblocks:
        sub = ((pageblocks & -pageblocks).bit_length() - 1) // per
        out |= 1 << sub
        pageblocks &= ~(((1 << per) - 1) << (sub * per))
    return out


@lru_cache(maxsize=1024)
def per_pageblock(subblocks: int, per: int) -> int:
    """Return the pageblocks of a mask of sub-blocks of ``per`` pageblocks each."""
    if per == 1:
        return subblocks
    full = (1 << per) - 1
    out = 0
    while subblocks:
        low = subblocks & -subblocks
        out |= full << ((low.bit_length() - 1) * per)
        subblocks ^= low
    return out


def relocate(owned: dict[int, int], block: int, places: Mapping[int, tuple[int, int]]) -> None:
    """Move bits of ``block`` in masks by block to the (block, bit) of each in ``places``; gone where that bit is 0."""
    for bit, (other, place) in places.items():
        if owned.get(block, 0) & bit:
            owned[block] &= ~bit
            if place:
                owned[other] = owned.get(other, 0) | place
    if not owned.get(block, 1):
        del owned[block]
