"""A recommendation on a terminal: for each scenario the answer first, then why, then what was tried."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from rich.text import Text

from sim.analysis.compare import number, shown_unit
from sim.analysis.same import worst_beside
from sim.cli.layout import Column, Row, table_lines
from sim.cli.tables import say
from sim.recommend.terms import WALL
from sim.scores.registry import SCORES
from sim.starting.text import typed
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sim.recommend.document import Answer, Recommendation, Tried
    from sim.recommend.recommend import Recommended

_MOST_SHOWN: Final = 12
"""Candidates in the table; the others are in the file."""

_PARTS: Final = (
    ("How sure", "certainty"),
    ("What it gives up", "gives_up"),
    ("How far the wall is", "wall"),
    ("What the limits cost", "costs"),
)


def print_recommendation(console: Console, done: Recommended) -> None:
    """Print all of a recommendation, and where it is kept."""
    found = done.found
    _limits(console, found)
    for answer in found.answers:
        _print_answer(console, answer, f"{answer.workload} on {answer.machine}")
    if found.together is not None:
        _print_answer(console, found.together, "One setting for all of them")
    reasons = {outcome.error: outcome.cell for outcome in done.failures}
    for error, cell in list(reasons.items())[:_MOST_SHOWN]:
        say(console, f"failed: {error} ({cell})", style="red")
    say(console, f"{counted(found.runs, 'run')}, {done.reused} of them there already: {done.folder}")
    console.print(f"Report: memhp-sim report {typed(done.folder)}", soft_wrap=True, markup=False)


def _print_how(console: Console, answer: Answer) -> None:
    """Print how the pick is set, in lines that can be copied: they are not broken."""
    for part in answer.how_to_set.get("parts", ()):
        say(console, f"{part['title']}:")
        for line in part["lines"]:
            console.print(Text(f"  {line}"), soft_wrap=True)
    for note in answer.how_to_set.get("notes", ()):
        say(console, note, indent=2)
    if answer.how_to_set:
        console.print()


def _limits(console: Console, found: Recommendation) -> None:
    lines = [f"{each.text} ({each.told})" for each in found.limits]
    by_default = " (no other was named)" if found.by_default else ""
    say(console, f"Limit{'s' if len(lines) > 1 else ''}{by_default}: {'; '.join(lines)}")
    console.print()


def _print_answer(console: Console, answer: Answer, heading: str) -> None:
    say(console, heading, style="bold")
    say(console, answer.answer, style="bold green" if answer.pick is not None else "bold red")
    for title, name in _PARTS:
        sentences: Sequence[str] = getattr(answer, name)
        if sentences:
            say(console, f"{title}: {sentences[0]}", indent=2)
            for sentence in sentences[1:]:
                say(console, sentence, indent=2, begin="  ")
    for place, held in enumerate(answer.sensitivity):
        say(
            console,
            ("" if place else "If things are otherwise: ") + held["sentence"],
            indent=2,
            begin="  " * (place > 0),
        )
    for note in answer.notes:
        say(console, f"Note: {note}.", indent=2)
    console.print()
    shown = _chosen(answer)
    for line in table_lines(_columns(answer, shown), [_row(answer, each) for each in shown], console.width):
        console.print(line, soft_wrap=True)
    if len(shown) < len(answer.candidates):
        say(console, f"and {len(answer.candidates) - len(shown)} more, all in recommendation.json", style="dim")
    console.print()
    _print_how(console, answer)


def _chosen(answer: Answer) -> list[Tried]:
    """Return the candidates that are shown."""
    ordered = answer.ranked
    return ordered[:_MOST_SHOWN] if len(ordered) > _MOST_SHOWN + 1 else ordered


def _row(answer: Answer, tried: Tried) -> Row:
    label = Text(tried.label, style="bold green" if tried.label == answer.pick else "")
    if tried.label == answer.pick:
        label.append("\n(the pick)")
    elif not tried.choice:
        label.append("\n(no choice)", style="dim")
    return Row(tried.label, label)


def _columns(answer: Answer, shown: Sequence[Tried]) -> list[Column]:
    columns = [Column("", "Runs", {each.label: [Text(str(each.replications))] for each in shown})]
    columns.append(Column("", "failed", {each.label: [_count(each.failed)] for each in shown}))
    for name in dict.fromkeys((answer.objective, WALL)):
        values = {each.label: each.mean if name == answer.objective else each.scores.get(name) for each in shown}
        per, symbol = shown_unit(SCORES[name], [value for value in values.values() if value is not None])
        heading = f"{SCORES[name].title} [{symbol}]" if symbol else SCORES[name].title
        cells = {}
        for each in shown:
            value = values[each.label]
            cells[each.label] = [Text("-" if value is None else number(value / per))]
            if name == answer.objective and each.low is not None and each.high is not None and each.low < each.high:
                cells[each.label].append(Text(f"{number(each.low / per)} to {number(each.high / per)}", style="dim"))
            if value is not None and (worst := worst_beside(name, value, each.worst.get(name, math.nan), per)):
                cells[each.label].append(Text(worst, style="dim"))
        columns.append(Column("", heading, cells))
    limits = range(len(shown[0].limits) if shown else 0)
    for place in limits:
        heading = "Limit" if len(limits) == 1 else f"Limit {place + 1}"
        columns.append(Column("", heading, {each.label: _kept(each, place) for each in shown}))
    return columns


def _count(failed: int) -> Text:
    return Text(str(failed), style="red" if failed else "")


def _kept(tried: Tried, place: int) -> list[Text]:
    kept = tried.limits[place]
    style = {"holds": "green", "broken": "red"}.get(kept.verdict, "")
    return [Text(kept.verdict, style=style), Text(f"{kept.held} of {kept.replications}", style="dim")]
