"""What a virtio-mem device may use of its region, of what may be offline, and of its blocks: exactly at the limit."""

from __future__ import annotations

import pytest

from policies.fixed import Offline, OnlineMovable
from sim.devices.virtio_mem_mode import VirtioMemParameters
from sim.devices.virtio_mem_sbm import SubBlockMode
from sim.memory.errors import ENOSPC
from sim.memory.zones import ZONE_NORMAL, OnlineType
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, PAGES, FakeGuest, Rig

MOVABLE, OFFLINE = int(OnlineType.ONLINE_MOVABLE), int(OnlineType.OFFLINE)


# What a device may use ----


@pytest.mark.parametrize(
    ("block_size", "region", "requested", "usable"),
    [
        (2 * MIB, 8 * GIB, GIB, GIB + 256 * MIB),
        (2 * MIB, 8 * GIB, 2 * MIB, 258 * MIB),
        (256 * MIB, 8 * GIB, 256 * MIB, 512 * MIB),
        (512 * MIB, 8 * GIB, 512 * MIB, GIB),
        (GIB, 8 * GIB, GIB, 2 * GIB),
        (GIB, 8 * GIB, 7 * GIB, 8 * GIB),
        (GIB, 8 * GIB, 8 * GIB, 8 * GIB),
        (2 * MIB, GIB, GIB - 256 * MIB, GIB),
        (2 * MIB, GIB, GIB - 254 * MIB, GIB),
        (2 * MIB, GIB, GIB - 258 * MIB, GIB - 2 * MIB),
    ],
)
def test_the_usable_region_ends_256_mib_behind_the_request_in_whole_device_blocks(
    block_size: int, region: int, requested: int, usable: int
) -> None:
    device = Rig().virtio_mem(size=region, block_size=block_size)
    device.resize(requested)
    assert device.usable == usable


