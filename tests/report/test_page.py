"""The report of small real results: what stands on it is what the comparison says, whatever things are called."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from sim.analysis.compare import compare, number, shown_unit
from sim.api import Results, run
from sim.report.page import report_html, write_report
from sim.results.identity import canonical_json, sha256
from sim.results.manifest import write_manifest
from sim.results.store import ResultStore
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</script><img src=x onerror=alert(1)> ${x} {{ 7 * 7 }} `'\"&amp;\u202e"
LONG = "x" * 100
CJK = "\u6f22" * 20
ARABIC = "\u0645\u0631\u062d\u0628\u0627 '& $1"

BROKEN = f"""
from memhp_sim import Policy

class Broken(Policy):
    name = "broken"
    summary = {HOSTILE[:-1]!r}

    def zone_for(self, request, memory):
        raise RuntimeError({HOSTILE!r} + "\\x00\\n")
"""


class Page(HTMLParser):
    """The elements of a page with their attributes, the text of each table cell, JSON blocks and all other text."""

    VOID = frozenset({"meta", "br", "input", "img", "link", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.data: dict[str, Any] = {}
        self.cells: list[str] = []
        self.text: list[str] = []
        self.headings: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("th", "td"):
            self.cells.append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        _, attributes = self.elements[-1] if self.elements else ("", {})
        if self.open and self.open[-1] == "script":
            if attributes.get("type") == "application/json":
                self.data[str(attributes["id"])] = json.loads(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data)
            if self.open[-1] == "h2":
                self.headings.append(data)
            if {"th", "td"} & set(self.open) and "small" not in self.open:
                self.cells[-1] += data

    @property
    def plain(self) -> str:
        return " ".join(" ".join(self.text).split())

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "broken.py").write_text(BROKEN, "utf-8")
    return run(
        {
            "name": "hostile",
            "description": HOSTILE,
            "replications": 2,
            "guest": {"model": "linux", "draw": True},
            "machines": [{"label": ARABIC, "boot_memory": "1GiB"}],
            "policies": [
                {"name": "contig-zones", "label": CJK},
                {"name": "online-movable", "label": LONG},
                {"name": f"{folder}/broken.py:Broken"},
            ],
            "workloads": [
                {"name": "grow-and-return", "label": "{{ 7 }} & {%"},
                {"name": "steps", "label": "steps' $&", "steps": ["plug dimm:1GiB"]},
            ],
        },
        folder,
        workers=1,
    )


@pytest.fixture(scope="module")
def page(hostile: Results) -> Page:
    return Page(report_html(hostile.store.folder))


def test_nothing_that_users_write_becomes_markup(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.elements:
        assert not {"style", "src", "srcdoc", "action", "xlink:href"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert HOSTILE.replace("\u202e", "\ufffd") in page.plain
    assert page.plain.count("onerror=alert(1)") >= 3
    assert "\x00" not in page.plain


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for _, attributes in page.elements:
        assert str(attributes.get("href", "#")).startswith("#")
        assert "src" not in attributes
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none';")
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("href", "aria-labelledby", "data-tables"):
            if name in attributes:
                assert str(attributes[name]).removeprefix("#") in ids


def test_headings_descend_by_one_level_at_most(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_mean_on_the_page_is_the_comparisons(hostile: Results, page: Page) -> None:
    table = compare(hostile.runs(), hostile.baseline, tuple(SCORES), policies=hostile.policies)
    seen = 0
    captioned = [data for name, tables in page.data.items() if name.endswith("-scores") for data in tables]
    for workload, rows in table.groupby("workload", sort=False):
        shown: dict[tuple[str, str], str] = {}
        for data in (data for data in captioned if data["caption"].startswith(f"{workload} on ")):
            for row in data["rows"]:
                name = (row[0] if isinstance(row[0], str) else row[0][0]).removeprefix("✗ ")
                for head, cell in zip(data["heads"][1:], row[1:], strict=True):
                    shown[name, head.partition(" [")[0]] = cell if isinstance(cell, str) else cell[0]
        for (policy, title), text in shown.items():
            score = next(score for score in SCORES.values() if score.title == title)
            of_score = rows[rows["score"] == score.name]
            per, _ = shown_unit(score, of_score["mean"])
            row = of_score[of_score["policy"] == policy].iloc[0]
            runs = int(row["replications"])
            expected = number(row["mean"] / per) if score.highest != 1 else f"{round(row['mean'] * runs)} of {runs}"
            assert text == (expected if runs else "-"), (policy, title)
            seen += 1
    assert seen > 40


def test_scores_that_no_policy_differs_in_stand_in_a_sentence(page: Page) -> None:
    assert "The same for all: " in page.plain
    for tables in (value for name, value in page.data.items() if name.endswith("-scores")):
        for table in tables:
            for column in range(1, len(table["heads"])):
                cells = [
                    json.dumps(row[column][0] if isinstance(row[column], list) else row[column])
                    for row in table["rows"]
                ]
                values = [row[column][1] for row in table["rows"] if isinstance(row[column], list)]
                assert len(set(cells)) > 1 or len(set(values)) > 1 or len(table["rows"]) == 1


def test_what_failed_is_told_with_its_error_and_how_often(hostile: Results, page: Page) -> None:
    runs = hostile.runs()
    stopped = runs[runs["status"] == "failed"]
    assert set(stopped["policy"]) == {"Broken"}
    assert f"{len(stopped)} runs did not complete" in page.plain
    assert f"In stage policy , {len(stopped)} times, first: Broken, " in page.plain
    died = runs[runs["died"] == 1]
    assert len(died)
    for time in died["death_time"]:
        assert f"guest died at {time:,.0f} s (" in page.plain


def test_what_was_drawn_at_random_is_told(page: Page) -> None:
    assert "these factors were drawn anew" in page.plain


def test_the_same_results_give_the_same_bytes_wherever_they_are(hostile: Results, tmp_path: Path) -> None:
    moved = tmp_path / "hostile"
    shutil.copytree(hostile.store.folder, moved)
    manifest = json.loads((moved / "manifest.json").read_text("utf-8"))
    manifest["timings"] = {"started": "2001-01-01T00:00:00+00:00", "seconds": 1e9, "workers": 99}
    write_manifest(moved, manifest)
    assert report_html(moved) == report_html(hostile.store.folder)


def test_it_is_written_where_it_is_asked_for(hostile: Results, tmp_path: Path) -> None:
    assert hostile.report() == hostile.store.folder / "report.html"
    other = hostile.report(tmp_path / "to" / "other.html")
    assert other.read_bytes() == (hostile.store.folder / "report.html").read_bytes()


@pytest.mark.parametrize("gone", ["manifest.json", "experiment.toml", "both", "damaged", "plug-in"])
def test_results_without_all_of_their_files_still_have_an_honest_page(
    hostile: Results, tmp_path: Path, gone: str
) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(hostile.store.folder, folder)
    for name in ("manifest.json", "experiment.toml"):
        if gone in (name, "both"):
            (folder / name).unlink()
    manifest = folder / "manifest.json"
    if gone == "damaged":
        manifest.write_text("{]")
    if gone == "plug-in":
        changed = json.loads(manifest.read_text("utf-8").replace("broken.py", "gone.py"))
        write_manifest(folder, {**changed, "config_sha256": sha256(canonical_json(changed["config"]))})
    page = Page(report_html(folder))
    told = {
        "manifest.json": "has no manifest",
        "both": "has no manifest",
        "damaged": "its manifest cannot be read",
        "plug-in": "cannot be had any more",
    }
    if gone in told:
        assert told[gone] in page.plain
    assert LONG in page.plain
    assert f"{CJK} 2" not in page.plain


def test_results_of_nothing_but_failed_runs_say_so(hostile: Results, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(hostile.store.folder, folder)
    store = ResultStore(folder)
    store.prune({each["cell"] for each in store.labels() if each["status"] == "failed"})
    page = Page(report_html(folder))
    assert "No run has completed, so there is no answer yet." in page.plain
    assert "runs did not complete" in page.plain
    assert "No guest is modelled" not in page.plain
    assert "Is there a better setting" not in page.plain
    assert "What failed has the errors." in page.plain


def test_an_empty_folder_of_results_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert "There are no runs in this folder." in Page(report_html(tmp_path)).plain


def test_one_policy_in_one_run_without_a_guest_has_a_page(tmp_path: Path) -> None:
    results = run(
        {
            "name": "one",
            "machines": [{"label": "m", "boot_memory": "1GiB"}],
            "policies": [{"name": "contig-zones"}],
            "workloads": [{"name": "steps", "steps": ["plug dimm:1GiB"]}],
        },
        tmp_path,
        workers=1,
    )
    page = Page(report_html(results.store.folder))
    assert "There is but one policy, contig-zones, so nothing is compared." in page.plain
    assert "No guest is modelled, so none can fail." in page.plain
    assert "Nothing is random here" in page.plain


def test_nothing_is_left_where_the_report_cannot_be_written(hostile: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        write_report(hostile.store.folder, tmp_path / "file" / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_decisions_that_cost_most_are_told_where_a_policy_knows_the_future(tmp_path: Path) -> None:
    results = run(
        {
            "name": "bounded",
            "guest": {"model": "linux"},
            "machines": [{"label": "m", "boot_memory": "1GiB"}],
            "policies": [{"name": "contig-zones"}, {"name": "clairvoyant"}],
            "workloads": [{"name": "steps", "steps": ["plug dimm:1GiB", "unplug new-dimm0"]}],
        },
        tmp_path,
        workers=1,
    )
    page = Page(report_html(results.store.folder))
    assert "The decisions that cost most" in page.headings
    assert "contig-zones against clairvoyant, in sum over the one run of each" in page.plain


def test_no_decision_is_told_to_cost_anything_where_nobody_knows_the_future(page: Page) -> None:
    assert "The decisions that cost most" not in page.headings
