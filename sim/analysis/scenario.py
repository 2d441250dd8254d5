"""The runs of one machine and workload: what figures, findings and reports are about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sim.analysis.compare import compare, named_conditions, policies_in_order
from sim.analysis.ranking import FAILED_MARK, failures, ranked
from sim.results.failure import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from sim.analysis.ranking import Failures


@dataclass(frozen=True, eq=False)
class Scenario:
    """The completed runs of one machine and workload.

    ``policies`` are those of the whole experiment, in its order; ``bound`` is the label of the one among them that
    knows the future, ``baseline`` of the one that the others are compared with; None where there is none.
    ``comparison`` are its rows of a comparison that was made before, which takes long; None where none was.
    """

    machine: str
    workload: str
    policies: tuple[str, ...]
    runs: pd.DataFrame
    bound: str | None = None
    baseline: str | None = None
    comparison: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        """What the runs have in common, for a plot's heading."""
        return f"{self.workload} on {self.machine}"

    @cached_property
    def present(self) -> list[str]:
        """The policies that have runs here, in the experiment's order."""
        policies = set(self.runs["policy"])
        return [policy for policy in self.policies if policy in policies]

    @cached_property
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

    @property
    def sound(self) -> list[str]:
        """The policies that never fail here, in the experiment's order, without the one that knows the future."""
        return [policy for policy in self.present if policy != self.bound and not self.failures[policy].failed]

    @property
    def against(self) -> str:
        """The policy that the others are held against here: the baseline, or the first where that has no runs."""
        return self.baseline if self.baseline in self.present and self.baseline is not None else self.present[0]

    def marked(self, policy: str, text: str = "") -> str:
        """Return ``text``, or the name of ``policy``: marked where it is the baseline or fails, with how often."""
        how = self.failures[policy]
        name = f"{text or policy}{' (baseline)' if policy == self.baseline and len(self.present) > 1 else ''}"
        if not how.failed:
            return name
        often = f" ({how.count()})" if how.runs > 1 else ""
        return f"{FAILED_MARK} {name}{often}"

    def of(self, policy: str) -> pd.DataFrame:
        """Return the runs of ``policy``, by replication."""
        if policy not in self._of:
            self._of[policy] = self.runs[self.runs["policy"] == policy].sort_values("replication")
        return self._of[policy]

    @cached_property
    def _of(self) -> dict[str, pd.DataFrame]:
        return {}

    def compared(self, score: str, base: str) -> pd.DataFrame:
        """Return the rows of :func:`sim.analysis.compare.compare` of one ``score``, to ``base``, by policy."""
        if (score, base) not in self._compared:
            table = compare(self.runs, base, [score], policies=self.policies)
            self._compared[score, base] = table.set_index("policy")
        return self._compared[score, base]

    @cached_property
    def _compared(self) -> dict[tuple[str, str], pd.DataFrame]:
        return {}

    def configured_ratio(self, policy: str) -> float:
        """Return the ratio (percent) that ``policy`` shall keep to; NaN where it has none."""
        return float(self.of(policy)["configured_ratio"].iloc[0])

    def shared_replication(self) -> int | None:
        """Return the first replication that all policies have, the same traffic for all; None where there is none."""
        of_policies = [set(self.of(policy)["replication"]) for policy in self.present]
        return min(set.intersection(*of_policies), default=None) if of_policies else None


def scenarios(
    runs: pd.DataFrame,
    policies: Sequence[str] = (),
    bound: str | None = None,
    baseline: str | None = None,
    comparison: pd.DataFrame | None = None,
) -> Iterator[Scenario]:
    """Yield the scenarios of ``runs`` (see :meth:`sim.results.store.ResultStore.runs`), by machine and workload.

    ``policies`` is the experiment's order, ``bound`` the label of the policy that knows the future and ``baseline`` of
    the one that the others are compared with, if known. ``comparison`` is what
    :func:`sim.analysis.compare.compare` said of all of them, where that was asked already.
    """
    runs = named_conditions(runs)
    order = tuple(policies_in_order(runs, policies))
    done = runs[runs["status"] == Status.COMPLETED]
    for (machine, workload), group in done.groupby(["machine", "workload"], sort=True):
        rows = None
        if comparison is not None:
            rows = comparison[(comparison["machine"] == machine) & (comparison["workload"] == workload)]
        yield Scenario(str(machine), str(workload), order, group, bound, baseline, rows)


def time_axis(duration_s: float) -> tuple[float, str]:
    """Return by what seconds are divided, and the unit's name, for an axis of ``duration_s`` seconds."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if duration_s >= 3 * length:
            return length, unit
    return 1.0, "seconds"
