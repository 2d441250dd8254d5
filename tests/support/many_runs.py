"""A store of ten thousand runs within a minute, for what has to stay fast and readable where there are many.

Of 12 policies on 100 scenarios in 9 replications, or as many as you like:

    python -m tests.support.many_runs FOLDER [POLICIES SCENARIOS REPLICATIONS]

A hundred and some runs are simulated. All others are theirs under another name, their scores moved a little at random,
so that every row is another: figures of such a store mean nothing.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.api import Results
from sim.experiment import build
from sim.experiment.load import load
from sim.experiment.run import run
from sim.experiment.run_cell import Outcome
from sim.record.series import run_series
from sim.results.cells import write_cell
from sim.scores.definition import BYTE_SECONDS, BYTES, PERCENT, SECONDS
from sim.scores.registry import SCORES, compute_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.experiment.plan import Cell
    from sim.record.run_result import RunResult
    from sim.results.identity import CellId

_POLICIES: Final[tuple[dict[str, Any], ...]] = (
    {"name": "contig-zones"},
    {"name": "online-kernel"},
    {"name": "online-movable"},
    {"name": "headroom"},
    *({"name": "auto-movable", "label": f"auto-movable {ratio}", "ratio": ratio} for ratio in range(50, 1050, 50)),
)
_MOVED: Final = {BYTES, BYTE_SECONDS, PERCENT, SECONDS}
"""Units of the scores that are moved at random."""


def many(policies: int = 12, scenarios: int = 100, replications: int = 9) -> dict[str, Any]:
    """Return an experiment of so many ``policies`` on ``scenarios`` in ``replications``."""
    across = round(scenarios**0.5)
    pairs = list(product(range(across), range(-(-scenarios // across))))[:scenarios]
    machines = [f"boot {768 + 64 * number} MiB" for number in range(across)]
    return {
        "name": "many",
        "seed": 1,
        "replications": replications,
        "guest": {"model": "linux"},
        "machines": [{"label": label, "boot_memory": label[5:].replace(" ", "")} for label in machines],
        "policies": list(_POLICIES[:policies]),
        "workloads": [
            {
                "name": "grow-and-return",
                "label": f"{4 + number} GiB",
                "size": f"{4 + number}GiB",
                "user": f"{3 + number}GiB",
                "kernel": f"{400 + 100 * number}MiB",
                "spread": 1.5,
                "machines": [machines[machine] for machine, each in pairs if each == number],
            }
            for number in sorted({number for _, number in pairs})
        ],
    }


class _Copying(concurrent.futures.Executor):
    """Simulates the first cell of those that are like each other, and writes its outcome for all of them."""

    count = 1

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[RunResult, dict[str, float]]] = {}
        self._rng = np.random.default_rng(1)

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        yield self

    def submit(self, _fn: Callable[..., Any], /, *args: Any, **_kwargs: Any) -> concurrent.futures.Future[Any]:  # noqa: ANN401
        cell, identity, folder, _ = args
        future: concurrent.futures.Future[Outcome] = concurrent.futures.Future()
        future.set_result(self._write(cell, identity, folder))
        return future

    def _write(self, cell: Cell, identity: CellId, folder: str) -> Outcome:
        numbers = [sum(map(ord, label)) % 2 for label in (identity.machine, identity.workload)]
        like = (identity.policy, *numbers, cell.replication % 3)
        if like not in self._made:
            result = build.simulation(cell)()
            self._made[like] = result, compute_scores(result)
        result, scores = self._made[like]
        moved = {
            name: min(value * self._rng.lognormal(0, 0.05), SCORES[name].highest)
            if SCORES[name].unit in _MOVED
            else value
            for name, value in scores.items()
        }
        row = write_cell(Path(folder), identity, result, run_series(result), moved)
        return Outcome(identity, str(cell), row, stored=True)


def make(folder: Path, *sizes: int) -> Results:
    """Write the results of :func:`many` of these ``sizes`` into ``folder``/many, and return them."""
    return Results(run(load(many(*sizes)), folder, workers=_Copying()).folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]), *map(int, sys.argv[2:]))
