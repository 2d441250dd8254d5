"""Scores on a terminal: policies below each other, scores in groups by what they answer, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from sim.analysis.asked import differences_in_requests
from sim.analysis.compare import HEADLINE_SCORES, named_conditions, nothing_random, shown_unit, signed
from sim.analysis.findings import extremes
from sim.analysis.ranking import FAILED_MARK, failures, failures_in_words, ranked
from sim.analysis.same import MARKS, WORST_TOLD, judged, same_for_all, shown_mean, shown_worst
from sim.analysis.scenario import scenarios
from sim.analysis.verdict import returning_score, too_few, verdict
from sim.cli.layout import UNBROKEN, Column, Row, table_lines, with_room
from sim.cli.outputs import showable
from sim.cli.wrapping import wrapped
from sim.results.failure import Status
from sim.scores.definition import Question
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from sim.analysis.ranking import Failures

Entry = Mapping[str, Any]
_UNDEFINED: Final = "-"
_BASELINE: Final = "(baseline)"


def print_comparison(
    console: Console,
    comparison: pd.DataFrame,
    runs: pd.DataFrame,
    order: Sequence[tuple[str, str]] = (),
    *,
    bound: str | None = None,
    asked: Sequence[str] = (),
    brief: bool = False,
) -> None:
    """Print one table for each machine and workload of ``comparison`` (see :func:`sim.analysis.compare.compare`).

    ``runs`` are those that it was made from. What they find stands above each table and, where there are several, once
    more at the end. A table that is wider than the console has the scores that matter most, and those ``asked`` for by
    name; where even these are too wide, it is split into pieces. The tables come in the ``order`` of the pairs of
    machine and workload, others after them. ``bound`` is the label of the policy that knows the future. A ``brief``
    table is but the scores and their differences, also those of single runs: nothing is said of them.
    """
    rows: list[Entry] = [dict(zip(comparison.columns, values, strict=True)) for values in comparison.to_numpy(object)]
    if not rows:
        return
    named = named_conditions(runs)
    done = named[named["status"] == Status.COMPLETED]
    pairs = dict.fromkeys((row["machine"], row["workload"]) for row in rows)
    found = {} if brief else _findings(rows, runs, bound)
    ordered = [*(pair for pair in order if pair in pairs), *(pair for pair in pairs if pair not in order)]
    for machine, workload in ordered:
        part = [row for row in rows if (row["machine"], row["workload"]) == (machine, workload)]
        here = done[(done["machine"] == machine) & (done["workload"] == workload)]
        _print_scenario(console, part, here, bound, asked, found.get((machine, workload)))
    say(console, legend(rows), style="dim")
    console.print()
    if found and len(ordered) > 1:
        console.print("In short", style="bold")
        for machine, workload in ordered:
            say(console, f"{workload} on {machine}: {found[machine, workload]}", indent=2)
        console.print()


def _findings(rows: Sequence[Entry], runs: pd.DataFrame, bound: str | None) -> dict[tuple[str, str], str]:
    """Return what the ``runs`` of each machine and workload find."""
    policies = list(dict.fromkeys(str(row["policy"]) for row in rows))
    found = scenarios(runs, policies, bound, str(rows[0]["baseline"]))
    return {(scenario.machine, scenario.workload): f"{extremes(scenario)}." for scenario in found}


def _print_scenario(
    console: Console,
    rows: Sequence[Entry],
    runs: pd.DataFrame,
    bound: str | None,
    asked: Sequence[str],
    finding: str | None,
) -> None:
    """Print the table of one machine and workload; with a ``finding`` it is not brief."""
    if nothing_random(runs):
        runs = runs.sort_values("replication").drop_duplicates("policy")
    found = failures(runs, list(dict.fromkeys(row["policy"] for row in rows)))
    print_scores(console, rows, runs, found, asked, finding)
    if finding is not None:
        _print_words(console, rows, runs, found, bound)
    console.print()


def print_scores(
    console: Console,
    rows: Sequence[Entry],
    runs: pd.DataFrame,
    found: Mapping[str, Failures],
    asked: Sequence[str],
    finding: str | None,
) -> None:
    """Print the scores of one machine and workload under a heading and their ``finding``, without which it is brief."""
    heading = Text.assemble(
        (str(rows[0]["workload"]), "bold"), f" on {rows[0]['machine']}", (_replications(rows, runs), "dim")
    )
    console.print(heading, soft_wrap=False)
    shown = [row for row in rows if row["score"] not in FAILING or row["score"] in asked]
    same = same_for_all(shown)
    brief = finding is None
    if finding is not None:
        say(console, finding, style="bold")
    all_columns = _columns([row for row in shown if row["score"] not in same], {} if brief else found, asked)
    lines = _rows(rows, found)
    columns = with_room(all_columns, lines, console.width)
    for line in table_lines(columns, lines, console.width):
        console.print(line, soft_wrap=True)
    if left := [
        column.heading.rpartition(" [")[0] or column.heading for column in all_columns if column not in columns
    ]:
        say(console, f"No room for: {'; '.join(left)}; memhp-sim compare has them.", style="dim")
    if values := [value for value in same.values() if value]:
        say(console, f"The same for all: {'; '.join(values)}.")


def _print_words(
    console: Console, rows: Sequence[Entry], runs: pd.DataFrame, found: Mapping[str, Failures], bound: str | None
) -> None:
    """Print what the table does not say: how policies fail, and how sure the rest is."""
    for sentence in failures_in_words(found.values()):
        say(console, f"{FAILED_MARK} {sentence}", style="red")
    needs = [float(row["needed"]) for row in rows if row["policy"] != row["baseline"]]
    for sentence in (differences_in_requests(runs), too_few(rows, needs)):
        if sentence:
            say(console, sentence)
    for sentence in verdict(rows, found, () if bound is None else (bound,)):
        say(console, sentence)


def say(console: Console, text: str, style: str = "", indent: int = 0, begin: str = "") -> None:
    """Print a paragraph, its lines but the first ``indent`` blanks further right; the first one behind ``begin``."""
    for line in wrapped(showable(text), console.width, begin=begin, further=" " * indent):
        console.print(Text(line, style=style), soft_wrap=True)


def _replications(rows: Sequence[Entry], runs: pd.DataFrame) -> str:
    if nothing_random(runs):
        return ": nothing is random here, so one run of each policy"
    completed: dict[str, int] = {}
    for row in rows:
        # An undefined score has none, which says nothing about how many were run.
        completed[row["policy"]] = max(completed.get(row["policy"], 0), int(row["replications"]))
    fewest, most = min(completed.values()), max(completed.values())
    if most <= 1:
        return ""
    return f", mean of {most} replications" if fewest == most else f", mean of {fewest} to {most} replications"


def _rows(rows: Sequence[Entry], found: Mapping[str, Failures]) -> list[Row]:
    """Return the rows of the table: first policies that never failed, then a line, then the others."""
    policies = ranked(list(found), dict(found))
    failing = [policy for policy in policies if found[policy].failed]
    made = []
    for policy in policies:
        if failing and policy == failing[0]:
            runs = max(how.runs for how in found.values())
            made.append(Row("failed in at least one replication:" if runs > 1 else "failed:", None))
        label = Text(f"{FAILED_MARK}{UNBROKEN}{policy}", style="red") if policy in failing else Text(policy)
        if policy == rows[0]["baseline"]:
            label.append(f"\n{_BASELINE}", style="dim")
        made.append(Row(policy, label))
    return made


def _columns(rows: Sequence[Entry], found: Mapping[str, Failures], asked: Sequence[str]) -> list[Column]:
    """Return a column for each score of ``rows``, and one of failures; of a brief table, where ``found`` is empty."""
    columns = []
    if any(how.failed for how in found.values()):
        columns.append(Column(Question.FAILURES, "failed", {policy: _failed(how) for policy, how in found.items()}))
    scores = dict.fromkeys(row["score"] for row in rows)
    ranks = _ranks(rows, found, asked) if found else {}
    for score in sorted(scores, key=lambda name: list(Question).index(SCORES[name].question)):
        of_score = [row for row in rows if row["score"] == score]
        per, symbol = shown_unit(SCORES[score], [row["mean"] for row in of_score])
        heading = f"{SCORES[score].title} [{symbol.replace(' ', UNBROKEN)}]" if symbol else SCORES[score].title
        cells = {row["policy"]: _cell(row, per, single=not found) for row in of_score}
        columns.append(Column(SCORES[score].question, heading, cells, ranks.get(score, 0)))
    return columns


_LATER: Final = (Question.RETURNS, Question.FAILURES, Question.ARRIVALS)
"""Whose scores get the room that is left first, once there is one that tells what comes back and one of the wall."""


def _ranks(rows: Sequence[Entry], found: Mapping[str, Failures], asked: Sequence[str]) -> dict[str, int]:
    """Return which scores there is room for first: 0 for those that are always shown.

    Those come before others that tell policies apart which never fail.
    """
    needed = {
        *asked,
        returning_score().name,
        *(name for name in HEADLINE_SCORES if SCORES[name].question is Question.WALL),
    }
    telling = {row["score"] for row in rows if row["different"] and not found[row["policy"]].failed}
    others = [score for score in dict.fromkeys(row["score"] for row in rows) if score not in needed]
    places = {question: place for place, question in enumerate(_LATER)}
    others.sort(key=lambda name: (name not in telling, places.get(SCORES[name].question, len(places))))
    return {score: rank for rank, score in enumerate(others, start=1)}


def _failed(how: Failures) -> list[Text]:
    style = "red" if how.failed else ""
    lines = [Text(how.count(), style=style)]
    if how.runs > 1:
        low, high = how.interval
        lines.append(Text(f"{100 * low:.0f} to {100 * high:.0f} %", style="dim"))
    return lines


def _cell(row: Entry, per: float, *, single: bool) -> list[Text]:
    """Return the lines of a cell: the mean, the worst of its runs, and where the difference to the baseline lies."""
    if math.isnan(row["mean"]):
        return [Text(_UNDEFINED, style="dim")]
    lines = [Text(text) for text in (shown_mean(row, per), shown_worst(row, per)) if text]
    if row["policy"] == row["baseline"] or math.isnan(row["difference"]) or (row["pairs"] == 1 and not single):
        return lines
    if not row["apart"]:
        return [*lines, Text("=", style="dim")]
    low, high = row["difference_low"] / per, row["difference_high"] / per
    mark, style = _judgement(row)
    span = signed(row["difference"] / per) if math.isnan(low) else f"{signed(low)} to {signed(high)}"
    return [*lines, Text(f"{mark}{span}", style=style)]


def _judgement(row: Entry) -> tuple[str, str]:
    """Return a mark and a style."""
    found = judged(row)
    return f"{MARKS[found]} ".lstrip(), {"better": "green", "worse": "red", None: "dim"}[found]


def legend(rows: Sequence[Entry]) -> str:
    """Return what the marks in the tables of ``rows`` mean."""
    baseline = rows[0]["baseline"]
    if all(row["policy"] == rows[0]["policy"] for row in rows):
        return "There is but one policy, so nothing is compared."
    if not any(row["pairs"] > 1 for row in rows):
        return f"Baseline: {baseline}."
    legend = f"Baseline: {baseline}. Below each mean: its difference to the baseline's, paired by replication"
    if any(not math.isnan(row["difference_low"]) for row in rows if row["policy"] != row["baseline"]):
        legend += " (95 % confidence: from ... to ...). ▲ better, ▼ worse: beyond chance, all differences of the table"
        legend += " taken together (Holm)"
    worst = f" {WORST_TOLD}" if any(row["worst"] != row["mean"] for row in rows if not math.isnan(row["worst"])) else ""
    return f"{legend}. = the same in every replication.{worst}"
