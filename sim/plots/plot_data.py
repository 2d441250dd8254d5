"""What plots draw: the runs of one machine and workload, and step series brought to common times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sim.analysis.compare import named_conditions, policies_in_order
from sim.analysis.ranking import FAILED_MARK, failures, ranked
from sim.results.failure import Status
from sim.units import GIB, MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import pandas as pd

    from sim.analysis.ranking import Failures
    from sim.results.store import ResultStore

    Floats = npt.NDArray[np.float64]

_GRID = 1500
"""Times at which replications are averaged: more than a plot has columns of dots."""


@dataclass(frozen=True)
class Scenario:
    """The completed runs of one machine and workload.

    ``policies`` are those of the whole experiment, in its order; ``bound`` is the label of the one among them that
    knows the future, None where there is none.
    """

    machine: str
    workload: str
    policies: tuple[str, ...]
    runs: pd.DataFrame
    bound: str | None = None

    @property
    def title(self) -> str:
        """What the runs have in common, for a plot's heading."""
        return f"{self.workload} on {self.machine}"

    @property
    def present(self) -> list[str]:
        """The policies that have runs here, in the experiment's order."""
        policies = set(self.runs["policy"])
        return [policy for policy in self.policies if policy in policies]

    @property
    def replications(self) -> int:
        """The number of different replications."""
        return int(self.runs["replication"].nunique())

    @property
    def has_guest(self) -> bool:
        """Whether a guest was modelled."""
        return bool(self.runs["headroom_min"].notna().any())

    @cached_property
    def failures(self) -> dict[str, Failures]:
        """How each policy that has runs here fails."""
        return failures(self.runs, self.present)

    @property
    def ranked(self) -> list[str]:
        """The policies that have runs here, those that fail behind the others, as in the tables."""
        return ranked(self.present, self.failures)

    def marked(self, policy: str, text: str = "") -> str:
        """Return ``text``, or the name of ``policy``; where that fails, with a mark and how often."""
        how = self.failures[policy]
        if not how.failed:
            return text or policy
        often = f" ({how.count()})" if how.runs > 1 else ""
        return f"{FAILED_MARK} {text or policy}{often}"

    def of(self, policy: str) -> pd.DataFrame:
        """Return the runs of ``policy``, by replication."""
        return self.runs[self.runs["policy"] == policy].sort_values("replication")

    def configured_ratio(self, policy: str) -> float:
        """Return the ratio (percent) that ``policy`` shall keep to; NaN where it has none."""
        return float(self.of(policy)["configured_ratio"].iloc[0])


def scenarios(runs: pd.DataFrame, policies: Sequence[str] = (), bound: str | None = None) -> Iterator[Scenario]:
    """Yield the scenarios of ``runs`` (see :meth:`sim.results.store.ResultStore.runs`), by machine and workload.

    ``policies`` is the experiment's order and ``bound`` the label of the policy that knows the future, if known.
    """
    runs = named_conditions(runs)
    order = tuple(policies_in_order(runs, policies))
    done = runs[runs["status"] == Status.COMPLETED]
    for (machine, workload), group in done.groupby(["machine", "workload"], sort=True):
        yield Scenario(str(machine), str(workload), order, group, bound)


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


def memory_series(store: ResultStore, scenario: Scenario, policy: str) -> dict[str, Spread]:
    """Return ``movable_bytes`` and ``kernel_bytes`` of ``policy`` over time, in GiB."""
    cells = list(scenario.of(policy)["cell"])
    return spread(store.series(cells), cells, ("movable_bytes", "kernel_bytes"), GIB)


def ratio_series(store: ResultStore, scenario: Scenario, policy: str) -> Spread:
    """Return MOVABLE : KERNEL of ``policy`` over time, in percent of present memory."""
    cells = list(scenario.of(policy)["cell"])
    series = store.series(cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 100.0 * series["movable_bytes"] / series["kernel_bytes"]
    return spread(series.assign(ratio=ratio), cells, ("ratio",), 1.0)["ratio"]


def time_axis(duration_s: float) -> tuple[float, str]:
    """Return by what seconds are divided, and the unit's name, for an axis of ``duration_s`` seconds."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if duration_s >= 3 * length:
            return length, unit
    return 1.0, "seconds"
