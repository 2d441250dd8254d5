"""The scores once more, slowly: block by block, instant by instant, in fractions, straight from their definitions.

Nothing of the program is used: a run comes from its result files (:mod:`tests.plain.run_files`).
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.plain.instants import instants
from tests.plain.returns import follow_returns, restricted_mean
from tests.plain.run_files import DEATH, FAILED, OOM, REFUSED, REMOVE, SUBUNPLUG, UNPLUG

if TYPE_CHECKING:
    from tests.plain.instants import Instant
    from tests.plain.run_files import PlainRun

PAGE = 4096


def _percent(part: int, whole: int) -> Fraction | float | None:
    if whole == 0:
        return math.inf if part else None
    return Fraction(100 * part, whole)


def _mean(values: list[Fraction | float | None], weights: list[int]) -> float:
    pairs = [(value, dt) for value, dt in zip(values, weights, strict=True) if value is not None and dt > 0]
    total = sum(dt for _, dt in pairs)
    return float(sum(value * dt for value, dt in pairs) / total) if total else math.nan


def _number(value: Fraction | float | None) -> float:
    return math.nan if value is None else float(value)


def guest_scores(run: PlainRun, looks: list[Instant]) -> dict[str, float]:
    """Return the scores of the guest's samples, sample by sample; NaN for all of them where there are none."""
    names = (
        "mem_total_max", "headroom_min", "headroom_mean", "headroom_free_min", "headroom_free_mean", "died",
        "unserved_byte_seconds", "unserved_max", "death_time", "kernel_ooms", "kernel_oom_first",
        "guest_full_ooms", "return_ooms", "failed_adds", "largest_before_failure", "returnable_share_mean",
        "returnable_share_min",
    )  # fmt: skip
    if not run.guest:
        return dict.fromkeys(names, math.nan)
    rows = run.events
    ooms = [[row[0] for row in rows if row[1] == OOM and row[5] == kind] for kind in range(3)]
    deaths = [row[0] for row in rows if row[1] == DEATH]
    adds = [row[0] for row in rows if row[1] == FAILED and row[2] >= 0 and row[5] == 12]
    failed = min((t for times in (*ooms, adds) for t in times), default=math.inf)
    times = list(run.guest["t_us"])
    room, free = (run.guest[name] for name in ("headroom", "headroom_free"))
    dts = [then - now for now, then in pairwise([*times, run.duration_us])]
    lacking = list(zip(run.guest["unserved"], dts, strict=True))
    share: list[Fraction | float | None] = []
    could = there = 0
    for t, dt, pages in zip(times, dts, run.guest["returnable"], strict=True):
        plugged = next(look.plugged for look in reversed(looks) if look.t <= t)
        could += min(pages, plugged) * dt
        there += plugged * dt
        share.append(_percent(min(pages, plugged), plugged) if dt else None)
    return {
        "mem_total_max": max(run.guest["mem_total"]) * PAGE,
        "headroom_min": 0 if ooms[0] or adds else min(room) * PAGE,
        "headroom_mean": _mean([Fraction(pages) for pages in room], dts) * PAGE,
        "headroom_free_min": 0 if ooms[0] or adds else min(free) * PAGE,
        "headroom_free_mean": _mean([Fraction(pages) for pages in free], dts) * PAGE,
        "died": len(deaths),
        "death_time": deaths[0] / 1_000_000 if deaths else math.nan,
        "unserved_byte_seconds": float(sum(Fraction(pages * dt * PAGE, 1_000_000) for pages, dt in lacking)),
        "unserved_max": max((pages for pages, dt in lacking if dt), default=0) * PAGE,
        "kernel_ooms": len(ooms[0]),
        "kernel_oom_first": ooms[0][0] / 1_000_000 if ooms[0] else math.nan,
        "guest_full_ooms": len(ooms[1]),
        "return_ooms": len(ooms[2]),
        "failed_adds": len(adds),
        "largest_before_failure": max(look.plugged for look in looks if look.t <= failed) * PAGE,
        "returnable_share_mean": _number(_percent(could, there)),
        "returnable_share_min": min((float(value) for value in share if value is not None), default=math.nan),
    }


