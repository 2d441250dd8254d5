"""What replications prove, whenever one looks: that a limit is kept or broken, that nothing is better.

Each function gives an *e-value*: what a gambler would have made of 1 by betting against a claim, at odds that are fair
while the claim is true. It is above 1 / a with a probability of at most a, however often one looks and whatever one
looks at before the next replication is run (Ville's inequality); so a claim is given up once that is reached, and no
number of looks has to be fixed beforehand. No distribution is assumed. Of differences one thing is: how far out those
lie that were not seen, see :func:`sim.analysis.intervals.support`.

Sources: J. Ville, "Etude critique de la notion de collectif" (1939); A. Wald, "Sequential tests of statistical
hypotheses", Ann. Math. Statist. 16 (1945); I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables
by betting", J. R. Stat. Soc. B 86 (2024); A. Ramdas et al., "Game-theoretic statistics and safe anytime-valid
inference", Statistical Science 38 (2023).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

SURE: Final = 0.99
"""The share of replications that is shown of what must hold in every one: no number of them shows more than a share."""

_RARER: Final = np.array([1e-3, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85])
_RARER_WEIGHTS: Final = np.array([0.40, 0.12, 0.14, 0.12, 0.10, 0.07, 0.05])
"""What is bet on where a limit shall be shown to be kept: failures this many times as often as allowed."""

_OFTENER: Final = np.array([0.03, 0.08, 0.16, 0.3, 0.45, 0.65, 0.85, 0.97])
"""Where it shall be shown to be broken: failures this far from the allowed share to all."""

_STAKES: Final = np.array([0.001, 0.004, 0.015, 0.05, 0.12, 0.25, 0.5, 0.75, 0.97])
_STAKE_WEIGHTS: Final = np.array([0.08, 0.08, 0.08, 0.09, 0.09, 0.09, 0.09, 0.1, 0.3])
"""Shares of what the gambler has that are staked on a mean: most of it where nothing bad has been seen."""

FARTHEST: Final = 1e9
"""So many replications stand for: never."""


def kept(failed: npt.ArrayLike, count: npt.ArrayLike, share: float) -> Floats:
    """Return the logarithm of the evidence that a limit is kept, after ``failed`` of ``count`` replications.

    Against the claim that it holds in less than ``share``, which is below 1.
    """
    allowed = 1 - share
    return _binomial(failed, count, allowed, _RARER * allowed, np.log(_RARER_WEIGHTS))


def broken(failed: npt.ArrayLike, count: npt.ArrayLike, share: float) -> Floats:
    """Return the logarithm of the evidence that a limit is broken, against the claim that it holds in ``share``."""
    allowed = 1 - share
    if allowed == 0:
        return np.where(np.asarray(failed) > 0, math.inf, 0.0)
    oftener = allowed + (1 - allowed) * _OFTENER
    return _binomial(failed, count, allowed, oftener, np.full(len(oftener), -math.log(len(oftener))))


def _binomial(failed: npt.ArrayLike, count: npt.ArrayLike, null: float, other: Floats, weights: Floats) -> Floats:
    """Return the logarithm of a mean of likelihood ratios: shares ``other`` against the share ``null``."""
    bad = np.asarray(failed, dtype=np.float64)[..., np.newaxis]
    good = np.asarray(count, dtype=np.float64)[..., np.newaxis] - bad
    ratios = bad * np.log(other / null) + good * np.log((1 - other) / (1 - null)) + weights
    return np.asarray(np.logaddexp.reduce(ratios, axis=-1))


def highest(log_evidence: Floats) -> float:
    """Return the greatest of a sequence's evidence as a probability: how likely it is where the claim is true."""
    return min(1.0, math.exp(-max(0.0, float(log_evidence.max(initial=0.0)))))


def to_keep(failed: int, count: int, share: float, error: float, rate: float) -> float:
    """Return about how many replications more it takes to show that a limit is kept but for ``error``.

    ``rate`` of them are taken to fail. FARTHEST where that never does.
    """

    def lacks(more: float) -> bool:
        return float(kept(failed + rate * more, count + more, share)) < -math.log(error)

    if not lacks(0):
        return 0.0
    more = 1.0
    while lacks(more):
        more *= 2
        if more > FARTHEST:
            return FARTHEST
    low, high = more / 2, more
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if lacks(middle) else (low, middle)
    return math.ceil(high)


def not_better(differences: Floats, reach: float, indifference: float) -> Floats:
    """Return the logarithm of the evidence, after each of ``differences``, that their mean is above -``indifference``.

    Against the claim that it is not. No difference is below -``reach``; where that is no farther than the indifference
    nothing has to be shown.
    """
    if len(differences) == 0:
        return np.zeros(0)
    room = max(reach, float(-differences.min())) - indifference
    if room <= 0:
        return np.full(len(differences), math.inf)
    gains = (differences + indifference) / room
    capital = np.cumsum(np.log1p(np.multiply.outer(gains, _STAKES)), axis=0) + np.log(_STAKE_WEIGHTS)
    return np.asarray(np.logaddexp.reduce(capital, axis=-1))


def to_tell(differences: Floats, reach: float, indifference: float, error: float) -> float:
    """Return about how many pairs more it takes to show the same but for ``error``, if they go on as they were."""
    room = max(reach, float(-differences.min(initial=0.0))) - indifference
    if room <= 0:
        return 0.0
    if not len(differences):
        return FARTHEST
    growth = float(np.log1p(np.multiply.outer((differences + indifference) / room, _STAKES)).mean(axis=0).max())
    lacking = -math.log(error) - float(not_better(differences, reach, indifference)[-1])
    if lacking <= 0:
        return 0.0
    return math.ceil(lacking / growth) if growth > lacking / FARTHEST else FARTHEST
