"""Runs of blocks that come or go one after the other, taken at once: the guest is then as if each had been told of.

What lies between two blocks is what decides: nothing of it may depend on a block of the run. So memmap may not lie in
one, nor may kernel pages be charged, and user pages may be in none. Whatever is not so goes block by block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sim.guest.layout import Layout
    from sim.guest.memmap import Memmaps
    from sim.guest.pressure import Stalls
    from sim.guest.zone import GuestZone
    from sim.guest.zones import GuestZones


class AtOnce:
    """Takes runs of fully plugged blocks of ``block_pages``; ``online`` is what the guest does with one zone's."""

    def __init__(
        self,
        zones: GuestZones,
        memmaps: Memmaps,
        stalls: Stalls,
        online: Callable[[int, int, int, int, int], None],
        block_pages: int,
        never: set[int],
        given_up: Mapping[int, int],
    ) -> None:
        self._zones = zones
        self._memmaps = memmaps
        self._stalls = stalls
        self._online = online
        self._block_pages = block_pages
        self._never = never
        """Boot blocks in MOVABLE that never go."""
        self._given_up = given_up
        """Blocks of which sub-blocks have been given up."""

    def unplug(self, zone_type: int, node: int, pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Take fully plugged blocks of a zone offline and remove them, one by one, the highest of each piece first.

        ``pieces`` are adjacent blocks as (first, blocks). Returns those that went: what comes before the first block
        that holds user pages, or of which kernel pages may be in the way.
        """
        zone = self._zones.by_key[node, zone_type]
        layout = zone.layout
        if layout is None or zone.cma is not None:
            return []
        if self._stalls.lost or self._never or self._given_up or self._memmaps.hosted:
            return []
        gone = []
        for first, count in pieces:
            block = last = first + count - 1
            while block >= first and (blocks := self._take_out(zone, layout, first, block)):
                self._memmaps.remove_down(block, blocks)
                block -= blocks
            if block < last:
                gone.append((block + 1, last - block))
            if block >= first:
                break
        if gone:
            self._zones.blocks_changed()
        return gone

    def unplug_one(self, zone_type: int, node: int, block: int) -> bool:
        """Take one fully plugged block of a zone offline and remove it, as :meth:`unplug`; False where it stays."""
        zone = self._zones.by_key[node, zone_type]
        layout, memmaps = zone.layout, self._memmaps
        if layout is None or zone.cma is not None:
            return False
        if self._stalls.lost or self._never or self._given_up or memmaps.hosted:
            return False
        if not self._take_out(zone, layout, block, block):
            return False
        self._zones.blocks_changed()
        memmaps.remove(block, 1)
        return True

    def _take_out(self, zone: GuestZone, layout: Layout, first: int, block: int) -> int:
        """Take blocks out of a zone from ``block`` down, to ``first`` at most; return how many went at once."""
        pageblocks, pages = zone.pageblocks, self._block_pages
        if zone.free < pages:
            return 0
        start = layout.fresh.start_of(block)
        if pageblocks is not None:
            # One at a time: the memmap of the one before may have been in the way.
            if start is None or pageblocks.thinning or pageblocks.busy(block):
                return 0
            layout.remove(block, 1)
            pageblocks.delete(block, 1)
            zone.shrink(pages)
            return 1
        if start is not None:
            blocks = min(block + 1 - max(start, first), zone.free // pages)
            layout.remove(block + 1 - blocks, blocks)
            zone.shrink(blocks * pages)
            return blocks
        if block in layout.plugged and block not in layout.used:
            zone.unplug_free(layout, block, pages)
            layout.remove(block, 1)
            return 1
        return 0

    def offline(self, zone_type: int, node: int, blocks: range) -> int:
        """Take fully plugged ``blocks`` of a zone, adjacent ones, offline in their order, upwards or downwards.

        They stay there, have alike been added with their memmap in them or not, and are no boot memory. Returns how
        many went: those before the first that holds user pages or kernel pages.
        """
        zone = self._zones.by_key[node, zone_type]
        layout, pageblocks, pages = zone.layout, zone.pageblocks, self._block_pages
        if layout is None or zone.cma is not None or self._given_up or (pageblocks is not None and pageblocks.thinning):
            return 0
        if blocks[0] in self._memmaps.hosted:
            pages -= self._memmaps.pages_per_block
        blocks = blocks[: zone.free // pages]
        if pageblocks is not None and blocks:
            low, high = sorted((blocks[0], blocks[-1]))
            busy = pageblocks.busy_blocks(low, high - low + 1)
            if busy:
                blocks = blocks[: blocks.index(busy[0] if blocks.step > 0 else busy[-1])]
        done = 0
        while done < len(blocks):
            block = blocks[done]
            alike = layout.untouched(block)
            if alike is not None:
                beyond = alike[-1] - block if blocks.step > 0 else block - alike[0]
                count = min(beyond + 1, len(blocks) - done)
                zone.shrink(count * pages)
            elif block in layout.plugged and block not in layout.used:
                count = 1
                zone.unplug_free(layout, block, pages)
            else:
                break
            first = block if blocks.step > 0 else block - count + 1
            layout.remove(first, count)
            if pageblocks is not None:
                pageblocks.delete(first, count)
            done += count
        if done:
            self._zones.blocks_changed()
        return done

    @property
    def takes_back(self) -> bool:
        """Whether blocks that are there can go online again without a closer look at what was lost meanwhile."""
        return not self._stalls.lost

    def back(self, zone_type: int, node: int, first: int, count: int) -> None:
        """Have ``count`` blocks from ``first``, which are there, go online again in their order."""
        zone = self._zones.by_key.get((node, zone_type))
        # What kernel pages do in the first memory of a zone is done when it has one block, and no more.
        alone = zone is None or not zone.managed
        if alone:
            self._online(zone_type, node, first, 1, self._block_pages)
        if count > alone:
            self._online(zone_type, node, first + alone, count - alone, self._block_pages)

    def most(self, node: int, count: int) -> int:
        """Return how many of ``count`` blocks find room for their memmap without a closer look, one after the other."""
        return 0 if self._stalls.lost else min(count, self._memmaps.surely(node))

    def plug(self, node: int, first: int, runs: Sequence[tuple[int, int]]) -> bool:
        """Add blocks from ``first`` and put them online as ``runs`` of (blocks, zone type) say, in turn.

        False, and nothing done, where a kernel zone is to get its first memory. No more blocks than :meth:`most` said.
        """
        memmaps = self._memmaps
        kernel = {zone_type for _, zone_type in runs if zone_type != ZONE_MOVABLE}
        for zone_type in kernel:
            zone = self._zones.by_key.get((node, zone_type))
            if zone is None or not zone.managed:
                return False
        for part in self._parts(runs, node, kernel=bool(kernel)):
            memmaps.add_each(node, first, sum(count for count, _ in part))
            for count, zone_type in part:
                self._online(zone_type, node, first, count, self._block_pages)
                first += count
        return True

    def _parts(self, runs: Sequence[tuple[int, int]], node: int, *, kernel: bool) -> Iterator[list[tuple[int, int]]]:
        """Yield ``runs`` in parts, such that all memmap of one may be taken before any of its blocks goes online."""
        memmaps = self._memmaps
        part: list[tuple[int, int]] = []
        room = 0
        for run in runs:
            left, zone_type = run
            while left:
                if not room:
                    if part:
                        yield part
                        part = []
                    room = memmaps.until_charged()
                    # Else memmap of the second block may have to lie in the first.
                    if kernel and room > 1 and not memmaps.holds(node, room):
                        room = 1
                count = min(left, room)
                part.append((count, zone_type))
                left -= count
                room -= count
        if part:
            yield part
