"""What a comparison comes to, in a sentence or two: who never failed, and who of them gives most memory back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.compare import HEADLINE_SCORES, number, shown_unit, signed
from sim.analysis.intervals import FEWEST_FOR_INTERVAL, MOST_NEEDED
from sim.analysis.same import shown_worst
from sim.faults import set_off
from sim.scores.definition import BYTE_SECONDS, PERCENT, Question
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sim.analysis.ranking import Failures
    from sim.scores.definition import Score, Unit

    Row = Mapping[str, Any]


def returning_score() -> Score:
    """Return the score by which policies are held against each other: how much came back."""
    scores = [SCORES[name] for name in HEADLINE_SCORES if SCORES[name].question is Question.RETURNS]
    return next(score for score in scores if score.better == "higher")


def verdict(rows: Sequence[Row], found: Mapping[str, Failures], bounds: Collection[str] = ()) -> list[str]:
    """Return the sentences for ``rows``, those of one machine and workload in a comparison.

    ``found`` says how each policy fails; ``bounds`` are the labels of those that know the future, which are no choice.
    """
    sound = [policy for policy, how in found.items() if not how.failed]
    if len(found) == 1:
        return []
    if not sound:
        return ["Every policy failed in some replication."]
    counts = [found[policy].runs for policy in sound]
    fewest, most = min(counts), max(counts)
    who = "No policy" if len(sound) == len(found) else f"{len(sound)} of {len(found)} policies never"
    sentences = []
    if most > 1:
        # What has the fewest runs is known the least.
        share = f"{100 * max(found[policy].interval[1] for policy in sound):.2g}"
        many = f"{most}" if fewest == most else f"{fewest} to {most}"
        sentences.append(
            f"{who} failed in {many} replications, so each may still fail in up to {share} % of runs (95 %)."
        )
    elif len(sound) < len(found):
        sentences.append(f"{who} failed.")
    return [*sentences, *_most_back(rows, [policy for policy in sound if policy not in bounds], found)]


NEARLY: Final = 0.01
"""Share of a score within which policies are not told as different, however sure it is that they are."""


def nearly_alike(values: Sequence[float]) -> bool:
    """Return whether policies with these ``values`` of a score, one at least, are not told as different."""
    return max(values) - min(values) <= NEARLY * max(map(abs, values))


def best_of(rows: Sequence[Row], found: Mapping[str, Failures], bounds: Collection[str] = ()) -> str | None:
    """Return the policy that gives most back of those that never failed; None where all failed, or none is to be told.

    None is where what comes back is :func:`nearly_alike` with all: it would be taken for a piece of advice.
    Those with which less arrived are left out, as in :func:`verdict`, whose arguments these are.
    """
    values, _ = _comparable(rows, [policy for policy, how in found.items() if not how.failed and policy not in bounds])
    if len(values) > 1 and nearly_alike(list(values.values())):
        return None
    return max(values, key=lambda policy: values[policy], default=None)


def _comparable(rows: Sequence[Row], candidates: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Return how much came back with those of ``candidates`` with which as much arrived, and who is left out."""
    name = returning_score().name
    means = {row["policy"]: row["mean"] for row in rows if row["score"] == name and not math.isnan(row["mean"])}
    values = {policy: means[policy] for policy in candidates if policy in means}
    left_out = less_arrived(rows, list(values))
    return {policy: value for policy, value in values.items() if policy not in left_out}, left_out


def _most_back(rows: Sequence[Row], candidates: Sequence[str], found: Mapping[str, Failures]) -> list[str]:
    score = returning_score()
    of_score = {row["policy"]: row for row in rows if row["score"] == score.name and not math.isnan(row["mean"])}
    all_values = [of_score[policy]["mean"] for policy in candidates if policy in of_score]
    if len(all_values) < 2 or nearly_alike(all_values):  # noqa: PLR2004
        return []
    values, left_out = _comparable(rows, candidates)
    best = max(values, key=lambda policy: values[policy])
    these = "those" if left_out else "these" if len(values) < len(found) else "all"
    text = (
        f"Of {these}, most came back with {set_off(best)}: {_with_interval(of_score[best])}{_near_the_wall(rows, best)}"
    )
    text += _unserved(rows, best, list(values))
    base = of_score[best]["baseline"]
    if best != base and base in of_score:
        fails = f", fails in {found[base].count()}" if found[base].failed else ""
        text += f"; with {set_off(base)} (baseline{fails}) {_with_interval(of_score[base])}: {_gap(of_score[best])}"
    who = ", ".join(map(set_off, left_out))
    less = f"Less arrived of what was asked for with {who}; what comes back with the others is told."
    return [*([less] if left_out else []), f"{text}."]


