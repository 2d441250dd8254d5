"""What a report is about: a folder of results, and as much as can be known of how it came about."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sim.analysis.scenario import scenarios as findings_of
from sim.comparison.whole import compared
from sim.faults import InputError
from sim.results.manifest import read_experiment, read_manifest
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from sim.analysis.scenario import Scenario as Findings
    from sim.comparison.whole import Comparison, Scenario
    from sim.experiment.plan import Experiment


@dataclass(frozen=True)
class Subject:
    """Results in the folder of ``store``, finished or not.

    ``manifest`` is empty where there is none that can be read, and ``config`` what it or, before there is one,
    ``experiment.toml`` says: empty where neither does. ``comparison`` is None where there is no run at all.
    """

    store: ResultStore
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    comparison: Comparison | None

    @cached_property
    def runs(self) -> pd.DataFrame:
        """All runs, completed or not (see :class:`sim.comparison.gather.Gathered`)."""
        return self.store.runs() if self.comparison is None else self.comparison.gathered.runs

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing, and why."""
        return ("There are no runs in this folder.",) if self.comparison is None else self.comparison.gathered.notes

    @property
    def name(self) -> str:
        """What the experiment is called; the folder's name where that is not known."""
        return str(self.config.get("name") or self.folder_name)

    @property
    def folder_name(self) -> str:
        """The folder's name without what is above it, so that the same results give the same page anywhere."""
        return self.store.folder.resolve().name

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios that have completed runs, in their order."""
        return () if self.comparison is None else self.comparison.scenarios

    @property
    def policies(self) -> tuple[str, ...]:
        """The labels of all policies that have runs, in their order."""
        return () if self.comparison is None else self.comparison.gathered.policies

    @property
    def experiment(self) -> Experiment | None:
        """The experiment; None where it is not known, or cannot be had any more."""
        return None if self.comparison is None else self.comparison.gathered.sources[0].experiment

    @property
    def baseline(self) -> str | None:
        """The policy that others are held against; None where there is no run."""
        return None if self.comparison is None else self.comparison.gathered.baseline

    @property
    def bound(self) -> str | None:
        """The policy that knows the future; None where there is none, or that is not known."""
        return None if self.comparison is None else self.comparison.gathered.bound

    @cached_property
    def findings(self) -> dict[tuple[str, str], Findings]:
        """By machine and workload: the same completed runs as sentences and charts take them."""
        found = findings_of(self.runs, self.policies, self.bound, self.baseline)
        return {(each.machine, each.workload): each for each in found}


def read_subject(folder: Path) -> Subject:
    """Return what is in ``folder``. What cannot be read of manifest and experiment becomes a note."""
    store, manifest = ResultStore(folder), {}
    # Why it cannot be read is told by who gathers the runs.
    with contextlib.suppress(ValueError):
        manifest = read_manifest(folder)
    comparison = None
    # Where there are no runs at all.
    with contextlib.suppress(InputError):
        comparison = compared([folder])
    config = manifest.get("config") if isinstance(manifest.get("config"), dict) else _written(folder)
    return Subject(store, manifest, config or {}, comparison)


def _written(folder: Path) -> dict[str, Any]:
    """Return what the folder's ``experiment.toml`` says, which is there from the start; nothing where it is not."""
    try:
        return read_experiment(folder)
    except ValueError:
        return {}
