"""Policies side by side: means with confidence intervals, and differences to a baseline paired by replication.

All policies of one replication meet the same traffic, so the difference of two policies is taken within each
replication before anything is averaged: what the traffic does to both cancels out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from sim.results.failure import Status
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    import numpy.typing as npt

HEADLINE_SCORES: Final = tuple(score.name for score in SCORES.values() if score.headline)
"""The scores that short tables and the plots show."""

FEWEST_FOR_INTERVAL: Final = 3
"""Replications below which no interval is given: two points say next to nothing about how far a mean may be off."""

Method = Literal["t", "bootstrap"]

COMPARISON_COLUMNS: Final = (
    "machine", "workload", "policy", "score", "unit", "better", "replications", "mean", "low", "high",
    "baseline", "pairs", "difference", "difference_low", "difference_high",
)  # fmt: skip


def policies_in_order(runs: pd.DataFrame, policies: Iterable[str] = ()) -> list[str]:
    """Return the labels of all policies in ``runs``: first ``policies`` in their order, then others by name."""
    present = set(runs["policy"])
    known = [label for label in dict.fromkeys(policies) if label in present]
    return known + sorted(present - set(known))


def named_conditions(runs: pd.DataFrame) -> pd.DataFrame:
    """Return ``runs`` with swept values that no label shows (those of guest and timing) added to the workload's label.

    Swept values of machines, policies and workloads are in their labels already.
    """
    swept = [name for name in runs.columns if str(name).startswith(("guest.", "timing."))]
    if not swept:
        return runs
    named = [
        f"{workload} ({', '.join(f'{name}={value}' for name, value in zip(swept, values, strict=True))})"
        for workload, *values in runs[["workload", *swept]].itertuples(index=False)
    ]
    return runs.assign(workload=named)


def interval(values: npt.NDArray[np.float64], method: Method = "t", confidence: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of the mean of ``values``: NaN below three of them, or if any is not finite.

    ``t`` takes Student's distribution; ``bootstrap`` resamples (BCa, with a fixed seed, so that it can be repeated).
    Equal values give an interval of no width.
    """
    if len(values) < FEWEST_FOR_INTERVAL or not np.isfinite(values).all():
        return math.nan, math.nan
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    if method == "t":
        from scipy.special import stdtrit  # scipy.stats has the same, but takes a second to import

        error = values.std(ddof=1) / math.sqrt(len(values))
        low, high = (stdtrit(len(values) - 1, (1 + side * confidence) / 2) * error + values.mean() for side in (-1, 1))
    else:
        from scipy import stats

        bootstrap = stats.bootstrap((values,), np.mean, confidence_level=confidence, rng=np.random.default_rng(0))
        low, high = bootstrap.confidence_interval
    return float(low), float(high)


def compare(
    runs: pd.DataFrame,
    baseline: str | None = None,
    scores: Sequence[str] = HEADLINE_SCORES,
    *,
    policies: Sequence[str] = (),
    method: Method = "t",
) -> pd.DataFrame:
    """Return one row per machine, workload, policy and score (:data:`COMPARISON_COLUMNS`), in stored units.

    ``runs`` is what :meth:`sim.results.store.ResultStore.runs` gives; failed cells and undefined scores are left out
    and ``replications`` says how many were not. ``difference`` is the mean of policy minus ``baseline`` (the first of
    ``policies`` where None) over the ``pairs`` replications that have both. Raises ValueError for an unknown baseline
    or score, and where cells cannot be told apart by their labels.
    """
    runs = named_conditions(runs)
    order = policies_in_order(runs, policies)
    if unknown := sorted(set(scores) - SCORES.keys()):
        raise ValueError(f"unknown scores: {', '.join(unknown)}; there are: {', '.join(SCORES)}")
    if not order:
        return pd.DataFrame(columns=list(COMPARISON_COLUMNS))
    base = order[0] if baseline is None else baseline
    if base not in order:
        raise ValueError(f"the baseline {base!r} is none of the policies: {', '.join(order)}")
    labels = ["machine", "workload", "policy", "replication"]
    if runs.duplicated(labels).any():
        raise ValueError("several cells have the same labels and replication; policies compare only cell by cell")
    rows = []
    done = runs[runs["status"] == Status.COMPLETED]
    for (machine, workload), group in done.groupby(["machine", "workload"], sort=False):
        cells = group.set_index(["replication", "policy"])
        for score in scores:
            table = cells[score].unstack("policy")  # noqa: PD010  pivot_table takes twenty times as long
            present = (policy for policy in order if policy in table)
            rows += [_row(str(machine), str(workload), policy, score, table, base, method) for policy in present]
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS))


def _row(
    machine: str, workload: str, policy: str, score: str, table: pd.DataFrame, base: str, method: Method
) -> tuple[object, ...]:
    values = table[policy].dropna().to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is undefined, as it should be
        gaps = (table[policy] - table[base]).dropna() if base in table else table[policy].iloc[:0]
    differences = gaps.to_numpy(dtype=np.float64)
    return (
        machine, workload, policy, score, SCORES[score].unit.symbol, SCORES[score].better,
        len(values), _mean(values), *interval(values, method),
        base, len(differences), _mean(differences), *interval(differences, method),
    )  # fmt: skip


def _mean(values: npt.NDArray[np.float64]) -> float:
    return math.fsum(values.tolist()) / len(values) if len(values) else math.nan


def side_by_side(comparison: pd.DataFrame, machine: str, workload: str) -> pd.DataFrame:
    """Return a table for people: one row per score, one column per policy, in the units that people are shown.

    A cell reads ``mean (difference to the baseline ± half of its interval)``. A policy's cell is empty where its score
    is undefined.
    """
    part = comparison[(comparison["machine"] == machine) & (comparison["workload"] == workload)]
    columns: dict[str, dict[str, str]] = {}
    for row in part.to_dict("records"):
        score = SCORES[str(row["score"])]
        heading = f"{score.title} [{score.unit.shown_symbol}]" if score.unit.shown_symbol else score.title
        columns.setdefault(str(row["policy"]), {})[heading] = _cell(row, score.unit.shown_per)
    return pd.DataFrame(columns)


def _cell(row: Mapping[Hashable, Any], per: float) -> str:
    if not row["replications"]:
        return ""
    text = number(row["mean"] / per)
    if row["policy"] == row["baseline"] or math.isnan(row["difference"]):
        return text
    half = (row["difference_high"] - row["difference_low"]) / 2 / per
    spread = f" ± {number(half)}" if half > 0 else ""
    return f"{text} ({signed(row['difference'] / per)}{spread})"


def number(value: float) -> str:
    """Return ``value`` with three significant digits, and without digits that say nothing."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "undefined"
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float) -> str:
    """Return ``value`` as :func:`number` does, always with its sign; nothing is ±0."""
    return "±0" if value == 0 else f"{'+' if value > 0 else ''}{number(value)}"
