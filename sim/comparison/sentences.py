"""What is said beside figures: who is the same, who is not told apart, what would have been seen, who is unpaired."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.compare import number, pairing, shown_unit
from sim.analysis.intervals import FEWEST_FOR_INTERVAL, MOST_NEEDED
from sim.analysis.verdict import returning_score
from sim.faults import set_off
from sim.scores.definition import Question
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    Row = Mapping[str, Any]

_POWER: Final = (1.959964 + 0.841621) / 1.959964
"""How much larger than half of its 95 % interval a difference is that would be found with 80 %."""


def equal_policies(runs: pd.DataFrame, scores: Sequence[str]) -> list[list[str]]:
    """Return groups of policies that have the same ``scores`` in every replication, more than one in each.

    ``runs`` are the completed ones of one machine and workload.
    """
    alike: dict[bytes, list[str]] = {}
    for policy, part in runs.groupby("policy", sort=False):
        ordered = part.sort_values(pairing(part))
        content = ordered[[*pairing(part), *scores]].to_numpy(dtype="float64")
        # One undefined score is like another.
        content[content != content] = math.nan  # noqa: PLR0124
        alike.setdefault((content + 0.0).tobytes(), []).append(str(policy))
    return [group for group in alike.values() if len(group) > 1]


def told_of_equals(groups: Sequence[Sequence[str]], replications: Mapping[str, int]) -> list[str]:
    """Return a sentence for each group of policies that do not differ in any of their ``replications``."""
    sentences = []
    for group in groups:
        count = replications[group[0]]
        where = f"in all {count} replications" if count > 1 else "in the one run of each"
        sentences.append(f"{' and '.join(map(set_off, group))} do not differ: every score is the same {where}.")
    return sentences


def not_told_apart(rows: Sequence[Row], equal: Sequence[Sequence[str]]) -> list[str]:
    """Return a sentence for each policy with no difference to the baseline beyond chance: what would have been seen.

    ``rows`` are those of one machine and workload; those of ``equal`` policies have been told.
    """
    sentences = []
    title = returning_score()
    for policy in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == policy]
        base = own[0]["baseline"]
        told = any(policy in group and base in group for group in equal)
        pairs = max(row["pairs"] for row in own)
        if policy == base or told or pairs < FEWEST_FOR_INTERVAL or any(row["different"] for row in own):
            continue
        text = f"{set_off(policy)} and {set_off(base)} are not told apart in any score by {pairs} replications"
        seen = [row for row in own if row["score"] == title.name and row["difference_high"] > row["difference_low"]]
        for row in seen:
            reach = _POWER * (row["difference_high"] - row["difference_low"]) / 2
            per, symbol = shown_unit(title, [reach])
            unit = "points" if symbol == "%" else symbol
            text += (
                f"; in '{title.title}' a difference of {number(reach / per)} {unit} would have been seen with 80 %, "
                "tested alone"
            )
        sentences.append(f"{text}.")
    return sentences


def still_needed(rows: Sequence[Row]) -> list[str]:
    """Return a sentence about how many replications it takes to tell apart what is not, for scores that tables show.

    Of scores that have a good direction. Who failed is told by other means.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        score = SCORES[row["score"]]
        unsettled = row["pairs"] > 1 and row["apart"] and not row["different"] and not math.isnan(row["needed"])
        if score.headline and unsettled and score.better != "neither" and score.question is not Question.FAILURES:
            many = f"about {row['needed']:.0f}" if row["needed"] <= MOST_NEEDED else f"more than {MOST_NEEDED}"
            found.setdefault(score.title, {}).setdefault(many, []).append(row["policy"])
    parts = [
        f"{title}: " + ", ".join(f"{many} ({'; '.join(map(set_off, policies))})" for many, policies in by_need.items())
        for title, by_need in found.items()
    ]
    return [f"Replications that it takes to tell from chance what is not yet. {'. '.join(parts)}."] if parts else []


def told_of_unpaired(policies: Sequence[str], baseline: str) -> list[str]:
    """Return a sentence about ``policies`` that share no replication with the ``baseline``."""
    if not policies:
        return []
    who = ", ".join(map(set_off, policies))
    return [f"Not paired with {set_off(baseline)}, as nothing was run under the same wishes: {who}."]
