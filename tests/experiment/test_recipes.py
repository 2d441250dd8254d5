"""The recipes run as they are shipped: each with its look-alike, for a short while."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.load import load
from sim.incidents.runs import run_all
from sim.look_alikes.data_sets import DATA_SETS
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ memhp-sim (.*)$", PAGE, re.MULTILINE)
FOLDER = ROOT / "experiments" / "recipes"
RECIPES = sorted(FOLDER.glob("*.toml"))
WITH_WORKLOADS = [path for path in RECIPES if "[[workloads]]" in path.read_text("utf-8")]
SHORT_S = {"bitbrains-month": 7200.0, "bitbrains-5min": 1800.0}


def tables(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def demand(workload: dict[str, Any]) -> dict[str, Any] | None:
    return next((part for part in workload.get("together", ()) if part["name"] == "guest-trace"), None)


@pytest.mark.parametrize("path", WITH_WORKLOADS, ids=lambda path: path.stem)
def test_a_recipe_runs_with_what_is_shipped(path: Path) -> None:
    short = tables(path)
    short["replications"] = 1
    short["policies"] = [each for each in short["policies"] if each.get("label", each["name"]) == short["baseline"]]
    for workload in short["workloads"]:
        if played := demand(workload):
            played["end"] = SHORT_S.get(path.stem, 300.0)
        for part in workload.get("together", ()):
            if "duration" in part:
                part["duration"] = 600

    runs = run_all(load(short, folder=path.parent))

    assert len(list(runs)) == len(short["workloads"])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_what_it_asks_and_how_it_is_run(path: Path) -> None:
    comment = path.read_text("utf-8").partition("\n\n")[0]

    assert "?" in comment
    assert f"memhp-sim run recipes/{path.stem}" in comment
    for workload in tables(path).get("workloads", ()):
        if played := demand(workload):
            assert f"--set workloads.{workload['label']}.{played['label']}.path=" in comment


def test_every_data_set_that_is_looked_alike_has_a_recipe() -> None:
    text = "".join(path.read_text("utf-8") for path in RECIPES)

    for data_set in DATA_SETS.values():
        for file in data_set.files.values():
            assert not file.name or f"../data/{file.name}" in text, file.name


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has the experiments and nothing else."""
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("clone")
def test_every_size_is_the_recorded_one_as_the_page_finds_out(capsys: pytest.CaptureFixture[str]) -> None:
    ran("run", "experiments/recipes/hyperalloc-recorded.toml", "--no-plots", "--workers", "1")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})  # noqa: S102  the page's own code
    (line,) = capsys.readouterr().out.splitlines()
    assert f"`{line}`" in PAGE
    same, of = re.findall(r"(\d+) of (\d+)", line)[0]
    assert int(same) == int(of) > 1000


@pytest.mark.usefixtures("clone")
@pytest.mark.parametrize(
    "command",
    [pytest.param(each, marks=[pytest.mark.slow] if each.startswith(("run", "export")) else []) for each in COMMANDS],
)
def test_a_command_of_the_page_runs(command: str) -> None:
    assert ran(*shlex.split(command)) or command.startswith("export")


def test_a_machine_as_it_is_keeps_and_gets_what_the_page_says() -> None:
    file = str(FOLDER / "block-map.toml")
    assert ran("plan", file).count("all 2GiB come back") == 1
    rows = [row.split() for row in ran("plan", file, "--plug", "dimm:4GiB").splitlines()]
    assert ["contig-zones", "0", "4GiB", "64MiB", "8.11GiB", "no", "4GiB", "0", "0"] in rows
    assert ["auto-movable", "4GiB", "0", "64MiB", "4.15GiB", "no", "4GiB", "4GiB", "0"] in rows


def test_a_recipe_finds_its_data_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own paths count from its folder, and what is set from where one is, blanks in it or not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data").mkdir()
    mine = tmp_path / "my data" / "hyperalloc.csv.gz"
    mine.write_bytes((ROOT / "experiments" / "data" / mine.name).read_bytes())
    file = str(FOLDER / "hyperalloc-recorded.toml")
    settings = [f"workloads.build.{part}.path=my data/{mine.name}" for part in ("demand", "controller")]

    assert "no faults" in ran("validate", file)
    assert "no faults" in ran("validate", file, "--set", settings[0], "--set", settings[1])
    wrong = CliRunner().invoke(main, ["validate", file, "--set", settings[0].replace("my data", "no such")])
    assert (wrong.exit_code, "no such/hyperalloc.csv.gz cannot be read" in wrong.output) == (2, True)
