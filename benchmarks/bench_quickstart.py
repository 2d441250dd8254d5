"""The quickstart as a newcomer runs it: the whole command, plots included, by two workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.places import ROOT
from benchmarks.processes import cpu_of_command
from benchmarks.ratios import bare_event
from sim.results.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def quickstart(results: Path) -> tuple[float, float]:
    """Run it; return the seconds of CPU time of all its processes, and those that its cells were simulated."""
    seconds = cpu_of_command("run", str(ROOT / "experiments" / "quickstart.toml"), "--out", str(results), "--workers=2")
    return seconds, read_manifest(results / "quickstart")["timings"]["simulation_cpu_s"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """Return where results are, and the least CPU time of two runs against that of their simulations."""
    folders = [tmp_path_factory.mktemp("quickstart") for _ in range(2)]
    ratios = [whole / simulated for whole, simulated in map(quickstart, folders)]
    return folders[0], min(ratios)


def test_quickstart_run(first: tuple[Path, float], goal: Callable[[float], None]) -> None:
    goal(first[1])


def test_quickstart_again(first: tuple[Path, float], goal: Callable[[float], None]) -> None:
    ratios = []
    for _ in range(3):
        before = bare_event()
        seconds = quickstart(first[0])[0]
        ratios.append(seconds / ((before + bare_event()) / 2))
    goal(min(ratios) / 1e6)
