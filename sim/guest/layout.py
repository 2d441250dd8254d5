"""Where the user pages of a zone lie, by memory block, and in which order its blocks are used.

Follows the free lists of mm/page_alloc.c, reduced to counts by block: memory that goes online joins their tail
(``__free_pages_core``, FPI_TO_TAIL), what is freed joins their head (``__free_one_page``), and requests take from the
head. So blocks fill in the order in which they went online, and what was freed last is used first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.fresh_runs import FreshRuns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.guest.kernel_pages import KernelPages
    from sim.guest.loads import Load


class Layout:
    """User pages of one zone. A block is *touched* from when it got its first user page until it goes offline.

    Pages for which the blocks have no room by these counts are ``adrift``: room that lies between kernel pages.
    """

    __slots__ = (
        "_front",
        "_pageblocks",
        "adrift",
        "fresh",
        "nr_touched",
        "plugged",
        "room",
        "used",
        "where",
    )

    def __init__(self, pageblocks: KernelPages | None) -> None:
        """Make an empty one; ``pageblocks`` says where kernel pages are in the way, None in MOVABLE."""
        self._pageblocks = pageblocks
        self.fresh = FreshRuns()
        """Blocks that are not touched, in the order in which they went online."""
        self._front: list[tuple[int, int, int]] = []
        """What is left of runs that are being filled, as (first, blocks, pages), the one to go on with last."""
        self.plugged: dict[int, int] = {}
        """Plugged pages of touched blocks."""
        self.nr_touched = 0
        """Their sum."""
        self.used: dict[int, int] = {}
        """User pages in touched blocks, where there are any."""
        self.room: dict[int, None] = {}
        """Touched blocks that may have room, the one to be filled next last."""
        self.where: dict[Load, dict[int, int]] = {}
        """By load, its pages by block, the oldest first."""
        self.adrift: dict[Load, int] = {}

    # Pages in and out -----------------------------------------------------------------------------------------------

    def put(self, load: Load, pages: int) -> None:
        """Place pages of a load."""
        mine = self.where.get(load)
        if mine is None:
            mine = self.where[load] = {}
        used, room, plugged = self.used, self.room, self.plugged
        pageblocks = self._pageblocks
        while pages:
            block = next(reversed(room)) if room else self._open()
            if block is None:
                self.adrift[load] = self.adrift.get(load, 0) + pages
                return
            there = used.get(block, 0)
            # Written out from space(), because a demand fills many blocks at once.
            space = plugged[block] - there
            if pageblocks is not None:
                space -= pageblocks.busy(block).bit_count() * pageblocks.pageblock
            part = space if space < pages else pages  # noqa: FURB136 - spares a call
            if part > 0:
                used[block] = there + part
                mine[block] = mine.get(block, 0) + part
                pages -= part
            if part == space or space <= 0:
                del room[block]

    def take(self, load: Load, pages: int, *, oldest: bool = False) -> None:
        """Free pages of a load, the youngest first unless ``oldest``."""
        adrift = self.adrift.get(load, 0)
        if adrift:
            part = min(adrift, pages)
            self._set_adrift(load, adrift - part)
            pages -= part
        mine = self.where.get(load)
        if mine is None:
            return
        # What take_from() does, written out because a demand frees many blocks at once.
        used, room, plugged = self.used, self.room, self.plugged
        while pages and mine:
            block = next(iter(mine) if oldest else reversed(mine))
            part = mine[block]
            if part > pages:
                mine[block] = part - pages
                part = pages
            else:
                del mine[block]
            pages -= part
            left = used[block] - part
            if left:
                used[block] = left
            else:
                del used[block]
            if block in plugged:
                room.pop(block, None)
                room[block] = None
        if not mine:
            del self.where[load]

    def take_all(self, load: Load) -> None:
        """Free all pages of a load, in the order in which they came."""
        self.adrift.pop(load, None)
        used, room = self.used, self.room
        for block, pages in self.where.pop(load, {}).items():
            left = used[block] - pages
            if left:
                used[block] = left
            else:
                del used[block]
            if block in self.plugged:
                room.pop(block, None)
                room[block] = None

    def take_from(self, load: Load, block: int, pages: int) -> None:
        """Free pages that a load has in a block."""
        mine = self.where[load]
        left = mine[block] - pages
        if left:
            mine[block] = left
        else:
            del mine[block]
            if not mine:
                del self.where[load]
        left = self.used[block] - pages
        if left:
            self.used[block] = left
        else:
            del self.used[block]
        self.freed(block)

    def _set_adrift(self, load: Load, pages: int) -> None:
        if pages:
            self.adrift[load] = pages
        else:
            del self.adrift[load]

    def holders(self, block: int) -> list[Load]:
        """Return the loads that have pages in a block, the youngest first."""
        return [load for load, mine in reversed(self.where.items()) if block in mine]

    # Room -----------------------------------------------------------------------------------------------------------

    def next(self) -> int | None:
        """Return the block to be filled next, None where none has room."""
        return next(reversed(self.room)) if self.room else self._open()

    def filled(self, block: int) -> None:
        """Note that the block to be filled next has no room any more."""
        del self.room[block]

    def freed(self, block: int) -> None:
        """Note that a block has room again: it is filled before all others."""
        if block in self.plugged:
            self.room.pop(block, None)
            self.room[block] = None

    def space(self, block: int) -> int:
        """Return the pages that a touched block has room for; negative where it has more than it is to have."""
        space = self.plugged[block] - self.used.get(block, 0)
        if self._pageblocks is not None:
            space -= self._pageblocks.busy(block).bit_count() * self._pageblocks.pageblock
        return space

    def without_room(self) -> list[int]:
        """Return the touched blocks that are not among those to be filled."""
        return [block for block in self.plugged if block not in self.room]

    def holds(self, count: int) -> bool:
        """Whether ``count`` more pageblocks of the kernel's find room in the blocks that are there now."""
        pageblocks = self._pageblocks
        if pageblocks is None or not count:
            return not count
        for block in self._ahead():
            free = pageblocks.width - (pageblocks.busy(block) | pageblocks.absent.get(block, 0)).bit_count()
            count -= max(0, free + -self.used.get(block, 0) // pageblocks.pageblock)
            if count <= 0:
                return True
        return False

    def _ahead(self) -> Iterator[int]:
        """Yield the blocks that are to be filled: those with room, then those that are not touched, in their order."""
        yield from self.room
        for first, count, _ in reversed(self._front):
            yield from range(first, first + count)
        for first, count, _ in self.fresh:
            yield from range(first, first + count)

    def _open(self) -> int | None:
        """Touch the next block that is not, None where there is none."""
        if not self._front:
            if not self.fresh:
                return None
            self._front.append(self.fresh.pop())
        first, count, pages = self._front.pop()
        if count > 1:
            self._front.append((first + 1, count - 1, pages))
        self.plugged[first] = pages
        self.nr_touched += pages
        self.room[first] = None
        return first

    # Blocks and parts of them that come and go ----------------------------------------------------------------------

    def go(self, first: int, count: int) -> bool:
        """Forget blocks that have gone offline, if they are the last of a run that is not touched, or not known."""
        gone = self.fresh.cut(first, count)
        return bool(gone) or (gone is None and count == 1 and not self._front and first not in self.plugged)

    def untouched(self, block: int) -> range | None:
        """Return the blocks, that one among them, of the run of untouched ones that it is in; None where it is in none.

        That may be what is left of a run that is being filled.
        """
        start = self.fresh.start_of(block)
        run = None if start is None else self.fresh.get(start)
        if start is not None and run is not None:
            return range(start, start + run[0])
        runs = (range(first, first + count) for first, count, _ in self._front)
        return next((run for run in runs if block in run), None)

    def plug(self, block: int, pages: int, *, again: bool) -> None:
        """Note that more of a block is plugged; what was in use before is used ``again`` before all else."""
        if block not in self.plugged:
            self._single_out(block)
            run = self.fresh.get(block)
            if run is None:
                self.fresh.add(block, 1, pages)
            else:
                self.fresh.replug(block, run[1] + pages)
            return
        self.plugged[block] += pages
        self.nr_touched += pages
        if again:
            self.room.pop(block, None)
        self.room[block] = None

    def unplug(self, block: int, pages: int) -> None:
        """Note that less of a block is plugged: it may be overfull then."""
        if block in self.plugged:
            self.plugged[block] -= pages
            self.nr_touched -= pages
            return
        if self.fresh.cut(block, 1, pages):
            return  # all of the last block of a run
        self._single_out(block)
        run = self.fresh.get(block)
        if run is not None:
            self.fresh.replug(block, run[1] - pages)

    def touched(self, first: int, count: int) -> list[int]:
        """Return the touched blocks of a range that hold user pages, ascending."""
        if not self.used:
            return []
        if count == 1:
            return [first] if first in self.used else []
        end = first + count
        if count < len(self.used):
            return [block for block in range(first, end) if block in self.used]
        return sorted(block for block in self.used if first <= block < end)

    def overfull(self, blocks: Iterable[int]) -> int:
        """Return by how many user pages blocks have more than they are to have."""
        used = self.used
        return sum(min(used[block], max(0, -self.space(block))) for block in blocks if block in used)

    def remove(self, first: int, count: int) -> None:
        """Forget blocks that have gone offline; what of them still holds user pages stays known."""
        if self.go(first, count):
            return
        end = first + count
        blocks = range(first, end) if count < len(self.plugged) else list(self.plugged)
        gone = [block for block in blocks if first <= block < end and block in self.plugged]
        for block in gone:
            self.room.pop(block, None)
            if block not in self.used:
                self.nr_touched -= self.plugged.pop(block)
        if len(gone) == count:
            return
        self._front = [part for run in self._front for part in _without(run, first, end)]
        if count > 1 or self.fresh.start_of(first) is not None:
            self.fresh.set([part for run in self.fresh for part in _without(run, first, end)])

    def _single_out(self, block: int) -> None:
        """Make a run of its own of a block that is not touched."""
        run = self.fresh.get(block)
        if run is not None and run[0] == 1:
            return
        parts = []
        for first, count, pages in (*reversed(self._front), *self.fresh):
            for start, stop in ((first, block), (block, block + 1), (block + 1, first + count)):
                low, high = max(first, start), min(first + count, stop)
                if low < high:
                    parts.append((low, high - low, pages))
        self._front = []
        self.fresh.set(parts)


def _without(run: tuple[int, int, int], first: int, end: int) -> list[tuple[int, int, int]]:
    """Return what is left of a run without the blocks from ``first`` to before ``end``."""
    start, count, pages = run
    stop = start + count
    parts = ((start, min(stop, first)), (max(start, end), stop))
    return [(low, high - low, pages) for low, high in parts if low < high]
