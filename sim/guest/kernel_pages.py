"""Which pageblocks of a kernel zone hold kernel pages: what decides whether memory comes back.

State is kept only for blocks that hold kernel pages (one integer bitmap each) and as runs of online blocks; a DIMM
of thousands of blocks is one run. Kernel pages go to the lowest addresses that are left, above what user pages fill
at that moment.
"""

from __future__ import annotations

from bisect import bisect_right

from sim.guest.bits import lowest
from sim.pages import PAGES_4K


class KernelPages:
    """Kernel pages of one zone by pageblock.

    Three kinds of bits: ``fixed`` (boot use, never given back), ``pieces`` (memmap, exactly one pageblock each) and
    ``held`` (slab, tables, stacks, data: at least one kernel page). ``pages`` counts the pages in held pageblocks.

    ``absent`` marks the pageblocks of online blocks that are unplugged. The invariants are in
    :mod:`sim.guest.invariants`.
    """

    __slots__ = (
        "_ends", "_full", "_left", "_left_half", "_spare", "_starts", "_usable", "absent", "changed", "fixed", "floor",
        "fresh", "held", "hint", "hot_from", "nr_absent", "nr_blocks", "nr_fixed", "nr_held",
        "nr_pieces", "pageblock", "pages", "pieces", "thinning", "width",
    )  # fmt: skip

    def __init__(self, width: int, fill: float, left_half: float, pageblock: int = PAGES_4K.pageblock_pages) -> None:
        """Make an empty one.

        ``width`` is the pageblocks in a block, ``pageblock`` the pages of one, ``fill`` the share of a held pageblock
        that gets used. With ``left_half`` pageblocks of leftovers, freed memory leaves half as much behind.
        """
        self.width = width
        self.pageblock = pageblock
        self._full = (1 << width) - 1
        self._usable = max(1, int(pageblock * fill))
        self._spare = pageblock - self._usable  # room left in a pageblock of the boot kernel
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.fixed: dict[int, int] = {}
        self.pieces: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.absent: dict[int, int] = {}
        """Pageblocks of online blocks that are unplugged."""
        self.nr_absent = 0
        self.nr_blocks = self.nr_fixed = self.nr_pieces = self.nr_held = self.pages = 0
        self.hot_from = 1 << 62
        """First block above all boot memory: what lies from here on was hotplugged."""
        self.changed: dict[int, KernelPages] = {}
        """Hotplugged blocks in which kernel pages came or went, with whose they are: for whoever follows that."""
        self.floor = 0
        """Held pageblocks that never come back: where an idle kernel has settled."""
        self.hint = 0
        """No block below this one has a pageblock without kernel pages."""
        self._left = 0.0
        self._left_half = left_half
        self.fresh = False
        """Memory was freed since the last growth: its leftovers have not thinned out yet."""
        self.thinning = False
        """Memory has grown since: they thin out before the next shrink."""

    # Runs of online blocks.

    def insert(self, first: int, count: int) -> None:
        """Add a run of blocks that went online. Amortised O(log runs)."""
        self.nr_blocks += count
        starts, ends = self._starts, self._ends
        if first < self.hint or self.nr_blocks == count:
            self.hint = first
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

    def _start_for(self, user_pages: int) -> int:
        """Return the block from which pages are free while user and kernel pages fill the zone from below."""
        blocks = (user_pages // self.pageblock + self.nr_held + self.nr_pieces + self.nr_fixed) // self.width
        for start, end in zip(self._starts, self._ends, strict=True):
            if blocks < end - start:
                return max(self.hint, start + blocks)
            blocks -= end - start
        return self.hint

    def _claim(self, into: dict[int, int], count: int, user_pages: int) -> list[tuple[int, int]]:
        """Claim up to ``count`` pageblocks without kernel pages, lowest first; return (block, mask) of each block."""
        out: list[tuple[int, int]] = []
        if user_pages >= self.pageblock:
            start = self._start_for(user_pages)
            count = self._claim_from(start, into, count, out)
            if count and start > self.hint:
                self._claim_from(self.hint, into, count, out)
        else:
            self._claim_from(self.hint, into, count, out)
            if out:
                self.hint = out[-1][0]
        for block, _ in out:
            if block >= self.hot_from:
                self.changed[block] = self
        return out

    def _claim_from(self, block: int, into: dict[int, int], count: int, out: list[tuple[int, int]]) -> int:
        """Claim at or above ``block``, append to ``out``, return how many are still wanted."""
        full, starts, ends = self._full, self._starts, self._ends
        held, pieces, fixed, absent = self.held, self.pieces, self.fixed, self.absent
        i = bisect_right(starts, block) - 1
        if i < 0 or block >= ends[i]:
            i += 1
            if i >= len(starts):
                return count
            block = starts[i]
        while count:
            free = full & ~(held.get(block, 0) | pieces.get(block, 0) | fixed.get(block, 0) | absent.get(block, 0))
            if free:
                if count == 1:
                    free &= -free
                    count = 0
                else:
                    surplus = free.bit_count() - count
                    if surplus > 0:
                        free = lowest(free, count)
                        count = 0
                    else:
                        count = -surplus
                into[block] = into.get(block, 0) | free
                out.append((block, free))
                if not count:
                    break
            block += 1
            if block >= ends[i]:
                i += 1
                if i >= len(starts):
                    break
                block = starts[i]
        return count

    def take_pieces(self, count: int, user_pages: int) -> list[tuple[int, int]]:
        """Claim up to ``count`` whole pageblocks for memmap. Return (block, mask) of each block used."""
        if count == 1 and user_pages < self.pageblock:
            # Inlined from take_pieces_by_search() because it saves 300 ns: a block of 128 MiB needs just one piece, and
            # the block of the hint mostly has one.
            block, pieces = self.hint, self.pieces
            i = bisect_right(self._starts, block) - 1
            mine = pieces.get(block, 0)
            unfree = mine | self.held.get(block, 0) | self.fixed.get(block, 0) | self.absent.get(block, 0)
            free = self._full & ~unfree
            if free and i >= 0 and block < self._ends[i]:
                free &= -free
                pieces[block] = mine | free
                self.nr_pieces += 1
                if block >= self.hot_from:
                    self.changed[block] = self
                return [(block, free)]
        return self.take_pieces_by_search(count, user_pages)

    def take_pieces_by_search(self, count: int, user_pages: int) -> list[tuple[int, int]]:
        """Do what :meth:`take_pieces` does, for any number of pieces and wherever they lie."""
        out = self._claim(self.pieces, count, user_pages)
        for _, mask in out:
            self.nr_pieces += mask.bit_count()
        return out

    def give_pieces(self, pieces: list[tuple[int, int]]) -> None:
        """Give memmap pageblocks back."""
        owned = self.pieces
        for block, mask in pieces:
            rest = owned[block] & ~mask
            if rest:
                owned[block] = rest
            else:
                del owned[block]
            self.hint = min(self.hint, block)
            self.nr_pieces -= mask.bit_count()
            if block >= self.hot_from:
                self.changed[block] = self

    def take(self, pages: int, user_pages: int) -> None:
        """Place kernel pages: first into held pageblocks with room, then into new ones.

        Never fails; a crowded zone packs denser.
        """
        self.pages += pages
        need = self.pages - self.nr_held * self._usable - self.nr_fixed * self._spare
        if need > 0:
            for _, mask in self._claim(self.held, -(-need // self._usable), user_pages):
                self.nr_held += mask.bit_count()

    def hold_one(self) -> None:
        """Hold one more pageblock than the pages need: kernel pages are not packed everywhere."""
        for _, mask in self._claim(self.held, 1, 0):
            self.nr_held += mask.bit_count()

    def fix(self, block: int, mask: int) -> None:
        """Mark pageblocks of an online block as the boot kernel's own: they never come back."""
        mask &= ~self.busy(block)
        if mask:
            self.fixed[block] = self.fixed.get(block, 0) | mask
            self.nr_fixed += mask.bit_count()

    def vacate(self, block: int, mask: int) -> list[tuple[int, int]]:
        """Have the kernel pages in these pageblocks of a block lie elsewhere; boot use stays.

        Returns where the memmap among them has gone, as (block, mask) of each block.
        """
        absent = self.absent.get(block, 0)
        self.absent[block] = absent | mask
        held, pieces = self.held.get(block, 0) & mask, self.pieces.get(block, 0) & mask
        for owned, bits in ((self.held, held), (self.pieces, pieces)):
            if bits:
                owned[block] &= ~bits
                if not owned[block]:
                    del owned[block]
        self._claim(self.held, held.bit_count(), 0)
        moved = self._claim(self.pieces, pieces.bit_count(), 0)
        if absent:
            self.absent[block] = absent
        else:
            del self.absent[block]
        self.hint = min(self.hint, block)
        return moved

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
        self.hint = min(self.hint, block)

    def give(self, pages: int, stay: float) -> None:
        """Free kernel pages; the share ``stay`` of their pageblocks remains held, for good: a leftover.

        Highest pageblocks go first. Pages that lay in leftovers of earlier loads (in proportion) give nothing back.
        The more leftovers there are, the fewer come on top.
        """
        self.pages -= pages
        self.fresh = True
        if self.nr_held:
            new = max(0, self.nr_held - self.floor - self.nr_left) / self.nr_held
            part = pages / self._usable * new
            stay *= self._left_half / (self._left_half + self._left)
            self._left += part * stay
            self._release(int(part * (1.0 - stay) + 0.5))

    @property
    def nr_left(self) -> int:
        """Pageblocks held by what earlier loads left behind."""
        return min(int(self._left), self.nr_held)

    def note_growth(self) -> None:
        """Note that memory was added after some was freed: leftovers are about to thin out."""
        self.fresh = False
        self.thinning = True

    def thin(self, keep: float) -> None:
        """Let leftovers that nobody uses thin out to the share ``keep``, once after :meth:`note_growth`."""
        self.thinning = False
        unused = min(self.nr_left, self.nr_held - self._needed())
        if unused > 0:
            count = int(unused * (1.0 - keep))
            self._left -= count
            self._release(count)

    def _needed(self) -> int:
        return max(self.floor, -(-(self.pages - self.nr_fixed * self._spare) // self._usable))

    def _release(self, count: int) -> None:
        count = min(count, self.nr_held - self._needed())
        if count <= 0:
            return
        self.nr_held -= count
        held = self.held
        for block in sorted(held, reverse=True):
            bits = held[block]
            while bits and count:
                bits &= ~(1 << (bits.bit_length() - 1))
                count -= 1
            if block >= self.hot_from:
                self.changed[block] = self
            self.hint = min(self.hint, block)
            if bits:
                held[block] = bits
            else:
                del held[block]
            if not count:
                return
