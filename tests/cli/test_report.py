"""The command ``report``: where the page goes, what it says, and what is told where there is none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sim.api import run
from sim.cli.main import BAD_INPUT, main
from sim.results.store import ResultStore
from tests.support.doc_pages import DocPage, do
from tests.support.lock_holder import holder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the results of one experiment, ``small``."""
    out = tmp_path_factory.mktemp("results")
    run(
        {
            "name": "small",
            "machines": [{"label": "m", "boot_memory": "1GiB"}],
            "policies": [{"name": "contig-zones"}, {"name": "online-movable"}],
            "workloads": [{"name": "steps", "steps": ["plug dimm:1GiB"]}],
        },
        out,
        workers=1,
    )
    return out


def report(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["report", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_page_goes_into_the_results_and_its_path_is_told(folder: Path) -> None:
    told = report(str(folder / "small")).output
    page = folder / "small" / "report.html"
    assert told == f"Report    {page} ({page.stat().st_size / 1e6:.2f} MB)\n"
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_folder_with_a_single_experiment_is_enough(folder: Path) -> None:
    assert f"{folder}/small/report.html" in report(str(folder)).output


def test_the_page_goes_where_it_is_asked_to(folder: Path, tmp_path: Path) -> None:
    report(str(folder), "--out", str(tmp_path / "page.html"))
    assert (tmp_path / "page.html").is_file()


def test_while_another_command_is_at_work_it_goes_elsewhere_or_waits(folder: Path, tmp_path: Path) -> None:
    (folder / "small" / "report.html").unlink(missing_ok=True)
    with holder(folder / "small") as other:
        for inside in ([], ["--out", str(folder / "small" / "page.html")]):
            told = report(str(folder), *inside, code=BAD_INPUT).stderr
            assert f"another process is at work in it (process {other.pid} on " in told
        report(str(folder), "--out", str(tmp_path / "page.html"))
        threading.Timer(0.4, other.kill).start()
        assert report(str(folder), "--wait").stderr.startswith(f"Waiting for process {other.pid} on ")
    assert (folder / "small" / "report.html").read_bytes() == (tmp_path / "page.html").read_bytes()
    assert not (folder / "small" / "page.html").exists()


def test_a_folder_without_results_is_no_traceback(tmp_path: Path) -> None:
    told = report(str(tmp_path), code=BAD_INPUT).stderr
    assert told == f"Error: {tmp_path} holds no results: it has none of their folders, such as runs and events\n"
    assert "holds no results" in report(str(tmp_path / "gone"), code=BAD_INPUT).stderr


def test_a_page_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path, tmp_path / "file" / "page.html"):
        told = report(str(folder), "--out", str(out), code=BAD_INPUT).stderr
        assert told.startswith(f"Error: {tmp_path}")


def test_a_map_is_of_a_workload_that_is_there(folder: Path, tmp_path: Path) -> None:
    assert "'none'" in report(str(folder), "--map", "none", code=BAD_INPUT).stderr
    page = tmp_path / "page.html"
    workload = ResultStore(folder / "small").labels()[0]["workload"]
    report(str(folder), "--map", workload, "--out", str(page))
    assert 'class="memory-map"' in page.read_text()


def test_damaged_results_are_told(tmp_path: Path) -> None:
    table = tmp_path / "runs"
    table.mkdir(parents=True)
    (table / "runs-00-of-01.parquet").write_bytes(b"PAR1 and no more")
    told = report(str(tmp_path), code=BAD_INPUT).stderr
    assert f"Warning: {table}/runs-00-of-01.parquet: is no file of this program, or its end is missing" in told
    assert f"Error: {tmp_path}: no run of it can be read" in told


@pytest.mark.slow
def test_the_page_of_the_documentation_does_what_it_says(tmp_path: Path) -> None:
    page = DocPage("report.md")
    *_, told = [do(command, tmp_path) for command in page.commands]
    html = tmp_path / "results" / "quickstart" / "report.html"
    assert told.startswith("Report    results/quickstart/report.html (0.")
    assert html.stat().st_size < 1_000_000


def test_a_name_without_its_folder_is_answered_with_the_results_that_may_be_meant(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "results").symlink_to(folder if folder.name != "small" else folder.parent)
    monkeypatch.chdir(tmp_path)
    for command in ("report", "compare"):
        for name in ("small", "small.toml"):
            told = CliRunner().invoke(main, [command, name])
            assert told.exit_code == BAD_INPUT
            assert told.stderr == (
                f"Error: {name} holds no results: it does not exist; did you mean {Path('results') / 'small'}?\n"
            )
        assert "did you mean" not in CliRunner().invoke(main, [command, "other"]).stderr
