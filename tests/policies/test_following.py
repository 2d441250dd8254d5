"""Zones that are followed in the order of decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.clairvoyant.following import Decision, Scripted
from sim.engine import simulate
from sim.kernel.diary import Decided
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL
from sim.streams import Streams
from sim.units import GIB
from tests.policies.scripted import BLOCK, Script, play, plugged_zones
from tests.policies.stage import BLOCK as PAGES
from tests.policies.stage import Stage

if TYPE_CHECKING:
    from sim.kernel.diary import Note

M, N = ZONE_MOVABLE, ZONE_NORMAL
SCRIPT = Script(
    [
        (1.0, "dimm", "a", 2 * BLOCK),
        (2.0, "virtio-mem", "v", GIB),
        (3.0, "resize", "v", 2 * BLOCK),
        (4.0, "unplug", "a", 0),
        (5.0, "dimm", "b", 3 * BLOCK),
        (6.0, "dimm", "c", BLOCK),
    ]
)


def test_a_decision_is_for_a_whole_dimm_or_a_unit_and_whatever_comes_last_is_movable() -> None:
    policy = Scripted((True, False, True, True))
    assert plugged_zones(play(policy, SCRIPT, guest=False)) == [N, N, M, N, N, N, N, M]
    assert [(decision.t_us, decision.kernel) for decision in policy.decisions] == [
        (1_000_000, True), (3_000_000, False), (3_000_000, True), (5_000_000, True), (6_000_000, False),
    ]  # fmt: skip
    first = policy.decisions[0].block
    assert [decision.block - first for decision in policy.decisions[3:]] == [10, 0], "the last where the first was"
    assert plugged_zones(play(policy, SCRIPT, guest=False)) == [N, N, M, N, N, N, N, M], "it begins anew"


def test_who_asks_why_is_told_and_changes_nothing() -> None:
    reasons: list[str] = []

    def log(_t_us: int, note: Note) -> None:
        if isinstance(note, Decided):
            reasons.append(note.why.reason)

    policy = Scripted((True, False))
    machine = MachineSpec((NodeSpec(GIB),))
    told = simulate(machine, policy, SCRIPT, Streams(1, 0), timing=Timing.instant(), log=log)
    assert plugged_zones(told) == [N, N, M, M, M, M, M, M]
    needed, settled = (
        "the kernel will need it: Normal",
        "already has 32768 pages in a kernel zone: all of it goes there",
    )
    assert reasons[0] == needed
    assert settled in reasons[1]
    assert reasons[2] == "the kernel will not need it: Movable"
    assert reasons[3] == reasons[4] == "not foreseen: Movable"


def test_without_a_clock_time_stands_still() -> None:
    policy, stage = Scripted((True,)), Stage(8 * PAGES)
    zones = [policy.zone_for(stage.request(block), stage.view) for block in (200, 201)]
    assert [ZONE_LABELS[zone] for zone in zones] == ["Normal", "Movable"]
    assert policy.decisions == [Decision(0, 200, kernel=True), Decision(0, 201, kernel=False)]
