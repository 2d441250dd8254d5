"""Which pageblocks of a kernel zone hold kernel pages: what decides whether memory comes back.

State is kept only for blocks that hold kernel pages (one integer bitmap each) and as runs of online blocks; a DIMM
of thousands of blocks is one run. Kernel pages take whole pageblocks in the order in which blocks are used
(:mod:`sim.guest.layout`), user pages what is left of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

from sim.guest.bits import highest, lowest, relocate
from sim.pages import PAGES_4K

if TYPE_CHECKING:
    from sim.guest.layout import Layout
    from sim.guest.remains import Remains


class KernelPages:
    """Kernel pages of one zone by pageblock.

    Three kinds of bits: ``fixed`` (boot use, never given back), ``pieces`` (memmap, exactly one pageblock each) and
    ``held`` (slab, tables, stacks, data: at least one kernel page). ``pages`` counts the pages in held pageblocks.

    ``absent`` marks the pageblocks of online blocks that are unplugged. The invariants are in
    :mod:`sim.guest.invariants`.
    """

    __slots__ = (
        "_ends", "_full", "_left_half", "_spare", "_starts", "_usable", "absent", "changed", "fixed", "floor", "fresh",
        "held", "hot_from", "layout", "left", "nr_absent", "nr_blocks", "nr_fixed", "nr_held", "nr_left", "nr_pieces",
        "pageblock", "pages", "pieces", "shared", "thinning", "width",
    )  # fmt: skip

    def __init__(self, width: int, fill: float, left_half: float, pageblock: int = PAGES_4K.pageblock_pages) -> None:
        """Make an empty one.

        ``width`` is the pageblocks in a block, ``pageblock`` the pages of one, ``fill`` the share of a held pageblock
        that gets used. With ``left_half`` pageblocks of leftovers, freed memory leaves half as much behind.
        """
        self._left_half = left_half
        self.width = width
        self.pageblock = pageblock
        self._full = (1 << width) - 1
        self._usable = max(1, int(pageblock * fill))
        self._spare = pageblock - self._usable  # room left in a pageblock of the boot kernel
        self._starts, self._ends = array("q"), array("q")
        self.fixed: dict[int, int] = {}
        self.pieces: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.absent: dict[int, int] = {}
        """Pageblocks of online blocks that are unplugged, or CMA: no kernel page may lie there."""
        self.nr_absent = 0
        self.nr_blocks = self.nr_fixed = self.nr_pieces = self.nr_held = self.pages = 0
        self.hot_from = 1 << 62
        """First block above all boot memory: what lies from here on was hotplugged."""
        self.changed: dict[int, KernelPages] = {}
        """Hotplugged blocks in which kernel pages came or went, with whose they are: for whoever follows that."""
        self.floor = 0
        """Held pageblocks that never come back: where an idle kernel has settled."""
        self.left: dict[int, int] = {}
        """Of ``held``: left behind by loads that are gone. Later loads use them first."""
        self.nr_left = 0
        self.shared: dict[int, int] = {}
        """Of ``held``: claimed by loads that are gone, with pages of other loads in them."""
        self.layout: Layout | None = None
        """In which order blocks are used, and what user pages take of them; None where no blocks are known."""
        self.fresh = False
        """Memory was freed since the last growth: its leftovers have not thinned out yet."""
        self.thinning = False
        """Memory has grown since: they thin out before the next shrink."""

    # Runs of online blocks.

    def insert(self, first: int, count: int) -> None:
        """Add a run of blocks that went online. Amortised O(log runs)."""
        self.nr_blocks += count
        starts, ends = self._starts, self._ends
        end = first + count
        i = bisect_right(starts, first)
        if i and ends[i - 1] == first:
            ends[i - 1] = end
            if i < len(starts) and starts[i] == end:
                ends[i - 1] = ends[i]
                del starts[i], ends[i]
        elif i < len(starts) and starts[i] == end:
            starts[i] = first
        else:
            starts.insert(i, first)
            ends.insert(i, end)

    def delete(self, first: int, count: int) -> None:
        """Take out a run of blocks that went offline and hold no kernel page."""
        self.nr_blocks -= count
        if self.absent:
            for block in [first] if count == 1 else [block for block in self.absent if first <= block < first + count]:
                self.nr_absent -= self.absent.pop(block, 0).bit_count()
        starts, ends = self._starts, self._ends
        end = first + count
        i = bisect_right(starts, first) - 1
        if starts[i] == first:
            if ends[i] == end:
                del starts[i], ends[i]
            else:
                starts[i] = end
        elif ends[i] == end:
            ends[i] = first
        else:
            starts.insert(i + 1, end)
            ends.insert(i + 1, ends[i])
            ends[i] = first

    def runs(self) -> list[tuple[int, int]]:
        """Return the online runs as (first block, blocks), ascending."""
        return [(start, end - start) for start, end in zip(self._starts, self._ends, strict=True)]

    def busy(self, block: int) -> int:
        """Return the bitmap of pageblocks of ``block`` that hold a kernel page."""
        return self.held.get(block, 0) | self.pieces.get(block, 0) | self.fixed.get(block, 0)

    def busy_blocks(self, first: int, count: int) -> list[int]:
        """Return the blocks of a run that hold kernel pages, ascending.

        Costs the smaller of run and kernel pages' blocks.
        """
        if count == 1:
            return [first] if self.busy(first) else []
        end = first + count
        keys = self.held.keys() | self.pieces.keys() | self.fixed.keys()
        return sorted(block for block in keys if first <= block < end)

    def untouched(self) -> int:
        """Return the pageblocks of online blocks without kernel pages."""
        return self.nr_blocks * self.width - self.nr_absent - self.nr_fixed - self.nr_pieces - self.nr_held

    def slack(self) -> int:
        """Return how many more kernel pages fit into held pageblocks."""
        return max(0, self.nr_held * self._usable + self.nr_fixed * self._spare - self.pages)

    # Placement.

    def _claim(self, into: dict[int, int], count: int) -> dict[int, int]:
        """Claim up to ``count`` pageblocks that are free, in the order of use; return their masks by block.

        Memmap goes to the lowest block that was in use before: a chunk that is broken already serves single pageblocks
        first.
        """
        out: dict[int, int] = {}
        layout = self.layout
        if layout is None:
            return out
        held, pieces, fixed, absent, used = self.held, self.pieces, self.fixed, self.absent, layout.used
        while count:
            block = min(layout.room) if into is self.pieces and layout.room else layout.next()
            if block is None:
                break
            free = self._full & ~(
                held.get(block, 0) | pieces.get(block, 0) | fixed.get(block, 0) | absent.get(block, 0)
            )
            there = free.bit_count()
            number = there + -used[block] // self.pageblock if block in used else there
            if number <= count:
                layout.filled(block)
            if number > 0:
                part = number if number < count else count  # noqa: FURB136 - spares a call
                mask = free if part == there else lowest(free, part)
                count -= part
                into[block] = into.get(block, 0) | mask
                out[block] = mask
                if block >= self.hot_from:
                    self.changed[block] = self
        return out

    def take_pieces(self, count: int) -> list[tuple[int, int]]:
        """Claim up to ``count`` whole pageblocks for memmap. Return (block, mask) of each block used."""
        layout = self.layout
        if count == 1 and layout is not None and layout.room:
            # What _claim() comes to for a block of 128 MiB, which needs just one piece, in a block without user pages:
            # written out because it saves 400 ns.
            block, pieces = min(layout.room), self.pieces
            mine = pieces.get(block, 0)
            free = self._full & ~(mine | self.held.get(block, 0) | self.fixed.get(block, 0) | self.absent.get(block, 0))
            if free and block not in layout.used:
                bit = free & -free
                if bit == free:
                    del layout.room[block]
                pieces[block] = mine | bit
                self.nr_pieces += 1
                if block >= self.hot_from:
                    self.changed[block] = self
                return [(block, bit)]
        out = self._claim(self.pieces, count)
        for mask in out.values():
            self.nr_pieces += mask.bit_count()
        return list(out.items())

    def give_pieces(self, pieces: list[tuple[int, int]]) -> None:
        """Give memmap pageblocks back."""
        owned, layout = self.pieces, self.layout
        for block, mask in pieces:
            rest = owned[block] & ~mask
            if rest:
                owned[block] = rest
            else:
                del owned[block]
            self.nr_pieces -= mask.bit_count()
            if layout is not None and block in layout.plugged and block not in layout.room:  # as in Layout.freed()
                layout.room[block] = None
            if block >= self.hot_from:
                self.changed[block] = self

    def take(self, pages: int) -> dict[int, int]:
        """Place kernel pages: first into held pageblocks with room, then into new ones, whose masks are returned.

        Never fails; a crowded zone packs denser.
        """
        self.pages += pages
        need = self.pages - self.nr_held * self._usable - self.nr_fixed * self._spare
        if need <= 0:
            return {}
        claimed = self._claim(self.held, -(-need // self._usable))
        for mask in claimed.values():
            self.nr_held += mask.bit_count()
        return claimed

    def take_shared(self, pages: int) -> None:
        """Place kernel pages that belong to no load: memmap in single pages."""
        for block, mask in self.take(pages).items():
            self.shared[block] = self.shared.get(block, 0) | mask

    def hold_one(self) -> None:
        """Hold one more pageblock than the pages need: kernel pages are not packed everywhere."""
        for mask in self._claim(self.held, 1).values():
            self.nr_held += mask.bit_count()

    def fix(self, block: int, mask: int) -> None:
        """Mark pageblocks of an online block as the boot kernel's own: they never come back."""
        mask &= ~self.busy(block)
        if mask:
            self.fixed[block] = self.fixed.get(block, 0) | mask
            self.nr_fixed += mask.bit_count()

    def vacate(self, block: int, mask: int) -> dict[int, tuple[int, int]]:
        """Have the kernel pages in these pageblocks of a block lie elsewhere; boot use stays.

        Returns, by each bit, the block and the bit that it has become: (-1, 0) where no pageblock is free, and the
        others are packed denser.
        """
        mask &= self.held.get(block, 0) | self.pieces.get(block, 0)
        absent = self.absent.get(block, 0)
        self.absent[block] = self._full
        claimed = self._claim({}, mask.bit_count())
        self.absent[block] = absent
        if not absent:
            del self.absent[block]
        old = [1 << at for at in range(self.width) if mask >> at & 1]
        new = [(other, 1 << at) for other, bits in claimed.items() for at in range(self.width) if bits >> at & 1]
        new += [(-1, 0)] * (len(old) - len(new))
        places = dict(zip(old, new, strict=True))
        lost = sum(bit for bit, (_, place) in places.items() if not place)
        self.nr_held -= (self.held.get(block, 0) & lost).bit_count()
        self.nr_pieces -= (self.pieces.get(block, 0) & lost).bit_count()
        self.nr_left -= (self.left.get(block, 0) & lost).bit_count()
        self.floor = min(self.floor, self.nr_held)
        for owned in (self.held, self.pieces, self.left, self.shared):
            relocate(owned, block, places)
        self._freed(block)
        return places

    def remove_pageblocks(self, block: int, mask: int) -> None:
        """Note pageblocks of an online block as unplugged; none may hold a kernel page."""
        self.absent[block] = self.absent.get(block, 0) | mask
        self.nr_absent += mask.bit_count()

    def add_pageblocks(self, block: int, mask: int) -> None:
        """Note unplugged pageblocks of an online block as plugged again."""
        rest = self.absent[block] & ~mask
        if rest:
            self.absent[block] = rest
        else:
            del self.absent[block]
        self.nr_absent -= mask.bit_count()

    # Giving back, and what stays.

    def give(
        self,
        pages: int,
        mine: dict[int, int] | None = None,
        share: float = 1.0,
        remains: Remains | None = None,
        most: float = 0.0,
    ) -> None:
        """Free kernel pages of a load.

        ``mine`` are the pageblocks that were claimed for it, of which ``share`` is vacated, the youngest first. Some of
        these stay held for good: as many as ``remains`` says with ``most`` long-lived pages.
        """
        self.pages -= pages
        self.fresh = True
        if mine:
            owned = sum(mask.bit_count() for mask in mine.values())
            vacated = owned if share >= 1.0 else int(owned * share)
            if vacated:
                self._vacate(mine, vacated, remains.vacated(vacated, most) if remains is not None else 0)
        if self.shared:
            self._let_go_of(self.shared, self.nr_held - self._needed())

    def _vacate(self, mine: dict[int, int], vacated: int, staying: int) -> None:
        """Give up claims to ``vacated`` of these pageblocks; ``staying`` of them are left behind."""
        done = kept = 0
        for block in reversed(list(mine)):
            mask = highest(mine[block], min(vacated - done, mine[block].bit_count()))
            done += mask.bit_count()
            keep = staying * done // vacated - kept
            kept += keep
            stays = lowest(mask, keep)
            if stays:
                self.left[block] = self.left.get(block, 0) | stays
            if mask != stays:
                self.shared[block] = self.shared.get(block, 0) | (mask & ~stays)
            rest = mine[block] & ~mask
            if rest:
                mine[block] = rest
            else:
                del mine[block]
            if done == vacated:
                break
        self.nr_left += staying

    def reach(self, mine: dict[int, int] | None, pages: int) -> float:
        """Return the share of the pageblocks that ``pages`` of a load fill which were claimed for it.

        The others are leftovers of earlier loads, or shared with other loads.
        """
        if not mine:
            return 0.0
        owned = sum(mask.bit_count() for mask in mine.values())
        return min(1.0, owned * self._usable / pages)

    def novelty(self) -> float:
        """Return what of new leftovers does not find room in old ones: the kernel fills its half-used slabs first."""
        return self._left_half / (self._left_half + self.nr_left)

    def note_growth(self) -> None:
        """Note that memory was added after some was freed: leftovers are about to thin out."""
        self.fresh = False
        self.thinning = True

    def thin(self, keep: float) -> None:
        """Let leftovers that nobody uses thin out to the share ``keep``, once after :meth:`note_growth`."""
        self.thinning = False
        unused = min(self.nr_left, self.nr_held - self._needed())
        going = int(unused * (1.0 - keep))
        if going <= 0:
            return
        self.nr_left -= going
        self._let_go_of(self.left, going)

    def _let_go_of(self, some: dict[int, int], count: int) -> None:
        """Hold up to ``count`` pageblocks of ``some`` no longer, as many of each block as its share is."""
        total = sum(mask.bit_count() for mask in some.values())
        count = min(count, total)
        if count <= 0:
            return
        done = gone = 0
        for block, mask in list(some.items()):
            done += mask.bit_count()
            part = count * done // total - gone
            gone += part
            going = highest(mask, part)
            if going == mask:
                del some[block]
            else:
                some[block] = mask & ~going
            self._let_go(block, going)

    def _needed(self) -> int:
        return max(self.floor, -(-(self.pages - self.nr_fixed * self._spare) // self._usable))

    def _let_go(self, block: int, mask: int) -> None:
        """Hold pageblocks no longer."""
        if not mask:
            return
        rest = self.held[block] & ~mask
        if rest:
            self.held[block] = rest
        else:
            del self.held[block]
        self.nr_held -= mask.bit_count()
        self._freed(block)

    def _freed(self, block: int) -> None:
        if self.layout is not None:
            self.layout.freed(block)
        if block >= self.hot_from:
            self.changed[block] = self
