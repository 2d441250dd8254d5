"""One scenario of a recommendation: its candidates, their runs, and what was selected; and all scenarios together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.analysis.regret import BOUND
from sim.experiment import build
from sim.recommend.asked import OBJECTIVES
from sim.recommend.axes import content
from sim.recommend.candidates import refine
from sim.recommend.contract import Candidate, Objective
from sim.recommend.race import Rules
from sim.recommend.sampler import CellSampler, TogetherSampler
from sim.recommend.selection import select
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from sim.experiment.plan import Combination, Experiment
    from sim.recommend.asked import Asked
    from sim.recommend.candidates import Space
    from sim.recommend.contract import Judged, Limit, Selection
    from sim.recommend.sampler import CellRunner

    Floats = npt.NDArray[np.float64]

_FIRST_LOOK: Final = 5
"""Replications by which it is seen which objective is defined, and how large it is."""

_REFINED: Final = 2
"""How many times candidates are put between those that turned out well."""


class Scenario:
    """A scenario of ``experiment`` that is being recommended for: its candidates by number, and their samples."""

    def __init__(self, experiment: Experiment, where: Space, asked: Asked, runner: CellRunner) -> None:
        self.space = where
        self._seed = experiment.seed
        self.asked = asked
        self.columns = asked.columns(asked.objective or OBJECTIVES[0])
        self.sampler = CellSampler(runner, self.columns, experiment.seed, experiment.folder)
        self.candidates: list[Candidate] = []
        self.choices: list[bool] = []
        self._take(where.candidates)
        self._take_bounds(experiment)
        self.objective = self._objective()
        self.rules = Rules(self.columns, asked.limits, self.objective, SCORES[self.objective.score].highest)

    @property
    def machine(self) -> str:
        """The label of its machine."""
        return self.space.base.machine.label

    @property
    def workload(self) -> str:
        """The label of its workload."""
        return self.space.base.workload.label

    def _take(self, candidates: Sequence[Candidate]) -> None:
        self.candidates += candidates
        self.choices += [each.in_linux for each in candidates]
        self.sampler.add([_named(self.space.combination(each), each) for each in candidates])

    def _take_bounds(self, experiment: Experiment) -> None:
        """Take the policies that know the future: no choice, but what could be gained at most."""
        for each in experiment.combinations:
            here = (each.machine.label, each.workload.label) == (self.machine, self.workload)
            if here and each.policy.plugin == BOUND:
                candidate = Candidate(each.policy.label, each.policy, in_linux=False)
                self.candidates.append(candidate)
                self.choices.append(False)
                self.sampler.add([each])

    def number_of(self, candidate: Candidate) -> int:
        """Return the number of a candidate of another scenario, which becomes one of this where it is none."""
        wanted = content(candidate)
        known = next((number for number, each in enumerate(self.candidates) if content(each) == wanted), None)
        if known is not None:
            return known
        self._take([candidate])
        return len(self.candidates) - 1

    def rows(self, candidate: int, count: int) -> Floats:
        """Return the first ``count`` replications of a candidate, a row each."""
        return self.sampler.sample({candidate: range(count)})[candidate]

    def beside(self, runner: CellRunner, combinations: Sequence[Combination]) -> CellSampler:
        """Return what samples other ``combinations`` under the same wishes, in the store of another ``runner``."""
        sampler = CellSampler(runner, self.columns, self._seed, self.space.folder)
        sampler.add(combinations)
        return sampler

    def _objective(self) -> Objective:
        """Return what candidates are ranked by: what is asked for, else the first that is defined here."""
        first = self.sampler.sample(dict.fromkeys(range(len(self.candidates)), range(1)))
        count = min(_FIRST_LOOK, self.sampler.population or _FIRST_LOOK)
        choices = [number for number, choice in enumerate(self.choices) if choice] or list(first)
        rows = self.sampler.sample(dict.fromkeys(choices, range(count)))
        means = {
            name: [_mean(rows[number][:, self.columns.index(name)]) for number in choices]
            for name in (OBJECTIVES if self.asked.objective is None else (self.asked.objective,))
        }
        defined = (name for name, of in means.items() if not all(map(math.isnan, of)))
        name = next(defined, self.asked.objective or OBJECTIVES[0])
        largest = max((abs(mean) for mean in means[name] if math.isfinite(mean)), default=0.0)
        return Objective(name, self.asked.better, self.asked.slack(name, largest))

    def select(self) -> Selection:
        """Run what is needed to select one of the candidates."""
        left = _REFINED

        def more(judged: Sequence[Judged]) -> Sequence[bool]:
            nonlocal left
            left -= 1
            added = refine(self.space, self.candidates, judged, self.objective) if left >= 0 else ()
            self._take(added)
            return [each.in_linux for each in added]

        return select(
            self.sampler,
            list(self.choices),
            self.rules,
            self.asked.terms,
            refine=more,
            guard=lambda number: ratio_of(self.candidates[number], self.space),
        )


def ratio_of(candidate: Candidate, where: Space) -> float:
    """Return the ratio of MOVABLE that a candidate keeps to; infinity where it keeps to none.

    Of settings that do the same here, the one that keeps to the least is there where things turn out otherwise.
    """
    ratio = build.policy(candidate.policy, where.folder).configured_ratio
    return math.inf if ratio is None else float(ratio)


def select_together(scenarios: Sequence[Scenario]) -> tuple[list[Candidate], Selection]:
    """Return the candidates for all scenarios together, and what is selected of them.

    They are those that every scenario began with, and further ones between them. What a scenario has picked by itself
    is none for that: it was chosen by the replications that would have to test it. Limits have to be kept in each
    scenario; the objective is its mean over the scenarios.
    """
    objective = scenarios[0].objective
    common = set.intersection(*({content(each) for each in one.space.candidates} for one in scenarios))
    candidates = [each for each in scenarios[0].space.candidates if content(each) in common and each.in_linux]
    columns: list[str] = []
    averaged: list[int] = []
    limits: list[Limit] = []
    for place, scenario in enumerate(scenarios):
        averaged.append(len(columns) + scenario.columns.index(objective.score))
        columns += [f"{place}:{name}" for name in scenario.columns]
        limits += [
            replace(limit, scores=tuple(f"{place}:{name}" for name in limit.scores)) for limit in scenario.asked.limits
        ]
    slack = max(scenario.objective.indifference for scenario in scenarios)
    whole = replace(objective, score="together", indifference=slack)
    rules = Rules((*columns, whole.score), tuple(limits), whole, SCORES[objective.score].highest)
    sampler = TogetherSampler([scenario.sampler for scenario in scenarios], averaged)

    def take(added: Sequence[Candidate]) -> None:
        sampler.add([[scenario.number_of(each) for scenario in scenarios] for each in added])

    take(candidates)
    left = _REFINED

    def more(judged: Sequence[Judged]) -> Sequence[bool]:
        nonlocal left
        left -= 1
        added = refine(scenarios[0].space, candidates, judged, whole) if left >= 0 else ()
        candidates.extend(added)
        take(added)
        return [each.in_linux for each in added]

    return candidates, select(
        sampler,
        [True] * len(candidates),
        rules,
        scenarios[0].asked.terms,
        refine=more,
        guard=lambda number: ratio_of(candidates[number], scenarios[0].space),
    )


def _named(combination: Combination, candidate: Candidate) -> Combination:
    """Return the combination with the candidate's searched values in the place of those that the experiment sweeps."""
    swept: Mapping[str, object] = {
        key: value for key, value in combination.factors.items() if not key.startswith("policy.")
    }
    searched = {f"policy.{name}": value for name, value in candidate.varied.items()}
    return replace(combination, factors={**swept, **searched})


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
