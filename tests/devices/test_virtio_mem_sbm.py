"""virtio-mem's sub-block mode: geometry, the order of plugging, the offline threshold, zones of whole devices."""

from __future__ import annotations

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from sim.devices.virtio_mem_sub_blocks import (
    SBM_KERNEL,
    SBM_KERNEL_PARTIAL,
    SBM_MOVABLE,
    SBM_MOVABLE_PARTIAL,
    SBM_OFFLINE,
    SBM_OFFLINE_PARTIAL,
    SBM_UNUSED,
)
from sim.memory.errors import EEXIST, ENOMEM, ENOSPC
from sim.memory.zones import ZONE_MOVABLE
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig
from tests.devices.sub_blocks import KERNEL_WORD, MOVABLE_WORD, OFFLINE_WORD, SUB, by_hand, mode_of

# Geometry ----


@pytest.mark.parametrize(
    ("kernel", "block_size", "granularity"),
    [
        ("5.15", MIB, 4 * MIB),
        ("5.15", 8 * MIB, 8 * MIB),
        ("6.1", MIB, 2 * MIB),
        ("6.12", 2 * MIB, 2 * MIB),
        ("6.12", 64 * MIB, 64 * MIB),
    ],
)
def test_sub_block_sizes(kernel: str, block_size: int, granularity: int) -> None:
    mode = mode_of(Rig(kernel=kernel).virtio_mem(block_size=block_size))
    assert (mode.granularity, mode.unit_pages) == (granularity, PAGES)


