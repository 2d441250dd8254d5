"""Running an experiment: what is missing of it is computed, everything else is found in its results folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sim.experiment.effective import effective_tables
from sim.experiment.executors import Workers, local, run_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sim.experiment.plan import Experiment
    from sim.experiment.run_cell import Outcome


@dataclass(slots=True)
class Report:
    """What a run has done: ``folder`` of the results, cells ``planned``, ``found`` (computed before), and outcomes."""

    folder: Path
    planned: int
    found: int = 0
    completed: int = 0
    failed: list[Outcome] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def done(self) -> int:
        """Cells whose results are there."""
        return self.found + self.completed

    def summary(self) -> str:
        """Return one line for a person."""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        found = f" ({self.found} of them were there already)" if self.found else ""
        return f"{self.done} of {self.planned} runs completed{found}{failed}"


def run(
    experiment: Experiment,
    results: Path,
    *,
    workers: Workers | None = None,
    force: bool = False,
    on_start: Callable[[Report], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> Report:
    """Run what is missing of ``experiment`` with its results in ``results/<name>``, and return what was done.

    ``workers`` defaults to all cores; ``force`` computes everything anew. ``on_start`` is told how much there is to do,
    ``on_outcome`` of every cell. A failed cell does not stop the others. Raises OSError where nothing can be written.
    """
    import tomli_w

    from sim.results.atomic import write_atomically
    from sim.results.store import ResultStore

    started = time.time()
    folder = results / experiment.name
    store = ResultStore(folder)
    workers = workers or local(apart=experiment.cell_timeout is not None)
    tables = effective_tables(experiment)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "experiment.toml", tomli_w.dumps(tables).encode())
    tasks = [(cell, cell.id) for cell in experiment.cells()]
    keys = {identity.key for _, identity in tasks}
    if not experiment.restricted:
        store.prune(keys)
    there = set() if force else store.completed()
    report = Report(folder, planned=len(tasks), found=len(keys & there))
    if on_start is not None:
        on_start(report)
    todo = ((cell, identity) for cell, identity in tasks if identity.key not in there)
    for outcome in run_all(todo, str(folder), workers, experiment.cell_timeout):
        report.cpu_s += outcome.times.get("cpu_s", 0.0)
        if outcome.completed:
            report.completed += 1
        else:
            report.failed.append(outcome)
        if on_outcome is not None:
            on_outcome(outcome)
    timings = {
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
        "workers": workers.count,
        "computed": report.completed + len(report.failed),
        "cells_cpu_s": round(report.cpu_s, 3),
    }
    _write_manifest(experiment, folder, tables, report, timings)
    return report


def _write_manifest(
    experiment: Experiment, folder: Path, tables: dict[str, Any], report: Report, timings: dict[str, Any]
) -> None:
    from sim.results.manifest import build_manifest, write_manifest

    manifest = build_manifest(
        experiment.name,
        tables,
        seeds={"seed": experiment.seed, "replications": list(experiment.replications)},
        cells={"planned": report.planned, "completed": report.done, "failed": len(report.failed)},
        timings=timings,
    )
    write_manifest(folder, manifest)
