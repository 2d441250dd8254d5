"""One block the short way (add_one, remove_one) leaves what the way for any run of blocks leaves, errors included."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from sim.memory.errors import HotplugError
from sim.memory.zones import ZONE_MOVABLE
from tests.memory.small_machine import B, everything, machine
from tests.support.reach import Reach

if TYPE_CHECKING:
    from sim.memory.hotplug import Memory

TOP = 70
"""The machine's address space ends here, in the middle of what the table grows to."""

REACH = Reach({"added": 100, "EEXIST": 40, "E2BIG": 20, "removed": 50, "a word was left on it": 10, "table grew": 20})


def pair() -> tuple[Memory, Memory]:
    memories = machine(), machine()
    for memory in memories:
        memory.max_blocks = TOP
        memory.groups.register_dynamic(0, B)
        memory.groups.register_dynamic(0, 2 * B)
    return memories


def add(short: Memory, long: Memory, block: int, group_id: int) -> None:
    """Add a block both ways: the same error, or none."""
    group = short.groups.find(group_id)
    assert group is not None
    errors = []
    before = len(short.blocks)
    for way in (partial(short.add_one, block, group), partial(long.add, block, 1, node=0, group_id=group_id)):
        try:
            way()
            errors.append("added")
        except HotplugError as error:
            errors.append(error.name)
    assert errors[0] == errors[1]
    REACH(errors[0])
    REACH("table grew", len(short.blocks) > before)


@REACH.test()
@given(st.lists(st.tuples(st.booleans(), st.integers(40, 80), st.integers(0, 1)), min_size=10, max_size=40))
def test_adding_and_removing_one_block_is_a_run_of_one(steps: list[tuple[bool, int, int]]) -> None:
    short, long = pair()
    for wants_add, block, group_id in steps:
        offline = block < len(short.blocks) and short.blocks.where[block] == 1
        if wants_add or not offline:
            add(short, long, block, group_id)
        else:
            if group_id:
                short.blocks.left_over[block] = long.blocks.left_over[block] = int(ZONE_MOVABLE)
                REACH("a word was left on it")
            short.remove_one(block)
            long.remove(block)
            REACH("removed")
        assert everything(short) == everything(long)
