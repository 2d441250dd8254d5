"""What a policy leaves offline: as if the kernel put nothing online, and for user space to put online all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from policies.contract import Explanation, Policy, UserSpaceRule, UserSpaceRules
from policies.fixed import Offline
from policies.udev import Udev
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.kernel.diary import Decided
from sim.kernel.policy_answers import PolicyError
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import EPERM, HotplugError
from sim.memory.zones import LEAVE_OFFLINE, ZONE_MOVABLE, ZONE_NORMAL, NoZone, OnlineType, ZoneType, zone_or_none
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.devices.rig import BLOCK, FIRST, FakeGuest, Rig
from tests.support.cells import DEVICES, Script, rows, run
from workloads.random_mix import RandomMix

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.kernel.diary import Note
    from sim.memory.view import MemoryView
    from sim.record.run_result import RunResult


class Leaves(Policy):
    """Leaves every block offline of which ``number % of == 0``; the others go to ZONE_MOVABLE."""

    name = "leaves"
    summary = "leaves blocks offline"

    def __init__(self, of: int = 1, *, at_once: bool = False, rules: UserSpaceRules | None = None) -> None:
        self._of = of
        self._at_once = at_once
        self.user_space = rules

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        left = request.first_page // request.pages % self._of == 0
        if request.why is not None:
            request.why("left" if left else "taken")
        return LEAVE_OFFLINE if left else ZONE_MOVABLE

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        return [(count, LEAVE_OFFLINE)] if self._at_once else None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("udev", [False, True])
def test_who_leaves_everything_offline_does_what_the_kernel_does_that_was_told_to(seed: int, udev: bool) -> None:  # noqa: FBT001
    """Event for event, on random traffic of DIMMs and virtio-mem devices; with user space, and without."""
    machine = MachineSpec((NodeSpec(4 * GIB), NodeSpec(2 * GIB)))
    rules = Udev(state="online_movable", delay=0.5).user_space if udev else None
    told = Udev(state="online_movable", delay=0.5) if udev else Offline()
    offline, at_once, one_by_one = (
        simulate(machine, policy, RandomMix(duration=2_000, dax_devices=0), Streams(seed, 0))
        for policy in (told, Leaves(at_once=True, rules=rules), Leaves(rules=rules))
    )
    assert len(rows(offline, EventKind.ADD)) > 20
    assert np.array_equal(at_once.events, offline.events)
    assert block_by_block(one_by_one) == block_by_block(offline), "a row for each block that was decided"


def block_by_block(result: RunResult) -> list[tuple[int, ...]]:
    """Return the events, each that adds several blocks as one for each of them."""
    found: list[tuple[int, ...]] = []
    for t, kind, device, first, count, zone, pages in rows(result):
        several = count if kind == EventKind.ADD else 1
        found += [(t, kind, device, first + n, count // several, zone, pages // several) for n in range(several)]
    return found


def test_blocks_of_a_dimm_fare_one_by_one() -> None:
    """Blocks 40 to 47: 42 and 45 stay offline, whether a run is decided at once or not."""
    result = run(Leaves(3), Script(DimmSpec("d", GIB)))
    assert [(row[1], row[3], row[4]) for row in rows(result, EventKind.PLUG, EventKind.ADD)] == [
        (EventKind.PLUG, 40, 1), (EventKind.PLUG, 41, 1), (EventKind.ADD, 42, 1), (EventKind.PLUG, 43, 1),
        (EventKind.PLUG, 44, 1), (EventKind.ADD, 45, 1), (EventKind.PLUG, 46, 1), (EventKind.PLUG, 47, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("of", [1, 2])
def test_every_kind_of_device_can_have_blocks_that_are_left(device: str, of: int) -> None:
    result = run(Leaves(of), Script(DEVICES[device]))
    added = sum(row[4] for row in rows(result, EventKind.ADD))
    plugged = sum(row[4] for row in rows(result, EventKind.PLUG))
    assert added >= 1
    assert (plugged == 0) == (of == 1 or device == "a DIMM of one block")


def test_virtio_mem_stops_at_its_threshold_of_blocks_that_are_left() -> None:
    """Of 4 GiB a gigabyte is added, eight blocks. Where every second is left, seven others are online by then."""
    asked = VirtioMemSpec("v", 4 * GIB, requested=4 * GIB)
    assert len(rows(run(Leaves(), Script(asked)), EventKind.ADD)) == 8
    half = run(Leaves(2), Script(VirtioMemSpec("v", 2 * GIB, requested=2 * GIB)))
    assert (len(rows(half, EventKind.ADD)), len(rows(half, EventKind.PLUG))) == (8, 7)


def test_a_plain_online_is_refused_and_another_word_is_not() -> None:
    rig = Rig(policy=Leaves())
    rig.dimm("d", (FIRST * BLOCK, 3 * BLOCK))
    assert rig.states(FIRST, 3) == "-x3"
    with pytest.raises(HotplugError, match=f"the policy leaves block {FIRST} offline") as refused:
        rig.core.write_state(FIRST, OnlineType.ONLINE)
    assert refused.value.errno == EPERM
    with pytest.raises(HotplugError, match="the policy leaves"):
        rig.core.write_online(FIRST, 1)
    rig.core.write_state(FIRST, OnlineType.ONLINE_KERNEL)
    rig.core.write_state(FIRST + 1, OnlineType.ONLINE_MOVABLE)
    assert rig.states(FIRST, 3) == "Nx1 Mx1 -x1"
    assert rig.core.zone_choice.valid_zones(FIRST + 2) == [ZONE_NORMAL, ZONE_MOVABLE]


def test_user_space_that_writes_online_is_refused_as_often_as_it_tries() -> None:
    program = UserSpaceRules((UserSpaceRule(OnlineType.ONLINE),), tries=3, try_again_us=100)
    rig = Rig(policy=Leaves(2), user_space=program)
    rig.dimm("d", (FIRST * BLOCK, 2 * BLOCK))
    rig.env.run()
    assert sorted(rig.states(FIRST + block, 1)[0] for block in range(2)) == ["-", "M"]
    assert rig.env.now == 200


def test_what_a_policy_will_not_have_back_stays_offline_after_a_refused_removal() -> None:
    """ACPI puts back what it took offline, by a plain word; the policy may have changed its mind."""
    guest = FakeGuest()
    guest.refusing.add(FIRST + 2)
    rig = Rig(guest=guest)
    dimm = rig.dimm("d", (FIRST * BLOCK, 3 * BLOCK))
    rig.core.zone_choice.set_policy(Leaves())
    dimm.eject()
    rig.settle()
    assert rig.states(FIRST, 3) == "-x2 Mx1"
    assert not rig.core.lock.held
    guest.refusing.clear()
    dimm.eject()
    rig.settle()
    assert dimm.gone


def test_the_reason_is_told_as_of_any_decision() -> None:
    notes: list[Note] = []
    result = run(Leaves(3), Script(DimmSpec("d", GIB)), log=lambda _t, note: notes.append(note))
    assert [(note.why.zone.label, note.why.reason) for note in notes if isinstance(note, Decided)] == [
        ("Movable", "taken"), ("Movable", "taken"), ("offline", "left"), ("Movable", "taken"),
        ("Movable", "taken"), ("offline", "left"), ("Movable", "taken"), ("Movable", "taken"),
    ]  # fmt: skip
    assert result.counters["decisions"] == 8


class SaysAnother(Leaves):
    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        return Explanation(ZoneType.NORMAL, "no", {})


class SaysMinusOne(Leaves):
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return -1


def test_a_reason_for_something_else_and_a_number_that_means_nothing_end_the_run() -> None:
    with pytest.raises(PolicyError, match="chose offline for block 40 and explained Normal"):
        run(SaysAnother(), Script(DimmSpec("d", 128 * MIB)), log=lambda *_: None)
    with pytest.raises(PolicyError, match="answered -1 for block 40, which is none of the zones"):
        run(SaysMinusOne(), Script(DimmSpec("d", 128 * MIB)))


def test_it_is_no_zone_and_none_of_the_words() -> None:
    assert LEAVE_OFFLINE not in [*ZoneType, *OnlineType]
    assert zone_or_none(LEAVE_OFFLINE) is zone_or_none(-1) is NoZone.LEAVE_OFFLINE
    assert zone_or_none(3) is ZoneType.MOVABLE
