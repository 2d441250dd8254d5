"""The recommendation, where the results are those of a search for one: the pick, how sure it is, how it is set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.compare import number, shown_unit
from sim.analysis.same import worst_beside
from sim.recommend.document import read
from sim.report.environment import rendered
from sim.report.scores import share_span
from sim.report.section import Section
from sim.report.table import Cell, Table
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.recommend.document import Answer, LimitKept, Recommendation, Tried
    from sim.report.table import Look

_MOST_TRIED: Final = 60
_MOST_ANSWERS: Final = 200
_HEADROOM: Final = "headroom_min"
_LOOKS: Final[Mapping[str, Look]] = {"holds": "good", "broken": "bad"}


def recommendation(folder: Path) -> Section | None:
    """Return the section; None where ``folder`` has no recommendation. One that cannot be read is told as that."""
    title = "The recommendation"
    try:
        found = read(folder)
    except ValueError as error:
        return Section("recommendation", title, rendered("recommendation", fault=str(error), answers=()))
    if found is None:
        return None
    together = () if found.together is None else (found.together,)
    answers = [*together, *found.answers]
    html = rendered(
        "recommendation",
        fault="",
        found=found,
        answers=[_told(found, answer) for answer in answers[:_MOST_ANSWERS]],
        more=max(0, len(answers) - _MOST_ANSWERS),
    )
    return Section("recommendation", title, html)


def _told(found: Recommendation, answer: Answer) -> dict[str, Any]:
    where = f"{answer.workload} on {answer.machine}" if answer.workload else "One setting for all scenarios"
    return {
        "answer": answer,
        "title": where,
        "said": [
            ("How sure that is", answer.certainty),
            ("What it gives up", answer.gives_up),
            ("How far the wall is", answer.wall),
            ("What the limits cost", answer.costs),
            ("Were things otherwise", [str(each.get("sentence", "")) for each in answer.sensitivity]),
            ("To know", answer.notes),
        ],
        "parts": answer.how_to_set.get("parts", ()),
        "set_notes": answer.how_to_set.get("notes", ()),
        "tried": _tried(found, answer, where).html() if answer.candidates else "",
        "untold": max(0, len(answer.candidates) - _MOST_TRIED),
    }


def _tried(found: Recommendation, answer: Answer, where: str) -> Table:
    """Return what was tried, the best first."""
    score = SCORES[answer.objective]
    shown = answer.ranked[:_MOST_TRIED]
    units = {
        name: shown_unit(SCORES[name], [each.scores[name] or 0.0 for each in shown if name in each.scores])
        for name in (score.name, _HEADROOM)
    }
    heads = [
        "Setting",
        *(limit.text for limit in found.limits),
        f"{score.title} [{units[score.name][1]}]",
        f"{SCORES[_HEADROOM].title} [{units[_HEADROOM][1]}]",
        "Replications",
    ]
    rows = [
        [
            Cell(each.label, below=_role(answer, each)),
            *(_limit(kept) for kept in each.limits),
            _mean(each, score.name, each.mean, units[score.name][0], (each.low, each.high)),
            _mean(each, _HEADROOM, each.scores.get(_HEADROOM), units[_HEADROOM][0]),
            Cell(str(each.replications), float(each.replications)),
        ]
        for each in shown
    ]
    return Table(f"What was tried: {where}", heads, rows, rows_are="settings")


def _role(answer: Answer, tried: Tried) -> str:
    if tried.label == answer.pick:
        return "the pick"
    return "" if tried.choice else "no choice"


def _limit(kept: LimitKept) -> Cell:
    if kept.low is None or kept.high is None:
        return Cell("-", math.nan)
    share, span = kept.held / kept.replications, share_span(kept.low, kept.high)
    return Cell(f"{kept.held} of {kept.replications}", share, span, kept.verdict, _LOOKS.get(kept.verdict, "same"))


def _mean(
    tried: Tried, score: str, mean: float | None, per: float, ends: tuple[float | None, float | None] = (None, None)
) -> Cell:
    """Return a mean with its interval, and the worst replication of a score that is the least or the most of a run."""
    if mean is None:
        return Cell("-", math.nan)
    low, high = ends
    span = "" if low is None or high is None else f"{number(low / per)} to {number(high / per)}"
    worst = worst_beside(score, mean, tried.worst.get(score, math.nan), per)
    return Cell(number(mean / per), mean / per, "; ".join(filter(None, [span, worst])))
