"""Sections of the page on runs made by hand: every figure, order and mark is what it should be."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from sim.comparison.gather import Gathered, Source
from sim.comparison.whole import whole
from sim.experiment.load import load
from sim.report import failures, question, scenarios
from sim.report.answer import answer
from sim.report.assumptions import assumptions
from sim.report.charts.by_policy import differences_chart, returned_chart, scores_chart
from sim.report.charts.drawing import Looks, axes
from sim.report.memory_map.scenario_maps import told_by
from sim.report.memory_map.texts import PAGES, PLAIN, Texts
from sim.report.next_steps import next_steps
from sim.report.origin import origin
from sim.report.scores import difference_text, headline_table
from sim.report.subject import Subject, read_subject
from sim.report.table import Cell, Table
from sim.results.manifest import write_experiment
from sim.results.store import ResultStore
from sim.scores.registry import SCORES
from sim.units import GIB
from tests.plots.by_hand import score_scenario
from tests.report.test_page import Page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.report.section import Section


def row(policy: str = "a", machine: str = "m", replication: int = 0, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a completed run in which something is random and nothing failed."""
    return {
        "machine": machine, "workload": "w", "policy": policy, "replication": replication, "seed": 1,
        "status": "completed", "streams_drawn": 3, "duration_s": 10.0, "recording": None, "guest_drawn": None,
        "configured_ratio": math.nan, "death_time": math.nan, "kernel_oom_first": math.nan, "death_cause": None,
        "stage": None, "error": None, "traceback": None, **dict.fromkeys(SCORES, 0.0), **more,
    }  # fmt: skip


def subject(rows: Sequence[Mapping[str, Any]], tables: Mapping[str, Any] | None = None, **manifest: Any) -> Subject:  # noqa: ANN401
    """Return what a report of these runs is about; ``tables`` are those of their experiment."""
    runs = pd.DataFrame(rows)
    policies = tuple(dict.fromkeys(runs["policy"]))
    pairs = tuple((machine, "w") for machine in dict.fromkeys(runs["machine"]))
    source = Source(Path("x"), "x", None if tables is None else load(tables), None, (1,))
    gathered = Gathered((source,), runs, policies, policies[0], (), pairs, ())
    return Subject(ResultStore("x"), manifest, tables or {}, whole(gathered))


def plain(section: Section) -> str:
    return Page(f"<main>{section.html}</main>").plain


def test_what_was_drawn_is_told_from_the_least_to_the_greatest() -> None:
    drawn = [json.dumps({"cache": value}) for value in (1.0, 0.5, 2.0, 1.5)]
    text = plain(assumptions(subject([row(replication=n, guest_drawn=each) for n, each in enumerate(drawn)])))
    assert "cache 0.5 to 2 " in f"{text} "


@pytest.mark.parametrize(("count", "most", "too_few"), [(3, "71", True), (14, "23", True), (15, "22", False)])
def test_what_was_never_seen_may_happen_as_often_as_clopper_and_pearson_say(
    count: int,
    most: str,
    too_few: bool,  # noqa: FBT001
) -> None:
    # 1 - 0.025^(1/n): 0.708, 0.232, 0.218
    runs = subject([row(policy, replication=n) for policy in "ab" for n in range(count)], finished=True)
    text = plain(assumptions(runs))
    assert f"With {count} replications, what was never seen may still happen in up to {most} % of runs" in text
    assert ("intervals of means are not told" in text) == too_few
    assert ("Intervals need at least 15 replications" in plain(next_steps(runs))) == too_few


def test_runs_that_failed_stand_in_order_with_the_first_time_and_how_many_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "_MOST_FAILED", 2)
    rows = [row("a", replication=n, died=1.0, death_time=30.0 + n, kernel_ooms=1.0, kernel_oom_first=20.0 + n)
            for n in range(5)]  # fmt: skip
    page = Page(f"<main>{failures.failures_section(subject(rows, cells={'planned': 8})).html}</main>")
    assert page.cells[5:9] == ["a", "w on m", "0", "20 s"]
    assert page.cells[10:14] == ["a", "w on m", "1", "21 s"]
    assert len(page.cells) == 15
    assert "In 5 of 5 runs the guest died" in page.plain
    assert "3 more stand in the table" in page.plain
    assert "3 runs that were planned are not there" in page.plain


