"""Spans of zones and nodes: how they grow and shrink, over holes and within blocks that zones share."""

from __future__ import annotations

from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from tests.memory.small_machine import B, machine, span

# Spans ----


def test_a_span_grows_over_holes_and_shrinks_past_them_at_once() -> None:
    memory = machine()
    for block in (50, 55, 60):
        memory.add(block, 1, node=0)
        memory.online(block, ZONE_MOVABLE)
    assert span(memory, ZONE_MOVABLE) == (50, 61)
    memory.offline(55)  # a hole inside stays inside
    assert span(memory, ZONE_MOVABLE) == (50, 61)
    memory.offline(60)
    assert span(memory, ZONE_MOVABLE) == (50, 51)
    memory.online(60, ZONE_MOVABLE)
    memory.offline(50)
    assert span(memory, ZONE_MOVABLE) == (60, 61)
    memory.offline(60)
    assert span(memory, ZONE_MOVABLE) == (0, 0)
    memory.online(55, ZONE_MOVABLE)
    assert span(memory, ZONE_MOVABLE) == (55, 56)


def test_the_search_for_an_edge_skips_other_zones_and_offline_blocks() -> None:
    memory = machine()
    memory.add(50, 5, node=0)
    memory.online(50, ZONE_NORMAL)
    memory.online(51, ZONE_MOVABLE)
    memory.online(53, ZONE_NORMAL)
    memory.online(54, ZONE_MOVABLE)
    memory.offline(54)
    assert span(memory, ZONE_MOVABLE) == (51, 52)
    memory.offline(53)
    assert span(memory, ZONE_NORMAL) == (32, 51)


def test_the_node_spans_the_hull_of_its_zones() -> None:
    memory = machine()
    memory.add(60, 1, node=0)
    memory.online(60, ZONE_MOVABLE)
    assert memory.nodes[0].span == (32 * B, 61 * B)
    memory.offline(60)
    assert memory.nodes[0].span == (32 * B, 40 * B)
    for block in range(32, 40):
        memory.offline(block)
    assert memory.nodes[0].span == (0, 0)


def test_a_zone_that_has_never_had_memory_spans_nothing() -> None:
    zone = machine().zone(0, ZONE_MOVABLE)
    assert (zone.start, zone.end, zone.spanned) == (0, 0, 0)


def test_a_low_zone_pulls_memory_into_it_by_its_present_span() -> None:
    """Below the 4 GiB limit but outside of DMA32's span a block is NORMAL; in a hole of the span it is DMA32."""
    memory = Memory(block_pages=B, section_pages=B, nodes=[0])
    add_boot_zone(memory, 0, ZONE_DMA32, start=4 * B, end=8 * B, present=4 * B, managed=4 * B)
    add_boot_blocks(memory, 0, 4, 4, ZONE_DMA32)
    node = memory.nodes[0]
    assert [node.default_kernel_zone(block * B, B) for block in (3, 4, 7, 8)] == [
        ZONE_NORMAL, ZONE_DMA32, ZONE_DMA32, ZONE_NORMAL,
    ]  # fmt: skip
    memory.offline(5)
    assert node.default_kernel_zone(5 * B, B) == ZONE_DMA32
    memory.offline(4)
    assert node.default_kernel_zone(5 * B, B) == ZONE_NORMAL
    assert node.low_end == 8 * B
    memory.offline(7)
    assert node.low_end == 7 * B
    memory.online(7, ZONE_NORMAL)
    memory.online(4, ZONE_DMA32)
    assert (node.low_end, memory.zone(0, ZONE_DMA32).start) == (7 * B, 4 * B)


def test_a_span_ends_and_begins_at_whole_pageblocks_of_a_block_that_zones_share() -> None:
    """Block 40 is Normal up to page 700 and MOVABLE from there on: searches for an edge go in steps of 512 pages."""
    memory = Memory(block_pages=B, section_pages=B, nodes=[0])
    shared = 40 * B
    add_boot_zone(memory, 0, ZONE_NORMAL, start=32 * B, end=shared + 700, present=8 * B + 700, managed=8 * B + 700)
    add_boot_zone(memory, 0, ZONE_MOVABLE, start=shared + 700, end=41 * B, present=B - 700, managed=B - 700)
    add_boot_blocks(memory, 0, 32, 8, ZONE_NORMAL)
    add_boot_blocks(memory, 0, 40, 1, None)
    pages = (shared - 1, shared, shared + 699, shared + 700, 41 * B - 1, 41 * B)
    assert [memory.zone_type_at(page) for page in pages] == [2, 2, 2, 3, 3, None]
    normal, movable = memory.zone(0, ZONE_NORMAL), memory.zone(0, ZONE_MOVABLE)
    for block, zone in ((50, ZONE_NORMAL), (30, ZONE_MOVABLE)):
        memory.add(block, 1, node=0)
        memory.online(block, zone)
    assert ((normal.start, normal.end), (movable.start, movable.end)) == ((32 * B, 51 * B), (30 * B, 41 * B))
    assert (normal.spanned, movable.spanned) == (19 * B, 11 * B)
    memory.offline(50)
    assert (normal.start, normal.end) == (32 * B, shared + 512)
    memory.offline(30)
    assert (movable.start, movable.end) == (shared + 1024, 41 * B)


