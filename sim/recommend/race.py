"""What was sampled of candidates so far, and what it shows of each and of each pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import bdtrc, kl_div

from sim.analysis.bounded import bounded_estimates
from sim.analysis.intervals import CONFIDENCE, FEWEST_FOR_INTERVAL, proportion_interval, support
from sim.recommend import evidence
from sim.recommend.contract import Judged, LimitFound
from sim.recommend.evidence import FARTHEST, SURE
from sim.scores.failures import FAILING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from sim.recommend.contract import Limit, Objective, Sampler

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

_FEWEST_FOR_REACH: Final = 10
"""Pairs with which nothing is said yet of how far out those lie that were not seen."""

_WEIGHTINGS: Final = 2000
"""For the intervals of means, which only show."""


_FEWEST_WITHOUT: Final = 10
"""Replications without a value of the objective in any of which a candidate is taken to have none."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What candidates are judged by: ``columns`` names what a sampler's rows hold, by which the others name theirs."""

    columns: tuple[str, ...]
    limits: tuple[Limit, ...]
    objective: Objective
    highest: float = math.inf

    @property
    def sign(self) -> float:
        """1 where more of the objective is better, -1 where less is."""
        return 1.0 if self.objective.better == "higher" else -1.0

    def breaks(self, limit: Limit, rows: Floats) -> Bools:
        """Return in which of ``rows``, a replication each, the limit was not kept."""
        values = rows[:, [self.columns.index(name) for name in limit.scores]]
        with np.errstate(invalid="ignore"):
            out = (values > limit.bound) if limit.sense == "at most" else (values < limit.bound)
        return np.asarray(out.any(axis=1) | np.isnan(rows).all(axis=1))


