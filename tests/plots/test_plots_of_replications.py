"""The figures differences, distribution, survival and answer, read back: which value stands where, and what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sim.plots.answer import plot_answer
from sim.plots.colours import PALETTE, policy_looks, readable
from sim.plots.differences import plot_differences
from sim.plots.distribution import plot_distribution
from sim.plots.saving import styled
from sim.plots.survival import plot_survival
from sim.results.store import ResultStore
from sim.units import GIB
from tests.plots.by_hand import (
    coloured,
    dot_place,
    dots,
    finding,
    legend,
    panel,
    panels,
    points,
    score_scenario,
    step_lines,
    value_at,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOWHERE = ResultStore("nowhere")
SHARE = "returned_share"


def drawn(plot: Any, values: Mapping[str, Mapping[str, Sequence[float]]], base: str | None = None) -> Figure:  # noqa: ANN401
    """Return the figure of such runs of 10 s; of those that did not die no time of death is known."""
    scenario = score_scenario(values, baseline=base)
    runs = scenario.runs.assign(streams_drawn=1, asked_back=GIB)
    runs.loc[runs["died"] == 0, "death_time"] = math.nan
    with styled():
        found: Figure = plot(NOWHERE, replace(scenario, runs=runs))
    return found


def rows(axis: Axes) -> dict[float, str]:
    return dict(zip(map(float, axis.get_yticks()), (t.get_text() for t in axis.get_yticklabels()), strict=True))


def test_differences_are_taken_within_replications_and_filled_where_told_apart() -> None:
    swing = [float(number % 5) for number in range(20)]
    values = {
        "better": {SHARE: [80 + each for each in swing]},
        "base": {SHARE: [50 + each for each in swing]},
        "alike": {SHARE: [50 + each for each in reversed(swing)]},
    }
    figure = drawn(plot_differences, values, "base")
    (axis,) = panels(figure)
    assert rows(axis) == {0: "better", 1: "alike"}
    assert axis.get_xlabel() == "[points]   higher is better →"
    large: list[Any] = [dot for dot in dots(axis) if dot.get_sizes()[0] > 20]
    assert {dot_place(dot): coloured(dot) for dot in large} == {(30, 0): PALETTE[0], (0, 1): "#ffffff"}
    small = [np.asarray(dot.get_offsets(), dtype=float) for dot in dots(axis) if dot not in large]
    ticks = {round(float(places[0, 1])): places for places in small}
    assert set(ticks[0][:, 0]) == {30}
    assert sorted(ticks[1][:, 0]) == sorted(b - a for a, b in zip(swing, reversed(swing), strict=True))
    (zero,) = [line for line in axis.lines if points(line)[0][0] == 0 == points(line)[1][0]]
    assert zero.get_color() == legend(figure)["base (baseline)"].get_color()  # type: ignore[attr-defined]
    assert finding(figure) == "Came back: 29.2 to 30.8 points more with better than with base"


def test_a_score_in_which_nothing_differs_has_no_panel() -> None:
    values = {p: {SHARE: [5.0, 6.0], "headroom_min": [at * GIB, GIB]} for p, at in (("a", 1.0), ("b", 2.0))}
    assert [axis.get_title(loc="left") for axis in panels(drawn(plot_differences, values))] == [
        "Kernel headroom, least"
    ]
    same = {p: {SHARE: [5.0, 6.0]} for p in "ab"}
    assert finding(drawn(plot_differences, same)) == "Came back: the same with every policy"
    assert finding(drawn(plot_differences, {"a": {SHARE: [5.0]}})).startswith("Only a has runs")


def test_runs_that_fail_are_counted_apart_from_what_came_back_of_the_others() -> None:
    values = {
        "some": {SHARE: [0, 60, 70, 80], "died": [1, 0, 0, 0]},
        "all": {SHARE: [0] * 4, "died": [1] * 4},
        "none": {SHARE: [50, 60, 60, 90]},
    }
    failed, axis = panels(drawn(plot_distribution, values))
    names = rows(failed)
    assert names == {0: "none", 1: "✗ some (1 of 4)", 2: "✗ all (4 of 4)"}
    bars: list[Any] = list(failed.patches)
    assert {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in bars} == {0: 0, 1: 1, 2: 4}
    found = {}
    for dot in dots(axis):
        places = np.asarray(dot.get_offsets(), dtype=float)
        found[names[round(float(places[0, 1]))]] = sorted(places[:, 0].tolist())
        assert len({tuple(place) for place in places.tolist()}) == len(places), "no dot hides another"
    assert found == {"none": [50, 60, 60, 90], "✗ some (1 of 4)": [60, 70, 80]}
    assert [text.get_text() for text in axis.texts] == ["all failed"]
    # Four values have quartiles, three have none.
    assert [points(line)[0][0] for line in axis.lines] == [57.5, 60]


def test_the_share_of_guests_that_live_falls_with_every_death() -> None:
    values = {
        "frail": {"died": [1, 0, 1, 0], "death_time": [2, 0, 5, 0]},
        "sound": {"died": [0] * 4}, "as sound": {"died": [0] * 4},
    }  # fmt: skip
    figure = drawn(plot_survival, values)
    (axis,) = panels(figure)
    both, frail = step_lines(axis)
    assert [value_at(frail, at) for at in (1.9, 2, 4.9, 5, 10)] == [100, 75, 75, 50, 50]
    assert points(both) == [(0, 100), (10, 100)]
    assert list(legend(figure)) == ["sound; as sound", "✗ frail (2 of 4)"]
    assert axis.get_xlabel() == "simulated time [seconds]"
    assert frail.is_dashed()
    assert not both.is_dashed()
    assert axis.get_ylim()[1] > 101, "a line at 100 % is not cut"


def test_the_answer_tells_who_fails_who_gives_nothing_back_and_who_is_between() -> None:
    values: dict[str, dict[str, Sequence[float]]] = {
        "right": {SHARE: [90.0, 96.0]},
        "cold": {SHARE: [0.0, 2.0]},
        "hot": {SHARE: [99.0, 0.0], "died": [0, 1]},
    }
    figure = drawn(plot_answer, values, "right")
    lives, back = panels(figure)
    names = ["✗ hot (1 of 2)", "cold", "right (baseline)"]
    assert list(rows(lives).values()) == names
    for axis, title, expected in (
        (lives, "runs that do not fail", ["1 of 2", "2 of 2", "2 of 2"]),
        (back, "of what was asked back, came back", ["49.5 %", "1 %", "93 %"]),
    ):
        assert panel(figure, title) is axis
        assert [text.get_text() for text in axis.texts] == expected
    bars: list[Any] = list(back.patches)
    assert [bar.get_width() for bar in bars] == [49.5, 1, 93]
    faces = {label: patch.get_facecolor() for label, patch in legend(figure).items()}  # type: ignore[attr-defined]
    assert [bar.get_facecolor() for bar in bars] == [
        faces[kind] for kind in ("fails", "gives nothing back", "lives and gives back")
    ]
    assert words(figure).startswith("Who dies, who gives back: w on m")


@pytest.mark.parametrize("count", [1, 8, 9, 12, 40])
def test_no_two_policies_look_alike(count: int) -> None:
    looks = policy_looks([f"policy {chr(97 + number % 26)}{'x' * (number // 26)}" for number in range(count)])
    assert len({look.colour for look in looks.values()}) == count
    later = list(looks.values())[8:16]
    assert all(look.dashes != "solid" for look in later), "a second cue where hues begin again"


def test_policies_that_differ_in_a_number_are_shades_of_one_colour_in_its_order() -> None:
    labels = ["headroom", "ratio 1200", "ratio 150", "ratio 301", "udev 2"]
    looks = policy_looks(labels)
    assert (looks["headroom"].colour, looks["udev 2"].colour) == (PALETTE[0], PALETTE[2])
    light = [
        sum(int(looks[f"ratio {number}"].colour[at : at + 2], 16) for at in (1, 3, 5)) for number in (150, 301, 1200)
    ]
    assert light == sorted(light, reverse=True)
    assert len(set(light)) == 3


@pytest.mark.parametrize("colour", [*PALETTE, "#ffffff", "#000000"])
def test_letters_are_dark_enough_to_read(colour: str) -> None:
    def luminance(hexed: str) -> float:
        parts = [int(hexed[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    assert 1.05 / (luminance(readable(colour)) + 0.05) >= 4.49
