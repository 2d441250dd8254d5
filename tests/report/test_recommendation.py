"""A recommendation beside results stands first on their page, with all that it says."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from sim.api import run
from sim.cli.recommend_screen import _columns
from sim.recommend.document import Answer, LimitAsked, LimitKept, Recommendation, Tried, write
from sim.report.page import report_html
from sim.report.recommendation import _tried, recommendation
from tests.report.test_page import Page

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</p><script>alert(1)</script>"


def tried(label: str, **changed: Any) -> Tried:  # noqa: ANN401  fields of Tried
    fields: dict[str, Any] = {
        "label": label,
        "plugin": "auto-movable",
        "parameters": {},
        "machine": {},
        "varied": {},
        "choice": True,
        "replications": 40,
        "failed": 0,
        "mean": 90.0,
        "low": 88.0,
        "high": 92.5,
        "limits": (LimitKept(40, 40, 0.91, 1.0, "holds"),),
        "scores": {"headroom_min": 256 * 2**20, "returned_share": 90.0},
    }
    return Tried(**{**fields, **changed})


def answered(**changed: Any) -> Answer:  # noqa: ANN401  fields of Answer
    fields: dict[str, Any] = {
        "machine": "m",
        "workload": HOSTILE,
        "objective": "returned_share",
        "better": "higher",
        "indifference": 1.0,
        "pick": "b",
        "confidence": 0.95,
        "keeps": 0.99,
        "lacks": None,
        "open": (),
        "exhausted": False,
        "nothing_random": False,
        "recordings": None,
        "answer": f"Take b{HOSTILE}.",
        "certainty": ("held in 40 of 40",),
        "gives_up": ("a: more",),
        "wall": ("the wall is far",),
        "notes": ("a note",),
        "sensitivity": ({"change": "x", "sentence": "Twice as fast: holds."},),
        "how_to_set": {"parts": [{"title": "Kernel command line", "lines": ["a=1", "b=2"]}], "notes": ["by hand"]},
        "candidates": (
            tried("a", mean=95.0, limits=(LimitKept(10, 40, 0.1, 0.4, "broken"),)),
            tried("b"),
            tried("c", mean=None, low=None, high=None, choice=False, scores={"headroom_min": None}),
        ),
    }
    return Answer(**{**fields, **changed})


def recommended(*answers: Answer, together: Answer | None = None) -> Recommendation:
    limits = (LimitAsked("nothing fails", "told", ("died",), "at most", 0.0, 1.0),)
    return Recommendation("x", limits, by_default=True, confidence=0.95, runs=90, answers=answers, together=together)


def page_of(folder: Path, found: Recommendation) -> Page:
    write(folder, found)
    section = recommendation(folder)
    assert section is not None
    return Page(f"<main>{section.html}</main>")


def test_the_pick_stands_first_of_what_was_tried_and_everything_is_said(tmp_path: Path) -> None:
    page = page_of(tmp_path, recommended(answered()))
    for text in ("Take b", "held in 40 of 40", "a: more", "the wall is far", "a note", "Twice as fast", "by hand"):
        assert text in page.plain
    assert "a=1 b=2" in page.plain
    assert "Limits, by default: nothing fails" in page.plain
    assert page.cells[5:] == [
        *("b", "40 of 40", "90", "256", "40"),
        *("c", "40 of 40", "-", "-", "40"),
        *("a", "10 of 40", "95", "256", "40"),
    ]
    assert not {tag for tag, _ in page.elements} & {"script"}
    html = str(getattr(recommendation(tmp_path), "html", ""))
    assert re.findall(r'<th scope="row">(.)<small>(.*?)</small>', html) == [("b", "the pick"), ("c", "no choice")]
    assert 'data-v="256">256<' in html


def test_one_setting_for_all_scenarios_comes_before_those_of_each(tmp_path: Path) -> None:
    for_all = answered(machine="", workload="", answer="Take c everywhere.")
    text = page_of(tmp_path, recommended(answered(), together=for_all)).plain
    assert text.index("One setting for all scenarios") < text.index("Take c everywhere.") < text.index("Take b")


def test_that_nothing_is_within_the_limits_is_an_answer(tmp_path: Path) -> None:
    none = answered(pick=None, answer="Nothing keeps the limits.", costs=("died costs 3 points",), how_to_set={})
    text = page_of(tmp_path, recommended(none)).plain
    assert "Nothing keeps the limits." in text
    assert "What the limits cost died costs 3 points" in text
    assert "How to set it" not in text
    assert "What now: ask for less" in text
    assert "What now" not in page_of(tmp_path, recommended(answered())).plain
    assert "What now" not in page_of(tmp_path, recommended(answered(pick=None, open=("b",)))).plain


@pytest.mark.parametrize("content", ["{]", "[]", '{"format": 99}', "null"])
def test_a_recommendation_that_cannot_be_read_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "recommendation.json").write_text(content)
    section = recommendation(tmp_path)
    assert section is not None
    assert "is no recommendation" in section.html


def test_it_comes_first_on_the_page_and_is_the_answer(tmp_path: Path) -> None:
    folder = run(
        {
            "name": "one",
            "machines": [{"label": "m", "boot_memory": "1GiB"}],
            "policies": [{"name": "contig-zones"}, {"name": "auto-movable"}],
            "workloads": [{"name": "steps", "steps": ["plug dimm:1GiB"]}],
        },
        tmp_path,
        workers=1,
    ).store.folder
    assert json.loads((write(folder, recommended(answered()))).read_text("utf-8"))["format"] == 1
    headings = Page(report_html(folder)).headings
    assert headings[:3] == ["The recommendation", "The question", "What to do next"]


def test_a_candidate_for_which_there_was_no_budget_has_a_row(tmp_path: Path) -> None:
    never = tried(
        "never run", replications=0, mean=None, low=None, high=None, limits=(LimitKept(0, 0, None, None, "open"),)
    )
    write(tmp_path, recommended(answered(candidates=(tried("b"), never))))
    section = recommendation(tmp_path)
    assert section is not None
    rows = re.findall(r"<tr>(.*?)</tr>", section.html, re.DOTALL)
    (row,) = (row for row in rows if "never run" in row)
    assert re.findall(r"<td[^>]*>([^<]*)", row)[:2] == ["-", "-"]


def test_the_worst_replication_stands_beside_the_mean_of_a_least_on_the_page_and_on_the_screen() -> None:
    answer = answered(candidates=(tried("b", worst={"headroom_min": 0.0}), tried("a")))
    cells = {row[0].text: row[-2] for row in _tried(recommended(answer), answer, "w on m").rows}
    assert (cells["b"].text, cells["b"].below) == ("256", "least 0")
    assert cells["a"].below == ""
    (column,) = [column for column in _columns(answer, answer.candidates) if "headroom" in column.heading]
    assert [str(line) for line in column.cells["b"]] == ["256", "least 0"]
    assert [str(line) for line in column.cells["a"]] == ["256"]
