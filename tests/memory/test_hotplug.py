"""Adding, onlining, offlining and removing blocks: errors, counters at each moment, spans, CMA, altmap, nodes."""

from __future__ import annotations

import pytest

from sim.memory.blocks import BlockTable
from sim.memory.errors import E2BIG, EBUSY, EEXIST, EINVAL, HotplugError
from sim.memory.hotplug import MAX_PHYSICAL_BYTES, Memory
from sim.memory.zones import ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.units import MIB, PAGE_SIZE
from tests.devices.rig import fails_with

B = 32768
"""Pages of a block of 128 MiB."""


def machine(*, nodes: int = 1, cma: int = 0, block_pages: int = B) -> Memory:
    """One node with 8 boot blocks in Normal from block 32 on, on a machine with ``nodes`` possible nodes."""
    memory = Memory(block_pages=block_pages, section_pages=block_pages, nodes=range(nodes))
    start, pages = 32 * block_pages, 8 * block_pages
    memory.boot_zone(0, ZONE_NORMAL, start=start, end=start + pages, present=pages, managed=pages - 1000, cma=cma)
    memory.boot_blocks(0, 32, 8, ZONE_NORMAL)
    return memory


def counters(memory: Memory, zone_type: int, node: int = 0) -> tuple[int, int, int]:
    """(present, present_early, managed) of a zone, in pages."""
    zone = memory.zone(node, zone_type)
    return zone.present, zone.present_early, zone.managed


def span(memory: Memory, zone_type: int) -> tuple[int, int]:
    """Span of the zone in blocks (start, end)."""
    zone = memory.zone(0, zone_type)
    return zone.start // B, zone.end // B


# Adding and removing ----


def test_adding_changes_membership_and_nothing_else() -> None:
    memory = machine()
    before = counters(memory, ZONE_NORMAL), span(memory, ZONE_NORMAL), memory.system.kernel
    group_id = memory.groups.register_static(0, 4 * B)
    memory.add(50, 4, node=0, group_id=group_id)
    assert (counters(memory, ZONE_NORMAL), span(memory, ZONE_NORMAL), memory.system.kernel) == before
    group = memory.groups.find(group_id)
    assert group is not None
    assert (group.blocks, group.kernel, group.movable) == (4, 0, 0)
    assert [memory.blocks.is_online(block) for block in range(50, 54)] == [False] * 4
    assert memory.blocks.ids() == [*range(32, 40), *range(50, 54)]


