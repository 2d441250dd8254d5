"""Free pages on CPU lists: how many are believed, who fills the lists, who empties them."""

from __future__ import annotations

import pytest

from sim.guest.zone import GuestZone
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.guest.machines import SIZE, SMALL_BLOCK, small


def zone(low: int, pcp: int = 0, pcp_loads: int = 0, managed: int = 1 << 20) -> GuestZone:
    z = GuestZone(0, ZONE_DMA32, None)
    z.managed = z.free = managed
    z.low, z.pcp, z.pcp_loads = low, pcp, pcp_loads
    return z


@pytest.mark.parametrize(
    ("low", "pcp", "listed"),
    [
        (10_000, 500, 500),
        (10_000, 4096, 4096),
        (10_000, 4101, 4097),  # of more than 16 MiB a fifth
        (10_000, 9096, 5096),
        (10_000, 12_048, 5276),  # no more than the low watermark: 4,096 and a fifth of 5,904
        (10_000, 12_049, 2500),  # clearly overrun: a quarter of the low watermark
        (1000, 900, 900),
        (1000, 3048, 1000),
        (1000, 3049, 250),
    ],
)
def test_lists_of_freed_memmap(low: int, pcp: int, listed: int) -> None:
    assert zone(low, pcp).listed_pcp() == listed


@pytest.mark.parametrize(
    ("low", "pcp", "listed"), [(10_000, 9096, 9096), (10_000, 12_048, 10_000), (10_000, 12_049, 2500)]
)
def test_a_newer_kernel_keeps_all_within_the_limit(low: int, pcp: int, listed: int) -> None:
    assert zone(low, pcp).listed_pcp(1 / 1024) == listed


@pytest.mark.parametrize(
    ("pcp", "loads", "share", "listed"),
    [
        (0, 600, 0.0, 600),
        (0, 700, 0.0, 625),  # five eighths of the low watermark
        (100, 700, 0.0, 625),
        (100, 300, 0.0, 400),
        (800, 700, 0.0, 800),
        (0, 700, 1 / 1024, 700),  # of 1,048,576 pages 1,024
        (0, 2000, 1 / 1024, 1024),
        (100, 2000, 1 / 1024, 1024),
    ],
)
def test_lists_of_what_loads_freed(pcp: int, loads: int, share: float, listed: int) -> None:
    assert zone(1000, pcp, loads).listed_pcp(share) == listed


def test_in_movable_memory_lists_grow_to_twice_the_low_watermark_only() -> None:
    for zone_type, listed in ((ZONE_MOVABLE, 2000), (ZONE_NORMAL, 4096)):
        z = GuestZone(0, zone_type, None)
        z.managed = z.free = 1 << 15
        z.low, z.pcp_loads = 1000, 5000
        assert z.listed_pcp(1 / 8) == listed


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        ("page_tables", 450),  # single pages
        ("pin", 450),
        ("tmpfs_files", 150),  # slab and stacks: chunks, which empty the list
        ("pipes", 150),
        ("processes", 150),
    ],
)
def test_what_is_freed_in_chunks_empties_a_list(kind: str, listed: int) -> None:
    model = small(ZONE_MOVABLE, pipe_bytes=4096, process_bytes=4096)
    z = model.zones[0, ZONE_DMA32]
    getattr(model.demands, kind)("/tmp/x", 300)  # noqa: S108 - a path inside the guest
    z.pcp, z.pcp_loads = 150, 0
    assert model.demands.kill("/tmp/x") or model.demands.remove_files("/tmp/x")  # noqa: S108
    assert z.pcp + z.pcp_loads == listed
    z.pcp = 5000
    z.flush_pcp()
    assert (z.pcp, z.pcp_loads) == (200, 0)


def test_lists_beyond_the_low_watermark_go_back_in_time() -> None:
    model = small(ZONE_MOVABLE, pcp_adaptive_share=1 / 8, pcp_decay_bytes=100 << 12)
    z = model.zones[0, ZONE_DMA32]
    model.meminfo.uses()  # computes the watermarks
    assert z.low == 321
    z.pcp, z.pcp_loads = 50, 1000
    for seconds, loads in ((0.9, 1000), (1.0, 900), (1.9, 900), (3.5, 700), (10.0, 271), (99.0, 271)):
        model.advance(int(seconds * 1_000_000))
        assert (z.pcp, z.pcp_loads) == (50, loads)
    old = small(ZONE_MOVABLE)
    old.zones[0, ZONE_DMA32].pcp_loads = 1000
    old.advance(9_000_000)
    assert old.zones[0, ZONE_DMA32].pcp_loads == 1000  # such lists do not grow, and keep what they have


def test_no_more_is_listed_than_is_free() -> None:
    z = zone(1000, 500, 100)
    z.free = 555
    assert z.listed_pcp() == 555
    assert z.use().pcp == 555


