"""How short an axis may be: differences that are tiny beside the values themselves shall look tiny."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.scores.definition import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.scores.definition import Score

_LEAST_COVERED: Final = 0.2
_LEAST_DIFFERENCE: Final = 0.02
"""Of the largest value: what an axis covers at least, and one of differences on either side of 0."""


def whole(score: Score) -> bool:
    """Whether ``score`` is a count, between whose values there is nothing to name."""
    return score.unit is NUMBER


def least_span(values: Iterable[float], low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis of ``values``: ``low``, or further down where that is close to it, and ``high``."""
    largest = max((abs(value) for value in values), default=0.0)
    return min(low, high - _LEAST_COVERED * largest), high


def least_differences(score: Score, largest: float) -> float:
    """Return what an axis of differences in ``score`` reaches on either side at least; ``largest`` is of its values."""
    return max(1.0 if whole(score) else 0.0, _LEAST_DIFFERENCE * abs(largest))
