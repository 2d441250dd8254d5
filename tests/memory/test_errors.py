"""What is said of a range that cannot be added or removed: the right error, and the block that it is about."""

from __future__ import annotations

import pytest

from sim.memory.blocks import MAX_ZONES
from sim.memory.boot import add_boot_blocks
from sim.memory.errors import E2BIG, EBUSY, EEXIST, EINVAL, HotplugError
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from tests.memory.small_machine import B, machine


def said(memory: Memory, first: int, count: int) -> tuple[int, str]:
    with pytest.raises(HotplugError) as error:
        memory.remove(first, count)
    return error.value.errno, str(error.value).partition(": ")[2]


def test_what_cannot_be_removed_is_named() -> None:
    memory = machine()
    memory.add(50, 4, node=0)
    memory.online(52, ZONE_MOVABLE, 2)
    table = len(memory.blocks.where)
    assert said(memory, 50, 0) == (EINVAL, "there is nothing to remove")
    assert said(memory, -1, 2) == (EINVAL, "there is nothing to remove")
    assert said(memory, 50, 3) == (EBUSY, "block 52 is online")
    assert said(memory, 51, 3) == (EBUSY, "block 52 is online")
    assert said(memory, 48, 4) == (EINVAL, "block 48 does not exist")  # and 49 neither
    assert said(memory, 50, 8) == (EINVAL, "block 54 does not exist")
    assert said(memory, 32, 2) == (EBUSY, "block 32 is online")
    memory.add(0, 2, node=0)
    memory.online(0, ZONE_MOVABLE)
    assert said(memory, 0, 2) == (EBUSY, "block 0 is online")
    memory.offline(0)
    memory.remove(0, 2)
    assert not memory.blocks.exists(0)
    add_boot_blocks(memory, 0, 40, 1, None)
    assert said(memory, 40, 1) == (EBUSY, "block 40 is online")  # in several zones
    assert said(memory, table + 3, 2) == (EINVAL, f"block {table + 3} does not exist")


def test_beyond_the_last_block_there_is_none() -> None:
    blocks = machine().blocks
    end = len(blocks.where)
    assert (blocks.exists(-1), blocks.exists(end), blocks.is_online(end)) == (False, False, False)


def test_one_zone_more_than_there_are_codes_is_refused() -> None:
    memory = Memory(block_pages=B, section_pages=B, nodes=range(300))
    for node in range(MAX_ZONES):
        memory.zone(node, ZONE_NORMAL)
    with pytest.raises(ValueError, match=f"more than {MAX_ZONES} zones with memory"):
        memory.zone(MAX_ZONES, ZONE_NORMAL)


def test_what_can_never_go_offline_says_why() -> None:
    memory = machine()
    add_boot_blocks(memory, 0, 40, 1, None)
    add_boot_blocks(memory, 0, 41, 1, ZONE_NORMAL, holes=True)
    memory.add(50, 1, node=0)
    for block, text in (
        (40, "block 40 spans several zones and can never go offline"),
        (41, "block 41 has missing pages and can never go offline"),
        (50, "block 50 is not online"),
    ):
        with pytest.raises(HotplugError) as error:
            memory.offline(block)
        assert (error.value.errno, str(error.value)) == (EINVAL, f"EINVAL: {text}")


def test_a_range_of_odd_pages_is_odd_unless_something_is_there_or_it_lies_beyond() -> None:
    memory = machine()
    memory.add(50, 2, node=0)
    for first_page, pages, errno, text in (
        (50 * B + 1, B, EEXIST, "some of blocks 50-51 are there already"),
        (51 * B, 1, EEXIST, "some of blocks 51-51 are there already"),
        (
            49 * B + 5,
            B - 5,
            EINVAL,
            f"{4 * (B - 5)}KiB at {4096 * (49 * B + 5):#x} are not whole memory blocks of 128MiB",
        ),
        (52 * B, 1, EINVAL, f"4KiB at {4096 * 52 * B:#x} are not whole memory blocks of 128MiB"),
        (50 * B, 0, EINVAL, f"0B at {4096 * 50 * B:#x} are not whole memory blocks of 128MiB"),
        (memory.max_blocks * B, 1, E2BIG, f"blocks up to {memory.max_blocks} lie beyond the addressable range"),
        (memory.max_blocks * B - 1, 1, EINVAL, f"4KiB at {4096 * (memory.max_blocks * B - 1):#x} are not whole"),
    ):
        error = memory.odd_range(first_page, pages)
        assert error.errno == errno, (first_page, pages)
        assert text in str(error)


@pytest.mark.parametrize(("number", "name"), [(EBUSY, "EBUSY"), (2, "ENOENT"), (4567, "4567")])
def test_an_error_begins_with_its_name_or_its_number(number: int, name: str) -> None:
    assert str(HotplugError(number, "no reason")) == f"{name}: no reason"
