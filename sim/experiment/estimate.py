"""How long an experiment will take: one cell of each workload is simulated, without writing anything."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from sim.experiment import build
from sim.experiment.plan import Cell
from sim.experiment.run_cell import CellTimeoutError, time_limit

if TYPE_CHECKING:
    from sim.experiment.plan import Combination, Experiment

LONGEST_S: Final = 20.0
"""Seconds after which a probe is cut off; the estimate is then too low."""

_WRITING_S: Final = 0.005
"""Seconds for scoring and writing one cell, measured with cells of a few hundred to a few thousand events."""


def estimated_seconds(experiment: Experiment) -> float:
    """Return about how many seconds all runs of ``experiment`` take on one core.

    The first combination of every workload on every machine is simulated for it. A policy or workload that fails is no
    reason to stop here: its runs count as the time it took to fail.
    """
    seconds: dict[tuple[str, str], float] = {}
    total = 0.0
    for combination in experiment.combinations:
        key = (combination.machine.label, combination.workload.label)
        if key not in seconds:
            seconds[key] = _time(combination, experiment) + _WRITING_S
        total += seconds[key]
    return total * len(experiment.replications)


def _time(combination: Combination, experiment: Experiment) -> float:
    run = build.simulation(Cell(combination, experiment.seed, experiment.replications[0], str(experiment.folder)))
    limit = experiment.cell_timeout or LONGEST_S
    start = time.process_time()
    # Whatever a plug-in does wrong is told when it is run.
    with contextlib.suppress(Exception, SystemExit, CellTimeoutError), time_limit(limit):
        run()
    return time.process_time() - start
