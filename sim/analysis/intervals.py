"""Intervals of means and of proportions, made for few replications of scores that are skewed and often zero.

Student's interval is too narrow there: of five replications it holds the truth in half to three quarters of the cases,
because the rare event that moves the mean most (a kernel that runs out of memory) is in none of them. Where no value
lies far out it is taken, and widened to what it is without skewness (:mod:`sim.analysis.skewed`). Where some do,
Gaffke's bound takes its place: replications get random weights, the gaps between uniform numbers, as in the Bayesian
bootstrap, and one more that nobody has seen takes part, as far out as it can be. For values that are 0 or 1 that is the
exact binomial interval. How far out it can be is taken from the other policies on the same traffic; see
:func:`support`. The test ``tests/analysis/test_coverage.py`` draws from real replications and counts how often the
truth is inside, and ``tests/support/coverage.py`` from distributions whose truth is known.

Sources: N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable", Mathematical Methods of Statistics 14 (2005); E. Learned-Miller and P. S. Thomas, "A new confidence interval
for the mean of a bounded random variable", arXiv:1905.06208 (2019); C. J. Clopper and E. S. Pearson, Biometrika 26
(1934); S. Holm, Scandinavian Journal of Statistics 6 (1979).
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import numpy as np

from sim.analysis.bounded import WEIGHTINGS, bounded_estimates
from sim.analysis.distributions import beta_quantile, normal_quantile
from sim.analysis.skewed import far_out, skewed_estimates, student_estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Method = Literal["auto", "bounded", "skewed", "t", "bootstrap"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

FEWEST_FOR_INTERVAL: Final = 15
"""Replications below which ``auto`` and ``bounded`` give no interval: with fewer, none that says anything holds."""

FEWEST_FOR_OTHER_METHODS: Final = 3
"""Values below which the other methods give none."""

CONFIDENCE: Final = 0.95

MOST_NEEDED: Final = 1000
"""Where more replications than these are needed, no number is told."""

_STRETCH: Final = 5.0
"""An event that was not seen is taken to lie farther out than the farthest seen, by this over the replications."""


class Estimate(NamedTuple):
    """The ends of an interval, and how likely a mean as far from 0 is found where there is none; NaN where unknown."""

    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


def support(table: Floats, better: str, base: int | None = None, highest: float = math.inf) -> tuple[Floats, Floats]:
    """Return how low and how high each policy's values may lie, replications not seen included.

    ``table`` has a row for each replication and a column for each policy, NaN where one has no value (and there may be
    many tables, along the first axes); ``better`` is the score's good direction. With ``base``, the column of the
    baseline, it is about differences to that. Two things limit what was not seen. No value is farther from its policy's
    mean than the farthest of any policy, and none is better than the best of its own or worse than the worst of any
    policy, since what is rare is a failure. As those that were seen are no limit yet, each is stretched, by a third of
    15 replications and less of more. Nothing is above ``highest``, the greatest value that the score can have, and
    nothing below 0 unless a value is.
    """
    stretch = _STRETCH / max(table.shape[-2], 1)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of policies without a value, which get NaN
        values = table if base is None else table - table[..., [base]]
        centre = np.nanmean(values, axis=-2)
        farthest = np.nanmax(np.abs(values - centre[..., np.newaxis, :]), axis=(-2, -1))
        reach = (1 + stretch) * farthest[..., np.newaxis]
        least, most = _ends(table, better, stretch, highest)
    if base is not None:
        least, most = least - most[..., [base]], most - least[..., [base]]
    return np.maximum(centre - reach, least), np.minimum(centre + reach, most)


def _ends(table: Floats, better: str, stretch: float, highest: float) -> tuple[Floats, Floats]:
    """Return the least and the greatest value that each column may have: see :func:`support`."""
    centre = np.nanmean(table, axis=-2)
    own_least, own_most = np.nanmin(table, axis=-2), np.nanmax(table, axis=-2)
    any_least, any_most = (
        np.broadcast_to(of(ends, axis=-1, keepdims=True), centre.shape)
        for of, ends in ((np.nanmin, own_least), (np.nanmax, own_most))
    )
    middle = np.broadcast_to(np.nanmean(centre, axis=-1, keepdims=True), centre.shape)
    least, above = (own_least, centre) if better == "lower" else (any_least, middle)
    most, below = (own_most, centre) if better == "higher" else (any_most, middle)
    least = least - stretch * (above - least)
    most = np.minimum(most + stretch * (most - below), highest)
    return np.where(any_least >= 0, np.maximum(least, 0.0), least), most


def estimate(
    values: Floats,
    method: Method = "auto",
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] | None = None,
    *,
    far: bool | None = None,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return the confidence interval of the mean of ``values``: NaN if there are too few, or any is not finite.

    ``auto`` takes the wider of ``t`` and ``skewed``; where values lie ``far`` out (see
    :func:`sim.analysis.skewed.far_out`; seen from these alone where None) or are all the same, that of ``skewed`` and
    ``bounded``. ``bounded`` is Gaffke's, with the ends of the support in ``bounds`` (made from the values alone where
    None); ``skewed`` is Student's without its skewness, and ``t`` with it; ``bootstrap`` resamples (BCa), and gives no
    p. All give the same at every call. Values that are all equal have an interval of no width, unless ``bounds`` are
    wider. What ``auto`` tells stays within ``limits``, which no mean can pass. Raises ValueError for another method.
    """
    check_method(method)
    fewest = FEWEST_FOR_INTERVAL if method in {"auto", "bounded"} else FEWEST_FOR_OTHER_METHODS
    if len(values) < fewest or not np.isfinite(values).all():
        return Estimate()
    rows = values[np.newaxis]
    if method == "bootstrap":
        if np.ptp(values) == 0:
            return Estimate(float(values[0]), float(values[0]))
        from scipy import stats

        bootstrap = stats.bootstrap((values,), np.mean, confidence_level=confidence, rng=np.random.default_rng(0))
        low, high = bootstrap.confidence_interval
        return Estimate(float(low), float(high))
    if method == "t":
        return _first(student_estimates(rows, confidence))
    if method == "skewed":
        return _first(skewed_estimates(rows, confidence))
    least, most = support(values[:, np.newaxis], "neither") if bounds is None else map(np.atleast_1d, bounds)
    if method == "bounded":
        return _first(bounded_estimates(rows, least, most, confidence))
    flags = far_out(values[:, np.newaxis, np.newaxis]) if far is None else np.array([far])
    found = _first(auto_estimates(rows, least, most, flags, confidence))
    return _within(found, limits)


