"""What results of many cells take: files, and the time and memory that it takes to read events of some or of all.

``MEMHP_SIM_BENCH_STORED`` is the number of cells; ``make bench`` takes a twentieth of the 20,000 of the goals.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.processes import cpu_of_process
from benchmarks.runs import resized
from sim.experiment.executors import InProcess
from sim.experiment.run import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CELLS = int(os.environ.get("MEMHP_SIM_BENCH_STORED", "1000"))


def read(folder: Path, how: str, wanted: dict[str, Any]) -> dict[str, float]:
    """Return what reading events took, at once or in parts; all of them where nothing is wanted."""
    arguments = ("-m", "benchmarks.store_process", str(folder), how, json.dumps(wanted))
    told: dict[str, float] = json.loads(cpu_of_process(*arguments)[1])
    return told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the results of many short cells."""
    results = tmp_path_factory.mktemp("store")
    experiment = resized(1, "none", step="2GiB", jitter=0.5, duration=12_000, replications=CELLS)
    run(experiment, results, workers=InProcess())
    return results / experiment.name


def test_files(whole: Path, goal: Callable[[float], None]) -> None:
    goal(sum(path.is_file() for path in whole.rglob("*")) * 20_000 / CELLS)


def test_events_in_parts(whole: Path, goal: Callable[[float], None]) -> None:
    half = read(whole, "parts", {"replications": list(range(CELLS // 2))})
    everything = read(whole, "parts", {})
    assert 1.9 < everything["rows"] / half["rows"] < 2.1
    goal(everything["mib"] / half["mib"])


def test_events_of_some(whole: Path, goal: Callable[[float], None]) -> None:
    everything = read(whole, "events", {})
    some = read(whole, "events", {"replications": list(range(CELLS // 2, CELLS // 2 + CELLS // 20))})
    assert 19 < everything["rows"] / some["rows"] < 21
    goal(some["cpu_s"] / everything["cpu_s"])
