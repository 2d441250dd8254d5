"""One sweep in a process of its own, for ``bench_sweep.py``: runs it and prints what it saw as JSON.

python -m benchmarks.sweep_process EXPERIMENT REPLICATIONS WORKERS FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import peak_mib
from sim.experiment.executors import local
from sim.experiment.load import load
from sim.experiment.run import run

if TYPE_CHECKING:
    from sim.experiment.run_cell import Outcome


def main(experiment: str, replications: int, workers: int, folder: str) -> None:
    """Run the first ``replications`` of ``experiment`` with results in ``folder``."""
    sweep = load(experiment).only(tuple(range(replications)))
    walls: list[float] = []

    def note(outcome: Outcome) -> None:
        walls.append(outcome.times["wall_s"])

    start = time.perf_counter()
    report = run(sweep, Path(folder), workers=local(workers), on_outcome=note)
    told = {
        "cells": report.completed,
        "seconds": time.perf_counter() - start,
        "cells_s": sum(walls),
        "cells_cpu_s": report.cpu_s,
        "simulation_cpu_s": report.simulation_cpu_s,
        "peak_mib": peak_mib(),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
