"""How long DIMMs and dax devices take, to the microsecond, who waits for the lock meanwhile, and who starves."""

from __future__ import annotations

import pytest

from policies.fixed import Offline
from sim.kernel.timing import Timing
from sim.memory.zones import OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.devices.durations import (
    ADD,
    BLOCK,
    FIRST,
    OFFLINE,
    at,
    plug_a_dimm_in,
    rig_of,
    time_until_rest,
    timeline,
)
from tests.devices.rig import FakeGuest, Rig

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


# Adds that fail for want of memory ----


@pytest.mark.parametrize(("dax", "memmap_blocks", "times"), [(False, 0, 2), (False, 1, 1), (True, 0, 1), (True, 1, 1)])
def test_each_range_that_finds_no_memory_starves_whoever_asks_next(dax: bool, memmap_blocks: int, times: int) -> None:  # noqa: FBT001
    """A DIMM tells of every range, a dax device of the last one; that nothing at all went in is no want of memory."""
    guest = FakeGuest()
    guest.memmap_blocks = memmap_blocks
    rig = Rig(block=BLOCK, section=BLOCK, guest=guest, timing=Timing(dimm_add=ADD // 2))
    places = [(at(10 * number), blocks * BLOCK) for number, blocks in enumerate((1, 3))]
    device = rig.unplugged_dax(*places) if dax else rig.unplugged_dimm("d", *places)
    device.plug()
    rig.env.run()
    assert rig.told.starvation == [4 * ADD] * times
    assert {event[2] for event in rig.events(EventKind.FAILED)} == {device.index}


def test_a_block_of_virtio_mem_that_finds_no_memory_starves_whoever_asks_next() -> None:
    guest = FakeGuest()
    guest.memmap_blocks = 0
    rig = Rig(guest=guest, timing=Timing(virtio_mem_plug=5_000_000))
    device = rig.virtio_mem()
    device.resize(GIB)
    rig.run_for(5_000_000)
    assert [event[1:3] for event in rig.events(EventKind.FAILED)] == [("FAILED", device.index)]
    assert rig.told.starvation == [5_000_000]


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
