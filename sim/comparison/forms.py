"""A comparison as a table for other programs: CSV for spreadsheets, Markdown and LaTeX for what people write.

Whatever a label holds comes out as text: in LaTeX and Markdown what has a meaning there is escaped, and in CSV a label
that a spreadsheet would take for a formula gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
import math
import re
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.compare import COMPARISON_COLUMNS, shown_unit, signed
from sim.analysis.ranking import FAILED_MARK
from sim.analysis.same import MARKS, WORST_TOLD, judged, shown_mean, shown_worst
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sim.comparison.whole import Comparison, Scenario

    Row = Mapping[str, Any]

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
_LATEX: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "∞": r"$\infty$", "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$", FAILED_MARK: r"$\times$", "\N{MINUS SIGN}": "-",
}  # fmt: skip
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>|~$&]|^[-+#=]|(?<=^\d)[.)])")


def as_csv(comparison: Comparison) -> str:
    """Return every row, in stored units, with the columns :data:`sim.analysis.compare.COMPARISON_COLUMNS`."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(COMPARISON_COLUMNS)
    for scenario in comparison.scenarios:
        for row in scenario.rows:
            writer.writerow([_field(row[name]) for name in COMPARISON_COLUMNS])
    return sink.getvalue()


def _field(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULAS) else value
    return "" if isinstance(value, float) and math.isnan(value) else value


def as_markdown(comparison: Comparison) -> str:
    """Return a table for each scenario, a score a row and a policy a column, with what is said of it."""
    parts = []
    for scenario in comparison.scenarios:
        lines = [f"## {markdown(scenario.title)}", ""]
        head, *body = _cells(scenario, markdown)
        lines += [_piped(head), _piped(["---", *["---:"] * (len(head) - 1)]), *map(_piped, body), ""]
        lines += [f"* {markdown(sentence)}" for sentence in scenario.said]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, markdown(_legend(comparison))]) + "\n"


def as_latex(comparison: Comparison) -> str:
    """Return a ``tabular`` for each scenario, a score a row and a policy a column; ``amssymb`` has its marks."""
    parts = []
    for scenario in comparison.scenarios:
        head, *body = _cells(scenario, latex)
        rows = [" & ".join(row) + r" \\" for row in body]
        parts.append(
            "\n".join(
                [
                    rf"% {_one_line(scenario.title)}",
                    rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
                    r"\hline",
                    " & ".join(head) + r" \\",
                    r"\hline",
                    *rows,
                    r"\hline",
                    r"\end{tabular}",
                    "",
                    *(latex(sentence) + "\n" for sentence in scenario.said),
                ]
            )
        )
    return "\n".join([*parts, latex(_legend(comparison)), ""])


def _legend(comparison: Comparison) -> str:
    return (
        f"Baseline: {comparison.gathered.baseline}. In brackets: the difference to it, paired by replication, with its "
        "95 % interval. ▲ better, ▼ worse: beyond chance, all differences of a table taken together (Holm). "
        f"{WORST_TOLD}"
    )


def _cells(scenario: Scenario, escape: Callable[[str], str]) -> Iterator[list[str]]:
    """Yield the rows of a scenario's table, the first of which is its head."""
    marked = [f"{FAILED_MARK} {policy}" if scenario.failures[policy].failed else policy for policy in scenario.ranked]
    yield [escape("score"), *map(escape, marked)]
    yield [escape("failed"), *(escape(scenario.failures[policy].count()) for policy in scenario.ranked)]
    for name, rows in scenario.by_score.items():
        per, symbol = shown_unit(SCORES[name], [row["mean"] for row in rows.values()])
        heading = f"{SCORES[name].title} [{symbol}]" if symbol else SCORES[name].title
        yield [escape(heading), *(escape(_cell(rows[policy], per)) for policy in scenario.ranked)]


def _cell(row: Row, per: float) -> str:
    """Return a mean, its difference to the baseline's with its interval, and whether it is told apart."""
    if math.isnan(row["mean"]):
        return ""
    text = ", ".join(filter(None, [shown_mean(row, per), shown_worst(row, per)]))
    if row["policy"] == row["baseline"] or math.isnan(row["difference"]):
        return text
    if not row["apart"]:
        return f"{text} (=)"
    low, high = row["difference_low"] / per, row["difference_high"] / per
    span = "" if math.isnan(low) else f"; {signed(low)} to {signed(high)}"
    return f"{text} ({signed(row['difference'] / per)}{span}) {MARKS[judged(row)]}".rstrip()


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def markdown(text: str) -> str:
    """Return ``text`` on one line, as Markdown shows it."""
    return _MARKDOWN.sub(r"\\\1", _one_line(text))


def latex(text: str) -> str:
    """Return ``text`` on one line, as LaTeX sets it."""
    return "".join(_LATEX.get(each, each) for each in _one_line(text))


FORMS: Final[Mapping[str, Callable[[Comparison], str]]] = {
    "csv": as_csv, "markdown": as_markdown, "latex": as_latex,
}  # fmt: skip
