"""A recommendation from its manifest: made again with what was asked, and its runs run again on their machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner

from sim.cli.main import BAD_INPUT, main
from sim.experiment import build
from sim.experiment.again import cell_again
from sim.experiment.load import load
from sim.recommend.asked import as_given, asked
from sim.results.manifest import RECOMMENDATION, read_manifest, write_manifest
from sim.results.store import ResultStore
from tests.recommend.test_candidates import scenario
from tests.recommend.test_command import contents

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, words), "--workers", "1"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recommendation of four candidates, two of which take memory's description from the memory itself."""
    folder = tmp_path_factory.mktemp("made")
    policies = [{"name": "contig-zones"}, {"name": "online-movable"}]
    guest = {"model": "linux"}
    tables = scenario(policies=policies, guest=guest, recommend={"add_linux_policies": False, "confidence": 0.9})
    (folder / "plug.toml").write_text(tomli_w.dumps(tables), "utf-8")
    more = ("--limit", "failed adds at most 2", "--minimise", "return_time", "--indifference", "2 min")
    result = invoke("recommend", folder / "plug.toml", "--out", folder, *more)
    assert result.exit_code == 0, result.output
    return folder / "plug-recommend"


def test_rerun_makes_the_recommendation_again(made: Path, tmp_path: Path) -> None:
    result = invoke("rerun", made, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert contents(tmp_path / "plug-recommend") == contents(made)
    assert "failed adds at most 2" in result.output


@pytest.mark.parametrize("word", ["--plots", "--force", "--draw=memory", "--scores=died", "--scheduler=local"])
def test_what_a_recommendation_has_not_is_refused(made: Path, word: str) -> None:
    result = invoke("rerun", made / "manifest.json", word)
    assert result.exit_code == BAD_INPUT
    assert f"a recommendation, which has no {word.partition('=')[0]}" in result.stderr


def test_a_manifest_that_does_not_say_what_was_asked_is_refused(made: Path, tmp_path: Path) -> None:
    manifest = read_manifest(made)
    del manifest[RECOMMENDATION]["asked"]
    write_manifest(tmp_path, manifest)
    result = invoke("rerun", tmp_path)
    assert result.exit_code == BAD_INPUT
    assert "does not say what was asked" in result.stderr
    # One that was written before there was anything to say.
    del manifest[RECOMMENDATION]
    write_manifest(tmp_path, manifest)
    (tmp_path / "recommendation.json").write_text("{}", "utf-8")
    result = invoke("rerun", tmp_path)
    assert result.exit_code == BAD_INPUT
    assert "does not say what was asked; memhp-sim recommend makes it anew" in " ".join(result.stderr.split())


def test_its_runs_are_run_again_on_the_machine_of_the_candidate(made: Path) -> None:
    store = ResultStore(made)
    policies = {store.labels_of(key)[0][2]: key for key in store.completed()}
    assert len(policies) == 4
    for label, key in policies.items():
        cell, stored = cell_again(store, key), store.result(key)
        assert cell.combination.machine.spec.memmap_on_memory is ("memmap_on_memory" in label)
        again = build.simulation(cell)()
        assert np.array_equal(again.events, stored.events)
        assert all(np.array_equal(again.guest[name], series) for name, series in stored.guest.items())
    manifest = read_manifest(made)
    assert manifest[RECOMMENDATION]["machines"].keys() == {label for label in policies if "memmap_on_memory" in label}
    assert len(manifest[RECOMMENDATION]["machines"]) == 2


def test_what_was_asked_can_be_asked_again() -> None:
    tables = scenario(recommend={"limits": ["no death"], "maximise": "headroom_min", "replications": 30})
    experiment = load(tables)
    for wanted in (
        asked(experiment),
        asked(experiment, limit=["nothing fails in 90 %"], minimise="return_time", indifference="2 min"),
        asked(experiment, maximise="Came back", indifference=3, confidence=0.8, most=5, budget=9),
        asked(load(scenario())),
    ):
        for_again = as_given(wanted)
        assert json.loads(json.dumps(for_again)) == for_again
        again = asked(experiment if wanted.limits[0].text == "no death" else load(scenario()), **for_again)
        assert as_given(again) == for_again
        assert (again.limits, again.by_default, again.terms) == (wanted.limits, wanted.by_default, wanted.terms)
