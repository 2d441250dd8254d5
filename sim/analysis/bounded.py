"""Gaffke's bounds of the mean of values that have a bounded support, with random weights.

Each value gets a random weight, and so does an end of the support, for what nobody has seen. When that is taken, and
where it comes from, stands in :mod:`sim.analysis.intervals`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.analysis.distributions import normal_below, root

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.int64]

WEIGHTINGS: Final = 20_000
"""Times that weights are drawn."""

_TOGETHER: Final = 16
"""Samples that are estimated together: more take more memory than is at hand quickly."""

_COUNTED: Final = 100
"""Of so many weightings, fewer than these say little about a tail."""


@lru_cache(maxsize=4)
def _weights(count: int, weightings: int) -> npt.NDArray[np.float32]:
    """Return random weights of ``count`` values that sum to 1, one column for each of ``weightings``; always the same.

    They are the gaps between uniform numbers: exponential ones over their sum. Each value meets every size of gap once,
    in random order, which makes quantiles a good deal exacter. Half the precision halves the memory for experiments of
    a thousand replications, and is more than enough.
    """
    sizes = -np.log((np.arange(weightings, dtype=np.float32) + np.float32(0.5)) / np.float32(weightings))
    gaps = np.random.Generator(np.random.PCG64(1)).permuted(np.tile(sizes, (count, 1)), axis=1)
    gaps /= gaps.sum(axis=0)
    return gaps


@lru_cache(maxsize=4)
def _weights_of_end(count: int, weightings: int, *, last: bool) -> npt.NDArray[np.float32]:
    """Return the weights of the first, or last, of ``count`` values (:func:`_weights`), in order."""
    return np.sort(_weights(count, weightings)[-1 if last else 0])


def _scaled(values: Floats, bound: Floats) -> tuple[Floats, Floats, Floats]:
    """Return each row of ``values`` and its ``bound`` about its first value, by scale, in order; scales and origins.

    Of differences that are small against their sizes, digits would get lost otherwise. In order, so that the same
    weights fall to like values, whatever the order of replications.
    """
    rows = np.column_stack([values, bound])
    origin = rows[:, :1]
    scale = np.maximum(np.abs(rows - origin).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.sort((rows - origin) / scale, axis=1), scale, origin


def bounded_means(values: Floats, bound: Floats, *, weightings: int = WEIGHTINGS) -> Floats:
    """Return randomly weighted means of each row of ``values`` and its ``bound``, in no order.

    ``values`` is K x N and ``bound`` has K ends of a support, all on one side: not below (or not above) the values of
    their rows. The result is K x ``weightings``; the share of it above (below) a number is Gaffke's probability that
    the values' mean is.
    """
    ordered, scale, origin = _scaled(values, bound)
    weighted = ordered.astype(np.float32) @ _weights(ordered.shape[1], weightings)
    means: Floats = weighted.astype(np.float64) * scale + origin
    return means


def _end(values: Floats, bound: Floats, rank: int, weightings: int, *, above: bool) -> tuple[Floats, Counts]:
    """Return the mean of ``rank`` among each row's :func:`bounded_means`, and how many of these are not above 0.

    From above, and not below 0, where ``bound`` is the upper end.
    """
    ends, beyond = np.empty(len(values)), np.empty(len(values), dtype=np.int64)
    place = weightings - 1 - rank if above else rank
    for start in range(0, len(values), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        ordered, scale, origin = _scaled(values[some], bound[some])
        # What comes out of the product is put in order and counted as it is: to move all of it takes longer than that.
        weighted = ordered.astype(np.float32) @ _weights(ordered.shape[1], weightings)
        zero = -origin / scale
        beyond[some] = np.count_nonzero(weighted >= zero if above else weighted <= zero, axis=1)
        weighted.partition(place, axis=1)
        ends[some] = weighted[:, place].astype(np.float64) * scale[:, 0] + origin[:, 0]
    return ends, beyond


def _end_of_equal(values: Floats, bound: Floats, rank: int, weightings: int, *, above: bool) -> tuple[Floats, Counts]:
    """Return the same as :func:`_end` where the values of each row are equal: the bound's weight alone decides."""
    weights = _weights_of_end(values.shape[1] + 1, weightings, last=above)
    origin = values[:, 0]
    way = bound - origin
    ends = np.where(
        way == 0, origin, np.copysign(np.float64(weights[weightings - 1 - rank]), way) * np.abs(way) + origin
    )
    short = -origin if above else origin
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        beyond = weightings - np.searchsorted(weights, short / np.abs(way))
    return ends, np.where(short <= 0, weightings, beyond)


def bounded_estimates(
    values: Floats, low: Floats, high: Floats, confidence: float, *, weightings: int = WEIGHTINGS
) -> tuple[Floats, Floats, Floats]:
    """Return the fields of the estimates of the means of the rows of ``values`` (K x N): lower, upper ends, p.

    ``low`` and ``high`` are the ends of each row's support (K); values beyond them widen it. p is what the confidence
    must lack for the interval to just reach 0, and not below what so many replications can tell that all agree.
    """
    rank = round((1 - confidence) / 2 * weightings)
    low, high = np.minimum(low, values.min(axis=1)), np.maximum(high, values.max(axis=1))
    ends, fewer = np.empty((2, len(values))), np.full(len(values), weightings)
    equal = np.ptp(values, axis=1) == 0
    for side, (bound, above) in enumerate(((low, False), (high, True))):
        for rows, end in ((equal, _end_of_equal), (~equal, _end)):
            if rows.any():
                ends[side, rows], beyond = end(values[rows], bound[rows], rank, weightings, above=above)
                fewer[rows] = np.minimum(fewer[rows], beyond)
    p = np.minimum(1.0, 2 * (fewer + 1) / (weightings + 1))
    for row in np.flatnonzero(fewer < _COUNTED):
        above_zero = values[row].mean() > 0
        tail = weighted_below_zero(
            np.append(values[row], (low if above_zero else high)[row]) * (1 if above_zero else -1)
        )
        p[row] = max(2 * tail, 2 * 0.5 ** values.shape[1])
    return ends[0], ends[1], p


def weighted_below_zero(values: Floats) -> float:
    """Return how likely the mean of ``values``, whose own is above 0, is not with random weights that sum to 1.

    The weights are those of :func:`bounded_means`, but no sample of them: a saddlepoint gives tails that are too thin
    to be counted. After Lugannani and Rice, "Saddle point approximation for the distribution of the sum of independent
    random variables", Advances in Applied Probability 12 (1980).
    """
    largest = float(np.abs(values).max())
    scaled = values / largest if largest else values
    if scaled.sum() <= 0:
        return 0.5
    if scaled.min() >= 0:
        return 0.0
    # The logarithm of the moment-generating function of exponential weights times values is -sum(log(1 - s values)).
    least = 1 / float(scaled.min())

    def slope(place: float) -> tuple[float, float]:
        parts = scaled / (1 - place * scaled)
        return float(parts.sum()), float((parts**2).sum())

    place = root(slope, least * (1 - 1e-12), 0.0)
    if place > -1e-6:  # noqa: PLR2004  the mean is 0
        return 0.5
    signed = -math.sqrt(2 * float(np.log1p(-place * scaled).sum()))
    slant = place * math.sqrt(float(((scaled / (1 - place * scaled)) ** 2).sum()))
    density = math.exp(-signed * signed / 2) / math.sqrt(2 * math.pi)
    return normal_below(signed) + density * (1 / signed - 1 / slant)
