"""What went wrong: runs that did not complete, with their errors, and runs in which the guest came to grief."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.analysis.ranking import failing, failures_of_each
from sim.report.environment import rendered
from sim.report.section import Section
from sim.report.table import Cell, Table
from sim.results.failure import Status

if TYPE_CHECKING:
    import pandas as pd

    from sim.report.subject import Subject

_MOST_REASONS: Final = 50
_MOST_FAILED: Final = 200
_LONGEST: Final = 4000
"""Characters of a traceback, from its end."""


def failures_section(subject: Subject) -> Section:
    """Return the section; where nothing failed it says that."""
    runs = subject.runs
    stopped = runs[runs["status"] != Status.COMPLETED]
    done = runs[runs["status"] == Status.COMPLETED]
    failed = done[failing(done)]
    reasons = list(_reasons(stopped))
    planned = subject.manifest.get("cells", {}).get("planned")
    html = rendered(
        "failures",
        reasons=reasons[:_MOST_REASONS],
        more_reasons=max(0, len(reasons) - _MOST_REASONS),
        stopped=len(stopped),
        missing=planned - len(runs) if isinstance(planned, int) else 0,
        failed=len(failed),
        done=len(done),
        table=_table(failed).html() if len(failed) else "",
        more=max(0, len(failed) - _MOST_FAILED),
        has_guest=bool(done["died"].notna().any()),
    )
    return Section("failures", "What failed", html)


def _reasons(stopped: pd.DataFrame) -> list[dict[str, Any]]:
    """Return why runs did not complete: each reason once, with the runs that it stopped and the first's traceback."""
    reasons = []
    for (stage, error), group in stopped.fillna({"stage": "", "error": ""}).groupby(["stage", "error"], sort=False):
        first = group.iloc[0]
        labels = first[["policy", "workload", "machine", "replication"]]
        traceback = "" if not isinstance(first["traceback"], str) else first["traceback"]
        reasons.append(
            {
                "stage": stage,
                "error": error,
                "runs": len(group),
                "first": "{}, {} on {}, replication {}".format(*labels),
                "traceback": traceback if len(traceback) <= _LONGEST else f"…{traceback[-_LONGEST:]}",
            }
        )
    return reasons


def _table(failed: pd.DataFrame) -> Table:
    """Return the first runs in which the guest failed, each with when and why."""
    rows = []
    shown = failed.head(_MOST_FAILED)
    labels = shown[["policy", "workload", "machine"]].to_numpy(dtype=object)
    numbers = shown[["replication", "death_time", "kernel_oom_first"]].to_numpy(dtype=np.float64)
    for (policy, workload, machine), (replication, *times), how in zip(
        labels, numbers, failures_of_each(shown), strict=True
    ):
        first = min((time for time in times if not math.isnan(time)), default=math.nan)
        rows.append(
            [
                Cell(policy),
                Cell(f"{workload} on {machine}"),
                Cell(f"{replication:.0f}", replication),
                Cell("-" if math.isnan(first) else f"{first:,.0f} s", first),
                Cell("; ".join(how.reasons)),
            ]
        )
    heads = ("Policy", "Scenario", "Replication", "First at", "What happened")
    return Table("Runs in which the guest failed", heads, rows, words=frozenset({1, 4}), rows_are="failed runs")
