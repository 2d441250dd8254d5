"""Business VMs like those of GWA-T-12 Bitbrains, "Rnd": mostly idle, with rare tall peaks.

Published are quantiles over VMs of capacity and of each VM's usage, changes of usage per day, and sizes of capacity
steps, of 334 VMs over 91 days (S. Shen, V. van Beek, A. Iosup, CCGrid 2015, Grid Workloads Archive GWA-T-12; figures of
the 5-minute samples). A VM here has a level, drawn about the published median of medians; around it usage goes up and
down by one shape, the published ratios of median, 95th percentile and maximum. How far levels of VMs lie apart and how
fast usage moves was chosen so that the changes per day come out as published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.look_alikes.draws import Quantiles, evenly, normal, paired, share_below, steady

if TYPE_CHECKING:
    from sim.look_alikes.draws import Floats, Ints
    from sim.look_alikes.tables import Columns

CAPACITY_MIB: Final = Quantiles([(0, 256), (0.25, 1024), (0.5, 4096), (0.75, 12186), (0.95, 32768), (1, 65536)])
"""Largest capacity of a VM: published are the quartiles, the 95th percentile, and 44 GiB in use on the largest."""

STEP_MIB: Final = Quantiles([(0, 64), (0.25, 136), (0.5, 270), (0.75, 720), (0.95, 2662), (1, 8192)])
"""Sizes of capacity steps; the least that counts as one is 64 MiB."""

MEDIAN_MIB: Final = 120.0
P95_OF_MEDIAN: Final = 295 / 120
MOST_OF_CAPACITY: Final = 2.4 / 4.0  # the median of maxima over the median capacity
STEPPING: Final = 129 / 334  # VMs whose capacity ever changes
STEPS_A_DAY: Final = (910 + 75) / 129 / 91
OFF: Final = 0.03  # samples of capacity 0
SAMPLE_S: Final = 300
DAY: Final = 86400 // SAMPLE_S

# Chosen, not published; see the module.
LEVELS_APART: Final = 1.65
LEVEL_GOES_WITH_CAPACITY: Final = 0.8
KEEPS_LEAST: Final = 0.5  # of a sample in the next one: the smallest VM's
KEEPS_MOST: Final = 0.9  # the largest's, whose usage is the steadiest in proportion
LOWEST_OF_MEDIAN: Final = 1 / 8
SLOW: Final = 0.4  # of the movement, that lasts for hours and days
SLOW_KEEPS: Final = 0.998
SELDOM: Final = 0.995
SELDOM_OF_P95: Final = 2.0
PEAKS_APART: Final = 0.4
OFF_SPELL: Final = 0.3  # of the time, for one VM in ten


def population(rng: np.random.Generator, vms: int, days: int) -> tuple[Ints, Ints]:
    """Return capacity and usage in MiB, each of shape (``vms``, samples), of which 288 make a day."""
    size = evenly(rng, vms)
    most_capacity = CAPACITY_MIB(size)
    rank = paired(rng, size, LEVEL_GOES_WITH_CAPACITY)
    level = MEDIAN_MIB * np.exp(LEVELS_APART * normal(rank))
    keeps = KEEPS_LEAST + (KEEPS_MOST - KEEPS_LEAST) * rank
    peak = most_capacity * np.minimum(MOST_OF_CAPACITY * np.exp(PEAKS_APART * normal(evenly(rng, vms))), 1.0)
    steps = rng.permutation(vms) < round(STEPPING * vms)
    off = rng.permutation(vms) < round(OFF / OFF_SPELL * vms)
    samples = days * DAY
    capacity = np.empty((vms, samples), dtype=np.int64)
    usage = np.empty_like(capacity)
    for vm in range(vms):
        capacity[vm] = _capacity(rng, most_capacity[vm], days, steps=bool(steps[vm]))
        usage[vm] = np.minimum(_usage(level[vm], peak[vm], _path(rng, samples, keeps[vm])), capacity[vm])
        if off[vm]:
            length = round(OFF_SPELL * samples)
            first = int(rng.integers(samples - length))
            capacity[vm, first : first + length] = usage[vm, first : first + length] = 0
    return capacity, usage


def _path(rng: np.random.Generator, samples: int, keeps: float) -> Floats:
    slow = steady(rng, samples, SLOW_KEEPS)
    fast = steady(rng, samples, keeps)
    return np.asarray(np.sqrt(1 - SLOW) * fast + np.sqrt(SLOW) * slow, dtype=np.float64)


def _usage(level: float, peak: float, path: Floats) -> Ints:
    high = level * P95_OF_MEDIAN
    seldom = min(high * SELDOM_OF_P95, max(peak, high))
    shape = Quantiles(
        [(0, level * LOWEST_OF_MEDIAN), (0.5, level), (0.95, high), (SELDOM, seldom), (1, max(peak, high))]
    )
    return np.rint(shape(share_below(path))).astype(np.int64)


def _capacity(rng: np.random.Generator, most: float, days: int, *, steps: bool) -> Floats:
    """Capacity over time: constant, or climbing in steps to ``most`` and falling back to where it began."""
    whole = np.full(days * DAY, np.rint(most))
    if not steps:
        return whole
    count = max(1, int(rng.poisson(STEPS_A_DAY * days)))
    times = np.sort(rng.integers(1, days * DAY, count))
    sizes = np.rint(STEP_MIB(rng.random(count)))
    room = most / 2
    climbed = np.zeros(count + 1)
    for i, size in enumerate(sizes):
        climbed[i + 1] = climbed[i] + size if climbed[i] + size <= room else 0.0
    start = np.rint(most - climbed.max())
    path = start + climbed[np.searchsorted(times, np.arange(days * DAY), side="right")]
    return np.asarray(path, dtype=np.float64)


def samples(rng: np.random.Generator) -> Columns:
    """Return 60 VMs over a month of 30 days, every five minutes: ``vm``, ``t_s``, ``cap_mib``, ``use_mib``."""
    capacity, usage = population(rng, 60, 30)
    return _rows(np.arange(len(capacity)), capacity, usage)


def hourly(rng: np.random.Generator) -> Columns:
    """Return the same by the hour: ``vm``, ``hour``, and the most of capacity and usage in each."""
    capacity, usage = population(rng, 60, 30)
    vms = len(capacity)
    most = [table.reshape(vms, -1, 3600 // SAMPLE_S).max(axis=2) for table in (capacity, usage)]
    hours = most[0].shape[1]
    return {
        "vm": np.repeat(np.arange(1, vms + 1), hours),
        "hour": np.tile(np.arange(hours), vms),
        "cap_mib": most[0].ravel(),
        "use_max_mib": most[1].ravel(),
    }


def five_minutes(rng: np.random.Generator) -> Columns:
    """Return 15 VMs of 111 over ten days, every five minutes: the ten that move most, and five of the others."""
    capacity, usage = population(rng, 111, 10)
    moves = np.abs(np.diff(usage, axis=1)).sum(axis=1)
    ranked = np.argsort(-moves, kind="stable")
    others = [vm for vm in ranked[10:] if usage[vm].max() >= 256]  # noqa: PLR2004  MiB, as those of the archive
    return _rows(np.sort(np.concatenate([ranked[:10], rng.permutation(others)[:5]])), capacity, usage)


def _rows(vms: Ints, capacity: Ints, usage: Ints) -> Columns:
    count = usage.shape[1]
    return {
        "vm": np.repeat(vms + 1, count),
        "t_s": np.tile(np.arange(count) * SAMPLE_S, len(vms)),
        "cap_mib": capacity[vms].ravel(),
        "use_mib": usage[vms].ravel(),
    }
