"""The tables of docs/guest-model.md on guests under load: ``python -m tests.guest.recordings_table FOLDER...``.

Every recording with the steps that are off, apart for those that parameters were fitted to and for the others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.replay.load_comparison import Kind
from sim.replay.load_replay import LoadReplay
from sim.replay.load_summary import ACCEPTED, total, worst_first
from sim.replay.trace_format import read_trace
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.replay.load_comparison import TraceComparison
    from sim.replay.load_summary import Summary

PAGE: Final = ROOT / "docs" / "guest-model.md"
BEGIN: Final = "<!-- Written by `python -m tests.guest.recordings_table FOLDER...`. -->\n"
END: Final = "<!-- End of the recordings. -->\n"
_MOVED_MIB: Final = 8.0
"""Steps in which less is moved are not told."""


def table(loads: Iterable[TraceComparison]) -> str:
    """Return what the page says of these recordings."""
    rows = worst_first(loads)
    parts = []
    for what, fitted in (("Fitted to", True), ("Not fitted to", False)):
        half = [row for row in rows if row.fitted is fitted]
        sums = total(half)
        kinds = ", ".join(f"{kind} {sums.off_by_kind[kind]} (accepted {ACCEPTED[kind]:.0%})" for kind in Kind)
        parts.append(
            f"**{what}:** {sums.off} of {sums.compared} steps off, {sums.off / max(1, sums.compared):.1%}: {kinds}."
            f" {sums.after_tie} steps after a tie are left out.\n\n"
            "| recording | kernel | steps | off | worst figure | step | simulated | recorded | of tolerance |\n"
            "|---|---|---|---|---|---|---|---|---|\n" + "".join(map(_row, half))
        )
    return "\n".join(parts) + "\n" + _moved(rows)


def _row(row: Summary) -> str:
    series = ".".join(row.trace.kernel.split(".")[:2])
    line = f"| {row.trace.name} | {series} | {row.compared} | {len(row.off)} |"
    if row.worst is None:
        return f"{line} | | | | |\n"
    of = f"{row.worst.excess:.2f}" if row.worst.excess < float("inf") else "differs"
    return (
        f"{line} {row.worst.what} | {row.worst.step} | {row.worst.simulated:.0f} | {row.worst.recorded:.0f} | {of} |\n"
    )


def _moved(rows: Sequence[Summary]) -> str:
    """Return the table of pages that were moved, which nothing was fitted to and nothing is held to."""
    lines = []
    for row in sorted(rows, key=lambda row: row.trace.name):
        for step in row.trace.steps[: row.compared]:
            if step.moved_mib and max(step.moved_mib) >= _MOVED_MIB and not step.tie:
                simulated, recorded = step.moved_mib
                lines.append(f"| {row.trace.name} | {step.step} | {simulated:.0f} | {recorded:.0f} |\n")
    return (
        "Pages that were moved to take memory back, MiB (`pgmigrate_success`; only told):\n\n"
        "| recording | step | simulated | recorded |\n|---|---|---|---|\n" + "".join(lines)
    )


def main(folders: Sequence[str]) -> None:
    """Write the table anew, from all recordings under load in the folders."""
    traces = [read_trace(path) for folder in folders for path in sorted(Path(folder).glob("*.json"))]
    text = table(LoadReplay(trace).compare() for trace in traces if trace.has_load)
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
