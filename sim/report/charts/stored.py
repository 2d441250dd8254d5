"""Reads a few columns of many cells quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.units import seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

    Floats = npt.NDArray[np.float64]
    Steps = tuple[npt.NDArray[np.int64], Floats, int]
    """When values begin to hold (us), the values, and the end of the run."""


class StoredSteps:
    """The step series of the cells in ``store``."""

    def __init__(self, store: ResultStore) -> None:
        self._store = store

    def of(self, table: str, scenario: Scenario, policy: str, columns: Sequence[str]) -> dict[str, list[Steps]]:
        """Return ``columns`` of a ``table`` (series, guest) of the runs of ``policy``, by replication.

        A run that has none is left out: one without a guest, or whose files are lost.
        """
        runs = scenario.of(policy)[["cell", "duration_s"]]
        cells = [str(cell) for cell in runs["cell"]]
        read = self._store.blocks(table, cells, ["t_us", *columns])
        found: dict[str, list[Steps]] = {name: [] for name in columns}
        for cell, seconds in zip(cells, runs["duration_s"], strict=True):
            if cell not in read:
                continue
            times, *values = read[cell]
            end = max(seconds_to_us(float(seconds)), 1)
            for name, each in zip(columns, values, strict=True):
                found[name].append((times, each.astype(np.float64), end))
        return found
