"""Words for what findings and figures say: names in a row, moments, amounts, and how sure a difference is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.analysis.compare import nothing_random, number, shown_unit
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.scenario import time_axis
from sim.analysis.tradeoffs import HEADROOM
from sim.analysis.verdict import returning_score
from sim.faults import set_off
from sim.scores.registry import SCORES
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.analysis.scenario import Scenario

MOST_NAMES: Final = 3
"""Policies that a sentence names; of more it tells how many."""

MOST_SCENARIOS: Final = 12
"""Machines with workloads up to which each is told of in full, with tables and figures, without being asked for."""

DIFFERENCE_SCORES: Final = (returning_score().name, HEADROOM, "not_given_byte_seconds")
"""The scores whose differences are told where none are named: what comes back, how near the wall is, what is held."""


def names(labels: Sequence[str], what: str = "policies") -> str:
    """Return ``labels`` in a row: "a", "a and b", "a, b and c"; of more than three, how many of ``what``."""
    if len(labels) > MOST_NAMES:
        return f"{len(labels)} {what}"
    labels = [set_off(label) for label in labels]
    return " and ".join([*([", ".join(labels[:-1])] if len(labels) > 1 else []), *labels[-1:]])


def some_of(texts: Sequence[str], most: int = MOST_NAMES, between: str = "; ") -> str:
    """Return the first ``most`` of ``texts`` in a row, and how many more there are: "a; b; c and 2 more"."""
    more = len(texts) - most
    return between.join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def moment(seconds: float) -> str:
    """Return a time since the start in the unit that suits it: "90 seconds", "14.2 minutes"."""
    per, unit = time_axis(seconds)
    text = number(seconds / per)
    return f"{text} {unit.removesuffix('s') if text == '1' else unit}"


def amount(score: str, value: float) -> str:
    """Return a stored ``value`` of ``score`` with the unit that people are shown; "undefined" for NaN."""
    if math.isnan(value):
        return number(value)
    per, symbol = shown_unit(SCORES[score], [value])
    return f"{number(value / per)} {symbol}".strip()


def amounts(score: str, low: float, high: float) -> str:
    """Return "2 to 5 GiB", both in the unit of the larger; one amount where they read alike."""
    per, symbol = shown_unit(SCORES[score], [low, high])
    first, last = number(low / per), number(high / per)
    return f"{first if first == last else f'{first} to {last}'} {symbol}".strip()


def differing(scenario: Scenario, scores: Sequence[str] = DIFFERENCE_SCORES) -> list[str]:
    """Return those of ``scores`` in which some policy differs from the baseline in some replication."""
    base = scenario.against
    return [score for score in scores if scenario.compared(score, base)["apart"].sum() > 0]


def told_apart(scenario: Scenario, score: str, one: str, others: Iterable[str]) -> dict[str, bool]:
    """Return for each of ``others`` whether its mean of ``score`` is told apart from that of the policy ``one``.

    Paired by replication, with Holm's correction over all policies of the scenario. Where nothing is random, whatever
    differs is apart. A policy whose score is undefined is not.
    """
    table = scenario.compared(score, one)
    exact = nothing_random(scenario.runs)
    return {
        other: bool(table["difference"][other] != 0 and not math.isnan(table["difference"][other]))
        if exact
        else bool(table["different"][other])
        for other in others
    }


def caution(scenario: Scenario, *, apart: bool) -> str:
    """Return what stands behind a difference that was seen: nothing where it is told ``apart`` from chance."""
    if apart or nothing_random(scenario.runs):
        return ""
    count = counted(scenario.replications, "replication")
    few = f" ({count})" if scenario.replications < FEWEST_FOR_INTERVAL else ""
    return f"; may be chance{few}"


def means(scenario: Scenario, score: str, policies: Iterable[str]) -> dict[str, float]:
    """Return the mean of ``score`` of each of ``policies`` that has one, in stored units."""
    found = {policy: float(scenario.of(policy)[score].mean()) for policy in policies}
    return {policy: value for policy, value in found.items() if not math.isnan(value)}


def titled(score: str) -> str:
    """Return the title of ``score`` as it stands within a sentence."""
    title = SCORES[score].title
    return title[:1].lower() + title[1:] if title[:2] != title[:2].upper() else title
