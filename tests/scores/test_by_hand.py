"""Every score of one run in which every term counts, worked out by hand from its table of steps."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sim.record.device_group import STATIC_GROUP, WITHOUT_GROUP, dynamic_group
from sim.record.mixed_groups import mixed_counts
from sim.record.series import SERIES_COLUMNS, device_series, run_series
from sim.scores.registry import SCORES, compute_scores
from tests.support.made_by_hand import (
    ADD,
    DEATH,
    DIMM,
    FAILED,
    FULL_OOM,
    KERNEL_OOM,
    LARGE_UNITS,
    MIGRATION_OOM,
    NONE,
    OFFLINE,
    OOM,
    OTHER_DIMM,
    PLUG,
    REQUEST,
    ROWS,
    STEP_COLUMNS,
    STEPS,
    made_by_hand,
)
from tests.support.shared import by_module

PAGE = 4096
SECOND = 1_000_000

MEAN_RATIO = (
    10 * 2000 / 11903 + 10 * 6000 / 8903 + 5 * 6000 / 10903 + 5 * 9000 / 14903 + 5 * 10000 / 17903
    + 10 * 14000 / 19903 + 15 * 12000 / 18903 + 2 * 10000 / 18903 + 8 * 9000 / 17903 + 5 * 8000 / 17903
    + 5 * 5000 / 17903 + 20 * 4000 / 17903
)  # fmt: skip
"""Seconds times MOVABLE / KERNEL: per 100 seconds and in percent, the mean is the same number."""

MEAN_AUTO_RATIO = (
    10 * 2500 / 11403 + 15 * 6500 / 8403 + 5 * 9500 / 10403 + 5 * 10500 / 10403 + 10 * 14500 / 10403
    + 15 * 12500 / 10403 + 2 * 10500 / 10403 + 8 * 9500 / 10403 + 5 * 8500 / 10403 + 5 * 5500 / 10403
    + 20 * 4500 / 10403
)  # fmt: skip

IN_MOVABLE = (
    15 * 4000 + 5 * 7000 + 5 * 8000 + 10 * 12000 + 15 * 10000 + 2 * 8000 + 8 * 7000 + 5 * 5000 + 5 * 3000 + 20 * 2000
)  # fmt: skip
HOTPLUGGED = (
    15 * 8000 + 5 * 13000 + 5 * 17000 + 10 * 23000 + 15 * 20000 + 2 * 18000 + 13 * 16000 + 5 * 12000 + 20 * 11000
)  # fmt: skip

KERNEL_SECONDS = (
    10 * 11903 + 10 * 8903 + 5 * 10903 + 5 * 14903 + 5 * 17903 + 10 * 19903 + 17 * 18903 + 38 * 17903
)  # fmt: skip

NOT_GIVEN = 5 * 11500 + 5 * 10000 + 5 * 11000 + 5 * 12000 + 2 * 10000 + 13 * 8000 + 25 * 4000

ASKED = (
    10 * 8000 + 5 * 8000 + 5 * 18000 + 5 * 20000 + 5 * 23000 + 10 * 11000 + 5 * 10000 + 7 * 9000 + 18 * 7000 + 20 * 6000
)  # fmt: skip
ARRIVED = (
    10 * 4000 + 5 * 6000 + 5 * 10500 + 5 * 14500 + 5 * 18500 + 10 * 9000 + 5 * 8000 + 25 * 7000
)  # fmt: skip
"""Until second 80, when the guest dies."""

ASKED_BACK = 8000 + 3500 + 1000 + 2000 + 1000
"""Of the first DIMM at 40, the large device at 40 and 50, the small one at 55, the other DIMM at 80."""

RETURNED = 2000 + (1000 + 125 + 125 + 250) + 2000 + (1000 + 1000) + 4000 + 1000
"""In the instant 40, at 45, 60, 62 and 75, and of the other DIMM at 80."""

WANTED_MOVABLE = (
    15 * 4000 + 5 * 7000 + 5 * 8000 + 5 * 12000 + 10 * 5000 + 10 * 4000 + 20 * 3000 + 20 * 2000
)  # fmt: skip
"""From second 10 on. At 40 the DIMM's 4000 pages are asked back, and 3000 of 5000 of the device with large units."""

