"""How long virtio-mem takes, to the microsecond, and who waits for the lock meanwhile."""

from __future__ import annotations

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from sim.guest.contract import OomEvent, OomKind
from sim.memory.zones import OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.devices.durations import (
    ADD,
    BLOCK,
    FIRST,
    OFFLINE,
    PLUG,
    PLUG_SUB,
    SUB,
    UNPLUG,
    UNPLUG_SUB,
    at,
    plug_a_dimm_in,
    rig_of,
    time_until_rest,
    timeline,
)
from tests.devices.rig import FakeGuest


def test_plugging_by_blocks_and_by_parts_of_one() -> None:
    rig = rig_of()
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(2 * BLOCK + 28 * SUB)
    assert time_until_rest(rig) == 2 * PLUG + 28 * PLUG_SUB
    device.resize(2 * BLOCK + 78 * SUB)
    assert time_until_rest(rig) == 50 * PLUG_SUB, "a block that is there is filled"
    device.resize(4 * BLOCK)
    assert time_until_rest(rig) == 50 * PLUG_SUB + PLUG


def test_a_request_lowered_while_a_block_is_being_filled_stops_the_fill() -> None:
    """The device refuses what goes beyond the new request: the time is spent, and the rest is plugged after it."""
    rig = rig_of()
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(10 * SUB)
    rig.env.run()
    device.resize(60 * SUB)
    rig.run_for(20 * PLUG_SUB)
    device.resize(30 * SUB)
    assert time_until_rest(rig) == 30 * PLUG_SUB + 20 * PLUG_SUB
    assert [event[5] for event in rig.events(EventKind.SUBPLUG)] == [20 * 512]
    assert device.plugged == 30 * SUB


@pytest.mark.parametrize("block_size", [SUB, BLOCK, 2 * BLOCK])
def test_plugging_waits_for_the_lock_before_its_time_begins(block_size: int) -> None:
    rig = rig_of(policy=AutoMovable())
    device = rig.virtio_mem(size=4 * GIB, block_size=block_size)
    first = rig.unplugged_dimm("first", (at(50), BLOCK))
    first.plug()
    device.resize(2 * BLOCK)
    rig.run_for(1)
    later = rig.unplugged_dimm("later", (at(60), BLOCK))
    later.plug()
    rig.env.run()
    # Two blocks in turn with the later DIMM, or one of two blocks before it.
    one = max(block_size, BLOCK) // BLOCK * PLUG
    times = [ADD, ADD + one, ADD + one + ADD]
    if block_size < 2 * BLOCK:
        times.append(times[-1] + one)
    assert [event[0] for event in rig.events(EventKind.PLUG)] == times
    assert rig.core.zone_choice.decisions == 4


def test_sub_blocks_given_back_take_time_to_move_and_the_lock_is_held_that_long() -> None:
    """A sub-block given up moves 3 pages, the removal of the emptied block 5."""
    guest = FakeGuest()
    rig = rig_of(guest)
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(3 * BLOCK)
    start = time_until_rest(rig)
    guest.moves, guest.moves_each = 5, 3
    device.resize(BLOCK + 28 * SUB)
    plug_a_dimm_in(rig, 1)
    assert time_until_rest(rig) == (UNPLUG + 128 * 3 + 5) + ADD + (100 * UNPLUG_SUB + 100 * 3)
    assert timeline(rig, start) == [
        (1_280, "UNPLUG", 2),
        (1_809, "PLUG", 100),  # 389 pages later the DIMM holds the lock
        (2_809, "SUBUNPLUG", 1),
    ]
    assert device.plugged == BLOCK + 28 * SUB
    device.resize(BLOCK + 10 * SUB)
    assert time_until_rest(rig) == 18 * (UNPLUG_SUB + 3), "18 of the 28 that were left"
    device.resize(BLOCK - 10 * SUB)
    assert time_until_rest(rig) == 10 * (UNPLUG_SUB + 3) + 5 + 10 * (UNPLUG_SUB + 3), "the last 10, then 10 more"
    device.resize(2 * BLOCK + 10 * SUB)
    rig.env.run()
    device.resize(0)
    assert time_until_rest(rig) == 10 * (UNPLUG_SUB + 3) + 5 + 2 * (UNPLUG + 128 * 3 + 5)


def test_moving_the_pages_of_two_blocks_adds_up() -> None:
    """What a block of big blocks has moved is taken into account once, whatever else is under way."""
    guest = FakeGuest()
    guest.moves_each = 7
    rig = rig_of(guest, policy=OnlineKernel())
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(2 * BLOCK)
    rig.env.run()
    guest.keeps = {FIRST: 0b11, FIRST + 1: 0b1111}
    device.resize(0)
    rig.run_for(UNPLUG - 1)
    assert device.plugged == 2 * BLOCK
    rig.run_for(1)
    assert device.plugged == BLOCK + 4 * SUB
    rig.run_for(124 * 7 + UNPLUG - 1)
    assert device.plugged == BLOCK + 4 * SUB
    rig.run_for(1)
    assert (device.plugged, device.busy) == (6 * SUB, True)
    rig.run_for(126 * 7 - 1)
    busy = device.busy
    rig.run_for(1)
    assert (busy, device.busy) == (True, False)


