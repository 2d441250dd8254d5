"""The report stays readable and bounded where there are many scenarios: an index, and details of as many as fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sim.report import scenarios
from sim.report.charts.over_time import MOST_COLUMNS
from sim.report.memory_map import scenario_maps
from sim.report.page import report_html
from tests.report.test_page import Page
from tests.support.many_runs import make
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from sim.api import Results

SCENARIOS = 4


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return make(tmp_path_factory.mktemp("several"), 2, SCENARIOS, 1)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no charts drawn but those of the first scenario: they take most of the time, and are of no concern here."""
    monkeypatch.setattr(scenarios, "MOST_DRAWN", 1)


def index_of(page: Page) -> list[str | None]:
    """Return where the rows of the index lead; None for one that leads nowhere."""
    start = next(
        i for i, (_, attributes) in enumerate(page.elements) if attributes.get("aria-label") == "All scenarios"
    )
    end = next(i for i, (tag, _) in enumerate(page.elements) if i > start and tag == "details")
    rows = [
        i for i, (tag, a) in enumerate(page.elements[:end]) if i > start and tag == "th" and a.get("scope") == "row"
    ]
    return [page.elements[row + 1][1].get("href") for row in rows]


@pytest.mark.usefixtures("undrawn")
def test_each_scenario_has_a_row_that_leads_to_its_details(several: Results) -> None:
    page = Page(report_html(several.store.folder))
    assert index_of(page) == [f"#s{number}" for number in range(1, SCENARIOS + 1)]
    assert f"Charts are drawn of the first scenarios, and not of {SCENARIOS - 1} more" in page.plain
    assert [name for name in page.data if name.endswith("-scores")] == [f"s{n}-scores" for n in range(1, SCENARIOS + 1)]


@pytest.mark.usefixtures("undrawn")
def test_tables_that_do_not_fit_are_left_out_the_last_first_and_said(
    several: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Page(report_html(several.store.folder))
    room = sum(len(json.dumps(whole.data[f"s{number}-scores"])) for number in (1, 2))
    monkeypatch.setattr(scenarios, "MOST_BYTES", room)
    page = Page(report_html(several.store.folder))
    there = [name for name in page.data if name.endswith("-scores")]
    assert 0 < len(there) < SCENARIOS
    assert there == [f"s{number}-scores" for number in range(1, len(there) + 1)]
    assert index_of(page) == [f"#s{number}" for number in range(1, len(there) + 1)] + [None] * (SCENARIOS - len(there))
    assert f"The tables of the last {SCENARIOS - len(there)} scenarios would make this page too large" in page.plain


@pytest.mark.usefixtures("undrawn")
def test_an_index_that_would_be_too_long_says_how_many_rows_it_lacks(
    several: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "MOST_ROWS", 2)
    page = Page(report_html(several.store.folder))
    assert index_of(page) == ["#s1", "#s2"]
    assert f"{SCENARIOS - 2} more scenarios are not listed here" in page.plain


def test_the_documentation_tells_these_bounds() -> None:
    text = " ".join((ROOT / "docs" / "report.md").read_text("utf-8").split())
    for bound in (
        f"Tables take {scenarios.MOST_BYTES // 10**6} MB at most",
        f"of the first scenarios, {scenarios.MOST_DRAWN} and {scenarios.MOST_RUNS_DRAWN} runs of them at most",
        f"in up to {MOST_COLUMNS} columns of time",
        f"A page has maps of {scenario_maps.MOST_RUNS} runs, of the first scenarios,",
        f"in at most {scenario_maps.MOST_BYTES / 10**6:.1f} MB",
    ):
        assert bound in text


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(10, 100, 10), (5, 100, 20)], ids=["without intervals", "with intervals"])
def test_ten_thousand_runs_take_20_seconds_one_and_a_half_gib_and_a_few_megabytes(
    tmp_path: Path, sizes: tuple[int, int, int]
) -> None:
    """Of the processor: on a machine that does other things too, a clock says little."""
    folder = make(tmp_path, *sizes).store.folder
    code = (
        "import resource, sys; from sim.cli.main import main; main(sys.argv[1:], standalone_mode=False);"
        "used = resource.getrusage(resource.RUSAGE_SELF);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in (("report", str(folder)), ("compare", str(folder), "--json")):
        arguments = [sys.executable, "-c", code, *command]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
        seconds, most = map(float, done.stderr.splitlines()[-1].split())
        assert seconds < 20, command
        assert most < 1.5 * 2**30, command
    assert (folder / "report.html").stat().st_size < 8_000_000
