from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sim.experiment import build
from sim.experiment.load import load
from sim.experiment.plan import Cell
from sim.experiment.settings import Conditions, PluginSettings, TogetherSettings
from sim.recommend.candidates import space
from sim.recommend.changes import CHANGES, CannotBeSaidError, Change, changed
from sim.recommend.contract import Judged, Limit, LimitFound, Objective
from sim.recommend.race import Rules
from sim.recommend.sensitivity import Held, Picked, in_all, sensitivity
from sim.scores.registry import compute_scores
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.experiment.plan import Combination
    from sim.recommend.candidates import Space

PACE, KERNEL, BOOT = CHANGES
GROW = {"name": "grow-and-return", "label": "grow", "size": "512MiB", "duration": 2200.0}
RULES = Rules(
    ("died", "returned_share"),
    (Limit("no death in 80 %", ("died",), "at most", 0.0, 0.8),),
    Objective("returned_share", "higher", 0.01),
)


def scenario(**differs: Any) -> Space:  # noqa: ANN401  whatever TOML can hold
    tables = {
        "machines": [{"label": "vm", "boot_memory": "2GiB"}],
        "policies": [{"name": "contig-zones"}],
        "workloads": [GROW],
        "guest": {"model": "linux"},
        **differs,
    }
    experiment = load(tables)
    return space(experiment, "vm", experiment.workloads[0])


class Made:
    """Rows of combinations: ``died`` as ``dies`` says, and the more came back the lower the ratio."""

    def __init__(self, dies: Callable[[int, Combination, int], bool]) -> None:
        self.dies = dies
        self.asked: list[list[Combination]] = []

    def __call__(self, combinations: Sequence[Combination]) -> _Rows:
        self.asked.append(list(combinations))
        return _Rows(self.dies, combinations)


class _Rows:
    def __init__(self, dies: Callable[[int, Combination, int], bool], combinations: Sequence[Combination]) -> None:
        self._dies, self._combinations = dies, combinations

    def sample(self, wanted: Mapping[int, range]) -> Mapping[int, np.ndarray[Any, Any]]:
        return {
            number: np.array([self._row(self._combinations[number], replication) for replication in replications])
            for number, replications in wanted.items()
        }

    def _row(self, combination: Combination, replication: int) -> tuple[float, float]:
        ratio = combination.policy.parameters.get("ratio", 0)
        harder = combination.conditions is not None
        return float(self._dies(ratio, combination, replication)), 1.0 - ratio / 10_000 - 0.01 * harder


def picked(found: Space, ratio: int) -> Picked:
    numbers = [each.policy.parameters.get("ratio") for each in found.candidates]
    judged = [Judged(number, (), 10, 1 - (each or 0) / 10_000) for number, each in enumerate(numbers)]
    return Picked(found, found.candidates, judged, numbers.index(ratio))


def held_out(found: Space, run: Made, replications: int, changes: Sequence[Change] = CHANGES) -> tuple[Held, ...]:
    """Return how ratio 200 holds out."""
    pick = picked(found, 200)
    plainly = run([found.combination(pick.tried[pick.pick])]).sample({0: range(replications)})[0]
    return sensitivity(pick, RULES, run, plainly, changes)


def test_a_pick_that_holds_out_says_what_becomes_of_its_objective() -> None:
    made = Made(lambda ratio, combination, replication: False)  # noqa: ARG005  as the caller has it
    held = held_out(scenario(), made, 10, [KERNEL])[0]
    assert (held.said, held.holds, held.failed, held.replications, held.instead) == (True, True, 0, 10, None)
    assert held.sentence == (
        "With the kernel's memory growing twice as large the pick holds; came back: 0.97 % instead of 0.98 %."
    )


def test_a_pick_that_fails_names_the_nearest_that_would_hold() -> None:
    made = Made(lambda ratio, combination, replication: bool(combination.conditions) and ratio > 60 and replication < 3)
    held = held_out(scenario(), made, 10, [KERNEL])[0]
    assert (held.holds, held.failed, held.instead) == (False, 3, "auto-movable, ratio 50")
    assert held.sentence == (
        "With the kernel's memory growing twice as large the pick breaks a limit in 3 of 10 replications (30 %);"
        " auto-movable, ratio 50 would hold."
    )
    assert [each.policy.parameters.get("ratio") for each in made.asked[1]][:5] == [200, 100, 301, 50, 400]


