"""A large sweep: what it costs beside the simulations, what a second worker gains, and what the parent remembers.

It is the quickstart, in so many replications that there are ``MEMHP_SIM_BENCH_CELLS`` cells. The goals are for 2,016;
``make bench`` runs a quarter and a sixteenth of them and draws the line further, so that the start weighs what it does
there. ``MEMHP_SIM_BENCH_EXPERIMENT`` is another file. CPU time is that of all processes of a sweep, from the start of
Python to its end.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import pytest

from benchmarks.places import ROOT
from benchmarks.processes import cpu_of_process
from sim.experiment.executors import available_cores
from sim.experiment.load import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOAL_CELLS = 2016
CELLS = int(os.environ.get("MEMHP_SIM_BENCH_CELLS", "504"))
EXPERIMENT = os.environ.get("MEMHP_SIM_BENCH_EXPERIMENT", str(ROOT / "experiments" / "quickstart.toml"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="adopts the processes of a sweep to see their CPU time")


@dataclass(frozen=True)
class Sweep:
    """What a sweep took: in real time, in all and within cells; in CPU time, of all processes and of cells."""

    cells: int
    seconds: float
    cells_s: float
    cpu_s: float
    cells_cpu_s: float
    simulation_cpu_s: float
    peak_mib: float

    @property
    def overhead(self) -> float:
        """Percent of the CPU time that is not spent in simulations."""
        return 100 * (1 - self.simulation_cpu_s / self.cpu_s)

    @property
    def at_work(self) -> float:
        """Workers that were at a cell, on average: what is missing to their number is time without anything to do."""
        return self.cells_s / self.seconds


def sweep(workers: int, cells: int, folder: Path) -> Sweep:
    """Run so many cells with ``workers``."""
    replications = -(-cells // len(load(EXPERIMENT).combinations))
    arguments = (EXPERIMENT, str(replications), str(workers), str(folder))
    cpu_s, told = cpu_of_process("-m", "benchmarks.sweep_process", *arguments)
    return Sweep(**json.loads(told), cpu_s=cpu_s)


def further(few: Sweep, many: Sweep, cells: int) -> Sweep:
    """Return the sweep of so many cells that lies on the line through two others."""
    beyond = (cells - many.cells) / (many.cells - few.cells)
    line = {
        name: value + beyond * (value - getattr(few, name))
        for name, value in asdict(many).items()
        if name.endswith("_s") or name == "seconds"
    }
    return replace(many, cells=cells, **line)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Sweep, Sweep]]:
    """Return the sweeps of a quarter of the cells and of all, by workers."""
    return {
        workers: (
            sweep(workers, CELLS // 4, tmp_path_factory.mktemp("few")),
            sweep(workers, CELLS, tmp_path_factory.mktemp("many")),
        )
        for workers in (1, 2)
    }


@pytest.fixture(scope="module")
def sweeps(swept: dict[int, tuple[Sweep, Sweep]]) -> dict[int, Sweep]:
    """Return the sweeps of so many cells as the goals are for, by workers."""
    return {
        workers: further(few, many, GOAL_CELLS) if many.cells < GOAL_CELLS else many
        for workers, (few, many) in swept.items()
    }


def test_outside_simulations(sweeps: dict[int, Sweep], goal: Callable[[float], None]) -> None:
    goal(sweeps[2].overhead)


def test_a_second_worker_costs_no_cpu_time(
    sweeps: dict[int, Sweep], report: Callable[[str, float, float], None]
) -> None:
    """On a machine that is busy otherwise, this still shows what a speed-up needs: work that can be shared out."""
    report("CPU time of two workers against one", sweeps[2].cpu_s / sweeps[1].cpu_s, 2 / 1.8)


@pytest.mark.skipif(available_cores() < 2, reason="needs two cores")
def test_two_workers(
    sweeps: dict[int, Sweep], goal: Callable[[float], None], report: Callable[[str, float, float], None]
) -> None:
    """Cells that are worked at at a time, each against what it costs: other work on the cores slows both sweeps alike.

    On cores that have nothing else to do, this is the ratio of the two sweeps' real times, which is shown beside it.
    """
    one, two = sweeps[1], sweeps[2]
    report("real time of two workers against one, whatever else the cores did", two.seconds / one.seconds, float("inf"))
    speedup = two.at_work / one.at_work * (one.cells_cpu_s / two.cells_cpu_s)
    goal(1 / speedup)


def test_the_parent_does_not_grow(
    swept: dict[int, tuple[Sweep, Sweep]], report: Callable[[str, float, float], None]
) -> None:
    few, many = swept[2]
    what = f"peak memory of the parent, {many.peak_mib:.0f} MiB, against that of a quarter of the cells"
    report(what, many.peak_mib / few.peak_mib, 1.15)
