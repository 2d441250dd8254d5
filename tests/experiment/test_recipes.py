"""The recipes run as they are shipped: each with its look-alike, for a short while."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment.load import load
from sim.incidents.runs import run_all
from sim.look_alikes.data_sets import DATA_SETS
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

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
    assert f"memhp-sim run experiments/recipes/{path.name}" in comment
    for workload in tables(path).get("workloads", ()):
        if played := demand(workload):
            assert f"--set workloads.{workload['label']}.{played['label']}.path=" in comment


def test_every_data_set_that_is_looked_alike_has_a_recipe() -> None:
    text = "".join(path.read_text("utf-8") for path in RECIPES)

    for data_set in DATA_SETS.values():
        for file in data_set.files.values():
            assert not file.name or f"../data/{file.name}" in text, file.name
