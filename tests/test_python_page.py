"""The page about Python and notebooks: its code runs as it stands there, one block after the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

import memhp_sim
from tests.support.doc_pages import DocPage
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PAGE = DocPage("python-and-notebooks.md")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.text, re.DOTALL)


def test_all_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, PAGE.text.partition("\n")[0], "exec"), names)  # noqa: S102 - the page's own code
    plt.close("all")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"results", "memory.png", "scores.csv", "events.parquet", "log.csv", "first.html"}
    said = capsys.readouterr().out
    assert "unknown key 'sed'; did you mean 'seed'?" in said
    assert "replications: 0 is not between" in said
    assert "Take contig-zones" in said
    assert names["results"].policies == ["contig-zones", "ratio 301"]


def test_everything_that_runs_or_reads_experiments_is_shown() -> None:
    """Names in small letters are what a script calls; those for plug-ins have pages of their own."""
    for_plug_ins = {"checked", "settled_by", "check_policy", "check_workload", "format_size", "parse_size"}
    called = {name for name in memhp_sim.__all__ if name.islower() and not name.startswith("_")} - for_plug_ins
    for name in called:
        assert re.search(rf"\b{name}\b", PAGE.text), name
    methods = {name for name in vars(memhp_sim.Results) if not name.startswith("_")} - {"store", "bound"}
    for name in methods:
        assert re.search(rf"\.{name}\b", PAGE.text), name


def test_the_notebook_is_where_the_page_says() -> None:
    (path,) = set(re.findall(r"notebooks/\w+\.ipynb", PAGE.text))
    assert (ROOT / path).is_file()