EXPECTED = {
    # The kernel found no memory four times.
    "movable_byte_seconds": 0,
    "ratio_mean": MEAN_RATIO,
    "ratio_max": 100 * 14000 / 19903,
    "ratio_end": 100 * 4000 / 17903,
    "auto_ratio_mean": MEAN_AUTO_RATIO,
    "auto_ratio_max": 100 * 14500 / 10403,
    "auto_ratio_end": 100 * 4500 / 10403,
    "auto_ratio_excess": 100 * 14500 / 10403 - 63,
    # From 10 to 75: 77.4 % and more; before 21.9 %, afterwards 52.9 % and less.
    "auto_time_above_ratio": 65,
    "movable_share_mean": 100 * IN_MOVABLE / HOTPLUGGED,
    "movable_share_end": 100 * 2 / 11,
    # The first DIMM from 20 to 75, the other from 30 to 80.
    "mixed_groups_end": 0,
    "mixed_groups_max": 2,
    # Blocks 40 to 43 from 25 to 60, 44 to 47 from 35 on, 48 to 51 from 35 to 45.
    "mixed_units_end": 1,
    "mixed_units_max": 3,
    "not_given_end": 4000 * PAGE,
    "not_given_byte_seconds": NOT_GIVEN * PAGE,
    "returned": RETURNED * PAGE,
    "kernel_mean": KERNEL_SECONDS * PAGE / 100,
    "kernel_end": 17903 * PAGE,
    # At the end kernel up to 11, MOVABLE 14 and 15, kernel 24 to 44, MOVABLE 46 and 60. From 35 to 45: kernel to 11,
    # MOVABLE to 23, kernel to 32, MOVABLE to 42, kernel to 44, MOVABLE to 48, kernel 49, MOVABLE to 61, kernel 62.
    "zone_changes_end": 3,
    "zone_changes_max": 8,
    "decisions": 17,
    "failed_requests": 5,
    "failed_operations": 6,
    "refused_offlines": 3,
    "headroom_min": 0,
    "headroom_mean": (12 * 900 + 18 * 650 + 34 * 40 + 26 * 300 + 10 * 800) * PAGE / 100,
    "headroom_free_min": 0,
    "headroom_free_mean": (12 * 800 + 18 * 640 + 34 * 40 + 10 * 700) * PAGE / 100,
    "died": 1,
    "death_time": 80,
    "kernel_ooms": 4,
    "kernel_oom_first": 50,
    "guest_full_ooms": 3,
    "return_ooms": 1,
    "unserved_byte_seconds": (18 * 9 + 26 * 50 + 10 * 20) * PAGE,
    "unserved_max": 50 * PAGE,
    "failed_adds": 2,
    # The first add fails at 30, when 4000 pages more have just been plugged; the host's own failure at 10 is none.
    "largest_before_failure": 16500 * PAGE,
    "arrived_share": 100 * ARRIVED / ASKED,
    "plugged_max": 20500 * PAGE,
    "online_max": 18500 * PAGE,
    "mem_total_max": 30000 * PAGE,
    "asked_max": 23000 * PAGE,
    "asked_byte_seconds": ASKED * PAGE,
    "asked_back": ASKED_BACK * PAGE,
    # Half of the first DIMM, all of the large device's first request, of the small device and of the other DIMM.
    "returned_share": 100 * (4000 + 3500 + 2000 + 1000) / ASKED_BACK,
    # Of 15500 pages 1000 come back in no time, 1000 are wanted again after 5 s, 2000 come back after 7 s (of the 13500
    # that are left), 3500 after 20 s (of 11500), and half of the DIMM's 8000, which is not 95 %, not until the end.
    "return_time": 7 * 29 / 31 + 13 * 29 / 31 * 23 / 27 + 40 * 29 / 31 * 23 / 27 * 16 / 23,
    # The first DIMM, and the request for 1000 at 50 that was taken back at 55.
    "returns_unfulfilled": 2,
    # Shares 37.5 % of 8000, all of 16500, 4 % of 15000 and 5 % of 10000 plugged pages, from second 12 on.
    "returnable_share_mean": 100
    * (18 * 3000 + 34 * 16500 + 26 * 600 + 10 * 500)
    / (18 * 8000 + 34 * 16500 + 26 * 15000 + 10 * 10000),
    "returnable_share_min": 4,
}


