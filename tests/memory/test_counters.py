"""What zones, nodes and groups count at each moment: early and managed pages, altmap, CMA."""

from __future__ import annotations

import pytest

from sim.memory.boot import add_boot_zone
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from tests.memory.small_machine import B, counters, machine

# Counters ----


def test_onlining_and_offlining_count_everywhere_at_once() -> None:
    memory = machine()
    group = memory.groups.register_static(0, 4 * B)
    memory.add(50, 4, node=0, group_id=group.id)
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
    dynamic = memory.groups.register_dynamic(0, B).id
    static = memory.groups.register_static(0, B).id
    for block, group_id in ((50, dynamic), (51, static), (52, -1)):
        memory.add(block, 1, node=0, group_id=group_id)
        memory.online(block, ZONE_MOVABLE)
    assert (memory.system.movable, memory.system.dynamic_movable) == (3 * B, B)
    memory.offline(50)
    assert (memory.system.movable, memory.system.dynamic_movable) == (2 * B, 0)


def test_sub_blocks_change_managed_pages_only() -> None:
    memory = machine()
    group = memory.groups.register_dynamic(0, B)
    memory.add(50, 1, node=0, group_id=group.id)
    memory.online(50, ZONE_MOVABLE, withheld=B - 512)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, 512)
    memory.adjust_managed(50, 1024)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, 1536)
    memory.adjust_managed(50, -512)
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
    group = memory.groups.register_dynamic(0, B)
    memory.add(50, 1, node=0, self_hosted=True)
    memory.remove(50)
    memory.add_one(50, group)
    memory.online(50, ZONE_MOVABLE)
    assert counters(memory, ZONE_MOVABLE) == (B, 0, B)


def test_an_early_block_that_never_was_whole_counts_as_early_as_far_as_it_was() -> None:
    """A boot zone says itself how many of its present pages are early: the others came by hotplug before."""
    memory = Memory(block_pages=B, section_pages=B, nodes=[0, 1])
    add_boot_zone(memory, 0, ZONE_NORMAL, start=32 * B, end=40 * B, present=8 * B, managed=8 * B, present_early=6 * B)
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
