"""What is kept of a rehearsal, and when the run has to be rehearsed at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.clairvoyant import trials as module
from policies.clairvoyant.following import Decision, Scripted
from policies.clairvoyant.trials import NEVER, Asked, Choice, Trials, asked_of, trial_of
from policies.fixed import OnlineKernel
from sim.guest.contract import OomKind
from sim.memory.errors import EBUSY, ENOMEM
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP, dynamic_group
from sim.record.recorder import EventKind
from tests.policies.rehearsed import REQUEST, Event, S, rehearsed
from tests.policies.stage import BLOCK, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Policy
    from sim.record.run_result import RunResult

M, N = ZONE_MOVABLE, ZONE_NORMAL
PLUG, UNPLUG, FAILED, OOM = EventKind.PLUG, EventKind.UNPLUG, EventKind.FAILED, EventKind.OOM
KERNEL, FULL = int(OomKind.KERNEL), int(OomKind.GUEST_FULL)
MIXED = (STATIC_GROUP, dynamic_group(2 * BLOCK))


def test_a_trial_has_what_was_decided_and_what_it_was_worth_until_then() -> None:
    """A DIMM of three blocks, two units of two in one instant, and the DIMM's place taken again by the device."""
    result = rehearsed(
        (10, REQUEST, 0, -1, 0, 3 * BLOCK),
        (10, PLUG, 0, 40, 3, M),
        (20, REQUEST, 1, -1, 0, 4 * BLOCK),
        (20, PLUG, 1, 64, 2, N),
        (20, PLUG, 1, 66, 2, M),
        (60, REQUEST, 0, -1, 0, BLOCK),
        groups=MIXED,
    )
    decided = [
        Decision(10 * S, 40, kernel=False),
        Decision(20 * S, 64, kernel=True),
        Decision(20 * S, 66, kernel=False),
    ]
    trial = trial_of(result, decided)
    assert trial.choices == (
        Choice(10 * S, "d0", 3 * BLOCK, kernel=False),
        Choice(20 * S, "d1", 2 * BLOCK, kernel=True),
        Choice(20 * S, "d1", 2 * BLOCK, kernel=False),
    )
    assert trial.kinds == (False, True, False)
    assert trial.before == (0, 30 * S * BLOCK, 30 * S * BLOCK)
    assert trial.worth == (10 * 3 + 40 * 5 + 40 * 3) * S * BLOCK
    assert trial.holds
    assert trial.fails_us == NEVER


@pytest.mark.parametrize(
    "failure",
    [(7, OOM, -1, 0, 1, KERNEL), (7, FAILED, 0, -1, 0, ENOMEM), (7, EventKind.DEATH, -1, -1, 0, FULL)],
)
def test_a_failure_makes_it_worth_nothing_and_tells_what_there_was(
    failure: tuple[float, EventKind, int, int, int, int],
) -> None:
    events = (
        (1, PLUG, 0, 40, 3, N),
        (2, PLUG, 1, 50, 2, M),
        (3, OOM, -1, 0, 1, FULL),
        (4, FAILED, 0, -1, 0, EBUSY),
        (5, FAILED, -1, -1, 0, ENOMEM),
        (6, UNPLUG, 0, 40, 1, N),
        failure,
        (8, PLUG, 0, 60, 1, N),
        (9, OOM, -1, 0, 1, KERNEL),
    )
    trial = trial_of(rehearsed(*events), ())
    assert (trial.holds, trial.fails_us, trial.kernel, trial.worth) == (False, 7 * S, 2 * BLOCK, 0)
    assert trial.rank < trial_of(rehearsed(*events[:6], *events[7:]), ()).rank < trial_of(rehearsed(), ()).rank
    harmless = trial_of(rehearsed(*events[:6]), ())
    assert harmless.holds
    assert harmless.worth == 98 * S * 2 * BLOCK
    assert trial_of(rehearsed(*events, guest=False), ()).holds


def test_what_was_asked_for_is_by_name_and_from_before_a_failure() -> None:
    """What a kernel request fails at has been asked for; of the host, what it asked in that instant before."""
    events = [(1, REQUEST, 0, -1, 0, 500), (2, REQUEST, 1, -1, 0, 700), (2, REQUEST, 0, -1, 0, 0)]
    demand = [(1, 9), (2, 8), (3, 7)]
    requests = (1 * S, "d0", 500), (2 * S, "d1", 700), (2 * S, "d0", 0)
    assert asked_of(rehearsed(*events, demand=demand)) == Asked(requests, ((1 * S, 9), (2 * S, 8), (3 * S, 7)), NEVER)
    events.insert(2, (2, OOM, -1, 0, 1, KERNEL))
    assert asked_of(rehearsed(*events, demand=demand)) == Asked(requests[:2], ((1 * S, 9), (2 * S, 8)), 2 * S)