@pytest.fixture(scope=by_module)
def scores() -> dict[str, float]:
    return compute_scores(made_by_hand())


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_the_one_worked_out_by_hand(name: str, scores: dict[str, float]) -> None:
    assert scores[name] == pytest.approx(EXPECTED[name], rel=1e-14, abs=0)


def test_every_score_is_worked_out_in_the_order_in_which_they_are_shown() -> None:
    assert EXPECTED.keys() == SCORES.keys()
    assert list(SCORES) == list(compute_scores(made_by_hand()))


@pytest.mark.parametrize("name", [column.name for column in SERIES_COLUMNS[1:]])
def test_every_series_is_the_one_added_up_by_hand(name: str) -> None:
    series = run_series(made_by_hand())
    assert series.t_us.tolist() == [row[0] * SECOND for row in STEPS]
    assert getattr(series, name).tolist() == [row[STEP_COLUMNS.index(name)] for row in STEPS]


def test_memory_in_movable_counts_as_far_as_the_host_wants_it_and_where_nothing_fails() -> None:
    harmless = tuple(
        row
        for row in ROWS
        if (row[1], row[5]) != (OOM, KERNEL_OOM) and not (row[1] == FAILED and row[5] == 12) and row[1] != DEATH
    )
    assert compute_scores(made_by_hand(harmless))["movable_byte_seconds"] == WANTED_MOVABLE * PAGE
    failures = ((50, OOM, NONE, 0, 1, KERNEL_OOM, 77), (30, FAILED, DIMM, -1, 0, 12, 0), ROWS[-1])
    for failure in failures:
        rows = tuple(sorted((*harmless, failure), key=lambda row: row[0]))
        assert compute_scores(made_by_hand(rows))["movable_byte_seconds"] == 0


def test_the_last_step_lasts_until_the_end_of_the_run() -> None:
    lasting = [10, 10, 5, 5, 5, 5, 5, 5, 5, 5, 2, 8, 5, 5, 20]
    assert run_series(made_by_hand()).dt_us.tolist() == [seconds * SECOND for seconds in lasting]
    at_the_end = replace(made_by_hand(), duration_us=80 * SECOND)
    assert run_series(at_the_end).dt_us.tolist() == [seconds * SECOND for seconds in lasting[:-1]] + [0]


def test_what_happens_in_the_last_instant_counts_at_the_end_and_in_no_mean() -> None:
    scores = compute_scores(replace(made_by_hand(), duration_us=80 * SECOND))
    assert scores["kernel_mean"] == pytest.approx((KERNEL_SECONDS - 20 * 17903) * PAGE / 80)
    assert scores["ratio_mean"] == pytest.approx(100 * (MEAN_RATIO - 20 * 4000 / 17903) / 80)
    assert scores["movable_share_mean"] == pytest.approx(100 * (IN_MOVABLE - 20 * 2000) / (HOTPLUGGED - 20 * 11000))
    assert scores["not_given_byte_seconds"] == (NOT_GIVEN - 20 * 4000) * PAGE
    for name in ("ratio_end", "auto_ratio_end", "movable_share_end", "mixed_groups_end", "not_given_end",
                 "kernel_end", "zone_changes_end", "returned", "asked_back", "returned_share",
                 "returns_unfulfilled"):  # fmt: skip
        assert scores[name] == pytest.approx(EXPECTED[name], rel=1e-14), name