def auto_estimates(
    values: Floats,
    low: Floats,
    high: Floats,
    far: npt.NDArray[np.bool_],
    confidence: float = CONFIDENCE,
    *,
    weightings: int = WEIGHTINGS,
) -> tuple[Floats, Floats, Floats]:
    """Return the fields of the estimates of ``auto`` of the rows of ``values`` (K x N); ``far`` has a flag for each.

    ``low`` and ``high`` are the ends of their support, see :func:`bounded_estimates`.
    """
    ends = skewed_estimates(values, confidence)
    other = student_estimates(values, confidence)
    rare = far | (np.ptp(values, axis=1) == 0)
    if rare.any():
        found = bounded_estimates(values[rare], low[rare], high[rare], confidence, weightings=weightings)
        for whole, part in zip(other, found, strict=True):
            whole[rare] = part
    return np.minimum(ends[0], other[0]), np.maximum(ends[1], other[1]), np.maximum(ends[2], other[2])


class Sample(NamedTuple):
    """Values that were ``drawn``, whose mean is to be estimated, and what :func:`estimate` takes beside them."""

    drawn: Floats
    bounds: tuple[float, float]
    far: bool
    limits: tuple[float, float]


def estimate_all(samples: Sequence[Sample], method: Method = "auto", confidence: float = CONFIDENCE) -> list[Estimate]:
    """Return :func:`estimate` of all ``samples``, those of ``auto`` with as many values together: far faster."""
    if method != "auto":
        return [estimate(each.drawn, method, confidence, each.bounds) for each in samples]
    found = [Estimate()] * len(samples)
    alike: dict[int, list[int]] = {}
    for number, each in enumerate(samples):
        if len(each.drawn) >= FEWEST_FOR_INTERVAL and np.isfinite(each.drawn).all():
            alike.setdefault(len(each.drawn), []).append(number)
    for numbers in alike.values():
        rows = np.array([samples[number].drawn for number in numbers])
        low, high = np.array([samples[number].bounds for number in numbers]).T
        ends = auto_estimates(rows, low, high, np.array([samples[number].far for number in numbers]), confidence)
        for number, *fields in zip(numbers, *(part.tolist() for part in ends), strict=True):
            found[number] = _within(Estimate(*fields), samples[number].limits)
    return found