def test_lists_take_a_part_of_the_zone_and_no_more() -> None:
    z = zone(1000)
    for pages, expected in ((60_000, 60_000), (10_000, (1 << 16) + 2048 + 512), (1, (1 << 16) + 2048 + 512)):
        z.fill_pcp(pages)
        assert z.pcp == expected
    for pages, expected in ((100_000, 100_000), (50_000, 1 << 17), (1, 1 << 17)):
        z.fill_pcp_loads(pages)
        assert z.pcp_loads == expected


@pytest.mark.parametrize(
    ("spent", "pcp", "loads"), [(50, 30, 50), (100, 30, 0), (101, 29, 0), (130, 0, 0), (200, 0, 0)]
)
def test_what_loads_freed_is_spent_first(spent: int, pcp: int, loads: int) -> None:
    z = zone(1000, 30, 100)
    z.spend_pcp(spent)
    assert (z.pcp, z.pcp_loads) == (pcp, loads)


def test_small_pages_come_from_the_lists_and_go_there_huge_ones_do_not() -> None:
    model = small(ZONE_MOVABLE)
    z = model.zones[0, ZONE_MOVABLE]
    z.pcp = 1000
    model.demands.anonymous("huge", 300, huge=True)
    assert (z.pcp, z.pcp_loads) == (1000, 0)
    model.demands.anonymous("small", 300)
    assert (z.pcp, z.pcp_loads) == (700, 0)
    model.demands.kill("small")
    assert (z.pcp, z.pcp_loads) == (700, 300)
    dma32 = model.zones[0, ZONE_DMA32]
    dma32.pcp = 100
    model.demands.pin("p", 60)
    assert (dma32.pcp, dma32.pcp_loads) == (40, 0)
    model.demands.kill("p")
    assert (dma32.pcp, dma32.pcp_loads) == (40, 60)


def test_lists_are_drained_when_memory_goes() -> None:
    model = small(ZONE_MOVABLE, ZONE_NORMAL)
    for zone_type, block in ((ZONE_MOVABLE, 31), (ZONE_NORMAL, 47)):
        z = model.zones[0, zone_type]
        for ask in (
            lambda t=zone_type, b=block: model.offline(t, 0, b, 1, SMALL_BLOCK),
            lambda t=zone_type, b=block: model.give_subblocks(t, 0, b - 1, 0xFF, 512, 3),
        ):
            z.pcp = z.pcp_loads = 50
            ask()
            assert (z.pcp, z.pcp_loads) == (0, 0)


def test_memmap_takes_from_the_lists_only_what_they_have_and_fills_them_when_it_goes() -> None:
    model = small(ZONE_MOVABLE)
    z = model.zones[0, ZONE_DMA32]
    z.pcp = 64
    model.add_memory(0, 100, 1, altmap=False)
    assert z.pcp == 64
    z.pcp = 65
    model.add_memory(0, 101, 1, altmap=False)
    assert z.pcp == 1
    model.remove_memory(100, 1)
    assert z.pcp == 65


def test_subblocks_that_were_in_use_before_come_back_through_the_lists() -> None:
    model = small(ZONE_MOVABLE)
    z = model.zones[0, ZONE_MOVABLE]
    model.online(ZONE_MOVABLE, 0, 40, 1, 4 * 512)  # sub-blocks 4 to 7 were never there
    assert model.give_subblocks(ZONE_MOVABLE, 0, 40, 0x0F, 512, 2).mask == 0x0C
    for mask, plugged, listed in ((0x70, 5, 0), (0x04, 6, 512), (0x80, 7, 512), (0x08, 8, 1024)):
        model.take_subblocks(ZONE_MOVABLE, 0, 40, mask, 512)
        assert (z.managed, z.pcp_loads) == (SIZE + plugged * 512, listed)
    model.give_subblocks(ZONE_MOVABLE, 0, 40, 0xFF, 512, 1)
    assert z.pcp_loads == 0
    model.offline(ZONE_MOVABLE, 0, 40, 1, 7 * 512)
    model.online(ZONE_MOVABLE, 0, 40, 1, 7 * 512)
    model.take_subblocks(ZONE_MOVABLE, 0, 40, 0x80, 512)
    assert z.pcp_loads == 0  # a block that went offline starts anew


def test_the_model_lists_as_its_series_does() -> None:
    for share, listed in ((0.0, 200), (1 / 64, 642)):
        model = small(ZONE_MOVABLE, pcp_adaptive_share=share)
        model.demands.anonymous("a", 1000)
        model.demands.kill("a")
        use = next(u for u in model.meminfo.uses() if u.zone == ZONE_MOVABLE)
        assert use.pcp == listed
