"""What to do next: how the best of the policies is set, and which command answers what is still open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from policies.contract import in_linux
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.verdict import best_of
from sim.experiment import build
from sim.faults import MemhpSimError
from sim.recommend.how_to_set import told_how
from sim.report.environment import rendered
from sim.report.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.contract import InLinux
    from sim.comparison.whole import Scenario
    from sim.experiment.plan import Combination, Experiment
    from sim.report.subject import Subject

_MOST_SET: Final = 3
"""Policies that are best somewhere of which it is told how they are set."""


def next_steps(subject: Subject, *, recommended: bool = False) -> Section:
    """Return the section; where a setting is ``recommended``, how that is set is told with it."""
    random = [each for each in subject.scenarios if not each.single]
    html = rendered(
        "next_steps",
        settings=[] if recommended else _settings(subject),
        few=not recommended and any(each.runs["replication"].nunique() < FEWEST_FOR_INTERVAL for each in random),
        fewest=FEWEST_FOR_INTERVAL,
        search=len(subject.policies) > 1 and bool(subject.scenarios) and not recommended,
        finished=bool(subject.manifest),
        any=bool(subject.scenarios),
    )
    return Section("next", "What to do next", html)


def _settings(subject: Subject) -> list[dict[str, Any]]:
    """Return how the policies are set that are best somewhere of those that Linux has, the most often best first."""
    experiment = subject.experiment
    if experiment is None:
        return []
    told = _told(experiment)
    best: dict[str, list[Scenario]] = {}
    for scenario in subject.scenarios:
        found = {policy: how for policy, how in scenario.failures.items() if told.get(policy) is not None}
        if (policy := best_of(scenario.rows, found, scenario.bounds)) is not None:
            best.setdefault(policy, []).append(scenario)
    settings = []
    for policy, where in sorted(best.items(), key=lambda pair: -len(pair[1]))[:_MOST_SET]:
        combination = _combination(experiment, policy, where[0])
        how = told_how(told[policy], combination.machine, ())
        settings.append(
            {
                "policy": policy,
                "where": [scenario.title for scenario in where],
                "parts": list(how.parts()),
                "notes": how.notes,
            }
        )
    return settings


def _told(experiment: Experiment) -> Mapping[str, InLinux | None]:
    """Return how Linux is told each policy, by label: None where none can be, or where it cannot be made here."""
    told: dict[str, InLinux | None] = {}
    for each in experiment.combinations:
        if each.policy.label not in told:
            try:
                told[each.policy.label] = in_linux(build.policy(each.policy, experiment.folder))
            except (MemhpSimError, ValueError):
                told[each.policy.label] = None
    return told


def _combination(experiment: Experiment, policy: str, scenario: Scenario) -> Combination:
    """Return what was run of ``policy`` on the scenario's machine."""
    here = [each for each in experiment.combinations if each.policy.label == policy]
    return next((each for each in here if each.machine.label == scenario.machine), here[0])
