"""Of a score that is the least or the most of a run, the worst of all runs stands beside their mean, wherever shown.

One run of twenty comes to no headroom at all, which no mean tells.
"""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from sim.analysis.compare import compare
from sim.analysis.ranking import failures
from sim.analysis.same import side_by_side
from sim.analysis.verdict import verdict
from sim.cli.tables import print_comparison
from sim.comparison.document import document
from sim.comparison.forms import as_csv, as_latex, as_markdown
from sim.comparison.gather import Gathered
from sim.comparison.whole import whole
from sim.plots.scores import plot_scores
from sim.plots.tradeoff import plot_tradeoff
from sim.report.charts.by_policy import returned_chart, scores_chart
from sim.report.charts.drawing import Looks
from sim.report.scores import headline_table
from sim.results.store import ResultStore
from sim.scores.registry import SCORES
from sim.units import GIB
from tests.plots.by_hand import dots, panel, points, score_rows, score_scenario, words

if TYPE_CHECKING:
    import pandas as pd

    from sim.comparison.whole import Comparison

NOTHING = math.nan
VALUES: dict[str, dict[str, list[float]]] = {
    "base": {"headroom_min": [2.0 * GIB] * 20, "returned": [GIB] * 20, "unserved_max": [0.0] * 20},
    "near": {
        "headroom_min": [0.0, *[1.0 * GIB] * 19],
        "returned": [2 * GIB] * 20,
        "unserved_max": [*[0.0] * 19, 8.0 * GIB],
    },
}
MORE: dict[str, Any] = {"seed": 1, "streams_drawn": 1}


@pytest.fixture(scope="module")
def found() -> Comparison:
    pairs = (("m", "w"),)
    return whole(Gathered((), score_rows(VALUES, **MORE), tuple(VALUES), "base", (), pairs, ()))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def test_scores_that_are_called_so_are_the_least_or_the_most() -> None:
    for score in SCORES.values():
        called = {"least": "least", "most": "most", "highest": "most"}
        last = score.title.partition(", ")[2].split(" ")[0]
        assert score.extreme == called.get(last), score.name


@pytest.mark.parametrize(
    ("name", "worst"),
    [("headroom_min", 1.0), ("unserved_max", 4.0), ("plugged_max", 4.0), ("headroom_mean", NOTHING), ("died", NOTHING)],
)
def test_the_worst_is_the_least_or_the_most_whichever_is_bad(name: str, worst: float) -> None:
    assert SCORES[name].worst(np.array([2.0, 1.0, 4.0])) == pytest.approx(worst, nan_ok=True)
    assert math.isnan(SCORES[name].worst(np.array([])))


def test_a_comparison_has_it() -> None:
    rows = compare(score_rows(VALUES), scores=["headroom_min", "unserved_max", "returned"]).set_index(
        ["policy", "score"]
    )
    assert rows["worst"]["near"]["headroom_min"] == 0
    assert rows["mean"]["near"]["headroom_min"] == 0.95 * GIB
    assert rows["worst"]["near"]["unserved_max"] == 8 * GIB
    assert math.isnan(rows["worst"]["near"]["returned"])


def test_the_screen_has_it_below_the_mean() -> None:
    runs = score_rows(VALUES, **MORE)
    sink = io.StringIO()
    console = Console(file=sink, width=100, highlight=False)
    print_comparison(console, compare(runs, "base", ["headroom_min", "returned"]), runs)
    lines = [line.split() for line in sink.getvalue().splitlines()]
    (place,) = [number for number, line in enumerate(lines) if line[:1] == ["near"]]
    assert lines[place] == ["near", "2", "0.95"]
    assert lines[place + 1][-2:] == ["least", "0"]
    assert "Least and most are of any single replication." in " ".join(sink.getvalue().split())


def test_the_verdict_tells_it() -> None:
    runs = score_rows({"base": VALUES["base"], "near": VALUES["near"] | {"returned_share": [9.0] * 20}})
    rows = records(compare(runs, "base", ["headroom_min", "returned_share"]))
    said = " ".join(verdict(rows, failures(runs, ["base", "near"])))
    assert "its kernel headroom, least: 973 MiB" in said
    assert ", least 0" in said


def test_every_form_of_the_table_has_it(found: Comparison) -> None:
    (row,) = [
        row
        for row in csv.DictReader(io.StringIO(as_csv(found)))
        if (row["policy"], row["score"]) == ("near", "headroom_min")
    ]
    assert row["worst"] == "0.0"
    for text in (as_markdown(found), as_latex(found)):
        (line,) = [line for line in text.splitlines() if "Kernel headroom, least" in line]
        assert "0.95, least 0" in line.replace("\\", "")
        assert "Least and most are of any single replication." in text
    (of_json,) = document(found)["scenarios"]
    assert {row["worst"] for row in of_json["rows"] if row["score"] == "unserved_max"} == {0.0, 8.0 * GIB}


def test_the_report_has_it(found: Comparison) -> None:
    cells = [cell.below for row in headline_table(found.scenarios[0]).rows for cell in row]
    assert any(below.endswith("least 0") for below in cells)
    scenario, looks = score_scenario(VALUES), Looks(tuple(VALUES))
    chart = scores_chart(scenario, looks, "a", "t", records(compare(scenario.runs, scores=["headroom_min"])))
    assert chart is not None
    assert "near: 0.95 GiB" in chart.panels[0].words
    assert "least 0" in chart.panels[0].words
    assert chart.html().count('class="mark hollow worst') == 1
    traded = returned_chart(scenario, looks, "a", "t")
    assert traded is not None
    assert "(least 0)" in traded.panels[0].words
    assert "Lines go down to the replication with the least headroom." in traded.note


def test_the_plot_of_scores_has_it() -> None:
    figure = plot_scores(ResultStore("nowhere"), score_scenario(VALUES), ["headroom_min", "returned"])
    diamonds = [
        dot
        for dot in dots(panel(figure, "Kernel headroom, least"))
        if len(dot.get_sizes()) and dot.get_sizes()[0] == 26
    ]
    assert [tuple(np.asarray(dot.get_offsets())[0]) for dot in diamonds] == [(0.0, 1.0)]
    assert "hollow diamond: the worst replication" in words(figure)


def test_the_trade_off_has_it() -> None:
    figure = plot_tradeoff(ResultStore("nowhere"), score_scenario(VALUES))
    (axis,) = figure.axes
    lines = [points(line) for line in axis.lines if line.get_gid() == "worst"]
    assert lines == [[(0.0, 2.0), (pytest.approx(0.95 * 1024), 2.0)], [(0.0, 2.0)]]
    assert axis.get_xlim()[0] <= 0
    assert "line to the left: down to the replication with the least headroom" in words(figure)


def test_nothing_is_said_where_all_runs_are_alike() -> None:
    figure = plot_tradeoff(ResultStore("nowhere"), score_scenario({"base": VALUES["base"]}))
    assert "line to the left" not in words(figure)


def test_the_table_for_people_has_it() -> None:
    table = side_by_side(compare(score_rows(VALUES, **MORE), "base", ["headroom_min", "returned"]), "m", "w")
    near = {str(row): str(value) for row, value in table["near"].items()}
    assert near["Kernel headroom, least [GiB]"].startswith("0.95, least 0 (")
    assert "least" not in near["Memory given back [GiB]"]
