from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.analysis.compare import (
    HEADLINE_SCORES,
    compare,
    interval,
    number,
    policies_in_order,
    side_by_side,
    signed,
)
from sim.score import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    found = compare(runs({"b": [10, 200, 3000, 40000], "a": [11, 202, 3001, 40002]}), "b", ["kernel_mean"])
    row = row_of(found, "a")
    assert row["difference"] == 1.5
    low, high = stats.ttest_rel([11, 202, 3001, 40002], [10, 200, 3000, 40000]).confidence_interval()
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high))
    assert row["low"] < 0 < row["high"]
    assert row_of(found, "b")["difference"] == row_of(found, "b")["difference_low"] == 0


def test_a_failed_cell_takes_its_pair_with_it() -> None:
    row = row_of(compare(runs({"b": [10, None, 30, 40], "a": [11, 22, None, 44]}), "b", ["kernel_mean"]), "a")
    assert (row["replications"], row["pairs"]) == (3, 2)
    assert row["difference"] == 2.5
    assert math.isnan(row["difference_low"])
    assert row["mean"] == pytest.approx((11 + 22 + 44) / 3)


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


@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=12), st.integers(-1000, 1000))
def test_an_interval_moves_with_its_values_and_holds_their_mean(values: list[int], shift: int) -> None:
    low, high = interval(np.array(values, dtype=np.float64))
    assert low <= np.mean(values) + 1e-6
    assert high >= np.mean(values) - 1e-6
    assert interval(np.array(values, dtype=np.float64) + shift) == pytest.approx((low + shift, high + shift), abs=1e-6)


def test_the_bootstrap_agrees_roughly_and_repeats_exactly() -> None:
    values = np.random.default_rng(3).normal(100, 5, 40)
    assert interval(values, "bootstrap") == interval(values, "bootstrap")
    assert interval(values, "bootstrap") == pytest.approx(interval(values), rel=0.01)
    assert interval(np.full(5, 2.5), "bootstrap") == interval(np.full(5, 2.5)) == (2.5, 2.5)
    assert all(math.isnan(end) for end in interval(values[:2]))
    assert all(math.isnan(end) for end in interval(np.array([1, 2, math.inf])))


def test_policies_keep_the_order_they_are_given_in() -> None:
    frame = runs({"b": [1], "a": [2], "c": [3]})
    assert policies_in_order(frame) == ["a", "b", "c"]
    assert policies_in_order(frame, ["c", "gone", "a"]) == ["c", "a", "b"]
    assert list(compare(frame, None, ["kernel_mean"], policies=["c"])["baseline"].unique()) == ["c"]


def test_swept_values_that_no_label_shows_are_told_apart() -> None:
    both = pd.concat([runs({"a": [1, 2]}, **{"timing.delay": delay}) for delay in (1, 5)])
    assert list(compare(both, "a", ["kernel_mean"])["workload"]) == ["w (timing.delay=1)", "w (timing.delay=5)"]
    with pytest.raises(ValueError, match="same labels and replication"):
        compare(pd.concat([runs({"a": [1]})] * 2), "a")


def test_unknown_names_are_named() -> None:
    with pytest.raises(ValueError, match=r"baseline 'x' is none of the policies: a, b"):
        compare(runs({"a": [1], "b": [2]}), "x")
    with pytest.raises(ValueError, match=r"unknown scores: speed; there are: ratio_mean"):
        compare(runs({"a": [1]}), "a", ["speed"])
    assert len(compare(runs({"a": [1]}).iloc[:0])) == 0


def test_people_read_policies_side_by_side_in_gib() -> None:
    gib = float(1 << 30)
    found = compare(runs({"b": [4 * gib, 5 * gib, 6 * gib], "a": [6 * gib, 7 * gib, 8.3 * gib]}), "b")
    table = side_by_side(found, "m", "w")
    assert list(table.columns) == ["a", "b"]
    assert table.loc["Kernel-zone memory, mean [GiB]", "b"] == "5"
    assert table.loc["Kernel-zone memory, mean [GiB]", "a"] == "7.1 (+2.1 ± 0.43)"
    assert table.loc["Zone changes by address, end", "a"] == "1 (±0)"
    assert len(table) == len(HEADLINE_SCORES)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (0.000123, "0.000123"),
        (12.345, "12.3"),
        (-3.0, "-3"),
        (math.inf, "∞"),
        (100, "100"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_sign_is_always_shown() -> None:
    assert [signed(value) for value in (1.5, -1.5, 0)] == ["+1.5", "-1.5", "±0"]
