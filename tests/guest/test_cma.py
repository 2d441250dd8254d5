"""CMA: user pages may lie in it, kernel pages and memmap may not, however much of it is free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sim.guest.cma import cma_by_block, cma_share
from sim.guest.contract import OomKind
from sim.memory.zones import ZONE_DMA32, ZONE_NORMAL
from tests.guest.machines import SIZE, SMALL_BLOCK, guest, small
from tests.guest.test_headroom import taken

if TYPE_CHECKING:
    from sim.guest import GuestModel

CMA = SIZE // 2 + 4096
"""Pages of CMA in a zone of ``SIZE`` pages: a few more than half."""


def one_by_one(free: int, cma_free: int, pages: int) -> int:
    """Return how many of ``pages`` go to CMA, page by page as the kernel decides."""
    in_cma = 0
    for _ in range(pages):
        takes = cma_free and (2 * cma_free > free or cma_free == free)
        in_cma += bool(takes)
        cma_free -= bool(takes)
        free -= 1
    return in_cma


@given(beside=st.integers(0, 60), cma_free=st.integers(0, 60), pages=st.integers(0, 120))
def test_user_pages_go_to_cma_as_page_by_page(beside: int, cma_free: int, pages: int) -> None:
    free = beside + cma_free
    pages = min(pages, free)
    assert cma_share(free, cma_free, pages) == one_by_one(free, cma_free, pages)


def test_user_pages_use_cma_first_while_more_than_half_of_what_is_free_is_cma() -> None:
    model = small(cma=CMA)
    zone = model.zones[0, ZONE_DMA32]
    assert (zone.free, zone.cma_free) == (SIZE, CMA)
    for pages, left in ((5000, CMA - 5000), (5000, CMA - 8192 - 904), (2000, CMA - 8192 - 1904)):
        model.demands.anonymous("a", pages)
        assert zone.cma_free == left
        model.check()
    assert model.demands.kill("a")
    assert (zone.free, zone.cma_free) == (SIZE, CMA)


def test_kernel_pages_find_no_room_where_all_that_is_free_is_cma() -> None:
    """128 MiB are free when the killer comes, and it says of which zones."""
    plain, model = small(), small(cma=CMA)
    assert taken(plain) - taken(model) == CMA
    assert model.meminfo.kernel_headroom() == model.meminfo.kernel_headroom_free() == taken(model)
    assert model.meminfo.available() == plain.meminfo.available(), "as the kernel counts MemAvailable"
    found = model.demands.page_tables("p", SIZE - CMA)
    assert [event.kind for event in found.ooms] == [OomKind.KERNEL]
    assert found.ooms[0].zones[0].free > CMA
    assert model.meminfo.room_for_user_pages() == plain.meminfo.room_for_user_pages()


def test_page_cache_in_cma_is_not_kernel_headroom() -> None:
    model = small(cma=CMA)
    model.demands.read_file("/f", 2 * SIZE)
    headroom = model.meminfo.kernel_headroom()
    assert SIZE - CMA - 2000 < headroom < SIZE - CMA
    assert headroom - 130 <= taken(model) <= headroom, "a page less for each batch that goes"
    model.check()


def test_a_node_is_short_of_kernel_memory_with_all_of_its_cma_free() -> None:
    model = small(cma=CMA)
    model.demands.kernel_memory("k", SIZE - CMA - 300)
    assert model.meminfo.nodes_short_of_kernel_memory() == [0]
    model.demands.anonymous("a", 1000)
    assert model.meminfo.nodes_short_of_kernel_memory() == [0]


def most_added(model: GuestModel) -> int:
    """Return how many DIMMs of 1 GiB go in one after the other."""
    return next(number for number in range(200) if not model.add_memory(0, 1024 + 8 * number, 8, altmap=False))


def test_memmap_does_not_go_to_cma() -> None:
    """Each DIMM of 1 GiB takes 16 MiB, and a little for its blocks: 512 MiB of CMA are 31 DIMMs less."""
    assert most_added(guest(1024)) - most_added(guest(1024, cma_mib=512)) == 31


def test_a_zone_of_which_most_is_free_gives_memmap_no_more_than_lies_beside_its_cma() -> None:
    """A GiB of zone Normal is not CMA, 100 MiB of that are left: 160 MiB of memmap go on in DMA32."""
    model = guest(8192, cma_mib=4096)
    normal, dma32 = model.zones[0, ZONE_NORMAL], model.zones[0, ZONE_DMA32]
    model.demands.kernel_memory("k", normal.free - normal.cma_free - 100 * 256)
    assert normal.free > 4096 * 256
    assert model.add_memory(0, 4096, 80, altmap=False)
    assert 100 * 256 > normal.memmap > 0 < dma32.memmap
    assert normal.memmap + dma32.memmap == 160 * 256
    model.check()


def test_kernel_pages_and_what_the_kernel_boots_with_lie_beside_cma() -> None:
    """CMA at 4 GiB covers the first blocks of Normal, where the node's own pageblock would be."""
    model = guest(8192, cma_mib=256 + 64)
    pageblocks = model.zones[0, ZONE_NORMAL].pageblocks
    assert pageblocks is not None
    assert (pageblocks.busy(32), pageblocks.busy(33)) == (0, 0)
    assert pageblocks.busy(34) == 1 << 32, "the first pageblock above CMA, which ends in the middle of the block"
    model.demands.kernel_memory("k", 3 * 32768)
    assert (pageblocks.busy(32), pageblocks.busy(33)) == (0, 0)
    assert pageblocks.busy(34) >> 32 == (1 << 32) - 1
    assert pageblocks.busy(34) & (1 << 32) - 1 == 0
    model.check()


def test_user_pages_of_memory_that_goes_move_to_cma_of_the_zone() -> None:
    """Beside CMA nothing is free: what lay in the block that goes can only be there."""
    model = small(ZONE_NORMAL, cma=CMA)
    model.demands.kernel_memory("k", 10_000)
    model.demands.anonymous("a", 60_000)
    zone = model.zones[0, ZONE_NORMAL]
    before = model.zones[0, ZONE_DMA32].cma_free
    movable = [block for block in range(16, 32) if model.can_offline(ZONE_NORMAL, 0, block)]
    for block in movable:
        assert not model.offline(ZONE_NORMAL, 0, block, 1, SMALL_BLOCK).ooms
        model.check()
    assert zone.user < 60_000 - 2 * SMALL_BLOCK
    assert model.zones[0, ZONE_DMA32].cma_free < before


def test_areas_are_told_by_block() -> None:
    assert cma_by_block([(10, 25), (50, 10)], 20) == {0: [(10, 10)], 1: [(0, 15)], 2: [(10, 10)]}
