"""Adding, onlining, offlining and removing blocks: errors, units, and the table that holds them."""

from __future__ import annotations

import pytest

from sim.memory.blocks import BlockTable
from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.errors import E2BIG, EBUSY, EEXIST, EINVAL, HotplugError
from sim.memory.hotplug import MAX_PHYSICAL_BYTES, Memory
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.units import MIB
from tests.devices.rig import fails_with
from tests.memory.small_machine import B, counters, machine, span
from tests.support.pages import PAGE_SIZE

# Adding and removing ----


def test_adding_changes_membership_and_nothing_else() -> None:
    memory = machine()
    before = counters(memory, ZONE_NORMAL), span(memory, ZONE_NORMAL), memory.system.kernel
    group = memory.groups.register_static(0, 4 * B)
    memory.add(50, 4, node=0, group_id=group.id)
    assert (counters(memory, ZONE_NORMAL), span(memory, ZONE_NORMAL), memory.system.kernel) == before
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
    group = memory.groups.register_dynamic(0, B)
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


def test_boot_memory_that_ends_in_a_block_does_not_take_the_rest_of_it() -> None:
    """65 GiB of blocks of 2 GiB: a DIMM right above lies in the last block, and no address of it is taken."""
    memory = Memory(block_pages=16 * B, section_pages=B, nodes=[0])
    add_boot_zone(memory, 0, ZONE_NORMAL, start=0, end=24 * B, present=24 * B, managed=24 * B)
    add_boot_blocks(memory, 0, 0, 1, ZONE_NORMAL)
    add_boot_blocks(memory, 0, 1, 1, ZONE_NORMAL, holes=True, sections_end=24 * B)
    assert memory.odd_range(24 * B, 16 * B).errno == EINVAL
    assert memory.odd_range(23 * B, 16 * B).errno == EEXIST


def test_the_node_comes_from_the_group() -> None:
    memory = machine(nodes=2)
    group_id = memory.groups.register_static(1, B).id
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
    group = memory.groups.register_static(0, 3 * B)
    memory.add(50, 3, node=0, group_id=group.id)
    memory.online(51, ZONE_MOVABLE)
    with fails_with(EBUSY):
        memory.remove(50, 3)
    assert group.blocks == 3
    memory.offline(51)
    memory.remove(50, 3)
    assert group.blocks == 0


def test_removing_blocks_of_several_groups_at_once() -> None:
    memory = machine()
    ids = [memory.groups.register_static(0, 2 * B).id for _ in range(2)]
    memory.add(50, 2, node=0, group_id=ids[0])
    memory.add(52, 2, node=0, group_id=ids[1])
    memory.add(54, 1, node=0)
    memory.blocks.left_over[53] = 3
    memory.remove(51, 4)
    assert [group.blocks for group in memory.groups] == [1, 0]
    assert memory.blocks.left_over == {}


# What can never go offline ----


def test_blocks_that_can_never_go_offline() -> None:
    memory = machine()
    add_boot_blocks(memory, 0, 40, 1, None)
    add_boot_blocks(memory, 0, 41, 1, ZONE_NORMAL, holes=True)
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


def test_a_word_that_is_left_over_goes_with_its_block_and_with_no_other() -> None:
    memory = machine()
    memory.add(50, 1, node=0)
    memory.add(60, 2, node=0)
    memory.blocks.left_over.update({50: 2, 60: 3})
    memory.remove(60, 2)
    assert memory.blocks.left_over == {50: 2}
