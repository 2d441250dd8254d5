"""The memmap of added memory: descriptors that kernel zones must hold for as long as the memory is there.

Follows mm/sparse-vmemmap.c (``vmemmap_populate_hugepages``): 64 bytes a page, taken when memory is added, for the
whole range at once, in pieces of 2 MiB while there are any and in single pages after that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.contract import DMA
from sim.guest.loads import LoadKind
from sim.guest.migration import Migration

if TYPE_CHECKING:
    from sim.guest.parameters import GuestParameters
    from sim.guest.zone import Zone

_PAGEBLOCK = 512
_LOT = 100_000
"""Thousandths of a page after which block overhead is charged."""
SETTLED = "(settled kernel)"
"""Name of the load that stands for kernel pages which nobody asked for: blocks' own structures, and what settles in
new zones."""


Part = tuple["Zone", int, list[tuple[int, int]]]
"""Memmap in one zone: its pages, and the pageblocks taken whole as (block, mask)."""

Memmap = tuple[int, list[Part]]
"""Where the memmap of a range lies: the blocks of the range, and the parts. A plain tuple, as one is made per block."""


class Memmaps(Migration):
    """Adds what memory costs merely by being there."""

    def __init__(self, parameters: GuestParameters, block_pages: int) -> None:
        """Make a guest without memory; ``block_pages`` pages of a memory block."""
        super().__init__(parameters, block_pages)
        self._memmaps: dict[int, Memmap] = {}
        """By first block of the range."""
        self._hosted: set[int] = set()
        """Blocks that hold their own memmap."""
        self._memmap_pages = block_pages // 64
        self._overhead_pages_x1000 = parameters.block_overhead_bytes * 1000 // 4096
        self._overhead_due = 0
        self._home = 0
        """Node whose CPUs run the idle kernel: the first with memory."""

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        """Take the memmap of a range from kernel zones, near ones first: 64 bytes a page, in 2 MiB pieces if possible.

        With ``altmap`` the range holds its own memmap and nothing is taken. Returns False for want of memory, with
        nothing taken.
        """
        if altmap:
            self._hosted.update(range(first_block, first_block + nr_blocks))
            self._charge_overhead(nr_blocks)
            return True
        need = self._memmap_pages * nr_blocks
        zones = self._kernel_lists.get(node) or self._kernel_list(node)
        for z in zones:
            if z.managed:
                break
        # The low watermark is at most a sixteenth and a thousandth of the zone, and the highest kernel zone keeps
        # no reserve from kernel requests: above an eighth there is no need to compute either.
        if z.free - need > z.managed >> 3:
            parts = [self._take_memmap(z, need)]
        else:
            found = self._find_memmap(zones, need)
            if found is None:
                return False
            parts = [self._take_memmap(x, n) for x, n in found]
        self._memmaps[first_block] = (nr_blocks, parts)
        # This is _charge_overhead(), written out: it runs with every block.
        self._overhead_due += self._overhead_pages_x1000 * nr_blocks
        if self._overhead_due >= _LOT:
            self._pay_overhead()
        return True

    def _charge_overhead(self, nr_blocks: int) -> None:
        """Note what blocks cost (or, negative, gave back) besides their memmap; it is charged in lots."""
        self._overhead_due += self._overhead_pages_x1000 * nr_blocks
        if not -_LOT < self._overhead_due < _LOT:
            self._pay_overhead()

    def _find_memmap(self, zones: tuple[Zone, ...], need: int) -> list[tuple[Zone, int]] | None:
        """Return which zones can give ``need`` pages, clean cache and slab given up if need be; None if they cannot."""
        self._fresh_watermarks()
        share = self.parameters.kernel_min_share
        for attempt in range(2):
            for low in (True, False):
                out, left = [], need
                for z in zones:
                    room = z.free - (z.low if low else int(z.min * share)) - z.reserve_kernel
                    # Whole pieces in this zone, the next one takes over: rounding keeps a piece from being split.
                    n = min(left, room if room >= left else room // _PAGEBLOCK * _PAGEBLOCK)
                    if n > 0:
                        out.append((z, n))
                        left -= n
                if not left:
                    return out
            if attempt == 0 and not self._reclaim_cache(need, zones) + self._reclaim_slab(need, zones):
                return None
        return None

    def _take_memmap(self, z: Zone, pages: int) -> Part:
        z.free -= pages
        z.memmap += pages
        if z.pcp > pages:
            z.pcp -= pages
        blocks = z.blocks
        if blocks is None or z.zone == DMA:
            return z, pages, []
        return z, pages, blocks.take_pieces(pages // _PAGEBLOCK, z.user)

    def memmap_parts(self) -> list[Part]:
        """Return where all memmap lies: zone, pages, pageblocks taken whole as (block, mask)."""
        return [part for _, parts in self._memmaps.values() for part in parts]

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Give back the memmap of an added range: all of it, or single blocks of it one after another."""
        self._charge_overhead(-nr_blocks)
        if self._hosted:
            self._hosted.difference_update(range(first_block, first_block + nr_blocks))
        found = self._memmaps.get(first_block)
        if found is not None and found[0] == nr_blocks:
            del self._memmaps[first_block]
            for z, pages, pieces in found[1]:
                self._give_memmap(z, pages, pieces)
        elif self._memmaps:
            self._remove_part(first_block, nr_blocks)

    def _give_memmap(self, z: Zone, pages: int, pieces: list[tuple[int, int]]) -> None:
        z.free += pages
        z.memmap -= pages
        z.fill_pcp(pages)
        if pieces and z.blocks is not None:
            z.blocks.give_pieces(pieces)

    def _remove_part(self, first: int, nr: int) -> None:
        """Give back the memmap of ``nr`` blocks out of ranges that were added with other bounds."""
        end = first + nr
        for start in [s for s, (nr, _) in self._memmaps.items() if s < end and first < s + nr]:
            nr_blocks, parts = self._memmaps.pop(start)
            a, b = max(start, first), min(start + nr_blocks, end)
            for left, right in ((start, a), (b, start + nr_blocks)):
                if left < right:
                    self._memmaps[left] = (right - left, _split(parts, (right - left) * self._memmap_pages))
            for z, pages, pieces in parts:
                if pages:
                    self._give_memmap(z, pages, pieces)

    def _pay_overhead(self) -> None:
        """Charge or give back what blocks cost besides their memmap, in lots of 100 pages or more."""
        load = self.loads.get(SETTLED) or self._load(SETTLED, LoadKind.KERNEL, self._home)
        pages = int(self._overhead_due / 1000)
        self._overhead_due -= pages * 1000
        if pages > 0:
            self._take_kernel(load, pages)
            return
        for z in list(load.kernel):
            n = min(load.kernel[z], -pages)
            self._drop_kernel(load, z, n, slab=False)
            pages += n


def _split(parts: list[Part], pages: int) -> list[Part]:
    """Cut ``pages`` pages of memmap off ``parts`` (which keep the rest) and return them."""
    out = []
    for i, (z, have, pieces) in enumerate(parts):
        n = min(have, pages)
        if not n:
            continue
        pages -= n
        want = n // _PAGEBLOCK if have > n else sum(m.bit_count() for _, m in pieces)
        cut: list[tuple[int, int]] = []
        rest: list[tuple[int, int]] = []
        for block, all_bits in pieces:
            mask, take = all_bits, 0
            while mask and want:
                take |= mask & -mask
                mask &= mask - 1
                want -= 1
            if take:
                cut.append((block, take))
            if mask:
                rest.append((block, mask))
        parts[i] = (z, have - n, rest)
        out.append((z, n, cut))
    return out
