"""What zones are about: memory that comes back against memory that is left to the kernel, and which policies are best.

Best is whom no other policy beats in both (the Pareto front). Who fails in any replication is none of them: less comes
back there because less could be added, or nobody was left to use it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.analysis.scenario import Scenario

_T = TypeVar("_T")

HEADROOM: Final = "headroom_min"
_RETURNED: Final = "returned"
IN_MOVABLE: Final = "movable_share_mean"


@dataclass(slots=True)
class Point:
    """One policy: least kernel headroom (``x``, bytes) and what came of it (``y``), means over the replications.

    ``worst`` is the least kernel headroom of any replication.
    ``choice`` tells whether it could be taken: it never failed and does not know the future. ``ratio`` (percent; NaN
    where there is none) is one of several that policies of its ``family`` were run with.
    """

    policy: str
    x: float
    y: float
    failed: bool
    choice: bool
    ratio: float
    family: str
    worst: float


def gain_score(scenario: Scenario) -> str:
    """Return the score on the second axis: memory given back, or memory in MOVABLE where nothing ever was."""
    return _RETURNED if bool((scenario.runs[_RETURNED] > 0).any()) else IN_MOVABLE


def points(scenario: Scenario) -> list[Point]:
    """Return a point for each policy whose headroom and gain are known, in stored units."""
    score = gain_score(scenario)
    found = []
    for policy in scenario.present:
        runs = scenario.of(policy)
        x, y = float(runs[HEADROOM].mean()), float(runs[score].mean())
        if math.isnan(x) or math.isnan(y):
            continue
        worst = SCORES[HEADROOM].worst(runs[HEADROOM].dropna().to_numpy(dtype=np.float64))
        failed = bool(scenario.failures[policy].failed)
        family = re.sub(r"[,\s]*(ratio )?\d+( ?%)?$", "", policy)
        choice = not failed and policy != scenario.bound
        found.append(Point(policy, x, y, failed, choice, scenario.configured_ratio(policy), family, worst))
    for point in found:
        # One ratio makes no curve: the policy is written by its name.
        if sum(other.family == point.family for other in found) == 1:
            point.ratio = math.nan
    return found


def unbeaten(found: Sequence[_T], beats: Callable[[_T, _T], bool]) -> list[_T]:
    """Return those of ``found`` that no other beats; ``beats`` says of two whether the first one beats the second."""
    return [one for one in found if not any(beats(other, one) for other in found if other is not one)]


def front(found: Sequence[Point]) -> list[Point]:
    """Return the choices that no other choice beats: with as much of both and more of one. The least headroom first."""
    best = unbeaten([point for point in found if point.choice], _beats)
    return sorted(best, key=lambda point: (point.x, -point.y))


def _beats(one: Point, other: Point) -> bool:
    return one.x >= other.x and one.y >= other.y and (one.x, one.y) != (other.x, other.y)