class Race:
    """Candidates with their replications, of which each has the first so many, and no more than ``most``.

    ``budget`` limits the replications of all candidates together.
    """

    def __init__(self, sampler: Sampler, count: int, rules: Rules, most: int, budget: int) -> None:
        self._sampler, self._rules, self._budget = sampler, rules, budget
        self._rows = [np.empty((0, len(rules.columns))) for _ in range(count)]
        self._place = {name: place for place, name in enumerate(rules.columns)}
        self._known: dict[tuple[object, ...], float] = {}
        self.most = most
        self.spent = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, count: int, budget: int | None) -> None:
        """Take in so many candidates more, and the replications for them unless there is a ``budget``."""
        self._rows += [np.empty((0, len(self._rules.columns))) for _ in range(count)]
        if budget is None:
            self._budget += count * self.most
        self.grow(dict.fromkeys(range(len(self) - count, len(self)), 1))

    def count(self, candidate: int) -> int:
        """Return how many replications a candidate has."""
        return len(self._rows[candidate])

    def grow(self, wanted: Mapping[int, int]) -> bool:
        """Give candidates as many replications as are ``wanted``; whether any got more."""
        ranges: dict[int, range] = {}
        for candidate in sorted(wanted):
            start = self.count(candidate)
            stop = min(wanted[candidate], self.most, start + self._budget - self.spent)
            if stop > start:
                ranges[candidate] = range(start, stop)
                self.spent += stop - start
        if not ranges:
            return False
        for candidate, rows in self._sampler.sample(ranges).items():
            self._rows[candidate] = np.concatenate([self._rows[candidate], rows])
        if self._sampler.population is not None:
            self.most = min(self.most, self._sampler.population)
        return True

    def same(self, one: int, other: int) -> bool:
        """Whether two candidates did the same in each replication that both have."""
        count = min(self.count(one), self.count(other))
        return np.array_equal(self._rows[one][:count], self._rows[other][:count], equal_nan=True)

    def complete(self, count: int) -> bool:
        """Whether ``count`` replications are all that there are."""
        return self._sampler.population is not None and count >= self._sampler.population

    # Limits

    def failed(self, candidate: int, limit: Limit) -> Bools:
        """Return in which replications of a candidate the limit was not kept."""
        return self._rules.breaks(limit, self._rows[candidate])

    def chance_that_broken(self, candidate: int, start: int) -> float:
        """Return how likely what came from replication ``start`` on is, where the candidate does not keep a limit.

        The greatest of any limit: all have to be kept.
        """
        return max((self._once("kept", candidate, limit, start) for limit in self._rules.limits), default=0.0)

    def chance_that_kept(self, candidate: int) -> float:
        """Return how likely what was seen is, where the candidate keeps all limits; corrected for their number."""
        found = [self._once("broken", candidate, limit, 0) for limit in self._rules.limits]
        return min(1.0, len(found) * min(found)) if found else 1.0

    def _once(self, what: str, candidate: int, limit: Limit, start: int) -> float:
        count = self.count(candidate)
        key = (what, candidate, limit, start, count)
        if key not in self._known:
            failed = self.failed(candidate, limit)
            if self.complete(count):
                keeps = float(failed.mean()) <= 1 - limit.share + 1e-12
                self._known[key] = float(keeps != (what == "kept"))
            else:
                failed = failed[start:]
                bad, good = np.cumsum(failed), np.arange(1, len(failed) + 1)
                share = min(limit.share, SURE) if what == "kept" else limit.share
                if what == "kept" and limit.share == 1 and bad.max(initial=0):
                    self._known[key] = 1.0
                else:
                    of = evidence.kept if what == "kept" else evidence.broken
                    self._known[key] = evidence.highest(of(bad, good, share))
        return self._known[key]

    def fits(self, candidate: int) -> bool:
        """Whether limits were kept as often as they must be, chance aside."""
        count = max(self.count(candidate), 1)
        return all(
            self.failed(candidate, limit).sum() <= (1 - limit.share) * count + 1e-9 for limit in self._rules.limits
        )

    def may_break(self, candidate: int) -> float:
        """Return by how much more than it may a candidate breaks a limit at most, by the 95 % intervals."""
        count = self.count(candidate)
        held = (count - int(self.failed(candidate, limit).sum()) for limit in self._rules.limits)
        lows = (proportion_interval(kept, count)[0] for kept in held)
        return max((limit.share - low for low, limit in zip(lows, self._rules.limits, strict=True)), default=0.0)

    def looks_broken(self, candidate: int) -> bool:
        """Whether a limit was broken so often that more replications are not worth it, as long as others do better."""
        count = self.count(candidate)
        for limit in self._rules.limits:
            bad = int(self.failed(candidate, limit).sum())
            if bad and float(bdtrc(bad - 1, count, 1 - limit.share)) < 0.01:  # noqa: PLR2004
                return True
        return False

    def to_show_kept(self, candidate: int, start: int, error: float) -> float:
        """Return about how many replications more it takes to show that the candidate keeps all limits."""
        most = 0.0
        for limit in self._rules.limits:
            failed = self.failed(candidate, limit)
            fresh = failed[start:]
            if limit.share == 1 and failed.any():
                return FARTHEST
            missing = max(0, start - self.count(candidate))
            share = min(limit.share, SURE)
            most = max(most, missing + evidence.to_keep(int(fresh.sum()), len(fresh), share, error, _rate(failed)))
        return most

    def to_show_broken(self, candidate: int, error: float) -> float:
        """Return about how many replications more it takes to show that the candidate breaks a limit."""
        fewest = FARTHEST
        for limit in self._rules.limits:
            failed = self.failed(candidate, limit)
            share = float(failed.mean())
            if share > 1 - limit.share > 0:
                # What a replication tells at most, which the evidence comes near to.
                growth = float(kl_div(share, 1 - limit.share) + kl_div(1 - share, limit.share))
                fewest = min(fewest, math.ceil((math.log(len(self._rules.limits) / error) + 2) / growth) - len(failed))
        return max(fewest, 1.0)

    # The objective

    def values(self, candidate: int) -> Floats:
        """Return the objective in the replications of a candidate."""
        values: Floats = self._rows[candidate][:, self._place[self._rules.objective.score]]
        return values

    def mean(self, candidate: int) -> float:
        """Return the candidate's mean objective, the more the better; minus infinity where it has none."""
        values = self.values(candidate)
        values = values[~np.isnan(values)]
        return self._rules.sign * float(values.mean()) if len(values) else -math.inf

    def where_nothing_failed(self, candidate: int, column: str) -> float:
        """Return the mean of a column over the replications in which nothing failed; minus infinity without any."""
        rows = self._rows[candidate]
        failing = [self._place[name] for name in FAILING if name in self._place]
        with np.errstate(invalid="ignore"):
            values = rows[~(rows[:, failing] > 0).any(axis=1), self._place[column]]
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else -math.inf

    def _pairs(self, one: int, other: int) -> tuple[Floats, float]:
        """Return by how much ``one`` was better than ``other`` in each replication, and how far less it may be."""
        count = min(self.count(one), self.count(other))
        table = np.full((count, len(self)), np.nan)
        for candidate in range(len(self)):
            values = self.values(candidate)[:count]
            table[: len(values), candidate] = values
        gaps = self._rules.sign * (table[:, one] - table[:, other])
        gaps = gaps[~np.isnan(gaps)]
        if not len(gaps):
            return gaps, math.inf
        if count < _FEWEST_FOR_REACH:
            return gaps, max(self._rules.highest, float(-gaps.min()))
        low, high = support(table, self._rules.objective.better, other, self._rules.highest)
        return gaps, float(-low[one] if self._rules.sign > 0 else high[one])

    def chance_that_better(self, other: int, one: int) -> float:
        """Return how likely what was seen is, where ``other`` is better than ``one`` by more than the indifference."""
        key = ("better", other, one, self.count(other), self.count(one))
        if key not in self._known:
            gaps, reach = self._pairs(one, other)
            slack = self._rules.objective.indifference
            if not len(gaps):
                count = min(self.count(one), self.count(other))
                few = count < _FEWEST_WITHOUT and not self.complete(count)  # the next may have a value
                chance = float(few or not math.isfinite(self.mean(one)) or math.isfinite(self.mean(other)))
            elif self.complete(min(self.count(one), self.count(other))):
                chance = float(gaps.mean() < -slack)
            else:
                chance = evidence.highest(evidence.not_better(gaps, reach, slack))
            self._known[key] = chance
        return self._known[key]

    def to_tell(self, other: int, one: int, error: float) -> float:
        """Return about how many pairs more it takes to show that ``other`` is not better than ``one``, or is broken."""
        gaps, reach = self._pairs(one, other)
        return evidence.to_tell(gaps, reach, self._rules.objective.indifference, error) if len(gaps) else FARTHEST

    def at_most_better(self, other: int, one: int, error: float) -> float:
        """Return by how much ``other`` is better than ``one`` at most, but for ``error``; infinity if nobody knows."""
        gaps, reach = self._pairs(one, other)
        if not len(gaps) or not math.isfinite(reach):
            return math.inf if math.isfinite(self.mean(other)) else -math.inf
        if self.complete(min(self.count(one), self.count(other))):
            return -float(gaps.mean())
        low, high = -float(gaps.mean()), reach
        for _ in range(30):
            middle = (low + high) / 2
            shown = evidence.highest(evidence.not_better(gaps, reach, middle)) <= error
            low, high = (low, middle) if shown else (middle, high)
        return high

    # In all

    def judged(self, candidate: int, start: int, errors: tuple[float, float], *, intervals: bool) -> Judged:
        """Return what was found of a candidate; ``errors`` are those of showing that limits are kept, and broken."""
        limits = []
        for limit in self._rules.limits:
            count = self.count(candidate)
            held = count - int(self.failed(candidate, limit).sum())
            low, high = proportion_interval(held, count)
            if self.complete(count):
                low = high = held / count
            verdict = "open"
            if self._once("kept", candidate, limit, start) <= errors[0] or low >= limit.share:
                verdict = "holds"
            elif self._once("broken", candidate, limit, 0) <= errors[1] or high < limit.share:
                verdict = "broken"
            limits.append(LimitFound(held, count, low, high, verdict))  # type: ignore[arg-type]
        mean, low, high = self._interval(candidate) if intervals else (math.nan, math.nan, math.nan)
        return Judged(candidate, tuple(limits), self.count(candidate), mean, low, high)

    def _interval(self, candidate: int) -> tuple[float, float, float]:
        values = self.values(candidate)
        known = ~np.isnan(values)
        if not known.any():
            return math.nan, math.nan, math.nan
        mean = float(values[known].mean())
        if self.complete(len(values)):
            return mean, mean, mean
        if known.sum() < FEWEST_FOR_INTERVAL:
            return mean, math.nan, math.nan
        table = np.full((len(values), len(self)), np.nan)
        for other in range(len(self)):
            of_other = self.values(other)[: len(values)]
            table[: len(of_other), other] = of_other
        ends = support(table, self._rules.objective.better, None, self._rules.highest)
        low, high, _ = bounded_estimates(
            values[known][np.newaxis], ends[0][[candidate]], ends[1][[candidate]], CONFIDENCE, weightings=_WEIGHTINGS
        )
        return mean, float(low[0]), float(high[0])


def _rate(failed: Bools) -> float:
    """Return how often a limit is likely not to be kept, to be hopeful: one standard error less than was seen."""
    if not len(failed):
        return 0.0
    seen = float(failed.mean())
    return max(0.0, seen - math.sqrt(seen * (1 - seen) / len(failed)))