def test_the_group_is_dynamic_with_a_unit_of_one_block_on_the_devices_node() -> None:
    rig = Rig(nodes=(2 * GIB, 2 * GIB))
    device = rig.virtio_mem(node=1)
    group = device.group
    assert (group.is_dynamic, group.unit_pages, group.max_pages, group.node) == (True, PAGES, 0, 1)
    device.resize(BLOCK)
    assert rig.memory.blocks.node[rig.base // BLOCK] == 1


def test_a_start_between_blocks_loses_a_piece_at_either_end() -> None:
    """Ids from the start rounded up to the end rounded down: 4 GiB of region hold 31 blocks."""
    rig = Rig()
    device = rig.virtio_mem(size=4 * GIB, address=rig.base + 6 * MIB)
    device.resize(4 * GIB)
    rig.settle()
    assert rig.states(FIRST, 34) == ".x1 Mx31 .x2"
    assert device.plugged == 31 * BLOCK
    assert device.stalled == ENOSPC
    assert not device.broken


def test_the_usable_region_follows_the_largest_request_so_far() -> None:
    rig = Rig()
    device = rig.virtio_mem(size=4 * GIB, address=rig.base + 64 * MIB)
    assert device.usable == 0
    device.resize(512 * MIB)
    assert (device.usable, device.plugged) == (768 * MIB, 512 * MIB)
    device.resize(128 * MIB)
    assert device.usable == 768 * MIB
    device.resize(4 * GIB)
    assert device.usable == 4 * GIB
    odd = rig.virtio_mem("odd", size=GIB, block_size=64 * MIB, address=rig.base + 64 * GIB)
    odd.resize(64 * MIB)
    assert odd.usable == 320 * MIB


def test_a_request_can_end_at_the_usable_region() -> None:
    """Both sub-blocks of the lost first piece are missing at the end: the region ends 256 MiB behind the request."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem(size=8 * GIB, address=rig.base + 64 * MIB)
    device.resize(GIB)
    assert (device.plugged, device.stalled) == (GIB, 0)
    assert rig.states(FIRST, 12) == ".x1 -x8 .x3"


def test_what_is_less_than_a_sub_block_is_ignored() -> None:
    rig = Rig()
    device = rig.virtio_mem(block_size=MIB)
    device.resize(5 * MIB)
    assert (device.plugged, device.stalled) == (4 * MIB, 0)
    device.resize(3 * MIB)
    assert (device.plugged, device.stalled) == (4 * MIB, 0)


@pytest.mark.parametrize("requested", [-2 * MIB, MIB, 17 * GIB])
def test_requests_that_the_device_refuses(requested: int) -> None:
    device = Rig().virtio_mem(size=16 * GIB)
    assert not device.resize(requested)
    assert device.requested == 0


# Plugging ----


def test_growing_block_by_block_and_its_record() -> None:
    rig = Rig()
    device = rig.virtio_mem()
    device.resize(2 * BLOCK + 10 * SUB)
    assert rig.states(FIRST, 4) == "Mx3 .x1"
    assert device.plugged == 2 * BLOCK + 10 * SUB
    assert device.group.movable == 3 * PAGES, "a partly plugged block counts as present"
    assert rig.memory.zone(0, ZONE_MOVABLE).managed == 2 * PAGES + 10 * 512
    assert [event[5] for event in rig.events(EventKind.PLUG)] == [PAGES, PAGES, 10 * 512]
    assert bytes(mode_of(device).states.of_block[:4]) == bytes([SBM_MOVABLE, SBM_MOVABLE, SBM_MOVABLE_PARTIAL, 0])
    assert mode_of(device).states.masks == {2: (1 << 10) - 1}
    device.resize(3 * BLOCK)
    assert [event[1:] for event in rig.events(EventKind.SUBPLUG)] == [("SUBPLUG", device.index, FIRST + 2, 1, 54 * 512)]
    assert rig.memory.zone(0, ZONE_MOVABLE).managed == 3 * PAGES
    assert mode_of(device).states.masks == {}


def test_partly_plugged_blocks_are_filled_first_kernel_then_movable_then_offline() -> None:
    guest = FakeGuest()
    rig = by_hand("MNMNMN--", guest=guest)
    device = rig.devices["v"]
    mode = mode_of(device)
    guest.keeps = {FIRST + block: 1 for block in range(6)}
    device.resize(2 * SUB)  # every online block keeps one sub-block; the two offline ones go
    assert device.plugged == 6 * SUB
    assert bytes(mode.states.of_block[:8]) == bytes([SBM_MOVABLE_PARTIAL, SBM_KERNEL_PARTIAL] * 3 + [SBM_UNUSED] * 2)
    device.resize(7 * SUB)
    device.resize(8 * SUB)  # the fills
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {0: 1, 1: 3, 2: 1, 3: 1, 4: 1, 5: 1}
    rig.core.write_state(FIRST + 0, OFFLINE_WORD)
    assert mode.states.of_block[0] == SBM_OFFLINE_PARTIAL
    fill = 61 + 63 + 63  # all three kernel blocks
    device.resize(8 * SUB + fill * SUB)
    assert sorted(mode.states.masks) == [0, 2, 4]
    device.resize(8 * SUB + (fill + 2 * 63 - 1) * SUB)
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {0: 1, 4: 63}
    device.resize(8 * SUB + (fill + 2 * 63 + 5) * SUB)
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {0: 6}
    device.resize(6 * BLOCK + SUB)
    assert {at: mask.bit_count() for at, mask in mode.states.masks.items()} == {6: 1}, (
        "then a block that was removed, anew"
    )
    assert mode.states.of_block[0] == SBM_OFFLINE


def test_the_lowest_free_sub_blocks_are_filled_first() -> None:
    guest = FakeGuest()
    rig = by_hand("N", guest=guest)
    device = rig.devices["v"]
    guest.keeps = {FIRST: (1 << 40) | (1 << 3)}
    device.resize(0)
    assert mode_of(device).states.masks == {0: (1 << 40) | (1 << 3)}
    device.resize(6 * SUB)
    assert mode_of(device).states.masks == {0: (1 << 40) | 0b11111}


def test_removed_blocks_are_reused_ascending_before_anything_is_appended() -> None:
    rig = by_hand("MMMMMM")
    device = rig.devices["v"]
    device.resize(2 * BLOCK)
    assert rig.states(FIRST, 7) == "Mx2 .x5"
    assert bytes(mode_of(device).states.of_block[:7]) == bytes([SBM_MOVABLE] * 2 + [SBM_UNUSED] * 4 + [0])
    device.resize(7 * BLOCK)
    assert [event[3] for event in rig.events(EventKind.ADD)] == [
        FIRST + block for block in (0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 6)
    ]


def test_the_first_block_is_reused_as_well() -> None:
    rig = Rig()
    device = rig.virtio_mem()
    for blocks in (1, 0, 1):
        device.resize(blocks * BLOCK)
    assert rig.states(FIRST, 2) == "Mx1 .x1"


def test_a_device_that_is_filled_up_has_met_its_request() -> None:
    device = Rig().virtio_mem(size=BLOCK)
    device.resize(BLOCK // 2)
    device.resize(BLOCK)
    assert (device.plugged, device.stalled) == (BLOCK, 0)


def test_each_new_block_asks_the_policy_anew() -> None:
    rig = Rig()
    device = rig.virtio_mem(size=64 * GIB)
    device.resize(16 * GIB)
    assert rig.states(FIRST, 128) == "Mx96 " + " ".join(["Nx1 Mx3"] * 8)
    device.resize(4 * GIB)
    assert rig.states(FIRST, 128).startswith("Mx24 .x72 Nx1 .x3")
    device.resize(16 * GIB)
    assert rig.states(FIRST, 128) == "Mx96 " + " ".join(["Nx1 Mx3"] * 8)


def test_no_memory_for_the_memmap_arms_the_timer() -> None:
    guest = FakeGuest()
    guest.memmap_blocks = 3
    rig = Rig(guest=guest)
    device = rig.virtio_mem()
    device.resize(5 * BLOCK)
    assert (device.plugged, device.stalled, device.broken) == (3 * BLOCK, ENOMEM, False)
    assert bytes(mode_of(device).states.of_block[:5]) == bytes([SBM_MOVABLE] * 3 + [SBM_UNUSED, 0])
    assert device.group.blocks == 3, "what could not be added has left the group again"
    assert rig.states(FIRST, 5) == "Mx3 .x2"
    guest.memmap_blocks = 1
    rig.run_for(50_000_000)
    assert device.plugged == 4 * BLOCK
    guest.memmap_blocks = None
    rig.run_for(100_000_000)
    assert (device.plugged, device.stalled) == (5 * BLOCK, 0)


def test_an_address_that_is_taken_breaks_the_device_for_good() -> None:
    guest = FakeGuest()
    rig = Rig(guest=guest)
    rig.dimm("d", (rig.base + 2 * BLOCK, BLOCK))
    device = rig.virtio_mem()
    device.resize(4 * BLOCK)
    assert (device.plugged, device.stalled, device.broken) == (2 * BLOCK, EEXIST, True)
    assert ("remove", FIRST + 2, 1) not in guest.calls, "the other device's memmap stays"
    assert device.resize(0)
    rig.env.run()
    assert device.plugged == 2 * BLOCK


# The offline threshold ----


def test_adding_stops_at_a_gigabyte_offline_and_resumes_at_half() -> None:
    """8 blocks of 128 MiB; the 4th one put online brings 4 new ones (W31)."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem()
    device.resize(12 * BLOCK)
    assert (rig.states(FIRST, 12), device.stalled) == ("-x8 .x4", ENOSPC)
    assert rig.until_next() == float("inf"), "no timer: onlining wakes the worker"
    for block in range(3):
        rig.core.write_state(FIRST + block, MOVABLE_WORD)
        assert mode_of(device).offline_pages == (7 - block) * PAGES
    assert rig.states(FIRST, 12) == "Mx3 -x5 .x4"
    rig.core.write_state(FIRST + 3, MOVABLE_WORD)
    assert rig.states(FIRST, 13) == "Mx4 -x8 .x1"
    assert (device.plugged, device.stalled) == (12 * BLOCK, 0)


def test_the_threshold_is_two_blocks_where_those_are_larger() -> None:
    rig = Rig(boot=64 * GIB, policy=Offline(), block=2 * GIB, section=BLOCK)
    device = rig.virtio_mem()
    assert device.threshold_pages == 2 * 2 * GIB // 4096
    device.resize(8 * GIB)
    assert device.plugged == 4 * GIB
    rig.core.write_state(mode_of(device).first, MOVABLE_WORD)
    assert device.plugged == 6 * GIB


def test_partly_plugged_blocks_count_whole_against_the_threshold() -> None:
    rig = Rig(policy=Offline())
    device = rig.virtio_mem()
    device.resize(7 * BLOCK + SUB)
    assert mode_of(device).offline_pages == 8 * PAGES
    device.resize(8 * BLOCK + SUB)
    assert (device.plugged, device.stalled) == (8 * BLOCK, ENOSPC)
    assert bytes(mode_of(device).states.of_block[:9]) == bytes([SBM_OFFLINE] * 8 + [0])


def test_offline_pages_rise_and_fall_with_every_change() -> None:
    rig = by_hand("MN--")
    device = rig.devices["v"]
    mode = mode_of(device)
    assert mode.offline_pages == 2 * PAGES
    rig.core.write_state(FIRST, OFFLINE_WORD)
    assert (mode.offline_pages, mode.states.of_block[0]) == (3 * PAGES, SBM_OFFLINE)
    device.resize(2 * BLOCK)
    assert (mode.offline_pages, rig.states(FIRST, 4)) == (PAGES, "-x1 Nx1 .x2")
    rig.core.write_state(FIRST, KERNEL_WORD)
    assert (mode.offline_pages, mode.states.of_block[0]) == (0, SBM_KERNEL)


# Zones for whole devices ----


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(OnlineKernel(), "Nx8"), (OnlineMovable(), "Mx8"), (AutoMovable(ratio=0), "Nx8")],
    ids=["online_kernel", "online_movable", "ratio 0"],
)
def test_words_that_settle_the_zone(policy: AutoMovable | OnlineKernel | OnlineMovable, expected: str) -> None:
    rig = Rig(policy=policy)
    rig.virtio_mem().resize(8 * BLOCK)
    assert rig.states(FIRST, 8) == expected
