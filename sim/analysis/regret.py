"""What a policy leaves on the table: how much less of the objective it has than one that knows what is to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.analysis.compare import compare, named_conditions, number
from sim.results.failure import Status
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    import pandas as pd

    from sim.experiment.plan import Experiment

BOUND: Final = "clairvoyant"
"""Name of the policy that regret is held against."""

OBJECTIVE: Final = "movable_byte_seconds"
"""The score that it maximises, and that regret is defined on."""


def bound(experiment: Experiment) -> str | None:
    """Return the label of the experiment's clairvoyant policy (the first of several); None where it has none."""
    labels = (each.policy.label for each in experiment.combinations if each.policy.plugin == BOUND)
    return next(labels, None)


def regret(runs: pd.DataFrame, against: str, *, policies: tuple[str, ...] | list[str] = ()) -> pd.DataFrame:
    """Return the mean regret of every policy in byte-seconds, paired by replication: a row per policy.

    Columns: machine, workload, policy, regret, and ``low`` and ``high`` of its 95 % interval. Regret is how much less
    of the score ``movable_byte_seconds`` a policy has than ``against``, which maximises it; never negative for a policy
    that ``against`` knew as a rival. Raises ValueError as :func:`sim.analysis.compare.compare` does.
    """
    comparison = compare(runs, against, [OBJECTIVE], policies=policies)
    table = comparison[["machine", "workload", "policy"]].copy()
    # Not to be -0.
    table["regret"] = 0.0 - comparison["difference"]
    table["low"] = 0.0 - comparison["difference_high"]
    table["high"] = 0.0 - comparison["difference_low"]
    return table


def what_was_proved(runs: pd.DataFrame, against: str) -> dict[tuple[str, str], str]:
    """Return one line for each machine and workload: how good the zones of ``against`` are known to be."""
    done = named_conditions(runs)
    done = done[(done["status"] == Status.COMPLETED) & (done["policy"] == against) & done["plan_rehearsals"].notna()]
    return {
        (str(machine), str(workload)): f"{against}: {_in_words(group)}"
        for (machine, workload), group in done.groupby(["machine", "workload"], sort=False)
    }


def _in_words(runs: pd.DataFrame) -> str:
    proved = int(runs["plan_proved"].astype(bool).sum())
    if bool((runs[[name for name in FAILING if name in runs]] > 0).any(axis=1).all()):
        return "every plan fails" if proved == len(runs) else "every plan that was tried fails"
    if proved == len(runs):
        return "proved best" if len(runs) == 1 else f"proved best in all {len(runs)} runs"
    tried = runs["plan_rehearsals"].astype(int)
    fewest, most = int(tried.min()), int(tried.max())
    words = f"best of {most} plans tried" if fewest == most else f"best of {fewest} to {most} plans tried"
    if proved:
        words += f", proved best in {proved} of {len(runs)} runs"
    limits = runs["plan_bound_byte_seconds"]
    if limits.isna().any():
        return f"{words}; no bound, as rehearsals differ in requests or kernel memory"
    unit = SCORES[OBJECTIVE].unit
    limit, best = float(limits.mean()), float(runs[OBJECTIVE].mean())
    gap = 100 * (limit - best) / limit if limit else 0.0
    return f"{words}; no plan can pass {number(unit.show(limit))} {unit.shown_symbol}, gap {gap:.2g} %"
