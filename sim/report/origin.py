"""How the results came about, and how to have them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import tomli_w

from sim.report.environment import rendered
from sim.report.section import Section
from sim.results.manifest import TIMING_FIELD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.report.subject import Subject

_LARGEST: Final = 200_000
"""Characters of the configuration that are shown."""


def origin(subject: Subject) -> Section:
    """Return the section: versions, seeds, the whole configuration. When and how long it ran is left out.

    Those times differ between two runs of one experiment, whose reports are otherwise the same bytes.
    """
    text = _toml(subject.config)
    facts = {key: value for key, value in subject.manifest.items() if key not in {"config", TIMING_FIELD}}
    html = rendered(
        "origin",
        facts=list(_flat(facts)),
        config=text[:_LARGEST],
        more=max(0, len(text) - _LARGEST),
        rerun=bool(subject.manifest),
    )
    return Section("origin", "Where the figures come from", html)


def _flat(value: Any, key: str = "") -> list[tuple[str, str]]:  # noqa: ANN401  whatever JSON can hold
    """Return texts by dotted keys; lists in one line, long ones shortened."""
    if isinstance(value, dict):
        return [pair for name, inside in value.items() for pair in _flat(inside, f"{key}.{name}" if key else str(name))]
    if isinstance(value, list):
        return [(key, _line(value))] if value else []
    return [] if value is None else [(key, str(value))]


def _line(values: list[Any]) -> str:
    shown = 12
    texts = [
        ", ".join(f"{name} {inside}" for name, inside in value.items()) if isinstance(value, dict) else str(value)
        for value in values
    ]
    if len(texts) > shown:
        return f"{'; '.join(texts[: shown // 2])}; … ; {texts[-1]} ({len(texts)} in all)"
    return "; ".join(texts)


def _toml(config: Mapping[str, Any]) -> str:
    try:
        return tomli_w.dumps(config)
    except (TypeError, ValueError):
        # Of another program, or by hand: JSON knows null, TOML does not.
        return repr(dict(config))
