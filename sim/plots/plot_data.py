"""What plots draw over time: step series of replications brought to common times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from sim.units import GIB, MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

    Floats = npt.NDArray[np.float64]

_GRID = 1500
"""Times at which replications are averaged: more than a plot has columns of dots."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A step series of several replications: times in seconds, and at each the mean, least and largest value."""

    time: Floats
    mean: Floats
    low: Floats
    high: Floats
    replications: int

    @property
    def differs(self) -> bool:
        """Whether the replications differ at all."""
        return bool((self.low != self.high).any())


def spread(series: pd.DataFrame, cells: Sequence[str], columns: Sequence[str], scale: float) -> dict[str, Spread]:
    """Return the :class:`Spread` of ``columns`` of ``series`` over ``cells``, divided by ``scale``.

    Replications that are all alike keep their own steps; others are sampled at common times, each step as it was then.
    """
    of_cells = {cell: group for cell, group in series.groupby("cell", sort=False) if cell in set(cells)}
    groups = [of_cells[cell] for cell in cells]
    times = [group["t_us"].to_numpy() for group in groups]
    if all(
        np.array_equal(group[["t_us", *columns]], groups[0][["t_us", *columns]], equal_nan=True) for group in groups
    ):
        grid = times[0]
    else:
        grid = np.linspace(0, max(int(time[-1]) for time in times), _GRID).astype(np.int64)
    spreads = {}
    for column in columns:
        rows = np.array(
            [
                group[column].to_numpy(dtype=np.float64)[np.searchsorted(time, grid, side="right") - 1]
                for group, time in zip(groups, times, strict=True)
            ]
        )
        rows /= scale
        spreads[column] = Spread(grid / MICROSECONDS, rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0), len(rows))
    return spreads


_read: WeakKeyDictionary[Scenario, dict[str, pd.DataFrame]] = WeakKeyDictionary()
"""Step series that were read, by scenario and policy: figures of one scenario show the same ones."""


def _series(store: ResultStore, scenario: Scenario, policy: str) -> pd.DataFrame:
    of_scenario = _read.setdefault(scenario, {})
    if policy not in of_scenario:
        of_scenario[policy] = store.series(list(scenario.of(policy)["cell"]))
    return of_scenario[policy]


def memory_series(store: ResultStore, scenario: Scenario, policy: str) -> dict[str, Spread]:
    """Return ``movable_bytes``, ``kernel_bytes`` and ``plugged_bytes`` of ``policy`` over time, in GiB.

    Plugged is boot memory and what all devices have plugged: less than what is in zones, where virtio-mem has unplugged
    parts of blocks.
    """
    cells = list(scenario.of(policy)["cell"])
    series = with_boot_memory(_series(store, scenario, policy))
    return spread(series, cells, ("movable_bytes", "kernel_bytes", "plugged_bytes"), GIB)


def with_boot_memory(series: pd.DataFrame) -> pd.DataFrame:
    """Return the ``series`` of cells with boot memory added to what devices have plugged (``plugged_bytes``)."""
    present = series["movable_bytes"] + series["kernel_bytes"] + series["offline_bytes"]
    boot = (present - series["hotplugged_bytes"]).groupby(series["cell"]).transform("first")
    return series.assign(plugged_bytes=series["plugged_bytes"] + boot)


def ratio_series(store: ResultStore, scenario: Scenario, policy: str) -> Spread:
    """Return MOVABLE : KERNEL of ``policy`` over time, in percent of present memory."""
    cells = list(scenario.of(policy)["cell"])
    series = _series(store, scenario, policy)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 100.0 * series["movable_bytes"] / series["kernel_bytes"]
    return spread(series.assign(ratio=ratio), cells, ("ratio",), 1.0)["ratio"]
