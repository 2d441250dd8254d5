"""How rows of a comparison are shown: scores in which no policy differs, means, and who is better or worse."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

import pandas as pd

from sim.analysis.compare import number, shown_unit, signed
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]


def same_for_all(rows: Sequence[Row]) -> dict[str, str]:
    """Return the scores in which no policy differs from another, each with its value; none with a single policy.

    A score that is undefined for all has an empty value.
    """
    same = {}
    for score in dict.fromkeys(row["score"] for row in rows):
        of_score = [row for row in rows if row["score"] == score]
        defined = [row for row in of_score if not math.isnan(row["mean"])]
        # Means may be the same by chance: then policies differ all the same.
        alike = len({row["mean"] for row in defined}) == 1 and not any(row["apart"] for row in defined)
        if not defined:
            same[score] = ""
        elif len(of_score) > 1 and alike:
            per, symbol = shown_unit(SCORES[score], [row["mean"] for row in of_score])
            as_many = len({row["replications"] for row in defined}) == 1
            mean = shown_mean(defined[0], per) if as_many else number(defined[0]["mean"] / per)
            value = f"{SCORES[score].title} {mean} {symbol}".rstrip()
            same[score] = value if len(defined) == len(of_score) else f"{value} (where defined)"
    return same


def shown_mean(row: Row, per: float) -> str:
    """Return a row's mean as people see it, divided by ``per``: of a score that tells yes from no in how many runs."""
    runs = int(row["replications"])
    if SCORES[row["score"]].highest == 1:
        return f"{round(row['mean'] * runs)} of {runs}"
    return number(row["mean"] / per)


WORST_TOLD: Final = "Least and most are of any single replication."
"""What :func:`shown_worst` means, for a legend."""


def shown_worst(row: Row, per: float) -> str:
    """Return what stands beside a row's mean: "least 0", the worst replication of a score that is the least (or most).

    Nothing where the score is none, or the mean says as much. ``per`` is what values are divided by.
    """
    return worst_beside(row["score"], row["mean"], row["worst"], per)


def worst_beside(score: str, mean: float, worst: float, per: float) -> str:
    """Return what stands beside a ``mean``: see :func:`shown_worst`."""
    if math.isnan(worst) or number(worst / per) == number(mean / per):
        return ""
    return f"{SCORES[score].worst_is} {number(worst / per)}"


def judged(row: Row) -> Literal["better", "worse"] | None:
    """Return how a policy compares with the baseline; None without a good direction, or where it may be chance."""
    if row["better"] == "neither" or not row["different"]:
        return None
    return "better" if (row["difference"] > 0) == (row["better"] == "higher") else "worse"


MARKS: Final[Mapping[str | None, str]] = {"better": "▲", "worse": "▼", None: ""}
"""What stands beside a difference, by what :func:`judged` says."""


def side_by_side(comparison: pd.DataFrame, machine: str, workload: str) -> pd.DataFrame:
    """Return a table for people: one row per score, one column per policy, in the units that people are shown.

    A cell reads ``mean (difference to the baseline [low, high of its interval])``, with the worst replication behind
    the mean where :func:`shown_worst` tells it. A policy's cell is empty where its score is undefined.
    """
    part = comparison[(comparison["machine"] == machine) & (comparison["workload"] == workload)]
    columns: dict[str, dict[str, str]] = {}
    for row in part.to_dict("records"):
        score = SCORES[str(row["score"])]
        heading = f"{score.title} [{score.unit.shown_symbol}]" if score.unit.shown_symbol else score.title
        columns.setdefault(str(row["policy"]), {})[heading] = _cell(row, score.unit.shown_per)
    return pd.DataFrame(columns)


def _cell(row: Mapping[Any, Any], per: float) -> str:
    if not row["replications"]:
        return ""
    text = ", ".join(filter(None, [number(row["mean"] / per), shown_worst(row, per)]))
    if row["policy"] == row["baseline"] or math.isnan(row["difference"]):
        return text
    low, high = row["difference_low"] / per, row["difference_high"] / per
    span = "" if math.isnan(low) else f" [{signed(low)}, {signed(high)}]"
    return f"{text} ({signed(row['difference'] / per)}{span})"
