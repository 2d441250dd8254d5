"""What scores are made of: exact integrals, means over the time in which something is defined, ratios, limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sim.record.run_result import BootMemory
from sim.scores.definition import BYTE_SECONDS, BYTES, NUMBER, PERCENT, POINTS, SECONDS
from sim.scores.measured import Measured, highest, integral, lowest, mean, mean_where_defined, percent
from sim.scores.registry import compute_scores
from tests.support.made_by_hand import SAMPLES, made_by_hand

LARGEST_RATIO = 2**32 - 1


@pytest.mark.parametrize(
    ("values", "dt_us", "expected"),
    [
        ([], [], 0),
        ([0, 0], [5, 6], 0),
        ([3, 5, 7], [10, 0, 2], 44),
        # Beyond 64 bits, at every width of the slices that values are taken in.
        ([2**62, 2**62 - 1], [1, 1], 2**63 - 1),
        ([2**62 + 1, 3], [2**60, 1], 2**122 + 2**60 + 3),
        ([2**40 - 1, 0, 2**40 - 1], [2**50, 7, 2**50 + 1], (2**40 - 1) * (2**51 + 1)),
        ([2**34] * 4, [2**58] * 4, 2**94),
        ([2**61, 1, 0], [2**60 - 1, 2**59, 2**59], 2**121 - 2**61 + 2**59),
    ],
)
def test_an_integral_is_exact_at_every_length(values: list[int], dt_us: list[int], expected: int) -> None:
    assert integral(np.array(values, dtype=np.int64), np.array(dt_us, dtype=np.int64)) == expected


def test_a_run_that_is_too_long_to_be_integrated_says_so() -> None:
    one = np.ones(1, dtype=np.int64)
    assert integral(3 * one, (2**61 - 1) * one) == 3 * (2**61 - 1)
    with pytest.raises(ValueError, match=r"longer than 2\*\*61 microseconds"):
        integral(one, 2**61 * one)


def test_a_mean_weighs_every_step_by_its_time() -> None:
    values, dt_us = np.array([4, 8, 100], dtype=np.int64), np.array([30, 10, 0], dtype=np.int64)
    assert mean(values, dt_us) == 5
    assert math.isnan(mean(values[:1], dt_us[2:])), "a run of no length has no mean"
    assert mean(np.array([1, 2], dtype=np.int64), np.array([1, 2], dtype=np.int64)) == 5 / 3


def test_a_mean_passes_over_the_time_in_which_nothing_is_defined() -> None:
    nan, inf = math.nan, math.inf
    dt_us = np.array([10, 30, 60, 0], dtype=np.int64)
    assert mean_where_defined(np.array([4.0, nan, 11.0, 999.0]), dt_us) == (40 + 660) / 70
    assert mean_where_defined(np.array([4.0, nan, 11.0, inf]), dt_us) == 10
    assert mean_where_defined(np.array([4.0, inf, 11.0, 1.0]), dt_us) == inf
    assert math.isnan(mean_where_defined(np.array([nan, nan, nan, 1.0]), dt_us))
    # Ten times a tenth is one, however the sum is grouped.
    assert mean_where_defined(np.full(10, 0.1), np.ones(10, dtype=np.int64)) == 0.1


def test_the_lowest_and_highest_are_those_of_what_is_defined() -> None:
    values = np.array([math.nan, 5.0, 2.0, 9.0, 7.0, math.nan])
    assert (lowest(values), highest(values)) == (2, 9)
    assert math.isnan(lowest(values[:1]))
    assert math.isnan(highest(values[:1]))


def test_a_percentage_of_nothing_is_infinite_or_undefined() -> None:
    found = percent(np.array([3, 3, 0, 0]), np.array([4, 0, 4, 0])).tolist()
    assert found[:3] == [75, math.inf, 0]
    assert math.isnan(found[3])


@pytest.mark.parametrize(
    ("movable", "kernel", "ratio", "above"),
    [
        # 63 % of 11903 pages are 7498.89.
        (7498, 11903, 63, False),
        (7499, 11903, 63, True),
        # 301 % of 100 and of 99 pages are 301 and 297.99.
        (301, 100, 301, False),
        (302, 100, 301, True),
        (297, 99, 301, False),
        (298, 99, 301, True),
        (0, 5000, 0, False),
        (1, 5000, 0, True),
        (1, 0, 301, True),
        (0, 0, 301, False),
        # 64 TiB of pages at the largest ratio are 2**66 for a plain product; a hundredth of it is allowed.
        (2**34 * LARGEST_RATIO // 100, 2**34, LARGEST_RATIO, False),
        (2**34 * LARGEST_RATIO // 100 + 1, 2**34, LARGEST_RATIO, True),
    ],
)
def test_a_ratio_is_exceeded_by_one_page_more_than_the_kernel_allows(
    movable: int,
    kernel: int,
    ratio: int,
    above: bool,  # noqa: FBT001
) -> None:
    boot = BootMemory((), kernel_pages=kernel, movable_pages=movable)
    run = replace(made_by_hand((), configured_ratio=ratio), boot=boot)
    scores = compute_scores(run)
    assert scores["auto_time_above_ratio"] == (100 if above else 0)


def test_a_ratio_of_zero_is_a_configured_ratio() -> None:
    scores = compute_scores(made_by_hand(configured_ratio=0))
    assert scores["auto_time_above_ratio"] == 100
    assert scores["auto_ratio_excess"] == scores["auto_ratio_max"]


def test_keeping_far_below_the_ratio_is_no_better_than_keeping_to_it() -> None:
    for ratio, excess in ((139, 100 * 14500 / 10403 - 139), (140, 0), (200, 0)):
        assert compute_scores(made_by_hand(configured_ratio=ratio))["auto_ratio_excess"] == pytest.approx(excess)


def test_a_guest_is_known_by_its_samples() -> None:
    run = made_by_hand()
    assert Measured(run).guest is not None
    for name in SAMPLES:
        lacking = {key: values for key, values in run.guest.items() if key != name}
        assert Measured(replace(run, guest=lacking)).guest is None
    more = {**run.guest, "user": run.guest["headroom"]}
    assert Measured(replace(run, guest=more)).guest is not None
    none = {name: values[:0] for name, values in run.guest.items()}
    assert Measured(replace(run, guest=none)).guest is None


def test_a_sample_holds_until_the_next_and_the_last_until_the_end() -> None:
    guest = Measured(made_by_hand()).guest
    assert guest is not None
    assert guest.dt_us.tolist() == [seconds * 1_000_000 for seconds in (12, 0, 18, 34, 26, 10)]


def test_people_are_shown_bytes_in_gib_and_everything_else_as_it_is() -> None:
    assert [unit.show(float(3 << 30)) for unit in (BYTES, BYTE_SECONDS)] == [3, 3]
    assert [unit.show(7.5) for unit in (PERCENT, POINTS, SECONDS, NUMBER)] == [7.5] * 4
    assert [unit.shown_symbol for unit in (BYTES, BYTE_SECONDS, PERCENT, POINTS, SECONDS, NUMBER)] == [
        "GiB", "GiB s", "%", "points", "s", "",
    ]  # fmt: skip


def test_negative_values_are_refused_and_never_summed_for_ever() -> None:
    with pytest.raises(ValueError, match=r"^values of -3 cannot be integrated: they have to be 0 or more$"):
        integral(np.array([1, -3]), np.array([1, 1]))
