"""What a recommendation is asked for: limits and objective, from the command and the experiment's ``[recommend]``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.compare import HEADLINE_SCORES
from sim.analysis.verdict import returning_score
from sim.experiment.recommend_table import DEFAULT_LIMIT, how_sure
from sim.faults import Faults, shown, unknown_name
from sim.recommend.limits import amount, limits
from sim.recommend.terms import ARRIVED, Terms
from sim.scores.definition import PERCENT, POINTS
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from sim.experiment.plan import Experiment
    from sim.recommend.contract import Limit

OBJECTIVES: Final = (returning_score().name, "returnable_share_mean", "movable_byte_seconds")
"""What is best where nobody says: the first that the scenario defines."""

POINT: Final = 1.0
"""Percentage points that make no difference where nobody says."""

SHARE: Final = 0.01
"""The same of scores that are no percentage: the part of the largest mean."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a recommendation is asked for.

    ``objective`` is the score that ranks, None where the first of :data:`OBJECTIVES` that is defined shall;
    ``indifference`` in its stored unit, NaN where it is to be worked out. ``by_default`` tells that nobody has named a
    limit.
    """

    limits: tuple[Limit, ...]
    objective: str | None = None
    better: Literal["higher", "lower"] = "higher"
    indifference: float = math.nan
    by_default: bool = False
    terms: Terms = field(default_factory=Terms)

    @property
    def first_objective(self) -> str:
        """The score that candidates are ranked by where it is defined."""
        return self.objective or OBJECTIVES[0]

    def columns(self, objective: str) -> tuple[str, ...]:
        """Return the scores that candidates are judged by, and those that are told of them."""
        limited = (name for limit in self.limits for name in limit.scores)
        named = dict.fromkeys((*limited, objective, ARRIVED, *FAILING, *HEADLINE_SCORES, *OBJECTIVES))
        return tuple(named)

    def slack(self, objective: str, largest: float) -> float:
        """Return the indifference for an objective of which the ``largest`` mean is known."""
        if not math.isnan(self.indifference):
            return self.indifference
        return POINT if SCORES[objective].unit in (PERCENT, POINTS) else SHARE * abs(largest)


def asked(
    experiment: Experiment,
    *,
    limit: Sequence[str] = (),
    maximise: str | None = None,
    minimise: str | None = None,
    indifference: float | str | None = None,
    confidence: float | None = None,
    most: int | None = None,
    budget: int | None = None,
) -> Asked:
    """Return what is asked of ``experiment``: what is given here, else what its ``[recommend]`` says, else defaults.

    Raises InputError with everything that is wrong, each with its place.
    """
    table = experiment.recommend
    faults = Faults()
    given = list(limit)
    texts = given or list(table.limits)
    found = limits(
        texts or [DEFAULT_LIMIT], Faults("--limit", faults) if given else _in_file(experiment, "limits", faults)
    )
    if maximise is not None and minimise is not None:
        faults.below("--minimise").add("is given beside --maximise; keep one")
    here = maximise is not None or minimise is not None
    if not here:
        maximise, minimise = table.maximise, table.minimise
    name = "maximise" if minimise is None else "minimise"
    place = Faults(f"--{name}", faults) if here else _in_file(experiment, name, faults)
    objective = _score(maximise if minimise is None else minimise, place)
    slack = math.nan
    wanted = indifference if indifference is not None else table.indifference
    if wanted is not None:
        typed = indifference is not None
        place = Faults("--indifference", faults) if typed else _in_file(experiment, "indifference", faults)
        slack = _slack(wanted, objective or OBJECTIVES[0], place)
    _plainly_wrong(confidence, most, budget, faults)
    faults.raise_if_any(experiment.name)
    terms = Terms(
        table.confidence if confidence is None else confidence, table.replications if most is None else most, budget
    )
    return Asked(found, objective, "higher" if minimise is None else "lower", slack, not texts, terms)


def as_given(what: Asked) -> dict[str, Any]:
    """Return what :func:`asked` takes to ask the same of the same experiment, as JSON types."""
    objective = what.first_objective if what.objective is None else what.objective
    slack = None if math.isnan(what.indifference) else what.indifference / SCORES[objective].unit.shown_per
    return {
        "limit": [] if what.by_default else [limit.text for limit in what.limits],
        "maximise": what.objective if what.better == "higher" else None,
        "minimise": what.objective if what.better == "lower" else None,
        "indifference": slack,
        "confidence": what.terms.confidence,
        "most": what.terms.most,
        "budget": what.terms.budget,
    }


def _in_file(experiment: Experiment, key: str, faults: Faults) -> Faults:
    """Return the collector for a key of ``[recommend]``, under the option where it was given by one."""
    whole = f"recommend.{key}"
    return Faults(f"--set {whole}" if whole in experiment.settings else whole, faults)


def _plainly_wrong(confidence: float | None, most: int | None, budget: int | None, faults: Faults) -> None:
    if confidence is not None:
        try:
            how_sure(confidence)
        except ValueError as error:
            faults.below("--confidence").add(str(error))
    for name, number in (("--replications", most), ("--budget", budget)):
        if number is not None and number < 1:
            faults.below(name).add(f"{number} is not 1 or more")


def _score(name: str | None, faults: Faults) -> str | None:
    if name is None or name in SCORES:
        return name
    by_title = {score.title.lower(): score.name for score in SCORES.values()}
    if name.lower() in by_title:
        return by_title[name.lower()]
    faults.add(unknown_name("score", name, SCORES))
    return None


def _slack(wanted: float | str, objective: str, faults: Faults) -> float:
    unit = SCORES[objective].unit
    try:
        found = amount(unit, wanted, str(wanted)) if isinstance(wanted, str) else wanted * unit.shown_per
    except ValueError as error:
        faults.add(str(error))
        return math.nan
    if not (found >= 0 and math.isfinite(found)):
        faults.add(f"{shown(wanted)} is not 0 or more")
    return found
