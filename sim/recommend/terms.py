"""How sure a pick shall be, what of that is for its limits, and how many replications that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.analysis.compare import HEADLINE_SCORES
from sim.analysis.intervals import CONFIDENCE
from sim.recommend.evidence import FARTHEST, SURE, to_keep
from sim.scores.definition import Question
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.recommend.contract import Limit

OF_LIMITS: Final = 0.6
"""The part of the error that is for taking a limit to be kept that is not."""

MOST: Final = 400
"""Replications that a candidate gets at most, unless a limit asks for so large a share that it takes more."""

MOST_BY_ITSELF: Final = 1500
"""Replications beyond which none is given without being asked for, whatever a limit asks."""

FIRST: Final = (5, 10, 20, 40)
"""How many replications candidates get before the order is fixed, as long as they are worth it."""

FEWEST: Final = 10
"""Replications that are added at a time."""

NEAR: Final = 3.0
"""Times the indifference by which another may be better, for a pair that replications will not tell closer."""

UNSURE: Final = 60
"""Replications up to which what a candidate seems to need is no reason to give up."""

TWINS: Final = 20
"""Replications in which two must have done the same to be taken for the same."""

WALL: Final = next(name for name in HEADLINE_SCORES if SCORES[name].question is Question.WALL)
"""The score that says how near the kernel was to the wall: of candidates that are as good, the one farther from it."""

ARRIVED: Final = "arrived_share"
"""The score of which no choice may have much less than others; where it is among the columns."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How sure the pick shall be, with how many replications of each candidate, and of all, at most."""

    confidence: float = CONFIDENCE
    most: int | None = None
    budget: int | None = None

    def most_of(self, limits: Sequence[Limit]) -> int:
        """Return the replications of a candidate: :data:`MOST`, or some more than the strictest limit takes."""
        if self.most is not None:
            return self.most
        error = OF_LIMITS * (1 - self.confidence) / 2
        needs = (to_keep(0, 0, min(limit.share, SURE), error, 0.0) for limit in limits)
        return int(min(max([MOST, *(1.5 * need + FIRST[-1] for need in needs)]), MOST_BY_ITSELF))


def needed_for(failed: int, count: int, share: float, confidence: float = CONFIDENCE) -> float:
    """Return about how many replications more it takes until the procedure is sure that a limit is kept in ``share``.

    At the rate seen so far; the first candidate in the order, with those replications that make the order. Infinity
    where the rate is no lower than what the limit allows.
    """
    rate = failed / count if count else 0.0
    fresh = to_keep(0, 0, min(share, SURE), OF_LIMITS * (1 - confidence) / 2, rate)
    return math.inf if fresh >= FARTHEST else max(1.0, fresh + FIRST[-1] - count)
