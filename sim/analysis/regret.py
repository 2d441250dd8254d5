"""What a policy leaves on the table: each score's distance to that of a policy that knows the future."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.analysis.compare import HEADLINE_SCORES, compare
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from sim.experiment.plan import Experiment

BOUND = "clairvoyant"
"""Name of the policy that regret is held against."""


def bound(experiment: Experiment) -> str | None:
    """Return the label of the experiment's clairvoyant policy (the first of several); None where it has none."""
    labels = (each.policy.label for each in experiment.combinations if each.policy.plugin == BOUND)
    return next(labels, None)


def regret(
    runs: pd.DataFrame,
    against: str,
    scores: Sequence[str] = HEADLINE_SCORES,
    *,
    policies: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the mean regret of every policy, in stored units, paired by replication: a row per policy and score.

    Columns: machine, workload, policy, score, unit, regret, and ``low`` and ``high`` of its 95 % interval. Regret is
    how much worse a policy is than ``against``: positive is worse, negative better, whichever direction is good. A
    policy can have negative regret in scores other than what the bound maximises. Scores without a good direction are
    left out. Raises ValueError as :func:`sim.analysis.compare.compare` does.
    """
    judged = [name for name in scores if SCORES[name].better != "neither"]
    comparison = compare(runs, against, judged, policies=policies)
    table = comparison[["machine", "workload", "policy", "score", "unit"]].copy()
    gains = comparison["better"] == "higher"
    table["regret"] = comparison["difference"].where(~gains, -comparison["difference"])
    table["low"] = comparison["difference_low"].where(~gains, -comparison["difference_high"])
    table["high"] = comparison["difference_high"].where(~gains, -comparison["difference_low"])
    return table
