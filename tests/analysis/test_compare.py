from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from sim.analysis.compare import (
    compare,
    number,
    policies_in_order,
    signed,
)
from sim.analysis.intervals import estimate
from sim.analysis.same import side_by_side
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.analysis.intervals import Method

METHODS: tuple[Method, ...] = ("t", "bootstrap")


def runs(values: dict[str, Sequence[float | None]], **more: Any) -> pd.DataFrame:  # noqa: ANN401
    """Rows as the store gives them: for each policy the kernel_mean of every replication; None for a failed cell."""
    rows = []
    for policy, numbers in values.items():
        for replication, value in enumerate(numbers):
            scores = dict.fromkeys(SCORES, 1.0) | {"kernel_mean": math.nan if value is None else value}
            labels = {"machine": "m", "workload": "w", "policy": policy, "replication": replication}
            rows.append(labels | {"status": "failed" if value is None else "completed"} | scores | more)
    return pd.DataFrame(rows)


def row_of(frame: pd.DataFrame, policy: str) -> dict[str, Any]:
    (row,) = frame[(frame["policy"] == policy) & (frame["score"] == "kernel_mean")].to_dict("records")
    return {str(key): value for key, value in row.items()}


def test_differences_are_paired_by_replication() -> None:
    found = compare(runs({"b": [10, 200, 3000, 40000], "a": [11, 202, 3001, 40002]}), "b", ["kernel_mean"], method="t")
    row = row_of(found, "a")
    # Differences 1, 2, 1, 2 have the variance 1/3; the mean of four of them a standard error of 1/sqrt(12).
    half = 3.182446 / math.sqrt(12)
    assert row["difference"] == 1.5
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((1.5 - half, 1.5 + half), rel=1e-6)
    # 11, 202, 3001, 40002: their mean is 10804, their sum of squares about it 1142301266.
    half = 3.182446 * math.sqrt(1142301266 / 3 / 4)
    assert row["mean"] == 10804
    assert (row["low"], row["high"]) == pytest.approx((10804 - half, 10804 + half), rel=1e-6)
    assert (row["unit"], row["better"], row["baseline"], row["pairs"], row["replications"]) == (
        "B",
        "neither",
        "b",
        4,
        4,
    )
    itself = row_of(found, "b")
    assert (itself["difference"], itself["difference_low"], itself["difference_high"]) == (0, 0, 0)


def test_a_failed_cell_takes_its_pair_with_it() -> None:
    row = row_of(compare(runs({"b": [10, None, 30, 40], "a": [11, 22, None, 44]}), "b", ["kernel_mean"]), "a")
    assert (row["replications"], row["pairs"]) == (3, 2)
    assert row["difference"] == 2.5
    assert math.isnan(row["difference_low"])
    assert row["mean"] == pytest.approx((11 + 22 + 44) / 3)


def test_what_a_failed_cell_has_as_a_score_does_not_count() -> None:
    frame = runs({"b": [10, 20, 30], "a": [11, 22, 33]})
    frame.loc[(frame["policy"] == "a") & (frame["replication"] == 1), "status"] = "failed"
    row = row_of(compare(frame, "b", ["kernel_mean"]), "a")
    assert (row["replications"], row["pairs"], row["mean"], row["difference"]) == (2, 2, 22, 2)
    assert math.isnan(row["low"])


def test_pairs_are_found_by_replication_in_whatever_order_rows_come() -> None:
    frame = runs({"b": [10, 200, 3000, 40000], "a": [11, 202, 3001, 40002], "c": [9, 190, 2000, math.nan]})
    shuffled = frame.iloc[[7, 0, 10, 2, 5, 3, 9, 8, 6, 1, 11, 4]]
    found = compare(shuffled, "b", ["kernel_mean"], policies=["c", "b", "a"], method="t")
    assert list(found["policy"]) == ["c", "b", "a"]
    assert row_of(found, "a")["difference"] == 1.5
    row = row_of(found, "c")
    assert (row["replications"], row["pairs"], row["difference"]) == (3, 3, (-1 - 10 - 1000) / 3)
    # Differences -1, -10, -1000 about their mean -337: squares 112896, 106929 and 439569.
    half = 4.302653 * math.sqrt(659394 / 2 / 3)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((-337 - half, -337 + half), rel=1e-6)


def test_every_machine_and_workload_is_compared_for_itself_in_the_order_of_the_runs() -> None:
    parts = [("n", "w", 5.0), ("m", "w", 7.0), ("m", "a", 90.0)]
    frames = [
        runs({"b": [1.0], "a": [value]}).assign(machine=machine, workload=workload)
        for machine, workload, value in parts
    ]
    found = compare(pd.concat(frames), "b", ["kernel_end", "kernel_mean"])
    rows = found[["machine", "workload", "score", "policy", "mean", "difference"]].itertuples(index=False)
    assert [tuple(row) for row in rows] == [
        ("n", "w", "kernel_end", "a", 1, 0), ("n", "w", "kernel_end", "b", 1, 0),
        ("n", "w", "kernel_mean", "a", 5, 4), ("n", "w", "kernel_mean", "b", 1, 0),
        ("m", "w", "kernel_end", "a", 1, 0), ("m", "w", "kernel_end", "b", 1, 0),
        ("m", "w", "kernel_mean", "a", 7, 6), ("m", "w", "kernel_mean", "b", 1, 0),
        ("m", "a", "kernel_end", "a", 1, 0), ("m", "a", "kernel_end", "b", 1, 0),
        ("m", "a", "kernel_mean", "a", 90, 89), ("m", "a", "kernel_mean", "b", 1, 0),
    ]  # fmt: skip


