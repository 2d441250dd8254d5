"""The guest: hotplug side of the model, on top of zones and demands.

One event costs a few dictionary look-ups and additions, whatever the memory size: runs of blocks are taken as a
whole, and only blocks that hold kernel pages have state of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.bits import highest, per_pageblock, per_subblock
from sim.guest.contract import DMA, MOVABLE, NORMAL, Given, OfflineOutcome
from sim.guest.invariants import check
from sim.guest.loads import LoadKind
from sim.guest.memmap import SETTLED, Memmaps
from sim.guest.parameters import GuestParameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.guest.boot import BootZone
    from sim.guest.zone import Zone

_PAGEBLOCK = 512
_DONE = OfflineOutcome()


class GuestModel(Memmaps):
    """A guest's memory by zone, who uses it, and what hotplug can take back.

    Conservation is checked by :meth:`check`. Not thread-safe; deterministic, without randomness.
    """

    def __init__(self, parameters: GuestParameters | None = None, *, block_pages: int = 32768) -> None:
        """Make a guest without memory. ``block_pages``: pages of a memory block (a multiple of a pageblock).

        Raises ValueError for a block size that is not.
        """
        if block_pages < _PAGEBLOCK or block_pages % _PAGEBLOCK:
            raise ValueError(f"block_pages: {block_pages} is not a multiple of a pageblock of {_PAGEBLOCK} pages")
        super().__init__(parameters or GuestParameters(), block_pages)
        self._boot_end = -1
        """Highest boot block."""
        self._stuck: set[int] = set()
        """Boot blocks in MOVABLE with boot allocations in them."""
        self._given: dict[int, int] = {}
        """Sub-blocks of online blocks that were in use and were given up."""

    # Boot.

    def boot(self, zones: Iterable[BootZone]) -> None:
        """Set the memory that exists at boot; call it once, before anything else."""
        zones = list(zones)
        self._home = min((b.node for b in zones), default=0)
        for b in zones:
            z = self._zone(b.node, b.zone)
            z.managed, z.free, z.pcp = b.managed, b.free, b.pcp
            z.reserved = b.managed - b.free
            for first, nr in b.runs:
                self._boot_end = max(self._boot_end, first + nr - 1)
            if z.blocks is not None and b.zone != DMA:
                for first, nr in b.runs:
                    z.blocks.insert(first, nr)
                _fix_boot_use(z, b)
            elif b.zone == MOVABLE and b.runs and b.managed < b.present:
                self._stuck.add(max(first + nr for first, nr in b.runs) - 1)
        self._fix_node_structures(zones)
        self._hot_from = self._boot_end + 1
        for z in self.zones.values():
            z.boot_managed = z.managed if z.blocks is None else 0
            if z.blocks is not None:
                z.blocks.hot_from = self._hot_from
        self._huge_pages = sum(z.managed for z in self.zones.values()) * 4096 >= self.parameters.thp_min_boot_bytes
        self._stale = True

    def _fix_node_structures(self, zones: list[BootZone]) -> None:
        """Keep a pageblock for each node's own structures and threads: in its highest kernel zone, at the bottom."""
        for node in {b.node for b in zones}:
            mine = [b for b in zones if b.node == node and b.zone not in {DMA, MOVABLE} and b.runs]
            if mine:
                top = max(mine, key=lambda b: b.zone)
                tracked = self.zones[node, top.zone].blocks
                if tracked is not None:
                    tracked.fix(min(first for first, _ in top.runs), 1)

    # Online and offline.

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Hand the pages of a run of blocks to a zone.

        ``pages_per_block`` counts what is plugged, lowest sub-blocks first. Of blocks added with ``altmap`` the zone
        gets less by their memmap; the guest sees to that itself, here and when they go.
        """
        if self._hosted and first_block in self._hosted:
            pages_per_block -= self._memmap_pages
        z = self.zones.get((node, zone)) or self._zone(node, zone)
        pages = nr_blocks * pages_per_block
        new = not z.managed
        z.managed += pages
        z.free += pages
        self._stale = True
        blocks = z.blocks
        if blocks is not None:
            if blocks.fresh:
                blocks.note_growth()
            blocks.insert(first_block, nr_blocks)
            if pages_per_block < self.block_pages and first_block not in self._hosted:
                self._mark_absent(z, first_block, nr_blocks, pages_per_block)
            if new and zone == NORMAL and pages and node == self._home:
                self._settle(z)

    def _mark_absent(self, z: Zone, first: int, nr: int, pages_per_block: int) -> None:
        """Note the unplugged rest of partly plugged blocks."""
        if z.blocks is None:
            return
        plugged = pages_per_block // _PAGEBLOCK
        mask = (1 << (self.block_pages // _PAGEBLOCK)) - (1 << plugged)
        for block in range(first, first + nr):
            z.blocks.remove_pageblocks(block, mask)

    def _settle(self, z: Zone) -> None:
        """Let a few kernel pages move into a zone Normal that hotplug has just created, as the idle kernel does."""
        blocks = z.blocks
        if blocks is None:
            return
        pages = min(self.parameters.zone_settle_pages, z.free)
        load = self.loads.get(SETTLED) or self._load(SETTLED, LoadKind.KERNEL, self._home)
        if pages:
            self._put_kernel(load, z, pages, slab=False)
        z.pcp = self.parameters.zone_settle_pcp_pages
        while blocks.nr_held < self.parameters.zone_settle_pageblocks and blocks.untouched():
            blocks.hold_one()
        blocks.floor = blocks.nr_held

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        """Say whether a block would go offline now: a MOVABLE one always, a kernel one without kernel pages in it."""
        z = self.zones.get((node, zone))
        if z is None:
            return False
        if z.blocks is None:
            return block not in self._stuck
        return z.zone != DMA and not z.blocks.busy(block)

    def offline(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> OfflineOutcome:
        """Take all blocks of a run that will go out of their zone; their user pages move elsewhere.

        Blocks with kernel pages refuse. Where pages find no place elsewhere, processes are killed until they do.
        """
        if self._hosted and first_block in self._hosted:
            pages_per_block -= self._memmap_pages
        z = self.zones[node, zone]
        blocks = z.blocks
        if self._given:
            self._forget_given(first_block, nr_blocks)
        if blocks is None:
            pages = nr_blocks * pages_per_block
            if z.free >= pages and not self._stuck:
                z.managed -= pages
                z.free -= pages
                z.pcp = z.pcp_loads = 0
                self._stale = True
                return _DONE
            refused = tuple(sorted(b for b in self._stuck if first_block <= b < first_block + nr_blocks))
        else:
            if blocks.thinning:
                blocks.thin(self.parameters.regrow_keep_share)
            refused = tuple(blocks.busy_blocks(first_block, nr_blocks))
        start, moved, ooms = first_block, 0, []
        for stop in (*refused, first_block + nr_blocks):
            if stop > start:
                pages = (stop - start) * pages_per_block
                m, o = self._withdraw(z, pages, drop_cache=False)
                self._stale = True
                moved += m
                ooms += o
                if blocks is not None:
                    blocks.delete(start, stop - start)
            start = stop + 1
        return OfflineOutcome(refused, moved, tuple(ooms))

    # Sub-blocks of virtio-mem.

    def give_subblocks(self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, want: int) -> Given:
        """Give up at most ``want`` plugged sub-blocks of an online block, highest first.

        ``plugged_mask`` has a bit for each plugged sub-block of ``sub_pages`` pages. A sub-block with a kernel page
        is busy and left out; clean page cache in the way is dropped, other user pages move.
        """
        z = self.zones[node, zone]
        blocks = z.blocks
        mask = plugged_mask
        if blocks is not None:
            if blocks.thinning:
                blocks.thin(self.parameters.regrow_keep_share)
            busy = blocks.busy(block)
            if busy:
                mask &= ~per_subblock(busy, sub_pages // _PAGEBLOCK)
            mask = highest(mask, min(want, (z.free + z.user) // sub_pages))
        else:
            if block in self._stuck:
                return Given(0)
            mask = highest(mask, want)
        pages = mask.bit_count() * sub_pages
        if not pages:
            return Given(0)
        if mask != plugged_mask:  # the block stays
            self._given[block] = self._given.get(block, 0) | mask
        if blocks is not None:
            blocks.remove_pageblocks(block, per_pageblock(mask, sub_pages // _PAGEBLOCK))
        elif z.free >= pages:
            z.managed -= pages
            z.free -= pages
            z.pcp = z.pcp_loads = 0
            return Given(mask)
        moved, ooms = self._withdraw(z, pages, drop_cache=True)
        return Given(mask, moved, tuple(ooms))

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        """Take sub-blocks of an online block into use."""
        z = self.zones[node, zone]
        pages = mask.bit_count() * sub_pages
        z.managed += pages
        z.free += pages
        given = self._given.get(block)
        if given is not None:
            # What was in use before comes back page by page, through the CPU's list; what never was does not.
            again = given & mask
            if again:
                z.fill_pcp_loads(again.bit_count() * sub_pages)
                self._given[block] = given & ~mask
        if z.blocks is not None:
            if z.blocks.fresh:
                z.blocks.note_growth()
            z.blocks.add_pageblocks(block, per_pageblock(mask, sub_pages // _PAGEBLOCK))

    def _forget_given(self, first: int, nr: int) -> None:
        """Forget which sub-blocks of blocks that go offline were in use once."""
        if nr == 1:
            self._given.pop(first, None)
        else:
            for block in [b for b in self._given if first <= b < first + nr]:
                del self._given[block]

    # What could be given back.

    def returnable_pages(self) -> int:
        """Return the hotplugged pages that could be returned right now, piece by piece and without a kill.

        Pageblocks with kernel pages stay, and user pages must fit into what is left; clean page cache would be dropped.
        """
        self._fresh_watermarks()
        out = room = 0
        for z in self.zones.values():
            out += z.managed - z.boot_managed if z.blocks is None else z.blocks.nr_hot_free * _PAGEBLOCK
            left = z.free + z.cache - z.min - z.reserve_user
            if left > 0:
                room += left
        return min(out, room)

    def returnable_blocks(self) -> int:
        """Return the hotplugged kernel blocks online that hold no kernel page: those a DIMM could give back.

        Costs the others.
        """
        out = 0
        for z in self.zones.values():
            blocks = z.blocks
            if blocks is not None:
                hot = sum(max(0, first + nr - max(first, self._boot_end + 1)) for first, nr in blocks.runs())
                out += hot - sum(1 for b in blocks.held.keys() | blocks.pieces.keys() if b > self._boot_end)
        return out

    def check(self) -> None:
        """Check all invariants slowly. Raises InvariantError naming the one that does not hold."""
        check(self)


def _fix_boot_use(z: Zone, boot: BootZone) -> None:
    """Place the boot kernel's own use: half in block 0 (its image), the rest at the top of the zone."""
    blocks = z.blocks
    if blocks is None:
        return
    width = blocks.width
    used = max(0, sum(nr for _, nr in boot.runs) * width - boot.free // _PAGEBLOCK)
    if any(first == 0 for first, _ in boot.runs):
        low = min(width, -(-used // 2))
        blocks.fix(0, (1 << low) - 1)
        used -= low
    for first, nr in sorted(boot.runs, reverse=True):
        for block in range(first + nr - 1, first - 1, -1):
            n = min(used, width)
            if not n:
                return
            blocks.fix(block, ((1 << n) - 1) << (width - n))
            used -= n
