"""Which policies fail, how often and of what; those come behind every one that never does, whatever their scores are.

A run fails where the guest dies, a kernel request finds no memory, or memory cannot be added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.analysis.intervals import proportion_interval
from sim.scores.failures import FAILING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
        return f"{self.failed} of {self.runs} (95 %: {_percent(low)} to {_percent(high)} %)"


def failures_in_words(found: Iterable[Failures]) -> list[str]:
    """Return a sentence for each way to fail: who, how often, of what."""
    alike: dict[tuple[str, str], list[str]] = {}
    for how in found:
        if how.failed:
            often = f"failed in {how.often()}" if how.runs > 1 else "failed"
            alike.setdefault((often, "; ".join(how.reasons)), []).append(how.policy)
    return [f"{'; '.join(policies)}: {often}: {reasons}." for (often, reasons), policies in alike.items()]


def _percent(share: float) -> str:
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"  # noqa: PLR2004  two digits


def failures(runs: pd.DataFrame, policies: Iterable[str]) -> dict[str, Failures]:
    """Return how each of ``policies`` fails in ``runs``, the completed ones of one machine and workload."""
    told = runs[
        [name for name in ("policy", *FAILING, "death_time", "kernel_oom_first", "death_cause") if name in runs]
    ]
    parts = dict(list(told.groupby("policy", sort=False)))
    return {policy: _failures(policy, parts.get(policy, told[:0])) for policy in policies}


def _failures(policy: str, runs: pd.DataFrame) -> Failures:
    happened = runs[list(FAILING)].fillna(0.0) > 0
    single = len(runs) == 1
    reasons = []
    for name, words, first in (
        ("died", "guest died", "death_time"),
        ("kernel_ooms", "kernel out of memory", "kernel_oom_first"),
        ("failed_adds", "memory could not be added", None),
    ):
        times = int(happened[name].sum())
        # What a guest died of need not be told twice.
        told = name == "kernel_ooms" and bool((happened["died"] == happened[name]).all())
        if not times or told:
            continue
        text = words if single else f"{words} in {times}"
        if first is not None and first in runs and runs[first].notna().any():
            text += f" at {_shown(runs[first].min())}" if single else f", first at {_shown(runs[first].min())}"
        if name == "died" and "death_cause" in runs:
            causes = dict.fromkeys(runs["death_cause"].dropna())
            text += f" ({', '.join(_CAUSES.get(cause, cause) for cause in causes)})" if causes else ""
        reasons.append(text)
    return Failures(policy, int(happened.any(axis=1).sum()), len(runs), tuple(reasons))


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
