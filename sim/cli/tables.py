"""Scores on a terminal: policies side by side, each with its difference to the baseline, paired by replication."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sim.analysis.compare import number, signed
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

Row = Mapping[str, Any]
_PADDING: Final = 2  # one blank, and one that the box draws between columns
_WIDEST_HEADING: Final = 12
_UNDEFINED: Final = "-"
_BASELINE: Final = "(baseline)"


def print_comparison(console: Console, comparison: pd.DataFrame, order: Sequence[tuple[str, str]] = ()) -> None:
    """Print one table for each machine and workload of ``comparison`` (see :func:`sim.analysis.compare.compare`).

    A table that is wider than the console is split into pieces. The tables come in the ``order`` of the pairs of
    machine and workload, others after them.
    """
    rows: list[Row] = [dict(zip(comparison.columns, values, strict=True)) for values in comparison.to_numpy(object)]
    pairs = dict.fromkeys((row["machine"], row["workload"]) for row in rows)
    for machine, workload in [
        *(pair for pair in order if pair in pairs),
        *(pair for pair in pairs if pair not in order),
    ]:
        part = [row for row in rows if (row["machine"], row["workload"]) == (machine, workload)]
        console.print(Text.assemble((str(workload), "bold"), f" on {machine}", (_replications(part), "dim")))
        same = _same_for_all(part)
        for table in _tables([row for row in part if row["score"] not in same], console.width):
            console.print(table)
        if values := [value for value in same.values() if value]:
            console.print(Text(f"The same for all: {'; '.join(values)}."))
        console.print()
    if rows:
        console.print(Text(_legend(rows), style="dim"))


def _replications(rows: Sequence[Row]) -> str:
    completed: dict[str, int] = {}
    for row in rows:
        # An undefined score has none, which says nothing about how many were run.
        completed[row["policy"]] = max(completed.get(row["policy"], 0), int(row["replications"]))
    fewest, most = min(completed.values()), max(completed.values())
    if most <= 1:
        return ""
    return f", mean of {most} replications" if fewest == most else f", mean of {fewest} to {most} replications"


def _same_for_all(rows: Sequence[Row]) -> dict[str, str]:
    """Return the scores in which no policy differs from another, each with its value; none with a single policy.

    A score that is undefined for all has an empty value.
    """
    same = {}
    for score in dict.fromkeys(row["score"] for row in rows):
        of_score = [row for row in rows if row["score"] == score]
        defined = [row for row in of_score if not math.isnan(row["mean"])]
        # Means may be the same by chance, or in three digits: then policies differ all the same.
        alike = len({row["mean"] for row in defined}) == 1 and not any(_varies(row) for row in defined)
        if not defined:
            same[score] = ""
        elif len(of_score) > 1 and alike:
            value = f"{SCORES[score].title} {_cell(defined[0]).plain} {SCORES[score].unit.shown_symbol}".rstrip()
            same[score] = value if len(defined) == len(of_score) else f"{value} (where defined)"
    return same


def _varies(row: Row) -> bool:
    """Whether the difference to the baseline is not the same in every replication."""
    return bool(row["difference_low"] < row["difference_high"])


def _legend(rows: Sequence[Row]) -> str:
    legend = f"Second lines: difference to {rows[0]['baseline']}, paired by replication"
    if any(not math.isnan(row["difference_low"]) for row in rows):
        legend += ", with the 95 % confidence interval where it has a width"
    return f"{legend}. ▲ better, ▼ worse."


def _tables(rows: Sequence[Row], width: int) -> Iterator[Table]:
    """Yield the table of ``rows``, policies below each other and scores side by side, in pieces that fit."""
    cells = {(row["policy"], row["score"]): _cell(row) for row in rows}
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    scores = list(dict.fromkeys(row["score"] for row in rows))
    widths = {score: _width(score, [cells[policy, score] for policy in policies]) for score in scores}
    first = max(max(map(len, policies), default=0), len(_BASELINE))
    for shown in _pieces(scores, widths, width - first - _PADDING):
        table = Table(box=SIMPLE_HEAD, padding=(0, _PADDING - 1, 0, 0), header_style="bold", show_edge=False)
        table.add_column("", no_wrap=True)
        for score in shown:
            # As plain text: a unit in brackets is not markup.
            table.add_column(Text(_title(score)), justify="right", width=widths[score], vertical="top")
        for policy in policies:
            label = Text(policy)
            if policy == rows[0]["baseline"]:
                label.append(f"\n{_BASELINE}", style="dim")
            table.add_row(label, *(cells[policy, score] for score in shown))
        yield table


def _pieces(scores: Sequence[str], widths: Mapping[str, int], room: int) -> Iterator[list[str]]:
    """Split ``scores`` into lists that fit into ``room`` characters."""
    piece: list[str] = []
    for score in scores:
        if piece and sum(widths[other] + _PADDING for other in (*piece, score)) > room:
            yield piece
            piece = []
        piece.append(score)
    if piece:
        yield piece


def _title(score: str) -> str:
    known = SCORES[score]
    return f"{known.title} [{known.unit.shown_symbol}]" if known.unit.shown_symbol else known.title


def _width(score: str, cells: Sequence[Text]) -> int:
    title = _title(score)
    lines = [len(line) for cell in cells for line in cell.plain.split("\n")]
    return max(*map(len, title.split()), min(len(title), _WIDEST_HEADING), *lines)


def _cell(row: Row) -> Text:
    per = SCORES[row["score"]].unit.shown_per
    if math.isnan(row["mean"]):
        return Text(_UNDEFINED, style="dim")
    text = Text(number(row["mean"] / per))
    if row["policy"] == row["baseline"] or math.isnan(row["difference"]) or row["difference"] == 0:
        return text
    half = (row["difference_high"] - row["difference_low"]) / 2 / per
    spread = f" ±{number(half)}" if half > 0 else ""
    mark, style = _judgement(row)
    return text.append(f"\n{mark}{signed(row['difference'] / per)}{spread}", style=style)


def _judgement(row: Row) -> tuple[str, str]:
    """Return a mark and a style: better or worse where the score has a good direction and the interval excludes 0."""
    low, high = row["difference_low"], row["difference_high"]
    uncertain = math.isnan(low) or low <= 0 <= high
    if row["better"] == "neither" or uncertain:
        return "", "dim"
    better = (row["difference"] > 0) == (row["better"] == "higher")
    return ("▲ ", "green") if better else ("▼ ", "red")