@pytest.mark.parametrize(
    ("first", "count", "node", "group_id", "number"),
    [
        (50, 0, 0, -1, EINVAL),
        (-1, 2, 0, -1, EINVAL),
        (50, 1, 1, -1, EINVAL),
        (50, 2, 0, 3, EINVAL),
        (39, 2, 0, -1, EEXIST),
        (32, 1, 0, -1, EEXIST),
        (31, 1000, 0, -1, EEXIST),
        (MAX_PHYSICAL_BYTES // (128 * MIB), 1, 0, -1, E2BIG),
        (MAX_PHYSICAL_BYTES // (128 * MIB) - 1, 2, 0, -1, E2BIG),
        # Where several things are wrong: the address first, then the group.
        (39, 2, 0, 3, EEXIST),
        (MAX_PHYSICAL_BYTES // (128 * MIB), 1, 7, 3, E2BIG),
    ],
    ids=str,
)
def test_what_cannot_be_added(first: int, count: int, node: int, group_id: int, number: int) -> None:
    memory = machine()
    before = bytes(memory.blocks.where).rstrip(b"\0")
    with fails_with(number):
        memory.add(first, count, node=node, group_id=group_id)
    assert bytes(memory.blocks.where).rstrip(b"\0") == before


def test_the_last_addressable_block_can_be_added() -> None:
    memory = machine(block_pages=2**31 // PAGE_SIZE)
    memory.add(memory.max_blocks - 1, 1, node=0)
    assert memory.blocks.exists(memory.max_blocks - 1)


def test_a_single_block_is_refused_like_a_run() -> None:
    memory = machine()
    group = memory.groups.find(memory.groups.register_dynamic(0, B))
    assert group is not None
    with fails_with(EEXIST):
        memory.add_one(33, group)
    with fails_with(E2BIG):
        memory.add_one(memory.max_blocks, group)
    memory.add_one(50, group)
    assert (group.blocks, memory.blocks.group[50], memory.blocks.node[50]) == (1, group.id, 0)
    memory.remove_one(50)
    assert (group.blocks, memory.blocks.group[50], memory.blocks.exists(50)) == (0, -1, False)


def test_the_errors_of_ranges_that_are_not_whole_blocks() -> None:
    """An address that does not exist or is taken is told before the alignment."""
    memory = machine()
    assert memory.odd_range(memory.max_blocks * B, 5).errno == E2BIG
    assert memory.odd_range(39 * B + 7, B).errno == EEXIST
    assert memory.odd_range(31 * B + 7, B).errno == EEXIST, "its last page is in block 32"
    assert memory.odd_range(30 * B + 7, B).errno == EINVAL
    assert memory.odd_range(50 * B + 7, B).errno == EINVAL
    assert memory.odd_range(50 * B, 0).errno == EINVAL


def test_the_node_comes_from_the_group() -> None:
    memory = machine(nodes=2)
    group_id = memory.groups.register_static(1, B)
    memory.add(50, 1, node=0, group_id=group_id)
    memory.online(50, ZONE_NORMAL)
    assert memory.blocks.node[50] == 1
    assert memory.nodes[1].present == B
    assert memory.nodes[0].present == 8 * B


@pytest.mark.parametrize(
    ("first", "count", "number"),
    [
        (60, 1, EINVAL),
        (51, 2, EINVAL),
        (50, 1, EBUSY),
        (49, 1, EINVAL),
        (10_000, 1, EINVAL),
        (51, 0, EINVAL),
        (-1, 1, EINVAL),
    ],
    ids=str,
)
def test_what_cannot_be_removed(first: int, count: int, number: int) -> None:
    memory = machine()
    memory.add(50, 2, node=0)
    memory.online(50, ZONE_MOVABLE)
    with fails_with(number):
        memory.remove(first, count)
    assert memory.blocks.exists(50)
    assert memory.blocks.exists(51)


def test_a_run_with_one_online_block_is_not_removed_at_all() -> None:
    memory = machine()
    group_id = memory.groups.register_static(0, 3 * B)
    memory.add(50, 3, node=0, group_id=group_id)
    memory.online(51, ZONE_MOVABLE)
    with fails_with(EBUSY):
        memory.remove(50, 3)
    group = memory.groups.find(group_id)
    assert group is not None
    assert group.blocks == 3
    memory.offline(51)
    memory.remove(50, 3)
    assert group.blocks == 0


def test_removing_blocks_of_several_groups_at_once() -> None:
    memory = machine()
    ids = [memory.groups.register_static(0, 2 * B) for _ in range(2)]
    memory.add(50, 2, node=0, group_id=ids[0])
    memory.add(52, 2, node=0, group_id=ids[1])
    memory.add(54, 1, node=0)
    memory.blocks.left_over[53] = 3
    memory.remove(51, 4)
    assert [group.blocks for group in memory.groups] == [1, 0]
    assert memory.blocks.left_over == {}


# Counters ----


def test_onlining_and_offlining_count_everywhere_at_once() -> None:
    memory = machine()
    group_id = memory.groups.register_static(0, 4 * B)
    group = memory.groups.find(group_id)
    assert group is not None
    memory.add(50, 4, node=0, group_id=group_id)
    memory.online(50, ZONE_MOVABLE)
    memory.online(51, ZONE_NORMAL)
    assert (group.movable, group.kernel) == (B, B)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, B)
    assert counters(memory, ZONE_NORMAL) == (9 * B, 8 * B, 9 * B - 1000)
    assert (memory.system.movable, memory.system.kernel, memory.system.early_kernel) == (B, 9 * B, 8 * B)
    assert memory.system.dynamic_movable == 0
    memory.offline(50)
    memory.offline(51)
    assert (group.movable, group.kernel, group.blocks) == (0, 0, 4)
    assert counters(memory, ZONE_NORMAL) == (8 * B, 8 * B, 8 * B - 1000)
    assert (memory.system.movable, memory.system.kernel) == (0, 8 * B)


def test_early_blocks_stay_early_in_every_zone() -> None:
    memory = machine()
    memory.offline(39)
    assert (memory.system.early_kernel, memory.system.movable) == (7 * B, 0)
    memory.online(39, ZONE_MOVABLE)
    assert (memory.system.early_kernel, memory.system.movable) == (7 * B, B)
    assert counters(memory, ZONE_MOVABLE)[1] == B
    memory.offline(39)
    memory.online(39, ZONE_NORMAL)
    assert (memory.system.early_kernel, memory.system.movable) == (8 * B, 0)
    assert counters(memory, ZONE_MOVABLE) == (0, 0, 0)


def test_a_removed_and_added_boot_block_is_early_no_more() -> None:
    memory = machine()
    memory.offline(39)
    memory.remove(39)
    memory.add(39, 1, node=0)
    memory.online(39, ZONE_NORMAL)
    assert memory.system.early_kernel == 7 * B
    assert memory.system.kernel == 8 * B


def test_only_dynamic_groups_count_as_lendable_movable() -> None:
    memory = machine()
    dynamic = memory.groups.register_dynamic(0, B)
    static = memory.groups.register_static(0, B)
    for block, group_id in ((50, dynamic), (51, static), (52, -1)):
        memory.add(block, 1, node=0, group_id=group_id)
        memory.online(block, ZONE_MOVABLE)
    assert (memory.system.movable, memory.system.dynamic_movable) == (3 * B, B)
    memory.offline(50)
    assert (memory.system.movable, memory.system.dynamic_movable) == (2 * B, 0)


def test_sub_blocks_change_managed_pages_only() -> None:
    memory = machine()
    group_id = memory.groups.register_dynamic(0, B)
    memory.add(50, 1, node=0, group_id=group_id)
    memory.online(50, ZONE_MOVABLE, withheld=B - 512)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, 512)
    memory.adjust_managed(50, 1024)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, 1536)
    memory.adjust_managed(50, -512)
    group = memory.groups.find(group_id)
    assert group is not None
    assert (counters(memory, ZONE_MOVABLE), group.movable) == ((B, 0, 1024), B)
    memory.offline(50, withheld=B - 1024)
    assert counters(memory, ZONE_MOVABLE) == (0, 0, 0)


@pytest.mark.parametrize("zone_type", [ZONE_NORMAL, ZONE_MOVABLE])
def test_a_self_hosted_memmap_is_present_and_not_managed(zone_type: int) -> None:
    """512 of a block's 32768 pages hold its memmap: the rest is handed out, all of it counts as present (W28)."""
    memory = machine()
    present, _, managed = counters(memory, zone_type)
    memory.add(50, 2, node=0, self_hosted=True)
    memory.online(50, zone_type, 2)
    assert counters(memory, zone_type)[0] == present + 2 * B
    assert counters(memory, zone_type)[2] == managed + 2 * 32256
    memory.offline(51)
    assert counters(memory, zone_type)[0] == present + B
    assert counters(memory, zone_type)[2] == managed + 32256
    memory.offline(50)
    assert counters(memory, zone_type) == (present, counters(memory, zone_type)[1], managed)


def test_a_block_that_hosted_its_memmap_does_not_for_ever() -> None:
    memory = machine()
    memory.add(50, 1, node=0, self_hosted=True)
    memory.remove(50)
    memory.add(50, 1, node=0)
    memory.online(50, ZONE_MOVABLE)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, B)


