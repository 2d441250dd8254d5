from __future__ import annotations

import io
import math
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from sim.analysis.compare import compare
from sim.cli.tables import print_comparison
from sim.scores.registry import SCORES
from sim.units import GIB
from tests.analysis.by_hand import score_rows

HEADLINE = ["returned_share", "headroom_min", "auto_time_above_ratio", "failed_requests", "zone_changes_end"]


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
        "base": {"returned_share": [10, 12, 14], "headroom_min": [2**30] * 3, "auto_time_above_ratio": [math.nan] * 3},
        "better": {"returned_share": [20, 22.5, 24], "headroom_min": [2**31] * 3, "auto_time_above_ratio": [0] * 3},
        "worse": {"returned_share": [9, 11, 13], "zone_changes_end": [1, 5, 30], "headroom_min": [2**30] * 3},
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

    assert "The same for all: Time with MV:KE above the ratio 0 s (where defined); Failed requests 0." in text


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


# One score of each unit, of three replications that are a fixed step apart; the policies in no order of names.
EVERY_UNIT = {
    "zeta": {
        "ratio_mean": [100.0, 200.0, 300.0], "headroom_min": [11.0 * GIB, 12.0 * GIB, 13.0 * GIB],
        "returned_share": [100.0] * 3, "auto_time_above_ratio": [math.nan] * 3,
        "not_given_byte_seconds": [20.0 * GIB, 21.0 * GIB, 22.0 * GIB], "auto_ratio_excess": [-1.0, -2.0, -3.0],
        "failed_requests": [4.0] * 3,
    },
    "alpha": {
        "ratio_mean": [300.0, 500.0, 700.0], "headroom_min": [1.0 * GIB, 2.0 * GIB, 3.0 * GIB],
        "returned_share": [0.0] * 3, "auto_time_above_ratio": [7200.0] * 3,
        "not_given_byte_seconds": [10.0 * GIB] * 3, "auto_ratio_excess": [-201.0, -202.0, -203.0],
        "failed_requests": [4.0] * 3,
    },
    "mid": {
        "ratio_mean": [100.0, 200.0, 300.0], "headroom_min": [12.0 * GIB, 14.0 * GIB, 16.0 * GIB],
        "returned_share": [59.0, 60.0, 61.0], "auto_time_above_ratio": [30.0] * 3,
        "not_given_byte_seconds": [22.0 * GIB, 23.0 * GIB, 24.0 * GIB], "auto_ratio_excess": [4.0] * 3,
        "failed_requests": [4.0] * 3,
    },
}  # fmt: skip


def of_every_unit(baseline: str = "zeta") -> pd.DataFrame:
    return compare(score_rows(EVERY_UNIT), baseline, list(EVERY_UNIT["zeta"]), policies=tuple(EVERY_UNIT))


def shown(comparison: pd.DataFrame, width: int = 120, **console: Any) -> str:  # noqa: ANN401  options of the console
    stream = io.StringIO()
    print_comparison(Console(file=stream, width=width, highlight=False, **console), comparison)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


# Half of an interval of three values that are 1 apart is 4.3027 / sqrt(3) = 2.48.
WIDE = """\
w on m, mean of 3 replications
                                                                                           MV:KE,
                                                            Time with   Asked back,       highest
                                   Kernel                 MV:KE above    not given:     above the
            MOVABLE:KERNEL,     headroom,     Came back     the ratio     over time         ratio
                   mean [%]   least [GiB]           [%]           [s]       [GiB s]      [points]
──────────────────────────────────────────────────────────────────────────────────────────────────
zeta                    200            12           100             -            21            -2
(baseline)
alpha                   500             2             0         7,200            10          -202
                  +300 ±248         ▼ -10        ▼ -100                 ▲ -11 ±2.48        ▲ -200
mid                     200            14            60            30            23             4
                                 +2 ±2.48   ▼ -40 ±2.48                        ▼ +2    ▼ +6 ±2.48
The same for all: Failed requests 4.

Second lines: difference to zeta, paired by replication, with the 95 % confidence interval where it has a width. ▲
better, ▼ worse."""

LAST_OF_THREE_PIECES = """\
                                MV:KE,
             Asked back,       highest
              not given:     above the
               over time         ratio
                 [GiB s]      [points]
───────────────────────────────────────
zeta                  21            -2
(baseline)
alpha                 10          -202
             ▲ -11 ±2.48        ▲ -200
mid                   23             4
                    ▼ +2    ▼ +6 ±2.48
The same for all: Failed requests 4.
"""


def test_every_value_stands_in_its_row_and_column_in_the_unit_that_people_read() -> None:
    assert shown(of_every_unit()) == WIDE


def test_pieces_of_a_narrow_table_hold_their_own_scores() -> None:
    text = shown(of_every_unit(), 50)

    assert LAST_OF_THREE_PIECES in text
    assert text.count("(baseline)") == 3
    assert text.count("\n─") == 3
    # One that is wider than the console has a table of its own all the same.
    assert shown(of_every_unit(), 20).count("\n─") == 6