def test_who_is_killed_on_the_way_is_recorded_when_it_happens() -> None:
    """Sub-blocks that are given up, and blocks taken offline, may bring the out-of-memory killer."""
    guest = FakeGuest()
    guest.kill = OomEvent(OomKind.MIGRATION, "load", guest_died=False, done_share=0.0, zones=(), mem_available=123)
    rig = rig_of(guest)
    device = rig.virtio_mem(size=4 * GIB)
    dimm = rig.unplugged_dimm("d", (at(50), BLOCK))
    dimm.plug()
    rig.env.run()
    device.resize(BLOCK)
    start = ADD + time_until_rest(rig)
    device.resize(BLOCK // 2)
    rig.env.run()
    dimm.eject()
    rig.env.run()
    times = [start + UNPLUG // 2, start + UNPLUG // 2 + OFFLINE]
    ooms = [tuple(row) for row in rig.recorder.table().tolist() if row[1] == EventKind.OOM]
    assert ooms == [(time, EventKind.OOM, -1, 0, 1, OomKind.MIGRATION, 123) for time in times]
    assert rig.ooms.kills == [(time, guest.kill) for time in times]
    assert rig.told.kills == [(time, (guest.kill,)) for time in times]


def test_offline_blocks_are_unplugged_under_the_lock_in_proportion() -> None:
    rig = rig_of(policy=Offline())
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(BLOCK + 28 * SUB)
    start = time_until_rest(rig)
    device.resize(BLOCK - 10 * SUB)
    plug_a_dimm_in(rig, 1)
    rig.env.run()
    assert timeline(rig, start) == [
        (28 * UNPLUG_SUB, "REMOVE", 1),
        (28 * UNPLUG_SUB + ADD, "ADD", 100),
        (38 * UNPLUG_SUB + ADD, "SUBUNPLUG", 0),
    ]


def test_removing_an_emptied_block_later_moves_what_is_left_under_the_lock() -> None:
    guest = FakeGuest()
    rig = rig_of(guest, policy=OnlineKernel(), kernel="6.6")
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(BLOCK)
    rig.env.run()
    guest.refuse_once, guest.moves, guest.moves_in_vain = {FIRST}, 1000, 40
    device.resize(0)
    start = int(rig.env.now)
    plug_a_dimm_in(rig, 50_000_000 + UNPLUG + 40 + 1)
    rig.env.run()
    # The emptied block refuses after 40 moved pages; 50 s later it goes, and 1000 pages are moved.
    assert timeline(rig, start) == [
        (UNPLUG, "REFUSED", 0),
        (UNPLUG, "SUBUNPLUG", 0),
        (50_000_000 + UNPLUG + 40, "UNPLUG", 0),
        (50_000_000 + UNPLUG + 40 + 1000 + ADD, "PLUG", 100),
    ]


MOVABLE_WORD, OFFLINE_WORD = int(OnlineType.ONLINE_MOVABLE), int(OnlineType.OFFLINE)


@pytest.mark.parametrize(
    ("online", "block_size", "left"),
    [
        (True, SUB, ".x1 -x1"),
        (False, SUB, ".x1 Mx1"),
        (True, 2 * BLOCK, "Mx2 .x2"),  # one of its two blocks is online: still for the pass that had found it
        (False, 2 * BLOCK, ".x2 -x1 Mx1"),
    ],
    ids=["taken offline", "put online", "taken offline, big blocks", "put online, big blocks"],
)
def test_what_user_space_changed_while_the_driver_waited_is_left_alone(
    online: bool,  # noqa: FBT001
    block_size: int,
    left: str,
) -> None:
    """A DIMM holds the lock; before the driver gets it the block that it was after has changed, so the other goes."""
    rig = rig_of(policy=OnlineMovable() if online else Offline())
    device = rig.virtio_mem(size=4 * GIB, block_size=block_size)
    unit = max(block_size, BLOCK)
    device.resize(2 * unit)
    rig.env.run()
    dimm = rig.unplugged_dimm("d", (at(50), BLOCK))
    dimm.plug()
    device.resize(unit)
    rig.run_for(10)
    rig.core.write_state(FIRST + 2 * unit // BLOCK - 1, OFFLINE_WORD if online else MOVABLE_WORD)
    rig.env.run()
    assert rig.states(FIRST, 2 * unit // BLOCK) == left
    assert device.plugged == unit


@pytest.mark.parametrize("per", [1, 2], ids=["a big block of one memory block", "of two"])
def test_big_blocks_hold_the_lock_while_pages_move(per: int) -> None:
    guest = FakeGuest()
    rig = rig_of(guest)
    device = rig.virtio_mem(size=4 * GIB, block_size=per * BLOCK)
    device.resize(2 * per * BLOCK)
    start = time_until_rest(rig)
    assert start == 2 * per * PLUG
    guest.moves = 1000
    device.resize(0)
    plug_a_dimm_in(rig, 1)
    rig.env.run()
    gone = "UNPLUG" if per == 1 else "REMOVE"
    one = per * (UNPLUG + 1000)
    assert [entry for entry in timeline(rig, start) if entry[1] != "OFFLINE"] == [
        (per * UNPLUG, gone, per),
        (one + ADD, "PLUG", 100),
        (one + ADD + per * UNPLUG, gone, 0),
    ]
    assert rig.env.now - start == 2 * one + ADD


def test_a_refused_big_block_has_taken_its_time() -> None:
    guest = FakeGuest()
    rig = rig_of(guest)
    device = rig.virtio_mem(size=4 * GIB, block_size=2 * BLOCK)
    device.resize(2 * BLOCK)
    rig.env.run()
    guest.refusing, guest.moves, guest.moves_in_vain = {FIRST + 1}, 1000, 200
    device.resize(0)
    rig.run_for(2 * (2 * UNPLUG + 1000 + 200) - 1)  # the second pass and the third
    busy = device.busy
    rig.run_for(1)
    assert (busy, device.busy) == (True, False)
    assert rig.until_next() == 50_000_000
