"""A guest whose books are wrong is found out, under the number of the invariant that is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.guest.cma import CmaPages
from sim.guest.invariants import InvariantError, check
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE
from tests.guest.machines import SIZE, small

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest import GuestModel
    from sim.guest.kernel_pages import KernelPages
    from sim.guest.zone import GuestZone


def lived_in() -> GuestModel:
    """A small guest with user pages, cache, kernel pages, slab, and the memmap of eight blocks."""
    model = small(ZONE_MOVABLE)
    model.demands.anonymous("a", 1000)
    model.demands.read_file("c", 500)
    model.demands.page_tables("t", 700)
    model.demands.disk_files("f", 50)
    assert model.add_memory(0, 100, 8, altmap=False)
    model.check()
    return model


def low(model: GuestModel) -> GuestZone:
    return model.zones[0, ZONE_DMA32]


def maps(model: GuestModel) -> KernelPages:
    found = low(model).pageblocks
    assert found is not None
    return found


def moved(model: GuestModel, name: str, to: str) -> None:
    """Move a page of the low zone from one count to another."""
    zone = low(model)
    setattr(zone, name, getattr(zone, name) - 1)
    setattr(zone, to, getattr(zone, to) + 1)


def negative(model: GuestModel) -> None:
    zone = low(model)
    zone.free, zone.reserved = -1, zone.reserved + zone.free + 1


def twice(model: GuestModel) -> None:
    bits = maps(model)
    block = next(iter(bits.held))
    bits.fixed[block] = bits.fixed.get(block, 0) | bits.held[block]
    bits.nr_fixed = sum(mask.bit_count() for mask in bits.fixed.values())


def elsewhere(model: GuestModel) -> None:
    bits = maps(model)
    bits.held[99] = 1
    bits.nr_held += 1


def nothing_held(model: GuestModel) -> None:
    model.loads["t"].kernel[model.zones[0, ZONE_MOVABLE]] = 0


def kernel_in_movable(model: GuestModel) -> None:
    zone = model.zones[0, ZONE_MOVABLE]
    zone.free -= 5
    zone.kernel += 5
    load = model.loads["t"]
    load.kernel[zone] = 5
    load.nr_kernel += 5


def room_that_is_not_to_be_filled(model: GuestModel) -> None:
    layout = low(model).layout
    assert layout is not None
    layout.filled(layout.next() or 0)


def fewer_by_block(model: GuestModel) -> None:
    layout = model.zones[0, ZONE_MOVABLE].layout
    assert layout is not None
    block = next(iter(layout.used))
    layout.used[block] -= 1


def fewer_plugged(model: GuestModel) -> None:
    layout = model.zones[0, ZONE_MOVABLE].layout
    assert layout is not None
    block = next(iter(layout.used))
    layout.plugged[block] = layout.used[block] - 1


def lost_by_load(model: GuestModel) -> None:
    layout = low(model).layout
    assert layout is not None
    layout.adrift[model.loads["a"]] = 3


def claimed_twice(model: GuestModel) -> None:
    claims = [load.claims[low(model)] for load in model.loads.values() if low(model) in load.claims]
    block, mask = next(iter(claims[0].items()))
    maps(model).left[block] = mask


def claimed_and_not_held(model: GuestModel) -> None:
    maps(model).shared[low(model).pageblocks.runs()[0][0]] = 1 << 63  # type: ignore[union-attr]


def set_cma(zone: GuestZone, cma: CmaPages) -> None:
    zone.cma = cma
    zone.cma_free = cma.free()


def nothing_in_cma(model: GuestModel) -> None:
    set_cma(low(model), CmaPages(0))
    assert low(model).cma is not None
    low(model).cma.where[model.loads["t"]] = 0  # type: ignore[union-attr]


def wrong_pieces(model: GuestModel) -> None:
    bits = maps(model)
    block, mask = next(iter(bits.pieces.items()))
    bits.pieces[block] = mask >> 1 if mask & 1 else mask << 1


@pytest.mark.parametrize(
    ("number", "what", "spoil"),
    [
        ("GUEST-1", "do not add up", lambda g: setattr(low(g), "free", low(g).free - 1)),
        ("GUEST-1", "negative in", negative),
        ("GUEST-2", "block ", twice),
        ("GUEST-2", "block 99 is not online", elsewhere),
        ("GUEST-3", "pageblocks, counter", lambda g: setattr(maps(g), "nr_held", maps(g).nr_held + 1)),
        ("GUEST-3", "blocks, runs", lambda g: setattr(maps(g), "nr_blocks", 15)),
        ("GUEST-4", "kernel", lambda g: setattr(maps(g), "pages", maps(g).pages + 1)),
        ("GUEST-5", "-1 dirty of", lambda g: setattr(g.loads["a"], "dirty", -1)),
        ("GUEST-5", "dirty of", lambda g: setattr(g.loads["a"], "dirty", g.loads["a"].user_pages() + 1)),
        ("GUEST-5", "t: kernel pages", nothing_held),
        ("GUEST-5", ": user ", lambda g: moved(g, "free", "user")),
        ("GUEST-5", ": kernel ", lambda g: moved(g, "free", "kernel")),
        ("GUEST-5", ": cache ", lambda g: setattr(low(g), "cache", low(g).cache + 1)),
        ("GUEST-5", ": slab ", lambda g: setattr(low(g), "slab", low(g).slab + 1)),
        ("GUEST-6", ": memmap ", lambda g: moved(g, "free", "memmap")),
        ("GUEST-6", ": pieces ", wrong_pieces),
        ("GUEST-7", "is not to be filled", room_that_is_not_to_be_filled),
        ("GUEST-8", "in MOVABLE", kernel_in_movable),
        ("GUEST-9", "by block .*, by load", fewer_by_block),
        ("GUEST-9", "user pages, .* plugged", fewer_plugged),
        ("GUEST-9", "touched pages, counter", lambda g: setattr(low(g).layout, "nr_touched", 1)),
        ("GUEST-9", "a: .* pages by block, .* in all", lost_by_load),
        ("GUEST-10", "twice", claimed_twice),
        ("GUEST-10", "of .* held", claimed_and_not_held),
        ("GUEST-3", "left behind, counter", lambda g: setattr(maps(g), "nr_left", 1)),
        ("GUEST-11", "of CMA free, 0 not used", lambda g: setattr(low(g), "cma_free", 5)),
        ("GUEST-11", "pages free in all", lambda g: set_cma(low(g), CmaPages(SIZE + 1))),
        ("GUEST-11", "pages in CMA by load", nothing_in_cma),
    ],
)
def test_each_broken_book_is_named(number: str, what: str, spoil: Callable[[GuestModel], None]) -> None:
    model = lived_in()
    assert low(model).managed == SIZE
    spoil(model)
    with pytest.raises(InvariantError, match=f"^{number}: .*{what}"):
        model.check()


def test_memmap_that_lies_in_one_place_twice_is_named() -> None:
    model = lived_in()
    parts = list(model.memmaps.parts())
    with pytest.raises(InvariantError, match=r"^GUEST-6: block \d+: memmap twice"):
        check(model.zones.values(), model.loads.values(), parts * 2)


def test_one_page_of_the_kernel_is_a_page() -> None:
    model = small(ZONE_MOVABLE)
    model.demands.pin("p", 1)
    assert sum(model.loads["p"].kernel.values()) == 1
    model.check()
