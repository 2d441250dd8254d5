"""What ``memhp-sim replay`` and ``memhp-sim calibration`` print: tables that fit the terminal, and what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.cli.console import standard_console
from sim.cli.layout import Column, Row, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.text import Text

    from sim.replay.load_comparison import TraceComparison
    from sim.replay.report import ReplayReport

_SHOWN_MISMATCHES: Final = 5
_DIFFERS: Final = "differs"


def print_replays(reports: Sequence[ReplayReport], *, free: bool, brief: bool = False) -> None:
    """Print how each replay compares (if ``brief``, only those that differ), its first differences, and the sums."""
    console = standard_console()
    heads = ("kernel", "steps", "blocks", "wrong", "refused", "verdict")
    lines = [
        (
            report.trace,
            (
                report.kernel.split()[0].removesuffix("-amd64"),
                str(report.steps),
                str(report.blocks_compared),
                str(len(report.mismatches)),
                str(report.refused_by_guest),
                _verdict(report),
            ),
        )
        for report in reports
        if not (brief and report.identical)
    ]
    if lines:
        title = "Recorded kernels against the model" + ", run freely" * free
        _print_table(console, title, [("", head) for head in heads], lines)
    for report in reports:
        for mismatch in _first_mismatches(report):
            console.print(f"{report.trace}: {mismatch}", markup=False)
        for step, chance in report.chance.items():
            console.print(f"{report.trace}: step {step}: {chance}", markup=False)
    identical = sum(report.identical for report in reports)
    blocks = sum(report.blocks_compared for report in reports)
    refused = sum(report.refused_by_guest for report in reports)
    failed = sum(sum(report.failed_adds.values()) for report in reports)
    adds = f" and {failed} adds that failed" if failed else ""
    sources = f"{refused} refusals of the guest{adds} taken from the recordings"
    if free:
        steps = sum(len(report.chance) for report in reports)
        sources = (
            f"{refused} refusals decided by the guest model, and {steps} steps taken from the recordings as chance"
        )
    console.print(f"{identical} of {len(reports)} recordings identical, {blocks:,} blocks compared; {sources}.")


def print_calibration(loads: Sequence[TraceComparison], *, steps: bool = False) -> None:
    """Print how the guest model compares, the worst recording first; with ``steps`` every figure of each."""
    from sim.replay.load_comparison import Kind
    from sim.replay.load_summary import ACCEPTED, total, worst_first

    console = standard_console()
    summaries = worst_first(loads)
    heads = [("", "half"), *(("steps", name) for name in ("all", "off", *Kind))]
    heads += [("worst figure" if not steps else "figure", name) for name in ("step", "what", "sim", "rec", "tol")]
    lines: list[tuple[str, Sequence[str]]] = []
    for row in summaries:
        label = row.trace.name
        counts = [len(off) for off in (row.off, *row.off_by_kind.values())]
        head = ["fitted" if row.fitted else "shown", str(row.compared), *map(str, counts)]
        for deviation in row.trace.deviations() if steps else [row.worst] if row.worst is not None else []:
            share = f"{deviation.excess:.0%}" if deviation.excess < float("inf") else "differs"
            pair = (f"{deviation.simulated:.0f}", f"{deviation.recorded:.0f}")
            lines.append((label, [*head, str(deviation.step), deviation.what, *pair, share]))
            label, head = "", [""] * len(head)
    _print_table(console, "Guests under load against the model, MiB", heads, lines)
    console.print(
        "half: whether parameters were fitted to it; all: steps compared; off: of these, with any figure that is not"
        " within tolerance; free, plugged, oom: the same by figure; sim, rec: simulated and recorded; tol: the"
        " difference as a share of the tolerance."
    )
    halves = {"fitted": True, "shown": False}
    parts = {name: [row for row in summaries if row.fitted is fitted] for name, fitted in halves.items()}
    for name, rows in (parts | {"all": summaries}).items():
        if rows:
            sums = total(rows)
            by_kind = ", ".join(f"{kind} {sums.off_by_kind[kind]} ({ACCEPTED[kind]:.0%} accepted)" for kind in Kind)
            console.print(
                f"{name}: {sums.off} of {sums.compared} steps off ({sums.off / max(1, sums.compared):.1%}):"
                f" {by_kind}; {sums.recordings} recordings, {sums.after_tie} steps after a tie left out."
            )


def _print_table(
    console: Console, title: str, heads: Sequence[tuple[str, str]], lines: Sequence[tuple[str, Sequence[str]]]
) -> None:
    """Print ``lines``, each a label and its cells; ``heads`` are the group and the heading of each cell."""
    from rich.text import Text

    cells = [{str(number): [_cell(line[1][at])] for number, line in enumerate(lines)} for at in range(len(heads))]
    columns = [Column(*head, column) for head, column in zip(heads, cells, strict=True)]
    rows = [Row(str(number), Text(label)) for number, (label, _) in enumerate(lines)]
    console.print(title, style="italic")
    for line in table_lines(columns, rows, console.width):
        console.print(line, soft_wrap=True)
    console.print()


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(text, style="bold red" if text == _DIFFERS else "")


def _verdict(report: ReplayReport) -> str:
    if not report.identical:
        return _DIFFERS
    return "identical but for chance" if report.chance else "identical"


def _first_mismatches(report: ReplayReport) -> Iterator[str]:
    mismatches = report.mismatches
    for mismatch in mismatches[:_SHOWN_MISMATCHES]:
        what = next(f"{key} {mismatch[key]}" for key in ("block", "zone", "device", "guest") if key in mismatch)
        yield f"step {mismatch['step']}: {what}: recorded {mismatch['recorded']}, simulated {mismatch['simulated']}"
    if len(mismatches) > _SHOWN_MISMATCHES:
        yield f"and {len(mismatches) - _SHOWN_MISMATCHES} more differences"
