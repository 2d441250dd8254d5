"""Ranking and selection under common random numbers, with limits: where replications go, and when the pick is certain.

*First* every candidate gets a few replications, and those that are still worth it more, up to some forty. That gives an
order: who looks best comes first. *Then* candidates are put to the test of the limits in this order, by replications
that the order does not know, each with a share of the error that its place in the order fixes; so no candidate passes
just because it is the luckiest of many. Meanwhile every other candidate is compared with the best that has passed, in
pairs, until it is shown to break a limit or to be no better by more than the indifference. Replications go to those of
whom that is still open, as many as they seem to need. All tests hold however often one looks (see
:mod:`sim.recommend.evidence`).

What is promised: with the confidence asked for, the pick keeps all limits, and no other candidate that does is better
by more than is told, which is the indifference unless replications run out. Of the error, ``OF_LIMITS`` is for the
former. For the latter each candidate gets the same part of the rest, as only the best that keeps the limits can be
missed: by a test that it breaks one, or in a pair with any of the others. Whoever fails about as often as a limit
allows can neither be shown to keep it nor to break it; the promise leaves it out, and names it. So it does with those
that did the same as another in each of the first replications: hundreds more would go into telling such twins apart.

Sources: S. Andradottir and S.-H. Kim, "Fully sequential procedures for comparing constrained systems via simulation",
Naval Research Logistics 57 (2010); S.-H. Kim and B. L. Nelson, "On the asymptotic validity of fully sequential
selection procedures", Operations Research 54 (2006) (KN++); C.-H. Chen et al., "Simulation budget allocation for
further enhancing the efficiency of ordinal optimization", Discrete Event Dynamic Systems 10 (2000) (OCBA); B. L. Wiens,
"A fixed sequence Bonferroni procedure for testing multiple endpoints", Pharmaceutical Statistics 2 (2003).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sim.analysis.verdict import ENOUGH
from sim.recommend.contract import Judged, Selection
from sim.recommend.race import Race
from sim.recommend.terms import ARRIVED, FEWEST, FIRST, MOST_BY_ITSELF, NEAR, OF_LIMITS, TWINS, UNSURE, WALL, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.recommend.contract import Sampler
    from sim.recommend.race import Rules

REFERENCES: Final = 10
"""Replications of what is no choice and only shows what could be gained."""


Refinement = Callable[[Sequence[Judged]], Sequence[bool]]
"""Given what the first replications show, adds candidates to the sampler, and says of each if it is a choice."""


def select(
    sampler: Sampler,
    choices: Sequence[bool],
    rules: Rules,
    terms: Terms | None = None,
    *,
    refine: Refinement | None = None,
    guard: Callable[[int], float] | None = None,
    intervals: bool = True,
) -> Selection:
    """Return what is chosen of the candidates of ``sampler``: of those that are ``choices`` (one for each, in order).

    ``rules`` name the columns of the sampler's rows. Those that are no choices are run too, to show what could be
    gained. ``refine`` is asked again until it adds none, before the order is fixed. Of candidates that do the same, the
    one with the least ``guard`` stands for all. ``intervals`` are those of mean objectives, which show, and choose
    nothing.
    """
    found = _Selection(sampler, choices, rules, terms or Terms(), alone=refine is None and sum(choices) == 1)
    return found.run(refine, guard, intervals=intervals)


class _Selection:
    def __init__(self, sampler: Sampler, choices: Sequence[bool], rules: Rules, terms: Terms, *, alone: bool) -> None:
        self._choices = [number for number, choice in enumerate(choices) if choice]
        self._terms = terms
        self._most = most = terms.most_of(rules.limits)
        self._sampler = sampler
        self._guard: Callable[[int], float] = lambda _: 0.0
        # Without one, replications of each are limited alone, and one may get more than the others.
        budget = terms.budget if terms.budget is not None else most * len(choices) + MOST_BY_ITSELF
        self._rules = rules
        self._race = Race(sampler, len(choices), rules, most, budget)
        self._all = range(len(choices))
        self._less: tuple[int, ...] = ()
        self._twins: dict[int, int] = {}
        self._of_limits = (1.0 if alone else OF_LIMITS) if rules.limits else 0.0
        self._error = 1 - terms.confidence
        self._keep_error = self._error * self._of_limits
        self._best_error = self._error * (1 - self._of_limits)
        self._start = 0 if alone else min(FIRST[-1], max(1, most // 5))
        self._order: list[int] = []

    # What is known of one

    def _part(self, candidate: int) -> float:
        """Return the part of the error that a candidate may use: 1/2, 1/6, 1/12, ... by its place, scaled up to 1."""
        place, places = self._order.index(candidate) + 1, len(self._order)
        return (places + 1) / places / (place * (place + 1))

    def _not_kept(self, candidate: int) -> float:
        """Return how likely it is at most that a candidate that does not keep the limits looks so good."""
        if self._race.complete(self._race.count(candidate)):
            return self._race.chance_that_broken(candidate, 0)
        return min(1.0, self._race.chance_that_broken(candidate, self._start) / self._part(candidate))

    def _certain(self, candidate: int) -> bool:
        return self._not_kept(candidate) <= self._keep_error

    def _broken(self, candidate: int) -> bool:
        return self._race.chance_that_kept(candidate) <= self._broken_error

    @property
    def _broken_error(self) -> float:
        """By which a candidate may be taken to break a limit that does not: as one of many, unless it is alone."""
        return self._error if self._many == 1 else self._best_error / self._many

    @property
    def _many(self) -> int:
        """How many choices there are: those that others stand for count, or who stands for whom would be for free."""
        return len(self._choices) + len(self._twins)

    def _needs(self, candidate: int) -> float:
        return self._race.to_show_kept(candidate, self._start, self._keep_error * self._part(candidate))

    def _hopeful(self, candidate: int) -> bool:
        """Whether the replications that there may be seem enough to show that the candidate keeps the limits."""
        count = self._race.count(candidate)
        if count >= self._race.most or self._broken(candidate):
            return False
        return count < UNSURE + self._start or count + self._needs(candidate) <= self._race.most

    @property
    def _may_go_on(self) -> bool:
        """Whether a candidate may get more replications than others: nobody said how many, and there is no end."""
        return self._terms.most is None and self._sampler.population is None

    # Where replications go

    def run(self, refine: Refinement | None, guard: Callable[[int], float] | None, *, intervals: bool) -> Selection:
        if guard is not None:
            self._guard = guard
        self._race.grow(dict.fromkeys(self._all, 1))
        self._begin()
        while refine is not None and (added := refine(self._at_first_sight())):
            self._add(added)
            self._begin()
        self._leave_out()
        self._set_twins_aside(guard)
        self._order = ranked = self._ranked()
        while wanted := self._wanted():
            if not self._race.grow(wanted):
                break
        pick = self._best()
        references = [number for number in self._all if number not in {*self._choices, *self._less, *self._twins}]
        shown = min(REFERENCES, self._race.count(pick if pick is not None else ranked[0]) if ranked else 1)
        self._race.grow(dict.fromkeys(references, shown))
        return self._outcome(pick, intervals=intervals)

    def _add(self, choices: Sequence[bool]) -> None:
        first = len(self._race)
        self._race.add(len(choices), self._terms.budget)
        self._choices += [first + place for place, choice in enumerate(choices) if choice]
        self._all = range(len(self._race))

    def _at_first_sight(self) -> list[Judged]:
        """Return what the first replications seem to show: limits hold where they were kept often enough."""
        found = [self._race.judged(number, 0, (0.0, 0.0), intervals=False) for number in self._all]
        return [
            replace(
                each,
                mean=self._rules.sign * self._race.mean(each.candidate),
                limits=tuple(
                    replace(of, verdict="holds" if of.held >= limit.share * of.replications - 1e-9 else "broken")
                    for of, limit in zip(each.limits, self._rules.limits, strict=True)
                ),
            )
            for each in found
            if each.candidate in self._choices
        ]

    def _leave_out(self) -> None:
        """Leave out the choices with which less arrives of what is asked for: giving back what never came is easy."""
        if ARRIVED not in self._rules.columns or self._rules.objective.score == ARRIVED:
            return
        arrived = {number: self._race.where_nothing_failed(number, ARRIVED) for number in self._choices}
        most = max((share for number, share in arrived.items() if self._race.fits(number)), default=-math.inf)
        self._less = tuple(number for number, share in arrived.items() if -math.inf < share < most - ENOUGH)
        self._choices = [number for number in self._choices if number not in self._less]

    def _set_twins_aside(self, guard: Callable[[int], float] | None) -> None:
        """Let one of those that did the same in every replication stand for the others."""
        stand: list[int] = []
        for number in sorted(self._choices, key=guard or self._choices.index):
            first = next((each for each in stand if self._twin(number, each)), None)
            if first is not None:
                self._twins[number] = first
            else:
                stand.append(number)
        self._choices = [number for number in self._choices if number not in self._twins]

    def _twin(self, one: int, other: int) -> bool:
        count = min(self._race.count(one), self._race.count(other))
        return count >= TWINS and self._race.same(one, other)

    def _begin(self) -> None:
        """Give candidates their first replications, as long as they are worth more."""
        for count in FIRST:
            leader = self._leader()
            worth = [
                number
                for number in self._choices
                if not self._race.looks_broken(number)
                and (leader is None or number == leader or not self._settled(number, leader))
            ]
            self._race.grow(dict.fromkeys(worth, min(count, self._start)))

    def _leader(self) -> int | None:
        fitting = [number for number in self._choices if self._race.fits(number) and self._race.count(number)]
        # Of equals the one that keeps to least: it is there where things turn out otherwise.
        return max(fitting, key=lambda number: (self._race.mean(number), -self._guard(number)), default=None)

    def _ranked(self) -> list[int]:
        """Return the choices in order: those that seem to keep the limits and got all first replications first.

        Of these, those that are as good as the best come first, the farthest from the wall before all.
        """
        race = self._race
        fitting = [number for number in self._choices if race.fits(number) and race.count(number) >= self._start]
        top = max(map(race.mean, fitting), default=-math.inf)

        def rank(number: int) -> tuple[bool, bool, bool, float]:
            good = number in fitting and self._as_good(number, top)
            merit = (
                race.where_nothing_failed(number, WALL) if good and WALL in self._rules.columns else race.mean(number)
            )
            return race.looks_broken(number), number not in fitting, not good, -merit

        return sorted(self._choices, key=rank)

    def _as_good(self, candidate: int, top: float) -> bool:
        """Whether a candidate's mean is as good as ``top``, but for half of what makes no difference."""
        return self._race.mean(candidate) >= top - self._rules.objective.indifference / 2

    def _best(self) -> int | None:
        """Return the best of those that are certain to keep the limits; of those as good the farthest from the wall."""
        certain = [number for number in self._order if self._certain(number)]
        top = max(map(self._race.mean, certain), default=-math.inf)
        good = [number for number in certain if self._as_good(number, top)]
        if WALL not in self._rules.columns:
            return max(good, key=self._race.mean, default=None)
        return max(good, key=lambda number: self._race.where_nothing_failed(number, WALL), default=None)

    def _wanted(self) -> Mapping[int, int]:
        """Return how many replications which candidates shall have next; none where all is settled that can be."""
        best = self._best()
        if best is None:
            return self._wanted_to_find_one()
        if self._may_go_on:
            self._race.most = self._most
        wanted: dict[int, int] = {}
        for number in self._order:
            if number == best or self._settled(number, best):
                continue
            better = not self._as_good(best, self._race.mean(number))
            if better and self._hopeful(number) and not self._certain(number):
                wanted[number] = self._more(number, self._needs(number))
            count = min(self._race.count(number), self._race.count(best))
            need = self._race.to_tell(number, best, self._pair_error)
            if count < self._race.most and (count + need <= self._race.most or not self._near(number, best)):
                more = self._step(count, need)
                for each in (number, best):
                    if more > self._race.count(each):
                        wanted[each] = max(wanted.get(each, 0), more)
        return wanted or self._wanted_of_better(best)

    def _wanted_of_better(self, best: int) -> Mapping[int, int]:
        """Return what to run where all else is settled: one that is better than the pick, and so near to a limit."""
        if not self._may_go_on:
            return {}
        # What it gives is worth the replications that show whether it keeps the limits, of which it takes many.
        self._race.most = MOST_BY_ITSELF
        least = self._race.mean(best) + self._rules.objective.indifference
        for number in self._order:
            if self._race.mean(number) <= least or self._settled(number, best) or self._certain(number):
                continue
            broken = self._race.to_show_broken(number, self._broken_error)
            need = self._needs(number) if self._race.fits(number) else broken
            if self._race.count(number) + need <= self._race.most:
                return {number: self._more(number, need)}
        self._race.most = self._most
        return {}

    def _wanted_to_find_one(self) -> Mapping[int, int]:
        """Return what to run next while none has passed: the next that may, else who may still be shown not to."""
        base = self._most if self._may_go_on else self._race.most
        for most in (base, MOST_BY_ITSELF) if self._may_go_on else (base,):
            # Rather many replications of one candidate than no answer: a guest that fails in 3 % of them takes 700 to
            # be told from one that does in 5 %.
            self._race.most = most
            target = next((number for number in self._order if self._hopeful(number)), None)
            if target is not None:
                return {target: self._more(target, self._needs(target))}
        self._race.most = base
        return {
            number: self._more(number, self._race.to_show_broken(number, self._error))
            for number in self._order
            if not self._race.fits(number)
            and self._race.chance_that_kept(number) > self._error
            and self._race.count(number) < self._race.most
        }

    def _near(self, other: int, pick: int) -> bool:
        """Whether enough is known of a pair that replications will not settle: it is not worth all of them."""
        most = NEAR * self._rules.objective.indifference
        return self._race.count(other) >= UNSURE and self._race.at_most_better(other, pick, self._pair_error) <= most

    @property
    def _pair_error(self) -> float:
        return self._best_error / self._many

    def _settled(self, other: int, pick: int) -> bool:
        """Whether ``other`` is known not to be a better choice: it breaks a limit, or is no better."""
        return self._broken(other) or self._race.chance_that_better(other, pick) <= self._pair_error

    def _more(self, candidate: int, need: float) -> int:
        return self._step(self._race.count(candidate), need)

    def _step(self, count: int, need: float) -> int:
        """Return how many there shall be: a little more than needed, but not more than twice as many at a time."""
        return min(self._race.most, count + int(min(max(1.1 * need, FEWEST), max(count, FEWEST))))

    # What comes out

    def _outcome(self, pick: int | None, *, intervals: bool) -> Selection:
        errors = (self._keep_error, self._best_error / max(self._many, 1))
        judged = [self._race.judged(number, self._start, errors, intervals=intervals) for number in self._all]
        if not self._choices:
            return Selection(judged, None, 1.0, left_out=self._less, twins=self._twins)
        likely = pick
        if likely is None:
            fitting = [each for each in self._order if self._race.fits(each) and not self._broken(each)]
            top = max(map(self._race.mean, fitting), default=-math.inf)

            def doubt(each: int) -> tuple[float, float, bool]:
                # Of those of whom nothing is shown yet the best: the order may rest on fewer replications.
                return self._not_kept(each), self._race.may_break(each), not self._as_good(each, top)

            likely = min(fitting, key=doubt, default=None)
        if likely is None:
            # That none keeps the limits is wrong only if the one that does is shown not to.
            missed = max(self._race.chance_that_kept(each) for each in self._choices)
            exhausted = missed > self._error
            return Selection(judged, None, 1 - missed, exhausted=exhausted, left_out=self._less, twins=self._twins)
        not_kept = self._not_kept(likely)
        others = [each for each in self._choices if each != likely]
        unsettled = [each for each in others if not self._settled(each, likely)]
        left_open = tuple(each for each in unsettled if self._near_a_limit(each))
        lacks = [
            max(0.0, self._race.at_most_better(each, likely, self._pair_error))
            for each in unsettled
            if each not in left_open
        ]
        exact = all(self._known_exactly(each, likely) for each in others)
        slack = 0.0 if exact else self._rules.objective.indifference
        missed = max((self._missed(each, likely) for each in others if each not in unsettled), default=0.0)
        parts = (
            (not_kept, self._of_limits),
            (max(missed, self._best_error if lacks else 0.0), 1 - self._of_limits),
        )
        wrong = max((chance / part if part else float(chance > 0) for chance, part in parts), default=0.0)
        return Selection(
            judged,
            likely,
            confidence=max(0.0, 1 - wrong),
            keeps=1 - not_kept,
            lacks=max([slack, *lacks]),
            open=left_open,
            left_out=self._less,
            twins=self._twins,
            exhausted=pick is None or bool(unsettled),
        )

    def _known_exactly(self, other: int, pick: int) -> bool:
        """Whether ``other`` breaks a limit, or all pairs that there are tell by how much it is better."""
        both = min(self._race.count(other), self._race.count(pick))
        return self._race.complete(both) or self._broken(other)

    def _missed(self, other: int, pick: int) -> float:
        """Return how likely it is at most that ``other`` is the better choice and seems not to be."""
        chances = (self._race.chance_that_kept(other), self._race.chance_that_better(other, pick))
        return min(1.0, self._many * min(chances))

    def _near_a_limit(self, candidate: int) -> bool:
        """Whether it is open if a candidate keeps the limits, and the replications that there may be will not tell."""
        enough = self._race.count(candidate) >= min(self._race.most, UNSURE)
        return enough and not self._certain(candidate) and not self._hopeful(candidate)
