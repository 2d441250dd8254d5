"""The decisions that cost most, where a policy of the experiment knows the future and others can be held against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.report.environment import rendered
from sim.report.section import Section

if TYPE_CHECKING:
    from sim.comparison.whole import Scenario
    from sim.report.subject import Subject

_MOST_RUNS: Final = 300
"""Runs of the first scenarios that are looked at: all of their events have to be read."""


def decisions(subject: Subject) -> Section | None:
    """Return the section; None where no policy knows the future."""
    bounded = [scenario for scenario in subject.scenarios if set(scenario.bounds) & set(scenario.policies)]
    if not bounded:
        return None
    looked: list[Scenario] = []
    runs = 0
    for scenario in bounded:
        runs += len(scenario.runs)
        if looked and runs > _MOST_RUNS:
            break
        looked.append(scenario)
    html = rendered(
        "decisions",
        scenarios=[(scenario.title, _said(scenario)) for scenario in looked],
        more=len(bounded) - len(looked),
    )
    return Section("decisions", "The decisions that cost most", html)


def _said(scenario: Scenario) -> list[list[str]]:
    """Return for each policy the sentences about it, the costliest policy first."""
    try:
        return [against.said for against in scenario.decisions]
    except (KeyError, OSError) as error:
        return [[f"The runs cannot be read: {error}"]]
