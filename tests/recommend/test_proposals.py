from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment.settings import PluginSettings
from sim.plugins.parameter_search import Between, OneOf
from sim.plugins.parameter_types import Number, Whole
from sim.plugins.parameters import Parameter
from sim.recommend import grid, proposals
from sim.recommend.axes import Axis
from sim.recommend.candidates import refine
from sim.recommend.contract import Candidate, Judged, LimitFound, Objective
from sim.recommend.proposals import AT_A_TIME, propose
from tests.recommend.test_candidates import made

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("optuna")
HIGHER = Objective("came_back", "higher", 0.01)
LOWER = Objective("not_given_end", "lower", 0.01)


def axis(name: str, of: Any, search: Any) -> Axis:  # noqa: ANN401  types and searches
    return Axis(Parameter(name, of, "", None, required=True), search, search.first(of))


AXES = (
    axis("reserve", Whole(1, 10_000), Between(10, 10_000, spacing="geometric")),
    axis("share", Number(0, 1), Between(0.0, 1.0)),
)


def searched(rounds: int, objective: Objective, mean: Callable[[float, float], float]) -> list[tuple[float, float]]:
    """Return what has been tried after so many rounds, from a coarse grid on."""
    values: list[tuple[float, float]] = [(reserve, share) for reserve in (10, 320, 10_000) for share in (0.0, 0.5, 1.0)]
    for _ in range(rounds):
        tried = [candidate(*each) for each in values]
        found = {place: Judged(place, (), 10, mean(*each)) for place, each in enumerate(values)}
        values += [(each["reserve"], each["share"]) for each in propose(AXES, tried, found, objective, 7)]
    return values


def candidate(reserve: float, share: float) -> Candidate:
    values = {"reserve": reserve, "share": share}
    return Candidate("", PluginSettings("", "mine", "", values), {}, values)


@pytest.mark.parametrize("objective", [HIGHER, LOWER])
def test_proposals_come_near_the_best_of_two_ranges(objective: Objective) -> None:
    sign = 1 if objective.better == "higher" else -1
    tried = searched(12, objective, lambda reserve, share: -sign * (abs(reserve - 1500) / 1500 + abs(share - 0.7)))
    best = min(abs(reserve - 1500) / 1500 + abs(share - 0.7) for reserve, share in tried)
    at_first = min(abs(reserve - 1500) / 1500 + abs(share - 0.7) for reserve, share in tried[:9])
    assert len(tried) == 9 + 12 * AT_A_TIME
    assert best < 0.25
    assert at_first > 0.5


def test_the_same_samples_and_seed_make_the_same_proposals_and_another_seed_others() -> None:
    tried = [candidate(10 * 2**number, 0.1 * number) for number in range(8)]
    found = {place: Judged(place, (), 5, float(place)) for place in range(8)}
    again = {place: found[place] for place in reversed(range(8))}
    assert propose(AXES, tried, found, HIGHER, 7) == propose(AXES, tried, again, HIGHER, 7)
    assert propose(AXES, tried, found, HIGHER, 7) != propose(AXES, tried, found, HIGHER, 8)


def test_who_breaks_a_limit_stands_behind_who_does_not_however_good() -> None:
    tried = [candidate(10 * 2**number, 0.5) for number in range(9)]

    def verdict(number: int) -> LimitFound:
        holds: Any = "holds" if number < 4 else "broken"
        return LimitFound(10 if number < 4 else 14 - number, 10, 0, 1, holds)

    found = {number: Judged(number, (verdict(number),), 10, float(number)) for number in range(9)}
    order = sorted(found, key=lambda number: proposals._key(found[number], HIGHER))  # noqa: SLF001  the order is all
    assert order == [3, 2, 1, 0, 4, 5, 6, 7, 8]
    assert tried


def test_a_list_beside_a_range_is_proposed_from_as_it_stands() -> None:
    axes = (AXES[1], axis("mode", Whole(), OneOf((3, 5))))
    tried = [
        Candidate("", PluginSettings("", "mine", "", values), {}, values)
        for values in ({"share": 0.1 * number, "mode": (3, 5)[number % 2]} for number in range(8))
    ]
    found = {place: Judged(place, (), 5, float(place)) for place in range(8)}
    for each in propose(axes, tried, found, HIGHER, 7):
        assert 0 <= each["share"] <= 1
        assert each["mode"] in (3, 5)


def test_a_range_with_steps_is_left_to_the_grid() -> None:
    stepped = (axis("share", Number(0, 1), Between(0.0, 1.0, steps=5)),)
    assert propose(stepped, [], {}, HIGHER, 7) == []


RANGE = {"search": {"auto-movable": {"ratio": {"from": 25, "to": 6400}}}}


def test_of_a_range_without_steps_others_than_the_middle_are_tried_too() -> None:
    found = made(recommend=RANGE)
    verdicts = [
        Judged(number, (LimitFound(9, 9, 0, 1, "holds"),), 9, 100.0 - abs(each.varied["ratio"] - 200))
        for number, each in enumerate(found.candidates)
        if "ratio" in each.varied
    ]
    new = refine(found, found.candidates, verdicts, HIGHER)
    assert 2 < len(new) <= 2 + AT_A_TIME
    assert all(25 <= each.varied["ratio"] <= 6400 and each.in_linux for each in new)
    assert new == refine(found, found.candidates, verdicts, HIGHER)
    assert not any("optuna" in note for note in found.notes)


def test_without_optuna_the_grid_is_refined_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposals, "installed", lambda: False)
    monkeypatch.setattr(grid, "installed", lambda: False)
    found = made(recommend=RANGE)
    told = [note for note in found.notes if note.startswith("ratio is a range without steps, for which optuna would")]
    assert len(told) == 1
    ratios = [each.varied["ratio"] for each in found.candidates if each.varied]
    assert ratios == [25, 55, 122, 269, 594, 1313, 2898, 6400]
    verdicts = [
        Judged(number, (LimitFound(9, 9, 0, 1, "holds"),), 9, 0.5)
        for number, each in enumerate(found.candidates)
        if "ratio" in each.varied
    ]
    assert len(refine(found, found.candidates, verdicts, HIGHER)) <= 2


def test_what_no_linux_has_stays_so_when_it_is_refined() -> None:
    search = {"headroom": {"expected": {"from": 10, "to": 40, "steps": 3}}}
    found = made(policies=[{"name": "headroom"}], recommend={"search": search})
    middle = next(each for each in found.candidates if each.varied.get("expected") == 25)
    assert not found.with_values(middle, {"expected": 20}).in_linux
