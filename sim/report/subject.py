"""What a report is about: a folder of results, and as much as can be known of how it came about."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.experiment.load import load_stored
from sim.faults import InputError
from sim.results.manifest import MANIFEST_NAME, read_manifest
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from sim.experiment.plan import Experiment


@dataclass(frozen=True, slots=True)
class Subject:
    """Results in the folder of ``store``, finished or not, and all of their ``runs``.

    ``manifest`` is empty where there is none that can be read, ``experiment`` None where it cannot be had any more, and
    ``config`` what the manifest or, before there is one, ``experiment.toml`` says: empty where neither does. ``notes``
    tell what is missing and why.
    """

    store: ResultStore
    runs: pd.DataFrame
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    experiment: Experiment | None
    notes: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """What the experiment is called; the folder's name where that is not known."""
        return str(self.config.get("name") or self.store.folder.resolve().name)

    @property
    def folder_name(self) -> str:
        """The folder's name without what is above it, so that the same results give the same page anywhere."""
        return self.store.folder.resolve().name


def read_subject(folder: Path) -> Subject:
    """Return what is in ``folder``. What cannot be read of manifest and experiment becomes a note."""
    store = ResultStore(folder)
    manifest, experiment, notes = {}, None, []
    try:
        if (folder / MANIFEST_NAME).is_file():
            manifest = read_manifest(folder)
            experiment = load_stored(folder)
        else:
            notes.append("There is no manifest: the run is under way, or did not come to its end.")
    except InputError as error:
        notes.append(f"What the manifest describes cannot be had any more: {error}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        notes.append(f"The manifest cannot be read: {error}")
    config = manifest.get("config") if isinstance(manifest.get("config"), dict) else _written(folder)
    return Subject(store, store.runs(), manifest, config or {}, experiment, tuple(notes))


def _written(folder: Path) -> dict[str, Any]:
    """Return what the folder's ``experiment.toml`` says, which is there from the start; nothing where it is not."""
    try:
        return tomllib.loads((folder / "experiment.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
