"""What the answer rests on: what the model leaves out, whose figures it has, what was random, how often it was run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sim.analysis.compare import number
from sim.analysis.intervals import FEWEST_FOR_INTERVAL, proportion_interval
from sim.experiment.named_sources import sources_used
from sim.report.environment import rendered
from sim.report.section import Section
from sim.results.failure import Status

if TYPE_CHECKING:
    import pandas as pd

    from sim.report.subject import Subject

_PERCENT = 100


def assumptions(subject: Subject) -> Section:
    """Return the section."""
    done = subject.runs[subject.runs["status"] == Status.COMPLETED]
    guest = subject.config.get("guest")
    settings = guest if isinstance(guest, dict) else {}
    wanted = settings.get("model", "none") != "none"
    html = rendered(
        "assumptions",
        has_guest=wanted if done.empty else bool(done["died"].notna().any()),
        guest=_settings(settings),
        sources=sources_used(subject.config),
        notes=_notes(subject.manifest),
        drawn=_drawn(done),
        recordings=int(done["recording"].nunique()),
        single=[scenario.title for scenario in subject.scenarios if scenario.single],
        scenarios=len(subject.scenarios),
        seeds=sorted({int(seed) for seed in done["seed"].dropna()}),
        replications=_replications(subject),
        fewest=FEWEST_FOR_INTERVAL,
        none=done.empty,
    )
    return Section("assumptions", "What this rests on", html)


def _settings(table: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in table.items())


def _notes(manifest: Any) -> list[str]:  # noqa: ANN401  whatever stands in the file
    notes = manifest.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _drawn(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the guest's parameters that were drawn at random, each with the least and the greatest that came."""
    found: dict[str, tuple[float, float]] = {}
    for text in runs["guest_drawn"].dropna().unique():
        for name, value in json.loads(text).items():
            low, high = found.get(name, (value, value))
            found[name] = min(low, value), max(high, value)
    return [(name, f"{number(low)} to {number(high)}") for name, (low, high) in sorted(found.items())]


def _replications(subject: Subject) -> list[tuple[str, str]]:
    """Return how many replications there are where something is random, each with what they allow to say."""
    counts = sorted({int(each.runs["replication"].nunique()) for each in subject.scenarios if not each.single})
    return [(str(count), f"{_PERCENT * proportion_interval(0, count)[1]:.2g}") for count in counts]