def test_a_span_begins_with_the_shared_block_just_above() -> None:
    """Block 31 begins with 1024 MOVABLE pages: they are what is left of the span once block 30 has gone."""
    memory = Memory(block_pages=B, section_pages=B, nodes=[0])
    add_boot_zone(memory, 0, ZONE_MOVABLE, start=31 * B, end=31 * B + 1024, present=1024, managed=1024)
    add_boot_zone(memory, 0, ZONE_NORMAL, start=31 * B + 1024, end=33 * B, present=2 * B - 1024, managed=2 * B - 1024)
    add_boot_blocks(memory, 0, 31, 1, None)
    add_boot_blocks(memory, 0, 32, 1, ZONE_NORMAL)
    memory.add(30, 1, node=0)
    memory.online(30, ZONE_MOVABLE)
    memory.offline(30)
    movable = memory.zone(0, ZONE_MOVABLE)
    assert (movable.start, movable.end) == (31 * B, 31 * B + 1024)


def test_a_span_ends_with_the_shared_block_just_below_if_that_has_a_whole_pageblock_of_it() -> None:
    """Block 40 ends with 2048 pages of Normal; or has 300 within one of its pageblocks."""
    for first, end, left in ((41 * B - 2048, 41 * B, (41 * B - 2048, 41 * B)), (40 * B + 600, 40 * B + 900, (0, 0))):
        memory = Memory(block_pages=B, section_pages=B, nodes=[0])
        pages = end - first + B
        add_boot_zone(memory, 0, ZONE_NORMAL, start=first, end=42 * B, present=pages, managed=pages)
        memory.zone(0, ZONE_NORMAL).mixed_parts.append((first, end))
        add_boot_blocks(memory, 0, 41, 1, ZONE_NORMAL)
        memory.offline(41)
        normal = memory.zone(0, ZONE_NORMAL)
        assert (normal.start, normal.end) == left


def test_a_zone_meets_what_it_shares_a_page_with() -> None:
    zone = machine().zone(0, ZONE_NORMAL)
    ranges = [(31 * B, B), (31 * B, B + 1), (40 * B - 1, 1), (40 * B, 1), (0, 100 * B)]
    assert [zone.intersects(first, pages) for first, pages in ranges] == [False, True, True, False, True]


def test_a_low_zone_that_grows_is_known_to_reach_further() -> None:
    memory = Memory(block_pages=B, section_pages=B, nodes=[0])
    add_boot_zone(memory, 0, ZONE_DMA32, start=4 * B, end=8 * B, present=4 * B, managed=4 * B)
    add_boot_blocks(memory, 0, 4, 4, ZONE_DMA32)
    memory.add(10, 1, node=0)
    memory.online(10, ZONE_DMA32)
    node = memory.nodes[0]
    assert node.low_end == 11 * B
    assert [node.default_kernel_zone(block * B, B) for block in (9, 10, 11)] == [ZONE_DMA32, ZONE_DMA32, ZONE_NORMAL]


def test_totals_of_a_node_and_of_the_system_are_counted_side_by_side() -> None:
    memory = machine(nodes=2)
    dynamic = memory.groups.register_dynamic(1, B).id
    memory.add(50, 3, node=1, group_id=dynamic)
    memory.online(50, ZONE_MOVABLE, 2)
    memory.online(52, ZONE_NORMAL)
    memory.offline(33)

    def totals_of(node: int | None) -> tuple[int, int, int, int]:
        totals = memory.system if node is None else memory.nodes[node].totals
        return totals.movable // B, totals.dynamic_movable // B, totals.kernel // B, totals.early_kernel // B

    assert [totals_of(node) for node in (0, 1, None)] == [(0, 0, 7, 7), (2, 2, 1, 0), (2, 2, 8, 7)]
    memory.offline(51)
    memory.offline(52)
    memory.online(33, ZONE_NORMAL)
    assert [totals_of(node) for node in (0, 1, None)] == [(0, 0, 8, 8), (1, 1, 0, 0), (1, 1, 8, 8)]


# Boot parts smaller than a sub-section, in blocks of several zones ----


def machine_with_parts(*parts: tuple[int, int]) -> Memory:
    """Boot memory of Normal in nothing but parts (first page, end), each in a block that node 1 has the rest of."""
    memory = Memory(block_pages=B, section_pages=B, nodes=range(2))
    pages = sum(end - start for start, end in parts)
    add_boot_zone(memory, 0, ZONE_NORMAL, start=parts[0][0], end=parts[-1][1], present=pages, managed=pages)
    for start, _ in parts:
        add_boot_blocks(memory, 0, start // B, 1, None)
    memory.zone(0, ZONE_NORMAL).mixed_parts[:] = parts  # add_boot_blocks() knows of no gap within a zone
    return memory


def put_online(memory: Memory, *blocks: int) -> None:
    for block in blocks:
        memory.add(block, 1, node=0)
        memory.online(block, ZONE_NORMAL)


def test_a_small_part_that_the_span_has_passed_from_above_is_not_found_from_below() -> None:
    """No last page of a sub-section lies in it, so the span ends below it; then its first page is out of the span."""
    memory = machine_with_parts((40 * B, 40 * B + 355))
    put_online(memory, 36, 44)
    memory.offline(44)
    assert span(memory, ZONE_NORMAL) == (36, 37)
    memory.offline(36)
    assert span(memory, ZONE_NORMAL) == (0, 0)


def test_a_small_part_that_the_span_has_passed_from_below_is_not_found_from_above() -> None:
    """The first holds the end of a sub-section and no start of one, the second a start and no end."""
    memory = machine_with_parts((41 * B - 300, 41 * B), (42 * B, 42 * B + 300))
    put_online(memory, 36, 44)
    memory.offline(36)
    assert span(memory, ZONE_NORMAL) == (42, 45)
    memory.offline(44)
    assert span(memory, ZONE_NORMAL) == (0, 0)
