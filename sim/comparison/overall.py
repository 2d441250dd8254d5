"""What several scenarios come to together: who never failed in any, and with whom most came back in how many."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sim.analysis.ranking import FAILED_MARK
from sim.analysis.verdict import best_of
from sim.analysis.wording import some_of
from sim.faults import set_off

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.comparison.whole import Scenario

_NAMED: Final = 4
"""Policies that a sentence names."""


def best(scenario: Scenario) -> str | None:
    """Return the policy that gives most back of those that never failed; None where all failed, or none is better."""
    return best_of(scenario.rows, scenario.failures, scenario.bounds)


def overall(scenarios: Sequence[Scenario]) -> list[str]:
    """Return the sentences for ``scenarios``; none for a single one, of which its own verdict says all."""
    policies = list(dict.fromkeys(policy for scenario in scenarios for policy in scenario.policies))
    if len(scenarios) == 1 or len(policies) < 2:  # noqa: PLR2004
        return []
    many = len(scenarios)
    failing = Counter(policy for each in scenarios for policy, how in each.failures.items() if how.failed)
    sound = [policy for policy in policies if not failing[policy]]
    sentences = []
    if failing:
        often = [f"{set_off(policy)} in {count}" for policy, count in failing.most_common()]
        sentences.append(f"{FAILED_MARK} Of {many} scenarios, some run failed with {_some(often)}.")
    if not sound:
        sentences.append("Every policy failed in some scenario.")
    elif failing:
        sentences.append(f"{len(sound)} of {len(policies)} policies failed in none: {_some([*map(set_off, sound)])}.")
    else:
        sentences.append(f"No policy failed in any of {many} scenarios.")
    first = Counter(policy for each in scenarios if (policy := best(each)) is not None)
    if first:
        often = [f"{set_off(policy)} in {count}" for policy, count in first.most_common()]
        sentences.append(f"Of those that did not fail there, most came back with {_some(often)} of {many} scenarios.")
    return sentences


def _some(names: Sequence[str]) -> str:
    return some_of(names, _NAMED, ", ")
