"""How long everything takes, to the microsecond, and who waits for the lock meanwhile.

Blocks are of 256 MiB, so that a duration which is not scaled shows; every kind of work has a length of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from sim.devices.timing import Timing
from sim.guest.contract import OomEvent, OomKind
from sim.memory.zones import OnlineType
from sim.observe import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import FakeGuest, Rig

if TYPE_CHECKING:
    from policies.contract import Policy

BLOCK = 256 * MIB
SUB = 2 * MIB
FIRST = 20
"""First block above the boot memory of a machine of 4 GiB."""
ADD, OFFLINE, REFUSED = 140, 100, 14
"""Microseconds for a block: added to a DIMM or dax device, taken offline, and what a refusal takes on top."""
PLUG, UNPLUG = 12_800, 1_280
"""Microseconds for a whole block of virtio-mem."""
PLUG_SUB, UNPLUG_SUB = 100, 10
"""Microseconds for a sub-block of virtio-mem, of which a block has 128."""

TIMING = Timing(
    virtio_mem_plug=PLUG // 2,
    virtio_mem_unplug=UNPLUG // 2,
    dimm_add=ADD // 2,
    offline=OFFLINE // 2,
    refused=REFUSED // 2,
    migrate=32_768,  # a microsecond for a page
)


def rig_of(guest: FakeGuest | None = None, policy: Policy | None = None, kernel: str = "6.1") -> Rig:
    return Rig(block=BLOCK, section=BLOCK, timing=TIMING, guest=guest, policy=policy or OnlineMovable(), kernel=kernel)


def at(block: int) -> int:
    return (FIRST + block) * BLOCK


def plug_a_dimm_in(rig: Rig, us: int, block: int = 100) -> None:
    """Have a DIMM of one block far above ask for the lock ``us`` microseconds from now."""
    dimm = rig.unplugged_dimm("late", (at(block), BLOCK))
    rig.env.timeout(us).callbacks.append(lambda _event: dimm.plug())


def timeline(rig: Rig, since: int) -> list[tuple[int, str, int]]:
    """(microseconds after ``since``, kind, block above boot memory) of all but requests."""
    return [
        (t - since, kind, block - FIRST if block >= 0 else -1)
        for t, kind, _, block, _, _ in rig.events()
        if t > since and kind != "REQUEST"
    ]


def time_until_rest(rig: Rig) -> int:
    """Let everything happen and return how many microseconds that took."""
    before = int(rig.env.now)
    rig.env.run()
    return int(rig.env.now) - before


# DIMM and dax ----


def test_an_eject_in_vain_holds_the_lock_to_the_end() -> None:
    """A block that goes moves 1000 pages, one that refuses has moved 200 in vain; the waiting DIMM comes last."""
    guest = FakeGuest()
    rig = rig_of(guest)
    dimm = rig.unplugged_dimm("d", (at(0), 3 * BLOCK))
    dimm.plug()
    assert time_until_rest(rig) == 3 * ADD
    guest.refusing, guest.moves, guest.moves_in_vain = {FIRST + 1}, 1000, 200
    start = 3 * ADD
    dimm.eject()
    plug_a_dimm_in(rig, 1)
    rig.env.run()
    assert timeline(rig, start) == [
        (100, "OFFLINE", 0),  # then 1000 to move its pages
        (1_200, "REFUSED", 1),  # then 14 and 200
        (1_514, "OFFLINE", 2),  # then 1000
        (2_614, "REFUSED", 1),  # the second pass; then 14 and 200
        (2_828, "ONLINE", 0),
        (2_828, "ONLINE", 2),
        (2_828, "FAILED", -1),
        (2_968, "PLUG", 100),
    ]


def test_an_eject_takes_what_its_blocks_take() -> None:
    guest = FakeGuest()
    rig = rig_of(guest)
    dimm = rig.unplugged_dimm("d", (at(0), 2 * BLOCK), (at(4), BLOCK))
    dimm.plug()
    rig.env.run()
    guest.moves = 77
    dimm.eject()
    assert time_until_rest(rig) == 3 * (OFFLINE + 77)
    assert timeline(rig, 3 * ADD)[-2:] == [(531, "REMOVE", 0), (531, "REMOVE", 4)]
    assert rig.core.moved == 0


def test_what_came_in_the_second_pass_is_put_back_in_the_order_of_addresses() -> None:
    guest = FakeGuest()
    rig = rig_of(guest)
    dimm = rig.dimm("d", (at(0), 4 * BLOCK))
    rig.env.run()
    guest.refuse_once, guest.refusing = {FIRST + 1}, {FIRST + 3}
    dimm.eject()
    rig.env.run()
    assert [event[3] - FIRST for event in rig.events(EventKind.OFFLINE)] == [0, 2, 1]
    assert [event[3] - FIRST for event in rig.events(EventKind.ONLINE)] == [0, 1, 2]


def test_an_operator_gives_the_lock_back_after_each_block_and_its_migration() -> None:
    guest = FakeGuest()
    rig = rig_of(guest)
    dax = rig.unplugged_dax((at(0), 3 * BLOCK))
    dax.plug()
    assert time_until_rest(rig) == 3 * ADD
    guest.refusing, guest.moves, guest.moves_in_vain = {FIRST + 1}, 1000, 200
    start = 3 * ADD
    dax.eject()
    plug_a_dimm_in(rig, 1)
    rig.env.run()
    assert timeline(rig, start) == [
        (100, "OFFLINE", 2),
        (1_240, "PLUG", 100),  # after the 1000 pages
        (1_340, "REFUSED", 1),  # 200 pages were moved for nothing
        (1_640, "OFFLINE", 0),
        (2_640, "FAILED", -1),  # and 1000 for this one
    ]
    guest.refusing = set()
    dax.eject()
    assert time_until_rest(rig) == OFFLINE + 1000
    assert timeline(rig, start)[-1] == (2_640 + 1_100, "REMOVE", 0)


def test_unbinding_waits_for_the_lock() -> None:
    """All blocks are offline already: nothing is left but the removal, for which a DIMM is in the way."""
    rig = rig_of(policy=Offline())
    dax = rig.unplugged_dax((at(0), 2 * BLOCK))
    dax.plug()
    rig.env.run()
    other = rig.unplugged_dimm("d", (at(50), BLOCK))
    other.plug()
    dax.eject()
    assert time_until_rest(rig) == ADD
    assert timeline(rig, 2 * ADD) == [(140, "ADD", 50), (140, "REMOVE", 0)]


def test_who_asked_is_told_how_it_ended() -> None:
    guest = FakeGuest()
    rig = rig_of(guest)
    told: list[tuple[str, bool]] = []

    def done(name: str, ok: bool) -> None:  # noqa: FBT001 - a callback's one answer
        told.append((name, ok))

    dimm = rig.unplugged_dimm("d", (at(0), BLOCK), done=done)
    dax = rig.unplugged_dax((at(8), BLOCK), done=done)
    for device in (dimm, dax):
        device.plug()
        rig.env.run()
        guest.refusing = {FIRST, FIRST + 8}
        device.eject()
        rig.env.run()
        guest.refusing = set()
        device.eject()
        rig.env.run()
    guest.memmap_blocks = 0
    for failing in (
        rig.unplugged_dimm("e", (at(16), BLOCK), done=done),
        rig.unplugged_dax((at(16), BLOCK), done=done),
    ):
        failing.plug()
        rig.env.run()
    course = [True, False, True]
    assert told == [*(("d", ok) for ok in course), *(("x", ok) for ok in course), ("e", False), ("x", False)]


# virtio-mem ----


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
    assert rig.core.decisions == 4


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
    assert (device.plugged, rig.core.moved) == (BLOCK + 28 * SUB, 0)
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
    seen: list[int] = []
    rig.core.oom_seen = lambda: seen.append(int(rig.env.now))
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
    assert rig.core.ooms == [(time, guest.kill) for time in times]
    assert seen == times


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


# Adds that fail for want of memory ----


def starved_by(bystander: int, *, dax: bool = False, ranges: tuple[int, ...] = (1, 3), memmap_blocks: int = 0) -> int:
    """How often somebody else's allocation fails while ranges of so many blocks cannot be added."""
    guest = FakeGuest()
    guest.memmap_blocks = memmap_blocks
    rig = Rig(block=BLOCK, section=BLOCK, guest=guest, timing=Timing(dimm_add=ADD // 2, bystander=bystander))
    starved: list[int] = []
    rig.core.starved = lambda: starved.append(int(rig.env.now))
    places = [(at(10 * number), blocks * BLOCK) for number, blocks in enumerate(ranges)]
    device = rig.unplugged_dax(*places) if dax else rig.unplugged_dimm("d", *places)
    device.plug()
    rig.env.run()
    assert starved == [sum(ranges) * ADD] * len(starved)
    assert {event[2] for event in rig.events(EventKind.FAILED)} == {device.index}
    return len(starved)


@pytest.mark.parametrize(("bystander", "times"), [(ADD, 2), (ADD + 1, 1), (3 * ADD, 1), (3 * ADD + 1, 0)], ids=str)
def test_a_range_that_fails_hits_a_bystander_who_comes_in_time(bystander: int, times: int) -> None:
    """Each range by its own size; that nothing at all could be added is no want of memory."""
    assert starved_by(bystander) == times


@pytest.mark.parametrize(
    ("bystander", "memmap_blocks", "times"),
    [(4 * ADD, 0, 1), (4 * ADD + 1, 0, 0), (3 * ADD, 1, 1), (3 * ADD + 1, 1, 0)],
    ids=str,
)
def test_a_dax_device_that_fails_does_so_as_a_whole_or_by_a_range(
    bystander: int, memmap_blocks: int, times: int
) -> None:
    assert starved_by(bystander, dax=True, memmap_blocks=memmap_blocks) == times


def test_a_block_of_virtio_mem_that_fails_hits_nobody() -> None:
    guest = FakeGuest()
    guest.memmap_blocks = 0
    rig = Rig(guest=guest, timing=Timing(virtio_mem_plug=5_000_000, bystander=1))
    starved: list[int] = []
    rig.core.starved = lambda: starved.append(1)
    device = rig.virtio_mem()
    device.resize(GIB)
    rig.run_for(5_000_000)
    assert [event[1:3] for event in rig.events(EventKind.FAILED)] == [("FAILED", device.index)]
    assert starved == []


def test_blocks_put_online_by_hand_are_recorded_under_the_device_that_has_them() -> None:
    """The third device gets the first one's group id again: an id of a group is no index of a device."""
    rig = rig_of(policy=Offline())
    first = rig.dimm("first", (at(0), BLOCK))
    rig.env.run()
    second = rig.dimm("second", (at(4), BLOCK))
    rig.env.run()
    first.eject()
    rig.env.run()
    third = rig.dimm("third", (at(8), BLOCK))
    rig.env.run()
    assert (third.group_id, third.index) == (0, 2)
    assert rig.core.device_of == {0: 2, 1: 1}
    for block in (8, 4):
        rig.core.write_state(FIRST + block, int(OnlineType.ONLINE_MOVABLE))
    assert [event[2] for event in rig.events(EventKind.ONLINE)] == [third.index, second.index]
    third.eject()
    rig.env.run()
    assert rig.core.device_of == {1: 1}
