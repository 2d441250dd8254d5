"""Reads a few columns of many cells quickly: a file of each, found once for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.results.layout import partitions, whole_files
from sim.units import seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

    Floats = npt.NDArray[np.float64]
    Steps = tuple[npt.NDArray[np.int64], Floats, int]
    """When values begin to hold (us), the values, and the end of the run."""


class StoredSteps:
    """The step series of the cells in ``store``, which must not change meanwhile."""

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._files: dict[str, dict[str, Path]] = {}

    def of(self, table: str, scenario: Scenario, policy: str, columns: Sequence[str]) -> dict[str, list[Steps]]:
        """Return ``columns`` of a ``table`` (series, guest) of the runs of ``policy``, by replication.

        A run that has none is left out: one without a guest, or whose files are lost.
        """
        import pyarrow.parquet as pq

        files = self._in(table)
        found: dict[str, list[Steps]] = {name: [] for name in columns}
        for cell, seconds in scenario.of(policy)[["cell", "duration_s"]].itertuples(index=False):
            path = files.get(str(cell))
            if path is None:
                continue
            read = pq.ParquetFile(path).read(columns=["t_us", *columns], use_threads=False)
            times = read["t_us"].to_numpy()
            end = max(seconds_to_us(float(seconds)), 1)
            for name in columns:
                found[name].append((times, read[name].to_numpy().astype(np.float64), end))
        return found

    def _in(self, table: str) -> dict[str, Path]:
        """Return the files of a table by the keys of their cells."""
        if table not in self._files:
            root = self._store.folder / table
            self._files[table] = {
                path.stem: path for folder in partitions(self._store.folder) for path in whole_files(root / folder)
            }
        return self._files[table]
