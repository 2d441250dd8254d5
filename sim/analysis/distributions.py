"""The distributions that intervals need: normal, Student's, and the regularised incomplete beta function.

SciPy has all of them, and the tests hold these to it; but importing it takes longer than all else that a command does
with results that are there.

Sources: NIST Digital Library of Mathematical Functions, 8.17(v), the continued fraction of the incomplete beta
function, evaluated as by I. J. Thompson and A. R. Barnett, "Coulomb and Bessel functions of complex arguments and
order", Journal of Computational Physics 64 (1986); M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions"
(1964), 26.7.1, for Student's distribution by that.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

_TINY: Final = 1e-300
_MOST_STEPS: Final = 10_000
"""More are needed by no beta distribution of fewer than a hundred million events."""


def normal_below(place: float) -> float:
    """Return how likely a standard normal number is below ``place``."""
    return math.erfc(-place / math.sqrt(2)) / 2


def normal_quantile(share: float) -> float:
    """Return the place below which a standard normal number is with the probability ``share``, between 0 and 1."""
    return NormalDist().inv_cdf(share)


def student_below(freedom: float, places: Floats) -> Floats:
    """Return how likely a number of Student's distribution is below each of ``places``."""
    squares = places * places
    tail = _beta_below(freedom / 2, 0.5, freedom / (freedom + squares), squares / (freedom + squares)) / 2
    return np.where(places > 0, 1 - tail, tail)


def student_quantile(freedom: float, share: float) -> float:
    """Return the place below which a number of Student's distribution is with the probability ``share``."""
    if share == 0.5:  # noqa: PLR2004  the middle
        return 0.0
    # Of the tail: what is left of a share near 1 has no digits that could tell the place.
    tail = min(share, 1 - share)
    beyond = beta_quantile(freedom / 2, 0.5, 2 * tail)
    return math.copysign(math.sqrt(freedom * (1 - beyond) / beyond), share - 0.5)


@lru_cache(maxsize=1024)
def beta_quantile(a: float, b: float, share: float) -> float:
    """Return x, from 0 to 1, at which the regularised incomplete beta function I_x(a, b) is ``share``."""
    if a == 1:
        return -math.expm1(math.log1p(-share) / b)
    if b == 1:
        return float(share ** (1 / a))
    constant = _log_constant(a, b)

    def missing(x: float) -> tuple[float, float]:
        place, rest = np.array([x]), np.array([1 - x])
        density = math.exp(constant + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x))
        return float(_beta_below(a, b, place, rest)[0]) - share, density

    return root(missing, 0.0, 1.0)


def root(function: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """Return where ``function``, which rises from below 0 to above it between ``low`` and ``high``, is 0.

    It gives its value and its slope, and is never called at the ends. Newton's steps; halves where these lead out.
    """
    place = (low + high) / 2
    while low < place < high:
        value, slope = function(place)
        if value == 0:
            break
        low, high = (place, high) if value < 0 else (low, place)
        nearer = place - value / slope if slope > 0 else math.nan
        if abs(nearer - place) <= 2e-16 * abs(place):
            break
        place = nearer if low < nearer < high else (low + high) / 2
    return place


def _beta_below(a: float, b: float, x: Floats, rest: Floats) -> Floats:
    """Return I_x(a, b) of each of ``x``; ``rest`` is 1 - x, which has digits that x has not where that is near 1."""
    near = x > (a + 1) / (a + b + 2)
    found = np.empty_like(x)
    # The fraction converges fast below the mean; above it, it is that of the rest.
    for some, first, second, place, other in ((~near, a, b, x, rest), (near, b, a, rest, x)):
        if some.any():
            found[some] = _by_fraction(first, second, place[some], other[some])
    return np.where(near, 1 - found, found)


def _log_constant(a: float, b: float) -> float:
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)


def _by_fraction(a: float, b: float, x: Floats, rest: Floats) -> Floats:
    with np.errstate(divide="ignore", under="ignore"):
        front = np.exp(_log_constant(a, b) + a * np.log(x) + b * np.log(rest)) / a
    upper = np.ones_like(x)
    lower = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = lower.copy()
    for step in range(1, _MOST_STEPS):
        for term in (
            step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step)),
            -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1)),
        ):
            lower = 1 / _not_zero(1 + term * lower)
            upper = _not_zero(1 + term / upper)
            change = upper * lower
            value *= change
        if (np.abs(change - 1) < 3e-16).all():  # noqa: PLR2004  the last digit of a number of double precision
            break
    return np.asarray(front * value)


def _not_zero(values: Floats) -> Floats:
    return np.where(np.abs(values) < _TINY, _TINY, values)
