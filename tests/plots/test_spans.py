"""Axes: tiny differences look tiny, counts have whole numbers, and no mark is cut."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sim.analysis.compare import compare
from sim.analysis.grid import grids
from sim.plots.differences import plot_differences
from sim.plots.distribution import plot_distribution
from sim.plots.figure_heading import MOST_ROWS
from sim.plots.heat_map import plot_heat_map
from sim.plots.scores import plot_scores
from sim.plots.survival import plot_survival
from sim.plots.tradeoff import plot_tradeoff
from sim.report.charts.by_policy import differences_chart, scores_chart
from sim.report.charts.drawing import Looks
from sim.report.charts.scale import ticks
from sim.results.store import ResultStore
from sim.units import GIB, MIB
from tests.plots.by_hand import legend, panel, score_rows, score_scenario, titles, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = dict[str, dict[str, list[float]]]

NOWHERE = ResultStore("nowhere")
TINY = {name: {"returned_share": [99.9 + place / 100, 99.91 + place / 100]} for place, name in enumerate("abc")}
COUNTS = {
    "a": {"failed_adds": [0.0, 1.0], "returned_share": [1.0, 2.0]},
    "b": {"failed_adds": [0.0, 0.0], "returned_share": [3.0, 4.0]},
}
RATIOS = [f"ratio {100 + 50 * number}" for number in range(20)]


def whole(axis: Axes) -> bool:
    left, right = axis.get_xlim()
    shown = [tick for tick in axis.get_xticks() if left <= tick <= right]
    return len(shown) > 1 and all(tick == int(tick) for tick in shown)


def test_dots_that_hardly_differ_lie_together() -> None:
    axis = plot_distribution(NOWHERE, score_scenario(TINY)).axes[1]
    left, right = axis.get_xlim()
    assert right - left > 0.2 * 99
    assert right > 99.93


def test_fields_that_hardly_differ_have_hardly_different_colours() -> None:
    runs = score_rows({"p": {"returned_share": [99.9, 99.91, 99.92, 99.93]}})
    runs["policy.ratio"], runs["workload.pace"] = [100.0, 301.0] * 2, [8, 8, 16, 16]
    figure = plot_heat_map(next(grids(runs, "returned_share", "policy.ratio", "workload.pace")))
    (image,) = figure.axes[0].images
    low, high = image.get_clim()
    assert high == pytest.approx(99.93)
    assert high - low == pytest.approx(0.2 * 99.93)


def test_differences_that_are_tiny_beside_the_values_are_near_0() -> None:
    (axis,) = plot_differences(NOWHERE, score_scenario(TINY), ["returned_share"]).axes
    left, right = axis.get_xlim()
    assert left <= -1.9
    assert right >= 1.9


def test_counts_have_whole_numbers_and_at_least_two() -> None:
    scenario = score_scenario(COUNTS)
    assert whole(panel(plot_scores(NOWHERE, scenario, ["failed_adds", "returned_share"]), "Failed adds"))
    assert whole(panel(plot_differences(NOWHERE, scenario, ["failed_adds", "returned_share"]), "Failed adds"))
    few = score_scenario({name: {"decisions": [0.0, 1.0, 1.0, 2.0]} for name in "ab"})
    assert whole(plot_distribution(NOWHERE, few, "decisions").axes[1])


def test_a_scale_of_colours_of_counts_has_whole_numbers() -> None:
    runs = score_rows({"p": {"decisions": [0.0, 1.0, 1.0, 2.0]}})
    runs["policy.ratio"], runs["workload.pace"] = [100.0, 301.0] * 2, [8, 8, 16, 16]
    figure = plot_heat_map(next(grids(runs, "decisions", "policy.ratio", "workload.pace")))
    figure.draw_without_rendering()
    shown = [tick for tick in figure.axes[1].get_yticks() if 0 <= tick <= 2]
    assert shown == [0, 1, 2]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 2), (-1, 1), (0, 3.2), (0, 7), (0, 1000), (-0.4, 0.3)])
def test_ticks_of_counts_are_whole(low: float, high: float) -> None:
    found = ticks(low, high, whole=True)
    assert found
    assert all(tick == int(tick) for tick in found)
    assert all(low <= tick <= high for tick in found)


def test_the_report_has_whole_numbers_room_and_the_baseline_in_bold() -> None:
    scenario = score_scenario(COUNTS, baseline="b")
    table = compare(scenario.runs, "b", ["failed_adds", "returned_share"])
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    looks = Looks(scenario.policies)
    counts, shares = scores_chart(scenario, looks, "a", "t", rows).panels  # type: ignore[union-attr]
    assert counts.x is not None
    assert counts.x[1] >= 1
    assert re.findall(r'class="x"[^>]*>([^<]+)<', counts.marks) == ["0", "1"]
    assert (counts.whole, shares.whole) == (True, False)
    assert counts.marks.count('class="row base"') == 1
    assert shares.x is not None
    assert shares.x[1] > 3.5
    differences = differences_chart(scenario, looks, "a", "t", rows)
    assert differences is not None
    of_counts = differences.panels[0]
    assert of_counts.title == "Failed adds"
    assert of_counts.x is not None
    assert of_counts.x[0] <= -1
    assert of_counts.x[1] >= 1


def test_a_mark_at_all_is_inside() -> None:
    figure = plot_scores(NOWHERE, score_scenario({"a": {"returned_share": [100.0]}, "b": {"returned_share": [0.0]}}))
    (axis,) = [axis for axis, title in zip(figure.axes, titles(figure), strict=False) if title == "Came back"]
    left, right = axis.get_xlim()
    assert left <= -2
    assert right >= 102


def test_the_baseline_has_its_name_wherever_marks_are_dense() -> None:
    ratios = {policy: 100.0 + 50 * number for number, policy in enumerate(RATIOS)}
    values = {
        policy: {"headroom_min": [(1000 + number / 10) * MIB], "returned": [(8 - number / 100) * GIB]}
        for number, policy in enumerate(RATIOS)
    }
    figure = plot_tradeoff(NOWHERE, score_scenario(values, ratios, baseline="ratio 600"))
    assert any("600 % (baseline)" in text.get_text() for text in figure.axes[0].texts)


def test_survival_has_every_policy_of_a_sweep() -> None:
    values = {
        policy: {"died": [float(number > 12)] * 2, "death_time": [9.0 if number > 12 else float("nan")] * 2}
        for number, policy in enumerate(RATIOS)
    }
    figure = plot_survival(NOWHERE, score_scenario(values))
    lives, dies = legend(figure)
    assert lives == "ratio 100; ratio 150; ratio 200; 10 more"
    assert dies.endswith("; 4 more")
    assert "are drawn" not in words(figure)


def test_rows_of_a_sweep_of_twenty_are_all_there() -> None:
    assert len(RATIOS) <= MOST_ROWS
    values = {policy: {"returned_share": [1.0 + number, 2.0]} for number, policy in enumerate(RATIOS)}
    figure = plot_scores(NOWHERE, score_scenario(values), ["returned_share"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == RATIOS


def test_what_is_0_throughout_has_an_axis_from_0() -> None:
    figure = plot_scores(NOWHERE, score_scenario({"a": {"returned_share": [0.0, 0.0]}}), ["returned_share"])
    left, right = figure.axes[0].get_xlim()
    assert -0.1 < left < 0
    assert right > 1


@pytest.mark.parametrize("replications", [1, 3])
def test_the_mark_of_a_single_policy_is_inside(replications: int) -> None:
    values: Values = {
        "a": {"headroom_min": [2.0 * GIB + n * MIB for n in range(replications)], "returned": [GIB] * replications}
    }
    (axis,) = plot_tradeoff(NOWHERE, score_scenario(values)).axes
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    assert right > 2048 + 0.03 * (right - left)
    assert bottom == 0
    assert top > 1.1


def test_axes_that_do_not_begin_at_0_are_said_to() -> None:
    near: Values = {
        name: {"headroom_min": [(1000.0 + n) * MIB], "returned": [(8 + n / 9) * GIB]} for n, name in enumerate("ab")
    }
    assert "not all axes begin at 0" in words(plot_tradeoff(NOWHERE, score_scenario(near)))
    assert "not all axes begin at 0" in words(plot_distribution(NOWHERE, score_scenario(TINY)))
    far: Values = {name: {"headroom_min": [900.0 * n * MIB], "returned": [8 * n * GIB]} for n, name in enumerate("ab")}
    assert "not all axes begin at 0" not in words(plot_tradeoff(NOWHERE, score_scenario(far)))


def test_no_name_stands_on_the_line_to_a_worst_replication() -> None:
    marks = {"ratio 301": (130, 700, 13.35), "ratio 150": (550, 780, 11.5), "ratio 90": (600, 900, 10),
             "headroom": (440, 806, 13.8), "contig-zones": (790, 1010, 9.9), "corner": (0, 0, 0)}  # fmt: skip
    values: Values = {
        policy: {"headroom_min": [least * MIB, most * MIB], "returned": [back * GIB] * 2}
        for policy, (least, most, back) in marks.items()
    }
    ratios = {"ratio 301": 301.0, "ratio 150": 150.0, "ratio 90": 90.0}
    figure = plot_tradeoff(NOWHERE, score_scenario(values, ratios, baseline="ratio 301"))
    figure.draw_without_rendering()
    (axis,) = figure.axes
    names = {text.get_text(): text.get_window_extent() for text in axis.texts}
    assert "301 % (baseline)" in names
    for least, most, back in marks.values():
        (left, height), (right, _) = axis.transData.transform([(least, back), ((least + most) / 2, back)])
        for name, box in names.items():
            on_it = box.y0 < height < box.y1 and box.x0 < right and box.x1 > left and right > left
            assert not on_it, f"{name} stands on a line"
