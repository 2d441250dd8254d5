"""Replications are added where they matter, no more than are allowed, and again from where an earlier run has ended."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from sim.analysis.until import Until
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.results.manifest import read_manifest
from sim.results.store import ResultStore
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sim.experiment.plan import Experiment

WORKLOAD: dict[str, Any] = {
    "name": "grow-and-return", "size": "1GiB", "step": "256MiB", "user": "512MiB", "kernel": "64MiB",
    "leave": 60, "ask_back": 70, "duration": 100,
}  # fmt: skip


def experiment(*, replications: int = 2) -> Experiment:
    """Return two policies on a guest that is drawn and on one that is not."""
    return load(
        {
            "name": "small",
            "replications": replications,
            "baseline": "base",
            "guest": {"model": "linux", "sample_every": 10},
            "machines": [{"label": "vm", "boot_memory": "1GiB"}],
            "policies": [
                {"name": "contig-zones", "label": "base"},
                {"name": "online-movable", "label": "other"},
            ],
            "workloads": [WORKLOAD | {"label": "drawn", "spread": 1.5}, WORKLOAD | {"label": "fixed"}],
        }
    )


def rows(workload: str, returned: Mapping[str, Sequence[float]], **more: object) -> pd.DataFrame:
    """Return completed runs as a store has them: of each policy what came back in every replication (percent)."""
    found = []
    for policy, values in returned.items():
        for replication, value in enumerate(values):
            scores = dict.fromkeys(SCORES, 0.0) | {"returned_share": value}
            labels = {"machine": "vm", "workload": workload, "policy": policy, "replication": replication}
            found.append(labels | {"status": "completed", "streams_drawn": 1} | scores | more)
    return pd.DataFrame(found)


def spread_over(replications: int, width: float) -> dict[str, list[float]]:
    """Return a policy that gives back now as much as the baseline, and now ``width`` more."""
    return {"base": [50.0] * replications, "other": [50.0 + width * (n % 2) for n in range(replications)]}


def asked(batch: Experiment | None) -> tuple[set[str], tuple[int, ...]]:
    """Return the workloads and replications of what is to be run next."""
    assert batch is not None
    return {each.workload.label for each in batch.combinations}, batch.replications


def test_too_few_for_an_interval_are_first_brought_to_the_fewest_that_have_one() -> None:
    assert asked(Until(50).more(experiment(), rows("drawn", spread_over(2, 1)))) == ({"drawn"}, tuple(range(2, 15)))


def test_half_as_many_again_are_added_while_an_interval_is_too_wide() -> None:
    runs = rows("drawn", spread_over(20, 8))
    assert asked(Until(1).more(experiment(), runs)) == ({"drawn"}, tuple(range(20, 30)))
    assert Until(20).more(experiment(), runs) is None


def test_no_more_are_added_than_are_allowed() -> None:
    runs = rows("drawn", spread_over(20, 8))
    assert asked(Until(1, most=22).more(experiment(), runs))[1] == (20, 21)
    assert Until(1, most=20).more(experiment(), runs) is None
    (sentence,) = Until(1, most=20).outcome(experiment(), runs)
    assert sentence.startswith("drawn on vm: 20 replications tell differences in 'Came back' to ± ")
    assert Until(20, most=20).outcome(experiment(), runs) == []


def test_only_those_that_are_too_wide_get_more_and_those_with_the_fewest_first() -> None:
    known = rows("fixed", spread_over(15, 0))
    assert asked(Until(1).more(experiment(), pd.concat([rows("drawn", spread_over(20, 8)), known])))[0] == {"drawn"}
    fewer = rows("fixed", spread_over(16, 8))
    found = asked(Until(1).more(experiment(), pd.concat([rows("drawn", spread_over(20, 8)), fewer])))
    assert found == ({"fixed"}, tuple(range(16, 24)))


@pytest.mark.parametrize("why", ["died", "kernel_ooms", "failed_adds"])
def test_what_comes_back_with_a_policy_that_fails_is_no_question(why: str) -> None:
    runs = rows("drawn", spread_over(20, 8))
    runs.loc[(runs["policy"] == "other") & (runs["replication"] == 3), why] = 1.0
    assert Until(1).more(experiment(), runs) is None


def test_what_is_not_random_and_what_was_never_asked_back_gets_no_more() -> None:
    assert Until(1).more(experiment(), rows("fixed", spread_over(1, 8), streams_drawn=0)) is None
    nothing = {policy: [math.nan] * 20 for policy in ("base", "other")}
    assert Until(1).more(experiment(), rows("drawn", nothing)) is None


def test_a_run_adds_replications_says_so_and_a_second_one_finds_them(tmp_path: Path) -> None:
    until = Until(0.5, most=16)
    first = run(experiment(), tmp_path, workers=InProcess(), extension=until)
    counts = ResultStore(first.folder).runs().groupby(["workload", "policy"])["replication"].max()
    assert {policy: counts["fixed", policy] for policy in ("base", "other")} == {"base": 0, "other": 0}
    assert counts["drawn", "base"] == counts["drawn", "other"] >= 14
    assert first.planned == first.completed == 2 * (counts["drawn", "base"] + 1) + 2
    manifest = read_manifest(first.folder)
    assert manifest["until"] == {"width": 0.5, "most": 16}
    assert manifest["seeds"]["replications"] == [0, 1]
    assert manifest["cells"] == {"planned": first.planned, "completed": first.planned, "failed": 0}

    again = run(experiment(), tmp_path, workers=InProcess(), extension=until)
    assert (again.completed, again.reused, again.planned) == (0, first.planned, first.planned)
    without_times = {key: value for key, value in read_manifest(first.folder).items() if key != "timings"}
    assert json.dumps(without_times) == json.dumps({key: manifest[key] for key in without_times})

    plain = run(experiment(), tmp_path, workers=InProcess())
    assert (plain.completed, plain.planned) == (0, 6)
    assert len(ResultStore(first.folder).runs()) == 6
    assert read_manifest(first.folder)["until"] is None
