"""The list of all scores, each defined once with its unit, its formula and where it comes from.

To add one: an entry in :data:`MEMORY_SCORES` here or in :data:`sim.scores.guest_scores.GUEST_SCORES`. :data:`SCORES` is
both, and the result files, the tables, the plots and the documentation derive from it.
A score that a run does not define (no ratio is configured, nothing was plugged, ...) is NaN, never a silent 0; each
score says when that is. Means are exact integrals of step functions divided by time, not samples.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.record.recorder import EventKind
from sim.scores.definition import BYTE_SECONDS, BYTES, NUMBER, PERCENT, POINTS, SECONDS, Direction, Score, Unit
from sim.scores.guest_scores import GUEST_SCORES
from sim.scores.measured import Measured, highest, integral, mean, mean_where_defined
from sim.units import MICROSECONDS, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.record.run_result import RunResult
    from sim.record.series import RunSeries

__all__ = ["SCORES", "Direction", "Score", "Unit", "compute_scores"]

_DOCUMENT = "Linux admin guide, memory hotplug: MOVABLE:KERNEL ratios"
_POLICY = "auto_movable_stats_account_zone(), auto_movable_can_online_movable() in mm/memory_hotplug.c"
_SERIES = '"auto-movable" online policy and memory groups, v3 (2021-08-06), cover letter'
_OWN = "this project"
_RATIO = "100 * MOVABLE / KERNEL, present pages of ZONE_MOVABLE and of the kernel zones over all nodes"
_AUTO = "100 * MV / KE; MV = MOVABLE + CMA, KE = present boot memory in kernel zones - CMA"
_NO_KERNEL = "there never is memory in either; infinite while only the divisor is 0"
_NO_RATIO = "the policy has no configured ratio"
_NO_HOTPLUG = "nothing is hotplugged"


def _excess(measured: Measured) -> float:
    configured = measured.result.configured_ratio
    return math.nan if configured is None else highest(measured.auto_ratio) - configured


MEMORY_SCORES: Final = (
    Score(
        "ratio_mean",
        "MOVABLE:KERNEL, mean",
        PERCENT,
        "neither",
        lambda m: mean_where_defined(m.ratio, m.dt_us),
        formula=f"time-weighted mean of {_RATIO}",
        source=_DOCUMENT,
        undefined=_NO_KERNEL,
        headline=True,
    ),
    Score(
        "ratio_max",
        "MOVABLE:KERNEL, highest",
        PERCENT,
        "neither",
        lambda m: highest(m.ratio),
        formula=f"maximum over time of {_RATIO}",
        source=_DOCUMENT,
        undefined=_NO_KERNEL,
    ),
    Score(
        "ratio_end",
        "MOVABLE:KERNEL, end",
        PERCENT,
        "neither",
        lambda m: float(m.ratio[-1]),
        formula=f"at the end, {_RATIO}",
        source=_DOCUMENT,
        undefined="there is no memory in either at the end",
    ),
    Score(
        "time_above_ratio",
        "Time above the ratio",
        SECONDS,
        "lower",
        lambda m: m.time_above(m.series.movable, m.series.kernel),
        formula="time during which MOVABLE > floor(configured ratio * KERNEL / 100), present pages",
        source=_DOCUMENT,
        undefined=_NO_RATIO,
        headline=True,
    ),
    Score(
        "auto_ratio_mean",
        "MV:KE, mean",
        PERCENT,
        "neither",
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
        lambda m: highest(m.auto_ratio),
        formula=f"maximum over time of {_AUTO}",
        source=_POLICY,
        undefined=_NO_KERNEL,
    ),
    Score(
        "auto_ratio_end",
        "MV:KE, end",
        PERCENT,
        "neither",
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
        _excess,
        formula="auto_ratio_max - configured ratio; negative where the ratio is never reached. A dynamic group may "
        "rightly pass 0, because its own kernel memory pays for part of it",
        source=_POLICY,
        undefined=f"{_NO_RATIO}, or there never is memory in either",
    ),
    Score(
        "auto_time_above_ratio",
        "Time with MV:KE above the ratio",
        SECONDS,
        "lower",
        lambda m: m.time_above(m.series.auto_movable, m.series.auto_kernel),
        formula="time during which MV > floor(configured ratio * KE / 100)",
        source=_POLICY,
        undefined=_NO_RATIO,
    ),
    Score(
        "movable_share_mean",
        "Hotplugged memory in MOVABLE, mean",
        PERCENT,
        "higher",
        lambda m: mean_where_defined(m.movable_share, m.dt_us),
        formula="mean, over the time in which memory is hotplugged, of 100 * hotplugged memory in ZONE_MOVABLE / "
        "hotplugged memory, online or not",
        source=_SERIES,
        undefined=_NO_HOTPLUG,
        headline=True,
    ),
    Score(
        "movable_share_end",
        "Hotplugged memory in MOVABLE, end",
        PERCENT,
        "higher",
        lambda m: float(m.movable_share[-1]),
        formula="at the end, 100 * hotplugged memory in ZONE_MOVABLE / hotplugged memory, online or not",
        source=_SERIES,
        undefined="nothing is hotplugged at the end",
    ),
    Score(
        "mixed_groups_end",
        "Mixed static groups, end",
        NUMBER,
        "lower",
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
        lambda m: math.nan if m.mixed_counts is None else float(m.mixed_counts.groups_highest),
        formula="maximum over time of the number of such groups",
        source=_SERIES,
        undefined="the run does not say which devices have which groups",
        headline=True,
    ),
    Score(
        "mixed_units_end",
        "Mixed units, end",
        NUMBER,
        "lower",
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
        lambda m: math.nan if m.mixed_counts is None else float(m.mixed_counts.units_highest),
        formula="maximum over time of the number of such units",
        source=_SERIES,
        undefined="the run does not say which devices have which groups",
        headline=True,
    ),
    Score(
        "not_given_end",
        "Asked back, not given: end",
        BYTES,
        "lower",
        lambda m: float(int(m.series.not_given[-1]) * PAGE_SIZE),
        formula="at the end, sum over devices of max(0, plugged - requested)",
        source=_OWN,
        headline=True,
    ),
    Score(
        "not_given_byte_seconds",
        "Asked back, not given: over time",
        BYTE_SECONDS,
        "lower",
        lambda m: integral(m.series.not_given, m.dt_us) * PAGE_SIZE / MICROSECONDS,
        formula="integral over time of the sum over devices of max(0, plugged - requested)",
        source=_OWN,
        headline=True,
    ),
    Score(
        "returned",
        "Memory given back",
        BYTES,
        "higher",
        lambda m: float(-int(np.minimum(m.events.plugged_change(), 0).sum()) * PAGE_SIZE),
        formula="sum over time of everything that devices gave back, each time that they did",
        source=_OWN,
    ),
    Score(
        "kernel_min",
        "Kernel-zone memory, least",
        BYTES,
        "higher",
        lambda m: float(int(m.series.kernel.min()) * PAGE_SIZE),
        formula="minimum over time of the present memory of the kernel zones on all nodes",
        source=_DOCUMENT,
    ),
    Score(
        "kernel_mean",
        "Kernel-zone memory, mean",
        BYTES,
        "higher",
        lambda m: mean(m.series.kernel, m.dt_us) * PAGE_SIZE,
        formula="time-weighted mean of the present memory of the kernel zones on all nodes",
        source=_DOCUMENT,
        undefined="the run has no length",
        headline=True,
    ),
    Score(
        "kernel_end",
        "Kernel-zone memory, end",
        BYTES,
        "higher",
        lambda m: float(int(m.series.kernel[-1]) * PAGE_SIZE),
        formula="at the end, the present memory of the kernel zones on all nodes",
        source=_DOCUMENT,
    ),
    Score(
        "zone_changes_end",
        "Zone changes by address, end",
        NUMBER,
        "lower",
        lambda m: float(m.zone_changes.end),
        formula="at the end, number of neighbours among the online blocks in address order, boot memory included, of "
        "which one is in ZONE_MOVABLE and the other in a kernel zone; missing and offline blocks are passed over",
        source=_OWN,
        headline=True,
    ),
    Score(
        "zone_changes_max",
        "Zone changes by address, highest",
        NUMBER,
        "lower",
        lambda m: float(m.zone_changes.highest),
        formula="maximum over time of the same number",
        source=_OWN,
    ),
    Score(
        "decisions",
        "Decisions",
        NUMBER,
        "neither",
        lambda m: m.counter("decisions"),
        formula="number of memory blocks that the policy was asked about",
        source=_OWN,
        undefined="the core kept no such counter",
    ),
    Score(
        "failed_requests",
        "Failed requests",
        NUMBER,
        "lower",
        lambda m: m.counter("failed_requests"),
        formula="number of requests of the host that were impossible to begin with (no such device, no free slot, ...)",
        source=_OWN,
        undefined="the core kept no such counter",
        headline=True,
    ),
    Score(
        "failed_operations",
        "Failed operations of drivers",
        NUMBER,
        "lower",
        lambda m: m.counter("failed_operations"),
        formula="number of additions and removals of memory that the guest's drivers tried in vain",
        source=_OWN,
        undefined="the core kept no such counter",
        headline=True,
    ),
    Score(
        "refused_offlines",
        "Refused offline attempts",
        NUMBER,
        "lower",
        lambda m: float(m.events.blocks[m.events.of_kind(EventKind.REFUSED)].sum()),
        formula="number of blocks that were to go offline and did not, counted at every attempt",
        source=_OWN,
    ),
)

SCORES: Final[Mapping[str, Score]] = MappingProxyType({score.name: score for score in (*MEMORY_SCORES, *GUEST_SCORES)})
"""All scores by name, in the order in which they are shown."""


def compute_scores(result: RunResult, series: RunSeries | None = None) -> dict[str, float]:
    """Return every score of :data:`SCORES` for ``result``. ``series`` saves computing it a second time."""
    measured = Measured(result, series)
    return {score.name: score.function(measured) for score in SCORES.values()}
