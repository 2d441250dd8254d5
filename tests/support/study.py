"""The study of the trade-off as the README tells it: a line for each guest, what came back or how many failed.

``python -m tests.support.study RESULTS`` prints the table for the results of ``experiments/tradeoff.toml``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from memhp_sim import Results, open_results
from sim.analysis.ranking import failing

if TYPE_CHECKING:
    import pandas as pd

GUESTS: Final = {
    ("DIMMs", "1 GiB"): "DIMMs",
    ("virtio-mem", "1 GiB"): "virtio-mem, by sub-blocks of 2 MiB",
    ("virtio-mem by blocks", "1 GiB"): "virtio-mem, by blocks of 128 MiB",
    ("DIMMs, half as fast", "1 GiB"): "DIMMs, plugged half as fast",
    ("DIMMs, kernel later", "1 GiB"): "DIMMs, the kernel grows once all is plugged",
    ("DIMMs, kernel leaves", "1 GiB"): "DIMMs, the kernel's memory goes with the load",
    ("DIMMs", "4 GiB"): "DIMMs, 4 GiB of boot memory",
}
POLICIES: Final = {
    "contig-zones": "`contig-zones`",
    "auto-movable, ratio 150": "ratio 150",
    "auto-movable, ratio 301": "ratio 301",
    "auto-movable, ratio 600": "ratio 600",
    "auto-movable, ratio 1200": "ratio 1200",
    "headroom": "`headroom`",
}


def table(results: Results) -> str:
    """Return the table in Markdown."""
    runs, compared = results.runs(), results.compare(["returned_share"])
    lines = [f"| guest | {' | '.join(POLICIES.values())} |", "|---" * (1 + len(POLICIES)) + "|"]
    for (workload, machine), guest in GUESTS.items():
        cells = []
        for policy in POLICIES:
            of_policy = [_of(frame, workload, machine, policy) for frame in (runs, compared)]
            cells.append(_cell(*of_policy))
        lines.append(f"| {guest} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of(frame: pd.DataFrame, workload: str, machine: str, policy: str) -> pd.DataFrame:
    return frame[(frame["workload"] == workload) & (frame["machine"] == machine) & (frame["policy"] == policy)]


def _cell(runs: pd.DataFrame, compared: pd.DataFrame) -> str:
    failed = int(failing(runs).sum())
    if failed:
        return "all fail" if failed == len(runs) else f"{failed} of {len(runs)} fail"
    mean, low, high = (round(float(compared[column].iloc[0])) for column in ("mean", "low", "high"))
    return f"{mean} %" if low == high else f"{mean} ({low} to {high}) %"


if __name__ == "__main__":
    print(table(open_results(sys.argv[1])))  # noqa: T201  a program's output