def test_the_baseline_is_the_one_asked_for_and_differences_turn_with_it() -> None:
    lines = shown(of_every_unit("mid")).splitlines()
    row = {line.split()[0]: lines[number : number + 2] for number, line in enumerate(lines) if line.strip()}

    assert row["mid"][1] == "(baseline)"
    assert row["alpha"][0].split() == ["alpha", "500", "2", "0", "7,200", "10", "-202"]
    # Of time above the ratio, too, which zeta does not have and mid has.
    assert row["alpha"][1].split() == [
        "+300", "±248", "▼", "-12", "±2.48", "▼", "-60", "±2.48", "▼", "+7,170", "▲", "-13", "±2.48",
        "▲", "-206", "±2.48",
    ]  # fmt: skip
    assert row["zeta"][1].split() == ["-2", "±2.48", "▲", "+40", "±2.48", "▲", "-2", "▲", "-6", "±2.48"]
    assert "Second lines: difference to mid," in lines[-2]


def test_better_is_green_and_worse_is_red() -> None:
    text = shown(of_every_unit(), force_terminal=True, color_system="standard")

    for mark in ("▼ -10", "▼ -100", "▼ -40 ±2.48", "▼ +2", "▼ +6 ±2.48"):
        assert f"\x1b[31m{mark}\x1b[0m" in text
    for mark in ("▲ -11 ±2.48", "▲ -200"):
        assert f"\x1b[32m{mark}\x1b[0m" in text
    assert "\x1b[2m+300 ±248\x1b[0m" in text


@pytest.mark.parametrize(
    ("low", "high", "mark"), [(0.0, 4.0, ""), (0.5, 4.0, "▲ "), (-4.0, 8.0, ""), (math.nan, math.nan, "")]
)
def test_there_is_no_verdict_where_the_interval_reaches_zero(low: float, high: float, mark: str) -> None:
    frame = compare(score_rows({"b": {"headroom_min": [GIB]}, "a": {"headroom_min": [3 * GIB]}}), "b", ["headroom_min"])
    ends = frame["policy"] == "a"
    frame.loc[ends, ["difference_low", "difference_high"]] = [low * GIB, high * GIB]
    spread = "" if math.isnan(low) else f" ±{(high - low) / 2:g}"

    assert f"{mark}+2{spread}" in [line.strip() for line in shown(frame).splitlines()]


def two_places(values: dict[str, list[float]], other: dict[str, list[float]]) -> pd.DataFrame:
    return pd.concat(
        [
            score_rows({policy: {"headroom_min": each} for policy, each in values.items()}),
            score_rows({policy: {"headroom_min": each} for policy, each in other.items()}, machine="n"),
        ]
    )


def test_each_machine_and_workload_has_a_table_in_the_order_asked_for() -> None:
    rows = two_places({"b": [GIB], "a": [2 * GIB]}, {"b": [5 * GIB], "a": [7 * GIB]})
    comparison = compare(rows, "b", ["headroom_min"])

    def order(*asked: tuple[str, str]) -> list[str]:
        stream = io.StringIO()
        print_comparison(Console(file=stream, width=80), comparison, asked)
        lines = [line.split() for line in stream.getvalue().splitlines() if line.startswith(("w", "a", "b"))]
        return [" ".join(line[:3]) for line in lines]

    first, second = ["w on m", "a 2", "b 1"], ["w on n", "a 7", "b 5"]
    assert order() == order(("m", "w"), ("gone", "w")) == [*first, *second]
    assert order(("n", "w")) == order(("n", "w"), ("m", "w")) == [*second, *first]


def test_the_heading_says_of_how_many_replications() -> None:
    def heading(**counts: int) -> str:
        rows = score_rows({policy: {"headroom_min": [GIB, 2 * GIB, 3 * GIB]} for policy in counts})
        kept = rows["replication"] < rows["policy"].map(counts)
        return shown(compare(rows[kept], "b", ["headroom_min"])).splitlines()[0]

    assert heading(b=1, a=1) == "w on m"
    assert heading(b=1, a=2) == "w on m, mean of 1 to 2 replications"
    assert heading(b=3, a=2) == "w on m, mean of 2 to 3 replications"


def test_what_is_the_same_by_chance_or_in_three_digits_is_not_the_same_for_all() -> None:
    equal_means = compare(score_rows({"b": {"headroom_min": [1, 2, 3]}, "a": {"headroom_min": [3, 2, 1]}}), "b")
    assert "Kernel headroom, least" not in shown(equal_means)
    rows = score_rows({"b": {"auto_time_above_ratio": [math.nan]}, "a": {"auto_time_above_ratio": [1.2341]}})
    more = score_rows({"c": {"auto_time_above_ratio": [1.2342]}})
    undefined_baseline = compare(pd.concat([rows, more]), "b", ["auto_time_above_ratio"])
    assert "The same for all" not in shown(undefined_baseline)


def test_a_policy_alone_has_its_scores_in_the_table() -> None:
    alone = compare(score_rows({"p": {"headroom_min": [3 * GIB], "failed_requests": [2]}}), None, HEADLINE)

    lines = [line.split() for line in shown(alone).splitlines() if line.startswith("p ")]
    assert lines == [["p", "0", "3", "0", "2", "0"]]
    assert "The same for all" not in shown(alone)


def test_without_an_interval_nothing_is_said_of_one() -> None:
    single = compare(
        score_rows({"b": {"headroom_min": [GIB]}, "a": {"headroom_min": [3 * GIB]}}), "b", ["headroom_min"]
    )

    assert shown(single).endswith("Second lines: difference to b, paired by replication. ▲ better, ▼ worse.")
