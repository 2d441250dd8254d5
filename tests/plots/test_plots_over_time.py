"""The figures memory and ratio, read back: lines, bands, colours and axes against runs of which all is known."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from sim.analysis.scenario import scenarios, time_axis
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.plots.colours import PALETTE, readable
from sim.plots.figure_heading import heading
from sim.plots.memory import plot_memory
from sim.plots.memory_map import plot_map
from sim.plots.plot_data import memory_series
from sim.plots.ratio import plot_ratio
from sim.plots.saving import styled
from sim.record.recorder import EventKind
from sim.results.failure import Failure, Stage
from sim.results.identity import CellId
from tests.plots.by_hand import (
    OUT_OF_ORDER,
    band_at,
    coloured,
    hand_run,
    legend,
    panel,
    panels,
    points,
    score_scenario,
    step_lines,
    stored,
    titles,
    value_at,
    words,
)
from tests.support.shared import by_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from sim.record.run_result import RunResult

HOUR = 3600.0
PLUG, UNPLUG = EventKind.PLUG, EventKind.UNPLUG

# GiB of MOVABLE: 0, 3, 2; of KERNEL: 1.
ZETA = hand_run(4 * HOUR, [(HOUR, PLUG, 40, 24, ZONE_MOVABLE), (3 * HOUR, UNPLUG, 56, 8, ZONE_MOVABLE)], 250)
# GiB of MOVABLE: 0; of KERNEL: 1, 3.
ALPHA = hand_run(4 * HOUR, [(2 * HOUR, PLUG, 40, 16, ZONE_NORMAL)])
# GiB of MOVABLE: 4; of KERNEL: 1, 5.
MID = hand_run(4 * HOUR, [(0, PLUG, 40, 32, ZONE_MOVABLE), (2 * HOUR, PLUG, 72, 32, ZONE_NORMAL)], 40)
COLOURS = dict(zip(OUT_OF_ORDER, PALETTE, strict=False))


def drawn(plot: Any, folder: Path, runs: Mapping[str, Sequence[RunResult]]) -> Figure:  # noqa: ANN401  one of several
    """Return the figure of ``runs``, whose order is that of the experiment."""
    store = stored(folder, runs)
    (scenario,) = scenarios(store.runs(), tuple(runs))
    with styled():
        figure: Figure = plot(store, scenario)
    return figure


@pytest.fixture(scope=by_module)
def memory(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    runs = {"zeta": [ZETA], "alpha": [ALPHA], "mid": [MID]}
    return drawn(plot_memory, tmp_path_factory.mktemp("memory"), runs)


@pytest.fixture(scope=by_module)
def ratio(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    runs = {"zeta": [ZETA], "alpha": [ALPHA], "mid": [MID]}
    return drawn(plot_ratio, tmp_path_factory.mktemp("ratio"), runs)


def line_like(axis: Axes, handle: Any) -> list[tuple[float, float]]:  # noqa: ANN401  an artist of a legend
    """Return the points of the line that is dashed as ``handle`` is."""
    (line,) = [each for each in step_lines(axis) if each.is_dashed() == handle.is_dashed()]
    return points(line)


@pytest.mark.parametrize(
    ("policy", "movable", "kernel"),
    [
        ("zeta", [(0, 0), (1, 3), (3, 2), (4, 2)], [(0, 1), (4, 1)]),
        ("alpha", [(0, 0), (4, 0)], [(0, 1), (2, 3), (4, 3)]),
        ("mid", [(0, 4), (4, 4)], [(0, 1), (2, 5), (4, 5)]),
    ],
)
def test_memory_is_drawn_in_gib_over_hours_each_line_as_the_legend_names_it(
    memory: Figure, policy: str, movable: list[tuple[float, float]], kernel: list[tuple[float, float]]
) -> None:
    axis, handles = panel(memory, policy), legend(memory)
    assert line_like(axis, handles["MOVABLE (in the policy's colour)"]) == movable
    assert line_like(axis, handles["KERNEL: DMA, DMA32 and Normal"]) == kernel
    assert len(step_lines(axis)) == 2


def test_movable_has_the_colour_of_the_policy_and_kernel_that_of_the_legend(memory: Figure) -> None:
    dark = coloured(legend(memory)["KERNEL: DMA, DMA32 and Normal"])
    assert dark not in PALETTE
    for policy, colour in COLOURS.items():
        axis = panel(memory, policy)
        assert {line.is_dashed(): coloured(line) for line in step_lines(axis)} == {False: colour, True: dark}
        assert axis._left_title.get_color() == readable(colour)  # type: ignore[attr-defined]  # noqa: SLF001


def test_panels_come_in_the_order_of_the_experiment_under_one_pair_of_axes(memory: Figure, ratio: Figure) -> None:
    for figure, label in ((memory, "present memory [GiB]"), (ratio, "MOVABLE : KERNEL [%]")):
        axes = panels(figure)
        assert titles(figure) == list(OUT_OF_ORDER)
        assert [axis.get_xlabel() for axis in axes] == ["simulated time [hours]"] * 3
        assert [axis.get_ylabel() for axis in axes] == [label, "", ""]
        assert {axis.get_xlim() for axis in axes} == {(0, 4)}
        left, top = axes[0].get_position().x0, axes[0].get_position().y0
        assert all(axis.get_position().x0 > left for axis in axes[1:])
        assert all(axis.get_position().y0 == top for axis in axes)


def test_memory_begins_at_zero_and_nothing_is_cut_off(memory: Figure) -> None:
    for axis in panels(memory):
        bottom, top = axis.get_ylim()
        assert bottom == 0
        assert 9 < top < 10  # what is plugged in all comes to 9
    assert "w on m" in words(memory)
    assert words(memory).endswith("one replication")


def test_the_ratio_is_movable_by_kernel_in_percent(ratio: Figure) -> None:
    found = {policy: points(step_lines(panel(ratio, policy))[0]) for policy in OUT_OF_ORDER}
    assert found["zeta"] == [(0, 0), (1, 300), (3, 200), (4, 200)]
    assert found["alpha"] == [(0, 0), (4, 0)]
    assert found["mid"] == [(0, 400), (2, 80), (4, 80)]
    for policy, colour in COLOURS.items():
        (line,) = step_lines(panel(ratio, policy))
        assert (coloured(line), line.is_dashed()) == (colour, False)
        assert panel(ratio, policy).get_ylim() == pytest.approx((0, 400 * 1.12))


def configured(axis: Axes) -> list[float]:
    """Return the heights of the dotted lines of ``axis``."""
    return [points(line)[0][1] for line in axis.lines if line.is_dashed() and not np.isnan(points(line)[0][1])]


def notes(axis: Axes) -> dict[str, float]:
    """Return what is written into ``axis`` and at what height."""
    found: list[Any] = list(axis.texts)
    return {text.get_text(): float(text.xy[1]) for text in found}


def test_the_configured_ratio_is_that_of_the_policy(ratio: Figure) -> None:
    assert {policy: configured(panel(ratio, policy)) for policy in OUT_OF_ORDER} == {
        "zeta": [250], "alpha": [], "mid": [40],
    }  # fmt: skip
    assert notes(panel(ratio, "zeta")) == {"configured: 250 %": 250}
    assert notes(panel(ratio, "mid")) == {"configured: 40 %": 40}
    assert notes(panel(ratio, "alpha")) == {}


@pytest.mark.parametrize(
    ("gib", "ratios", "ends", "told"),
    [
        # Just as far as three times the highest configured ratio: still drawn whole.
        ((9, 1), (300, 100), 900, ()),
        # Further: the axis ends at twice that ratio.
        ((10, 1), (300, 100), 600, ("goes up to 1,000 %",)),
        # A ratio that means "no limit" counts for nothing.
        ((9, 1), (4_294_967_295, 100), 200, ("goes up to 900 %",)),
        ((9, 1), (4_294_967_295, None), 900, ()),
        # A configured ratio above the highest peak is in sight, twice as high at most.
        ((2, 1), (300, None), 300, ()),
        ((2, 1), (400, None), 400, ()),
        ((2, 1), (401, None), 200, ()),
        # With nothing in MOVABLE there is still an axis.
        ((0, 0), (None, None), 10, ()),
    ],
)
def test_the_axis_of_ratios_ends_where_it_makes_sense(
    tmp_path: Path, gib: tuple[int, int], ratios: tuple[int | None, int | None], ends: float, told: tuple[str, ...]
) -> None:
    runs = {
        name: [hand_run(60, [(1, PLUG, 40, 8 * size, ZONE_MOVABLE)] if size else [], ratio)]
        for name, size, ratio in zip(("b", "a"), gib, ratios, strict=True)
    }
    figure = drawn(plot_ratio, tmp_path, runs)
    assert [axis.get_ylim() for axis in panels(figure)] == [pytest.approx((0, 1.12 * ends))] * 2
    written = notes(panel(figure, "b"))
    assert tuple(text for text in written if text.startswith("goes")) == told
    assert all(ends < written[text] < 1.12 * ends for text in told)
    # A ratio out of sight is not named.
    for name, ratio in zip(("b", "a"), ratios, strict=True):
        named = [text for text in notes(panel(figure, name)) if text.startswith("configured")]
        assert named == ([f"configured: {ratio} %"] if ratio is not None and ratio <= ends else [])


@pytest.fixture(scope=by_module)
def three(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    """Figures of three replications, the least, the mean and the largest of which are all different."""
    steps = (HOUR, 8), (HOUR, 24), (3 * HOUR, 40)
    runs = {
        "p": [hand_run(4 * HOUR, [(time, PLUG, 40, blocks, ZONE_MOVABLE)]) for time, blocks in steps],
        "alike": [ALPHA] * 3,
    }
    folder = tmp_path_factory.mktemp("three")
    return {
        "memory": drawn(plot_memory, folder / "memory", runs),
        "ratio": drawn(plot_ratio, folder / "ratio", runs),
    }


@pytest.mark.parametrize(("kind", "per_gib"), [("memory", 1.0), ("ratio", 100.0)])
def test_the_line_is_the_mean_and_the_band_reaches_from_the_least_to_the_largest(
    three: dict[str, Figure], kind: str, per_gib: float
) -> None:
    axis = panel(three[kind], "p")
    (line,) = [each for each in step_lines(axis) if not each.is_dashed()]
    for time, gib in ((0.5, (0, 0, 0)), (1.5, (1, 3, 0)), (2.99, (1, 3, 0)), (3.5, (1, 3, 5))):
        assert value_at(line, time) == pytest.approx(sum(gib) / 3 * per_gib)
        assert band_at(axis, PALETTE[0], time) == pytest.approx((min(gib) * per_gib, max(gib) * per_gib))
    assert points(line)[-1] == pytest.approx((4, 3 * per_gib))
    # Averaged on a grid: a step is not off by more than a dot of the screen.
    (step,) = [x for (x, y), (_, before) in zip(points(line)[1:], points(line), strict=False) if before == 0 < y]
    assert 1 <= step < 1 + 4 / 1000
    assert "mean of 3 replications; the band is from the least to the largest" in words(three[kind])


def test_the_axis_of_ratios_has_room_for_the_whole_band(three: dict[str, Figure]) -> None:
    assert panel(three["ratio"], "p").get_ylim() == pytest.approx((0, 500 * 1.12))


def test_what_does_not_differ_has_no_band(three: dict[str, Figure]) -> None:
    dark = coloured(legend(three["memory"])["KERNEL: DMA, DMA32 and Normal"])
    for policy in ("p", "alike"):
        bands = [each for each in panel(three["memory"], policy).collections if isinstance(each, PolyCollection)]
        assert dark not in map(coloured, bands)


def test_replications_that_are_alike_are_drawn_once_and_said_to_be(tmp_path: Path) -> None:
    figure = drawn(plot_memory, tmp_path, {"zeta": [ZETA] * 2, "alpha": [ALPHA] * 2})
    assert points(next(line for line in step_lines(panel(figure, "zeta")) if not line.is_dashed())) == [
        (0, 0), (1, 3), (3, 2), (4, 2),
    ]  # fmt: skip
    assert words(figure).endswith("2 replications, all alike")


def test_two_that_are_alike_do_not_hide_a_third(tmp_path: Path) -> None:
    other = hand_run(4 * HOUR, [(HOUR, PLUG, 40, 48, ZONE_MOVABLE)])
    figure = drawn(plot_memory, tmp_path, {"zeta": [ZETA, ZETA, other]})
    line = next(line for line in step_lines(panel(figure, "zeta")) if not line.is_dashed())
    assert value_at(line, 2) == 4  # of 3, 3 and 6 GiB
    assert band_at(panel(figure, "zeta"), PALETTE[0], 2) == (3, 6)


@pytest.mark.parametrize(
    ("seconds", "length", "unit"),
    [
        (0.5, 1, "seconds"), (179, 1, "seconds"), (180, 60, "minutes"), (10_799, 60, "minutes"),
        (10_800, 3600, "hours"), (259_199, 3600, "hours"), (259_200, 86_400, "days"), (864_000, 86_400, "days"),
    ],
)  # fmt: skip
def test_an_axis_of_time_has_the_largest_unit_of_which_there_are_three(
    seconds: float, length: float, unit: str
) -> None:
    assert time_axis(seconds) == (length, unit)


@pytest.mark.parametrize(
    ("plot", "unit", "seconds"),
    [
        (plot_memory, "minutes", 60.0), (plot_memory, "days", 86_400.0),
        (plot_ratio, "seconds", 1.0), (plot_ratio, "hours", 3600.0),
        (plot_map, "hours", 3600.0), (plot_map, "days", 86_400.0),
    ],
)  # fmt: skip
def test_every_figure_over_time_is_drawn_in_the_unit_that_it_names(
    tmp_path: Path, plot: Any, unit: str, seconds: float  # noqa: ANN401  one of several
) -> None:  # fmt: skip
    run = hand_run(8 * seconds, [(2 * seconds, PLUG, 40, 8, ZONE_MOVABLE)])
    (axis,) = panels(drawn(plot, tmp_path, {"p": [run]}))
    assert axis.get_xlabel() == f"simulated time [{unit}]"
    assert axis.get_xlim() == (0, 8)
    # A line has a point where it changes.
    for line, expected in zip(step_lines(axis), ([0, 2, 8], [0, 8]), strict=False):
        assert [x for x, _ in points(line)] == expected
    for image in axis.images:
        assert tuple(image.get_extent())[:2] == (0, 8)
        # The block is there from the sample at or after 2 of 8 on.
        there = np.asarray(image.get_array())[-1] == ZONE_MOVABLE
        assert int(there.argmax()) == 150
        assert there[150:].all()
    assert len(step_lines(axis)) + len(axis.images) > 0


def test_the_longest_run_gives_the_axis(tmp_path: Path) -> None:
    short, long = hand_run(100, [(50, PLUG, 40, 8, ZONE_MOVABLE)]), hand_run(160)
    for plot in (plot_memory, plot_map):
        figure = drawn(plot, tmp_path / plot.__name__, {"short": [short], "long": [long]})
        assert {axis.get_xlim() for axis in panels(figure)} == {(0, 160)}


def test_what_failed_is_not_drawn_and_what_is_left_keeps_its_colour(tmp_path: Path) -> None:
    store = stored(tmp_path, {"alpha": [ALPHA], "mid": [MID]})
    store.write_failure(CellId("f" * 8, "m", "w", "zeta", 0, 1), Failure(Stage.SIMULATE, "no"))
    (scenario,) = scenarios(store.runs(), OUT_OF_ORDER)
    figure = plot_memory(store, scenario)
    assert titles(figure) == ["alpha", "mid"]
    for policy in ("alpha", "mid"):
        assert (
            coloured(next(line for line in step_lines(panel(figure, policy)) if not line.is_dashed()))
            == (COLOURS[policy])
        )


@pytest.mark.parametrize(("count", "columns", "labelled"), [(4, 2, [2, 3]), (5, 3, [2, 3, 4])])
def test_panels_stand_in_rows_with_labels_at_the_left_and_below(
    tmp_path: Path, count: int, columns: int, labelled: list[int]
) -> None:
    runs = {f"p{9 - number}": [hand_run(10)] for number in range(count)}
    figure = drawn(plot_ratio, tmp_path, runs)
    axes = panels(figure)
    assert titles(figure) == list(runs)
    places = [axis.get_position() for axis in axes]
    for number, place in enumerate(places):
        if number % columns:
            assert place.x0 > places[number - 1].x0
            assert place.y0 == places[number - 1].y0
        elif number:
            assert place.y1 < places[number - 1].y0
            assert place.x0 == places[0].x0
    assert [number for number, axis in enumerate(axes) if axis.get_xlabel()] == labelled
    assert [number for number, axis in enumerate(axes) if axis.get_ylabel()] == list(range(0, count, columns))
    shown = [any(tick.label1.get_visible() for tick in axis.xaxis.get_major_ticks()) for axis in axes]
    assert [number for number, seen in enumerate(shown) if seen] == labelled


def test_of_many_policies_the_first_twelve_are_drawn(tmp_path: Path) -> None:
    runs = {f"p{chr(122 - number)}": [hand_run(10)] for number in range(13)}
    figure = drawn(plot_memory, tmp_path, runs)
    axes = panels(figure)
    assert titles(figure) == list(runs)[:12]
    assert words(figure).endswith("12 of 13 policies are drawn")
    # There are eight colours; the ninth policy begins anew, in other shades.
    colours = [coloured(next(line for line in step_lines(axis) if not line.is_dashed())) for axis in axes]
    assert colours[:8] == list(PALETTE)
    assert len(set(colours)) == 12


def test_of_twelve_policies_all_are_drawn_and_nothing_is_said() -> None:
    runs = {f"p{99 - number}": {"kernel_mean": [1.0]} for number in range(12)}
    figure = Figure()
    heading(figure, "What is found", "Title", score_scenario(runs), "how to read it")
    assert words(figure) == "Title: w on m how to read it"


def test_a_heading_is_written_line_below_line_above_the_panels() -> None:
    with styled():
        figure = Figure(figsize=(4, 4))
        axis = figure.subplots()
    axis.set_title("panel")
    heading(
        figure,
        "What is found",
        "Title",
        score_scenario({"p": {"kernel_mean": [1.0]}}),
        "one two three " * 10,
        "the last",
    )
    figure.draw_without_rendering()
    # From the top of the figure down: the title, the lines of the notes, the panel.
    texts = [text.get_window_extent() for text in [*figure.texts, axis._left_title]]  # type: ignore[attr-defined]  # noqa: SLF001
    assert len(texts) == 7
    assert texts[0].y1 < figure.bbox.y1
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(texts))
    assert all(text.x0 > 0 and text.x1 < figure.bbox.x1 for text in texts)
    found = [text.get_text() for text in figure.texts]
    assert (*found[:2], found[-1]) == ("What is found", "Title: w on m", "the last")


def test_all_columns_of_memory_are_in_gib(tmp_path: Path) -> None:
    events = [(2, EventKind.REQUEST, -1, 16, -1), (3, PLUG, 40, 24, ZONE_MOVABLE), (4, PLUG, 64, 32, ZONE_NORMAL)]
    store = stored(tmp_path, {"p": [hand_run(10, events)]})
    (scenario,) = scenarios(store.runs())
    found = memory_series(store, scenario, "p")
    assert {name: line.mean.tolist() for name, line in found.items()} == {
        "movable_bytes": [0, 0, 3, 3],
        "kernel_bytes": [1, 1, 1, 5],
        "plugged_bytes": [1, 1, 4, 8],
    }
    assert all(line.time.tolist() == [0, 2, 3, 4] for line in found.values())