def test_a_pick_that_is_in_no_range_is_replaced_by_others_that_are_not_as_good() -> None:
    found = scenario()
    kept = LimitFound(9, 9, 0.9, 1, "open")
    means = {
        "contig-zones": 0.5,
        "online-movable": 1.0,
        **{f"auto-movable, ratio {ratio}": 1.0 for ratio in (3200, 6400)},
    }
    judged = [
        Judged(number, (kept,), 9, means.get(each.label, 0.6 + each.policy.parameters.get("ratio", 0) / 1e4))
        for number, each in enumerate(found.candidates)
    ]
    pick = next(number for number, each in enumerate(found.candidates) if each.label == "online-movable")
    order = Picked(found, found.candidates, judged, pick).instead(RULES.objective)
    assert [found.candidates[number].label for number in order][:2] == [
        "auto-movable, ratio 1600",
        "auto-movable, ratio 800",
    ]
    broken = [Judged(each.candidate, (LimitFound(0, 9, 0, 0.1, "broken"),), 9, each.mean) for each in judged]
    assert Picked(found, found.candidates, broken, pick).instead(RULES.objective) == []


def test_as_often_as_a_limit_allows_is_no_failure() -> None:
    made = Made(lambda ratio, combination, replication: bool(combination.conditions) and replication < 2)  # noqa: ARG005
    held = held_out(scenario(), made, 10, [KERNEL])[0]
    assert held.holds
    assert "breaks a limit in 2 of 10 replications, as often as it may" in held.sentence


def test_of_those_that_do_not_hold_instead_no_more_is_run_than_shows_it() -> None:
    run: list[tuple[int, int]] = []

    def dies(ratio: int, combination: Combination, replication: int) -> bool:
        run.append((ratio, replication))
        fails_late = ratio == 100 and replication in (13, 14, 16, 17, 18, 22, 29)
        return bool(combination.conditions) and (ratio > 100 or fails_late)

    held = held_out(scenario(), Made(dies), 30, [KERNEL])[0]
    assert held.instead == "auto-movable, ratio 50"
    counts = {ratio: sum(each == ratio for each, _ in run) for ratio in (200, 100, 301, 50)}
    # Of 30 up to 6 may die. What breaks a limit in each is seen after 15, as 7 have died; what does late, at the end.
    assert counts == {200: 60, 100: 30, 301: 15, 50: 30}


def test_where_nobody_near_holds_that_is_said() -> None:
    made = Made(lambda ratio, combination, replication: bool(combination.conditions))  # noqa: ARG005  as above
    held = held_out(scenario(), made, 10, [KERNEL])[0]
    assert held.instead is None
    assert held.sentence.endswith("(100 %); none of 6 other candidates would hold.")


def test_a_replication_that_failed_to_run_breaks_every_limit() -> None:
    rows = np.array([[0.0, 1.0], [np.nan, np.nan], [np.nan, 1.0]])
    assert RULES.breaks(RULES.limits[0], rows).tolist() == [False, True, False]


def test_what_changes_nothing_is_said_so() -> None:
    found = scenario()

    class Same(Made):
        def __call__(self, combinations: Sequence[Combination]) -> _Rows:
            return _Rows(self.dies, [found.base for _ in combinations])

    held = held_out(found, Same(lambda *_: False), 4, [KERNEL])[0]
    assert not held.said
    assert "all scores stay the same" in held.sentence


def test_changes_that_mean_nothing_here_are_answers() -> None:
    steps = {"name": "steps", "label": "plug", "steps": ["plug dimm:128MiB"]}
    found = scenario(workloads=[steps], guest={"model": "none"})
    told = [each.sentence for each in held_out(found, Made(lambda *_: False), 2)]
    assert told == [
        "What plugging twice as fast would do cannot be said: what that means is not known of the workload plug.",
        "What the kernel's memory growing twice as large would do cannot be said: no guest is modelled.",
        "What half of what is free after boot taken by the kernel would do cannot be said: no guest is modelled.",
    ]


