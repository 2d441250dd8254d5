"""The documentation's page "Plots": its experiment runs, its calls work, and its table has every kind."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.api import open_results
from sim.cli.main import main
from sim.plots.registry import GUEST_PLOTS, HEAT_MAP, KINDS, PLOTS
from tests.plots.by_hand import finding
from tests.support.doc_pages import DocPage

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

PAGE = DocPage("plots.md")


def test_the_table_has_every_kind_and_whether_it_is_drawn_without_being_asked_for() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", PAGE.text, re.MULTILINE))
    assert list(rows) == [*PLOTS, *GUEST_PLOTS, HEAT_MAP] == list(KINDS)
    assert {kind: rows[kind] != "no" for kind in PLOTS | GUEST_PLOTS} == {
        name: kind.usual for name, kind in (PLOTS | GUEST_PLOTS).items()
    }


def test_the_experiment_of_the_page_runs_and_its_figures_can_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    PAGE.write(tmp_path)
    for command in PAGE.commands:
        done = CliRunner().invoke(main, [*shlex.split(command)[2:], "--workers", "1"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    names = {path.stem for path in (tmp_path / "results" / "plots" / "plots").glob("*.png")}
    assert names == {
        "heatmap-1",
        *(f"{kind}-guest-load-pace-{pace}MiB" for kind in ("answer", "survival") for pace in (8, 16)),
    }
    results = open_results("results/plots")
    calls = re.findall(r"^results\.plot\(.*?\)(?= |$)", PAGE.text, re.MULTILINE)
    drawn: list[Figure] = [eval(call, {"results": results}) for call in calls]  # noqa: S307  our own page
    assert len(drawn) == 5
    assert all(finding(figure) for figure in drawn)


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    results = open_results(tmp_path)
    with pytest.raises(ValueError, match=r"there is no plot 'pie'; there are: memory, ratio,"):
        results.plot("pie")
    with pytest.raises(ValueError, match="no completed run of any workload on any machine; there are: nothing"):
        results.plot("memory")