def test_a_single_block_added_where_one_hosted_its_memmap_does_not() -> None:
    memory = machine()
    group = memory.groups.find(memory.groups.register_dynamic(0, B))
    assert group is not None
    memory.add(50, 1, node=0, self_hosted=True)
    memory.remove(50)
    memory.add_one(50, group)
    memory.online(50, ZONE_MOVABLE)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, B)


def test_an_early_block_that_never_was_whole_counts_as_early_as_far_as_it_was() -> None:
    """A boot zone says itself how many of its present pages are early: the others came by hotplug before."""
    memory = Memory(block_pages=B, section_pages=B, nodes=[0, 1])
    memory.boot_zone(0, ZONE_NORMAL, start=32 * B, end=40 * B, present=8 * B, managed=8 * B, present_early=6 * B)
    assert counters(memory, ZONE_NORMAL) == (8 * B, 6 * B, 8 * B)
    for totals in (memory.system, memory.nodes[0].totals):
        assert (totals.kernel, totals.early_kernel, totals.movable) == (8 * B, 6 * B, 0)
    assert memory.nodes[1].totals.kernel == 0


# CMA ----


def test_cma_moves_from_early_kernel_to_movable() -> None:
    memory = machine(cma=5000)
    assert (memory.system.movable, memory.system.early_kernel, memory.system.kernel) == (5000, 8 * B - 5000, 8 * B)


