"""The figure scores, read back: which value stands in which row, in which unit, with which interval."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sim.analysis.compare import compare
from sim.plots.colours import PALETTE
from sim.plots.saving import styled
from sim.plots.scores import _room, plot_scores
from sim.results.store import ResultStore
from sim.units import GIB
from tests.plots.by_hand import (
    OUT_OF_ORDER,
    coloured,
    dot_place,
    dots,
    panel,
    panels,
    points,
    score_rows,
    score_scenario,
    titles,
    words,
)
from tests.support.shared import by_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    Values = Mapping[str, Mapping[str, Sequence[float]]]

TIMES = 5
"""Each replication counts as often, so that there are enough for intervals."""

# By score: of each policy the replications, as people read them, and by what they are stored.
KERNEL, SHARE, ABOVE, HELD, EXCESS, FAILED = (
    "headroom_min", "returned_share", "auto_time_above_ratio", "not_given_byte_seconds", "auto_ratio_excess",
    "failed_requests",
)  # fmt: skip
SHOWN: dict[str, dict[str, tuple[int, ...]]] = {
    KERNEL: {"zeta": (11, 12, 13), "alpha": (1, 2, 3), "mid": (6, 6, 6)},
    SHARE: {"zeta": (100, 100, 100), "alpha": (0, 0, 0), "mid": (59, 60, 61)},
    ABOVE: {"zeta": (7200, 7200, 7200), "alpha": (), "mid": (30, 30, 30)},
    HELD: {"zeta": (20, 21, 22), "alpha": (30, 31, 32), "mid": (40, 41, 42)},
    EXCESS: {"zeta": (-1, -2, -3), "alpha": (-200, -200, -200), "mid": (5, 5, 5)},
}
STORED_PER = {KERNEL: GIB, SHARE: 1, ABOVE: 1, HELD: GIB, EXCESS: 1}


def drawn(values: Values, scores: Sequence[str]) -> Figure:
    """Draw ``scores``, whose ``values`` are those of each policy by replication, as stored."""
    with styled():
        return plot_scores(ResultStore("nowhere"), score_scenario(values), scores)


VALUES: dict[str, dict[str, list[float]]] = {
    policy: {
        score: [float(value * STORED_PER[score]) for value in shown[policy]] * TIMES or [math.nan] * 3 * TIMES
        for score, shown in SHOWN.items()
    }
    for policy in OUT_OF_ORDER
}


@pytest.fixture(scope=by_module)
def figure() -> Figure:
    return drawn(VALUES, list(SHOWN))


TITLES = {
    KERNEL: "Kernel headroom, least",
    SHARE: "Came back",
    ABOVE: "Time with MV:KE above the ratio",
    HELD: "Asked back, not given: over time",
    EXCESS: "MV:KE, highest above the ratio",
}


def row_names(figure: Figure) -> dict[float, str]:
    """Return the labels of rows by their height."""
    axis = panels(figure)[0]
    labels = [label.get_text() for label in axis.get_yticklabels()]
    return dict(zip(map(float, axis.get_yticks()), labels, strict=True))


def means(figure: Figure, score: str) -> dict[str, tuple[float, str]]:
    """Return for the label of each row the value and the colour of its dot."""
    names = row_names(figure)
    large = [dot for dot in dots(panel(figure, TITLES[score])) if len(dot.get_sizes()) and dot.get_sizes()[0] > 30]
    return {names[dot_place(dot)[1]]: (dot_place(dot)[0], coloured(dot)) for dot in large}


def replications(figure: Figure, score: str) -> dict[str, tuple[list[float], str]]:
    """Return for the label of each row the values of the small ticks below it, and their colour."""
    found = {}
    for dot in dots(panel(figure, TITLES[score])):
        if dot.get_sizes()[0] < 20:
            places: Any = np.asarray(dot.get_offsets(), dtype=float)
            (height,) = set(places[:, 1].tolist())
            # Below the row, and nearer to it than to the next one.
            (name,) = [name for row, name in row_names(figure).items() if 0.1 < height - row < 0.45]
            found[name] = (places[:, 0].tolist(), to_hex(np.asarray(dot.get_edgecolor())[0]))
    return found


@pytest.mark.parametrize("score", list(SHOWN))
def test_under_every_label_stand_the_values_of_that_policy_in_the_unit_of_the_axis(figure: Figure, score: str) -> None:
    expected = {
        policy: (list(map(float, values)) * TIMES, colour)
        for (policy, values), colour in zip(SHOWN[score].items(), PALETTE, strict=False)
        if values
    }
    assert replications(figure, score) == expected
    assert means(figure, score) == {
        policy: (sum(values) / len(values), colour) for policy, (values, colour) in expected.items()
    }


def test_rows_come_in_the_order_of_the_experiment_from_the_top_down(figure: Figure) -> None:
    assert row_names(figure) == {0: "zeta", 1: "alpha", 2: "mid"}
    bottom, top = panels(figure)[0].get_ylim()
    assert top < 0  # the first row is the upper one
    assert bottom > 2.27  # the last row's ticks are in sight
    assert titles(figure) == [TITLES[score] for score in SHOWN]


def bars(axis: Axes) -> dict[int, tuple[float, float, str]]:
    """Return for each row the ends of its bar, and the colour."""
    found = {}
    for line in axis.lines:
        (left, row), (right, same) = points(line)
        assert row == same
        found[int(row)] = (left, right, coloured(line))
    return found


def test_bars_are_the_intervals_of_the_means(figure: Figure) -> None:
    rows = compare(score_rows(VALUES), "zeta", list(SHOWN)).to_dict("records")
    table: Any = {(row["score"], row["policy"]): row for row in rows}

    def near(score: str, policy: str) -> Any:  # noqa: ANN401  what pytest makes is not typed
        low, high = (table[score, policy][end] / STORED_PER[score] for end in ("low", "high"))
        return pytest.approx(low), pytest.approx(high), PALETTE[list(OUT_OF_ORDER).index(policy)]

    # What cannot vary has none, as nothing ever has of what is the same in all runs of a policy.
    policies = dict(enumerate(OUT_OF_ORDER))
    for score in (KERNEL, HELD):
        assert bars(panel(figure, TITLES[score])) == {row: near(score, policy) for row, policy in policies.items()}
    assert bars(panel(figure, TITLES[ABOVE])) == {}
    left, right, _ = bars(panel(figure, TITLES[KERNEL]))[0]
    assert 11 < left < 12 < right < 13


def test_axes_name_the_unit_and_the_good_direction(figure: Figure) -> None:
    assert [axis.get_xlabel() for axis in panels(figure)] == [
        "[GiB]   higher is better →",
        "[%]   higher is better →",
        "[s]   ← lower is better",
        "[GiB s]   ← lower is better",
        "[points]   ← lower is better",
    ]


def test_axes_begin_at_zero_unless_values_are_negative_and_hold_all(figure: Figure) -> None:
    for score, highest in ((KERNEL, 13), (SHARE, 100), (ABOVE, 7200), (HELD, 42)):
        left, right = panel(figure, TITLES[score]).get_xlim()
        assert -0.05 * right < left < 0
        assert highest < right < 1.2 * highest
    left, right = panel(figure, TITLES[EXCESS]).get_xlim()
    assert left < -200
    assert right > 5


@pytest.mark.parametrize(("left", "begin"), [(5, -3), (-6, -3), (-7, -7)])
def test_what_only_leaves_room_beside_zero_is_not_negative(left: int, begin: int) -> None:
    axis = Figure().subplots()
    axis.set_xlim(left, 100)
    _room(axis)
    assert axis.get_xlim() == (begin, 103)


def test_what_is_undefined_says_so_in_its_row(figure: Figure) -> None:
    found: list[Any] = [(score, text) for score in SHOWN for text in panel(figure, TITLES[score]).texts]
    assert [(score, text.get_text(), text.xy) for score, text in found] == [(ABOVE, "undefined", (0, 1))]


def test_the_heading_explains_dots_bars_and_ticks(figure: Figure) -> None:
    assert words(figure) == (
        "Scores: w on m dot: mean of 15 replications; bar: 95 % confidence interval of the mean; "
        "ticks below: the replications; hollow diamond: the worst replication, where a score is the least or the most"
    )


def test_scores_that_tell_no_policy_from_another_stand_in_the_heading() -> None:
    values: Values = {
        "zeta": {KERNEL: [2 * GIB, 4 * GIB], SHARE: [10, 10], FAILED: [1, 2], "ratio_mean": [math.nan] * 2},
        "alpha": {KERNEL: [2 * GIB, 4 * GIB], SHARE: [10, 20], FAILED: [1, 2], "ratio_mean": [math.nan] * 2},
    }
    figure = drawn(values, [KERNEL, SHARE, FAILED, "ratio_mean"])
    assert titles(figure) == [TITLES[SHARE]]
    assert words(figure) == (
        "Scores: w on m dot: mean of 2 replications; ticks below: the replications "
        "the same for all policies that have it: kernel headroom, least 3 GiB; failed requests 1.5"
    )
    assert means(figure, SHARE) == {"zeta": (10, PALETTE[0]), "alpha": (15, PALETTE[1])}
    assert bars(panel(figure, TITLES[SHARE])) == {}  # two values have no interval


def test_a_policy_alone_has_all_its_scores_drawn() -> None:
    figure = drawn({"p": {KERNEL: [3 * GIB], SHARE: [10], "ratio_mean": [math.nan]}}, [KERNEL, SHARE, "ratio_mean"])
    assert titles(figure) == [TITLES[KERNEL], TITLES[SHARE]]
    assert means(figure, KERNEL) == {"p": (3, PALETTE[0])}
    assert replications(figure, KERNEL) == {}
    assert words(figure) == "Scores: w on m one replication"


def test_replications_that_are_all_alike_have_no_ticks() -> None:
    figure = drawn({"b": {KERNEL: [GIB] * 3}, "a": {KERNEL: [2 * GIB] * 3}}, [KERNEL])
    assert words(figure) == "Scores: w on m 3 replications, all alike"
    assert means(figure, KERNEL) == {"b": (1, PALETTE[0]), "a": (2, PALETTE[1])}
    assert replications(figure, KERNEL) == {}


def test_a_score_without_a_good_direction_names_none() -> None:
    figure = drawn({"b": {"ratio_mean": [100]}, "a": {"ratio_mean": [200]}}, ["ratio_mean"])
    assert titles(figure) == ["MOVABLE:KERNEL, mean"]
    assert [axis.get_xlabel() for axis in panels(figure)] == ["[%]"]


def test_a_count_names_no_unit() -> None:
    figure = drawn({"b": {FAILED: [1]}, "a": {FAILED: [2]}}, [FAILED])
    assert [axis.get_xlabel() for axis in panels(figure)] == ["← lower is better"]


def test_colours_are_those_of_the_whole_experiment() -> None:
    scenario = score_scenario({"b": {KERNEL: [GIB]}, "a": {KERNEL: [2 * GIB]}})
    whole = type(scenario)("m", "w", ("gone", "b", "a"), scenario.runs)
    figure = plot_scores(ResultStore("nowhere"), whole, [KERNEL])
    assert means(figure, KERNEL) == {"b": (1, PALETTE[1]), "a": (2, PALETTE[2])}


def test_policies_that_fail_are_marked_and_come_last() -> None:
    failing = {"died": [1, 0], KERNEL: [GIB, 2 * GIB]}
    figure = drawn({"frail": failing, "sound": {"died": [0, 0], KERNEL: [3 * GIB, 2 * GIB]}}, [KERNEL])
    assert row_names(figure) == {0: "sound", 1: "✗ frail (1 of 2)"}
    assert "✗: failed in so many of the replications" in words(figure)


def test_no_dot_is_cut_at_the_edge() -> None:
    figure = drawn({"b": {KERNEL: [GIB]}, "a": {KERNEL: [9 * GIB]}}, [KERNEL])
    (left, right), axis = panels(figure)[0].get_xlim(), panels(figure)[0]
    assert 1.02 * 9 < right < 1.2 * 9
    assert left < 0
    assert axis.get_window_extent().width * (right - 9) / (right - left) > 4  # dots; the mark's half is 4


def test_where_no_score_has_a_value_there_is_no_axis() -> None:
    figure = drawn({policy: {KERNEL: [math.nan]} for policy in "ba"}, [KERNEL])
    assert [axis.axison for axis in figure.axes] == [False]


def test_a_comparison_that_is_known_is_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"b": {KERNEL: [GIB, 3 * GIB] * 8}, "a": {KERNEL: [2 * GIB, 6 * GIB] * 8}}
    before = drawn(values, [KERNEL])
    rows = compare(score_rows(values), "a", [KERNEL])
    monkeypatch.setattr("sim.plots.scores.compare", None)
    scenario = replace(score_scenario(values), comparison=rows)
    with styled():
        after = plot_scores(ResultStore("nowhere"), scenario, [KERNEL])
    assert bars(panels(after)[0]) == bars(panels(before)[0])
    assert means(after, KERNEL) == means(before, KERNEL)
