"""Candidates whose truth is known: what a sampler gives of them is drawn, and so are failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.recommend.contract import Limit, Objective
from sim.recommend.race import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SHARE: Final = 0.95
LIMIT: Final = Limit("no death in 95 % of replications", ("died",), "at most", 0.0, SHARE)
OBJECTIVE: Final = Objective("returned_share", "higher", 1.0)
RULES: Final = Rules(("died", "returned_share"), (LIMIT,), OBJECTIVE, 100.0)
MOST: Final = 400


class Sampler:
    """Gives the ``rows`` that were drawn: shape (candidates, replications, columns); counts the runs."""

    def __init__(self, rows: Floats, population: int | None = None) -> None:
        self.rows, self.population, self.runs = rows, population, 0

    def sample(self, wanted: Mapping[int, range]) -> Mapping[int, Floats]:
        self.runs += sum(map(len, wanted.values()))
        return {number: self.rows[number][each.start : each.stop] for number, each in wanted.items()}


@dataclass(frozen=True)
class Family:
    """Candidates that die in shares ``dies`` of replications, and else give back ``back`` % in the mean.

    ``common`` is how far replications move all of them together, ``own`` each by itself (standard deviations). Whoever
    dies gives ``dead`` %. ``skewed`` draws what is lost instead, from an exponential distribution.
    """

    dies: Sequence[float]
    back: Sequence[float]
    common: float = 5.0
    own: float = 2.0
    dead: float = 0.0
    skewed: bool = False

    def draw(self, rng: np.random.Generator) -> Floats:
        shape = (len(self.dies), MOST)
        together = rng.normal(size=MOST)
        luck = np.where(rng.random(shape) < 0.7, rng.permutation(MOST)[np.newaxis] / MOST, rng.random(shape))
        died = luck < np.array(self.dies)[:, np.newaxis]
        own = rng.exponential(size=shape) - 1 if self.skewed else rng.normal(size=shape)
        back = np.array(self.back)[:, np.newaxis] + self.common * together - self.own * own
        return np.stack([died.astype(float), np.where(died, self.dead, np.clip(back, 0, 100))], axis=-1)

    @property
    def means(self) -> Floats:
        """The true means, from a long draw."""
        rng = np.random.default_rng(12345)
        return np.asarray(np.mean([self.draw(rng)[..., 1].mean(axis=1) for _ in range(100)], axis=0))

    def right(self, pick: int | None, lacks: float, left_open: Sequence[int] = ()) -> bool:
        """Whether a pick keeps the limit, and nobody who does, but those left open, is better by more than told."""
        keep = [share <= 1 - SHARE for share in self.dies]
        if pick is None:
            return not any(share <= (1 - SHARE) / 2 for share in self.dies)
        means = self.means
        others = [mean for number, mean in enumerate(means) if keep[number] and number not in left_open]
        return keep[pick] and max(others, default=0.0) <= means[pick] + lacks + 0.05


FAMILIES: Final[Mapping[str, Family]] = {
    "a wall": Family((0, 0, 0, 0.02, 0.12, 0.4, 1), (66, 77, 85, 89, 91, 92, 93)),
    "near the limit": Family((0.0, 0.02, 0.055, 0.06, 0.065), (84, 86, 88, 89, 90)),
    "rare disasters that skew": Family((0.0, 0.015, 0.03), (90.0, 92.0, 93.0), skewed=True, own=4.0),
    "ties": Family((0, 0, 0, 0, 0), (90, 90, 90, 90, 90)),
    "all infeasible": Family((0.12, 0.2, 0.3, 1), (90, 92, 93, 94)),
    "one candidate": Family((0.01,), (90,)),
    "one infeasible candidate": Family((0.06,), (90,)),
    "alike but for one that is just too bad": Family((0.051, 0.051, 0.051, 0.051, 0.0), (90, 90.5, 91, 91.5, 80)),
    "disasters that are no failures": Family((0.0, 0.0, 0.0), (90, 91.2, 92.3), skewed=True, own=3.0),
}