def test_cma_counts_as_long_as_its_zone_has_present_pages() -> None:
    """The kernel's loop goes over populated zones: an emptied one takes its CMA along."""
    memory = machine(cma=5000)
    for block in range(32, 39):
        memory.offline(block)
    assert (memory.system.movable, memory.system.early_kernel) == (5000, B - 5000)
    memory.offline(39)
    assert (memory.system.movable, memory.system.early_kernel) == (0, 0)
    memory.online(35, ZONE_NORMAL)
    assert (memory.system.movable, memory.system.early_kernel) == (5000, B - 5000)


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


def test_a_low_zone_pulls_memory_into_it_by_its_present_span() -> None:
    """Below the 4 GiB limit but outside of DMA32's span a block is NORMAL; in a hole of the span it is DMA32."""
    memory = Memory(block_pages=B, section_pages=B, nodes=[0])
    memory.boot_zone(0, ZONE_DMA32, start=4 * B, end=8 * B, present=4 * B, managed=4 * B)
    memory.boot_blocks(0, 4, 4, ZONE_DMA32)
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
    memory.boot_zone(0, ZONE_NORMAL, start=32 * B, end=shared + 700, present=8 * B + 700, managed=8 * B + 700)
    memory.boot_zone(0, ZONE_MOVABLE, start=shared + 700, end=41 * B, present=B - 700, managed=B - 700)
    memory.boot_blocks(0, 32, 8, ZONE_NORMAL)
    memory.boot_blocks(0, 40, 1, None)
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
    memory.boot_zone(0, ZONE_MOVABLE, start=31 * B, end=31 * B + 1024, present=1024, managed=1024)
    memory.boot_zone(0, ZONE_NORMAL, start=31 * B + 1024, end=33 * B, present=2 * B - 1024, managed=2 * B - 1024)
    memory.boot_blocks(0, 31, 1, None)
    memory.boot_blocks(0, 32, 1, ZONE_NORMAL)
    memory.add(30, 1, node=0)
    memory.online(30, ZONE_MOVABLE)
    memory.offline(30)
    movable = memory.zone(0, ZONE_MOVABLE)
    assert (movable.start, movable.end) == (31 * B, 31 * B + 1024)


def test_a_zone_meets_what_it_shares_a_page_with() -> None:
    zone = machine().zone(0, ZONE_NORMAL)
    ranges = [(31 * B, B), (31 * B, B + 1), (40 * B - 1, 1), (40 * B, 1), (0, 100 * B)]
    assert [zone.intersects(first, pages) for first, pages in ranges] == [False, True, True, False, True]


def test_a_low_zone_that_grows_is_known_to_reach_further() -> None:
    memory = Memory(block_pages=B, section_pages=B, nodes=[0])
    memory.boot_zone(0, ZONE_DMA32, start=4 * B, end=8 * B, present=4 * B, managed=4 * B)
    memory.boot_blocks(0, 4, 4, ZONE_DMA32)
    memory.add(10, 1, node=0)
    memory.online(10, ZONE_DMA32)
    node = memory.nodes[0]
    assert node.low_end == 11 * B
    assert [node.default_kernel_zone(block * B, B) for block in (9, 10, 11)] == [ZONE_DMA32, ZONE_DMA32, ZONE_NORMAL]


def test_totals_of_a_node_and_of_the_system_are_counted_side_by_side() -> None:
    memory = machine(nodes=2)
    dynamic = memory.groups.register_dynamic(1, B)
    memory.add(50, 3, node=1, group_id=dynamic)
    memory.online(50, ZONE_MOVABLE, 2)
    memory.online(52, ZONE_NORMAL)
    memory.offline(33)

    def found(node: int | None) -> tuple[int, int, int, int]:
        totals = memory.system if node is None else memory.nodes[node].totals
        return totals.movable // B, totals.dynamic_movable // B, totals.kernel // B, totals.early_kernel // B

    assert [found(node) for node in (0, 1, None)] == [(0, 0, 7, 7), (2, 2, 1, 0), (2, 2, 8, 7)]
    memory.offline(51)
    memory.offline(52)
    memory.online(33, ZONE_NORMAL)
    assert [found(node) for node in (0, 1, None)] == [(0, 0, 8, 8), (1, 1, 0, 0), (1, 1, 8, 8)]