def test_a_faster_scenario_is_one_of_its_own_and_leaves_the_policy_and_the_machine() -> None:
    found = scenario()
    base = found.base
    faster = changed(base, PACE, found.folder)
    assert isinstance(faster.workload, PluginSettings)
    assert faster.workload.label == "grow, plugged twice as fast"
    assert faster.workload.parameters["pace"] == 32 << 20
    assert (faster.machine, faster.policy, faster.conditions) == (base.machine, base.policy, None)
    needy = changed(base, KERNEL, found.folder)
    assert needy.conditions == Conditions(kernel=2.0)
    assert len({base.digest(), faster.digest(), needy.digest(), changed(base, BOOT, found.folder).digest()}) == 4


def test_of_several_together_those_that_plug_are_faster() -> None:
    load_part = {"name": "guest-load", "label": "programs", "duration": 600}
    slots = {"name": "dimm-slots", "label": "slots", "sizes": ["128MiB"], "slots": 2, "duration": 600}
    found = scenario(workloads=[{"label": "both", "together": [slots, load_part]}])
    faster = changed(found.base, PACE, found.folder)
    assert isinstance(faster.workload, TogetherSettings)
    assert [part.parameters.get("interval") for part in faster.workload.together] == [30.0, 1.0]


def test_where_nothing_is_plugged_no_pace_can_be_said() -> None:
    found = scenario(workloads=[{"name": "guest-load", "label": "programs", "duration": 60}])
    with pytest.raises(CannotBeSaidError, match="nothing is plugged"):
        changed(found.base, PACE, found.folder)


def test_a_pace_that_the_workload_refuses_is_told() -> None:
    found = scenario()
    with pytest.raises(CannotBeSaidError, match=r"the workload cannot be made so \(grow.pace: must be at most 64TiB"):
        changed(found.base, Change("plugging a thousand million times as fast", "fast", pace=1e9), found.folder)


def test_the_kernel_that_takes_twice_as_much_leaves_less() -> None:
    found = scenario(workloads=[{**GROW, "kernel": "256MiB", "kernel_rate": "16MiB", "user": "64MiB"}])
    left = []
    for combination in (found.base, changed(found.base, KERNEL, found.folder), changed(found.base, BOOT, found.folder)):
        run = build.simulation(Cell(combination, 1, 0, "."))()
        left.append(compute_scores(run)["headroom_min"] / MIB)
    assert left[0] - left[1] == pytest.approx(256, abs=16)
    assert left[0] - left[2] > 500


def test_what_breaks_a_limit_as_often_without_a_change_is_not_put_down_to_it() -> None:
    always = Made(lambda ratio, combination, replication: replication < 3)  # noqa: ARG005  as the caller has it
    held = held_out(scenario(), always, 10, [KERNEL])[0]
    assert (held.holds, held.failed, held.instead) == (True, 3, None)
    assert "breaks a limit in 3 of 10 replications, no more often than without (3)" in held.sentence
    more = Made(lambda ratio, combination, replication: replication < 3 + 2 * bool(combination.conditions))  # noqa: ARG005
    held = held_out(scenario(), more, 10, [KERNEL])[0]
    assert not held.holds
    assert "breaks a limit in 5 of 10 replications (50 %), without in 3;" in held.sentence


def test_one_setting_for_several_scenarios_holds_where_it_holds_in_each() -> None:
    holds = Held("luck", "", replications=30)
    breaks = Held("luck", "", failed=4, replications=30, holds=False)
    same = Held("luck", "With luck all scores stay the same: nothing here depends on it.", said=False)
    never = Held("luck", "What luck would do cannot be said: no guest is modelled.", said=False)
    told = {
        "With luck it holds in all scenarios.": (holds, holds),
        "With luck it holds in those where that changes anything: a.": (holds, never),
        "With luck it breaks a limit in b (4 of 30); another one for all of them was not tried.": (holds, breaks),
        same.sentence: (same, same),
        "With luck nothing is otherwise, or nothing can be said.": (same, never),
    }
    for sentence, (one, other) in told.items():
        (found,) = in_all({"a": [one], "b": [other]})
        assert found.sentence == sentence
        assert (found.holds, found.said) == (breaks not in (one, other), one.said or other.said)


def test_without_others_none_is_tried_instead() -> None:
    made = Made(lambda ratio, combination, replication: bool(combination.conditions))  # noqa: ARG005  as above
    pick = picked(scenario(), 200)
    plainly = made([pick.found.combination(pick.tried[pick.pick])]).sample({0: range(10)})[0]
    held = sensitivity(pick, RULES, made, plainly, [KERNEL], others=False)[0]
    assert not held.holds
    assert [len(each) for each in made.asked] == [1, 1]