@pytest.mark.parametrize(
    ("requested", "plugged"),
    [
        (GIB, 0),
        (GIB + 256 * MIB, 0),
        (GIB + 512 * MIB, GIB),
        (2 * GIB + 256 * MIB, GIB),
        (2 * GIB + 512 * MIB, 2 * GIB),
        (3 * GIB, 2 * GIB),
    ],
)
def test_a_big_block_has_to_end_within_the_usable_region(requested: int, plugged: int) -> None:
    """Big blocks of 1 GiB in a region of 3 GiB that begins 256 MiB behind one: the first begins at 768 MiB."""
    rig = Rig()
    parameters = VirtioMemParameters(bbm_block_size=GIB)
    device = rig.virtio_mem(size=3 * GIB, block_size=256 * MIB, address=rig.base + 256 * MIB, parameters=parameters)
    device.resize(requested)
    assert (device.plugged, device.stalled) == (plugged, ENOSPC if plugged < requested // GIB * GIB else 0)
    assert rig.states(FIRST, 24) == {0: ".x24", GIB: ".x8 Mx8 .x8", 2 * GIB: ".x8 Mx16"}[plugged]


def test_a_region_that_is_no_multiple_of_the_big_block_loses_its_end() -> None:
    rig = Rig()
    parameters = VirtioMemParameters(bbm_block_size=GIB)
    device = rig.virtio_mem(size=2 * GIB + 768 * MIB, block_size=256 * MIB, parameters=parameters)
    device.resize(2 * GIB + 768 * MIB)
    assert (device.plugged, device.stalled, rig.states(FIRST, 24)) == (2 * GIB, 0, "Mx16 .x8")


def test_a_request_of_the_whole_region_is_met_to_the_last_block() -> None:
    for block_size in (2 * MIB, BLOCK, GIB):
        rig = Rig()
        device = rig.virtio_mem(size=2 * GIB, block_size=block_size)
        assert device.resize(2 * GIB)
        assert (device.plugged, device.stalled, rig.states(FIRST, 17)) == (2 * GIB, 0, "Mx16 .x1")
        assert not device.resize(2 * GIB + block_size)


def test_a_region_that_ends_inside_a_block_is_full_one_block_early() -> None:
    """3.5 blocks hold three; the half stays wanted, without a timer."""
    rig = Rig()
    device = rig.virtio_mem(size=3 * BLOCK + BLOCK // 2)
    device.resize(3 * BLOCK)
    assert (device.plugged, device.stalled) == (3 * BLOCK, 0)
    device.resize(3 * BLOCK + BLOCK // 2)
    assert (device.plugged, device.stalled, rig.states(FIRST, 5)) == (3 * BLOCK, ENOSPC, "Mx3 .x2")
    assert rig.until_next() == float("inf")


@pytest.mark.parametrize("sub_blocks", [64, 63, 1])
def test_the_last_offline_block_under_the_threshold_may_be_partly_plugged(sub_blocks: int) -> None:
    """Eight blocks may be offline, however little of the eighth is plugged; the ninth may not begin."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem()
    device.resize(7 * BLOCK + sub_blocks * 2 * MIB)
    assert (device.plugged, device.stalled) == (7 * BLOCK + sub_blocks * 2 * MIB, 0)
    device.resize(8 * BLOCK + 2 * MIB)
    assert (device.plugged, device.stalled) == (8 * BLOCK, ENOSPC)


def test_half_of_the_threshold_is_counted_in_pages_of_whole_blocks() -> None:
    """Big blocks of 256 MiB, 1 GiB may be offline: with 5 blocks of 128 MiB offline it waits, with 4 it goes on."""
    rig = Rig(policy=Offline())
    device = rig.virtio_mem(block_size=256 * MIB)
    device.resize(2 * GIB)
    assert device.plugged == GIB
    for block in range(4):
        assert device.plugged == GIB
        rig.core.write_state(FIRST + block, MOVABLE)
    assert device.plugged == GIB + 512 * MIB
    assert rig.states(FIRST, 13) == "Mx4 -x8 .x1"


def test_a_block_taken_offline_counts_against_the_threshold_until_it_is_back() -> None:
    rig = Rig(policy=OnlineMovable())
    device = rig.virtio_mem()
    device.resize(8 * BLOCK)
    for block in range(8):
        rig.core.write_state(FIRST + block, OFFLINE)
    device.resize(9 * BLOCK)
    assert (device.plugged, device.stalled) == (8 * BLOCK, ENOSPC)
    for block in range(4):
        assert device.plugged == 8 * BLOCK
        rig.core.write_state(FIRST + block, MOVABLE)
    assert device.plugged == 9 * BLOCK


# Sub-blocks ----


def test_sub_blocks_go_from_the_top_and_come_back_from_the_bottom() -> None:
    rig = Rig(policy=OnlineMovable())
    device = rig.virtio_mem()
    device.resize(BLOCK)
    device.resize(BLOCK - 6 * MIB)
    mode = device.mode
    assert isinstance(mode, SubBlockMode)
    assert mode.states.masks == {0: (1 << 61) - 1}
    device.resize(BLOCK - 4 * MIB)
    assert mode.states.masks == {0: (1 << 62) - 1}
    device.resize(BLOCK)
    assert mode.states.masks == {}
    device.resize(BLOCK + 6 * MIB)
    device.resize(2 * MIB)
    device.resize(0)
    movable = rig.memory.zone(0, 3)
    assert (rig.states(FIRST, 2), movable.present, movable.managed) == (".x2", 0, 0)


def test_a_block_with_gaps_gives_its_highest_sub_blocks_first() -> None:
    """Plugged are sub-blocks 0, 2, 3 and 40: two go, 40 and 3."""
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=Offline())
    device = rig.virtio_mem()
    device.resize(BLOCK)
    rig.core.write_state(FIRST, MOVABLE)
    guest.keeps = {FIRST: (1 << 40) | 0b1101}
    device.resize(0)
    mode = device.mode
    assert isinstance(mode, SubBlockMode)
    assert mode.states.masks == {0: (1 << 40) | 0b1101}
    rig.core.write_state(FIRST, OFFLINE)
    device.resize(4 * MIB)
    assert mode.states.masks == {0: 0b101}
    device.resize(8 * MIB)
    assert mode.states.masks == {0: 0b1111}, "the lowest free ones are plugged"


def test_a_partly_plugged_block_in_the_middle_is_found_after_higher_ones_are_gone() -> None:
    """The search for the highest block of a class must not remember where the last one was."""
    guest = FakeGuest()
    rig = Rig(guest=guest, policy=OnlineMovable())
    device = rig.virtio_mem()
    device.resize(5 * BLOCK)
    full = (1 << 64) - 1
    guest.keeps = {FIRST + block: full for block in (0, 2, 3, 4)} | {FIRST + 1: full >> 32}
    device.resize(4 * BLOCK + BLOCK // 2)
    guest.keeps = {FIRST + block: full for block in (0, 1, 2, 4)} | {FIRST + 3: full >> 32}
    device.resize(4 * BLOCK)
    mode = device.mode
    assert isinstance(mode, SubBlockMode)
    assert mode.states.masks == {1: full >> 32, 3: full >> 32}
    guest.keeps = {}
    gone = []
    for left in (7, 6, 5, 4, 3, 2, 1, 0):
        device.resize(left * BLOCK // 2)
        gone.append(rig.states(FIRST, 5))
    assert gone == [
        "Mx3 .x1 Mx1",
        "Mx1 .x1 Mx1 .x1 Mx1",
        "Mx1 .x1 Mx1 .x1 Mx1",
        "Mx1 .x1 Mx1 .x2",
        "Mx1 .x1 Mx1 .x2",
        "Mx1 .x4",
        "Mx1 .x4",
        ".x5",
    ]
    assert rig.memory.zone(0, ZONE_NORMAL).present == 8 * PAGES