def plain_scores(run: PlainRun) -> dict[str, float]:
    """Return all scores of ``run`` by name."""
    looks = instants(run)
    dts = [look.dt for look in looks]
    ratio = [_percent(look.movable, look.kernel) for look in looks]
    auto = [_percent(look.MV, look.KE) for look in looks]
    R = run.configured_ratio
    end = looks[-1]
    back = follow_returns(run.events, run.devices, run.duration_us)
    horizon = run.duration_us - (back.first or 0)
    death = min((row[0] for row in run.events if row[1] == DEATH), default=run.duration_us)
    asked = sum(look.requested * look.dt for look in looks)
    arrived = sum(look.arrived * max(0, min(look.t + look.dt, death) - look.t) for look in looks)

    def top(values: list[Fraction | float | None]) -> float:
        return max((float(value) for value in values if value is not None), default=math.nan)

    def above(values: list[tuple[int, int]]) -> float:
        if R is None:
            return math.nan
        return sum(dt for (M, K), dt in zip(values, dts, strict=True) if M > R * K // 100) / 1_000_000

    inside = guest_scores(run, looks)
    fails = any(inside[name] > 0 for name in ("died", "kernel_ooms", "failed_adds"))
    wanted = 0 if fails else sum(look.wanted_movable * look.dt for look in looks)
    return {
        "movable_byte_seconds": float(Fraction(wanted * PAGE, 1_000_000)),
        "ratio_mean": _mean(ratio, dts),
        "ratio_max": top(ratio),
        "ratio_end": _number(ratio[-1]),
        "auto_ratio_mean": _mean(auto, dts),
        "auto_ratio_max": top(auto),
        "auto_ratio_end": _number(auto[-1]),
        "auto_ratio_excess": math.nan if R is None or math.isnan(top(auto)) else max(0, top(auto) - R),
        "auto_time_above_ratio": above([(look.MV, look.KE) for look in looks]),
        "movable_share_mean": _number(
            _percent(
                sum(look.hotplugged_movable * look.dt for look in looks),
                sum(look.hotplugged * look.dt for look in looks),
            )
        ),
        "movable_share_end": _number(_percent(end.hotplugged_movable, end.hotplugged)),
        "mixed_groups_end": end.mixed_groups if run.units else math.nan,
        "mixed_groups_max": max(look.mixed_groups for look in looks) if run.units else math.nan,
        "mixed_units_end": end.mixed_units if run.units else math.nan,
        "mixed_units_max": max(look.mixed_units for look in looks) if run.units else math.nan,
        "not_given_end": back.held * PAGE,
        "not_given_byte_seconds": float(Fraction(back.held_times_us * PAGE, 1_000_000)),
        "returned": PAGE * sum(row[6] for row in run.events if row[1] in (REMOVE, UNPLUG, SUBUNPLUG)),
        "kernel_mean": _mean([Fraction(look.kernel) for look in looks], dts) * PAGE,
        "kernel_end": end.kernel * PAGE,
        "zone_changes_end": end.zone_changes,
        "zone_changes_max": max(look.zone_changes for look in looks),
        "decisions": run.counters.get("decisions", math.nan),
        "failed_requests": run.counters.get("failed_requests", math.nan),
        "failed_operations": run.counters.get("failed_operations", math.nan),
        "refused_offlines": sum(row[4] for row in run.events if row[1] == REFUSED),
        "arrived_share": _number(_percent(arrived, asked)),
        "plugged_max": max(look.plugged for look in looks) * PAGE,
        "online_max": max(look.online for look in looks) * PAGE,
        "asked_max": max(look.requested for look in looks) * PAGE,
        "asked_byte_seconds": float(Fraction(asked * PAGE, 1_000_000)),
        "asked_back": back.asked * PAGE,
        "returned_share": _number(_percent(back.returned, back.asked)),
        "return_time": restricted_mean(back.waits, horizon) / 1_000_000 if back.asked else math.nan,
        "returns_unfulfilled": back.unfulfilled,
        **inside,
    }
