"""Scores of runs as they are: recomputed from the result files alone, and each of them able to tell runs apart.

``few`` are some cells of the shipped experiments and a dozen random ones; ``all`` are the whole quickstart, two
replications of the trade-off and a hundred random experiments.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from sim.scores.registry import SCORES
from tests.plain.instants import instants
from tests.plain.run_files import FAILED, completed_runs, read_run, read_series
from tests.plain.scores import plain_scores
from tests.support.real_runs import random_experiment, shipped, simulated

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096

FEW = (7, *range(9, 19), 30, 91, 154)
"""Seeds of random experiments in which everything happens that some score counts."""

Store = tuple["Path", list[dict[str, Any]]]
"""A folder of results, and its runs as their table has them."""


@pytest.fixture(scope="module", params=["few", pytest.param("all", marks=pytest.mark.slow)])
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    out = tmp_path_factory.mktemp("real")
    few = request.param == "few"
    folders = [
        shipped("quickstart", out / "quickstart", 1 if few else 5, ("contig-zones",) if few else ()),
        shipped(
            "tradeoff",
            out / "tradeoff",
            1 if few else 2,
            ("online-movable", "contig-zones") if few else (),
            1 if few else 99,
        ),
        *(simulated(random_experiment(seed), out / str(seed)) for seed in (FEW if few else range(100))),
    ]
    return [(folder, list(completed_runs(folder))) for folder in folders]


def test_all_scores_are_those_recomputed_from_the_files_alone(stores: list[Store]) -> None:
    cells = 0
    for folder, rows in stores:
        for row in rows:
            cells += 1
            run = read_run(folder, row["cell"])
            expected = plain_scores(run)
            assert expected.keys() == SCORES.keys()
            for name, value in expected.items():
                found = math.nan if row[name] is None else row[name]
                assert found == pytest.approx(value, rel=1e-12, abs=0, nan_ok=True), (row["policy"], folder, name)
            failures = sum(event[1] == FAILED for event in run.events)
            assert failures == row["failed_requests"] + row["failed_operations"]
    print(f"{cells} runs of {len(stores)} experiments, {len(SCORES)} scores each")  # noqa: T201  shown by pytest -rP


def test_the_series_in_the_files_are_those_recomputed_from_the_events(stores: list[Store]) -> None:
    for folder, rows in stores[1:]:
        series = read_series(folder, rows[0]["cell"])
        looks = instants(read_run(folder, rows[0]["cell"]))
        names = {"auto_movable_bytes": "MV", "auto_kernel_bytes": "KE"}
        for column, values in series.items():
            name = names.get(column, column.removesuffix("_bytes"))
            expected = [look.t if name == "t_us" else getattr(look, name) * PAGE for look in looks]
            assert values == expected, (folder, column)


CONSTANT: dict[str, str] = {}
"""Scores that have the same value in all of these runs, and why that is no fault."""


def test_every_score_can_tell_some_runs_apart(stores: list[Store]) -> None:
    runs = [row for _, rows in stores for row in rows]
    constant = {name for name in SCORES if len({row[name] for row in runs} - {None}) < 2}
    assert constant == CONSTANT.keys()


TWINS: dict[frozenset[str], str] = {}
"""Pairs of scores that are the same in all of these runs, and why that is no fault."""


def test_no_score_says_what_another_says(stores: list[Store]) -> None:
    runs = [row for _, rows in stores for row in rows]
    twins = set()
    for pair in combinations(SCORES, 2):
        both = {(row[pair[0]], row[pair[1]]) for row in runs if None not in (row[pair[0]], row[pair[1]])}
        if len(both) > 1 and all(one == other for one, other in both):
            twins.add(frozenset(pair))
    assert twins == TWINS.keys()
