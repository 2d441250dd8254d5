"""What it comes to, in sentences, each with how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.analysis.findings import extremes
from sim.comparison.overall import overall
from sim.report.environment import rendered
from sim.report.section import Section

if TYPE_CHECKING:
    from sim.report.subject import Subject

_TOLD: Final = 8
"""Scenarios up to which the finding of each stands here; of more, all are in the index."""


def answer(subject: Subject) -> Section:
    """Return the section; where nothing completed it says that."""
    scenarios = subject.scenarios
    told = [
        (f"s{place}", each, extremes(subject.findings[each.machine, each.workload]))
        for place, each in enumerate(scenarios if len(scenarios) <= _TOLD else (), 1)
    ]
    html = rendered(
        "answer",
        sentences=overall(scenarios),
        scenarios=told,
        several=len(scenarios) > 1,
        notes=subject.notes,
    )
    return Section("answer", "The answer", html)