ENOUGH: Final = 1.0
"""Percentage points by which less may arrive than with others, for what comes back to be comparable."""


def _means(rows: Sequence[Row], question: Question, unit: Unit, policies: Sequence[str]) -> dict[str, float]:
    """Return the means of the score that tables show for ``question`` in ``unit``, of ``policies`` that have one."""
    names = [name for name in HEADLINE_SCORES if SCORES[name].question is question and SCORES[name].unit is unit]
    return {
        str(row["policy"]): float(row["mean"])
        for row in rows
        if row["score"] in names and row["policy"] in policies and not math.isnan(row["mean"])
    }


def less_arrived(rows: Sequence[Row], policies: Sequence[str]) -> list[str]:
    """Return the policies with which less arrived than with others: giving back what never came is easy."""
    arrived = _means(rows, Question.ARRIVALS, PERCENT, policies)
    most = max(arrived.values(), default=0.0)
    return [policy for policy, share in arrived.items() if share < most - ENOUGH]


def _unserved(rows: Sequence[Row], best: str, policies: Sequence[str]) -> str:
    """Return what to say where more of the demand went unserved with ``best`` than with another of ``policies``."""
    unserved = _means(rows, Question.FAILURES, BYTE_SECONDS, policies)
    if best not in unserved:
        return ""
    other = min(unserved, key=lambda policy: unserved[policy])
    if unserved[best] <= unserved[other]:
        return ""
    shown = {
        policy: f"{number(BYTE_SECONDS.show(unserved[policy]))} {BYTE_SECONDS.shown_symbol}" for policy in unserved
    }
    return f"; of the demand, {shown[best]} were not served, with {set_off(other)} {shown[other]}"


def _gap(row: Row) -> str:
    """Return the difference to the baseline in words."""
    unit = SCORES[row["score"]].unit
    gap, low, high = (unit.show(row[key]) for key in ("difference", "difference_low", "difference_high"))
    text = f"a difference of {signed(gap)}"
    if not low < high:
        return text
    chance = ", which may be chance" if low <= 0 <= high else ""
    return f"{text} ({signed(low)} to {signed(high)}){chance}"


def _near_the_wall(rows: Sequence[Row], policy: str) -> str:
    for row in rows:
        score = SCORES[row["score"]]
        wall = score.headline and score.question is Question.WALL
        if wall and row["policy"] == policy and not math.isnan(row["mean"]):
            return f"; its {score.title[0].lower()}{score.title[1:]}: {_with_interval(row)}"
    return ""


def _with_interval(row: Row) -> str:
    per, symbol = shown_unit(SCORES[row["score"]], [row["mean"]])
    text = f"{number(row['mean'] / per)} {symbol}".strip()
    if row["low"] < row["high"]:
        text += f" ({number(row['low'] / per)} to {number(row['high'] / per)})"
    worst = shown_worst(row, per)
    return f"{text}, {worst}" if worst else text


def too_few(rows: Sequence[Row], needs: Sequence[float]) -> str:
    """Return what to say where there are too few replications for intervals; nothing where there are enough.

    ``needs`` are the numbers of replications that each difference takes, NaN where that cannot be told; none where
    nothing is compared.
    """
    most = max((int(row["replications"]) for row in rows), default=0)
    if not 1 < most < FEWEST_FOR_INTERVAL:
        return ""
    known = sorted(need for need in needs if not math.isnan(need))
    about = known[len(known) // 2] if known else float(FEWEST_FOR_INTERVAL)
    many = f"more than {MOST_NEEDED}" if about > MOST_NEEDED else f"about {about:.0f}"
    told = f"{most} replications are too few for intervals: at least {FEWEST_FOR_INTERVAL} are needed"
    return f"{told}, {many} to tell half of these differences from chance." if len(needs) else f"{told}."