def test_reasons_why_runs_stopped_are_counted_and_tracebacks_kept_from_their_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "_MOST_REASONS", 2)
    traceback = f"begin{'x' * 4000}end"
    rows = [row(replication=9)] + [
        row(replication=n, status="failed", stage="policy", error=f"error {n % 4}", traceback=traceback)
        for n in range(8)
    ]
    text = plain(failures.failures_section(subject(rows)))
    assert "8 runs did not complete" in text
    assert "error 1 In stage policy , 2 times, first: a, w on m, replication 1." in text
    assert "error 2" not in text
    assert "2 more reasons stand in" in text
    assert f"…{'x' * 3997}end" in text


TABLES: dict[str, Any] = {
    "machines": [{"label": each, "boot_memory": f"{n}GiB"} for n, each in enumerate("mno", 1)],
    "policies": [{"name": "contig-zones", "label": "a"}, {"name": "online-movable", "label": "b"}],
    "workloads": [{"name": "steps", "label": "w"}],
}


def test_the_setting_that_is_best_most_often_is_told_first() -> None:
    best = {"m": "a", "n": "b", "o": "b"}
    rows = [row(policy, machine, n, returned_share=90.0 if best[machine] == policy else 10.0)
            for machine in best for policy in "ab" for n in range(2)]  # fmt: skip
    found = subject(rows, TABLES)
    text = plain(next_steps(found))
    assert text.index("To set b , best on w on n; w on o".replace(" ,", ",")) < text.index("To set a, best on w on m")
    assert "To set" not in plain(next_steps(found, recommended=True))


@pytest.mark.parametrize("count", [2, 8, 9])
def test_up_to_eight_scenarios_have_their_finding_in_the_answer(count: int) -> None:
    rows = [row(policy, f"m{number}", n) for number in range(count) for policy in "ab" for n in range(2)]
    links = re.findall(r'href="#(s\d+)">w on (m\d+)<', answer(subject(rows)).html)
    assert links == [(f"s{n + 1}", f"m{n}") for n in range(count if count <= 8 else 0)]


def test_the_index_says_who_gave_most_back_and_who_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "_drawn", lambda *_: {})
    rows = [row(policy, machine, n, returned_share=90.0 if (machine, policy) == ("m", "b") else 50.0,
                died=float(machine == "all" or (machine, policy) == ("one", "a")))
            for machine in ("m", "same", "one", "all") for policy in "ab" for n in range(2)]  # fmt: skip
    cells = Page(f"<main>{scenarios.scenario_sections(subject(rows))[0].html}</main>").cells[5:25]
    assert [cells[at : at + 5] for at in range(0, 20, 5)] == [
        ["w on m", "b", "90", "none", "4"],
        ["w on same", "no difference", "-", "none", "4"],
        ["w on one", "b", "50", "✗ 1 of 2", "4"],
        ["w on all", "none: every policy failed", "-", "✗ 2 of 2", "4"],
    ]


