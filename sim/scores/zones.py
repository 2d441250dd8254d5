"""Which memory went to which zone: ratios, mixed devices, turns along the address axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.record.arrays import lasting
from sim.record.wanted_movable import wanted_movable
from sim.scores.definition import BYTE_SECONDS, DOCUMENT, NUMBER, OWN, PERCENT, POINTS, SECONDS, Question, Score
from sim.scores.failures import fails
from sim.scores.measured import highest, integral, mean_where_defined, percent
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from sim.scores.measured import Measured

_POLICY = "auto_movable_stats_account_zone(), auto_movable_can_online_movable() in mm/memory_hotplug.c"
_SERIES = '"auto-movable" online policy and memory groups, v3 (2021-08-06), cover letter'
_RATIO = "100 * MOVABLE / KERNEL, present pages of ZONE_MOVABLE and of the kernel zones over all nodes"
_AUTO = "100 * MV / KE; MV = MOVABLE + CMA, KE = present boot memory in kernel zones - CMA"
_NO_KERNEL = "there never is memory in either; infinite while only the divisor is 0"
_NO_RATIO = "the policy has no configured ratio"
_NO_HOTPLUG = "nothing is hotplugged"


def _excess(measured: Measured) -> float:
    configured, most = measured.result.configured_ratio, highest(measured.auto_ratio)
    return math.nan if configured is None or math.isnan(most) else max(0.0, most - configured)


def movable_byte_seconds(measured: Measured) -> float:
    """Return the objective that policies are held against: memory that could be given back, over time."""
    if fails(measured):
        return 0.0
    t_us, pages = wanted_movable(measured.events, measured.result.block_pages)
    return integral(pages, lasting(t_us, measured.result.duration_us)) * measured.result.page_size / MICROSECONDS


def _movable_share(measured: Measured) -> float:
    hotplugged = integral(measured.series.hotplugged, measured.dt_us)
    return 100.0 * integral(measured.series.hotplugged_movable, measured.dt_us) / hotplugged if hotplugged else math.nan


def _movable_share_end(measured: Measured) -> float:
    return float(percent(measured.series.hotplugged_movable[-1:], measured.series.hotplugged[-1:])[0])


ZONE_SCORES: Final = (
    Score(
        "movable_byte_seconds",
        "MOVABLE while wanted, over time",
        BYTE_SECONDS,
        "higher",
        Question.ZONES,
        movable_byte_seconds,
        formula="integral over time of the sum over devices of min(memory online in ZONE_MOVABLE, what the host asks "
        "of the device): memory that it has asked back and that refuses to leave is no gain. 0 where the run fails: "
        "where the guest died, a kernel request found no memory, or an add failed",
        source=OWN,
        headline=True,
    ),
    Score(
        "ratio_mean",
        "MOVABLE:KERNEL, mean",
        PERCENT,
        "neither",
        Question.ZONES,
        lambda m: mean_where_defined(m.ratio, m.dt_us),
        formula=f"time-weighted mean of {_RATIO}",
        source=DOCUMENT,
        undefined=_NO_KERNEL,
    ),
    Score(
        "ratio_max",
        "MOVABLE:KERNEL, highest",
        PERCENT,
        "neither",
        Question.ZONES,
        lambda m: highest(m.ratio),
        formula=f"maximum over time of {_RATIO}",
        source=DOCUMENT,
        undefined=_NO_KERNEL,
        extreme="most",
    ),
    Score(
        "ratio_end",
        "MOVABLE:KERNEL, end",
        PERCENT,
        "neither",
        Question.ZONES,
        lambda m: float(m.ratio[-1]),
        formula=f"at the end, {_RATIO}",
        source=DOCUMENT,
        undefined="there is no memory in either at the end",
    ),
    Score(
        "auto_ratio_mean",
        "MV:KE, mean",
        PERCENT,
        "neither",
        Question.ZONES,
        lambda m: mean_where_defined(m.auto_ratio, m.dt_us),
        formula=f"time-weighted mean of {_AUTO}",
        source=_POLICY,
        undefined=_NO_KERNEL,
    ),
    Score(
        "auto_ratio_max",
        "MV:KE, highest",
        PERCENT,
        "neither",
        Question.ZONES,
        lambda m: highest(m.auto_ratio),
        formula=f"maximum over time of {_AUTO}",
        source=_POLICY,
        undefined=_NO_KERNEL,
        extreme="most",
    ),
    Score(
        "auto_ratio_end",
        "MV:KE, end",
        PERCENT,
        "neither",
        Question.ZONES,
        lambda m: float(m.auto_ratio[-1]),
        formula=f"at the end, {_AUTO}",
        source=_POLICY,
        undefined="there is no memory in either at the end",
    ),
    Score(
        "auto_ratio_excess",
        "MV:KE, highest above the ratio",
        POINTS,
        "lower",
        Question.ZONES,
        _excess,
        formula="max(0, auto_ratio_max - configured ratio): keeping farther below the ratio is no better. A dynamic "
        "group may rightly pass 0, because its own kernel memory pays for part of it",
        source=_POLICY,
        undefined=f"{_NO_RATIO}, or there never is memory in either",
        extreme="most",
    ),
    Score(
        "auto_time_above_ratio",
        "Time with MV:KE above the ratio",
        SECONDS,
        "lower",
        Question.ZONES,
        lambda m: m.time_above(m.series.auto_movable, m.series.auto_kernel),
        formula="time during which MV > floor(configured ratio * KE / 100)",
        source=_POLICY,
        undefined=_NO_RATIO,
    ),
    Score(
        "movable_share_mean",
        "Hotplugged memory in MOVABLE, mean",
        PERCENT,
        "neither",
        Question.ZONES,
        _movable_share,
        formula="100 * integral over time of hotplugged memory in ZONE_MOVABLE / integral of hotplugged memory, online "
        "or not: a byte counts for as long as it is there. Neither direction is better, for MOVABLE memory that is "
        "given back when it is asked for lowers the share, and what refuses raises it",
        source=_SERIES,
        undefined=_NO_HOTPLUG,
        highest=100.0,
    ),
    Score(
        "movable_share_end",
        "Hotplugged memory in MOVABLE, end",
        PERCENT,
        "neither",
        Question.ZONES,
        _movable_share_end,
        formula="at the end, 100 * hotplugged memory in ZONE_MOVABLE / hotplugged memory, online or not. Neither "
        "direction is better, as for the mean",
        source=_SERIES,
        undefined="nothing is hotplugged at the end",
        highest=100.0,
    ),
    Score(
        "mixed_groups_end",
        "Mixed static groups, end",
        NUMBER,
        "lower",
        Question.ZONES,
        lambda m: math.nan if m.mixed_counts is None else float(m.mixed_counts.groups_end),
        formula="at the end, static groups (DIMMs, dax devices) with memory in a kernel zone and in MOVABLE",
        source=_SERIES,
        undefined="the run does not say which devices have which groups",
    ),
    Score(
        "mixed_groups_max",
        "Mixed static groups, highest",
        NUMBER,
        "lower",
        Question.ZONES,
        lambda m: math.nan if m.mixed_counts is None else float(m.mixed_counts.groups_highest),
        formula="maximum over time of the number of such groups",
        source=_SERIES,
        undefined="the run does not say which devices have which groups",
        extreme="most",
    ),
    Score(
        "mixed_units_end",
        "Mixed units, end",
        NUMBER,
        "lower",
        Question.ZONES,
        lambda m: math.nan if m.mixed_counts is None else float(m.mixed_counts.units_end),
        formula="at the end, units of dynamic groups (virtio-mem) with memory in a kernel zone and in MOVABLE; "
        "a unit of one memory block is never mixed",
        source=_SERIES,
        undefined="the run does not say which devices have which groups",
    ),
    Score(
        "mixed_units_max",
        "Mixed units, highest",
        NUMBER,
        "lower",
        Question.ZONES,
        lambda m: math.nan if m.mixed_counts is None else float(m.mixed_counts.units_highest),
        formula="maximum over time of the number of such units",
        source=_SERIES,
        undefined="the run does not say which devices have which groups",
        extreme="most",
    ),
    Score(
        "zone_changes_end",
        "Zone changes by address, end",
        NUMBER,
        "lower",
        Question.ZONES,
        lambda m: float(m.zone_changes.end),
        formula="at the end, number of neighbours among the online blocks in address order, boot memory included, of "
        "which one is in ZONE_MOVABLE and the other in a kernel zone; missing and offline blocks are passed over",
        source=OWN,
    ),
    Score(
        "zone_changes_max",
        "Zone changes by address, highest",
        NUMBER,
        "lower",
        Question.ZONES,
        lambda m: float(m.zone_changes.highest),
        formula="maximum over time of the same number",
        source=OWN,
        extreme="most",
    ),
)
"""In the order in which they are shown."""
