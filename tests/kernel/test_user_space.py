"""A rule of user space that puts blocks online: when, in which order, and under the lock like everybody else."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.contract import UserSpaceRule, UserSpaceRules
from policies.fixed import Offline
from sim.kernel.listener import CoreListener, Listeners
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


def acting(*rules: UserSpaceRule, guest: FakeGuest | None = None, bare_metal: bool = False, **program: int) -> Rig:
    return Rig(
        boot=4 * GIB,
        nodes=(4 * GIB, 4 * GIB),
        block=BLOCK,
        section=BLOCK,
        policy=Offline(),
        timing=TIMING,
        guest=guest,
        user_space=UserSpaceRules(rules, **program),
        bare_metal=bare_metal,
    )


ANY = UserSpaceRule(OnlineType.ONLINE_MOVABLE)
WHERE = 40
"""A block far above the boot memory of two nodes."""


def states_of_each_kind(*rules: UserSpaceRule, bare_metal: bool = False) -> list[str]:
    """Return what becomes of a DIMM on node 0 and on node 1, a virtio-mem device, a dax device and memory of no device.

    Each has one block.
    """
    rig = acting(*rules, bare_metal=bare_metal)
    rig.dimm("d0", (WHERE * BLOCK, BLOCK))
    rig.dimm("d1", ((WHERE + 4) * BLOCK, BLOCK), node=1)
    rig.virtio_mem(address=(WHERE + 8) * BLOCK, size=BLOCK).resize(BLOCK)
    rig.unplugged_dax(((WHERE + 12) * BLOCK, BLOCK)).plug()
    rig.core.add_memory(-1, (WHERE + 16) * rig.memory.block_pages, rig.memory.block_pages)
    rig.env.run()
    return [rig.states(WHERE + 4 * number, 1)[0] for number in range(5)]


@pytest.mark.parametrize(
    ("rules", "states"),
    [
        ((), "-----"),
        ((ANY,), "MMMMM"),
        ((replace(ANY, devices=("dimm",)),), "MM---"),
        ((replace(ANY, devices=("virtio-mem", "none")),), "--M-M"),
        ((replace(ANY, devices=("dax",)),), "---M-"),
        ((replace(ANY, nodes=(1,)),), "-M---"),
        ((replace(ANY, nodes=(0,), devices=("dimm",)),), "M----"),
        ((replace(ANY, bare_metal=True),), "-----"),
        ((replace(ANY, bare_metal=False),), "MMMMM"),
        ((replace(ANY, architectures=("arm64", "s390x")),), "-----"),
        ((replace(ANY, architectures=("arm64", "x86-64")),), "MMMMM"),
        # The first that applies counts, also one that leaves the block alone.
        ((UserSpaceRule(OnlineType.ONLINE_KERNEL, nodes=(1,)), ANY), "MNMMM"),
        ((ANY, UserSpaceRule(OnlineType.ONLINE_KERNEL, nodes=(1,))), "MMMMM"),
        ((UserSpaceRule(OnlineType.OFFLINE, devices=("dax", "dimm")), ANY), "--M-M"),
        ((UserSpaceRule(OnlineType.OFFLINE, architectures=("s390x",)), ANY), "MMMMM"),
    ],
)
def test_the_first_rule_whose_conditions_all_hold_decides(rules: tuple[UserSpaceRule, ...], states: str) -> None:
    assert "".join(states_of_each_kind(*rules)) == states


def test_a_rule_of_bare_metal_looks_at_the_machine() -> None:
    rules = (replace(ANY, bare_metal=True), UserSpaceRule(OnlineType.ONLINE_KERNEL))
    assert "".join(states_of_each_kind(*rules)) == "NNNNN"
    assert "".join(states_of_each_kind(*rules, bare_metal=True)) == "MMMMM"


def test_each_rule_has_a_delay_of_its_own() -> None:
    rig = acting(replace(ANY, devices=("dax",), delay_us=5_000), replace(ANY, delay_us=DELAY))
    rig.unplugged_dimm("d", (WHERE * BLOCK, BLOCK)).plug()
    rig.unplugged_dax(((WHERE + 4) * BLOCK, BLOCK)).plug()
    rig.env.run()
    assert [(t, block - WHERE) for t, kind, _, block, *_ in rig.events() if kind == "ONLINE"] == [
        (ADD + DELAY + ONLINE, 0),
        (2 * ADD + 5_000 + ONLINE, 4),
    ]


@pytest.mark.parametrize(("buffer", "online"), [(1, 1), (3, 3), (7, 7), (8, 8), (9, 8)])
def test_events_that_find_the_buffer_full_are_lost_and_their_blocks_stay_offline(buffer: int, online: int) -> None:
    """All blocks of a DIMM appear at once, before the first is handled."""
    rig = acting(ANY, buffer=buffer)
    missed: list[tuple[int, int]] = []
    rig.core.listener = Listeners(rig.core.listener, Hears(missed))
    rig.dimm("d", (WHERE * BLOCK, 8 * BLOCK))
    rig.env.run()
    assert rig.states(WHERE, 8) == f"Mx{online}" + f" -x{8 - online}" * (online < 8)
    assert missed == [(WHERE + online, 8 - online)] * (online < 8)


class Hears(CoreListener):
    """Keeps what user space has missed."""

    def __init__(self, missed: list[tuple[int, int]]) -> None:
        self._missed = missed

    def missed(self, first: int, count: int) -> None:
        self._missed.append((first, count))


@pytest.mark.parametrize(("delay_us", "states"), [(0, "M" * 20), (1_000, "MMMMM-MMMMM-MMMMM-MM")])
def test_a_reader_that_keeps_up_loses_nothing_and_one_that_is_slow_does(delay_us: int, states: str) -> None:
    """Single blocks, one every 200 us, and room for five events, each of which waits for ``delay_us`` and the write.

    With 1000 us, the sixth comes at 1100, when the first is due and not done; from then on there is room for five more.
    """
    rig = acting(replace(ANY, delay_us=delay_us), buffer=5)
    for number in range(20):
        plug_at(rig, 200 * number, f"d{number}", number, 1)
    rig.env.run()
    assert "".join(rig.states(WHERE + number, 1)[0] for number in range(20)) == states


def test_what_is_there_when_the_program_begins_is_found_without_events() -> None:
    rig = acting(ANY, buffer=2, begins_us=5_000)
    plug_at(rig, 0, "early", 0, 8)
    plug_at(rig, 6_000, "late", 20, 8)
    rig.env.run()
    assert rig.states(WHERE, 8) == "Mx8"
    assert rig.states(WHERE + 20, 8) == "Mx2 -x6"


def plug_at(rig: Rig, us: int, name: str, block: int, blocks: int) -> None:
    dimm = rig.unplugged_dimm(name, ((WHERE + block) * BLOCK, blocks * BLOCK))
    rig.env.timeout(us).callbacks.append(lambda _event: dimm.plug())


@pytest.mark.parametrize(("tries", "state"), [(1, "-"), (2, "-"), (3, "M"), (9, "M")])
def test_what_a_driver_vetoes_is_tried_again_as_often_as_the_program_does(tries: int, state: str) -> None:
    """The driver lets the block go online from 1250 us on: tried at 0, 1000 and 2000 us after its appearance."""
    rig = acting(ANY, tries=tries, try_again_us=1_000 - ONLINE)
    group = rig.memory.groups.register_dynamic(0, rig.memory.block_pages)
    owner = Late(rig, 1_250)
    rig.core.register(group.id, -1, "virtio-mem", owner)
    rig.behind_the_drivers_back = True
    rig.core.add_memory(-1, WHERE * rig.memory.block_pages, rig.memory.block_pages, group_id=group.id)
    rig.env.run()
    assert rig.states(WHERE, 1)[0] == state
    assert owner.asked == [ONLINE + 1_000 * number for number in range(min(tries, 3))]


class Late:
    """A driver that vetoes onlining for a while."""

    granularity = BLOCK

    def __init__(self, rig: Rig, until_us: int) -> None:
        self._rig, self._until = rig, until_us
        self.asked: list[int] = []

    def may_online(self, block: int) -> bool:
        del block
        self.asked.append(int(self._rig.env.now))
        return self._rig.env.now >= self._until

    def block_online(self, block: int, zone_type: int) -> None:
        pass

    def block_offline(self, block: int) -> None:
        pass

    def plugged_pages(self) -> int:
        return 0

    def unplugged_pages(self, block: int) -> int:
        del block
        return 0


def test_a_block_that_went_while_the_program_waits_for_the_lock_is_no_matter() -> None:
    """It looks, waits for the lock, and finds the block online: the word is written in vain, and is kept."""
    rig = acting(replace(ANY, delay_us=DELAY), tries=5)
    plug_at(rig, 0, "d", 0, 1)  # added at 100, due at 1100
    plug_at(rig, 1_050, "holds the lock", 8, 1)  # until 1150
    rig.env.timeout(1_120).callbacks.append(partial(write, rig, WHERE, KERNEL))
    rig.env.run(until=1_300)
    assert rig.states(WHERE, 1) == "Nx1"
    assert rig.memory.blocks.left_over == {WHERE: MOVABLE}


def write(rig: Rig, block: int, word: int, _event: object) -> None:
    rig.core.write_state(block, word)


KINDS = (("dimm", 0), ("dimm", 1), ("virtio-mem", 0), ("dax", 0), ("none", 0))
"""What the blocks of :func:`states_of_each_kind` are."""

LETTERS = {OnlineType.OFFLINE: "-", OnlineType.ONLINE_KERNEL: "N", OnlineType.ONLINE_MOVABLE: "M"}
"""The words that say where a block goes; a plain online asks contig-zones, which looks at the neighbours."""

some_rules = st.lists(
    st.builds(
        UserSpaceRule,
        st.sampled_from([*LETTERS]),
        st.sampled_from((0, DELAY)),
        nodes=st.sampled_from(((), (0,), (1,), (0, 1), (7,))),
        devices=st.lists(st.sampled_from(("dimm", "virtio-mem", "dax", "none")), max_size=3).map(tuple),
        architectures=st.sampled_from(((), ("x86-64",), ("arm64", "x86-64"), ("s390x",))),
        bare_metal=st.sampled_from((None, True, False)),
    ),
    max_size=5,
)


@settings(max_examples=25)
@given(some_rules, st.booleans())
def test_whatever_the_rules_each_block_gets_the_word_of_the_first_that_applies(
    rules: list[UserSpaceRule],
    bare_metal: bool,  # noqa: FBT001
) -> None:
    expected = []
    for kind, node in KINDS:
        words = [
            rule.online_type
            for rule in rules
            if (not rule.nodes or node in rule.nodes)
            and (not rule.devices or kind in rule.devices)
            and (not rule.architectures or "x86-64" in rule.architectures)
            and (rule.bare_metal is None or rule.bare_metal == bare_metal)
        ]
        expected.append(LETTERS[words[0]] if words else "-")
    assert states_of_each_kind(*rules, bare_metal=bare_metal) == expected