def test_the_first_policy_is_the_baseline_unless_another_is_named() -> None:
    frame = runs({"b": [1], "a": [2], "c": [4]})
    for baseline, expected in ((None, [0, -2, -3]), ("a", [2, 0, -1]), ("b", [3, 1, 0])):
        found = compare(frame, baseline, ["kernel_mean"], policies=["c", "a", "b"])
        assert list(zip(found["policy"], found["difference"], strict=True)) == list(zip("cab", expected, strict=True))
        assert set(found["baseline"]) == {baseline or "c"}


def test_a_policy_that_always_fails_leaves_the_others() -> None:
    found = compare(runs({"b": [None, None], "a": [1, 2]}), "b", ["kernel_mean"])
    assert list(found["policy"]) == ["a"]
    assert row_of(found, "a")["pairs"] == 0
    assert math.isnan(row_of(found, "a")["difference"])


def test_undefined_and_infinite_scores_stay_what_they_are() -> None:
    found = compare(runs({"b": [math.inf] * 3, "a": [math.nan] * 3, "c": [math.inf] * 3}), "b", ["kernel_mean"])
    assert row_of(found, "a")["replications"] == 0
    assert math.isnan(row_of(found, "a")["mean"])
    assert row_of(found, "c")["mean"] == math.inf
    assert math.isnan(row_of(found, "c")["difference"])


@pytest.mark.parametrize(
    ("values", "t", "mean", "error"),
    [
        ([1, 2, 3], 4.302653, 2, math.sqrt(1 / 3)),
        ([7, 1, 4, 4], 3.182446, 4, math.sqrt(6 / 4)),
        ([4, 2, 6, 4, 4], 2.776445, 4, math.sqrt(2 / 5)),
        (range(-1, 9), 2.262157, 3.5, math.sqrt(82.5 / 9 / 10)),
        ([1, -1] * 15, 2.045230, 0, math.sqrt(30 / 29 / 30)),
    ],
)
def test_an_interval_is_that_of_a_table_of_students_t(
    values: Sequence[int], t: float, mean: float, error: float
) -> None:
    expected = (mean - t * error, mean + t * error)
    assert estimate(np.array(values, dtype=np.float64), "t")[:2] == pytest.approx(expected, abs=1e-5)


def test_an_interval_of_other_confidence_has_another_t() -> None:
    values = np.array([1.0, 2.0, 3.0])
    for confidence, t in ((0.9, 2.919986), (0.99, 9.924843)):
        expected = (2 - t / math.sqrt(3), 2 + t / math.sqrt(3))
        assert estimate(values, "t", confidence)[:2] == pytest.approx(expected, rel=1e-6)


def test_an_interval_takes_three_finite_values_and_has_no_width_where_they_are_equal() -> None:
    for values in ([], [1.0], [1.0, 2.0], [1.0, 2.0, math.inf], [1.0, 2.0, math.nan, 3.0]):
        for method in METHODS:
            assert all(math.isnan(end) for end in estimate(np.array(values), method))
    for method in METHODS:
        assert estimate(np.full(5, 2.5), method)[:2] == (2.5, 2.5)
        low, high, _ = estimate(np.array([2.5, 2.5, 2.5, 2.500001]), method)
        assert low < high, "nearly equal is not equal"


def test_the_bootstrap_resamples_and_repeats_exactly() -> None:
    values = np.arange(1.0, 11.0)
    # The mean of a resample of 1 to 10 is nearly normal about 5.5; its variance is 8.25 / 10.
    for confidence, normal in ((0.95, 1.96), (0.9, 1.645)):
        half = normal * math.sqrt(0.825)
        found = estimate(values, "bootstrap", confidence)[:2]
        assert found == pytest.approx((5.5 - half, 5.5 + half), abs=0.06)
        assert estimate(values, "bootstrap", confidence)[:2] == found
    row = row_of(compare(runs({"b": [0] * 10, "a": list(range(1, 11))}), "b", ["kernel_mean"], method="bootstrap"), "a")
    half = 1.96 * math.sqrt(0.825)
    for name in ("", "difference_"):
        assert (row[f"{name}low"], row[f"{name}high"]) == pytest.approx((5.5 - half, 5.5 + half), abs=0.06), name


