"""The search on machines that are made up: all of a tree, and more than can be tried."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from policies.clairvoyant.local import Cut, climb
from policies.clairvoyant.search import find_best
from policies.clairvoyant.tree import Tree
from policies.clairvoyant.trials import Trials
from sim.guest.contract import OomKind
from sim.memory.zones import ZONE_MOVABLE
from sim.record.device_group import dynamic_group
from sim.record.recorder import EventKind
from tests.policies.rehearsed import REQUEST, Event, S, rehearsed
from tests.policies.stage import BLOCK, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.contract import Policy
    from sim.record.run_result import RunResult

Kinds = tuple[bool, ...]


class Machine:
    """Plugs a block a second, and fails right after a decision if ``fails`` of all so far says so.

    ``reacts``: the host asks for a block more once there is kernel memory.
    """

    def __init__(self, decisions: int, fails: Callable[[Kinds], bool], *, reacts: bool = False) -> None:
        self.decisions = decisions
        self.fails = fails
        self.reacts = reacts
        self.count = 0

    def now(self) -> int:
        return self.second * S

    def rivals(self) -> list[Callable[[], Policy]]:
        return []

    def rehearse(self, policy: Policy, *, brief: bool = False) -> RunResult:
        assert brief
        self.count += 1
        policy.foresee(self)
        stage = Stage(BLOCK)
        kinds: Kinds = ()
        events: list[Event] = []
        for second in range(1, self.decisions + 1):
            self.second = second
            zone = policy.zone_for(stage.request(200 + self.second), stage.view)
            kinds = (*kinds, zone != ZONE_MOVABLE)
            more = self.reacts and any(kinds)
            events.append((self.second, REQUEST, 0, -1, 0, (self.second + more) * BLOCK))
            events.append((self.second, EventKind.PLUG, 0, 200 + self.second, 1, zone))
            if self.fails(kinds):
                events.append((self.second + 0.5, EventKind.OOM, -1, 0, 1, int(OomKind.KERNEL)))
                break
        return rehearsed(*events, groups=(dynamic_group(BLOCK),))


def best_of_all(machine: Machine) -> int:
    trials = Trials(machine, 1 << machine.decisions)
    found = [trials(kinds) for kinds in itertools.product((False, True), repeat=machine.decisions)]
    return max(trial.worth for trial in found if trial is not None)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("reacts", [False, True])
def test_a_tree_that_is_searched_whole_has_the_best(seed: int, reacts: bool) -> None:  # noqa: FBT001
    """Beginnings fail at random; nothing else is known of them."""
    rng = random.Random(seed)  # noqa: S311
    every = [kinds for n in range(1, 6) for kinds in itertools.product((False, True), repeat=n)]
    failing = set(rng.sample(every, rng.choice((0, 3, 8, 20))))
    machine = Machine(5, failing.__contains__, reacts=reacts)
    best = best_of_all(machine)
    machine.count = 0
    trials = Trials(machine, 32)
    outcome = find_best(trials, [])
    assert trials.best.worth == best
    assert outcome == (True, best)
    assert machine.count <= 32


def test_bounds_rule_out_what_cannot_be_better_only_where_they_hold() -> None:
    """All MOVABLE is best; where the host asks for more because of kernel memory, that has to be tried."""
    for reacts, rehearsals in ((False, 1), (True, 32)):
        machine = Machine(5, lambda _: False, reacts=reacts)
        trials = Trials(machine, 32)
        trials((True,))
        before = machine.count
        root = trials.first
        outcome = Tree(trials, root).search(whole=True)
        assert outcome.proved
        assert machine.count - before == (0 if rehearsals == 1 else 30)


def needs(least: dict[int, int]) -> Callable[[Kinds], bool]:
    """Say that it fails at a decision (from 1) without so many for kernel memory by then."""
    return lambda kinds: sum(kinds) < least.get(len(kinds), 0)


def test_more_decisions_than_can_be_tried_are_searched_and_the_gap_is_told() -> None:
    """Twenty decisions; three for kernel memory by the 9th and five by the 17th, as late as possible."""
    machine = Machine(20, needs({9: 3, 17: 5}))
    trials = Trials(machine, 60)
    outcome = find_best(trials, [])
    assert [n for n, kernel in enumerate(trials.best.kinds, 1) if kernel] == [7, 8, 9, 16, 17]
    assert outcome.bound is not None
    assert outcome.bound >= trials.best.worth
    assert not outcome.proved
    assert trials.left >= 0
    assert machine.count == trials.count <= 60


def test_neighbours_lead_from_what_holds_to_what_is_best_and_what_fails_is_a_cut() -> None:
    machine = Machine(12, needs({6: 2}))
    trials = Trials(machine, 99)
    start = trials((True, True, True, *(False,) * 4, True))
    assert start is not None
    cuts: list[Cut] = []
    end = climb(trials, start, cuts, 50)
    assert end.kinds == (False,) * 4 + (True, True) + (False,) * 6
    assert Cut(round(6.5 * S), BLOCK) in cuts
    count = trials.count
    assert climb(trials, end, cuts, 50) is end
    assert trials.count == count, "cuts say what would fail"
    assert climb(trials, start, [], 0) is start


def test_a_machine_on_which_nothing_holds_is_proved_to_be_one() -> None:
    trials = Trials(Machine(4, lambda kinds: len(kinds) == 4), 40)
    assert find_best(trials, []) == (True, 0)
