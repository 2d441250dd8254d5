"""Intervals of means of values that may be skewed, and whether values are such that these hold.

Student's statistic is taken as it is, and transformed so that its skewness goes (Hall's cubic transformation, which can
be solved for the mean). The skewness that a few values show is partly chance: it is taken smaller, by as much as chance
makes of it, as James and Stein's estimator does. ``tests/support/coverage.py`` measures how often these intervals hold.

What no values show, no interval can know: where some lie far out, such as those of runs in which a guest died, as far
out ones may be rarer still. :func:`far_out` says so, by a rule that looks at spreads alone and not at what is told
apart.

Sources: P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical Society B 54 (1992);
W. James and C. Stein, "Estimation with quadratic loss", Proceedings of the Fourth Berkeley Symposium (1961).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.analysis.distributions import student_below, student_quantile

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FAR: Final = 6.0
"""Standard deviations of a normal distribution with the same quartiles: a value beyond them, seen from the middle one,
lies far out. Of a hundred values of a normal distribution none does, of as many of an exponential one in five hundred.
"""

_NORMAL_QUARTILES: Final = 1.349
"""How far the quartiles of a normal distribution are apart, in standard deviations."""

_TINY: Final = 1e-9
"""Skewness below which there is none to remove."""


def student_estimates(values: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Return lower ends, upper ends and p of the means of the rows of ``values`` (K x N) by Student's distribution.

    N is at least 2. Equal values have an interval of no width.
    """
    freedom = values.shape[1] - 1
    mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / values.shape[1] ** 0.5
    # Rounding may leave equal values a spread.
    equal = (np.ptp(values, axis=1) == 0) | (error == 0)
    mean = np.where(equal, values[:, 0], mean)
    half = np.where(equal, 0.0, student_quantile(freedom, (1 + confidence) / 2) * error)
    p = np.where(equal, mean == 0, 2 * student_below(freedom, -np.abs(mean) / np.where(equal, 1.0, error)))
    return mean - half, mean + half, p


def skewed_estimates(values: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Return the same as :func:`student_estimates`, of Student's statistic without its skewness. N is at least 3."""
    count = values.shape[1]
    mean, spread = values.mean(axis=1), values.std(axis=1)
    equal = (np.ptp(values, axis=1) == 0) | (spread == 0)
    mean = np.where(equal, values[:, 0], mean)
    safe = np.where(equal, 1.0, spread)
    skewness = _skewness((values - mean[:, np.newaxis]) / safe[:, np.newaxis])
    shift = skewness / (6 * count)

    # With a third of the skewness as a, a statistic T becomes T + a T^2 + a^2 T^3 / 3 + shift.
    third = skewness / 3
    some = np.abs(third) > _TINY
    divisor = np.where(some, third, 1.0)

    def solved(quantile: float) -> Floats:
        transformed = quantile - shift
        found: Floats = np.where(some, (np.cbrt(1 + 3 * third * transformed) - 1) / divisor, transformed)
        return found

    # The spread is that of the values themselves, not of what they were drawn from: hence N - 1.
    freedom = count - 1
    quantile = student_quantile(freedom, (1 + confidence) / 2) / freedom**0.5
    low, high = (np.where(equal, mean, mean - safe * solved(sign * quantile)) for sign in (1, -1))
    statistic = mean / safe
    statistic = statistic + third * statistic**2 + third**2 * statistic**3 / 3 + shift
    p = np.where(equal, mean == 0, 2 * student_below(freedom, -np.abs(statistic) * freedom**0.5))
    return low, high, p


def _skewness(scores: Floats) -> Floats:
    """Return the skewness of each row of standard scores (K x N), less what of it is chance."""
    skewness = (scores**3).mean(axis=1)
    seen = skewness[:, np.newaxis]
    # By how much each value moves it, from which its variance follows.
    moves = scores**3 - 3 * scores - seen - 1.5 * seen * (scores**2 - 1)
    variance = (moves**2).mean(axis=1) / scores.shape[1]
    left: Floats = skewness * np.maximum(0.0, 1 - variance / np.maximum(skewness**2, _TINY**2))
    return left


def far_out(table: Floats) -> npt.NDArray[np.bool_]:
    """Return whether any value in a column of ``table`` (N x columns x ...) lies far out of its column.

    One answer for each of the axes behind the second. NaN is no value; infinite ones lie far out.
    """
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without a value
        ordered = np.sort(table, axis=0)  # NaN goes last
        counts = (~np.isnan(table)).sum(axis=0)
        low, middle, high = (_quantile(ordered, counts, share) for share in (0.25, 0.5, 0.75))
        farthest = np.fmax(middle - ordered[0], np.nanmax(table, axis=0) - middle)
        beyond: npt.NDArray[np.bool_] = (farthest > FAR * (high - low) / _NORMAL_QUARTILES) | np.isinf(farthest)
    return np.asarray(beyond.any(axis=0))


def _quantile(ordered: Floats, counts: npt.NDArray[np.int64], share: float) -> Floats:
    """Return a quantile of each column of ``ordered`` values, of which the first ``counts`` are some."""
    place = np.maximum(counts - 1, 0) * share
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(counts - 1, 0))
    least, most = (np.take_along_axis(ordered, index[np.newaxis], axis=0)[0] for index in (below, above))
    between: Floats = least + (place - below) * (most - least)
    return between
