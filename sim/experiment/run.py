"""Running an experiment: what is missing of it is computed, everything else is found in its results folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from sim.experiment.effective_config import effective_tables
from sim.experiment.executors import Workers, end_in_a_script_without_guard, local, run_all
from sim.experiment.schedule import Schedule
from sim.results.identity import KEY_LENGTH
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd

    from sim.experiment.plan import Experiment
    from sim.experiment.run_cell import Outcome
    from sim.results.identity import CellId
    from sim.results.store import ResultStore

    Keys = npt.NDArray[np.bytes_]

MOST_FAILURES_KEPT: Final = 1000

MOST_WAITING: Final = 4096
"""Rows of times that wait to be written at most."""


@dataclass(slots=True)
class Report:
    """What a run has done: ``folder`` of the results, cells ``planned``, ``reused`` (computed before), and outcomes.

    ``planned`` shrinks while the experiment runs where nothing turns out to be random: what would repeat is not run.

    ``failed`` holds the first thousand failures, so that it does not grow with the experiment. ``cpu_s`` is the CPU
    time of all cells, ``simulation_cpu_s`` the part of it that is not writing.
    """

    folder: Path
    planned: int
    reused: int = 0
    completed: int = 0
    failures: int = 0
    failed: list[Outcome] = field(default_factory=list)
    cpu_s: float = 0.0
    simulation_cpu_s: float = 0.0

    @property
    def done(self) -> int:
        """Cells whose results are there."""
        return self.reused + self.completed

    def summary(self) -> str:
        """Return one line for a person."""
        failed = f", {self.failures} failed" if self.failures else ""
        before = f" ({self.reused} of them were there already)" if self.reused else ""
        return f"{self.done} of {self.planned} runs completed{before}{failed}"

    def count(self, outcome: Outcome) -> None:
        """Take in what became of a cell."""
        self.cpu_s += outcome.times.get("cpu_s", 0.0)
        self.simulation_cpu_s += outcome.times.get("simulation_cpu_s", 0.0)
        if outcome.completed:
            self.completed += 1
            return
        self.failures += 1
        if len(self.failed) < MOST_FAILURES_KEPT:
            self.failed.append(outcome)


class Extension(Protocol):
    """Adds replications to an experiment once its own have been run."""

    def settings(self) -> dict[str, float]:
        """Return what it goes by, for the manifest."""

    def keep(self, experiment: Experiment) -> Experiment:
        """Return ``experiment`` with all replications that may be added, whose results stay where they are there."""

    def more(self, experiment: Experiment, runs: pd.DataFrame) -> Experiment | None:
        """Return what is to be run next, given all ``runs`` so far; None where nothing is."""


def run(  # noqa: PLR0913  all that can be chosen
    experiment: Experiment,
    results: Path,
    *,
    workers: Workers | None = None,
    force: bool = False,
    keep: bool = False,
    extension: Extension | None = None,
    on_start: Callable[[Report], None] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Report:
    """Run what is missing of ``experiment`` with its results in ``results/<name>``, and return what was done.

    ``workers`` defaults to all cores; ``force`` computes everything anew; ``extension`` adds replications. ``on_start``
    is told how much there is to do, each time that replications are added, ``on_outcome`` of every cell, ``on_note``,
    in sentences, of earlier runs that are no part of the experiment any more: they are set aside until all new ones are
    there, with ``keep`` for good. A failed cell does not stop the others. Raises InputError where somebody else is at
    work in the folder and OSError where nothing can be written.
    """
    from sim.results.locks import alone

    # Workers may have another working directory.
    folder = (results / experiment.name).absolute()
    end_in_a_script_without_guard()  # before it asks for the folder, which the process that it works for is in
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        report = Report(results / experiment.name, planned=0)
        tell = on_note or (lambda _: None)
        _run(
            experiment,
            folder,
            report,
            workers,
            extension,
            tell,
            force=force,
            keep=keep,
            on_start=on_start,
            on_outcome=on_outcome,
        )
    return report


def _run(  # noqa: PLR0913  as run, and what it has made of it
    experiment: Experiment,
    folder: Path,
    report: Report,
    workers: Workers | None,
    extension: Extension | None,
    tell: Callable[[str], None],
    *,
    force: bool,
    keep: bool,
    on_start: Callable[[Report], None] | None,
    on_outcome: Callable[[Outcome], None] | None,
) -> None:
    """Run what is missing of ``experiment`` in its ``folder``, in which nobody else is, and count it in ``report``."""
    from sim.results import earlier
    from sim.results.failure import Status
    from sim.results.inspection import mend
    from sim.results.manifest import write_experiment
    from sim.results.packing import settle
    from sim.results.reading import check_layout
    from sim.results.store import ResultStore

    started = time.time()
    workers = workers or local(apart=experiment.cell_timeout is not None)
    tables = effective_tables(experiment)
    store = ResultStore(folder)
    belongs = _Belonging()
    planned = _keys_of(experiment)
    if experiment.restricted:
        check_layout(folder)  # what is not asked for stays, so that all of it must be of one layout
        there = {each.replication for each in earlier.completed_runs(folder)}
        every = replace(experiment, replications=tuple(sorted(there.union(experiment.replications))))
        belongs.keys = _Keys(_keys_of(every))
    elif store.exists or earlier.folders(folder):
        belongs.keys = _Keys(planned if extension is None else _keys_of(extension.keep(experiment)))
    earlier.tidy(folder)
    for damage in mend(folder, belongs):
        replace(damage, path=report.folder / damage.path.relative_to(folder)).warn()
    _with_earlier(folder, report.folder, belongs, tell, keep=keep)
    write_experiment(folder, tables)
    settle(folder, belongs, only_remove=True)
    batch: Experiment | None = experiment
    single: list[tuple[str, str]] = []
    while batch is not None:
        keys = planned if batch is experiment else _keys_of(batch)
        single += _run_batch(
            batch, keys, store, belongs, workers, report, force=force, on_start=on_start, on_outcome=on_outcome
        )
        batch = extension.more(experiment, store.runs()) if extension is not None else None
    settle(folder, belongs)
    if extension is not None:
        # Replications that an earlier run has added are there too.
        completed = int((store.runs()["status"] == Status.COMPLETED).sum())
        report.reused, report.planned = completed - report.completed, completed + report.failures
    timings = {
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 3),
        "workers": workers.count,
        "computed": report.completed + report.failures,
        "cells_cpu_s": round(report.cpu_s, 3),
        "simulation_cpu_s": round(report.simulation_cpu_s, 3),
    }
    _write_manifest(experiment, folder, tables, report, timings, single, extension)
    if report.done == report.planned and not experiment.restricted:
        earlier.drop(folder)
    else:
        for path in earlier.pending(folder):
            tell(f"Earlier runs stay in {_as_asked(path, folder, report.folder)} until all new ones are there.")


def _with_earlier(folder: Path, shown: Path, belongs: _Belonging, tell: Callable[[str], None], *, keep: bool) -> None:
    """Set aside what is no part of the experiment any more, and take back what is one again.

    ``shown`` is how whoever is told calls the ``folder``.
    """
    from sim.results import earlier

    if belongs.keys is None:
        return
    taken = earlier.take_back(folder, belongs)
    if taken:
        what = f"{counted(taken, 'earlier run')} that the experiment has again"
        tell(f"{what}: taken back from {shown / earlier.EARLIER}.")
    aside = earlier.set_aside(folder, belongs)
    if keep:
        earlier.keep(folder)
    if aside is None:
        return
    place = None if aside.path is None else _as_asked(aside.path, folder, shown)
    tell("\n".join(earlier.sentences(shown, aside, _why_not(aside.path or folder), place, keep=keep)))


def _why_not(earlier: Path) -> str:
    """Return what is true of the runs that were set aside in a folder, with their manifest if there was one."""
    from sim.results.identity import code_version
    from sim.results.manifest import read_manifest

    try:
        code = str(read_manifest(earlier)["program"]["code"])
    except (ValueError, KeyError, TypeError):
        code = code_version()
    return "that are no part of the experiment any more" if code == code_version() else f"of another version, {code}"


def _as_asked(path: Path, folder: Path, shown: Path) -> Path:
    return shown / path.relative_to(folder)


def _run_batch(  # noqa: PLR0913  as run, and what there is of it
    experiment: Experiment,
    keys: Keys,
    store: ResultStore,
    belongs: _Belonging,
    workers: Workers,
    report: Report,
    *,
    force: bool,
    on_start: Callable[[Report], None] | None,
    on_outcome: Callable[[Outcome], None] | None,
) -> list[tuple[str, str]]:
    """Run what is missing of ``experiment``, count it in ``report``; return the pairs in which nothing is random.

    ``keys`` are those of all its cells in their order.
    """
    from sim.results.cells import write_row
    from sim.results.frames import timing_row

    known = len(experiment.replications) > 1 and not force
    schedule = Schedule(experiment, store.streams_drawn(experiment.replications[0]) if known else {})
    there = np.isin(keys, np.array(store.whole(), dtype=keys.dtype))
    _leave_out_repeated(schedule, belongs, keys, there)
    before = report.planned
    report.planned = before + len(schedule)
    if force:
        there[:] = False
    report.reused += int(there.sum())
    if on_start is not None:
        on_start(report)
    times = _Times(store.folder)
    try:
        for outcome in run_all(schedule.tasks(there), str(store.folder), workers, experiment.cell_timeout):
            schedule.note(outcome.id.key, outcome.row)
            report.planned = before + len(schedule)
            report.count(outcome)
            if not outcome.stored:
                write_row(store.folder, outcome.id, outcome.row, completed=outcome.completed)
            times.add(outcome.id, timing_row(outcome.id, {**outcome.times, "finished_unix_s": time.time()}))
            if on_outcome is not None:
                on_outcome(outcome)
    finally:
        times.flush()
    report.reused -= _leave_out_repeated(schedule, belongs, keys, there)
    return schedule.single()


def _leave_out_repeated(schedule: Schedule, belongs: _Belonging, keys: Keys, there: npt.NDArray[np.bool_]) -> int:
    """Let nothing stay of what only repeats a run in which nothing is random; return how many such cells were there."""
    repeated = [place for place in schedule.others() if there[place]]
    belongs.repeated.update(keys[place].decode() for place in repeated)
    there[repeated] = False
    return len(repeated)


def _keys_of(experiment: Experiment) -> Keys:
    """Return the keys of all cells in their order, 32 bytes each."""
    keys = (identity.key.encode() for _, identity in experiment.tasks())
    return np.fromiter(keys, dtype=f"S{KEY_LENGTH}", count=len(experiment))


class _Times:
    """Rows of the table ``timings`` that wait to be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[tuple[CellId, str]] = []

    def add(self, identity: CellId, row: str) -> None:
        self._rows.append((identity, row))
        if len(self._rows) >= MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        from sim.results.cells import write_timings

        write_timings(self._folder, self._rows)
        self._rows.clear()


