"""The table of memory blocks: a few bytes each in dense arrays, indexed by block id.

A block's state, zone and node are one byte (:attr:`BlockTable.where`), so that looking for the next block of a zone
is a byte search at the speed of ``memchr`` and a terabyte of blocks costs kilobytes. Follows ``struct memory_block``
of ``include/linux/memory.h``.
"""

from __future__ import annotations

from array import array
from typing import Final

from sim.memory.groups import NO_GROUP

# Plain integers, not an enumeration: they are bytes of an array that is searched by ``bytearray.find``.
BLOCK_ABSENT: Final = 0
BLOCK_OFFLINE: Final = 1
BLOCK_MIXED: Final = 2
"""An online boot block that spans several zones; it can never go offline."""
FIRST_ZONE_CODE: Final = 3
"""Values of ``where`` from here on: an online block, the value names the zone (``Memory.zone_by_code``)."""
_NOT_ONLINE: Final = bytes((BLOCK_ABSENT, BLOCK_OFFLINE))
MAX_ZONES: Final = 256 - FIRST_ZONE_CODE


class BlockTable:
    """Block attributes by block id.

    ``where`` (byte): BLOCK_ABSENT, BLOCK_OFFLINE, BLOCK_MIXED or a zone's code. ``node`` (16 bit): the block's NUMA
    node. ``group`` (32 bit): memory group id or NO_GROUP. ``flags`` (byte): see the constants. ``left_over`` holds the
    online type that a refused write to ``state`` left on a block.
    """

    EARLY: Final = 1
    """Boot memory; stays early across offline and online."""
    SELF_HOSTED: Final = 2
    """The memmap lies in the block itself (altmap)."""
    HAS_HOLES: Final = 4
    """Boot block with missing pages; it can never go offline."""
    VETOED: Final = 8
    """Boot block of an architecture that takes none offline."""
    HAS_CMA: Final = 16
    """Boot block that a CMA area lies in; it can never go offline: its pageblocks can be isolated for CMA only."""
    STAYS: Final = HAS_HOLES | VETOED | HAS_CMA
    """Any of them."""

    __slots__ = ("flags", "group", "left_over", "node", "where")

    def __init__(self) -> None:
        self.where = bytearray()
        self.flags = bytearray()
        self.node = array("H")
        self.group = array("i")
        self.left_over: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.where)

    def reserve(self, end: int) -> None:
        """Make room for block ids below ``end``."""
        missing = end - len(self.where)
        if missing > 0:
            # Grow by half at least: a device that appends block after block must not copy the table every time.
            missing = max(missing, len(self.where) // 2)
            self.where.extend(bytes(missing))
            self.flags.extend(bytes(missing))
            self.node.frombytes(bytes(2 * missing))
            self.group.extend(array("i", [NO_GROUP]) * missing)

    def all_absent(self, first: int, count: int) -> bool:
        """Whether none of the ``count`` blocks from ``first`` exists."""
        chunk = self.where[first : first + count]
        return chunk.count(BLOCK_ABSENT) == len(chunk)

    def runs(self, first: int, end: int) -> list[tuple[int, int]]:
        """Return the runs [first, end) of the blocks that there are from ``first`` to before ``end``."""
        where = self.where
        end = min(end, len(where))
        runs = []
        while first < end:
            stop = where.find(BLOCK_ABSENT, first, end)
            stop = end if stop < 0 else stop
            if first < stop:
                runs.append((first, stop))
            first = stop + 1
        return runs

    def none_online(self, first: int, end: int) -> bool:
        """Whether none of the blocks from ``first`` to before ``end`` is online."""
        chunk = self.where[first:end]
        if chunk == chunk[:1] * len(chunk):  # nearly always, and quicker than to count
            return not chunk or chunk[0] in _NOT_ONLINE
        return chunk.count(BLOCK_ABSENT) + chunk.count(BLOCK_OFFLINE) == len(chunk)

    def first_online(self, first: int, end: int) -> int:
        """Return the first block from ``first`` to before ``end`` that is online; ``end`` where none is."""
        chunk = self.where[first:end]
        return end - len(chunk.lstrip(_NOT_ONLINE))

    def is_online(self, block: int) -> bool:
        """Whether the block exists and is online."""
        return block < len(self.where) and self.where[block] >= BLOCK_MIXED

    def exists(self, block: int) -> bool:
        """Whether there is such a block."""
        return 0 <= block < len(self.where) and self.where[block] != BLOCK_ABSENT

    def ids(self) -> list[int]:
        """All existing block ids, ascending. Walks the table: not for the hot path."""
        return [block for block, code in enumerate(self.where) if code != BLOCK_ABSENT]


def block_range(first: int, count: int) -> str:
    """Return ``count`` blocks from ``first`` on as people write them: ``3``, or ``3-9``."""
    return f"{first}-{first + count - 1}" if count > 1 else f"{first}"


def named_blocks(first: int, count: int) -> str:
    """Return the same with the noun: ``block 3``, ``blocks 3-9``."""
    return f"block{'s' if count > 1 else ''} {block_range(first, count)}"
