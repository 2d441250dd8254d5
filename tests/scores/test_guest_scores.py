from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from policies.auto_movable import AutoMovable
from policies.clairvoyant import Clairvoyant
from policies.fixed import OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from sim.guest.contract import OomKind
from sim.record.device_group import dynamic_group
from sim.record.recorder import EventKind
from sim.record.run_result import BootMemory, BootRun, RunResult
from sim.scores.definition import NO_GUEST
from sim.scores.registry import SCORES, compute_scores
from sim.units import GIB, MIB
from tests.policies.scripted import Script, play
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from policies.contract import Policy

BLOCK = 32768
BLOCK_BYTES = BLOCK * PAGE_SIZE
ENOMEM = 12


def run_of(
    *rows: tuple[int, ...], samples: list[tuple[int, int, int]] | None = None, seconds: int = 100, devices: int = 1
) -> RunResult:
    """A VM with 4 GiB of boot memory; rows and samples (time, headroom, returnable) have seconds, and pages."""
    events = np.array(rows, dtype=np.int64).reshape(-1, 7)
    events[:, 0] *= 1_000_000
    table = np.array([(0, 0, 0)] if samples is None else samples, dtype=np.int64)
    return RunResult(
        events=events,
        device_names=tuple(f"d{i}" for i in range(devices)),
        device_nodes=(0,) * devices,
        device_groups=(dynamic_group(BLOCK),) * devices,
        block_pages=BLOCK,
        duration_us=seconds * 1_000_000,
        boot=BootMemory((BootRun(0, 32, 2, 0),), 32 * BLOCK, 0),
        configured_ratio=None,
        counters={},
        guest={
            "t_us": table[:, 0] * 1_000_000,
            "headroom": table[:, 1],
            "headroom_free": table[:, 1] // 2,
            "returnable": table[:, 2],
            "unserved": table[:, 0],
            "mem_total": table[:, 1] + 7,
        },
    )


def plug(t: int, blocks: int, device: int = 0) -> tuple[int, ...]:
    return (t, EventKind.PLUG, device, 32 + 100 * device, blocks, 3, blocks * BLOCK)


def unplug(t: int, blocks: int, device: int = 0) -> tuple[int, ...]:
    return (t, EventKind.UNPLUG, device, 32 + 100 * device, blocks, 3, blocks * BLOCK)


def ask(t: int, blocks: int, device: int = 0) -> tuple[int, ...]:
    return (t, EventKind.REQUEST, device, -1, 0, -1, blocks * BLOCK)


def oom(t: int, kind: OomKind) -> tuple[int, ...]:
    return (t, EventKind.OOM, -1, 0, 1, int(kind), 7)


def test_headroom_is_weighted_by_the_time_that_a_sample_holds() -> None:
    scores = compute_scores(run_of(samples=[(0, 1000, 0), (10, 100, 0), (20, 600, 0)]))
    assert scores["headroom_min"] == 100 * PAGE_SIZE
    assert scores["headroom_mean"] == (10 * 1000 + 10 * 100 + 80 * 600) / 100 * PAGE_SIZE
    assert scores["headroom_free_min"] == 50 * PAGE_SIZE
    assert scores["headroom_free_mean"] == scores["headroom_mean"] / 2


def test_a_kernel_request_or_an_add_that_failed_leaves_no_headroom_whatever_the_samples_say() -> None:
    for failure in (oom(5, OomKind.KERNEL), (5, EventKind.FAILED, 0, -1, 0, ENOMEM, 0)):
        scores = compute_scores(run_of(failure, samples=[(0, 1000, 0)]))
        assert scores["headroom_min"] == scores["headroom_free_min"] == 0
    assert compute_scores(run_of((5, EventKind.FAILED, 0, -1, 0, 16, 0), samples=[(0, 1000, 0)]))["headroom_min"] > 0
    assert compute_scores(run_of(oom(5, OomKind.GUEST_FULL), samples=[(0, 1000, 0)]))["headroom_min"] > 0