class _Keys:
    """Keys of cells, looked up quickly."""

    def __init__(self, keys: Keys) -> None:
        self._sorted = np.sort(keys)

    def __contains__(self, key: object) -> bool:
        name = str(key).encode()
        index = int(self._sorted.searchsorted(name))
        return index < len(self._sorted) and bool(self._sorted[index] == name)


class _Belonging:
    """Which cells stay in the results' folder: those with ``keys`` (all where None) that are not ``repeated``."""

    def __init__(self) -> None:
        self.keys: _Keys | None = None
        self.repeated: set[str] = set()

    def __call__(self, key: str) -> bool:
        return (self.keys is None or key in self.keys) and key not in self.repeated


def _write_manifest(
    experiment: Experiment,
    folder: Path,
    tables: dict[str, Any],
    report: Report,
    timings: dict[str, Any],
    single: list[tuple[str, str]],
    extension: Extension | None,
) -> None:
    from sim.results.manifest import build_manifest, write_manifest

    manifest = build_manifest(
        experiment.name,
        tables,
        seeds={"seed": experiment.seed, "replications": list(experiment.replications)},
        single=[{"machine": machine, "workload": workload} for machine, workload in single],
        until=None if extension is None else extension.settings(),
        notes=experiment.notes,
        settings=experiment.settings,
        cells={"planned": report.planned, "completed": report.done, "failed": report.failures},
        timings=timings,
    )
    write_manifest(folder, manifest)
