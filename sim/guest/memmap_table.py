"""Where the memmap of single blocks lies that is just one pageblock each: five bytes a block, and no object."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.guest.zone import GuestZone


class MemmapTable:
    """For each block the zone and the pageblock of its memmap; ``width`` is the pageblocks in a block."""

    __slots__ = ("_homes", "_numbers", "_pageblocks", "_width", "_zones")

    def __init__(self, width: int) -> None:
        self._width = width
        self._pageblocks = array("I")
        """By block: number of the pageblock, counted from 1 on; 0 where there is none."""
        self._zones = bytearray()
        """By block: index of the zone in the list."""
        self._homes: list[GuestZone] = []
        self._numbers: dict[GuestZone, int] = {}

    def put(self, first: int, zone: GuestZone, pieces: Sequence[tuple[int, int]]) -> int:
        """Note the memmap of blocks from ``first`` on: one pageblock of ``pieces``, (block, mask), after the other.

        Returns how many blocks that were.
        """
        number = self._numbers.get(zone)
        if number is None:
            number = self._numbers[zone] = len(self._homes)
            self._homes.append(zone)
        found: list[int] = []
        for block, mask in pieces:
            start = (mask & -mask).bit_length() - 1
            base = block * self._width + 1
            count = mask.bit_count()
            if mask >> start == (1 << count) - 1:
                found.extend(range(base + start, base + start + count))
            else:
                found.extend(base + at for at in range(self._width) if mask >> at & 1)
        end = first + len(found)
        missing = end - len(self._zones)
        if missing > 0:
            missing = max(missing, len(self._zones) // 4)
            self._pageblocks.frombytes(bytes(self._pageblocks.itemsize * missing))
            self._zones.extend(bytes(missing))
        self._pageblocks[first:end] = array("I", found)
        self._zones[first:end] = bytes((number,)) * len(found)
        return len(found)

    def put_one(self, block: int, zone: GuestZone, home: int, mask: int) -> None:
        """Note that the memmap of one block is the pageblock ``mask`` of block ``home``."""
        number = self._numbers.get(zone)
        if number is None or block >= len(self._zones):
            self.put(block, zone, ((home, mask),))
        else:
            self._pageblocks[block] = home * self._width + mask.bit_length()
            self._zones[block] = number

    def holds(self, block: int) -> bool:
        """Whether the memmap of the block is noted here."""
        return 0 <= block < len(self._zones) and self._pageblocks[block] != 0

    def any(self, first: int, nr_blocks: int) -> bool:
        """Whether that of any of the blocks is."""
        if nr_blocks == 1:
            return self.holds(first)
        return bool(self._pageblocks[first : first + nr_blocks].tobytes().strip(b"\0"))

    def pop(self, block: int) -> tuple[GuestZone, int, int]:
        """Forget a block's memmap; return its zone, and the pageblock as (block, mask)."""
        home, at = divmod(self._pageblocks[block] - 1, self._width)
        self._pageblocks[block] = 0
        return self._homes[self._zones[block]], home, 1 << at

    def pop_down(self, block: int, count: int) -> list[tuple[GuestZone, list[tuple[int, int]]]]:
        """Do so for ``count`` blocks from ``block`` down, or as many as are noted; by zone, in their order."""
        pageblocks, zones = self._pageblocks, self._zones
        found: list[tuple[GuestZone, list[tuple[int, int]]]] = []
        number = -1
        pieces: list[tuple[int, int]] = []
        while count > 0 and self.holds(block):
            code, its_number = pageblocks[block], zones[block]
            home, at = divmod(code - 1, self._width)
            # Most were taken one after the other, and so are all as far as the block that they lie in.
            blocks = min(count, at + 1)
            low, end = block + 1 - blocks, block + 1
            if (
                pageblocks[low:end] != array("I", range(code + 1 - blocks, code + 1))
                or zones.count(its_number, low, end) != blocks
            ):
                blocks, low = 1, block
            pageblocks[low:end] = array("I", bytes(pageblocks.itemsize * blocks))
            if its_number != number:
                number, pieces = its_number, []
                found.append((self._homes[number], pieces))
            pieces.append((home, ((1 << blocks) - 1) << (at + 1 - blocks)))
            block -= blocks
            count -= blocks
        return found

    def __iter__(self) -> Iterator[tuple[int, GuestZone, int, int]]:
        """Yield each block with the zone and the pageblock of its memmap, (block, mask)."""
        for block, code in enumerate(self._pageblocks):
            if code:
                home, at = divmod(code - 1, self._width)
                yield block, self._homes[self._zones[block]], home, 1 << at
