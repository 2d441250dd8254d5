from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sim.record.device_group import STATIC_GROUP, DeviceGroup, dynamic_group
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, BootRun, RunResult
from sim.scores.measured import integral
from sim.scores.registry import SCORES, compute_scores
from tests.plain.scores import plain_scores
from tests.support.plain_run import plain_run
from tests.support.reach import Reach
from tests.support.synthetic import SEEDS, seeded_run

GIB = 1 << 30
BLOCK = 32768


def run_of(
    *rows: tuple[int, ...],
    duration_s: int = 100,
    ratio: int | None = 301,
    groups: tuple[DeviceGroup, ...] = (STATIC_GROUP,),
) -> RunResult:
    """A VM with 4 GiB of boot memory and devices with these ``groups``; rows have times in seconds."""
    events = np.array(rows, dtype=np.int64).reshape(-1, 7)
    events[:, 0] *= 1_000_000
    return RunResult(
        events=events,
        device_names=tuple(f"d{i}" for i in range(len(groups))),
        device_nodes=(0,) * len(groups),
        device_groups=groups,
        block_pages=BLOCK,
        duration_us=duration_s * 1_000_000,
        boot=BootMemory((BootRun(0, 32, 2, 0),), 32 * BLOCK, 0),
        configured_ratio=ratio,
        counters={"decisions": 1, "failed_requests": 0, "failed_operations": 0},
    )


#: What a score may be, of which every made-up run should have some; what none of them can have is left out.
REACH = Reach(
    {f"{name} is more than 0": 4 for name in SCORES}
    | {f"{name} is 0 or less": 0 for name in SCORES}
    | {f"{name} is undefined": 2 for name, score in SCORES.items() if score.undefined != "never"}
    | dict.fromkeys((f"{which}_{what} is undefined" for which in ("ratio", "auto_ratio") for what in ("max", "end")), 0)
)


def test_scores_are_those_of_the_plain_recomputation_and_are_all_reached() -> None:
    REACH.counts.clear()
    for seed in SEEDS:
        run = seeded_run(seed)
        expected = plain_scores(plain_run(run))
        found = compute_scores(run)
        assert found.keys() == expected.keys() == SCORES.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-12, nan_ok=True), (seed, name)
            what = "undefined" if math.isnan(value) else "more than 0" if value > 0 else "0 or less"
            REACH(f"{name} is {what}")
    REACH.check()


def test_twelve_gib_in_movable_for_half_of_the_time() -> None:
    scores = compute_scores(run_of((50, EventKind.PLUG, 0, 32, 96, 3, 96 * BLOCK)))
    assert scores["ratio_mean"] == 150
    assert scores["ratio_max"] == scores["ratio_end"] == scores["auto_ratio_max"] == 300
    assert scores["auto_time_above_ratio"] == 0
    assert scores["auto_ratio_excess"] == 0
    assert scores["movable_share_mean"] == scores["movable_share_end"] == 100
    assert scores["kernel_end"] == scores["kernel_mean"] == 4 * GIB
    assert scores["zone_changes_end"] == scores["zone_changes_max"] == 1


def test_one_page_above_the_ratio_is_above_it() -> None:
    rows = ((40, EventKind.PLUG, 0, 32, 64, 3, 64 * BLOCK), (90, EventKind.UNPLUG, 0, 95, 1, 3, BLOCK))
    assert compute_scores(run_of(*rows, ratio=200))["auto_time_above_ratio"] == 0
    assert compute_scores(run_of(*rows, ratio=199))["auto_time_above_ratio"] == 50
    assert compute_scores(run_of(*rows, ratio=4_294_967_295))["auto_time_above_ratio"] == 0


def test_hotplugged_kernel_memory_counts_in_the_present_ratio_and_not_in_that_of_the_policy() -> None:
    scores = compute_scores(run_of((0, EventKind.PLUG, 0, 32, 32, 2, 32 * BLOCK), (0, EventKind.PLUG, 0, 64, 64, 3, 0)))
    assert scores["ratio_end"] == 100
    assert scores["auto_ratio_end"] == 200


