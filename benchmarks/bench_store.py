"""How many files results of many cells take.

``MEMHP_SIM_BENCH_STORED`` is the number of cells; ``make bench`` takes a twentieth of the 20,000 of the goals.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from benchmarks.runs import resized
from sim.experiment.executors import InProcess
from sim.experiment.run import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CELLS = int(os.environ.get("MEMHP_SIM_BENCH_STORED", "1000"))


def stored(cells: int, results: Path) -> Path:
    """Return a folder with the results of so many short cells."""
    experiment = resized(1, "none", step="2GiB", jitter=0.5, duration=12_000, replications=cells)
    run(experiment, results, workers=InProcess())
    return results / experiment.name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored(CELLS, tmp_path_factory.mktemp("store"))


def test_files(whole: Path, goal: Callable[[float], None]) -> None:
    goal(sum(path.is_file() for path in whole.rglob("*")) * 20_000 / CELLS)
