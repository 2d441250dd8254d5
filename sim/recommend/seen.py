"""What was seen of a scenario: rows of all candidates, their means and differences, and who beats whom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.analysis.tradeoffs import unbeaten
from sim.recommend.terms import WALL
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from sim.recommend.contract import Candidate, Limit, Objective, Selection

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """A scenario as it was found: ``rows`` of each candidate hold ``columns``, a row per replication."""

    candidates: Sequence[Candidate]
    choices: Sequence[bool]
    columns: Sequence[str]
    rows: Sequence[Floats]
    limits: Sequence[Limit]
    objective: Objective
    selection: Selection
    population: int | None

    @property
    def pick(self) -> Candidate | None:
        """The candidate that was picked."""
        return None if self.selection.pick is None else self.candidates[self.selection.pick]

    def mean(self, candidate: int, score: str, count: int | None = None) -> float:
        """Return the mean of a score over the first ``count`` replications of a candidate, NaN where it has none."""
        values = self.rows[candidate][:count, list(self.columns).index(score)]
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else math.nan

    def least(self, candidate: int, score: str) -> float:
        """Return the least of a score, NaN where it has none."""
        values = self.rows[candidate][:, list(self.columns).index(score)]
        values = values[~np.isnan(values)]
        return float(values.min()) if len(values) else math.nan

    def worst(self, candidate: int, score: str) -> float:
        """Return the worst of a score that is the least or the most of a run, NaN where it is not or has none."""
        values = self.rows[candidate][:, list(self.columns).index(score)]
        return SCORES[score].worst(values[~np.isnan(values)])

    def failed(self, candidate: int, count: int | None = None) -> int:
        """Return in how many of the first ``count`` replications something failed."""
        places = [list(self.columns).index(name) for name in FAILING]
        rows = self.rows[candidate][:count]
        with np.errstate(invalid="ignore"):
            return int(((rows[:, places] > 0).any(axis=1) | np.isnan(rows).all(axis=1)).sum())

    def lost(self, candidate: int) -> int:
        """Return how many replications of a candidate failed to run."""
        return int(np.isnan(self.rows[candidate]).all(axis=1).sum())

    @property
    def ran(self) -> bool:
        """Whether any replication of any candidate came to its end."""
        return any(self.lost(each) < len(rows) for each, rows in enumerate(self.rows))

    def shared(self, one: int, other: int) -> int:
        """Return how many replications two candidates have both: the first of each, and the same wishes."""
        return min(len(self.rows[one]), len(self.rows[other]))

    def gap(self, one: int, other: int, score: str) -> float:
        """Return how much more of a score ``one`` has than ``other``, as the mean of pairs; NaN where there are none.

        Means of all that each has are no measure: who was given up early met other wishes.
        """
        place, count = list(self.columns).index(score), self.shared(one, other)
        gaps = self.rows[one][:count, place] - self.rows[other][:count, place]
        gaps = gaps[~np.isnan(gaps)]
        return float(gaps.mean()) if len(gaps) else math.nan

    def gain(self, candidate: int, pick: int) -> float:
        """Return by how much a candidate is better than the pick, as the mean of pairs; NaN where there are none."""
        sign = 1 if self.objective.better == "higher" else -1
        return sign * self.gap(candidate, pick, self.objective.score)

    def more(self, gain: float) -> str:
        """Return what who is better by ``gain`` (worse below 0) has of the objective: more or less."""
        return "more" if (gain > 0) == (self.objective.better == "higher") else "less"

    def label(self, candidate: int) -> str:
        """Return what a candidate is called."""
        return self.candidates[candidate].label

    def complete(self, candidate: int) -> bool:
        """Whether all replications that there are were run of a candidate, so that its shares are no estimates."""
        return self.population is not None and len(self.rows[candidate]) >= self.population

    @property
    def fixed(self) -> bool:
        """Whether all replications that there are were run of every choice, so that nothing is an estimate."""
        left = set(self.selection.left_out)
        chosen = (number for number, choice in enumerate(self.choices) if choice and number not in left)
        return all(map(self.complete, chosen))


def over_all(parts: Sequence[Floats], columns: Sequence[str]) -> Floats:
    """Return a row per replication over several scenarios: means of ``columns``, and the most of what tells failures.

    A scenario that has no more replications begins with its first again.
    """
    count = max(map(len, parts))
    whole = np.stack([part[np.arange(count) % len(part)] for part in parts])
    rows: Floats = whole.mean(axis=0)
    for place, name in enumerate(columns):
        if name in FAILING:
            rows[:, place] = whole[:, :, place].max(axis=0)
        elif name == WALL:
            rows[:, place] = whole[:, :, place].min(axis=0)
    return rows


def front(seen: Seen) -> list[int]:
    """Return the candidates that no other beats in the objective and in headroom without failing more often."""
    known = [each for each in range(len(seen.rows)) if not math.isnan(seen.mean(each, seen.objective.score))]
    return unbeaten(known, lambda other, one: _beats(seen, other, one))


def _beats(seen: Seen, one: int, other: int) -> bool:
    """Whether ``one`` has as much of all and more of something, in the replications that both have."""
    count, room = seen.shared(one, other), seen.gap(one, other, WALL)
    often = seen.failed(other, count) - seen.failed(one, count)
    more = (seen.gain(one, other), 0.0 if math.isnan(room) else room, often)
    return all(each >= 0 for each in more) and any(more)