def _within(found: Estimate, limits: tuple[float, float]) -> Estimate:
    return Estimate(max(found.low, limits[0]), min(found.high, limits[1]), found.p)


def _first(ends: tuple[Floats, Floats, Floats]) -> Estimate:
    return Estimate(*(float(part[0]) for part in ends))


def check_method(method: str) -> None:
    """Raise ValueError, naming those that there are, where ``method`` is none."""
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")


def proportion_interval(events: float, trials: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval (Clopper and Pearson) of how often something happens that did ``events`` times.

    NaN without ``trials``, which need be no whole number where they are an effective one. Shares from 0 to 1.
    """
    if not trials:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low = beta_quantile(events, trials - events + 1, tail) if events else 0.0
    high = beta_quantile(events + 1, trials - events, 1 - tail) if events < trials else 1.0
    return low, high


def holm(probabilities: Sequence[float], error: float = 1 - CONFIDENCE) -> list[bool]:
    """Return which of many tests may be called significant together, being wrong in any of them with ``error`` at most.

    Holm's procedure; NaN is no test and not significant.
    """
    tests = [index for index, p in enumerate(probabilities) if not math.isnan(p)]
    found = [False] * len(probabilities)
    for rank, index in enumerate(sorted(tests, key=lambda index: probabilities[index])):
        if probabilities[index] > error / (len(tests) - rank):
            break
        found[index] = True
    return found


def needed(
    differences: Floats, bounds: tuple[float, float] | None = None, tests: int = 1, *, unseen: bool = True
) -> float:
    """Return about how many replications it takes until the interval of the mean of ``differences`` leaves out 0.

    That is with the confidence that Holm's procedure asks of the first of so many ``tests``. ``bounds`` are the ends of
    the support, see :func:`support`; the values' own where None. NaN where it cannot be told: fewer than two values, or
    a mean of 0. The interval reaches as far as the normal one and, for what is ``unseen``, by ln(2 / error) / N of the
    way to the end of the support (a share of 0 of N may be 3.7 / N with 97.5 %).
    """
    finite = differences[np.isfinite(differences)]
    if len(finite) < 2 or not (mean := float(finite.mean())):  # noqa: PLR2004
        return math.nan
    tail = (1 - CONFIDENCE) / max(tests, 1) / 2
    farthest = float(np.abs(finite - mean).max())
    if bounds is not None and all(map(math.isfinite, bounds)):
        farthest = max(farthest, mean - bounds[0] if mean > 0 else bounds[1] - mean)
    spread = -normal_quantile(tail) * float(finite.std(ddof=1)) / abs(mean)
    reach = -math.log(tail) * farthest / abs(mean) if unseen else 0.0
    # N with spread / sqrt(N) + reach / N = 1.
    root = (spread + math.sqrt(spread * spread + 4 * reach)) / 2
    return float(max(FEWEST_FOR_INTERVAL, math.ceil(root * root)))
