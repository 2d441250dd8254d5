"""The memmap of added memory: descriptors that kernel zones must hold for as long as the memory is there.

Follows mm/sparse-vmemmap.c (``vmemmap_populate_hugepages``): 64 bytes a page, taken when memory is added, for the
whole range at once, in pieces of 2 MiB while there are any and in single pages after that. arm64 with pages of 16 or
64 KiB takes single pages at once (``vmemmap_populate_basepages``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.guest.bits import lowest, relocate
from sim.guest.memmap_table import MemmapTable
from sim.guest.settled import LOT
from sim.guest.zone import Floor, GuestZone
from sim.memory.zones import ZONE_DMA
from sim.pages import PAGES_4K

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.guest.parameters import GuestParameters
    from sim.guest.reclaim import Reclaim
    from sim.guest.settled import SettledKernel
    from sim.guest.zones import GuestZones

Part = tuple[GuestZone, int, list[tuple[int, int]]]
"""Memmap in one zone: its pages, and the pageblocks taken whole as (block, mask)."""

Memmap = tuple[int, list[Part]]
"""Where the memmap of a range lies: the blocks of the range, and the parts."""

_BOOSTED_FROM: Final = 4
"""Pageblocks of a zone from which on its watermarks are boosted (mm/page_alloc.c, ``boost_watermark``)."""


class Memmaps:
    """``pages_per_block`` is the memmap of a block; ``hosted`` are the blocks that hold their own."""

    # Slots here and in what is looked at for each block save 300 ns of plugging one: less memory is touched.
    __slots__ = (
        "_by_first", "_fragments", "_kernel_lists", "_lost", "_pageblock", "_piece", "_reclaim", "_reclaims",
        "_settled", "_single", "_zones", "hosted", "pages_per_block", "pieces",
    )  # fmt: skip

    def __init__(
        self,
        zones: GuestZones,
        reclaim: Reclaim,
        settled: SettledKernel,
        block_pages: int,
        parameters: GuestParameters,
    ) -> None:
        geometry = parameters.geometry
        self.pages_per_block = geometry.memmap_pages(block_pages)
        self._piece = geometry.pageblock_pages if geometry.huge_memmap else 1
        self._pageblock = geometry.pageblock_pages
        self.pieces = self.pages_per_block // self._pageblock if geometry.huge_memmap else 0
        self._fragments = parameters.fragment_bytes // geometry.size
        self._reclaims = parameters.system_cache_bytes > 0
        """There is always something to reclaim, so that a boost of watermarks does not last."""
        self.hosted: set[int] = set()
        self._zones = zones
        self._kernel_lists = zones.kernel_lists
        self._reclaim = reclaim
        self._settled = settled
        self._by_first: dict[int, Memmap] = {}
        """By first block of the range, but for what is in the table."""
        self._single = MemmapTable(block_pages // self._pageblock)
        """That of blocks which were added one by one and took one piece each."""
        self._lost: list[Part] = []
        """Of adds that failed: sections that were done before the one that found no room keep their memmap."""

    def add(self, node: int, first_block: int, nr_blocks: int, hosted: bool) -> bool:  # noqa: FBT001
        """Take the memmap of a range from kernel zones, near ones first: 64 bytes a page, in 2 MiB pieces if possible.

        If ``hosted``, the range holds its own memmap and nothing is taken. Returns False for want of memory. What
        whole pieces were taken by then stays taken: nobody undoes them (mm/memory_hotplug.c, ``__add_pages``).
        """
        settled = self._settled
        if hosted:
            self.hosted.update(range(first_block, first_block + nr_blocks))
            settled.charge(nr_blocks)
            return True
        need = self.pages_per_block * nr_blocks
        zonelist = self._kernel_lists.get(node) or self._zones.kernel_list(node)
        for zone in zonelist:
            if zone.managed:
                break
        # A shortcut past find(), because it saves 500 ns, or 3 us where watermarks are stale: the low watermark is at
        # most a sixteenth and a thousandth of the zone, and the highest kernel zone keeps no reserve from kernel
        # requests. So above an eighth, and free CMA, neither has to be computed.
        if zone.free - need > (zone.managed >> 3) + zone.cma_free:
            parts = [take(zone, need)]
            if nr_blocks == self.pieces == 1 and parts[0][2]:
                self._single.put_one(first_block, zone, *parts[0][2][0])
                parts = []
        else:
            places, missing = self.find(zonelist, need)
            if missing:
                self._lost += [take(place, pages) for place, pages in places]
                return False
            parts = [take(place, pages) for place, pages in places]
        if parts:
            self._by_first[first_block] = (nr_blocks, parts)
        # Inlined from SettledKernel.charge(), because it saves 40 ns of every block.
        settled.due += settled.block_cost * nr_blocks
        if settled.due >= LOT:
            settled.pay()
        return True

    def surely(self, node: int) -> int:
        """Return how many blocks of ``node`` would surely find room, added one by one, by the shortcut of :meth:`add`.

        A block that goes online in the meantime leaves more room than the shortcut asks for it.
        """
        zone = self._first_zone(node)
        if zone is None or self._piece == 1:
            return 0
        charge = self._settled.block_cost // 1000 + 1
        room = zone.free - (zone.managed >> 3) - zone.cma_free - 1 - LOT // 1000
        return max(0, room // (self.pages_per_block + charge))

    def _first_zone(self, node: int) -> GuestZone | None:
        """Return the kernel zone that is asked first for memmap of ``node``."""
        for zone in self._kernel_lists.get(node) or self._zones.kernel_list(node):
            if zone.managed:
                return zone
        return None

    def until_charged(self) -> int:
        """Return how many blocks come before one for which kernel pages are charged, or 1 for that one."""
        settled = self._settled
        cost = settled.block_cost
        return max(1, (LOT - 1 - settled.due) // cost) if cost else LOT

    def holds(self, node: int, nr_blocks: int) -> bool:
        """Whether the memmap of so many blocks of ``node`` finds room in the blocks that are there now."""
        zone = self._first_zone(node)
        return zone is not None and zone.layout is not None and zone.layout.holds(nr_blocks * self.pieces)

    def add_each(self, node: int, first_block: int, nr_blocks: int) -> None:
        """Take the memmap of blocks that are added one by one, of as many at most as :meth:`surely` find room."""
        zone = self._first_zone(node)
        if nr_blocks == 1 or self.pieces != 1 or zone is None or zone.pageblocks is None:
            for block in range(first_block, first_block + nr_blocks):
                self.add(node, block, 1, False)  # noqa: FBT003
            return
        # What all of them come to: nothing is charged for between them.
        each = self.pages_per_block
        zone.recount.add(zone)
        zone.free -= each * nr_blocks
        zone.memmap += each * nr_blocks
        if zone.pcp > each:
            zone.pcp -= each * min(nr_blocks, (zone.pcp - 1) // each)
        done = self._single.put(first_block, zone, zone.pageblocks.take_pieces(nr_blocks))
        for block in range(first_block + done, first_block + nr_blocks):
            self._by_first[block] = (1, [(zone, each, [])])
        self._settled.due += self._settled.block_cost * nr_blocks

    def remove_down(self, block: int, nr_blocks: int) -> None:
        """Give back the memmap of blocks that are removed one by one, from ``block`` down."""
        settled = self._settled
        cost = settled.block_cost
        last = block - nr_blocks
        while block > last:
            uncharged = (LOT - 1 + settled.due) // cost if cost else block
            found = self._single.pop_down(block, min(block - last, uncharged))
            if not found:
                self.remove(block, 1)
                block -= 1
            for zone, pieces in found:
                number = sum(mask.bit_count() for _, mask in pieces)
                _give_back((zone, number * self.pages_per_block, pieces))
                settled.due -= cost * number
                block -= number

    def find(self, zonelist: Sequence[GuestZone], need: int) -> tuple[list[tuple[GuestZone, int]], int]:
        """Return which zones give how much of ``need`` pages, and what is missing with cache and slab given up."""
        self._zones.refresh_watermarks()
        found = self._places(zonelist, need)
        while found[1] and self._reclaim.cache(need, zonelist) + self._reclaim.slab(need, zonelist):
            found = self._places(zonelist, need)
        return found

    def _places(self, zonelist: Sequence[GuestZone], need: int) -> tuple[list[tuple[GuestZone, int]], int]:
        """Return which zones give how much, and what is missing, in the second try where there is any.

        Whole pieces in one zone, the next one takes over: rounding keeps a piece from being split.
        """
        for floor in (Floor.KERNEL_LOW, Floor.KERNEL_MIN):
            parts, missing = [], need
            for zone in zonelist:
                room = zone.free - self._least(zone, floor)
                part = missing if room >= missing else room - room % self._piece
                if part > 0:
                    parts.append((zone, part))
                    missing -= part
            if not missing:
                break
        return parts, missing

    def _least(self, zone: GuestZone, floor: Floor) -> int:
        """Return the pages that memmap leaves in a zone.

        Where whole pieces are gone, what is left has to be taken page by page out of pageblocks of user pages, and the
        first time that happens raises the minimum by a pageblock (mm/page_alloc.c, ``boost_watermark``; once more does
        not help). So it ends there, or with the fragments where they are fewer: what loads use of the kernel's memory
        comes out of them first. Zone DMA is hardly used, and so in one piece; a zone of few pageblocks is not boosted.
        Where programs have page cache, kswapd runs and takes the boost back at once (mm/vmscan.c, ``balance_pgdat``);
        where nothing can be reclaimed it has given up, and nobody does.
        """
        least = zone.floors[floor]
        if self._reclaims or zone.type == ZONE_DMA or zone.managed < _BOOSTED_FROM * self._pageblock:
            return least
        fragments = self._fragments - (zone.kernel - self._settled.pages_in(zone)) + zone.cma_free
        return max(least, min(zone.floors[Floor.KERNEL_MIN] + self._pageblock, fragments))

    def most_room(self) -> int:
        """Return the most pages that one kernel zone has left above what memmap leaves in it."""
        self._zones.refresh_watermarks()
        zones = self._zones.kernel_zones(None)
        return max((zone.free - self._least(zone, Floor.KERNEL_MIN) for zone in zones), default=0)

    def parts(self) -> list[Part]:
        """Return where all memmap lies."""
        parts = [part for _, parts in self._by_first.values() for part in parts] + self._lost
        return parts + [self._part(zone, piece) for _, zone, *piece in self._single]

    def _part(self, zone: GuestZone, piece: Sequence[int]) -> Part:
        """Return the memmap of a block in the table."""
        block, mask = piece
        return zone, self.pages_per_block, [(block, mask)]

    def move(self, zone: GuestZone, block: int, places: Mapping[int, tuple[int, int]]) -> None:
        """Note where what lay in ``block`` of ``zone`` lies, bit by bit: see :meth:`KernelPages.vacate`."""
        for at in [at for at, home, where, _ in self._single if home is zone and where == block]:
            home, *piece = self._single.pop(at)
            self._by_first[at] = (1, [self._part(home, piece)])
        for home, _, pieces in self.parts():
            if home is zone and any(where == block for where, _ in pieces):
                masks: dict[int, int] = {}
                for where, mask in pieces:
                    masks[where] = masks.get(where, 0) | mask
                relocate(masks, block, places)
                pieces[:] = masks.items()

    def remove(self, first_block: int, nr_blocks: int) -> None:
        """Give back the memmap of an added range: all of it, or single blocks of it one after another."""
        settled = self._settled
        settled.due -= settled.block_cost * nr_blocks  # inlined from SettledKernel.charge(), as above
        if settled.due <= -LOT:
            settled.pay()
        if self.hosted:
            self.hosted.difference_update(range(first_block, first_block + nr_blocks))
        if self._single.any(first_block, nr_blocks):
            for block in range(first_block, first_block + nr_blocks):
                if self._single.holds(block):
                    zone, *piece = self._single.pop(block)
                    _give_back(self._part(zone, piece))
            if nr_blocks == 1:
                return
        memmap = self._by_first.get(first_block)
        if memmap is not None and memmap[0] == nr_blocks:
            del self._by_first[first_block]
            for part in memmap[1]:
                _give_back(part)
        elif self._by_first:
            self._remove_part(first_block, nr_blocks)

    def _remove_part(self, first: int, count: int) -> None:
        """Give back the memmap of ``count`` blocks out of ranges that were added with other bounds."""
        end = first + count
        for start in [s for s, (blocks, _) in self._by_first.items() if s < end and first < s + blocks]:
            blocks, parts = self._by_first.pop(start)
            stop = start + blocks
            for rest_start, rest_stop in ((start, max(start, first)), (min(stop, end), stop)):
                if rest_start < rest_stop:
                    rest = rest_stop - rest_start
                    self._by_first[rest_start] = (rest, split(parts, rest * self.pages_per_block, self._piece))
            for part in parts:
                if part[1]:
                    _give_back(part)


def take(zone: GuestZone, pages: int) -> Part:
    """Use free pages of a zone as memmap, in whole pageblocks as far as they fill them."""
    zone.recount.add(zone)
    zone.free -= pages
    zone.memmap += pages
    if zone.pcp > pages:
        zone.pcp -= pages
    pageblocks = zone.pageblocks
    if pageblocks is None:
        return zone, pages, []
    if not zone.huge_memmap:
        pageblocks.take_shared(pages)
        return zone, pages, []
    return zone, pages, pageblocks.take_pieces(pages // pageblocks.pageblock)


def _give_back(part: Part) -> None:
    zone, pages, pieces = part
    zone.recount.add(zone)
    zone.free += pages
    zone.memmap -= pages
    zone.fill_pcp(pages)
    if zone.pageblocks is None:
        return
    if pieces:
        zone.pageblocks.give_pieces(pieces)
    elif not zone.huge_memmap:
        zone.pageblocks.give(pages)


def split(parts: list[Part], pages: int, piece: int = PAGES_4K.pageblock_pages) -> list[Part]:
    """Cut ``pages`` pages of memmap off ``parts`` (which keep the rest) and return them; ``piece`` is a pageblock."""
    out = []
    for i, (zone, held, pieces) in enumerate(parts):
        cut_pages = min(held, pages)
        if not cut_pages:
            continue
        pages -= cut_pages
        whole = cut_pages // piece if held > cut_pages else sum(mask.bit_count() for _, mask in pieces)
        cut: list[tuple[int, int]] = []
        rest: list[tuple[int, int]] = []
        for block, mask in pieces:
            cut_mask = lowest(mask, min(whole, mask.bit_count()))
            whole -= cut_mask.bit_count()
            if cut_mask:
                cut.append((block, cut_mask))
            if mask != cut_mask:
                rest.append((block, mask ^ cut_mask))
        parts[i] = (zone, held - cut_pages, rest)
        out.append((zone, cut_pages, cut))
    return out
