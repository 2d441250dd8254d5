"""A large sweep: what it costs beside the simulations, what a second worker gains, and what the parent remembers.

``MEMHP_SIM_BENCH_CELLS`` sets the number of cells (2000), ``MEMHP_SIM_BENCH_EXPERIMENT`` another file than the mix of
devices and programs of the tests. CPU time is that of all processes of a sweep, from the start of Python to its end.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sim.experiment.executors import available_cores
from sim.experiment.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
CELLS = int(os.environ.get("MEMHP_SIM_BENCH_CELLS", "2000"))
EXPERIMENT = os.environ.get("MEMHP_SIM_BENCH_EXPERIMENT", str(ROOT / "tests" / "data" / "mix.toml"))
PR_SET_CHILD_SUBREAPER = 36

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
    peak_kib_after_a_quarter: int
    peak_kib: int

    @property
    def overhead(self) -> float:
        """Percent of the CPU time that is not spent in simulations."""
        return 100 * (1 - self.simulation_cpu_s / self.cpu_s)

    @property
    def at_work(self) -> float:
        """Workers that were at a cell, on average: what is missing to their number is time without anything to do."""
        return self.cells_s / self.seconds


def sweep(workers: int, folder: Path) -> Sweep:
    """Run the cells with ``workers``."""
    combinations = len(load(EXPERIMENT).combinations)
    command = [sys.executable, "-m", "benchmarks.sweep_process", EXPERIMENT]
    before = children_cpu_s()
    done = subprocess.run(  # noqa: S603  this benchmark's own process
        [*command, str(-(-CELLS // combinations)), str(workers), str(folder)], cwd=ROOT, capture_output=True, check=True
    )
    wait_for_orphans()
    return Sweep(**json.loads(done.stdout), cpu_s=children_cpu_s() - before)


def children_cpu_s() -> float:
    """Return the CPU time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wait_for_orphans() -> None:
    """Wait for processes that outlived their parent (the server that starts workers), which are ours then."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Sweep]:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return {workers: sweep(workers, tmp_path_factory.mktemp(f"workers{workers}")) for workers in (1, 2)}


@pytest.mark.parametrize("workers", [1, 2])
def test_at_most_15_percent_is_not_simulation(
    workers: int, sweeps: dict[int, Sweep], report: Callable[[str, float, float], None]
) -> None:
    sweep = sweeps[workers]
    what = f"percent of CPU time outside of {sweep.cells} simulations, workers: {workers}"
    report(what, sweep.overhead, 15)


def test_a_second_worker_costs_no_cpu_time(
    sweeps: dict[int, Sweep], report: Callable[[str, float, float], None]
) -> None:
    """On a machine that is busy otherwise, this still shows what 1.8 times needs: work that can be shared out."""
    report("CPU time of two workers against one", sweeps[2].cpu_s / sweeps[1].cpu_s, 2 / 1.8)


@pytest.mark.skipif(available_cores() < 2, reason="needs two cores")
def test_two_workers_are_at_least_1_8_times_as_fast(
    sweeps: dict[int, Sweep], report: Callable[[str, float, float], None]
) -> None:
    """Cells that are worked at at a time, each against what it costs: other work on the cores slows both sweeps alike.

    On cores that have nothing else to do, this is the ratio of the two sweeps' real times, which is printed beside it.
    """
    one, two = sweeps[1], sweeps[2]
    speedup = two.at_work / one.at_work * (one.cells_cpu_s / two.cells_cpu_s)
    real = one.seconds / two.seconds
    report(f"time of two workers against one, cores being free (now: {1 / real:.2f})", 1 / speedup, 1 / 1.8)


def test_the_parent_does_not_grow(sweeps: dict[int, Sweep], report: Callable[[str, float, float], None]) -> None:
    sweep = sweeps[2]
    what = f"peak memory of the parent ({sweep.peak_kib / 1024:.0f} MiB) against its peak after a quarter of the cells"
    report(what, sweep.peak_kib / sweep.peak_kib_after_a_quarter, 1.15)
