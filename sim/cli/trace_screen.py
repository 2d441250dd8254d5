"""What a demand trace is like, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from sim.cli.layout import Column, Row, table_lines
from sim.faults import shown
from sim.traces.summary import CHANGE_SHARES, SHARES
from sim.units import rounded_size, rounded_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from sim.traces.distribution import Distribution
    from sim.traces.summary import Summary

_MOST_NAMED: Final = 3
"""Series without a value that are named."""


def print_summary(console: Console, summary: Summary, file: str) -> None:
    """Print ``summary`` of ``file``: a paragraph on series and times, and a table of quantities."""
    console.print(Text(file, style="bold"), soft_wrap=False)
    for sentence in (*_about(summary), *_untold(summary)):
        console.print(Text(sentence), soft_wrap=False)
    console.print()
    columns = list(_columns(summary))
    rows = [Row(name, Text(name)) for name in summary.quantities]
    for line in table_lines(columns, rows, console.width):
        console.print(line, soft_wrap=True)
    console.print()
    console.print(
        "Changes are from one sample of a series to its next, whichever way. Quantiles are exact to a thousandth.",
        style="dim",
    )


def _about(summary: Summary) -> Iterator[str]:
    yield f"{summary.series:,} series, {summary.samples:,} samples, over {rounded_time(summary.span_s)}"
    if summary.shortest_s < summary.span_s:
        yield f"the shortest series: {rounded_time(summary.shortest_s)}"
    steps = summary.steps
    if not steps.count:
        yield "no series has more than one sample"
        return
    least, middle, most = (steps.quantile(share) / 1e6 for share in (0.0, 0.5, 1.0))
    yield f"step: median {rounded_time(middle)}, from {rounded_time(least)} to {rounded_time(most)}"
    if summary.gaps:
        gaps = f"{summary.gaps:,} gaps" if summary.gaps > 1 else "one gap"
        yield f"{gaps} of more than two median steps of a series, the longest {rounded_time(summary.longest_gap_s)}"
    else:
        yield "no gap of more than two median steps of a series"


def _untold(summary: Summary) -> Iterator[str]:
    """Yield which quantities some series tell and others do not, as machines of other kernels do not."""
    for name, quantity in summary.quantities.items():
        without = quantity.untold
        if len(without) == summary.series:
            yield f"no {name} in any sample"
        elif without:
            names = ", ".join(map(shown, without[:_MOST_NAMED])) + (", ..." if len(without) > _MOST_NAMED else "")
            yield f"no {name} in {len(without):,} series: {names}"


def _columns(summary: Summary) -> Iterator[Column]:
    quantities = summary.quantities

    def column(group: str, heading: str, cells: dict[str, str]) -> Column:
        return Column(group, heading, {name: (Text(cell),) for name, cell in cells.items()})

    for heading, share in SHARES.items():
        cells = {name: _quantile(each.levels, share) for name, each in quantities.items()}
        yield column("level", heading, cells)
    for heading, share in CHANGE_SHARES.items():
        cells = {name: _quantile(each.changes, share) for name, each in quantities.items()}
        yield column("change", heading, cells)
    yield column("samples", "missing", {name: f"{each.missing:,}" for name, each in quantities.items()})


def _quantile(of: Distribution, share: float) -> str:
    return rounded_size(of.quantile(share)) if of.count else "-"
