"""The guest, put together, and its hotplug side: blocks and sub-blocks that come and go.

One event costs a few dictionary look-ups and additions, whatever the memory size: runs of blocks are taken as a
whole, and only blocks that hold kernel pages have state of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.allocation import Allocation
from sim.guest.at_once import AtOnce
from sim.guest.bits import highest, per_pageblock, per_subblock, relocate
from sim.guest.boot import stuck_blocks
from sim.guest.contract import OfflineOutcome, OomKind, SubblockOutcome
from sim.guest.demands import Demands
from sim.guest.figures import Figures
from sim.guest.invariants import check
from sim.guest.loads import Loads
from sim.guest.meminfo import Meminfo
from sim.guest.memmap import Memmaps
from sim.guest.migration import Migration
from sim.guest.oom import OomKiller
from sim.guest.parameters import GuestParameters
from sim.guest.pressure import Stalls
from sim.guest.read_back import ReadBack
from sim.guest.reclaim import Reclaim
from sim.guest.settled import SettledKernel
from sim.guest.write_back import WriteBack
from sim.guest.zones import GuestZones
from sim.memory.zones import ZONE_NORMAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.guest.boot import BootZone
    from sim.guest.contract import OomEvent
    from sim.guest.kernel_pages import KernelPages
    from sim.guest.zone import GuestZone

_DONE = OfflineOutcome()


class GuestModel:
    """A guest's memory by zone, who uses it, and what hotplug can take back.

    Implements :class:`sim.guest.contract.Guest`. ``demands`` is asked for memory, ``meminfo`` says what is left,
    ``figures`` what an agent in the guest would report, ``stalls`` who waits for memory, ``killer`` knows whom the
    out-of-memory killer took, ``memmaps`` where the memmap of added memory lies, ``migration`` what was moved.
    ``zones`` (by node and zone type) and ``loads`` (by name) are there to be read, and ``changes`` says when to read
    them again. Not thread-safe; deterministic, without randomness.
    """

    def __init__(self, parameters: GuestParameters | None = None, *, block_pages: int = 32768) -> None:
        """Make a guest without memory. ``block_pages``: pages of a memory block (a multiple of a pageblock).

        Raises ValueError for a block size that is not.
        """
        self.parameters = parameters = parameters or GuestParameters()
        self._pageblock = pageblock = parameters.geometry.pageblock_pages
        if block_pages < pageblock or block_pages % pageblock:
            raise ValueError(f"block_pages: {block_pages} is not a multiple of a pageblock of {pageblock} pages")
        self._block_pages = block_pages
        self._zones = GuestZones(parameters, block_pages)
        self.zones = self._zones.by_key
        self.changes = self._zones.changes
        self.stalls = Stalls(parameters)
        loads = Loads(parameters, self.stalls)
        self.loads = loads.by_name
        self.meminfo = Meminfo(self._zones, loads, parameters)
        self.figures = Figures(self._zones, loads, self.meminfo, parameters)
        self.killer = OomKiller(loads, self.meminfo, self.stalls, parameters)
        self._reclaim = reclaim = Reclaim(self._zones, loads, parameters)
        allocation = Allocation(self._zones, reclaim, self.stalls)
        self.write_back = WriteBack(self._zones, loads, parameters)
        self.read_back = ReadBack(self.changes, allocation, loads, self.stalls, parameters)
        self.demands = Demands(self.changes, loads, allocation, reclaim, self.write_back, self.killer, parameters)
        self.migration = Migration(self._zones, loads, reclaim, self.killer)
        self._lists_decay = parameters.pcp_adaptive_share > 0
        self._settled = SettledKernel(loads, allocation, parameters)
        self.memmaps = Memmaps(self._zones, reclaim, self._settled, block_pages, parameters)
        self._hosted = self.memmaps.hosted
        self._stuck: set[int] = set()
        """Boot blocks in MOVABLE with boot allocations in them: they never go."""
        self._given_up: dict[int, int] = {}
        """Sub-blocks of online blocks that were in use and were given up."""
        self.at_once = AtOnce(
            self._zones, self.memmaps, self.stalls, self.online, block_pages, self._stuck, self._given_up
        )

    def boot(self, zones: Iterable[BootZone]) -> None:
        """Set the memory that exists at boot; call it once, before anything else."""
        boot_zones = list(zones)
        self._settled.home = min((boot.node for boot in boot_zones), default=0)
        self._stuck.update(stuck_blocks(boot_zones))
        self._zones.boot(boot_zones)

    def follow_from(self, block: int) -> None:
        """Have ``changed_blocks`` tell of all blocks from ``block`` on, though some of boot memory lies above."""
        self._zones.follow_from(block)

    def advance(self, now_us: int) -> None:
        """Let time pass until microsecond ``now_us``. Cheap: to be called before each use at a later time.

        By itself something happens at ``write_back.due_us``, and whoever has a clock calls it then, too. At
        ``read_back.due_us`` he calls ``read_back.tick``; who does not has a guest whose programs read files once.
        """
        # Asked here, because for nearly every sample nothing is due: that saves 1 us of each.
        write_back = self.write_back
        write_back.now_us = now_us
        if write_back.due_us is not None and now_us >= write_back.due_us:
            write_back.advance(now_us)
            self.changes.count += 1
        if self._lists_decay:
            self._zones.decay_lists(now_us)

    def rests_until(self, then_us: int) -> bool:
        """Whether time alone changes nothing until microsecond ``then_us`` but how long somebody has waited."""
        due = self.write_back.due_us
        return (due is None or due > then_us) and (not self._lists_decay or self._zones.lists_decay_at() is None)

    def changes_by_itself(self) -> int | None:
        """Return the next microsecond at which time alone changes what the guest reports; None where none does."""
        rises = self.stalls.rises_at()
        decays = self._zones.lists_decay_at() if self._lists_decay else None
        return rises if decays is None else decays if rises is None else min(rises, decays)

    def check(self) -> None:
        """Check all invariants slowly. Raises InvariantError naming the one that does not hold."""
        check(self.zones.values(), self.loads.values(), self.memmaps.parts())

    # Memory added and removed ---------------------------------------------------------------------------------------

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        """Take the memmap of a range being added; False where kernel memory does not suffice.

        What whole pieces were taken by then stays taken.
        """
        self.changes.count += 1
        return self.memmaps.add(node, first_block, nr_blocks, altmap)

    def starve(self) -> tuple[OomEvent, ...]:
        """Have somebody else allocate after an add that failed: kill until that is served, or the guest is dead.

        Of the add the sections done by then keep their memmap, so that less than one more is left above what kernel
        requests may have with the minimum raised on the way (:mod:`sim.guest.memmap`), and of that a piece of 2 MiB may
        lie on a CPU's list. So the next allocation of anybody brings the killer, unless page cache is there that can
        always be dropped: that of the programs themselves.
        """
        self.changes.count += 1
        parameters = self.parameters
        piece = min(parameters.geometry.pageblock_pages, self.memmaps.pages_per_block)
        enough = piece - parameters.system_cache_bytes // parameters.geometry.size
        events: list[OomEvent] = []
        while not self.killer.guest_died and self.memmaps.most_room() < enough:
            if not self._reclaim.in_time(enough, self._zones.kernel_zones(None)):
                events += self.killer.kill(OomKind.KERNEL)
        return tuple(events)

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Give back the memmap of an added range, or of a part of it."""
        if self.stalls.lost:
            self.read_back.look()
        self.changes.count += 1
        self.memmaps.remove(first_block, nr_blocks)

    def changed_blocks(self) -> list[tuple[int, int]]:
        """Return the hotplugged blocks in which kernel pages came or went since the last call, for one who follows it.

        With each a bitmap of the pageblocks that hold kernel pages now.
        """
        changed = self._zones.changed
        if not changed:
            return []
        found = [(block, pageblocks.busy(block)) for block, pageblocks in changed.items()]
        changed.clear()
        return found

    # Blocks online and offline ----------------------------------------------------------------------------------------

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Hand the pages of a run of blocks to a zone.

        ``pages_per_block`` counts what is plugged, lowest sub-blocks first. Of blocks added with ``altmap`` the zone
        gets less by their memmap; the guest sees to that itself, here and when they go.
        """
        if self.stalls.lost:
            self.read_back.look()
        hosted = self._hosted and first_block in self._hosted
        if hosted:
            pages_per_block -= self.memmaps.pages_per_block
        its_zone = self.zones.get((node, zone)) or self._zones.get(node, zone)
        pages = nr_blocks * pages_per_block
        new = not its_zone.managed
        its_zone.recount.add(its_zone)
        its_zone.managed += pages
        its_zone.free += pages
        self._zones.blocks_changed()
        if its_zone.layout is not None:
            its_zone.layout.fresh.add(first_block, nr_blocks, pages_per_block)
        pageblocks = its_zone.pageblocks
        if pageblocks is not None:
            if pageblocks.fresh:
                pageblocks.note_growth()
            pageblocks.insert(first_block, nr_blocks)
            if pages_per_block < self._block_pages and not hosted:
                self._mark_absent(pageblocks, first_block, nr_blocks, pages_per_block)
            if new and pages:
                self._settle(its_zone)

    def _settle(self, zone: GuestZone) -> None:
        """Let kernel pages move into a kernel zone that has just got its first memory."""
        if zone.node != self._settled.home:
            if not any(other.managed for other in self.zones.values() if other.node == zone.node and other is not zone):
                self._settled.start_threads(zone)
        elif zone.type == ZONE_NORMAL:
            self._settled.settle_in(zone)

    def _mark_absent(self, pageblocks: KernelPages, first: int, count: int, pages_per_block: int) -> None:
        """Note the unplugged rest of partly plugged blocks."""
        plugged = pages_per_block // self._pageblock
        mask = (1 << (self._block_pages // self._pageblock)) - (1 << plugged)
        for block in range(first, first + count):
            pageblocks.remove_pageblocks(block, mask)

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        """Say whether a block would go offline now: a MOVABLE one always, a kernel one without kernel pages in it."""
        its_zone = self.zones.get((node, zone))
        if its_zone is None:
            return False
        if its_zone.pageblocks is None:
            return block not in self._stuck
        return bool(its_zone.pageblocks.nr_blocks) and not its_zone.pageblocks.busy(block)

    def offline(
        self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int, *, drop_cache: bool = False
    ) -> OfflineOutcome:
        """Take all blocks of a run that will go out of their zone; their user pages move elsewhere.

        Blocks with kernel pages refuse. Where pages find no place elsewhere, processes are killed until they do. With
        ``drop_cache`` clean page cache is dropped and not moved.
        """
        if self._hosted and first_block in self._hosted:
            pages_per_block -= self.memmaps.pages_per_block
        its_zone = self.zones[node, zone]
        self.changes.count += 1
        pageblocks = its_zone.pageblocks
        if self._given_up:
            self._forget_given_up(first_block, nr_blocks)
        layout = its_zone.layout
        if pageblocks is None:
            pages = nr_blocks * pages_per_block
            if (
                layout is not None
                and not self._stuck
                and its_zone.free >= pages
                and its_zone.cma is None
                and layout.go(first_block, nr_blocks)
            ):
                # Inlined from what follows, where nothing refuses and nothing is in the way, because it saves 1 us:
                # most blocks that go are of this kind.
                its_zone.shrink(pages)
                self._zones.blocks_changed()
                return _DONE
            refused = tuple(sorted(block for block in self._stuck if first_block <= block < first_block + nr_blocks))
        else:
            if pageblocks.thinning:
                pageblocks.thin(self.parameters.regrow_keep_share)
            refused = tuple(pageblocks.busy_blocks(first_block, nr_blocks))
        start, moved = first_block, 0
        ooms: list[OomEvent] = []
        for stop in (*refused, first_block + nr_blocks):
            if stop > start:
                pages = (stop - start) * pages_per_block
                run_moved, run_ooms = self.migration.withdraw(
                    its_zone, start, stop - start, pages, drop_cache=drop_cache
                )
                self._zones.blocks_changed()
                if layout is not None:
                    layout.remove(start, stop - start)
                moved += run_moved
                ooms += run_ooms
                if pageblocks is not None:
                    pageblocks.delete(start, stop - start)
            start = stop + 1
        return OfflineOutcome(refused, moved, tuple(ooms))

    def vacate(self, zone: int, node: int, block: int, *, sub_blocks: int | None = None, sub_pages: int = 0) -> None:
        """Have the kernel pages of an online block, or in ``sub_blocks`` (a mask) of it, lie elsewhere in its zone.

        Those of a zone's last block go to another zone. For who knows better where they are: which pageblocks an idle
        kernel has a few pages in is chance.
        """
        its_zone = self.zones[node, zone]
        pageblocks = its_zone.pageblocks
        if pageblocks is None:
            self._stuck.discard(block)
            return
        self.changes.count += 1
        mask = pageblocks.busy(block)
        if sub_blocks is not None:
            mask &= per_pageblock(sub_blocks, sub_pages // self._pageblock)
        elif pageblocks.nr_blocks == 1:
            roomiest = max(self._zones.kernel_zones(None), key=lambda other: (other is not its_zone, other.free))
            for load in self.loads.values():
                if pages := load.kernel.get(its_zone, 0):
                    load.drop_kernel(its_zone, pages)
                    load.put_kernel(roomiest, pages)
        places = pageblocks.vacate(block, mask)
        self.memmaps.move(its_zone, block, places)
        for load in self.loads.values():
            if its_zone in load.claims:
                relocate(load.claims[its_zone], block, places)

    # Sub-blocks of virtio-mem ---------------------------------------------------------------------------------------

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        """Give up at most ``most`` plugged sub-blocks of an online block, highest first.

        ``plugged_mask`` has a bit for each plugged sub-block of ``sub_pages`` pages. A sub-block with a kernel page
        is busy and left out; clean page cache in the way is dropped, other user pages move.
        """
        its_zone = self.zones[node, zone]
        pageblocks = its_zone.pageblocks
        mask = plugged_mask
        if pageblocks is not None:
            if pageblocks.thinning:
                pageblocks.thin(self.parameters.regrow_keep_share)
                self.changes.count += 1
            busy = pageblocks.busy(block)
            if busy:
                mask &= ~per_subblock(busy, sub_pages // self._pageblock)
            mask = highest(mask, min(most, (its_zone.free + its_zone.user) // sub_pages))
        else:
            if block in self._stuck:
                return SubblockOutcome(0)
            mask = highest(mask, most)
        pages = mask.bit_count() * sub_pages
        if not pages:
            return SubblockOutcome(0)
        self.changes.count += 1
        if mask != plugged_mask:  # the block stays
            self._given_up[block] = self._given_up.get(block, 0) | mask
        if pageblocks is not None:
            pageblocks.remove_pageblocks(block, per_pageblock(mask, sub_pages // self._pageblock))
        layout = its_zone.layout
        if layout is not None and block not in layout.used and its_zone.free >= pages:
            # What withdraw_part() comes to where nothing is in the way, written out because it saves 2 us.
            self._zones.part_changed(its_zone, -pages)
            its_zone.unplug_free(layout, block, pages)
            return SubblockOutcome(mask)
        self._zones.refresh_watermarks()
        moved, ooms = self.migration.withdraw_part(its_zone, block, pages)
        return SubblockOutcome(mask, moved, tuple(ooms))

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        """Take sub-blocks of an online block into use."""
        if self.stalls.lost:
            self.read_back.look()
        its_zone = self.zones[node, zone]
        self.changes.count += 1
        pages = mask.bit_count() * sub_pages
        self._zones.part_changed(its_zone, pages)
        its_zone.recount.add(its_zone)
        its_zone.managed += pages
        its_zone.free += pages
        given_up = self._given_up.get(block)
        again = 0
        if given_up is not None:
            # What was in use before comes back page by page, through the CPU's list; what never was does not.
            again = given_up & mask
            if again:
                its_zone.fill_pcp_loads(again.bit_count() * sub_pages)
                self._given_up[block] = given_up & ~mask
        if its_zone.layout is not None:
            its_zone.layout.plug(block, pages, again=bool(again))
        if its_zone.pageblocks is not None:
            if its_zone.pageblocks.fresh:
                its_zone.pageblocks.note_growth()
            its_zone.pageblocks.add_pageblocks(block, per_pageblock(mask, sub_pages // self._pageblock))

    def _forget_given_up(self, first: int, count: int) -> None:
        """Forget which sub-blocks of blocks that go offline were in use once."""
        if count == 1:
            self._given_up.pop(first, None)
        else:
            for block in [block for block in self._given_up if first <= block < first + count]:
                del self._given_up[block]