@pytest.mark.parametrize(("most", "most_runs", "undrawn"), [(3, 12, 0), (2, 12, 1), (3, 11, 1), (3, 8, 1), (3, 1, 2)])
def test_charts_are_drawn_of_no_more_scenarios_and_runs_than_the_page_says(
    most: int, most_runs: int, undrawn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "MOST_DRAWN", most)
    monkeypatch.setattr(scenarios, "MOST_RUNS_DRAWN", most_runs)
    monkeypatch.setattr(scenarios, "parts_for", lambda *_: ())
    rows = [row(policy, machine, n) for machine in "mno" for policy in "ab" for n in range(2)]
    text = plain(scenarios.scenario_sections(subject(rows))[0])
    assert (f"not of {undrawn} more" in text) == bool(undrawn)
    assert ("Charts are drawn of the first" in text) == bool(undrawn)


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, ("▲ -2 (-3 to -1)", "good")),
        ({"better": "higher"}, ("▼ -2 (-3 to -1)", "bad")),
        ({"different": False}, ("-2 (-3 to -1)", "same")),
        ({"better": "neither"}, ("-2 (-3 to -1)", "same")),
        ({"difference_low": math.nan, "difference_high": math.nan, "different": False}, ("-2", "same")),
        ({"apart": 0, "difference": 0.0}, ("=", "same")),
        ({"policy": "a"}, ("", "")),
        ({"difference": math.nan}, ("", "")),
    ],
)
def test_a_difference_has_its_sign_its_interval_and_its_mark(changed: dict[str, Any], shown: tuple[str, str]) -> None:
    of_score = {"policy": "b", "baseline": "a", "difference": -2.0 * GIB, "difference_low": -3.0 * GIB,
                "difference_high": -1.0 * GIB, "apart": 3, "different": True, "better": "lower"}  # fmt: skip
    assert difference_text(of_score | changed, GIB) == shown


def test_how_often_a_policy_failed_has_an_interval_from_two_runs_on() -> None:
    for runs, count, span in ((1, "no", ""), (2, "0 of 2", "0 to 84 %")):  # 1 - 0.025^(1/2): 0.842
        (scenario,) = subject([row(policy, replication=n) for policy in "ab" for n in range(runs)]).scenarios
        cell = headline_table(scenario).rows[0][1]
        assert (cell.text, cell.gap) == (count, span)


def test_a_mean_stands_between_the_ends_of_its_interval() -> None:
    rows = [row(policy, replication=n, returned_share=start + n) for policy, start in (("a", 10), ("b", 60))
            for n in range(20)]  # fmt: skip
    (scenario,) = subject(rows).scenarios
    table = headline_table(scenario)
    place = next(n for n, head in enumerate(table.heads) if head.startswith("Came back"))
    cells = [each[place] for each in table.rows]
    assert [cell.text for cell in cells] == ["19.5", "69.5"]
    for cell, mean in zip(cells, (19.5, 69.5), strict=True):
        low, high = map(float, cell.below.split(" to "))
        assert mean - 5 < low < mean < high < mean + 5


def test_cells_are_packed_as_the_script_reads_them() -> None:
    cells = [Cell("x"), Cell("x", 0.5), Cell("x", math.nan, "y"), Cell("x", below="y", link="s1"), Cell("x", math.inf)]
    assert Table("c", ["h"] * 5, [cells]).data()["rows"] == [
        ["x", ["x", "0.5"], ["x", "", "y"], ["x", None, "y", "", "", "s1"], ["x", "Infinity"]]
    ]


def test_as_many_parts_as_fit_are_listed_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "_MOST", 2)
    policies = [{"name": "contig-zones", "label": f"p{number}"} for number in range(5)]
    text = plain(question.question(subject([row("p0")], TABLES | {"policies": policies})))
    assert "p0" in text
    assert "p1" in text
    assert "p2" not in text
    assert "4 more parts stand in the configuration" in text  # three policies, a machine


def test_long_lists_of_the_manifest_are_cut_in_the_middle() -> None:
    text = plain(origin(subject([row()], whole=list(range(12)), cut=list(range(13)))))
    assert "0; 1; 2; 3; 4; 5; 6; 7; 8; 9; 10; 11" in text
    assert "0; 1; 2; 3; 4; 5; … ; 12 (13 in all)" in text


def test_axes_grow_to_the_right_and_upwards() -> None:
    _, texts = axes((0.0, 10.0), (0.0, 10.0), (100, 100))
    across = {text: float(x) for x, text in re.findall(r'class="x" x="([\d.]+)%"[^>]*>([\d.]+)<', texts)}
    upwards = {text: float(y) for y, text in re.findall(r'class="y" x="0" y="([\d.]+)%"[^>]*>([\d.]+)<', texts)}
    assert (across["0"], across["5"], across["10"]) == (0, 50, 100)
    assert (upwards["0"], upwards["5"], upwards["10"]) == (100, 50, 0)


