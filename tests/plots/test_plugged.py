"""Where virtio-mem unplugs parts of blocks, memory comes back that zones still count: a line shows what is plugged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.analysis.scenario import scenarios
from sim.memory.zones import ZONE_NORMAL
from sim.plots.memory import plot_memory
from sim.plots.memory_map import plot_map
from sim.plots.panels import PLUGGED
from sim.record.recorder import EventKind
from sim.report.charts.drawing import Looks
from sim.report.charts.over_time import Drawn, memory_chart
from sim.report.charts.stored import StoredSteps
from tests.plots.by_hand import hand_run, legend, panels, points, stored, words

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.record.run_result import RunResult
    from sim.results.store import ResultStore

PARTS = "zones count blocks that are online: of some, virtio-mem may have unplugged a part"


def halves_go() -> RunResult:
    """Return a run of 100 s: to 1 GiB of boot memory come eight blocks, of four of which one half goes again."""
    parts = [(50.0, EventKind.SUBUNPLUG, 40 + number, 1, ZONE_NORMAL) for number in range(4)]
    run = hand_run(100, [(10, EventKind.PLUG, 40, 8, ZONE_NORMAL), *parts])
    run.events[1:, 6] //= 2
    return run


@pytest.fixture
def found(tmp_path: Path) -> tuple[ResultStore, Scenario]:
    store = stored(tmp_path, {"parts": [halves_go()], "whole": [hand_run(100)]})
    (scenario,) = scenarios(store.runs(), ("parts", "whole"))
    return store, scenario


def plugged(axis: Axes) -> list[tuple[float, float]]:
    (line,) = [line for line in axis.lines if line.get_gid() == PLUGGED]
    assert line.get_drawstyle() == "steps-post"
    return points(line)


def test_memory_has_a_line_of_what_is_plugged_beside_the_zones(found: tuple[ResultStore, Scenario]) -> None:
    figure = plot_memory(*found)
    parts, whole = panels(figure)
    assert plugged(parts) == [(0, 1), (10, 2), (50, 1.75), (100, 1.75)]
    assert plugged(whole) == [(0, 1), (100, 1)]
    assert "plugged in all, boot memory included" in legend(figure)
    assert PARTS in words(figure)


def test_of_parts_nothing_is_said_where_all_blocks_are_whole(tmp_path: Path) -> None:
    store = stored(tmp_path, {"p": [hand_run(100, [(10, EventKind.PLUG, 40, 8, ZONE_NORMAL)])]})
    (scenario,) = scenarios(store.runs())
    assert PARTS not in words(plot_memory(store, scenario))


def test_a_map_has_it_in_blocks_from_below(found: tuple[ResultStore, Scenario]) -> None:
    parts, whole = panels(plot_map(*found))
    assert plugged(parts) == [(0, 8), (10, 16), (50, 14), (100, 14)]
    assert plugged(whole) == [(0, 8), (100, 8)]


def test_a_legend_below_is_not_wider_than_its_figure(found: tuple[ResultStore, Scenario]) -> None:
    figure = plot_map(*found)
    figure.draw_without_rendering()
    (box,) = [each.get_window_extent() for each in figure.legends]
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_the_report_has_it(found: tuple[ResultStore, Scenario]) -> None:
    store, scenario = found
    chart = memory_chart(Drawn(StoredSteps(store), scenario, Looks(scenario.policies), "s", 100), "t")
    assert "plugged in all from 1 to 2 GiB, in the end 1.75 GiB" in chart.panels[0].words
    assert "plugged in all is 1 GiB throughout" in chart.panels[1].words
    assert [key.label for key in chart.legend][-1] == "plugged in all, boot memory included"
    assert 'class="line plugged"' in chart.html()
