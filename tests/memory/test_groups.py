"""The registry of memory groups: who gets which id, what is refused and with which error, walks and charges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.memory.errors import EBUSY, EINVAL, ENOMEM
from sim.memory.hotplug import Memory
from sim.memory.view import MemoryView
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from tests.devices.rig import fails_with
from tests.support.reach import Reach

if TYPE_CHECKING:
    from sim.memory.groups import GroupRegistry, MemoryGroup

PAGES = 32768


def machine(nodes: int = 2) -> Memory:
    return Memory(block_pages=PAGES, section_pages=PAGES, nodes=range(nodes))


def test_a_group_says_what_it_is() -> None:
    groups = machine().groups
    groups.register_static(1, 3 * PAGES)
    groups.register_dynamic(0, 2 * PAGES)
    assert [repr(group) for group in groups] == [
        f"MemoryGroup(0: node 1, static, max {3 * PAGES}, K 0, M 0 pages)",
        f"MemoryGroup(1: node 0, dynamic, unit {2 * PAGES}, K 0, M 0 pages)",
    ]


@pytest.mark.parametrize(("max_pages", "node"), [(0, 0), (-1, 0), (PAGES, 2), (PAGES, -1), (0, 9)], ids=str)
def test_static_groups_that_are_refused(max_pages: int, node: int) -> None:
    groups = machine().groups
    with fails_with(EINVAL):
        groups.register_static(node, max_pages)
    assert len(groups) == 0


@pytest.mark.parametrize(
    ("unit_pages", "node"),
    [(0, 0), (-PAGES, 0), (PAGES // 2, 0), (PAGES - 1, 0), (PAGES + 1, 0), (3 * PAGES, 0), (PAGES, 2), (PAGES, -1)],
    ids=str,
)
def test_dynamic_groups_that_are_refused(unit_pages: int, node: int) -> None:
    groups = machine().groups
    with fails_with(EINVAL):
        groups.register_dynamic(node, unit_pages)
    assert len(groups) == 0


def test_a_refused_registration_uses_up_no_id() -> None:
    groups = machine().groups
    with fails_with(EINVAL):
        groups.register_dynamic(0, 3 * PAGES)
    assert groups.register_static(0, 1).id == 0


def test_a_unit_may_be_one_block_or_any_larger_power_of_two() -> None:
    groups = machine().groups
    assert [groups.register_dynamic(1, PAGES << shift).id for shift in range(5)] == [0, 1, 2, 3, 4]


def test_a_static_group_need_not_be_whole_blocks() -> None:
    groups = machine().groups
    group = groups.register_static(1, 1)
    assert (group.max_pages, group.unit_pages, group.is_dynamic, group.node) == (1, 0, False, 1)
    assert (group.kernel, group.movable, group.blocks) == (0, 0, 0)


def test_a_group_that_is_registered_is_the_one_with_its_id() -> None:
    groups = machine().groups
    both = groups.register_static(1, 1), groups.register_dynamic(0, PAGES)
    assert [groups.find(group.id) for group in both] == [*both] == [*groups]
    assert [group.is_dynamic for group in both] == [False, True]


def test_zero_is_the_first_id_and_valid() -> None:
    memory = machine()
    assert memory.groups.register_static(0, PAGES).id == 0
    memory.add(10, 1, node=1, group_id=0)
    assert memory.blocks.node[10] == 0
    assert memory.blocks.group[10] == 0


def test_ids_are_given_lowest_free_first() -> None:
    groups = machine().groups
    for expected in range(6):
        assert groups.register_static(0, 1).id == expected
    for freed in (4, 1, 3):
        groups.unregister(freed)
    assert [groups.register_dynamic(0, PAGES).id for _ in range(4)] == [1, 3, 4, 6]


@pytest.mark.parametrize("group_id", [-1, -5, 0, 7])
def test_unregistering_what_is_not_there(group_id: int) -> None:
    with fails_with(EINVAL):
        machine().groups.unregister(group_id)


def test_unregistering_twice_is_refused() -> None:
    groups = machine().groups
    groups.unregister(groups.register_static(0, 1).id)
    with fails_with(EINVAL):
        groups.unregister(0)


def test_a_group_with_blocks_stays_even_where_all_are_offline() -> None:
    memory = machine()
    group_id = memory.groups.register_static(0, 2 * PAGES).id
    memory.add(10, 2, node=0, group_id=group_id)
    with fails_with(EBUSY):
        memory.groups.unregister(group_id)
    memory.remove(10, 1)
    with fails_with(EBUSY):
        memory.groups.unregister(group_id)
    memory.remove(11, 1)
    memory.groups.unregister(group_id)
    assert memory.groups.find(group_id) is None


def test_ids_run_out_with_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = machine().groups
    monkeypatch.setattr("sim.memory.groups._MAX_ID", 1)
    assert (groups.register_static(0, 1).id, groups.register_static(0, 1).id) == (0, 1)
    with fails_with(ENOMEM):
        groups.register_static(0, 1)
    groups.unregister(0)
    assert groups.register_static(0, 1).id == 0


def visited(groups: GroupRegistry, node: int | None = None, excluded: int | None = None) -> list[int]:
    seen: list[int] = []

    def visit(group: MemoryGroup) -> int:
        seen.append(group.id)
        return 0

    left_out = None if excluded is None else groups.find(excluded)
    assert groups.walk_dynamic(visit, node, left_out) == 0
    return seen


def test_the_walk_sees_dynamic_groups_only_and_leaves_one_out() -> None:
    groups = machine().groups
    groups.register_dynamic(0, PAGES)
    groups.register_static(0, PAGES)
    groups.register_dynamic(1, PAGES)
    groups.register_dynamic(0, PAGES)
    assert visited(groups) == [0, 2, 3]
    assert visited(groups, excluded=2) == [0, 3]
    assert visited(groups, excluded=1) == [0, 2, 3]
    assert visited(groups, node=0) == [0, 3]
    assert visited(groups, node=0, excluded=2) == [0, 3]
    assert visited(groups, node=1, excluded=2) == []


def test_the_walk_goes_by_id_also_where_an_id_was_given_again() -> None:
    groups = machine().groups
    for _ in range(3):
        groups.register_dynamic(0, PAGES)
    groups.unregister(0)
    groups.register_dynamic(0, PAGES)
    assert visited(groups) == [0, 1, 2]


def test_the_walk_stops_at_the_first_answer_that_is_not_zero() -> None:
    groups = machine().groups
    for _ in range(4):
        groups.register_dynamic(0, PAGES)
    seen: list[int] = []

    def visit(group: MemoryGroup) -> int:
        seen.append(group.id)
        return 7 if group.id == 1 else 0

    assert groups.walk_dynamic(visit) == 7
    assert seen == [0, 1]


REACH = Reach(
    {
        "MOVABLE comes": 100,
        "kernel memory comes": 100,
        "memory goes": 100,
        "a group needs early memory": 200,
        "its own kernel memory pays for a part": 10,
        "its own kernel memory pays for all": 50,
        "a ratio that is no signed number": 3,
    }
)


@REACH.test()
@given(
    ratio=st.one_of(st.integers(1, 2000), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1])),
    changes=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from((True, True, False)), st.booleans()), min_size=20, max_size=40
    ),
)
def test_charges_are_those_of_a_walk_after_any_changes(ratio: int, changes: list[tuple[int, bool, bool]]) -> None:
    """Groups of two nodes grow and shrink in turn; the sums that are kept always equal sums made afresh."""
    memory = machine()
    REACH("a ratio that is no signed number", ratio >= 2**31)
    ids = [memory.groups.register_dynamic(number % 2, PAGES).id for number in range(4)]
    memory.groups.charges(ratio)
    held: dict[int, list[int]] = {group_id: [] for group_id in ids}
    next_block = 1
    for which, grows, movable in changes:
        blocks = held[ids[which]]
        if grows:
            memory.add(next_block, 1, node=0, group_id=ids[which])
            memory.online(next_block, ZONE_MOVABLE if movable else ZONE_NORMAL)
            blocks.append(next_block)
            next_block += 1
            REACH("MOVABLE comes" if movable else "kernel memory comes")
        elif blocks:
            memory.offline(blocks[-1])
            memory.remove(blocks.pop())
            REACH("memory goes")
        memory.groups.settle()
        charges = memory.groups.charges(ratio)
        by_node = [0, 0]
        for group in memory.groups:
            charge = max(0, 100 * group.movable // ratio - group.kernel) if ratio < 2**31 else 0
            by_node[group.node] += charge
            assert charges.charged.get(group.id, 0) == charge
            REACH("a group needs early memory", charge > 0)
            REACH("its own kernel memory pays for a part", charge > 0 and group.kernel > 0)
            REACH("its own kernel memory pays for all", group.movable > 0 and group.kernel > 0 and charge == 0)
        assert charges.total == sum(by_node)
        assert [charges.by_node.get(node, 0) for node in (0, 1)] == by_node


def test_an_unregistered_group_leaves_no_charge_behind() -> None:
    memory = machine()
    charges = memory.groups.charges(100)
    group_id = memory.groups.register_dynamic(0, PAGES).id
    memory.add(5, 1, node=0, group_id=group_id)
    memory.online(5, ZONE_MOVABLE)
    memory.groups.settle()
    assert charges.total == PAGES
    memory.offline(5)
    memory.remove(5)
    memory.groups.unregister(group_id)
    assert (charges.total, charges.by_node) == (0, {0: 0})
    assert memory.groups.register_static(0, 1).id == group_id
    assert memory.groups.charges(100).charged == {}


def test_the_largest_ratio_that_charges_anything() -> None:
    """2147483647 percent of a page: 2**31 - 1 MOVABLE pages, in hundreds, are charged a page; a ratio more, nothing."""
    memory = machine()
    group = memory.groups.register_dynamic(1, PAGES)
    group.movable = 2**31 - 1
    assert [memory.groups.charges(ratio).total for ratio in (2**31 - 1, 2**31)] == [100, 0]
    assert memory.groups.charges(2**31 - 1).by_node == {1: 100}


def test_one_group_after_the_other_is_settled_as_others_change() -> None:
    """Three devices of two nodes grow in turn; what the others are charged is asked for after each step."""
    memory = machine()
    view = MemoryView(memory)
    groups = [memory.groups.register_dynamic(node, PAGES) for node in (0, 1, 0)]
    assert view.others_charge(100, None) == 0
    for block, which in enumerate((0, 1, 2, 0, 1, 0), start=1):
        group = groups[which]
        memory.add(block, 1, node=0, group_id=group.id)
        memory.online(block, ZONE_MOVABLE)
    # 3, 2 and 1 blocks, each charged in full at ratio 100.
    asking = (*view.groups(), None)
    assert [view.others_charge(100, group) // PAGES for group in asking] == [3, 4, 5, 6]
    assert [view.others_charge(100, group, 0) // PAGES for group in asking] == [1, 4, 3, 4]
    assert [view.others_charge(100, group, 1) // PAGES for group in asking] == [2, 0, 2, 2]


def test_the_group_that_changed_last_is_settled_when_another_asks_and_not_when_it_asks_itself() -> None:
    memory = machine()
    view = MemoryView(memory)
    for block in (1, 2):
        memory.add(block, 1, node=0, group_id=memory.groups.register_dynamic(0, PAGES).id)
    first, second = view.groups()

    def waiting() -> list[int]:
        return [memory.groups.touched.id] if memory.groups.touched is not None else []

    assert view.others_charge(100, None) == 0  # from here on, the charges at this ratio are kept
    memory.online(2, ZONE_MOVABLE)
    assert view.others_charge(100, second) == view.others_charge(100, second, 0) == 0
    assert waiting() == [second.id]
    assert view.others_charge(100, first) == PAGES
    assert waiting() == []
    assert view.others_charge(100, second) == 0
    memory.online(1, ZONE_MOVABLE)
    assert view.others_charge(100, None) == 2 * PAGES
    assert view.others_charge(50, None) == 4 * PAGES  # a ratio that nobody has asked about before


def test_ratios_beyond_those_kept_are_summed_afresh() -> None:
    memory = machine()
    group_id = memory.groups.register_dynamic(0, PAGES).id
    memory.add(5, 1, node=0, group_id=group_id)
    memory.online(5, ZONE_MOVABLE)
    for ratio in (*range(1, 30), 1, 2):
        assert memory.groups.charges(ratio).total == 100 * PAGES // ratio
