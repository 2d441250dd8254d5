"""Adds replications where they matter: until it is known well enough how much comes back, or there are enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sim.analysis.compare import compare, nothing_random
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.ranking import failures
from sim.analysis.verdict import returning_score
from sim.results.failure import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from sim.experiment.plan import Experiment

MOST_REPLICATIONS: Final = 200
"""Replications beyond which none are added unless more are allowed."""

_SMALLEST_STEP: Final = 5


@dataclass(frozen=True, slots=True)
class Until:
    """Until every policy's difference to the baseline in what came back is known to ``width`` percentage points.

    That is half of its 95 % interval. No machine and workload gets more than ``most`` replications. Policies that fail
    in some replication are left out: how much comes back with them is no question any more. All policies on a machine
    and workload get the same replications, as they are compared in pairs. Implements
    :class:`sim.experiment.run.Extension`.
    """

    width: float
    most: int = MOST_REPLICATIONS

    def settings(self) -> dict[str, float]:
        """Return both numbers for the manifest."""
        return {"width": self.width, "most": self.most}

    def keep(self, experiment: Experiment) -> Experiment:
        """Return ``experiment`` with all replications that it may come to."""
        most = max(self.most, len(experiment.replications))
        return experiment.only(tuple(range(min(most, experiment.most_replications or most))))

    def more(self, experiment: Experiment, runs: pd.DataFrame) -> Experiment | None:
        """Return what is to be run next of ``experiment`` of which there are ``runs``; None where that is enough.

        Half as many replications again, of the machines and workloads that have the fewest of those that need more.
        """
        most = min(self.most, experiment.most_replications or self.most)
        counts = {
            pair: there for pair, there, width in self._found(experiment, runs) if there < most and width > self.width
        }
        if not counts:
            return None
        there = min(counts.values())
        wanted = {pair for pair, count in counts.items() if count == there}
        step = max(there // 2, _SMALLEST_STEP, FEWEST_FOR_INTERVAL - there)
        combinations = tuple(
            each for each in experiment.combinations if (each.machine.label, each.workload.label) in wanted
        )
        numbers = tuple(range(there, min(there + step, most)))
        return replace(experiment.only(numbers), combinations=combinations)

    def outcome(self, experiment: Experiment, runs: pd.DataFrame) -> list[str]:
        """Return a sentence for each machine and workload whose interval is still too wide."""
        title = returning_score().title
        return [
            f"{workload} on {machine}: {there} replications tell differences in '{title}' to "
            + (f"± {width:.2g} points" if math.isfinite(width) else "nothing, being too few")
            + f", not to ± {self.width:g}; "
            + (
                "there are no more recordings."
                if there == experiment.most_replications
                else "--most-replications allows more."
            )
            for (machine, workload), there, width in self._found(experiment, runs)
            if width > self.width
        ]

    def _found(self, experiment: Experiment, runs: pd.DataFrame) -> Iterator[tuple[tuple[str, str], int, float]]:
        """Yield each machine and workload with its number of replications and half of its widest interval (points)."""
        score = returning_score()
        for (machine, workload), group in runs.groupby(["machine", "workload"], sort=True):
            done = group[group["status"] == Status.COMPLETED]
            if nothing_random(done) or done.empty:
                continue
            there = int(group["replication"].max()) + 1
            comparison = compare(group, experiment.baseline, [score.name], policies=experiment.policies)
            how = failures(done, set(done["policy"]))
            widest = 0.0
            for row in comparison.to_dict("records"):
                if row["policy"] == row["baseline"] or how[str(row["policy"])].failed or not row["pairs"]:
                    continue
                # Too few replications have no interval at all, which is wider than any.
                few = row["pairs"] < FEWEST_FOR_INTERVAL
                half = math.inf if few else (row["difference_high"] - row["difference_low"]) / 2
                widest = max(widest, score.unit.show(half))
            yield (str(machine), str(workload)), there, widest
