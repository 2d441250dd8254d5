"""The invariants of the guest model, recomputed slowly.

* GUEST-1: in every zone free + user + kernel + memmap + reserved = managed, and none is negative.
* GUEST-2: no pageblock is of two kinds (boot, memmap, held, unplugged), and all lie in online blocks.
* GUEST-3: the pageblock counters of a zone are the bits of its maps.
* GUEST-4: the kernel pages of a zone are those that its pageblocks account for.
* GUEST-5: the loads' pages add up to the zones' user, kernel, cache and slab pages.
* GUEST-6: the memmaps of added ranges add up to the zones' memmap, and lie in the pageblocks marked for it.
* GUEST-7: no block below the hint of a zone has a pageblock without kernel pages.
* GUEST-8: MOVABLE holds no kernel pages, no slab and no memmap; cache is user pages, slab is kernel pages.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sim.faults import MemhpSimError
from sim.guest.loads import CACHED

if TYPE_CHECKING:
    from sim.guest.kernel_pages import KernelPages
    from sim.guest.memmap import Memmaps
    from sim.guest.zone import Zone


class InvariantError(MemhpSimError, AssertionError):
    """An invariant does not hold; the message names it, the place and the numbers."""


def check(guest: Memmaps) -> None:
    """Check all invariants of a guest. Raises InvariantError naming the first that does not hold."""
    user: Counter[Zone] = Counter()
    kernel: Counter[Zone] = Counter()
    cache: Counter[Zone] = Counter()
    slab: Counter[Zone] = Counter()
    memmap: Counter[Zone] = Counter()
    for load in guest.loads.values():
        pages = load.user_pages()
        _hold(0 <= load.dirty <= pages, "GUEST-5", f"{load.name}: {load.dirty} dirty of {pages}")
        user.update(load.user)
        if load.kind in CACHED:
            cache.update(load.user)
        slab.update(load.slab)
        for held in (load.kernel, load.slab, load.orphans):
            kernel.update(held)
            _hold(all(n > 0 for n in held.values()), "GUEST-5", f"{load.name}: kernel pages {list(held.values())}")
    pieces: dict[Zone, Counter[int]] = {z: Counter() for z in guest.zones.values()}
    for zone, pages, taken in guest.memmap_parts():
        memmap[zone] += pages
        for block, mask in taken:
            _hold(not pieces[zone][block] & mask, "GUEST-6", f"block {block}: memmap twice in {mask:b}")
            pieces[zone][block] += mask
    for z in guest.zones.values():
        name = f"node {z.node} zone {z.zone}"
        counts = (z.free, z.user, z.kernel, z.memmap, z.reserved)
        _hold(sum(counts) == z.managed, "GUEST-1", f"{name}: {counts} do not add up to {z.managed}")
        _hold(min(counts) >= 0, "GUEST-1", f"{name}: negative in {counts}")
        for what, mine, theirs in (
            ("user", z.user, user[z]),
            ("kernel", z.kernel, kernel[z]),
            ("cache", z.cache, cache[z]),
            ("slab", z.slab, slab[z]),
        ):
            _hold(mine == theirs, "GUEST-5", f"{name}: {what} {mine}, loads {theirs}")
        _hold(z.memmap == memmap[z], "GUEST-6", f"{name}: memmap {z.memmap}, ranges {memmap[z]}")
        _hold(z.cache <= z.user and z.slab <= z.kernel, "GUEST-8", f"{name}: cache {z.cache}, slab {z.slab}")
        if z.blocks is None:
            _hold(not (z.kernel or z.memmap), "GUEST-8", f"{name}: kernel {z.kernel}, memmap {z.memmap} in MOVABLE")
        else:
            _hold(z.blocks.pieces == pieces[z], "GUEST-6", f"{name}: pieces {z.blocks.pieces}, ranges {pieces[z]}")
            _hold(z.blocks.pages == z.kernel, "GUEST-4", f"{name}: kernel {z.kernel}, pageblocks {z.blocks.pages}")
            _check_pageblocks(name, z.blocks)


def _check_pageblocks(name: str, blocks: KernelPages) -> None:
    maps = (blocks.held, blocks.pieces, blocks.fixed, blocks.absent)
    numbers = (blocks.nr_held, blocks.nr_pieces, blocks.nr_fixed, blocks.nr_absent)
    for bits, number in zip(maps, numbers, strict=True):
        counted = sum(mask.bit_count() for mask in bits.values())
        _hold(counted == number, "GUEST-3", f"{name}: {counted} pageblocks, counter {number}")
    online = [range(first, first + nr) for first, nr in blocks.runs()]
    for block in set().union(*maps):
        masks = [bits.get(block, 0) for bits in maps]
        together = masks[0] | masks[1] | masks[2] | masks[3]
        _hold(together.bit_count() == sum(m.bit_count() for m in masks), "GUEST-2", f"{name}: block {block}: {masks}")
        _hold(any(block in run for run in online), "GUEST-2", f"{name}: block {block} is not online")
    for block in (b for run in online for b in run if b < blocks.hint):
        full = sum(bits.get(block, 0) for bits in maps) == (1 << blocks.width) - 1
        _hold(full, "GUEST-7", f"{name}: block {block} has room below the hint {blocks.hint}")
    touched = sum(bits[b].bit_count() for bits in maps for b in bits if b >= blocks.hot_from)
    hot = sum(max(0, run.stop - max(run.start, blocks.hot_from)) for run in online) * blocks.width - touched
    _hold(hot == blocks.nr_hot_free, "GUEST-3", f"{name}: {hot} pageblocks could go, counter {blocks.nr_hot_free}")
    _hold(sum(map(len, online)) == blocks.nr_blocks, "GUEST-3", f"{name}: {blocks.nr_blocks} blocks, runs {online}")


def _hold(condition: bool, invariant: str, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise InvariantError(f"{invariant}: {what}")