def test_each_kind_of_out_of_memory_counts_for_itself() -> None:
    rows = [oom(7, OomKind.KERNEL), oom(8, OomKind.KERNEL), oom(9, OomKind.GUEST_FULL), oom(9, OomKind.MIGRATION)]
    scores = compute_scores(run_of(*rows))
    assert [scores[name] for name in ("kernel_ooms", "guest_full_ooms", "return_ooms")] == [2, 1, 1]
    assert scores["kernel_oom_first"] == 7
    assert math.isnan(compute_scores(run_of())["kernel_oom_first"])


def test_only_an_add_for_want_of_memory_is_a_failed_add() -> None:
    rows = [(5, EventKind.FAILED, 0, -1, 0, errno, 0) for errno in (ENOMEM, ENOMEM, 16)]
    host_refuses = (6, EventKind.FAILED, -1, -1, 0, ENOMEM, 0)
    assert compute_scores(run_of(*rows, host_refuses))["failed_adds"] == 2


def test_the_largest_size_is_the_one_before_anything_failed() -> None:
    grown = [plug(1, 4), plug(20, 4, device=1)]
    assert compute_scores(run_of(*grown, devices=2))["largest_before_failure"] == 8 * BLOCK_BYTES
    failed = [grown[0], oom(10, OomKind.KERNEL), grown[1]]
    assert compute_scores(run_of(*failed, devices=2))["largest_before_failure"] == 4 * BLOCK_BYTES


def test_what_is_returnable_is_a_share_of_what_is_plugged() -> None:
    samples = [(0, 1, 9 * BLOCK), (10, 1, 4 * BLOCK), (50, 1, 2 * BLOCK)]
    scores = compute_scores(run_of(plug(10, 4), unplug(90, 4), samples=samples))
    # 100 % for 40 of 90 seconds (the last sample holds until the end), 50 % for the rest; nothing is plugged before.
    assert scores["returnable_share_mean"] == pytest.approx((40 * 100 + 50 * 50) / 90)
    assert scores["returnable_share_min"] == 50


def test_a_little_that_cannot_go_weighs_as_little_as_it_is() -> None:
    """One block that is stuck for nine tenths of the time is one of many hundred in the end."""
    samples = [(0, 1, 0), (90, 1, 400 * BLOCK)]
    scores = compute_scores(run_of(plug(0, 1), plug(90, 400, device=1), samples=samples, devices=2))
    assert scores["returnable_share_mean"] == pytest.approx(100 * 10 * 400 / (90 + 10 * 401))
    assert scores["returnable_share_min"] == 0


def test_memory_of_boot_is_not_returnable_hotplugged_memory() -> None:
    scores = compute_scores(run_of(plug(0, 2), samples=[(0, 1, 40 * BLOCK)]))
    assert scores["returnable_share_mean"] == 100


def test_who_returns_everything_at_once_needs_the_mean_of_its_times() -> None:
    rows = [ask(0, 8), plug(0, 8), ask(10, 4), unplug(15, 2), unplug(30, 2), ask(40, 2), unplug(41, 2)]
    scores = compute_scores(run_of(*rows))
    # Four blocks after 20 s, two after 1 s.
    assert scores["return_time"] == pytest.approx((4 * 20 + 2 * 1) / 6)
    assert scores["returned_share"] == 100
    assert scores["asked_back"] == scores["returned"] == 6 * BLOCK_BYTES
    assert scores["returns_unfulfilled"] == 0


def test_who_returns_nothing_needs_all_the_time_there_is() -> None:
    for rows in ([ask(0, 8), plug(0, 8), ask(10, 4)], [ask(0, 8), plug(0, 8), ask(10, 4), ask(20, 8)]):
        scores = compute_scores(run_of(*rows))
        assert scores["return_time"] == 90
        assert scores["returned_share"] == 0
        assert scores["returns_unfulfilled"] == 1