# What can never go offline ----


def test_blocks_that_can_never_go_offline() -> None:
    memory = machine()
    memory.boot_blocks(0, 40, 1, None)
    memory.boot_blocks(0, 41, 1, ZONE_NORMAL, holes=True)
    for block in (40, 41):
        with fails_with(EINVAL):
            memory.offline(block)
        assert memory.blocks.is_online(block)
    assert memory.zone_label(40) == "none"
    assert memory.blocks.flags[41] & BlockTable.HAS_HOLES


def test_offlining_what_is_not_online() -> None:
    memory = machine()
    memory.add(50, 1, node=0)
    for block in (50, 49):
        with fails_with(EINVAL):
            memory.offline(block)


# Units and the table ----


def test_unit_sections_are_counted_whoever_owns_them() -> None:
    memory = Memory(block_pages=4 * B, section_pages=B, nodes=[0])
    unit = 16 * B
    memory.add(4, 4, node=0)
    memory.online(4, ZONE_NORMAL)
    assert memory.unit_sections(unit, 4 * 4 * B) == (4, 0)
    memory.online(6, ZONE_MOVABLE)
    memory.add(8, 1, node=0)
    memory.online(8, ZONE_MOVABLE)
    assert memory.unit_sections(unit, 7 * 4 * B + 5) == (4, 4)
    memory.offline(4)
    assert memory.unit_sections(unit, 4 * 4 * B) == (0, 4)
    assert memory.unit_sections(2 * unit, 0) == (0, 4)
    assert memory.unit_sections(unit, 8 * 4 * B) == (0, 4)


def test_a_run_over_several_units_counts_in_each() -> None:
    memory = machine()
    memory.unit_sections(4 * B, 0)
    memory.add(50, 8, node=0)
    memory.online(50, ZONE_MOVABLE, 8)
    assert [memory.unit_sections(4 * B, block * B)[1] for block in (48, 52, 56, 60)] == [2, 4, 2, 0]


def test_the_table_grows_and_keeps_what_it_holds() -> None:
    table = BlockTable()
    for block in (0, 1, 7, 100, 101, 5000):
        table.reserve(block + 1)
        table.where[block] = 1
    assert table.ids() == [0, 1, 7, 100, 101, 5000]
    assert len(table.where) == len(table.flags) == len(table.node) == len(table.group) == len(table)
    assert set(table.group) == {-1}
    assert not table.exists(10**9)
    assert not table.exists(-1)
    assert not table.is_online(10**9)


def test_appending_block_by_block_copies_the_table_a_few_times_only() -> None:
    table = BlockTable()
    sizes = set()
    for block in range(10_000):
        table.reserve(block + 1)
        sizes.add(len(table))
    assert len(sizes) < 40


def test_sizes_that_make_no_machine() -> None:
    for block_pages, section_pages in ((0, B), (3 * B, B), (B, 0), (B, 2 * B), (-B, B)):
        with pytest.raises(ValueError, match="not a power of two of whole sections"):
            Memory(block_pages=block_pages, section_pages=section_pages, nodes=[0])


def test_errors_have_a_name_and_a_number() -> None:
    error = HotplugError(EBUSY, "block 7 is online")
    assert (str(error), error.name, error.errno, error.reason) == (
        "EBUSY: block 7 is online", "EBUSY", 16, "block 7 is online",
    )  # fmt: skip
    assert HotplugError(5, "what the list does not hold").name == "5"


# Boot parts smaller than a sub-section, in blocks of several zones ----


def machine_with_parts(*parts: tuple[int, int]) -> Memory:
    """Boot memory of Normal in nothing but parts (first page, end), each in a block that node 1 has the rest of."""
    memory = Memory(block_pages=B, section_pages=B, nodes=range(2))
    pages = sum(end - start for start, end in parts)
    memory.boot_zone(0, ZONE_NORMAL, start=parts[0][0], end=parts[-1][1], present=pages, managed=pages)
    for start, _ in parts:
        memory.boot_blocks(0, start // B, 1, None)
    memory.zone(0, ZONE_NORMAL).mixed_parts[:] = parts  # boot_blocks() knows of no gap within a zone
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
