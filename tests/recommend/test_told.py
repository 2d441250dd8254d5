"""What is told of a recommendation: no more than what was run shows."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from sim.experiment.settings import PluginSettings
from sim.recommend.contract import Candidate, Judged, Limit, LimitFound, Objective, Selection
from sim.recommend.race import Rules
from sim.recommend.sampler import TogetherSampler
from sim.recommend.seen import Seen, front, over_all
from sim.recommend.selection import select
from sim.recommend.told import answer, certainty, costs, gives_up, not_run, undefined
from sim.scores.failures import FAILING
from sim.units import MIB
from tests.recommend.synthetic_candidates import Sampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

SETTINGS = PluginSettings("contig-zones", "contig-zones", "", {})
COLUMNS = (*FAILING, "returned_share", "headroom_min")


def seen(means: list[float], replications: int, *, share: float = 0.95, population: int | None = None) -> Seen:
    """Return a scenario in which nobody dies and candidates give back so many percent."""
    limits = (Limit("no death", ("died",), "at most", 0.0, share),)
    rows = np.zeros((len(means), replications, len(COLUMNS)))
    rows[..., len(FAILING)] = np.array(means)[:, np.newaxis] + np.random.default_rng(1).normal(0, 4, rows.shape[:2])
    objective = Objective("returned_share", "higher", 1.0)
    found = select(Sampler(rows, population), [True] * len(means), Rules(COLUMNS, limits, objective, 100.0))
    candidates = [Candidate(f"policy {back:g}", SETTINGS) for back in means]
    had = [rows[number, : each.replications] for number, each in enumerate(found.judged)]
    return Seen(candidates, [True] * len(means), COLUMNS, had, limits, objective, found, population)


def test_recordings_that_were_not_all_played_leave_an_estimate() -> None:
    all_played = seen([84, 85], 30, population=30)
    assert answer(all_played, 0.95).endswith("All 30 recordings were played, so this is no estimate.")
    assert certainty(all_played, 0.95)[0] == "no death: held in 30 of 30 replications."
    some = seen([80, 85], 400, population=400)
    assert some.selection.judged[1].replications < 400
    assert "With 95 % confidence it keeps the limits" in answer(some, 0.95)
    assert "(95 %: " in certainty(some, 0.95)[0]


def test_where_only_the_pick_was_played_in_full_only_its_limits_are_no_estimate() -> None:
    told = answer(seen([50, 90], 100, population=100), 0.95)
    assert "All 100 recordings were played with it, so it is no estimate that it keeps the limits." in told
    assert told.endswith("With 95 % confidence no other choice that does is better by more than 1 percentage point.")


def test_what_must_always_hold_is_told_as_far_as_it_is_shown() -> None:
    told = answer(seen([80, 85], 800, share=1.0), 0.95)
    assert "it keeps the limits, what must always hold in 99 % of replications at least, and no other" in told
    assert "at least" not in answer(seen([80, 85], 800, share=0.99), 0.95)


@pytest.mark.parametrize("start", [0, 2, 5])
def test_recordings_that_have_run_out_begin_again_where_other_scenarios_go_on(start: int) -> None:
    rows = np.arange(3.0).reshape(1, 3, 1), 10 + np.arange(8.0).reshape(1, 8, 1)
    for population in (None, 8):
        together = TogetherSampler([Sampler(rows[0], 3), Sampler(rows[1], population)], [0, 1])  # type: ignore[list-item]
        together.add([[0, 0]])
        found = together.sample({0: range(start, 8)})[0]
        assert found[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1][start:]
        assert found[:, 1].tolist() == [10, 11, 12, 13, 14, 15, 16, 17][start:]
        # As many as give each recording of both the same weight.
        assert together.population == (None if population is None else 24)
    whole = over_all([rows[0][0], rows[1][0]], ["returned_share"])
    assert whole[:, 0].tolist() == [5, 6, 7, 6.5, 7.5, 8.5, 8, 9]


def picked(
    rows: Sequence[FloatArray], *, better: Literal["higher", "lower"] = "higher", left: Sequence[int] = ()
) -> Seen:
    """Return a scenario in which the first candidate was picked, with rows of died, Came back and headroom."""
    full = []
    for each in rows:
        wide = np.zeros((len(each), len(COLUMNS)))
        wide[:, COLUMNS.index("died")], wide[:, -2:] = each[:, 0], each[:, 1:]
        full.append(wide)
    limit = Limit("no death in 95 % of replications", ("died",), "at most", 0.0, 0.95)
    judged = []
    for number, each in enumerate(rows):
        held = len(each) - int(each[:, 0].sum())
        judged.append(Judged(number, (LimitFound(held, len(each), 0.5, 1.0, "open"),), len(each), each[:, 1].mean()))
    candidates = [Candidate(f"policy {number}", SETTINGS) for number in range(len(rows))]
    found = Selection(judged, 0, 0.95, 0.97, 1.0, open=tuple(left))
    objective = Objective("returned_share", better, 1.0)
    return Seen(candidates, [True] * len(rows), COLUMNS, full, (limit,), objective, found, None)


def test_candidates_are_held_against_each_other_in_the_replications_that_both_have() -> None:
    # The first two replications have much headroom, whoever is chosen: the second candidate was given up after them.
    pick = np.array([[0, 90, 900], [0, 90, 900], [0, 90, 100], [0, 90, 100]]) * [1, 1, MIB]
    other = np.array([[0, 90.5, 800], [0, 90.5, 800]]) * [1, 1, MIB]
    assert gives_up(picked([pick, other])) == ["Nothing: no other candidate has more of 'Came back' or more headroom."]
    assert front(picked([pick, other])) == [0, 1]
    other[:, 1:] = [90.5, 950 * MIB]
    assert front(picked([pick, other])) == [1]
    assert gives_up(picked([pick, other])) == [
        (
            "policy 1: most headroom, 950 MiB at its least instead of 900 MiB (means of 2 replications), and 0.5"
            " percentage points more of 'Came back'."
        )
    ]
    other[0, 0], other[:, 1] = 1, 80
    assert gives_up(picked([pick, other])) == [
        (
            "policy 1: most headroom, 950 MiB at its least instead of 900 MiB (means of 2 replications), for 10"
            " percentage points less of 'Came back', and fails in 1 of 2 replications."
        )
    ]


def test_what_is_given_up_says_nothing_of_a_score_that_is_undefined_in_all_shared_replications() -> None:
    pick, other = np.array([[0, math.nan, 900.0], [0, 90, 900.0]]), np.array([[0, math.nan, 950.0]])
    (told,) = gives_up(picked([pick * [1, 1, MIB], other * [1, 1, MIB]]))
    assert told == "policy 1: most headroom, 950 MiB at its least instead of 900 MiB (means of 1 replication)."


def test_where_less_is_better_others_are_told_to_have_less() -> None:
    pick, other = np.array([[0, 50, 900.0]] * 4), np.array([[0, 40, 800.0]] * 3)
    assert gives_up(picked([pick, other], better="lower")) == ["policy 1: 10 percentage points less of 'Came back'."]


def test_the_answer_tells_of_those_that_its_promise_leaves_out() -> None:
    rows = [np.array([[0, 90, 900.0]] * 4)] * 3
    told = answer(picked(rows, left=(1, 2)), 0.95)
    assert told.endswith("by more than 1 percentage point, unless it is one of 2 too near to a limit to tell.")


def test_runs_that_failed_are_told_to_be_no_more_than_that() -> None:
    rows = [np.array([[0, 90, 900.0]] * 4), np.array([[0, 80, 900.0]] * 4)]
    some = picked(rows)
    assert not_run(some) == []
    some.rows[1][:3] = np.nan
    assert not_run(some) == ["3 runs of 8 failed and left nothing, which breaks every limit"]
    none = replace(picked(rows), selection=replace(some.selection, pick=None))
    assert "Nothing satisfies" in answer(none, 0.95)
    assert costs(none)
    assert undefined(none) == []
    for each in none.rows:
        each[:] = np.nan
    assert answer(none, 0.95) == "Nothing can be said: no run came to its end."
    assert (costs(none), undefined(none)) == ([], [])


def test_what_is_no_better_at_all_is_told_without_an_amount() -> None:
    rows = [np.array([[0, 90, 900.0]] * 4)] * 2
    some = picked(rows, left=[1])
    some = replace(some, selection=replace(some.selection, lacks=0.0))
    assert answer(some, 0.95).endswith(
        "no other choice that does is better, unless it is the one that is too near to a limit to tell."
    )
    assert "policy 1 (held in 4 of 4, as good)" in " ".join(certainty(some, 0.95))


def test_a_confidence_that_is_hardly_any_is_not_told_as_a_number() -> None:
    few = seen([80], 8)
    assert few.selection.confidence < 0.5
    assert "Not certain yet (far from 95 % confidence): it keeps the limits." in answer(few, 0.95)
    some = seen([80], 45)
    assert 0.5 < some.selection.confidence < 0.99
    assert re.search(r"Not certain yet \(\d\d(\.\d)? % confidence, not 99 %\)", answer(some, 0.99))


def test_those_of_whom_the_objective_is_undefined_are_told_to_be_not_ranked() -> None:
    some = seen([80, 70], 400)
    some.rows[1][:, COLUMNS.index("returned_share")] = np.nan
    words = " ".join(certainty(some, 0.95))
    assert "Not ranked, as 'Came back' is undefined (nothing was asked back): policy 70." in words
    assert "Not ranked" not in " ".join(certainty(seen([80, 70], 400), 0.95))
    told = answer(some, 0.95)
    assert told.endswith(
        " 1 choice, with which 'Came back' is undefined (nothing was asked back), counts as no better."
    )
    assert "no better." not in answer(seen([80, 70], 400), 0.95)


def test_where_nothing_is_random_the_answer_tells_of_those_that_are_not_ranked_too() -> None:
    for population, count in ((1, 1), (6, 6)):
        some = seen([80, 70, 60], count, population=population)
        for each in (1, 2):
            some.rows[each][:, COLUMNS.index("returned_share")] = np.nan
        assert answer(some, 0.95).endswith(
            " 2 choices, with which 'Came back' is undefined (nothing was asked back), count as no better."
        )


def test_the_worst_replication_is_of_scores_that_are_a_least_or_a_most() -> None:
    found = seen([3.0, 1.0], 4)
    place = list(found.columns).index("headroom_min")
    assert found.worst(0, "headroom_min") == found.rows[0][:, place].min()
    assert math.isnan(found.worst(0, "returned_share"))
