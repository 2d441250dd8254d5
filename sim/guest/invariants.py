"""The invariants of the guest model, recomputed slowly.

* GUEST-1: in every zone free + user + kernel + memmap + reserved = managed, and none is negative.
* GUEST-2: no pageblock is of two kinds (boot, memmap, held, unplugged), and all lie in online pageblocks.
* GUEST-3: the pageblock counters of a zone are the bits of its maps.
* GUEST-4: the kernel pages of a zone, memmap in base pages too, are those that its pageblocks account for.
* GUEST-5: the loads' pages add up to the zones' user, kernel, cache and slab pages.
* GUEST-6: the memmaps of added ranges add up to the zones' memmap, and lie in the pageblocks marked for it.
* GUEST-7: a block that was in use and is not among those to be filled next has no room, not even a pageblock's.
* GUEST-8: MOVABLE holds no kernel pages, no slab and no memmap; cache is user pages, slab is kernel pages.
* GUEST-9: the user pages of a zone are those that its layout has, by load and by block, and no block has more than are
  plugged.
* GUEST-10: pageblocks claimed for loads, left behind and shared are held, and no two of these at once.
* GUEST-11: a zone's CMA pages are free or hold user pages of loads, and no others.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sim.faults import MemhpSimError
from sim.guest.loads import CACHED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sim.guest.kernel_pages import KernelPages
    from sim.guest.layout import Layout
    from sim.guest.loads import Load
    from sim.guest.memmap import Part
    from sim.guest.zone import GuestZone


class InvariantError(MemhpSimError, AssertionError):
    """An invariant does not hold; the message names it, the place and the numbers."""


def check(zones: Collection[GuestZone], loads: Collection[Load], memmap_parts: Iterable[Part]) -> None:
    """Check all invariants of a guest. Raises InvariantError naming the first that does not hold."""
    user: Counter[GuestZone] = Counter()
    kernel: Counter[GuestZone] = Counter()
    cache: Counter[GuestZone] = Counter()
    slab: Counter[GuestZone] = Counter()
    memmap: Counter[GuestZone] = Counter()
    for load in loads:
        pages = sum(load.user.values())
        there = pages, sum(sum(held.values()) for held in (load.kernel, load.slab, load.orphans))
        _hold((load.nr_user, load.nr_kernel) == there, "GUEST-5", f"{load.name}: {there} pages")
        _hold(0 <= load.dirty <= pages, "GUEST-5", f"{load.name}: {load.dirty} dirty of {pages}")
        user.update(load.user)
        if load.kind in CACHED:
            cache.update(load.user)
        slab.update(load.slab)
        for held in (load.kernel, load.slab, load.orphans):
            kernel.update(held)
            _hold(all(n > 0 for n in held.values()), "GUEST-5", f"{load.name}: kernel pages {list(held.values())}")
    pieces: dict[GuestZone, Counter[int]] = {zone: Counter() for zone in zones}
    for zone, pages, pageblocks in memmap_parts:
        memmap[zone] += pages
        for block, mask in pageblocks:
            _hold(not pieces[zone][block] & mask, "GUEST-6", f"block {block}: memmap twice in {mask:b}")
            pieces[zone][block] += mask
    for zone in zones:
        name = f"node {zone.node} zone {zone.type}"
        counts = (zone.free, zone.user, zone.kernel, zone.memmap, zone.reserved)
        _hold(sum(counts) == zone.managed, "GUEST-1", f"{name}: {counts} do not add up to {zone.managed}")
        _hold(min(counts) >= 0, "GUEST-1", f"{name}: negative in {counts}")
        for what, counter, by_loads in (
            ("user", zone.user, user[zone]),
            ("kernel", zone.kernel, kernel[zone]),
            ("cache", zone.cache, cache[zone]),
            ("slab", zone.slab, slab[zone]),
        ):
            _hold(counter == by_loads, "GUEST-5", f"{name}: {what} {counter}, loads {by_loads}")
        _check_cma(name, zone)
        _hold(zone.memmap == memmap[zone], "GUEST-6", f"{name}: memmap {zone.memmap}, ranges {memmap[zone]}")
        parts = f"{name}: cache {zone.cache}, slab {zone.slab}"
        _hold(zone.cache <= zone.user and zone.slab <= zone.kernel, "GUEST-8", parts)
        if zone.pageblocks is None:
            in_movable = f"{name}: kernel {zone.kernel}, memmap {zone.memmap} in MOVABLE"
            _hold(not (zone.kernel or zone.memmap), "GUEST-8", in_movable)
        else:
            marked = zone.pageblocks.pieces
            _hold(marked == pieces[zone], "GUEST-6", f"{name}: pieces {marked}, ranges {pieces[zone]}")
            pages = zone.pageblocks.pages
            kernel_pages = zone.kernel if zone.huge_memmap else zone.kernel + zone.memmap
            _hold(pages == kernel_pages, "GUEST-4", f"{name}: kernel {kernel_pages}, pageblocks {pages}")
            _check_pageblocks(name, zone.pageblocks)
            _check_claims(name, zone, loads)
        if zone.layout is not None:
            _check_layout(name, zone, zone.layout, loads)


def _check_pageblocks(name: str, pageblocks: KernelPages) -> None:
    maps = (pageblocks.held, pageblocks.pieces, pageblocks.fixed, pageblocks.absent)
    numbers = (pageblocks.nr_held, pageblocks.nr_pieces, pageblocks.nr_fixed, pageblocks.nr_absent)
    for bits, number in zip(maps, numbers, strict=True):
        counted = sum(mask.bit_count() for mask in bits.values())
        _hold(counted == number, "GUEST-3", f"{name}: {counted} pageblocks, counter {number}")
    online = [range(first, first + count) for first, count in pageblocks.runs()]
    for block in set().union(*maps):
        masks = [bits.get(block, 0) for bits in maps]
        together = masks[0] | masks[1] | masks[2] | masks[3]
        _hold(together.bit_count() == sum(m.bit_count() for m in masks), "GUEST-2", f"{name}: block {block}: {masks}")
        _hold(any(block in run for run in online), "GUEST-2", f"{name}: block {block} is not online")
    counter = pageblocks.nr_blocks
    _hold(sum(map(len, online)) == counter, "GUEST-3", f"{name}: {counter} blocks, runs {online}")


def _check_cma(name: str, zone: GuestZone) -> None:
    free = zone.cma.free() if zone.cma is not None else 0
    _hold(zone.cma_free == free, "GUEST-11", f"{name}: {zone.cma_free} pages of CMA free, {free} not used by loads")
    _hold(0 <= free <= zone.free, "GUEST-11", f"{name}: {free} pages of CMA free, {zone.free} pages free in all")
    used = list(zone.cma.where.values()) if zone.cma is not None else []
    _hold(all(pages > 0 for pages in used), "GUEST-11", f"{name}: pages in CMA by load {used}")


def _check_claims(name: str, zone: GuestZone, loads: Collection[Load]) -> None:
    pageblocks = zone.pageblocks
    if pageblocks is None:
        return
    claims = [load.claims[zone] for load in loads if zone in load.claims]
    seen: dict[int, int] = {}
    for bits in (*claims, pageblocks.left, pageblocks.shared):
        for block, mask in bits.items():
            held = pageblocks.held.get(block, 0)
            _hold(mask != 0 and not mask & ~held, "GUEST-10", f"{name}: block {block}: {mask:b} of {held:b} held")
            _hold(not mask & seen.get(block, 0), "GUEST-10", f"{name}: block {block}: {mask:b} twice")
            seen[block] = seen.get(block, 0) | mask
    counted = sum(mask.bit_count() for mask in pageblocks.left.values())
    _hold(counted == pageblocks.nr_left, "GUEST-3", f"{name}: {counted} left behind, counter {pageblocks.nr_left}")


def _check_layout(name: str, zone: GuestZone, layout: Layout, loads: Collection[Load]) -> None:
    by_block: Counter[int] = Counter()
    for load in loads:
        mine = layout.where.get(load, {})
        by_block.update(mine)
        in_cma = zone.cma.where.get(load, 0) if zone.cma is not None else 0
        pages = sum(mine.values()) + layout.adrift.get(load, 0) + in_cma
        there = load.user.get(zone, 0)
        _hold(pages == there, "GUEST-9", f"{name}: {load.name}: {pages} pages by block, {there} in all")
    _hold(dict(by_block) == layout.used, "GUEST-9", f"{name}: by block {layout.used}, by load {dict(by_block)}")
    _hold(all(pages > 0 for pages in by_block.values()), "GUEST-9", f"{name}: no pages in {dict(by_block)}")
    for block, pages in layout.used.items():
        plugged = layout.plugged[block]
        _hold(pages <= plugged, "GUEST-9", f"{name}: block {block}: {pages} user pages, {plugged} plugged")
    touched = sum(layout.plugged.values())
    _hold(touched == layout.nr_touched, "GUEST-9", f"{name}: {touched} touched pages, counter {layout.nr_touched}")
    for block in layout.without_room():
        space = layout.space(block)
        pageblock = zone.pageblocks.pageblock if zone.pageblocks is not None else 1
        _hold(space < pageblock, "GUEST-7", f"{name}: block {block} has {space} pages and is not to be filled")


def _hold(condition: bool, invariant: str, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise InvariantError(f"{invariant}: {what}")
