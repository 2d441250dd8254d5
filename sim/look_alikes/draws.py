"""How a look-alike draws: from published quantiles, evenly over a population, and steadily over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution known by some of its quantiles: ``knots`` are (probability, value), both ascending.

    Between them it is straight in the logarithm of the value, as sizes are spread over magnitudes; ``straight`` takes
    the value itself, as for what may be 0.
    """

    knots: Sequence[tuple[float, float]]
    straight: bool = False

    def __call__(self, probabilities: Floats) -> Floats:
        """Return the values at ``probabilities``, of the same shape."""
        p, values = np.array(self.knots, dtype=np.float64).T
        between = np.interp(probabilities, p, values if self.straight else np.log(values))
        return np.asarray(between if self.straight else np.exp(between), dtype=np.float64)


def evenly(rng: np.random.Generator, count: int) -> Floats:
    """Return ``count`` probabilities, one from the middle of each equal part of 0 to 1, in random order.

    So a small population has the quantiles of the large one that it stands for, and not those of a small sample of it.
    """
    return (rng.permutation(count) + 0.5) / count


def paired(rng: np.random.Generator, first: Floats, closeness: float) -> Floats:
    """Return probabilities, evenly spread, that go with ``first``: 1 for the same order, 0 for one of its own."""
    mixed = closeness * normal(first) + np.sqrt(1 - closeness**2) * rng.standard_normal(len(first))
    return (np.argsort(np.argsort(mixed)) + 0.5) / len(first)


def steady(rng: np.random.Generator, count: int, keeps: float) -> Floats:
    """Return ``count`` standard normal values in order of time, each ``keeps`` (0 to 1) of the one before and new."""
    fresh = rng.standard_normal(count) * np.sqrt(1 - keeps**2)
    value = float(rng.standard_normal())
    path = np.empty(count)
    for i, each in enumerate(fresh.tolist()):
        value = keeps * value + each
        path[i] = value
    return path


def share_below(values: Floats) -> Floats:
    """Return the share of a standard normal distribution that lies below each of ``values``."""
    from scipy.special import ndtr

    return np.asarray(ndtr(values), dtype=np.float64)


def normal(probabilities: Floats) -> Floats:
    """Return the quantiles of the standard normal distribution."""
    from scipy.special import ndtri

    return np.asarray(ndtri(probabilities), dtype=np.float64)
