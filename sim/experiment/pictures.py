"""What ``lsmem`` would print in a simulated guest: at the start of an experiment, and at any moment of a stored run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.experiment import build
from sim.experiment.load import load_stored
from sim.faults import InputError
from sim.snapshot.run_picture import picture_of_run
from sim.streams import Streams
from sim.units import seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.experiment.plan import Combination, Experiment
    from sim.record.run_result import RunResult
    from sim.results.store import ResultStore
    from sim.snapshot.picture import Picture

_SETTLED_S: Final = 600.0
"""Seconds after which the guest is done with what was there at boot, its rules of user space too."""


def picture_at_start(experiment: Experiment, combination: Combination) -> Picture:
    """Return what there is before anything is asked of the machine of ``combination``: once it has booted.

    Devices that are there at boot have come online by then as the policy, and its rules of user space, have it.
    """
    from sim import engine
    from workloads.steps import Steps

    machine = combination.machine.spec
    result = engine.simulate(
        machine,
        build.policy(combination.policy, experiment.folder),
        Steps(pause=_SETTLED_S),
        Streams(experiment.seed, 0),
        timing=combination.timing,
        guest=build.guest(combination.guest),
    )
    at_us = result.duration_us if machine.cold_dimms or machine.cold_devices else 0
    return _picture(result, at_us, combination, experiment.folder)


def picture_of_cell(store: ResultStore, cell: str, at: float | None = None) -> Picture:
    """Return what there is ``at`` so many seconds (None: at the end) in the completed cell with the key ``cell``.

    Raises KeyError if there is no such cell.
    """
    result = store.result(cell)
    at_us = result.duration_us if at is None else seconds_to_us(at)
    try:
        experiment = load_stored(store.folder)
    except ValueError:  # of another version, or with plug-ins that are no longer there
        experiment = None
    labels = next(labels for labels in store.labels() if labels["cell"] == cell)
    combination = None if experiment is None else _combination(experiment, labels)
    if experiment is None or combination is None:
        return picture_of_run(result, at_us)
    return _picture(result, at_us, combination, experiment.folder)


def _picture(result: RunResult, at_us: int, combination: Combination, folder: Path) -> Picture:
    try:
        policy = build.policy(combination.policy, folder)
    except InputError:
        policy = None
    return picture_of_run(result, at_us, combination.machine.spec, build.guest(combination.guest), policy)


def _combination(experiment: Experiment, labels: Mapping[str, Any]) -> Combination | None:
    """Return the combination of a stored run, which its labels name."""
    wanted = tuple(labels[name] for name in ("machine", "workload", "policy"))
    for each in experiment.combinations:
        if (each.machine.label, each.workload.label, each.policy.label) == wanted:
            return each
    return None
