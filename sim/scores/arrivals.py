"""Whether what the host wanted to be there came."""

from __future__ import annotations

from typing import Final

from sim.scores.definition import NUMBER, OWN, Question, Score

ARRIVAL_SCORES: Final = (
    Score(
        "decisions",
        "Decisions",
        NUMBER,
        "neither",
        Question.ARRIVALS,
        lambda m: m.counter("decisions"),
        formula="number of memory blocks that the policy was asked about",
        source=OWN,
        undefined="the core kept no such counter",
    ),
    Score(
        "failed_requests",
        "Failed requests",
        NUMBER,
        "lower",
        Question.ARRIVALS,
        lambda m: m.counter("failed_requests"),
        formula="number of requests of the host that were impossible to begin with (no such device, no free slot, ...)",
        source=OWN,
        undefined="the core kept no such counter",
        headline=True,
    ),
    Score(
        "failed_operations",
        "Failed operations of drivers",
        NUMBER,
        "lower",
        Question.ARRIVALS,
        lambda m: m.counter("failed_operations"),
        formula="number of additions and removals of memory that the guest's drivers tried in vain",
        source=OWN,
        undefined="the core kept no such counter",
        headline=True,
    ),
)
"""In the order in which they are shown."""