def test_policies_keep_the_order_they_are_given_in() -> None:
    frame = runs({"b": [1], "a": [2], "c": [3]})
    assert policies_in_order(frame) == ["a", "b", "c"]
    assert policies_in_order(frame, ["c", "gone", "a"]) == ["c", "a", "b"]
    assert list(compare(frame, None, ["kernel_mean"], policies=["c"])["baseline"].unique()) == ["c"]


def test_swept_values_that_no_label_shows_are_told_apart() -> None:
    for name in ("timing.delay", "guest.cpus"):
        both = pd.concat([runs({"a": [value, 2 * value]}, **{name: value}) for value in (1, 5)])
        found = compare(both, "a", ["kernel_mean"])
        assert list(found["workload"]) == [f"w ({name.replace('.', ' ')} {value})" for value in (1, 5)]
        assert list(found["mean"]) == [1.5, 7.5]
    two = runs({"a": [1]}, **{"timing.delay": 0.5, "guest.cpus": 2, "machines.m.slots": 3})
    assert list(compare(two, "a", ["kernel_mean"])["workload"]) == ["w (guest cpus 2, timing delay 0.5)"]
    told = runs({"a": [1]}, machine="m, guest cpus 2", **{"timing.delay": 0.5, "guest.cpus": 2})
    assert list(compare(told, "a", ["kernel_mean"])["workload"]) == ["w (timing delay 0.5)"]
    lists = runs({"a": [1]})
    lists["guest.reserve"] = pd.Series([[256, 32]])
    lists["guest.set"] = pd.Series([{"a": True}])
    assert list(compare(lists, "a", ["kernel_mean"])["workload"]) == ["w (guest reserve 256+32, guest set a true)"]
    with pytest.raises(ValueError, match="same labels and replication"):
        compare(pd.concat([runs({"a": [1]}), runs({"a": [2]})]), "a")


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match=r"baseline 'x' is none of the policies: a, b"):
        compare(runs({"a": [1], "b": [2]}), "x")
    with pytest.raises(ValueError, match=r"unknown scores: speed; there are: died"):
        compare(runs({"a": [1]}), "a", ["speed"])
    with pytest.raises(ValueError, match=r"there is no method 'zz'; there are: auto, bounded, skewed, t, bootstrap"):
        compare(runs({"a": [1]}), "a", method="zz")  # type: ignore[arg-type]
    nothing = compare(runs({"a": [1]}).iloc[:0])
    assert (len(nothing), list(nothing)) == (0, list(compare(runs({"a": [1]}))))


def test_people_read_policies_side_by_side_in_gib() -> None:
    gib = float(1 << 30)
    found = compare(
        runs({"b": [4 * gib, 5 * gib, 6 * gib], "a": [6 * gib, 7 * gib, 8.3 * gib]}),
        "b",
        ["kernel_mean", "zone_changes_end"],
        method="t",
    )
    table = side_by_side(found, "m", "w")
    assert list(table.columns) == ["a", "b"]
    assert table.loc["Kernel-zone memory, mean [GiB]", "b"] == "5"
    assert table.loc["Kernel-zone memory, mean [GiB]", "a"] == "7.1 (+2.1 [+1.67, +2.53])"
    assert table.loc["Zone changes by address, end", "a"] == "1 (±0 [±0, ±0])"
    assert len(table) == 2


def test_a_table_for_people_is_of_one_machine_and_workload_and_says_nothing_of_what_is_undefined() -> None:
    here = runs({"b": [math.nan] * 3, "a": [2, 2, 2], "c": [math.nan] * 3})
    there = [runs({"b": [5], "a": [6]}, machine="n"), runs({"b": [7], "a": [8]}, workload="v")]
    found = compare(pd.concat([here, *there]), "b", ["kernel_mean", "ratio_mean"], policies=["c", "b"])
    per = float(1 << 30)
    found[["mean", "difference", "difference_low", "difference_high"]] *= per
    table = side_by_side(found, "m", "w")
    assert list(table.columns) == ["c", "b", "a"]
    assert list(table.loc["Kernel-zone memory, mean [GiB]"]) == ["", "", "2"]
    assert list(side_by_side(found, "n", "w").loc["Kernel-zone memory, mean [GiB]"]) == ["5", "6 (+1)"]
    assert list(side_by_side(found, "m", "v").loc["Kernel-zone memory, mean [GiB]"]) == ["7", "8 (+1)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (0.000123, "0.000123"),
        (12.345, "12.3"),
        (-3.0, "-3"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (math.nan, "undefined"),
        (100, "100"),
        (1_000_000, "1,000,000"),
        (99.94, "99.9"),
        (9.996, "10"),
        (0.1235, "0.123"),
        (1.50, "1.5"),
        (0.0000004, "0"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_sign_is_always_shown() -> None:
    assert [signed(value) for value in (1.5, -1.5, 0)] == ["+1.5", "-1.5", "±0"]


@pytest.mark.parametrize(
    ("value", "text"), [(math.inf, "∞"), (-math.inf, "-∞"), (math.nan, "undefined"), (0.5, "0.5"), (-0.5, "-0.5")]
)
def test_what_is_no_number_is_written_as_what_it_is(value: float, text: str) -> None:
    assert number(value) == text
