"""Ranking and selection as others have it, on the same samples: both choices must be as good as the indifference.

KN++ and OCBA of sim-tools know no limits, so that none is set here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from sim.recommend.race import Rules
from sim.recommend.selection import select
from sim.recommend.terms import Terms
from tests.recommend.synthetic_candidates import OBJECTIVE, Sampler

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

zone = pytest.importorskip("sim_tools.ovs.indifference_zone")
budget = pytest.importorskip("sim_tools.ovs.fixed_budget")

REPLICATIONS: Final = 2000
TRIALS: Final = 15
FAMILIES: Final = {
    "far apart": (70.0, 75.0, 80.0, 85.0, 90.0),
    "near each other": (88.0, 88.5, 89.0, 90.0, 91.5),
    "two alike": (80.0, 90.0, 90.0, 85.0),
}


class Model:
    """What sim-tools samples from: replication after replication of each design, from the same draw as ours."""

    def __init__(self, rows: Floats) -> None:
        self._rows, self._next = rows, [0] * len(rows)
        self._observer: Any = None

    def register_observer(self, observer: object) -> None:
        self._observer = observer

    def simulate(self, design: int) -> None:
        value = self._rows[design, self._next[design]]
        self._next[design] += 1
        self._observer.feedback(self, design, float(value))


def samples(means: tuple[float, ...], trial: int) -> Floats:
    rng = np.random.default_rng(trial)
    together = 3 * rng.normal(size=REPLICATIONS)
    return np.asarray(np.array(means)[:, np.newaxis] + together + 1.5 * rng.normal(size=(len(means), REPLICATIONS)))


def ours(rows: Floats) -> int:
    found = select(
        Sampler(rows[..., np.newaxis]),
        [True] * len(rows),
        Rules(("returned_share",), (), OBJECTIVE, 1000.0),
        Terms(most=REPLICATIONS),
        intervals=False,
    )
    assert found.pick is not None
    return found.pick


def of_kn(rows: Floats) -> int:
    procedure = zone.KNPlusPlus(Model(rows), len(rows), delta=1.0, alpha=0.05, n_0=10, obj="max")
    return int(procedure.solve()[0])


def of_ocba(rows: Floats) -> int:
    procedure = budget.OCBA(Model(rows), len(rows), budget=100 * len(rows), delta=len(rows), n_0=10, obj="max")
    return int(procedure.solve())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_choice_is_as_good_as_that_of_other_procedures_on_the_same_samples(family: str) -> None:
    means = FAMILIES[family]
    good = {"ours": 0, "KN++": 0, "OCBA": 0}
    for trial in range(TRIALS):
        rows = samples(means, trial)
        for name, choice in (("ours", ours(rows)), ("KN++", of_kn(rows)), ("OCBA", of_ocba(rows))):
            good[name] += means[choice] >= max(means) - OBJECTIVE.indifference
    assert good["ours"] == TRIALS
    assert good["ours"] >= max(good["KN++"], good["OCBA"])
    # That they are good too shows that it is the same question.
    assert min(good["KN++"], good["OCBA"]) >= 0.7 * TRIALS
