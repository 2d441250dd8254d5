"""What was asked: the experiment's description, and what was varied."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.wording import some_of
from sim.experiment.own_settings import own_settings
from sim.report.environment import rendered
from sim.report.section import Section
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.experiment.own_settings import Own
    from sim.report.subject import Subject

_LONGEST: Final = 160
"""Characters of a setting that are shown; all of it stands in the configuration."""
_MOST: Final = 60
"""Policies, machines and workloads that are listed."""
_MOST_VALUES: Final = 12


def question(subject: Subject) -> Section:
    """Return the section: what is compared on what, which values were swept, in how many replications."""
    compared = {
        heading: own_settings(subject.config, section)
        for section, heading in (("policies", "Policies"), ("machines", "Machines"), ("workloads", "Workloads"))
    }
    html = rendered(
        "question",
        description=str(subject.config.get("description") or ""),
        counts=_counts(subject),
        baseline=str(subject.baseline or ""),
        compared={heading: [(own.label, _what(own)) for own in owned[:_MOST]] for heading, owned in compared.items()},
        more=sum(max(0, len(owned) - _MOST) for owned in compared.values()),
        swept=_swept(subject),
    )
    return Section("question", "The question", html)


def _counts(subject: Subject) -> str:
    """Return of how many of what the runs are."""
    runs = subject.runs
    several = [
        counted(int(runs[name].nunique()), name) if name != "policy" else _policies(int(runs[name].nunique()))
        for name in ("policy", "workload", "machine", "replication")
    ]
    return f"{counted(len(runs), 'run')}: {', '.join(several)}"


def _policies(number: int) -> str:
    return "1 policy" if number == 1 else f"{number} policies"


def _what(own: Own) -> list[str]:
    """Return the lines that say what it is, and how it is set where that is not the default."""
    settings = [", ".join(f"{key} = {_shown(value)}" for key, value in own.settings.items())]
    what = [": ".join(filter(None, (own.plugin, own.summary)))]
    lines = [line for line in (*what, *settings) if line]
    return [*lines, *(f"{part.label}: {'; '.join(_what(part))}" for part in own.parts)] or ["as by default"]


def _shown(value: Any) -> str:  # noqa: ANN401  whatever TOML holds
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _swept(subject: Subject) -> list[tuple[str, str]]:
    """Return the keys that the experiment sweeps, each with the values that it takes."""
    found: dict[str, dict[str, None]] = {}
    for table in _listed(subject.config.get("sweep")):
        for form, content in table.items() if isinstance(table, dict) else ():
            points = [_leaves(point) for point in _listed(content)] if form == "points" else [_leaves(content)]
            for key, value in itertools.chain.from_iterable(points):
                for each in [value] if form == "points" else _listed(value):
                    found.setdefault(key, {})[_shown(each)] = None
    return [(key, some_of(list(values), _MOST_VALUES, ", ")) for key, values in found.items()]


def _listed(value: Any) -> Sequence[Any]:  # noqa: ANN401  whatever TOML holds
    return value if isinstance(value, (list, tuple)) else ()


def _leaves(table: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  likewise
    """Yield what is no table below ``table`` with its dotted key."""
    if not isinstance(table, dict):
        yield key, table
        return
    for name, inside in table.items():
        yield from _leaves(inside, f"{key}.{name}" if key else str(name))
