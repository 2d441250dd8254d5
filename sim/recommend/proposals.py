"""Further candidates from optuna, an extra, for ranges of which no list of values was asked for.

A tree-structured Parzen estimator (J. Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011)
looks at the order of what was tried: who keeps the limits before who does not, then by the objective. It is told all
candidates anew each time, under the experiment's seed, so that the same samples lead to the same proposals.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from typing import TYPE_CHECKING, Any, Final

from sim.plugins.parameter_search import Between

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.recommend.axes import Axis
    from sim.recommend.contract import Candidate, Judged, Objective

AT_A_TIME: Final = 4
"""Proposals for one policy and machine in a round."""

_AT_RANDOM: Final = 5
"""Candidates below which an estimator has nothing to estimate from."""

MISSING: Final = (
    "is a range without steps, for which optuna would propose values: it is not installed"
    " (pip install 'memhp-sim[optuna]'), so a grid is refined instead"
)


def installed() -> bool:
    """Whether optuna is there."""
    return importlib.util.find_spec("optuna") is not None


def propose(
    axes: Sequence[Axis],
    tried: Sequence[Candidate],
    judged: Mapping[int, Judged],
    objective: Objective,
    seed: int,
) -> list[dict[str, Any]]:
    """Return values of the parameters ``axes`` that look worth trying, none where optuna is not installed.

    ``tried`` differ in nothing but these; ``judged`` has what was found of those among them that were run, by place.
    """
    if not installed() or not any(axis.search.continuous for axis in axes):
        return []
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {
        axis.parameter.name: optuna.distributions.FloatDistribution(0, 1)
        if isinstance(axis.search, Between)
        else optuna.distributions.CategoricalDistribution(tuple(range(len(axis.values))))
        for axis in axes
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_AT_RANDOM, constant_liar=True)
    study = optuna.create_study(sampler=sampler)
    order = sorted(judged, key=lambda place: _key(judged[place], objective))
    for rank, place in enumerate(order):
        places = {axis.parameter.name: _place(axis, tried[place]) for axis in axes}
        if None not in places.values():
            study.add_trial(optuna.create_trial(params=places, distributions=distributions, value=rank))
    asked = [study.ask(distributions).params for _ in range(AT_A_TIME)]
    return [{axis.parameter.name: _value(axis, params[axis.parameter.name]) for axis in axes} for params in asked]


def _key(judged: Judged, objective: Objective) -> tuple[float, float, int]:
    """Return what sorts candidates, the best first: how often they break limits, then the objective."""
    broken = 0.0
    if not judged.feasible:
        broken = max(1 - limit.often for limit in judged.limits) + 1
    mean = math.inf if math.isnan(judged.mean) else judged.mean * (-1 if objective.better == "higher" else 1)
    return broken, mean, judged.candidate


def _place(axis: Axis, candidate: Candidate) -> Any:  # noqa: ANN401  a share of a range, or a place in a list
    """Return where a candidate lies in a range or a list; None where outside."""
    value = candidate.policy.parameters.get(axis.parameter.name)
    if not isinstance(axis.search, Between):
        return axis.values.index(value) if value in axis.values else None
    share = -1.0 if value is None else axis.search.share(value)
    return share if 0 <= share <= 1 else None


def _value(axis: Axis, place: Any) -> Any:  # noqa: ANN401  of the parameter's type
    return axis.search.at(axis.parameter.type, place) if isinstance(axis.search, Between) else axis.values[place]
