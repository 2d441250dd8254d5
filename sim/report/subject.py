"""What a report is about: a folder of results, and as much as can be known of how it came about."""

from __future__ import annotations

import contextlib
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.comparison.whole import compared
from sim.faults import InputError
from sim.results.manifest import read_manifest
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from sim.comparison.whole import Comparison, Scenario


@dataclass(frozen=True, slots=True)
class Subject:
    """Results in the folder of ``store``, finished or not, and all of their ``runs`` (see :class:`Gathered`).

    ``manifest`` is empty where there is none that can be read, and ``config`` what it or, before there is one,
    ``experiment.toml`` says: empty where neither does. ``comparison`` is None where there is no run at all. ``notes``
    tell what is missing and why.
    """

    store: ResultStore
    runs: pd.DataFrame
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    comparison: Comparison | None
    notes: tuple[str, ...]

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
    def baseline(self) -> str | None:
        """The policy that others are held against; None where there is no run."""
        return None if self.comparison is None else self.comparison.gathered.baseline

    @property
    def bound(self) -> str | None:
        """The policy that knows the future; None where there is none, or that is not known."""
        return None if self.comparison is None else self.comparison.gathered.bound


def read_subject(folder: Path) -> Subject:
    """Return what is in ``folder``. What cannot be read of manifest and experiment becomes a note."""
    store, manifest = ResultStore(folder), {}
    # Why it cannot be read is told by who gathers the runs.
    with contextlib.suppress(ValueError):
        manifest = read_manifest(folder)
    try:
        comparison = compared([folder])
    except InputError:
        comparison, runs, notes = None, store.runs(), ("There are no runs in this folder.",)
    else:
        runs, notes = comparison.gathered.runs, comparison.gathered.notes
    config = manifest.get("config") if isinstance(manifest.get("config"), dict) else _written(folder)
    return Subject(store, runs, manifest, config or {}, comparison, notes)


def _written(folder: Path) -> dict[str, Any]:
    """Return what the folder's ``experiment.toml`` says, which is there from the start; nothing where it is not."""
    try:
        return tomllib.loads((folder / "experiment.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
