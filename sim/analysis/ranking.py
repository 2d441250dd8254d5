"""Which policies fail, how often and of what; those come behind every one that never does, whatever their scores are.

A run fails where the guest dies, a kernel request finds no memory, or memory cannot be added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.analysis.compare import percent
from sim.analysis.intervals import proportion_interval
from sim.faults import set_off
from sim.scores.failures import FAILING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd

FAILED_MARK: Final = "✗"
"""Stands before the names of policies that fail."""


@dataclass(frozen=True, slots=True)
class Failures:
    """How a policy fails: in ``failed`` of ``runs`` runs, for ``reasons`` in words."""

    policy: str
    failed: int
    runs: int
    reasons: tuple[str, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the share of runs that fail."""
        return proportion_interval(self.failed, self.runs)

    def count(self) -> str:
        """Return in how many of how many."""
        return f"{self.failed} of {self.runs}" if self.runs > 1 else ("yes" if self.failed else "no")

    def often(self) -> str:
        """Return the same with the interval, in words."""
        low, high = self.interval
        return f"{self.failed} of {self.runs} (95 %: {percent(low)} to {percent(high)} %)"


def failures_in_words(found: Iterable[Failures]) -> list[str]:
    """Return a sentence for each way to fail: who, how often, of what."""
    alike: dict[tuple[str, str], list[str]] = {}
    for how in found:
        if how.failed:
            often = f"failed in {how.often()}" if how.runs > 1 else "failed"
            alike.setdefault((often, "; ".join(how.reasons)), []).append(how.policy)
    return [f"{'; '.join(map(set_off, policies))}: {often}: {reasons}." for (often, reasons), policies in alike.items()]


def failing(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return in which of ``runs`` something failed."""
    return (runs[list(FAILING)].fillna(0.0) > 0).any(axis=1)


def failures(runs: pd.DataFrame, policies: Iterable[str]) -> dict[str, Failures]:
    """Return how each of ``policies`` fails in ``runs``, the completed ones of one machine and workload."""
    columns, names = _columns(runs), runs["policy"].to_numpy(dtype=object)
    return {policy: _failures(policy, columns, np.flatnonzero(names == policy)) for policy in policies}


def failures_of_each(runs: pd.DataFrame) -> list[Failures]:
    """Return how each of the completed ``runs`` fails, taken alone."""
    columns = _columns(runs)
    return [_failures(policy, columns, np.array([row])) for row, policy in enumerate(runs["policy"])]


def _columns(runs: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Return the columns that failures are told by: for so few values arrays take a tenth of the time of frames."""
    numbers = [name for name in (*FAILING, "death_time", "kernel_oom_first") if name in runs]
    columns = {name: runs[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in numbers}
    if "death_cause" in runs:
        columns["death_cause"] = runs["death_cause"].to_numpy(dtype=object)
    return columns


def _failures(policy: str, columns: Mapping[str, npt.NDArray[Any]], rows: npt.NDArray[np.int64]) -> Failures:
    happened = {name: columns[name][rows] > 0 for name in FAILING}
    single = len(rows) == 1
    reasons = []
    for name, words, first in (
        ("died", "guest died", "death_time"),
        ("kernel_ooms", "kernel out of memory", "kernel_oom_first"),
        ("failed_adds", "memory could not be added", ""),
    ):
        times = int(happened[name].sum())
        # What a guest died of need not be told twice.
        told = name == "kernel_ooms" and bool((happened["died"] == happened[name]).all())
        if not times or told:
            continue
        text = words if single else f"{words} in {times}"
        when = columns[first][rows] if first in columns else np.array([])
        if known := [time for time in when if not math.isnan(time)]:
            text += f" at {_shown(min(known))}" if single else f", first at {_shown(min(known))}"
        if name == "died" and "death_cause" in columns:
            causes = dict.fromkeys(cause for cause in columns["death_cause"][rows] if isinstance(cause, str))
            text += f" ({', '.join(_CAUSES.get(cause, cause) for cause in causes)})" if causes else ""
        reasons.append(text)
    failed = np.logical_or.reduce(list(happened.values()))
    return Failures(policy, int(failed.sum()), len(rows), tuple(reasons))


_CAUSES: Final = {
    "kernel": "kernel out of memory",
    "guest full": "guest full",
    "return": "memory asked back",
}


def _shown(seconds: float) -> str:
    return f"{seconds:,.0f} s"


def ranked(policies: Sequence[str], found: dict[str, Failures]) -> list[str]:
    """Return ``policies`` with those that fail behind the others, the more often the farther; else in their order."""
    return sorted(policies, key=lambda policy: found[policy].failed / max(found[policy].runs, 1))
