"""A rule of user space that puts blocks online: when, in which order, and under the lock like everybody else."""

from __future__ import annotations

import pytest

from policies.auto_movable import AutoMovable
from policies.contract import UserSpaceRule, UserSpaceRules
from policies.fixed import Offline
from sim.kernel.timing import Timing
from sim.memory.zones import OnlineType
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.devices.rig import FakeGuest, Rig

BLOCK = 256 * MIB
FIRST = 20
ONLINE = 30
"""Microseconds to put a block of 256 MiB online by hand."""
DELAY = 1_000
TIMING = Timing(dimm_add=50, online=ONLINE // 2, offline=7, virtio_mem_plug=50)
ADD = 100
MOVABLE, KERNEL = int(OnlineType.ONLINE_MOVABLE), int(OnlineType.ONLINE_KERNEL)


def rig_with(
    word: OnlineType = OnlineType.ONLINE_MOVABLE, delay_us: int = DELAY, guest: FakeGuest | None = None
) -> Rig:
    rule = UserSpaceRules((UserSpaceRule(word, delay_us),))
    return Rig(block=BLOCK, section=BLOCK, policy=Offline(), timing=TIMING, guest=guest, user_space=rule)


def plug(rig: Rig, us: int, name: str, block: int, blocks: int) -> None:
    """Have a DIMM begin ``us`` microseconds from now."""
    dimm = rig.unplugged_dimm(name, ((FIRST + block) * BLOCK, blocks * BLOCK))
    rig.env.timeout(us).callbacks.append(lambda _event: dimm.plug())


def changes(rig: Rig) -> list[tuple[int, str, int, int]]:
    """(microsecond, kind, first block above boot memory, blocks) of whatever happened to blocks."""
    return [(t, kind, block - FIRST, count) for t, kind, _, block, count, _ in rig.events() if block >= 0]


def test_each_block_takes_its_time_after_the_delay_lowest_first() -> None:
    rig = rig_with()
    plug(rig, 0, "d", 0, 3)
    rig.env.run()
    assert changes(rig) == [
        (300, "ADD", 0, 3),
        (1_330, "ONLINE", 0, 1),
        (1_360, "ONLINE", 1, 1),
        (1_390, "ONLINE", 2, 1),
    ]
    assert rig.env.now == 1_390


def test_a_rule_that_begins_late_finds_what_is_there_and_then_acts_as_others() -> None:
    rule = UserSpaceRules((UserSpaceRule(OnlineType.ONLINE_MOVABLE, DELAY),), begins_us=5_000)
    rig = Rig(block=BLOCK, section=BLOCK, policy=Offline(), timing=TIMING, user_space=rule)
    plug(rig, 0, "a", 0, 1)
    plug(rig, 3_850, "b", 8, 1)
    plug(rig, 4_000, "c", 16, 1)
    rig.env.run()
    assert [change for change in changes(rig) if change[1] == "ONLINE"] == [
        (5_030, "ONLINE", 0, 1),
        (5_060, "ONLINE", 8, 1),
        (5_130, "ONLINE", 16, 1),
    ]


def test_runs_of_blocks_are_worked_off_in_the_order_in_which_they_appeared() -> None:
    """The second and the third device appear while the blocks of the first are still being put online."""
    rig = rig_with()
    plug(rig, 0, "c", 40, 4)
    plug(rig, 1, "a", 0, 1)
    plug(rig, 2, "b", 20, 1)
    rig.env.run()
    # Added at 400, 500 and 600, so due at 1400, 1500 and 1600.
    assert [entry for entry in changes(rig) if entry[1] == "ONLINE"] == [
        (1_430, "ONLINE", 40, 1),
        (1_460, "ONLINE", 41, 1),
        (1_490, "ONLINE", 42, 1),
        (1_520, "ONLINE", 43, 1),
        (1_550, "ONLINE", 0, 1),
        (1_630, "ONLINE", 20, 1),
    ]


def test_two_that_are_due_while_it_is_at_work_keep_their_order() -> None:
    rig = rig_with(delay_us=0)
    plug(rig, 0, "c", 40, 9)
    plug(rig, 1, "b", 20, 1)
    plug(rig, 1, "a", 0, 1)
    rig.env.run()
    assert [entry[2] for entry in changes(rig) if entry[1] == "ONLINE"] == [*range(40, 49), 20, 0]


def test_it_waits_for_the_lock_and_holds_it_for_one_block_at_a_time() -> None:
    rig = rig_with()
    plug(rig, 0, "a", 0, 2)  # added at 200, due at 1200
    plug(rig, 1_190, "b", 20, 1)  # holds the lock from 1190 to 1290
    plug(rig, 1_195, "c", 30, 1)  # asked before user space did
    plug(rig, 1_295, "d", 40, 1)  # and this one while user space waits
    rig.env.run()
    assert [entry for entry in changes(rig) if entry[0] < 2_000] == [
        (200, "ADD", 0, 2),
        (1_290, "ADD", 20, 1),
        (1_390, "ADD", 30, 1),
        (1_420, "ONLINE", 0, 1),
        (1_520, "ADD", 40, 1),
        (1_550, "ONLINE", 1, 1),
    ]


def test_no_time_goes_into_blocks_that_somebody_else_put_online_or_that_are_gone() -> None:
    """Four blocks: one was put online by hand before, one was removed; the others follow without a gap."""
    rig = rig_with()
    rig.dimm("a", (FIRST * BLOCK, BLOCK))
    rig.env.run(until=250)
    plug(rig, 0, "d", 4, 3)  # added at 550, due at 1550
    rig.env.run(until=1_400)
    first, second, third = FIRST + 4, FIRST + 5, FIRST + 6
    rig.core.write_state(first, KERNEL)
    rig.behind_the_drivers_back = True
    rig.core.remove(1, second, 1)
    rig.env.run()
    assert [entry for entry in changes(rig) if entry[0] > 1_400] == [(1_580, "ONLINE", 6, 1)]
    assert rig.states(first, 3) == "Nx1 .x1 Mx1"
    assert rig.memory.blocks.left_over == {}, "a rule looks first, and writes no word in vain"
    assert rig.states(third, 1) == "Mx1"


def test_what_a_driver_vetoes_costs_the_attempt_and_the_rule_goes_on() -> None:
    """A block that the driver does not know may not go online; the lock is free for the next one."""
    rig = rig_with()
    device = rig.virtio_mem(size=4 * GIB)
    rig.behind_the_drivers_back = True
    rig.core.add_memory(device.index, FIRST * rig.memory.block_pages, rig.memory.block_pages, group_id=device.group.id)
    plug(rig, 1, "d", 20, 1)  # due at 1101
    rig.env.run()
    assert rig.states(FIRST, 1) == "-x1"
    assert rig.states(FIRST + 20, 1) == "Mx1"
    assert [entry for entry in changes(rig) if entry[1] == "ONLINE"] == [(1_131, "ONLINE", 20, 1)]
    assert not rig.core.lock.held


@pytest.mark.parametrize(
    ("word", "states"),
    [
        (OnlineType.ONLINE, "Nx2"),
        (OnlineType.ONLINE_KERNEL, "Nx2"),
        (OnlineType.ONLINE_MOVABLE, "Mx2"),
    ],
)
def test_the_word_is_the_rules(word: OnlineType, states: str) -> None:
    """With ``online`` the policy is asked: at ratio 0 auto-movable wants no MOVABLE memory."""
    rig = rig_with(word)
    plug(rig, 0, "d", 0, 2)
    rig.env.run(until=500)
    rig.core.zone_choice.set_policy(AutoMovable(ratio=0))
    rig.env.run()
    assert rig.states(FIRST, 2) == states
    assert rig.core.zone_choice.decisions == (2 if word == OnlineType.ONLINE else 0)


def test_a_partly_plugged_block_is_handed_over_as_far_as_it_is_plugged() -> None:
    guest = FakeGuest()
    rig = rig_with(guest=guest)
    device = rig.virtio_mem(size=4 * GIB)
    device.resize(BLOCK + 10 * MIB)
    rig.env.run()
    assert guest.pages == {(0, 3): (BLOCK + 10 * MIB) // 4096}
    assert [event[5] for event in rig.events(EventKind.ADD)] == [65_536, 2_560]
