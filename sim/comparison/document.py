"""A comparison as JSON: keys that do not change, stored units, null for what is undefined. See ``docs/compare.md``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.wording import MOST_SCENARIOS
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from sim.comparison.whole import Comparison, Scenario

FORMAT: Final = 1
"""Goes up where a key changes its meaning or goes; keys may come."""

ROW_KEYS: Final = (
    "policy", "score", "replications", "mean", "low", "high", "pairs", "difference", "difference_low",
    "difference_high", "apart", "p", "different", "needed", "worst",
)  # fmt: skip


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as JSON values."""
    gathered = comparison.gathered
    return {
        "format": FORMAT,
        "results": [
            {
                "name": source.name,
                "folder": str(source.folder),
                "code": source.code,
                "seeds": list(source.seeds),
                "policies": dict(source.policies),
            }
            for source in gathered.sources
        ],
        "policies": list(gathered.policies),
        "baseline": gathered.baseline,
        "know_the_future": list(gathered.bounds),
        "notes": list(gathered.notes),
        "scores": {
            name: {
                "title": SCORES[name].title,
                "unit": SCORES[name].unit.symbol,
                "better": SCORES[name].better,
                "question": SCORES[name].question.value,
            }
            for name in comparison.scores
        },
        "scenarios": [
            _scenario(scenario, decisions=len(comparison.scenarios) <= MOST_SCENARIOS)
            for scenario in comparison.scenarios
        ],
    }


def _scenario(scenario: Scenario, *, decisions: bool) -> dict[str, Any]:
    return {
        "machine": scenario.machine,
        "workload": scenario.workload,
        "nothing_random": scenario.single,
        "failures": [
            {
                "policy": policy,
                "failed": how.failed,
                "runs": how.runs,
                "share_low": _value(how.interval[0]),
                "share_high": _value(how.interval[1]),
                "reasons": list(how.reasons),
            }
            for policy, how in scenario.failures.items()
        ],
        "rows": [{key: _value(row[key]) for key in ROW_KEYS} for row in scenario.rows],
        "equal": [list(group) for group in scenario.equal],
        "unpaired": list(scenario.unpaired),
        "said": scenario.said,
        "decisions": [each.to_json() for each in scenario.decisions] if decisions else [],
    }


def _value(value: Any) -> Any:  # noqa: ANN401  a cell of a table
    """Return a JSON value: null for NaN, words for what is infinite."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
    return value
