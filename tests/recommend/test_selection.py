"""Ranking and selection on candidates whose truth is known: how often the pick is right, and what it takes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sim.recommend.contract import Limit, Objective, Selection
from sim.recommend.race import Rules
from sim.recommend.selection import select
from sim.recommend.terms import MOST as MOST_BY_DEFAULT
from sim.recommend.terms import Terms, needed_for
from tests.recommend.synthetic_candidates import FAMILIES, LIMIT, MOST, OBJECTIVE, RULES, Family, Sampler

CONFIDENCE = 0.95


def chosen(rows: object, rules: Rules = RULES, terms: Terms | None = None, population: int | None = None) -> Selection:
    sampler = Sampler(np.asarray(rows, dtype=float), population)
    return select(sampler, [True] * len(sampler.rows), rules, terms, intervals=False)


def rates(family: Family, trials: int) -> tuple[float, float, float]:
    """Return how often the pick was right, how often it kept the limit if there was one, and the runs that it took."""
    right = kept = runs = 0
    for trial in range(trials):
        sampler = Sampler(family.draw(np.random.default_rng(trial)))
        found = select(sampler, [True] * len(family.dies), RULES, Terms(most=MOST), intervals=False)
        sure = found.confidence >= CONFIDENCE
        right += not sure or family.right(found.pick, found.lacks, found.open)
        kept += found.pick is None or not sure or family.dies[found.pick] <= 1 - LIMIT.share
        runs += sampler.runs
    return right / trials, kept / trials, runs / trials


@pytest.mark.parametrize("name", FAMILIES)
def test_the_pick_is_right_as_often_as_is_claimed(name: str) -> None:
    right, kept, _ = rates(FAMILIES[name], 12)
    assert right >= 11 / 12
    assert kept >= 11 / 12


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_pick_is_right_as_often_as_is_claimed_in_a_thousand_trials(name: str) -> None:
    right, kept, runs = rates(FAMILIES[name], 1000)
    print(f"{name}: right {right:.3f}, keeps the limit {kept:.3f}, {runs:.0f} runs")  # noqa: T201
    assert right >= CONFIDENCE
    assert kept >= CONFIDENCE


def test_replications_go_where_they_decide() -> None:
    sampler = Sampler(FAMILIES["a wall"].draw(np.random.default_rng(3)))
    found = select(sampler, [True] * 7, RULES, intervals=False)
    counts = [judged.replications for judged in found.judged]
    assert found.pick in (2, 3)
    # Who always dies, who dies in two of five, and who is far behind, cost little.
    assert counts[6] == 5
    assert counts[5] <= 20
    assert counts[0] <= 40
    assert counts[found.pick] == max(counts)


def test_with_nothing_random_one_replication_decides() -> None:
    rows = [[[0.0, 70.0]], [[0.0, 80.0]], [[1.0, 90.0]]]
    found = chosen(rows, population=1)
    assert (found.pick, found.confidence, found.exhausted, found.lacks) == (1, 1.0, False, 0.0)
    assert [judged.replications for judged in found.judged] == [1, 1, 1]
    assert [judged.limits[0].verdict for judged in found.judged] == ["holds", "holds", "broken"]
    nothing = chosen(rows[2:], population=1)
    assert (nothing.pick, nothing.confidence, nothing.exhausted) == (None, 1.0, False)


def test_all_recordings_played_leave_nothing_to_estimate() -> None:
    rng = np.random.default_rng(5)
    rows = np.zeros((2, 30, 2))
    rows[0, :, 1], rows[1, :, 1] = rng.normal(80, 1, 30), rng.normal(70, 1, 30)
    rows[0, 0, 0] = 1  # 1 of 30 dies, which 95 % allow
    found = chosen(rows, population=30)
    assert (found.pick, found.keeps) == (0, 1.0)
    rows[0, 1, 0] = 1
    assert chosen(rows, population=30).pick == 1


def test_a_budget_that_ends_before_is_told_with_how_sure_it_is() -> None:
    rows = np.zeros((1, MOST, 2))
    rows[..., 1] = 90
    found = chosen(rows, terms=Terms(most=20))
    assert found.pick == 0
    assert found.exhausted
    assert 0 < found.confidence < CONFIDENCE
    assert 1 - found.confidence >= 0.95**20
    # In twenty replications more the evidence is stronger.
    assert chosen(rows, terms=Terms(most=40)).confidence > found.confidence
    # As many as the procedure takes of a pick that never fails, see above.
    assert 100 < needed_for(0, 20, 0.95) + 20 < 150
    assert math.isinf(needed_for(3, 20, 0.95))


def test_no_run_is_made_beyond_the_budget() -> None:
    sampler = Sampler(FAMILIES["a wall"].draw(np.random.default_rng(1)))
    found = select(sampler, [True] * 7, RULES, Terms(budget=60), intervals=False)
    assert sampler.runs <= 60
    assert found.confidence < CONFIDENCE or found.pick is None


def test_a_strict_limit_gets_the_replications_that_it_takes() -> None:
    strict = replace(LIMIT, share=0.99)
    assert Terms().most_of([LIMIT]) == MOST_BY_DEFAULT
    assert 450 < Terms().most_of([strict]) < 1000
    assert Terms(most=50).most_of([strict]) == 50


def test_what_must_always_hold_is_broken_by_one_replication() -> None:
    never = replace(LIMIT, share=1.0)
    rows = np.zeros((2, 800, 2))
    rows[0, :, 1], rows[1, :, 1] = 90, 80
    rows[0, 200, 0] = 1
    found = chosen(rows, Rules(RULES.columns, (never,), OBJECTIVE, 100.0))
    assert found.pick == 1
    assert found.judged[0].limits[0].verdict == "broken"
    assert found.judged[1].limits[0].held == found.judged[1].replications >= 300


def test_less_of_a_score_can_be_better() -> None:
    objective = Objective("return_time", "lower", 5.0)
    rng = np.random.default_rng(8)
    rows = np.zeros((3, MOST, 2))
    for number, mean in enumerate((300, 200, 250)):
        rows[number, :, 1] = rng.normal(mean, 20, MOST)
    assert chosen(rows, Rules(("died", "return_time"), (LIMIT,), objective)).pick == 1


def test_what_failed_to_run_keeps_no_limit() -> None:
    rows = np.full((2, MOST, 2), np.nan)
    rows[1] = (0.0, 50.0)
    assert chosen(rows).pick == 1


def test_several_limits_have_all_to_be_kept() -> None:
    back = Limit("came back at least 80 %", ("returned_share",), "at least", 80.0, 0.9)
    rows = np.zeros((3, MOST, 2))
    rows[0, :, 1], rows[1, :, 1], rows[2, :, 1] = 70, 85, 95
    rows[2, ::4, 0] = 1
    found = chosen(rows, Rules(RULES.columns, (LIMIT, back), OBJECTIVE, 100.0))
    assert found.pick == 1
    assert [limit.verdict for limit in found.judged[0].limits][1] == "broken"
    assert found.judged[2].limits[0].verdict == "broken"


def test_with_no_limit_the_best_is_taken() -> None:
    rows = FAMILIES["a wall"].draw(np.random.default_rng(1))
    rows[:, :, 0] = 0
    rows[..., 1] += 20 * (rows[..., 1] == 0)
    found = chosen(rows[:3], Rules(RULES.columns, (), OBJECTIVE, 100.0))
    assert (found.pick, found.keeps) == (2, 1.0)


def test_what_gives_back_because_less_arrived_is_no_choice() -> None:
    rules = Rules((*RULES.columns, "arrived_share"), (LIMIT,), OBJECTIVE, 100.0)
    rows = np.zeros((2, MOST, 3))
    rows[0] = (0, 100, 20)
    rows[1] = (0, 90, 100)
    found = chosen(rows, rules)
    assert (found.pick, found.left_out) == (1, (0,))
    # A guest that died got less, and that is what its limit is about.
    rows[0] = (0, 95, 100)
    rows[0, 0] = (1, 0, 10)
    assert chosen(rows, rules).left_out == ()


def test_of_candidates_that_are_as_good_the_one_farthest_from_the_wall_is_taken() -> None:
    rules = Rules((*RULES.columns, "headroom_min"), (LIMIT,), OBJECTIVE, 100.0)
    rows = np.zeros((3, MOST, 3))
    rows[..., 1] = np.random.default_rng(1).normal(90, 2, MOST)
    # The second has 0.2 points more than the first and no headroom, the third headroom and 3 points less.
    rows[1, :, 1] += 0.2
    rows[2, :, 1] -= 3
    rows[0, :, 2], rows[1, :, 2], rows[2, :, 2] = 300, 10, 900
    found = chosen(rows, rules)
    assert (found.pick, found.exhausted, found.lacks) == (0, False, 1.0)


def test_what_is_no_choice_is_run_and_not_picked() -> None:
    rows = np.zeros((2, MOST, 2))
    rows[0, :, 1], rows[1, :, 1] = 90, 99
    sampler = Sampler(rows)
    found = select(sampler, [True, False], RULES, intervals=False)
    assert found.pick == 0
    assert 1 < found.judged[1].replications <= 20
    assert select(sampler, [False, False], RULES, intervals=False).pick is None


def test_candidates_that_are_added_are_looked_at_as_all_others_before_the_order_is_fixed() -> None:
    rows = FAMILIES["a wall"].draw(np.random.default_rng(1))
    asked = []

    def more(judged: object) -> list[bool]:
        asked.append(judged)
        return [True, True] if len(asked) == 1 else []

    found = select(Sampler(rows), [True] * 2, RULES, refine=more, intervals=False)
    assert len(asked) == 2
    assert found.pick in (2, 3)
    assert all(each.limits[0].verdict == "holds" for each in asked[0])  # type: ignore[attr-defined]


def test_of_candidates_that_do_the_same_one_stands_for_all() -> None:
    rng = np.random.default_rng(8)
    rows = np.zeros((5, 400, 2))
    rows[4, :, 1] = rng.uniform(0, 75, 400)  # how far apart candidates can be
    rows[0, :, 1] = rng.normal(80, 3, 400)
    rows[1:3, :, 1] = rows[0, :, 1]
    rows[3, :, 1] = rows[0, :, 1]
    rows[3, 30, 1] -= 1e-6  # not quite the same, once
    sampler = Sampler(rows)
    found = select(sampler, [True] * 5, RULES, guard=lambda number: (300, 100, 200, 400, 0)[number], intervals=False)
    assert found.twins == {2: 1, 0: 1}
    assert found.pick == 1
    assert [found.judged[number].replications for number in (0, 2)] == [40, 40]
    assert found.judged[3].replications > 40


def test_few_replications_do_not_show_that_candidates_do_the_same() -> None:
    rows = np.zeros((2, 60, 2))
    rows[:, :, 1] = np.random.default_rng(9).normal(80, 3, 60)
    assert chosen(rows, terms=Terms(most=60)).twins == {}


def near_the_limit(dies: float, count: int = 1600) -> np.ndarray:
    """Return two candidates: one that dies in a share of replications, evenly, and one that dies a little more."""
    rows = np.zeros((2, count, 2))
    for number, share in enumerate((dies, 0.048)):
        rows[number, :, 0] = np.diff(np.floor(np.arange(count + 1) * share)) > 0
        rows[number, :, 1] = 80.0 + number
    return rows


def test_one_candidate_gets_more_replications_where_none_has_passed() -> None:
    found = chosen(near_the_limit(0.027))
    assert (found.pick, found.confidence >= CONFIDENCE) == (0, True)
    assert MOST_BY_DEFAULT < found.judged[0].replications < 1500
    assert found.judged[1].replications <= MOST_BY_DEFAULT
    said = chosen(near_the_limit(0.027), terms=Terms(most=MOST_BY_DEFAULT))
    assert said.confidence < CONFIDENCE


def test_one_that_is_better_than_the_pick_gets_the_replications_that_tell_whether_it_keeps_the_limit() -> None:
    surely = np.zeros((1, 1600, 2))
    surely[0, :, 1] = 70.0
    # Dying in 2.7 % and in 9 %, against 5 % that are allowed: neither is told from that by 400 replications.
    rows = np.concatenate([surely, near_the_limit(0.027), near_the_limit(0.085)[:1]])[[0, 1, 3]]
    found = chosen(rows)
    assert (found.pick, found.open, found.confidence >= CONFIDENCE) == (1, (), True)
    assert MOST_BY_DEFAULT < found.judged[1].replications < 1500
    assert found.judged[0].replications <= MOST_BY_DEFAULT
    # What makes hardly a difference is not worth them.
    rows[0, :, 1] = 79.5
    found = chosen(rows)
    assert found.pick == 0
    assert max(each.replications for each in found.judged) <= MOST_BY_DEFAULT
    # Nor does anybody get them where it was said how many there may be.
    rows[0, :, 1] = 70.0
    assert chosen(rows, terms=Terms(most=MOST_BY_DEFAULT)).pick == 0


def test_where_none_is_certain_the_one_that_breaks_limits_least_is_told() -> None:
    rows = near_the_limit(0.03)
    found = chosen(rows, terms=Terms(most=200))
    assert (found.pick, found.exhausted) == (0, True)
    assert chosen(rows[::-1], terms=Terms(most=200)).pick == 1


def test_where_nothing_is_shown_of_anyone_the_best_is_told_and_not_the_best_at_first_sight() -> None:
    back = np.array([[90.0] + [80.0] * 5, [85.0] + [95.0] * 5])
    found = chosen(np.stack([np.zeros((2, 6)), back], axis=-1), terms=Terms(most=6))
    assert (found.pick, found.exhausted) == (1, True)
    assert found.confidence < 0.5


def test_an_objective_that_is_undefined_at_first_does_not_settle_anything() -> None:
    rows = np.zeros((3, 400, 2))
    rows[:, :, 1] = np.array([90.0, 60.0, 70.0])[:, None] + np.random.default_rng(4).normal(0, 1, (3, 400))
    rows[0, :3, 1] = math.nan  # the best was not asked for anything in the first
    found = chosen(rows)
    assert found.pick == 0
    rows[0, :, 1] = math.nan  # and never
    found = chosen(rows)
    assert found.pick == 2
    assert found.judged[0].replications == 10


def test_of_equals_the_one_that_keeps_to_least_is_followed() -> None:
    rows = np.zeros((3, 400, 2))
    rows[:, :, 1] = 100.0
    found = select(Sampler(rows), [True] * 3, RULES, guard=lambda number: (math.inf, 800, 1600)[number])
    assert found.pick == 1


def test_no_more_recordings_are_asked_for_than_there_are() -> None:
    rows = np.zeros((2, 200, 2))
    rows[:, ::10, 0] = 1  # a tenth dies with one, which breaks the limit, and one in thirty with the other
    rows[0, :, 0] = 0
    rows[0, ::30, 0] = 1
    found = chosen(rows, population=60)
    assert max(judged.replications for judged in found.judged) <= 60
