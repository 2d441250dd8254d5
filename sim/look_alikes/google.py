"""Days of cluster jobs like those of the Google trace of May 2011: calm, and seldom but then by much.

Published are quantiles of all samples, of the range within a day, and how many changes exceed one point, of 1,132
job-days of 175 jobs in percent of a machine (C. Reiss, J. Wilkes, J. Hellerstein, Google cluster-usage traces, 2011;
extract of 1,600 job-days in dnhua/CPU-and-Memory-resource-usage-from-Google-Cluster-Data). A job here has a level; a
day of it has a range, drawn apart, along which usage drifts, and jumps now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.look_alikes.draws import Quantiles, evenly, steady
from sim.look_alikes.figures import Figure, lagged

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.look_alikes.draws import Floats
    from sim.look_alikes.figures import Tables
    from sim.look_alikes.tables import Columns

LEVEL_PERCENT: Final = Quantiles([(0, 5.1), (0.5, 12.6), (0.95, 56.8), (1, 90)])
"""Levels of jobs. Published of all samples: the least, the median, the 95th percentile; days of most are near 90."""

RANGE_POINTS: Final = Quantiles([(0, 0.3), (0.5, 1.8), (0.75, 4.3), (0.95, 20.7), (1, 140)])
SAMPLES: Final = 288  # five minutes apart

# Chosen, not published; see the module.
KEEPS: Final = 0.97
JUMPS_A_DAY: Final = 3.0
JUMPS_SHARE: Final = 0.5  # of a day's movement


def days(rng: np.random.Generator) -> Columns:
    """Return 40 jobs of one to ten days: ``job``, ``day``, and ``m0`` to ``m287`` in percent."""
    jobs = 40
    lengths = rng.permutation(np.clip(np.rint(np.linspace(3, 10, jobs)), 1, 10)).astype(np.int64)
    levels = np.repeat(LEVEL_PERCENT(evenly(rng, jobs)), lengths)
    ranges = RANGE_POINTS(evenly(rng, len(levels)))
    usage = np.array([_day(rng, level, spread) for level, spread in zip(levels, ranges, strict=True)])
    return {
        "job": np.repeat(np.arange(1, jobs + 1), lengths),
        "day": np.concatenate([np.arange(1, length + 1) for length in lengths]),
        **{f"m{i}": np.round(usage[:, i], 2) for i in range(SAMPLES)},
    }


def _day(rng: np.random.Generator, level: float, spread: float) -> Floats:
    """Return a day about ``level`` whose largest and least usage are ``spread`` apart, all of it 5.1 or more."""
    drift = steady(rng, SAMPLES, KEEPS)
    jumps = np.zeros(SAMPLES)
    for at in rng.integers(0, SAMPLES, rng.poisson(JUMPS_A_DAY)):
        jumps[at:] += rng.choice([-1.0, 1.0])
    path = (1 - JUMPS_SHARE) * _between_0_and_1(drift) + JUMPS_SHARE * _between_0_and_1(jumps)
    path = _between_0_and_1(path)
    lowest = max(level - spread * float(np.median(path)), LEVEL_PERCENT.knots[0][1])
    return np.asarray(lowest + spread * path, dtype=np.float64)


def _between_0_and_1(path: Floats) -> Floats:
    width = np.ptp(path)
    return (path - path.min()) / width if width else np.zeros_like(path)


def _usage(tables: Tables) -> Floats:
    return np.array([tables["days"][f"m{i}"] for i in range(SAMPLES)]).T


def _sample(share: float) -> Callable[[Tables], float]:
    return lambda tables: float(np.nanquantile(_usage(tables), share))


def _range(share: float) -> Callable[[Tables], float]:
    return lambda tables: float(np.quantile(np.ptp(_usage(tables), axis=1), share))


def _changes_over_one(tables: Tables) -> float:
    return float(100 * (np.abs(np.diff(_usage(tables), axis=1)) > 1).mean())


def _alike(lag: int) -> Callable[[Tables], float]:
    return lambda tables: float(np.nanmedian([lagged(day, lag) for day in _usage(tables)]))


def _change(share: float) -> Callable[[Tables], float]:
    return lambda tables: float(np.quantile(np.abs(np.diff(_usage(tables), axis=1)), share))


FIGURES: Final = (
    Figure("least sample", "%", 5.1, _sample(0), 1.02),
    Figure("median of all samples", "%", 12.6, _sample(0.5), 1.15),
    Figure("95 % of all samples", "%", 56.8, _sample(0.95), 1.15),
    Figure("largest sample", "%", 215, _sample(1), 2),
    Figure("range within a day, median", "points", 1.8, _range(0.5), 1.1),
    Figure("the same, upper quartile", "points", 4.3, _range(0.75), 1.1),
    Figure("the same, 95 %", "points", 20.7, _range(0.95), 1.15),
    Figure("the same, most", "points", 140, _range(1), 1.2),
    Figure("changes in five minutes by more than a point", "%", 3, _changes_over_one, 1.5),
    Figure("change in five minutes, median", "points", 0.03, _change(0.5)),
    Figure("the same, 99.9 %", "points", 17.96, _change(0.999)),
    Figure("likeness five minutes later", "r", 0.775, _alike(1)),
    Figure("likeness an hour later", "r", 0.444, _alike(12)),
)
