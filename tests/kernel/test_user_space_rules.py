"""A program of user space with several rules: which applies, what it misses, what it tries again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.contract import UserSpaceRule, UserSpaceRules
from policies.fixed import Offline
from sim.kernel.listener import CoreListener, Listeners
from sim.memory.zones import OnlineType
from sim.units import GIB
from tests.devices.rig import FakeGuest, Rig
from tests.kernel.test_user_space import ADD, BLOCK, DELAY, KERNEL, MOVABLE, ONLINE, TIMING


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
