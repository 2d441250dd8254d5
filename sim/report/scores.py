"""The scores of a scenario as tables: policies below each other, as on a terminal, with intervals and differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sim.analysis.compare import HEADLINE_SCORES, number, percent, shown_unit, signed
from sim.analysis.ranking import FAILED_MARK
from sim.analysis.same import MARKS, WORST_TOLD, judged, shown_mean, shown_worst
from sim.report.table import Cell, Table
from sim.scores.definition import Question
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.analysis.ranking import Failures
    from sim.comparison.whole import Scenario
    from sim.report.table import Look

    Row = Mapping[str, Any]

LEGEND = (
    "Below each mean: its 95 % interval, where there are enough replications for one, and the difference to the "
    "baseline, paired by replication, with its interval. ▲ better, ▼ worse: beyond chance, all differences of the "
    f"scenario taken together (Holm). = the same in every replication. {WORST_TOLD}"
)


def headline_table(scenario: Scenario) -> Table:
    """Return the scores that short tables show, but for those in which no policy differs from another."""
    names = [name for name in HEADLINE_SCORES if name not in FAILING]
    return _table(scenario, f"{scenario.title}: the scores that matter most", names, failures=True)


def tables_by_question(scenario: Scenario) -> list[Table]:
    """Return a table for each question with all scores that help to answer it, likewise."""
    by_question = {
        question: [name for name in scenario.by_score if SCORES[name].question is question] for question in Question
    }
    tables = [_table(scenario, f"{scenario.title}: {question}", names) for question, names in by_question.items()]
    return [table for table in tables if len(table.heads) > 1]


def same_in_words(scenario: Scenario, names: Sequence[str] = tuple(SCORES)) -> str:
    """Return the scores in which no policy differs, with their values; nothing where there are none."""
    values = [scenario.same[name] for name in names if scenario.same.get(name)]
    return f"The same for all: {'; '.join(values)}." if values else ""


def _table(scenario: Scenario, caption: str, names: Sequence[str], *, failures: bool = False) -> Table:
    shown = [name for name in scenario.by_score if name in names and name not in scenario.same]
    units = {
        name: shown_unit(SCORES[name], [row["mean"] for row in scenario.by_score[name].values()]) for name in shown
    }
    heads = ["Policy", *(["Failed"] if failures else [])]
    heads += [f"{SCORES[name].title} [{units[name][1]}]" if units[name][1] else SCORES[name].title for name in shown]
    rows = []
    for policy in scenario.ranked:
        how = scenario.failures[policy]
        row = [Cell(f"{FAILED_MARK} {policy}" if how.failed else policy, below=_role(scenario, policy))]
        if failures:
            row.append(_failed(how))
        row += [_cell(scenario.by_score[name].get(policy), units[name][0]) for name in shown]
        rows.append(row)
    return Table(caption, heads, rows)


def _role(scenario: Scenario, policy: str) -> str:
    if policy == scenario.baseline:
        return "baseline"
    return "knows the future: no choice, but the bound" if policy in scenario.bounds else ""


def _failed(how: Failures) -> Cell:
    if how.runs < 2:  # noqa: PLR2004
        return Cell(how.count(), float(how.failed))
    low, high = how.interval
    return Cell(how.count(), how.failed / how.runs, gap=share_span(low, high), look="bad" if how.failed else "")


def _cell(row: Row | None, per: float) -> Cell:
    """Return the mean; below it the interval and the worst run, and the difference to the baseline if there is one."""
    if row is None or math.isnan(row["mean"]):
        return Cell("-", math.nan)
    low, high = row["low"] / per, row["high"] / per
    below = ""
    if low < high and row["replications"] > 1:
        below = f"{number(low)} to {number(high)}" if SCORES[row["score"]].highest != 1 else share_span(low, high)
    below = "; ".join(filter(None, [below, shown_worst(row, per)]))
    gap, look = difference_text(row, per)
    return Cell(shown_mean(row, per), row["mean"] / per, below, gap, look)


def share_span(low: float, high: float) -> str:
    """Return the interval of a share in percent."""
    return f"{percent(low)} to {percent(high)} %"


def difference_text(row: Row, per: float) -> tuple[str, Look]:
    """Return how a policy differs from the baseline, with its mark: nothing where it is that, or has no pair."""
    if row["policy"] == row["baseline"] or math.isnan(row["difference"]):
        return "", ""
    if not row["apart"]:
        return "=", "same"
    text = signed(row["difference"] / per)
    if row["difference_low"] < row["difference_high"]:
        text += f" ({signed(row['difference_low'] / per)} to {signed(row['difference_high'] / per)})"
    found = judged(row)
    if found is None:
        return text, "same"
    return f"{MARKS[found]} {text}", "good" if found == "better" else "bad"
