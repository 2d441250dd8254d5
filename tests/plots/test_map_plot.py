"""The figure map, read back: which colour stands at which time and address, and what the axes and the legend say."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from sim.analysis.scenario import scenarios
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.plots.colours import ZONE_COLOURS, ZONE_NAMES
from sim.plots.memory_map import plot_map
from sim.plots.panels import PLUGGED
from sim.record.blockmap import BlockState
from sim.record.recorder import EventKind
from tests.plots.by_hand import coloured, hand_run, legend, panel, panels, points, stored, titles, words
from tests.support.shared import by_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from sim.record.run_result import RunResult

PLUG, ADD, ONLINE, UNPLUG = EventKind.PLUG, EventKind.ADD, EventKind.ONLINE, EventKind.UNPLUG

# Of 100 s. Boot memory is blocks 0 (of several zones) to 7; the DIMM begins at 5 GiB, at block 40.
ZETA = hand_run(100, [(25, PLUG, 40, 4, ZONE_MOVABLE), (50, ADD, 44, 4, -1)])
ALPHA = hand_run(100, [(50, PLUG, 40, 6, ZONE_NORMAL), (75, UNPLUG, 44, 2, ZONE_NORMAL)])


COUNTED = "plugged in all, counted in blocks from below"


def drawn(folder: Path, runs: Mapping[str, Sequence[RunResult]]) -> Figure:
    store = stored(folder, runs)
    (scenario,) = scenarios(store.runs(), tuple(runs))
    return plot_map(store, scenario)


@pytest.fixture(scope=by_module)
def figure(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    return drawn(tmp_path_factory.mktemp("map"), {"zeta": [ZETA], "alpha": [ALPHA]})


def colour_at(axis: Axes, time: float, height: float) -> str:
    """Return the colour that is seen at ``time`` and ``height``, both as the axes count."""
    (image,) = axis.images
    values = np.asarray(image.get_array())
    left, right, bottom, top = image.get_extent()
    across = int((time - left) / (right - left) * values.shape[1])
    up = int((height - bottom) / (top - bottom) * values.shape[0])
    value = values[up if image.origin == "lower" else values.shape[0] - 1 - up, across]
    shown: Any = image.cmap(image.norm(value))
    return to_hex(shown)


def seen(figure: Figure, policy: str, time: float) -> list[str]:
    """Return what the legend calls the colours at ``time``, from the lowest place of the panel to the highest."""
    names = {coloured(handle): label for label, handle in legend(figure).items()}
    axis = panel(figure, policy)
    return [names[colour_at(axis, time, row + 0.5)] for row in range(16)]


def test_every_block_has_its_zone_at_its_place_at_every_time(figure: Figure) -> None:
    boot = ["several zones"] + ["Normal"] * 7
    for time in (1, 24):
        assert seen(figure, "zeta", time) == boot + ["not there"] * 8
    for time in (26, 49):
        assert seen(figure, "zeta", time) == boot + ["MOVABLE"] * 4 + ["not there"] * 4
    for time in (51, 99):
        assert seen(figure, "zeta", time) == boot + ["MOVABLE"] * 4 + ["offline"] * 4
    for time in (1, 49):
        assert seen(figure, "alpha", time) == boot + ["not there"] * 8
    for time in (51, 74):
        assert seen(figure, "alpha", time) == boot + ["Normal"] * 6 + ["not there"] * 2
    for time in (76, 99):
        assert seen(figure, "alpha", time) == boot + ["Normal"] * 4 + ["not there"] * 4


def test_time_runs_to_the_right_and_addresses_upwards(figure: Figure) -> None:
    for axis in panels(figure):
        assert axis.get_xlim() == (0, 100)
        assert axis.get_ylim() == (0, 16)
        assert axis.get_xlabel() == "simulated time [seconds]"
    assert [axis.get_ylabel() for axis in panels(figure)] == ["physical address [GiB]", ""]
    assert titles(figure) == ["zeta", "alpha"]


def ticks(axis: Axes) -> dict[float, str]:
    labels = [label.get_text() for label in axis.get_yticklabels()]
    return dict(zip(map(float, axis.get_yticks()), labels, strict=True))


def test_rows_are_labelled_with_the_addresses_of_their_blocks(figure: Figure) -> None:
    # Sixteen blocks of 1/8 GiB, every second one labelled; with row 8 addresses jump from 1 GiB to 5 GiB.
    assert ticks(panel(figure, "zeta")) == {
        0: "0", 2: "0.25", 4: "0.5", 6: "0.75", 8: "5", 10: "5.25", 12: "5.5", 14: "5.75",
    }  # fmt: skip


def jumps(axis: Axes) -> list[Line2D]:
    """Return the lines where addresses jump."""
    return [line for line in axis.lines if line.get_gid() != PLUGGED]


def test_a_line_shows_where_addresses_jump(figure: Figure) -> None:
    handle: Any = legend(figure)["gap in the addresses"]
    for axis in panels(figure):
        (line,) = jumps(axis)
        assert {y for _, y in points(line)} == {8}
        assert coloured(line) == coloured(handle)


def test_where_addresses_jump_there_is_a_label_and_none_too_near(tmp_path: Path) -> None:
    # From block 41: with row 8 begins 41/8 GiB; the round address of block 42 is but one row further up.
    figure = drawn(tmp_path, {"p": [hand_run(100, [(50, PLUG, 41, 8, ZONE_MOVABLE)])]})
    assert ticks(panel(figure, "p")) == {
        0: "0", 2: "0.25", 4: "0.5", 6: "0.75", 8: "5.125", 11: "5.5", 13: "5.75", 15: "6",
    }  # fmt: skip


def test_without_a_jump_there_is_no_line_and_up_to_nine_blocks_all_have_a_label(tmp_path: Path) -> None:
    figure = drawn(tmp_path, {"p": [hand_run(100, [(50, PLUG, 8, 1, ZONE_MOVABLE)])]})
    assert not jumps(panel(figure, "p"))
    assert "gap in the addresses" not in legend(figure)
    assert list(ticks(panel(figure, "p")).values()) == [f"{row / 8:g}" for row in range(9)]


def test_a_gap_of_one_block_is_a_gap(tmp_path: Path) -> None:
    figure = drawn(tmp_path, {"p": [hand_run(100, [(50, PLUG, 9, 1, ZONE_MOVABLE)])]})
    assert [{y for _, y in points(line)} for line in jumps(panel(figure, "p"))] == [{8}]
    assert "gap in the addresses" in legend(figure)


def test_the_legend_names_what_is_seen_in_any_panel_and_nothing_else(figure: Figure) -> None:
    assert list(legend(figure)) == [
        "several zones", "Normal", "MOVABLE", "offline", "not there", COUNTED, "gap in the addresses",
    ]  # fmt: skip
    for code, name in ((BlockState.SEVERAL_ZONES, "several zones"), (ZONE_NORMAL, "Normal"), (ZONE_MOVABLE, "MOVABLE")):
        assert coloured(legend(figure)[name]) == ZONE_COLOURS[code]


def test_a_block_that_no_policy_but_one_has_leaves_its_row_empty_elsewhere(tmp_path: Path) -> None:
    runs = {
        "b": [hand_run(100, [(50, PLUG, 40, 4, ZONE_MOVABLE)])],
        "a": [hand_run(100, [(50, PLUG, 56, 4, ZONE_MOVABLE)])],
    }
    figure = drawn(tmp_path, runs)
    boot = ["several zones"] + ["Normal"] * 7
    assert seen(figure, "b", 99) == boot + ["MOVABLE"] * 4 + ["not there"] * 4
    assert seen(figure, "a", 99) == boot + ["not there"] * 4 + ["MOVABLE"] * 4
    assert [{y for _, y in points(line)} for line in jumps(panel(figure, "a"))] == [{8}, {12}]
    assert ticks(panel(figure, "b"))[12] == "7"


def test_a_map_is_sampled_evenly_from_the_beginning_to_the_end(figure: Figure) -> None:
    values = np.asarray(panel(figure, "zeta").images[0].get_array())
    assert values.shape == (16, 600)
    # 600 samples are 599 steps of 100 s; the first one not before 25 s is number 150, not before 50 s number 300.
    assert (values[8] != BlockState.ABSENT).tolist() == [False] * 150 + [True] * 450
    assert (values[12] == BlockState.OFFLINE).tolist() == [False] * 300 + [True] * 300


@pytest.mark.parametrize(("blocks", "rows", "note"), [(2040, 2048, ""), (2041, 1025, "; one in 2 is drawn")])
def test_a_large_machine_is_thinned_out(tmp_path: Path, blocks: int, rows: int, note: str) -> None:
    figure = drawn(tmp_path, {"p": [hand_run(100, [(50, PLUG, 40, blocks, ZONE_MOVABLE)])]})
    axis = panel(figure, "p")
    assert np.asarray(axis.images[0].get_array()).shape[0] == rows
    assert axis.get_ylim() == (0, blocks + 8)
    assert words(figure).endswith(f"zone of every memory block (128 MiB) over time; replication 0{note}")
    # Labels are a power of two apart, up to nine of them: at every 32 GiB, and at the jump in place of 0 beside it.
    assert list(ticks(axis).values()) == ["0", *(f"{32 * number}" for number in range(1, 9))]


def test_the_first_replication_is_shown_and_named(tmp_path: Path) -> None:
    # The names of the cells sort the other way round.
    runs = {"b": [ZETA, ALPHA], "a": [ALPHA, ZETA]}
    store = stored(tmp_path, runs, first=3)
    (scenario,) = scenarios(store.runs(), tuple(runs))
    figure = plot_map(store, scenario)
    assert words(figure).endswith("replication 3")
    assert seen(figure, "b", 99)[8:] == ["MOVABLE"] * 4 + ["offline"] * 4
    assert seen(figure, "a", 99)[8:] == ["Normal"] * 4 + ["not there"] * 4


def test_all_panels_show_the_same_replication_also_where_the_first_run_of_one_failed(tmp_path: Path) -> None:
    store = stored(tmp_path, {"b": [ALPHA, ZETA]})
    stored(tmp_path, {"a": [ALPHA, ZETA]}, first=1)
    (scenario,) = scenarios(store.runs(), ("b", "a"))
    figure = plot_map(store, scenario)
    assert words(figure).endswith("replication 1")
    assert seen(figure, "b", 99)[8:] == ["MOVABLE"] * 4 + ["offline"] * 4
    assert seen(figure, "a", 99)[8:] == ["Normal"] * 4 + ["not there"] * 4


def test_policies_with_no_replication_in_common_show_the_first_of_each(tmp_path: Path) -> None:
    store = stored(tmp_path, {"b": [ALPHA]})
    stored(tmp_path, {"a": [ZETA, ALPHA]}, first=1)
    (scenario,) = scenarios(store.runs(), ("b", "a"))
    figure = plot_map(store, scenario)
    assert words(figure).endswith("the first replication of each policy")
    assert seen(figure, "b", 99)[8:] == ["Normal"] * 4 + ["not there"] * 4
    assert seen(figure, "a", 99)[8:] == ["MOVABLE"] * 4 + ["offline"] * 4


def test_zones_are_named_as_they_are_and_movable_is_bright() -> None:
    assert ZONE_NAMES == {
        -2: "not there", -1: "several zones", 0: "DMA", 1: "DMA32", 2: "Normal", 3: "MOVABLE", 4: "offline",
    }  # fmt: skip
    light = {code: sum(np.array([0.299, 0.587, 0.114]) * to_rgb(colour)) for code, colour in ZONE_COLOURS.items()}
    kernel, movable, offline, absent = max(light[0], light[1], light[2]), light[3], light[4], light[-2]
    assert all(brighter > darker + 0.05 for darker, brighter in pairwise((kernel, movable, offline, absent)))
    assert absent == pytest.approx(1)  # as the paper