def test_few_fast_returns_among_many_refusals_are_no_short_time() -> None:
    """Of 60 requests for a block, one a second, 46 are refused until the end: the others take 8 ms each."""
    rows = [row for n in range(60) for row in (ask(0, 1, n), plug(0, 1, n), ask(30 + n, 0, n))]
    run = run_of(*rows, *(unplug(30 + n, 1, n) for n in range(14)), devices=60)
    run.events[-14:, 0] += 8_000
    scores = compute_scores(replace(run, events=run.events[run.events[:, 0].argsort(kind="stable")]))
    assert scores["return_time"] == pytest.approx(0.008 + (70 - 0.008) * 46 / 60)
    assert scores["returned_share"] == pytest.approx(100 * 14 / 60)


def test_refusing_first_and_giving_when_asked_again_is_half_of_giving_each_time() -> None:
    before, again = [ask(0, 8), plug(0, 8), ask(10, 0)], [ask(40, 8), ask(60, 0), unplug(61, 8)]
    refused_once = compute_scores(run_of(*before, *again))
    gave_twice = compute_scores(run_of(*before, unplug(11, 8), again[0], plug(41, 8), *again[1:]))
    assert refused_once["asked_back"] == gave_twice["asked_back"] == 16 * BLOCK_BYTES
    assert (refused_once["returned_share"], gave_twice["returned_share"]) == (50, 100)
    assert refused_once["return_time"] > gave_twice["return_time"] == 1


def test_what_was_there_when_asked_for_has_arrived() -> None:
    scores = compute_scores(run_of(ask(0, 4), plug(25, 1), ask(50, 0, 1), plug(50, 3, 1), devices=2))
    # 1 of 4 blocks from 25 s on: 75 of 400 block-seconds. Nobody asks for the other device's.
    assert scores["arrived_share"] == 100 * 75 / 400
    assert scores["plugged_max"] == scores["online_max"] == 4 * BLOCK_BYTES
    assert scores["asked_max"] == 4 * BLOCK_BYTES
    assert scores["asked_byte_seconds"] == 400 * BLOCK_BYTES
    assert math.isnan(compute_scores(run_of(plug(0, 1)))["arrived_share"])


def test_memory_that_waits_offline_is_plugged_and_has_not_arrived() -> None:
    added = (10, EventKind.ADD, 0, 32, 2, -1, 2 * BLOCK)
    scores = compute_scores(run_of(ask(0, 2), added, (60, EventKind.ONLINE, 0, 32, 1, 3, 0)))
    assert scores["plugged_max"] == 2 * BLOCK_BYTES
    assert scores["online_max"] == BLOCK_BYTES
    assert scores["arrived_share"] == 100 * 40 / 200


def death(t: int) -> tuple[int, ...]:
    return (t, EventKind.DEATH, -1, -1, 0, int(OomKind.KERNEL), 7)


def test_what_is_online_in_a_dead_guest_is_there_for_nobody() -> None:
    rows = [ask(0, 2), plug(0, 2)]
    assert compute_scores(run_of(*rows))["arrived_share"] == 100
    assert compute_scores(run_of(*rows, death(30)))["arrived_share"] == 30


def test_it_is_never_better_to_be_dead_when_the_host_asks_for_memory_back() -> None:
    """Devices come and go one by one; the guest gives back all but every fourth, until it dies, if it does."""
    wishes = [row for n in range(8) for row in (ask(5 * n, 2, n), ask(40 + 5 * n, 0, n))]

    def scores_when(dies: int) -> dict[str, float]:
        done = [plug(5 * n + 1, 2, n) for n in range(8)] + [unplug(43 + 5 * n, 2, n) for n in range(8) if n % 4]
        rows = [*wishes, *(row for row in done if row[0] <= dies), *([death(dies)] if dies < 100 else [])]
        return compute_scores(run_of(*sorted(rows, key=lambda row: row[0]), devices=8))

    of_all = [scores_when(dies) for dies in (*range(2, 100, 7), 100)]
    assert {scores["asked_back"] for scores in of_all} == {16 * BLOCK_BYTES}
    assert of_all[0]["return_time"] == 60
    for dead, longer in pairwise(of_all):
        assert dead["return_time"] >= longer["return_time"]
        assert dead["returned_share"] <= longer["returned_share"]
        assert dead["arrived_share"] <= longer["arrived_share"]
        assert dead["not_given_byte_seconds"] >= longer["not_given_byte_seconds"]
        assert dead["not_given_end"] >= longer["not_given_end"]


