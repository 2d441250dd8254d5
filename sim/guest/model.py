"""The guest: hotplug side of the model, on top of zones and demands.

One event costs a few dictionary look-ups and additions, whatever the memory size: runs of blocks are taken as a whole, and only
blocks that hold kernel pages have state of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sim.guest.contract import DMA, MOVABLE, NORMAL, Given, OfflineOutcome, OomEvent, OomKind
from sim.guest.demands import Demands
from sim.guest.loads import CACHED, Load, LoadKind
from sim.guest.parameters import GuestParameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.guest.boot import BootZone
    from sim.guest.zone import Zone

_PAGEBLOCK = 512
_DONE = OfflineOutcome()
_LOT = 100_000
"""Thousandths of a page after which block overhead is charged."""
_SETTLED = "(settled kernel)"
"""Name of the load that stands for kernel pages which move to hotplugged kernel memory by themselves."""


class _Memmap(NamedTuple):
    """Where the memmap of a range lies: per zone the pages, and the pageblocks taken whole."""

    nr_blocks: int
    parts: list[tuple[Zone, int, list[tuple[int, int]]]]


class GuestModel(Demands):
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
        self._memmaps: dict[int, _Memmap] = {}
        self._boot_end = -1
        """Highest boot block."""
        self._home = 0
        """Node whose CPUs run the idle kernel: the first with memory."""
        self._stuck: set[int] = set()
        """Boot blocks in MOVABLE with boot allocations in them."""
        p = self.parameters
        self._hosted: set[int] = set()
        """Blocks that hold their own memmap."""
        self._given: dict[int, int] = {}
        """Sub-blocks of online blocks that were in use and were given up."""
        self._memmap_pages = block_pages // 64
        self._overhead_pages_x1000 = p.block_overhead_bytes * 1000 // 4096 + int(
            p.direct_map_share * block_pages * 1000
        )
        self._overhead_due = 0

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
            if b.runs:
                z.first_block = min(first for first, _ in b.runs)
            if z.blocks is not None and b.zone != DMA:
                for first, nr in b.runs:
                    z.blocks.insert(first, nr)
                _fix_boot_use(z, b)
            elif b.zone == MOVABLE and b.runs and b.managed < b.present:
                self._stuck.add(max(first + nr for first, nr in b.runs) - 1)
        for node in {b.node for b in zones}:
            # A node's own kernel structures and threads use its highest kernel zone, from the bottom.
            mine = [
                z for z in self.zones.values() if z.node == node and z.zone not in (DMA, MOVABLE) and z.first_block >= 0
            ]
            if mine:
                top = max(mine, key=lambda z: z.zone)
                assert top.blocks is not None
                top.blocks.fix(top.first_block, 1)
        self._huge_pages = sum(z.managed for z in self.zones.values()) * 4096 >= self.parameters.thp_min_boot_bytes
        self._stale = True

    # Adding and removing.

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        """Take the memmap of a range: 64 bytes a page, in 2 MiB pieces while there are any, from kernel zones, near ones first.

        With ``altmap`` the range holds its own memmap and nothing is taken. Returns False for want of memory, with nothing taken.
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
        # The low watermark is at most a sixteenth and a thousandth of the zone, and the highest kernel zone keeps no reserve
        # from kernel requests: above an eighth there is no need to compute either.
        if z.free - need > z.managed >> 3:
            parts = [self._take_memmap(z, need)]
        else:
            found = self._find_memmap(zones, need)
            if found is None:
                return False
            parts = [self._take_memmap(x, n) for x, n in found]
        self._memmaps[first_block] = _Memmap(nr_blocks, parts)
        self._charge_overhead(nr_blocks)
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

    def _take_memmap(self, z: Zone, pages: int) -> tuple[Zone, int, list[tuple[int, int]]]:
        z.free -= pages
        z.memmap += pages
        if z.pcp > pages:
            z.pcp -= pages
        blocks = z.blocks
        if blocks is None or z.zone == DMA:
            return z, pages, []
        pieces = blocks.take_pieces(pages // _PAGEBLOCK, z.user)
        return z, pages, pieces

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Give back the memmap of an added range: all of it, or single blocks of it one after another."""
        self._charge_overhead(-nr_blocks)
        if self._hosted:
            self._hosted.difference_update(range(first_block, first_block + nr_blocks))
        found = self._memmaps.get(first_block)
        if found is not None and found.nr_blocks == nr_blocks:
            del self._memmaps[first_block]
            for z, pages, pieces in found.parts:
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
        for start in [s for s, m in self._memmaps.items() if s < end and first < s + m.nr_blocks]:
            old = self._memmaps.pop(start)
            a, b = max(start, first), min(start + old.nr_blocks, end)
            for left, right in ((start, a), (b, start + old.nr_blocks)):
                if left < right:
                    self._memmaps[left] = _Memmap(right - left, _split(old.parts, (right - left) * self._memmap_pages))
            for z, pages, pieces in old.parts:
                if pages:
                    self._give_memmap(z, pages, pieces)

    def _pay_overhead(self) -> None:
        """Charge or give back what blocks cost besides their memmap, in lots of 100 pages or more."""
        load = self.loads.get(_SETTLED) or self._load(_SETTLED, LoadKind.KERNEL, self._home)
        pages = int(self._overhead_due / 1000)
        self._overhead_due -= pages * 1000
        if pages > 0:
            self._take_kernel(load, pages)
            return
        for z in list(load.kernel):
            n = min(load.kernel[z], -pages)
            self._drop_kernel(load, z, n, slab=False)
            pages += n

    # Online and offline.

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Hand the pages of a run of blocks to a zone; ``pages_per_block`` counts what is plugged, lowest sub-blocks first.

        Of blocks added with ``altmap`` the zone gets less by their memmap; the guest sees to that itself, here and when they go.
        """
        if self._hosted and first_block in self._hosted:
            pages_per_block -= self._memmap_pages
        z = self.zones.get((node, zone)) or self._zone(node, zone)
        pages = nr_blocks * pages_per_block
        new = not z.managed
        z.managed += pages
        z.free += pages
        self._stale = True
        if new or first_block < z.first_block:
            z.first_block = first_block
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
        assert z.blocks is not None
        plugged = pages_per_block // _PAGEBLOCK
        mask = (1 << (self.block_pages // _PAGEBLOCK)) - (1 << plugged)
        for block in range(first, first + nr):
            z.blocks.remove_pageblocks(block, mask)

    def _settle(self, z: Zone) -> None:
        """Let a few kernel pages move into a zone Normal that hotplug has just created: the idle kernel uses it first."""
        assert z.blocks is not None
        pages = min(self.parameters.zone_settle_pages, z.free)
        load = self.loads.get(_SETTLED) or self._load(_SETTLED, LoadKind.KERNEL, self._home)
        self._put_kernel(load, z, pages, slab=False)
        z.pcp = self.parameters.zone_settle_pcp_pages
        blocks = z.blocks
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

        ``plugged_mask`` has a bit for each plugged sub-block of ``sub_pages`` pages. A sub-block with a kernel page is busy and left
        out; clean page cache in the way is dropped, other user pages move.
        """
        z = self.zones[node, zone]
        blocks = z.blocks
        mask = plugged_mask
        if blocks is not None:
            if blocks.thinning:
                blocks.thin(self.parameters.regrow_keep_share)
            busy = blocks.busy(block)
            if busy:
                mask &= ~_per_subblock(busy, sub_pages // _PAGEBLOCK)
            mask = _highest(mask, min(want, (z.free + z.user) // sub_pages))
        else:
            if block in self._stuck:
                return Given(0)
            mask = _highest(mask, want)
        pages = mask.bit_count() * sub_pages
        if not pages:
            return Given(0)
        self._given[block] = self._given.get(block, 0) | mask
        if blocks is not None:
            blocks.remove_pageblocks(block, _per_pageblock(mask, sub_pages // _PAGEBLOCK))
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
            z.blocks.add_pageblocks(block, _per_pageblock(mask, sub_pages // _PAGEBLOCK))

    def _forget_given(self, first: int, nr: int) -> None:
        """Forget which sub-blocks of blocks that go offline were in use once."""
        if nr == 1:
            self._given.pop(first, None)
        else:
            for block in [b for b in self._given if first <= b < first + nr]:
                del self._given[block]

    # Making room.

    def _withdraw(self, z: Zone, pages: int, *, drop_cache: bool) -> tuple[int, list[OomEvent]]:
        """Take ``pages`` out of a zone whose user pages may be in the way; return the pages moved and the kills.

        Used pages are packed from the bottom of the zone, so what is taken off is free first, then the youngest user pages.
        """
        self._fresh_watermarks()
        moved, ooms = 0, []
        if z.zone != MOVABLE:
            # Migration leaves a kernel zone at its low watermark while other zones have room; MOVABLE is packed to the last page.
            soft = min(z.low - (z.free - pages), z.user)
            if soft > 0:
                moved += self._move_out(z, soft, drop_cache=drop_cache, watermark="low")
        while z.free < pages and z.user:
            need = min(pages - z.free, z.user)
            got = self._move_out(z, need, drop_cache=drop_cache, watermark="min")
            moved += got
            if got < need:
                others = tuple(x for x in self.zones.values() if x is not z)
                if not self._reclaim_cache(need - got, (z, *others)):
                    event = self._oom(OomKind.MIGRATION, 0.0)
                    ooms.append(event)
                    if event.guest_died:
                        break
        taken = min(pages, z.free)
        z.managed -= taken
        z.free -= taken
        z.pcp = z.pcp_loads = 0  # the CPU lists of the zone are drained first
        return moved, ooms

    def _move_out(self, z: Zone, pages: int, *, drop_cache: bool, watermark: str) -> int:
        """Move the youngest user pages of a zone to other zones; return how many found a place or were dropped."""
        done = 0
        for load in list(reversed(self.loads.values())):
            n = min(load.user.get(z, 0), pages - done)
            if n <= 0:
                continue
            if drop_cache and load.kind in CACHED:
                clean = min(n, self._clean(load))
                if clean:
                    self._drop_cache_pages(load, z, clean)
                    done += clean
                    n -= clean
            if n:
                done += self._migrate(load, z, n, watermark)
            if done >= pages:
                break
        return done

    def _migrate(self, load: Load, source: Zone, pages: int, watermark: str) -> int:
        """Move pages of one load from a zone to others, down to their watermark; return how many."""
        left = pages
        for z in self._user_list(source.node):
            if z is source:
                continue
            room = z.free - (z.low if watermark == "low" else z.min) - z.reserve_user
            n = min(room, left)
            if n > 0:
                self._drop_user(load, source, n)
                self._put_user(load, z, n)
                left -= n
                if not left:
                    break
        return pages - left

    # What could be given back.

    def returnable_pages(self, *, whole_blocks: bool = False) -> int:
        """Return the hotplugged pages that could be returned right now without a kill.

        Pageblocks with kernel pages stay (with ``whole_blocks``: their whole memory blocks), and user pages must fit elsewhere.
        """
        self._fresh_watermarks()
        per_block = self.block_pages // _PAGEBLOCK
        out = free = user = 0
        for z in self.zones.values():
            free += max(0, z.free - z.min - z.reserve_user)
            user += z.user - z.cache
            if z.blocks is None:
                out += z.managed
                continue
            blocks = z.blocks
            for first, nr in blocks.runs():
                hot = first + nr - max(first, self._boot_end + 1)
                out += max(0, hot) * self.block_pages
            touched = blocks.held.keys() | blocks.pieces.keys() | blocks.absent.keys()
            for block in touched:
                if block > self._boot_end:
                    busy = blocks.busy(block)
                    lost = per_block if whole_blocks and busy else (busy | blocks.absent.get(block, 0)).bit_count()
                    out -= lost * _PAGEBLOCK
        # Returning ``out`` pages leaves the user pages only what is free then.
        room = free + user + sum(z.cache for z in self.zones.values())
        return max(0, min(out, room - user))

    # Checks.

    def check(self) -> None:
        """Check all invariants slowly. Raises AssertionError naming the one that does not hold.

        GUEST-1 per zone: free + user + kernel + memmap + reserved = managed, none negative. GUEST-2 to GUEST-4: see
        :class:`~sim.guest.kernel_pages.KernelPages`. GUEST-5: the loads' pages by zone add up to the zones' user, kernel, cache and
        slab. GUEST-6: the memmaps of added ranges add up to the zones' memmap.
        """
        user: dict[Zone, int] = {}
        kernel: dict[Zone, int] = {}
        cache: dict[Zone, int] = {}
        slab: dict[Zone, int] = {}
        memmap: dict[Zone, int] = {}
        for load in self.loads.values():
            assert 0 <= load.dirty <= load.user_pages(), f"GUEST-5: {load.name}: more dirty pages than pages"
            for held, sums in ((load.user, (user,)), (load.kernel, (kernel,)), (load.slab, (kernel, slab))):
                for z, n in held.items():
                    assert n > 0, f"GUEST-5: {load.name} holds {n} pages"
                    for total in sums:
                        total[z] = total.get(z, 0) + n
                    if held is load.user and load.kind in CACHED:
                        cache[z] = cache.get(z, 0) + n
        for found in self._memmaps.values():
            for z, n, _ in found.parts:
                memmap[z] = memmap.get(z, 0) + n
        for z in self.zones.values():
            name = f"node {z.node} zone {z.zone}"
            counts = (z.free, z.user, z.kernel, z.memmap, z.reserved)
            assert sum(counts) == z.managed, f"GUEST-1: {name}: {counts} do not add up to {z.managed}"
            assert min(counts) >= 0, f"GUEST-1: {name}: negative in {counts}"
            assert z.user == user.get(z, 0), f"GUEST-5: {name}: user {z.user}, loads {user.get(z, 0)}"
            assert z.kernel == kernel.get(z, 0), f"GUEST-5: {name}: kernel {z.kernel}, loads {kernel.get(z, 0)}"
            assert z.cache == cache.get(z, 0), f"GUEST-5: {name}: cache {z.cache}, loads {cache.get(z, 0)}"
            assert z.slab == slab.get(z, 0), f"GUEST-5: {name}: slab {z.slab}, loads {slab.get(z, 0)}"
            assert z.memmap == memmap.get(z, 0), f"GUEST-6: {name}: memmap {z.memmap}, ranges {memmap.get(z, 0)}"
            if z.blocks is not None:
                z.blocks.check()
                assert z.zone == DMA or z.blocks.pages == z.kernel, f"GUEST-4: {name}: kernel pages by pageblock"


def _fix_boot_use(z: Zone, boot: BootZone) -> None:
    """Place the boot kernel's own use: in block 0 up to half (the kernel image), the rest at the top of the zone (memmap, initrd)."""
    blocks = z.blocks
    assert blocks is not None
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


def _split(
    parts: list[tuple[Zone, int, list[tuple[int, int]]]], pages: int
) -> list[tuple[Zone, int, list[tuple[int, int]]]]:
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
        for block, mask in pieces:
            take = 0
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


def _highest(mask: int, nr: int) -> int:
    """Return the highest ``nr`` set bits of ``mask``."""
    for _ in range(mask.bit_count() - nr):
        mask &= mask - 1
    return mask


def _per_subblock(pageblocks: int, per: int) -> int:
    """Return which sub-blocks of ``per`` pageblocks hold one of ``pageblocks``."""
    if per == 1:
        return pageblocks
    out = 0
    while pageblocks:
        sub = ((pageblocks & -pageblocks).bit_length() - 1) // per
        out |= 1 << sub
        pageblocks &= ~(((1 << per) - 1) << (sub * per))
    return out


def _per_pageblock(subblocks: int, per: int) -> int:
    """Return the pageblocks of a mask of sub-blocks of ``per`` pageblocks each."""
    if per == 1:
        return subblocks
    full = (1 << per) - 1
    out = 0
    while subblocks:
        low = subblocks & -subblocks
        out |= full << ((low.bit_length() - 1) * per)
        subblocks ^= low
    return out