def test_two_have_begun_alike_as_far_as_both_are_known() -> None:
    one = Asked(((1, "a", 5), (9, "a", 7)), ((2, 5), (9, 6)), 10)
    assert one.begins_like(Asked(((1, "a", 5),), ((2, 5),), 9))
    assert Asked(((1, "a", 5),), ((2, 5),), 9).begins_like(one)
    assert not one.begins_like(Asked(((1, "a", 5),), ((2, 5),), 10))
    assert not one.begins_like(Asked(((1, "b", 5), (9, "a", 7)), ((2, 5), (9, 6)), 10))
    assert not one.begins_like(Asked(((1, "a", 5), (9, "a", 7)), ((2, 4), (9, 6)), 10))


class Machine:
    """Rehearses: asks for a block at each of ``decisions`` seconds, and fails where ``fails`` says of their zones."""

    def __init__(self, decisions: int, fails: str = "", *, reacts: bool = False) -> None:
        self.decisions = decisions
        self.fails = fails
        self.reacts = reacts
        self.played: list[str] = []

    def now(self) -> int:
        return self.second * S

    def rivals(self) -> list[Callable[[], Policy]]:
        return []

    def rehearse(self, policy: Policy, *, brief: bool = False) -> RunResult:
        assert brief
        policy.foresee(self)
        stage, zones = Stage(BLOCK), ""
        events: list[Event] = []
        for second in range(1, self.decisions + 1):
            self.second = second
            zone = policy.zone_for(stage.request(200 + self.second), stage.view)
            zones += "M" if zone == M else "K"
            asked = 2 * BLOCK if self.reacts and "K" in zones else BLOCK
            events += [(self.second, REQUEST, 0, -1, 0, asked), (self.second, PLUG, 0, 200 + self.second, 1, zone)]
            if zones == self.fails:
                events.append((self.second + 0.5, OOM, -1, 0, 1, KERNEL))
                break
        self.played.append(zones)
        return rehearsed(*events, groups=(dynamic_group(BLOCK),))


def script(zones: str) -> tuple[bool, ...]:
    return tuple(zone == "K" for zone in zones)


def test_no_run_is_rehearsed_twice_and_no_more_than_there_may_be() -> None:
    machine = Machine(3)
    trials = Trials(machine, 4)
    assert machine.played == ["MMM"]
    for zones in ("", "M", "MMM", "MMMKK"):
        assert trials(script(zones)) is trials.first
    kmm = trials(script("K"))
    assert kmm is not None
    assert kmm.kinds == (True, False, False)
    assert trials(script("KMMK")) is kmm
    assert trials(script("KKM")) is not None
    assert trials(script("KKK")) is not None
    assert machine.played == ["MMM", "KMM", "KKM", "KKK"]
    assert (trials.left, trials.count) == (0, 4)
    assert trials(script("MKM")) is None
    assert trials(script("KK")) is not None, "what is known is known"
    rival, like = trials.follow(Scripted(script("MKM")))
    assert (rival.choices, like, trials.count) == ((), script("MKM"), 5)
    assert machine.played[4:] == ["MKM"]


def test_what_fails_is_known_to_fail_however_it_would_go_on() -> None:
    machine = Machine(4, fails="MK")
    trials = Trials(machine, 9)
    failed = trials(script("MKMM"))
    assert failed is not None
    assert (failed.holds, failed.kinds, failed.fails_us) == (False, script("MK"), 2.5 * S)
    for zones in ("MK", "MKKK", "MKMK"):
        assert trials(script(zones)) is failed
    assert machine.played == ["MMMM", "MK"]
    assert trials.best is trials.first


def test_of_very_many_decisions_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 9)
    machine = Machine(3)
    trials = Trials(machine, 99)
    for zones in ("KMM", "KKM", "KKK", "KKM", "MMM"):
        trials(script(zones))
    assert machine.played == ["MMM", "KMM", "KKM", "KKK", "MMM"]


def test_that_what_is_asked_for_depends_on_the_zones_is_seen() -> None:
    for reacts in (False, True):
        trials = Trials(Machine(3, reacts=reacts), 9)
        trials(script("MMK"))
        trials.follow(OnlineKernel())
        assert trials.open_loop != reacts


def test_most_is_known_of_the_one_that_fails_last() -> None:
    trials = Trials(Machine(4, fails="MMM"), 9)
    assert trials.asked.until_us == 3.5 * S
    trials(script("K"))
    assert trials.asked.until_us == NEVER
    assert len(trials.asked.requests) == 4
    trials(script("MMM"))
    assert trials.asked.until_us == NEVER


def test_the_end_is_near_where_hardly_more_is_possible() -> None:
    trials = Trials(Machine(2), 9)
    worth = trials.best.worth
    assert worth > 10_000
    for bound, near in ((worth, True), (worth * 500 // 499, True), (worth * 500 // 498, False)):
        assert trials.near(bound) == near
    trials.open_loop = False
    assert not trials.near(worth)