def test_without_a_guest_its_scores_are_undefined_and_say_so() -> None:
    scores = compute_scores(replace(run_of(plug(0, 2)), guest={}))
    of_guest = {score.name for score in SCORES.values() if NO_GUEST in score.undefined}
    assert {"headroom_min", "kernel_ooms", "returnable_share_mean"} < of_guest
    assert all(math.isnan(scores[name]) for name in of_guest)
    assert {name for name, value in scores.items() if not math.isnan(value)}.isdisjoint(of_guest)


# What the scores say of policies ------------------------------------------------------------------------------------

RATIOS = (50, 100, 200, 301, 500, 2000)


def growth() -> Script:
    """1 GiB grows to 5 GiB by DIMMs under a load with a share for the kernel; then programs exit, and DIMMs go."""
    dimms = [(10.0 * n, "dimm", f"d{n}", 256 * MIB) for n in range(16)]
    used = [(10.0 * n + 5, "anonymous", "programs", n * 160 * MIB) for n in range(1, 16)]
    kernel = [(10.0 * n + 5, "kernel", "kernel", n * 64 * MIB) for n in range(1, 16)]
    back = [(200.0 + n, "unplug", f"d{15 - n}", 0) for n in range(16)]
    return Script([*dimms, *used, *kernel, (190.0, "anonymous", "programs", 0), *back], seconds=300)


def scores_of(policy: Policy) -> dict[str, float]:
    return compute_scores(play(policy, growth()))


def test_more_movable_brings_more_memory_back_and_leaves_the_kernel_less() -> None:
    of_ratios = [scores_of(AutoMovable(ratio=ratio)) for ratio in RATIOS]
    holding = [scores for scores in of_ratios if not scores["kernel_ooms"] and not scores["failed_adds"]]
    assert len(holding) >= 4
    for less, more in pairwise(holding):
        assert more["headroom_min"] <= less["headroom_min"]
        assert more["headroom_mean"] <= less["headroom_mean"]
        assert more["returned"] >= less["returned"]
        assert more["not_given_end"] <= less["not_given_end"]
    assert holding[-1]["returned"] > holding[0]["returned"]
    assert holding[-1]["headroom_min"] < holding[0]["headroom_min"]


def test_the_highest_ratio_starves_the_kernel_as_online_movable_does() -> None:
    for policy in (AutoMovable(ratio=2000), OnlineMovable()):
        scores = scores_of(policy)
        assert scores["kernel_ooms"] > 0
        assert scores["headroom_min"] == 0
        assert scores["largest_before_failure"] < 4 * GIB


def test_who_looks_at_need_holds_and_who_knows_it_beats_every_ratio_that_holds() -> None:
    of_ratios = [scores_of(AutoMovable(ratio=ratio)) for ratio in RATIOS]
    best = max(scores["returned"] for scores in of_ratios if not scores["kernel_ooms"] and not scores["failed_adds"])
    headroom, clairvoyant, kernel = (scores_of(policy) for policy in (Headroom(), Clairvoyant(), OnlineKernel()))
    for scores in (headroom, clairvoyant):
        assert scores["kernel_ooms"] == scores["failed_adds"] == 0
        assert scores["returned"] > kernel["returned"]
    assert clairvoyant["returned"] >= best
    assert headroom["returned"] >= 0.85 * best, "the best ratio is known only after the run"
    assert clairvoyant["movable_share_mean"] >= headroom["movable_share_mean"]