def test_each_device_has_its_own_steps() -> None:
    large = device_series(made_by_hand(), LARGE_UNITS)
    assert large.t_us.tolist() == [second * SECOND for second in (0, 25, 35, 40, 45, 50, 55, 60)]
    assert large.plugged.tolist() == [0, 4500, 5500, 5500, 4000, 4000, 4000, 2000]
    assert large.requested.tolist() == [0, 6000, 6000, 2000, 2000, 1000, 2000, 2000]
    assert large.not_given.tolist() == [0, 0, 0, 3500, 2000, 3000, 2000, 0]
    dimm = device_series(made_by_hand(), DIMM)
    assert dimm.t_us.tolist() == [second * SECOND for second in (0, 10, 20, 40, 70, 75)]
    assert dimm.plugged.tolist() == [0, 8000, 8000, 8000, 8000, 4000]
    assert dimm.requested.tolist() == [0, 8000, 8000, 0, 0, 0]
    assert dimm.not_given.tolist() == [0, 0, 0, 8000, 8000, 4000]


def test_the_least_headroom_is_that_of_the_samples_where_no_kernel_request_and_no_add_failed() -> None:
    rows = tuple(row for row in ROWS if (row[1], row[5]) not in ((OOM, KERNEL_OOM), (FAILED, 12)))
    scores = compute_scores(made_by_hand(rows))
    assert scores["headroom_min"] == 30 * PAGE, "a sample counts even if another follows in the same instant"
    assert scores["headroom_free_min"] == 0
    assert scores["kernel_ooms"] == 0
    assert math.isnan(scores["kernel_oom_first"])


@pytest.mark.parametrize("kind", [KERNEL_OOM, FULL_OOM, MIGRATION_OOM])
def test_the_first_kill_is_a_failure_as_the_first_failed_add_is(kind: int) -> None:
    killed = ((20, OOM, -1, 0, 1, kind, 77),)
    rows = tuple(sorted((*ROWS, *killed), key=lambda row: row[0]))
    assert compute_scores(made_by_hand(rows))["largest_before_failure"] == 8000 * PAGE
    without = tuple(row for row in ROWS if row[5] != 12 and row[1] != OOM)
    assert compute_scores(made_by_hand(without))["largest_before_failure"] == 20500 * PAGE


def test_no_group_and_a_unit_of_one_block_are_never_mixed() -> None:
    none, one = WITHOUT_GROUP, dynamic_group(1000)
    for groups in ((none, none, one, one, none), (none, none, none, one, STATIC_GROUP)):
        found = mixed_counts(replace(made_by_hand(), device_groups=groups))
        assert found is not None
        assert (found.groups_end, found.groups_highest, found.units_end, found.units_highest) == (0, 0, 0, 0)


def test_a_device_has_nothing_too_much_before_it_is_first_asked() -> None:
    """The first device is asked for 700 pages of 1000, the other has 2000 and is asked for 500 at second 30 only."""
    rows = (
        (10, PLUG, DIMM, 20, 1, 3, 1000),
        (10, REQUEST, DIMM, -1, 0, -1, 700),
        (20, PLUG, OTHER_DIMM, 30, 2, 3, 2000),
        (30, REQUEST, OTHER_DIMM, -1, 0, -1, 500),
    )
    run = made_by_hand(rows)
    other = device_series(run, OTHER_DIMM)
    assert [other.plugged.tolist(), other.requested.tolist()] == [[0, 2000, 2000], [0, 0, 500]]
    assert other.not_given.tolist() == [0, 0, 1500]
    whole = run_series(run)
    assert whole.requested.tolist() == [0, 700, 700, 1200]
    assert whole.not_given.tolist() == [0, 300, 300, 1800]


def test_memory_above_boot_memory_is_hotplugged_even_if_it_belongs_to_no_device() -> None:
    rows = ((10, PLUG, NONE, 90, 2, 2, 0), (20, ADD, NONE, 16, 1, -1, 0), (30, OFFLINE, NONE, 15, 1, 3, 0))
    series = run_series(made_by_hand(rows))
    assert series.hotplugged.tolist() == [0, 2000, 3000, 3000]
    assert series.hotplugged_kernel.tolist() == [0, 2000, 2000, 2000]
    assert series.auto_kernel.tolist() == [11403] * 4
    assert series.kernel.tolist() == [11903, 13903, 13903, 13903]
    assert series.movable.tolist() == [2000, 2000, 2000, 1000]
