from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from rich.console import Console

from sim.analysis.compare import compare
from sim.cli_tables import print_comparison
from sim.score import SCORES

HEADLINE = ["movable_share_mean", "kernel_mean", "time_above_ratio", "failed_requests", "zone_changes_end"]


def runs(policies: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    """Return run rows: for each policy the values of some scores by replication; the others are 0."""
    rows = []
    for policy, values in policies.items():
        for replication in range(3):
            scores = dict.fromkeys(SCORES, 0.0) | {name: series[replication] for name, series in values.items()}
            rows.append(
                {"machine": "vm", "workload": "w", "policy": policy, "replication": replication, "status": "completed"}
                | scores
            )
    return pd.DataFrame(rows)


def printed(frame: pd.DataFrame, width: int = 120) -> str:
    stream = io.StringIO()
    print_comparison(Console(file=stream, width=width, highlight=False), compare(frame, "base", HEADLINE))
    return stream.getvalue()


THREE = runs(
    {
        "base": {"movable_share_mean": [10, 12, 14], "kernel_mean": [2**30] * 3, "time_above_ratio": [math.nan] * 3},
        "better": {"movable_share_mean": [20, 22.5, 24], "kernel_mean": [2**31] * 3, "time_above_ratio": [0] * 3},
        "worse": {"movable_share_mean": [9, 11, 13], "zone_changes_end": [1, 5, 30], "kernel_mean": [2**30] * 3},
    }
)


def test_means_and_paired_differences_are_shown() -> None:
    lines = printed(THREE).splitlines()
    row = {line.split()[0]: lines[number : number + 2] for number, line in enumerate(lines) if line.strip()}

    assert lines[0] == "w on vm, mean of 3 replications"
    assert row["base"][0].split()[1:] == ["12", "1", "0"]
    assert row["better"][0].split()[1:] == ["22.2", "2", "0"]
    assert row["better"][1].split() == ["▲", "+10.2", "±0.717", "▲", "+1"]
    assert row["worse"][1].split() == ["▼", "-1", "+12", "±39"]  # the interval holds 0: no verdict


def test_what_is_the_same_for_all_takes_one_line() -> None:
    text = " ".join(printed(THREE).split())

    assert "The same for all: Time above the ratio 0 s (where defined); Failed requests 0." in text


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_console_and_nothing_is_lost(width: int) -> None:
    text = printed(THREE, width)

    assert max(map(len, text.splitlines())) <= width
    assert text.count("better\n") + text.count("better ") >= 1
    for value in ("22.2", "+10.2 ±0.717", "▼ -1", "+12 ±39"):
        assert value in text


def test_a_single_replication_has_no_interval_and_no_count() -> None:
    text = printed(THREE[THREE["replication"] == 0])

    assert text.startswith("w on vm\n")
    assert "±" not in text


def test_a_policy_all_of_whose_runs_failed_is_left_out() -> None:
    frame = THREE.copy()
    frame.loc[frame["policy"] == "worse", "status"] = "failed"

    assert "worse" not in printed(frame).replace("▼ worse", "")


def test_nothing_completed_prints_nothing() -> None:
    frame = THREE.assign(status="failed")

    assert printed(frame) == ""
