"""One machine of a fleet for a month: demand every five minutes, which the host follows, and its guest."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.ratios import against_bare, timed
from benchmarks.runs import DAY
from sim.experiment.load import load
from sim.experiment.run_cell import run_cell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sim.experiment.plan import Experiment

DAYS, EVERY, VMS = 30, 300, 2


def write_demand(path: Path) -> None:
    """Write what programs of some machines use, in MiB: days alike, and a walk at random from sample to sample."""
    draw = np.random.default_rng(1)
    at = np.arange(0, DAYS * DAY, EVERY)
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("vm", "t_s", "use_mib"))
        for vm in range(VMS):
            day = 3000 + 2000 * np.sin(2 * np.pi * at / DAY)
            used = np.clip(day + np.cumsum(draw.normal(0, 60, len(at))) % 4000, 200, 12_000).astype(int)
            rows.writerows((f"vm{vm}", second, mib) for second, mib in zip(at.tolist(), used.tolist(), strict=True))


def fleet(folder: Path) -> Experiment:
    """Return those machines, each a replication: the guest uses what is written, and its host follows."""
    write_demand(folder / "fleet.csv")
    columns = {"time": "t_s", "series": "vm", "user": {"column": "use_mib", "unit": "1MiB"}}
    names = {"demand": "guest-trace", "host": "demand-trace"}
    played = [{"name": name, "label": label, "path": "fleet.csv", "columns": columns} for label, name in names.items()]
    return load(
        {
            "name": "fleet",
            "replications": VMS,
            "machines": [{"boot_memory": "1GiB"}],
            "policies": [{"name": "auto-movable"}],
            "workloads": [{"label": "month", "together": played}],
            "guest": {"model": "linux"},
        },
        folder=folder,
    )


def test_fleet(tmp_path: Path, goal: Callable[[float], None]) -> None:
    tasks = list(fleet(tmp_path).tasks())

    def run() -> None:
        for cell, identity in tasks:
            outcome = run_cell(cell, identity, str(tmp_path / "results"), None)
            assert outcome.completed, outcome.error

    run()  # the trace is split by series when it is first opened
    goal(against_bare(lambda: timed(run) / len(tasks), rounds=3) / 1e3)
