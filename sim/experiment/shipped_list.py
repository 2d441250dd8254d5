"""What the shipped experiments are: a line about each, how long it takes, and which data of one's own it would play."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.load import load
from sim.experiment.shipped import shipped, shipped_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TIMES_NAME: Final = "times.json"
"""Beside the experiments: seconds that each takes on one core, by name (``python -m tests.support.shipped_times``)."""


@dataclass(frozen=True, slots=True)
class ShippedExperiment:
    """A shipped experiment: its ``name`` for commands, and its file.

    ``core_seconds`` is about what all ``runs`` took on one core when that was measured, None where it was not.
    ``own_data`` are the keys (of ``--set``) of recorded files, in whose place one's own can be played.
    """

    name: str
    file: Path
    description: str
    runs: int
    core_seconds: float | None
    own_data: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "file": str(self.file), "own_data": list(self.own_data)}


def listed() -> Iterator[ShippedExperiment]:
    """Yield all shipped experiments, in the order of their names."""
    root = shipped_folder()
    times: dict[str, float] = json.loads((root / TIMES_NAME).read_text("utf-8"))
    for name, path in shipped(root).items():
        experiment = load(path)
        keys = tuple(dict.fromkeys(_own_data(experiment.tables)))
        yield ShippedExperiment(name, path, experiment.description, len(experiment), times.get(name), keys)


def _own_data(tables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of the files that workloads play, as ``--set`` takes them."""
    for table in tables.get("workloads", ()):
        label = table.get("label", table.get("name"))
        if "path" in table:
            yield f"workloads.{label}.path"
        for part in table.get("together", ()):
            if "path" in part:
                yield f"workloads.{label}.{part.get('label', part['name'])}.path"