def test_what_gives_more_back_is_further_up_and_what_leaves_more_further_right() -> None:
    scenario = score_scenario(
        {"a": {"returned_share": [10, 10], "returned": [GIB, GIB], "headroom_min": [GIB, GIB]},
         "b": {"returned_share": [90, 90], "returned": [9 * GIB] * 2, "headroom_min": [2 * GIB, 2 * GIB]}}
    )  # fmt: skip
    chart = returned_chart(scenario, Looks(scenario.policies), "s1", "t")
    assert chart is not None
    (first, second) = re.findall(r'data-x="([\d.]+)" data-y="([\d.]+)"', chart.panels[0].marks)
    assert float(first[0]) < float(second[0])
    assert float(first[1]) > float(second[1])


def test_a_difference_that_may_be_chance_is_hollow() -> None:
    values = {"a": [50.0] * 20, "b": [90.0] * 20, "c": [80.0, 20.0] * 10}
    rows = [
        row(policy, replication=n, returned_share=each) for policy in values for n, each in enumerate(values[policy])
    ]
    found = subject(rows)
    (scenario,) = found.scenarios
    own = [each for each in scenario.rows if each["score"] == "returned_share"]
    drawable = found.findings["m", "w"]
    chart = differences_chart(drawable, Looks(drawable.policies), "s1", "t", own)
    assert chart is not None
    assert re.findall(r'class="mark ([^"]+)"', chart.panels[0].marks) == ["s0", "hollow s1"]
    assert re.findall(r'class="row"[^>]*>([^<]+)<', chart.panels[0].marks) == ["b", "c"]


def test_long_labels_of_swept_policies_are_told_apart_beside_their_rows_which_are_at_the_marks() -> None:
    labels = ["short", "auto-movable, ratio 301", "auto-movable, ratio 3010", "exactly nineteen ch"]
    rows = [
        row(label, replication=n, returned_share=10.0 * place) for place, label in enumerate(labels) for n in (0, 1)
    ]
    found = subject(rows)
    drawable = found.findings["m", "w"]
    chart = scores_chart(drawable, Looks(drawable.policies), "s1", "t", found.scenarios[0].rows)
    assert chart is not None
    (marks,) = (panel.marks for panel in chart.panels if panel.title.startswith("Came back"))
    beside = re.findall(r'class="row[ a-z]*" x="-8" y="([\d.]+)%"[^>]*>([^<]+)<', marks)
    assert [text for _, text in beside] == [
        "short",
        "auto-mov… ratio 301",
        "auto-mov…ratio 3010",
        "exactly nineteen ch",
    ]
    assert [float(y) for y, _ in beside] == [12.5, 37.5, 62.5, 87.5]
    assert [float(y) for y in re.findall(r'class="mark [^>]* y="([\d.]+)%"', marks)] == [12.5, 37.5, 62.5, 87.5]


def test_a_map_shows_the_replication_that_parts_policies_the_most_evenly() -> None:
    def shown(*died: Sequence[float]) -> str:
        return told_by(score_scenario({policy: {"died": each} for policy, each in zip("abcd", died, strict=True)}))[1]

    assert shown([1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]) == "Replication 1, in which 2 of 4 policies fail."
    assert shown([0, 1], [0, 1], [0, 1], [0, 1]) == "Replication 0."  # where all fail nothing is told
    assert shown([0, 1], [0], [0], [0]) == "Replication 0."  # which all of them have


def test_pages_are_told_from_numbers_by_what_they_are_and_how_many() -> None:
    texts = Texts()
    number, args = texts.take("255 256 257 of 256", {255, 256})
    assert args == (255, 256, 257, 256)
    assert texts.patterns[number] == f"{PLAIN} {PAGES} {PLAIN} of {PAGES}"


def test_an_experiment_that_is_under_way_is_known_by_its_file(tmp_path: Path) -> None:
    write_experiment(tmp_path, {"name": "under way"})
    assert read_subject(tmp_path).name == "under way"
