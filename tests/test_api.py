from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from sim.api import Results, open_results, run
from sim.faults import InputError
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from pathlib import Path

EXPERIMENT: dict[str, Any] = {
    "name": "tiny",
    "replications": 3,
    "baseline": "online-movable",
    "machines": [{"label": "vm", "boot_memory": "2GiB"}],
    "policies": [{"name": "online-movable"}, {"name": "auto-movable", "ratio": 150}],
    "workloads": [
        {"name": "virtio-mem-resize", "label": "bursts", "shape": "bursts", "maximum": "6GiB", "duration": 600}
    ],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(EXPERIMENT, tmp_path_factory.mktemp("out"), workers=1)


def test_a_plain_dict_runs_and_gives_tidy_tables(results: Results) -> None:
    runs = results.runs()
    assert list(runs["status"].unique()) == ["completed"]
    assert len(runs) == 6
    assert runs[["policy", "replication"]].drop_duplicates().shape == (6, 2)
    comparison = results.compare()
    assert list(comparison["policy"].unique()) == ["online-movable", "auto-movable"]
    assert set(comparison["baseline"]) == {"online-movable"}
    assert set(comparison["pairs"]) <= {0, 3}
    assert set(results.compare(list(SCORES))["score"]) == set(SCORES)
    assert set(results.series()["cell"]) == set(results.events()["cell"]) == set(runs["cell"])
    assert len(results.result(runs["cell"][0]).events) == runs["events"][0]


def test_what_was_written_is_opened_again(results: Results) -> None:
    again = open_results(results.store.folder)
    assert again.policies == results.policies == ["online-movable", "auto-movable"]
    assert again.baseline == "online-movable"
    assert again.manifest["cells"] == {"planned": 6, "completed": 6, "failed": 0}
    assert again.runs().equals(results.runs())


def test_results_without_a_manifest_are_still_readable(results: Results, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(results.store.folder / "runs", folder / "runs")
    copy = open_results(folder)
    assert copy.policies == ["auto-movable", "online-movable"]
    assert copy.baseline is None
    assert set(copy.compare()["baseline"]) == {"auto-movable"}


def test_figures_are_asked_for_by_name(results: Results) -> None:
    assert results.plot("memory", "bursts").axes
    assert results.plot("scores", "bursts", "vm").axes
    with pytest.raises(ValueError, match="no plot 'pie'; there are: memory, ratio, map, scores"):
        results.plot("pie", "bursts")
    with pytest.raises(ValueError, match="no completed run of 'x' on any machine; there are: bursts on vm"):
        results.plot("memory", "x")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no results"):
        open_results(tmp_path)
    with pytest.raises(InputError):
        run({**EXPERIMENT, "polices": []}, tmp_path)
