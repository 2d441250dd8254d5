"""Runs of a store once more: the same runs, because everything is seeded, and this time somebody listens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sim.experiment import build
from sim.experiment.load import load_stored
from sim.faults import Fault, InputError
from sim.record.recorder import EVENT_COLUMNS, EventKind
from sim.results.layout import MANIFEST_NAME
from sim.results.manifest import RECOMMENDATION, read_manifest

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.experiment.plan import Cell, Experiment
    from sim.kernel.diary import Note
    from sim.record.run_result import RunResult
    from sim.results.store import ResultStore


def cell_again(store: ResultStore, key: str, experiment: Experiment | None = None) -> Cell:
    """Return the cell of the run with the key ``key``; ``experiment`` is that of the store, if at hand.

    Raises KeyError if no such run has completed, InputError where the experiment is no longer to be had.
    """
    wanted, replication = store.labels_of(key)
    try:
        experiment = load_stored(store.folder) if experiment is None else experiment
    except InputError:
        raise
    except ValueError as error:  # the manifest is damaged
        raise _cannot(store, f"it takes running it again, which needs the manifest: {error}") from error
    named = [
        cell
        for cell in (experiment.only((replication,)).cells() if experiment else ())
        if (cell.combination.machine.label, cell.combination.workload.label, cell.combination.policy.label) == wanted
    ]
    if named:
        # Labels do not show every swept value; keys do, but other code gives others.
        cell = next((cell for cell in named[1:] if cell.id.key == key), named[0])
        return _on_its_machine(store, cell)
    raise _cannot(store, "it takes running it again, which needs the experiment in the manifest")


def _on_its_machine(store: ResultStore, cell: Cell) -> Cell:
    """Return the cell on the machine that it ran on: candidates of a recommendation change something of it."""
    if not (store.folder / MANIFEST_NAME).is_file():
        return cell
    machines = read_manifest(store.folder).get(RECOMMENDATION, {}).get("machines", {})
    changed = machines.get(cell.combination.policy.label)
    if not changed:
        return cell
    machine = cell.combination.machine
    return replace(
        cell,
        combination=replace(cell.combination, machine=replace(machine, spec=replace(machine.spec, **changed))),
    )


def check_same(store: ResultStore, stored: RunResult, again: RunResult) -> None:
    """Raise InputError where a run that was made ``again`` is not the one that is ``stored``.

    Who listens has each block of a DIMM decided by itself, so that its blocks need not be recorded as one run.
    """
    if not np.array_equal(_in_runs(again.events), _in_runs(stored.events)):
        changed = "another version of the program made the one that is stored, or files of it have changed"
        raise _cannot(store, f"run again, the run is another: {changed}; memhp-sim run computes it anew")


def notes_of(
    store: ResultStore, key: str, stored: RunResult, experiment: Experiment | None = None
) -> list[tuple[int, Note]]:
    """Return (microsecond, note) for all that was decided, refused or failed in the run ``stored`` under ``key``.

    Raises what :func:`cell_again`, :func:`check_same`, building and running raise.
    """
    notes: list[tuple[int, Note]] = []
    result = build.simulation(cell_again(store, key, experiment), lambda time, note: notes.append((time, note)))()
    check_same(store, stored, result)
    return notes


def _in_runs(events: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return ``events`` with adjacent blocks to which the same happened one after the other, in one instant, as one."""
    time, kind, device, block, count, zone, pages = range(len(EVENT_COLUMNS))
    if not len(events):
        return events
    before, after = events[:-1], events[1:]
    alike = [time, kind, device, zone]
    first = np.ones(len(events), dtype=np.bool_)
    first[1:] = (
        (before[:, alike] != after[:, alike]).any(axis=1)
        | (before[:, block] + before[:, count] != after[:, block])
        | (after[:, kind] > EventKind.UNPLUG)
    )
    starts = np.flatnonzero(first)
    runs = events[starts].copy()
    for column in (count, pages):
        runs[:, column] = np.add.reduceat(events[:, column], starts)
    return runs


def _cannot(store: ResultStore, why: str) -> InputError:
    return InputError(str(store.folder), [Fault("", why)])