def test_what_is_undefined_is_nan_and_never_zero() -> None:
    nothing = compute_scores(run_of(ratio=None))
    undefined = {
        "auto_time_above_ratio",
        "auto_ratio_excess",
        "movable_share_mean",
        "movable_share_end",
        "arrived_share",
        "mem_total_max",
        "returned_share",
        "return_time",
        "headroom_min",
        "headroom_mean",
        "headroom_free_min",
        "headroom_free_mean",
        "died",
        "death_time",
        "kernel_ooms",
        "kernel_oom_first",
        "guest_full_ooms",
        "return_ooms",
        "unserved_byte_seconds",
        "unserved_max",
        "failed_adds",
        "largest_before_failure",
        "returnable_share_mean",
        "returnable_share_min",
    }
    assert {name for name, value in nothing.items() if math.isnan(value)} == undefined
    for name in undefined:
        assert SCORES[name].undefined != "never"
    unknown = compute_scores(replace(run_of(), device_groups=(), counters={}))
    for name in (
        "mixed_groups_end",
        "mixed_groups_max",
        "mixed_units_end",
        "mixed_units_max",
        "decisions",
        "failed_requests",
    ):
        assert math.isnan(unknown[name])
        assert SCORES[name].undefined != "never"
    assert math.isnan(compute_scores(run_of(duration_s=0))["kernel_mean"])


def test_movable_without_any_kernel_memory_is_infinitely_too_much() -> None:
    run = run_of((10, EventKind.OFFLINE, -1, 0, 32, 2, 0), (10, EventKind.PLUG, 0, 32, 1, 3, BLOCK))
    scores = compute_scores(run)
    assert scores["ratio_mean"] == scores["ratio_max"] == scores["ratio_end"] == math.inf
    assert scores["auto_time_above_ratio"] == 90


def test_a_dimm_in_two_zones_is_one_mixed_group_and_a_big_unit_one_mixed_unit() -> None:
    rows = (
        (1, EventKind.PLUG, 0, 32, 4, 3, 0),
        (2, EventKind.PLUG, 0, 36, 4, 2, 0),
        (3, EventKind.PLUG, 1, 64, 9, 3, 0),
        (4, EventKind.PLUG, 1, 73, 1, 2, 0),
        (5, EventKind.UNPLUG, 0, 36, 4, 2, 0),
    )
    scores = compute_scores(run_of(*rows, groups=(STATIC_GROUP, dynamic_group(4 * BLOCK))))
    assert (scores["mixed_groups_max"], scores["mixed_groups_end"]) == (1, 0)
    assert (scores["mixed_units_max"], scores["mixed_units_end"]) == (1, 1)
    # The same blocks in units of two: block 72 and 73 share one; in units of one block none can be mixed.
    assert compute_scores(run_of(*rows, groups=(STATIC_GROUP, dynamic_group(2 * BLOCK))))["mixed_units_end"] == 1
    assert compute_scores(run_of(*rows, groups=(STATIC_GROUP, dynamic_group(BLOCK))))["mixed_units_max"] == 0


def test_memory_asked_back_counts_from_the_request_until_it_is_given() -> None:
    rows = (
        (0, EventKind.REQUEST, 0, -1, 0, -1, 16 * BLOCK),
        (0, EventKind.PLUG, 0, 32, 16, 3, 16 * BLOCK),
        (10, EventKind.REQUEST, 0, -1, 0, -1, 0),
        (20, EventKind.UNPLUG, 0, 40, 8, 3, 8 * BLOCK),
    )
    scores = compute_scores(run_of(*rows))
    assert scores["not_given_end"] == GIB
    assert scores["not_given_byte_seconds"] == 2 * GIB * 10 + GIB * 80


def test_what_lasts_for_no_time_is_not_seen() -> None:
    rows = (
        (5, EventKind.PLUG, 0, 32, 8, 3, 0),
        (5, EventKind.PLUG, 0, 40, 1, 2, 0),
        (5, EventKind.UNPLUG, 0, 40, 1, 2, 0),
    )
    scores = compute_scores(run_of(*rows))
    assert scores["mixed_groups_max"] == 0
    assert scores["zone_changes_max"] == 1


def test_integrals_are_exact_beyond_64_bits() -> None:
    values = np.array([2**40 - 1, 0, 12345678901], dtype=np.int64)
    dt_us = np.array([2**45, 3, 2**44 + 1], dtype=np.int64)
    assert integral(values, dt_us) == (2**40 - 1) * 2**45 + 12345678901 * (2**44 + 1)


def test_every_score_says_what_it_is() -> None:
    for name, score in SCORES.items():
        assert score.name == name
        assert min(len(score.title), len(score.formula), len(score.source), len(score.undefined)) > 0
    assert len({score.title for score in SCORES.values()}) == len(SCORES)
