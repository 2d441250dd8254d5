"""The list of all scores, each defined once with its unit, its formula and where it comes from.

To add one: an entry in the module of the question that it helps to answer. :data:`SCORES` is all of them, and the
result files, the tables, the plots and the documentation derive from it.
A score that a run does not define (no ratio is configured, nothing was plugged, ...) is NaN, never a silent 0; each
score says when that is. Means are exact integrals of step functions divided by time, not samples.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sim.scores.arrivals import ARRIVAL_SCORES
from sim.scores.definition import Direction, Question, Score, Unit
from sim.scores.failures import FAILURE_SCORES
from sim.scores.measured import Measured
from sim.scores.returns import RETURN_SCORES
from sim.scores.wall import WALL_SCORES
from sim.scores.zones import ZONE_SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.record.events import Events
    from sim.record.run_result import RunResult
    from sim.record.series import RunSeries

__all__ = ["SCORES", "Direction", "Question", "Score", "Unit", "compute_scores"]

SCORES: Final[Mapping[str, Score]] = MappingProxyType(
    {score.name: score for score in (*FAILURE_SCORES, *ARRIVAL_SCORES, *RETURN_SCORES, *WALL_SCORES, *ZONE_SCORES)}
)
"""All scores by name, in the order in which they are shown."""


def compute_scores(
    result: RunResult, series: RunSeries | None = None, events: Events | None = None
) -> dict[str, float]:
    """Return every score of :data:`SCORES` for ``result``.

    ``series`` and the ``events`` by column, if at hand, save computing them a second time.
    """
    measured = Measured(result, series, events)
    return {score.name: score.function(measured) for score in SCORES.values()}
