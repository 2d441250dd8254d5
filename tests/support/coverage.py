"""How often the intervals that a comparison tells hold the truth: on made-up replications whose truth is known.

Each family draws the scores of two or three policies in so many replications, paired as real ones are. They go through
:func:`sim.analysis.compare.compare` as runs of a store do, a scenario for each trial; what is counted is how often the
interval of the difference to the first policy holds the true one. The table of ``docs/compare.md`` comes from here:

    python -m tests.support.coverage [TRIALS]
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sim.analysis.compare import EVENTS, compare
from sim.analysis.intervals import auto_estimates, support
from sim.analysis.skewed import far_out
from sim.results.cells import write_row
from sim.results.frames import run_row
from sim.results.identity import KEY_LENGTH, CellId, canonical_json, sha256
from sim.results.store import ResultStore
from sim.scores.registry import SCORES, compute_scores
from tests.support.synthetic import seeded_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from sim.analysis.intervals import Method

    Floats = npt.NDArray[np.float64]
    Draw = Callable[[np.random.Generator, tuple[int, int]], list[Floats]]

REPLICATIONS: Final = (15, 20, 40, 100)
TRIALS: Final = 2000


@dataclass(frozen=True, slots=True)
class Family:
    """A way to draw scores: ``draw`` gives the values (trials x replications) of each policy, the baseline's first.

    ``differences`` are the true ones of the others to the baseline, and ``mean`` is the baseline's true mean. ``score``
    is the name of the score that they are taken for, which says what is good and how high it can be. Where values lie
    ``far`` out, or events are few, intervals hold more than they say.
    """

    name: str
    about: str
    draw: Draw
    differences: tuple[float, ...]
    mean: float
    score: str = "headroom_mean"
    far: bool = False


def _normal(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    wishes = rng.normal(100, 10, size)
    return [wishes + rng.normal(0, 2, size), wishes + rng.normal(1, 2, size), wishes + rng.normal(0, 6, size)]


def _products(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    wishes = rng.lognormal(3, 0.5, size)
    return [wishes * rng.uniform(0.9, 1.1, size), wishes * rng.uniform(1.1, 1.3, size)]


def _amounts(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    wishes = rng.uniform(10, 20, size)
    return [wishes, wishes + rng.exponential(2, size)]


def _heavy(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    wishes = rng.normal(100, 10, size)
    return [wishes, wishes + 1 + rng.standard_t(3, size)]


def _unpaired(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    return [rng.exponential(2, size), rng.exponential(3, size)]


def _two_kinds(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    wishes = rng.normal(100, 10, size)
    return [wishes, wishes + rng.normal(0, 1, size) + 4 * (rng.random(size) < 0.3)]


def _often_none(share: float) -> Draw:
    def draw(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
        wishes = rng.uniform(10, 20, size)
        return [wishes, wishes + rng.exponential(2, size) * (rng.random(size) < share)]

    return draw


def _share(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    hard = rng.normal(0, 1, size)
    return [np.clip(85 + 8 * hard + rng.normal(0, 3, size), 0, 100), np.clip(95 + 8 * hard, 0, 100)]


def _dies(first: float, second: float) -> Draw:
    def draw(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
        bad, own = rng.random(size), rng.random(size)
        # Where it is bad, both die: what kills the second alone is its own.
        return [
            (bad < first).astype(np.float64),
            ((bad < first) | (own < (second - first) / (1 - first))).astype(np.float64),
        ]

    return draw


def _disasters(share: float) -> Draw:
    def draw(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
        wishes = rng.normal(100, 5, size)
        return [wishes, wishes + rng.normal(2, 1, size) - 30 * (rng.random(size) < share)]

    return draw


def _lognormal(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    wishes = rng.normal(100, 10, size)
    return [wishes, wishes + rng.lognormal(0, 1, size)]


def _pareto(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    wishes = rng.normal(100, 10, size)
    return [wishes, wishes + 1 + rng.pareto(2.5, size)]


def _nearly_all(rng: np.random.Generator, size: tuple[int, int]) -> list[Floats]:
    hard = rng.normal(0, 1, size)
    return [np.clip(97 + 3 * hard, 0, 100), np.clip(99 + 3 * hard, 0, 100)]


def _truth(draw: Draw) -> tuple[float, float]:
    """Return the true mean of two policies' first, and their difference, from so many draws that it is exact enough."""
    first, second = draw(np.random.default_rng(99), (4000, 1000))
    return float(first.mean()), float((second - first).mean())


_SHARE: Final = _truth(_share)
_NEARLY_ALL: Final = _truth(_nearly_all)

FAMILIES: Final = (
    Family("normal", "normal, with what the wishes do to all policies alike", _normal, (1.0, 0.0), 100.0),
    Family("products", "lognormal wishes times what a policy makes of them", _products,
           (0.2 * math.exp(3.125),), math.exp(3.125)),
    Family("exponential", "exponential amounts more than the baseline", _amounts, (2.0,), 15.0),
    Family("unpaired", "two exponential scores that have nothing in common", _unpaired, (1.0,), 2.0),
    Family("heavy tails", "Student's t with 3 degrees of freedom", _heavy, (1.0,), 100.0, far=True),
    Family("two kinds", "normal, with 4 standard deviations more in 30 % of replications", _two_kinds, (1.2,), 100.0),
    Family("share", "percentages, of which one policy has 100 in a quarter of replications", _share,
           (_SHARE[1],), _SHARE[0], "returned_share"),
    Family("none in 60 %", "no difference in 60 % of replications, else exponential", _often_none(0.4), (0.8,), 15.0,
           far=True),
    Family("none in 80 %", "no difference in 80 %, else exponential", _often_none(0.2), (0.4,), 15.0, far=True),
    Family("none in 90 %", "no difference in 90 %, else exponential", _often_none(0.1), (0.2,), 15.0, far=True),
    Family("0 or 1, 30 and 50 %", "the guest dies in 30 % of replications, in 50 % with the other policy",
           _dies(0.3, 0.5), (0.2,), 0.3, "died", far=True),
    Family("0 or 1, 5 and 15 %", "it dies in 5 % and in 15 %", _dies(0.05, 0.15), (0.1,), 0.05, "died", far=True),
    Family("disasters in 5 %", "normal, but for 30 standard deviations less in 5 % of replications", _disasters(0.05),
           (0.5,), 100.0, far=True),
    Family("disasters in 1 %", "the same in 1 %", _disasters(0.01), (1.7,), 100.0, far=True),
    Family("lognormal", "lognormal amounts more, their logarithms with a standard deviation of 1", _lognormal,
           (math.exp(0.5),), 100.0, far=True),
    Family("Pareto", "Pareto amounts more, of exponent 2.5", _pareto, (1 + 1 / 1.5,), 100.0, far=True),
    Family("nearly all", "percentages, of which both policies have 100 in many replications", _nearly_all,
           (_NEARLY_ALL[1],), _NEARLY_ALL[0], "returned_share", far=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the interval held the true ``differences``, and the baseline's true ``mean``: shares of the trials.

    ``none`` is the share of trials with an interval of no width, as no replication was another: those are left out.
    """

    differences: tuple[float, ...]
    mean: float
    none: float = 0.0


def runs_of(family: Family, replications: int, trials: int) -> pd.DataFrame:
    """Return the runs of ``trials`` scenarios with ``replications`` each, as a store gives them."""
    # Another sequence for each size, and the same at every call.
    rng = np.random.default_rng([replications, *map(ord, family.name)])
    frames = []
    for policy, values in enumerate(family.draw(rng, (trials, replications))):
        frames.append(
            pd.DataFrame(
                {
                    "machine": "m",
                    "workload": np.repeat(np.arange(trials), replications).astype(str),
                    "policy": f"policy {policy}",
                    "replication": np.tile(np.arange(replications), trials),
                    "seed": 1,
                    "status": "completed",
                    family.score: values.ravel(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def write_store(folder: Path, family: Family, replications: int, trials: int) -> None:
    """Write :func:`runs_of` as results into ``folder``: rows of runs as they are stored, and nothing else."""
    result = seeded_run(1)
    scores = compute_scores(result)
    frame = runs_of(family, replications, trials)
    for row in frame.to_dict("records"):
        name = canonical_json([row["workload"], row["policy"], row["replication"]])
        cell = CellId(sha256(name)[:KEY_LENGTH], "m", str(row["workload"]), str(row["policy"]), row["replication"], 1)
        found = run_row(cell, result, scores | {family.score: row[family.score]})
        write_row(folder, cell, found, completed=True)
    ResultStore(folder).pack()


def coverage(family: Family, replications: int, trials: int = TRIALS, method: Method = "auto") -> Coverage:
    """Return how often the intervals of ``trials`` comparisons with so many ``replications`` hold the truth."""
    table = compare(runs_of(family, replications, trials), "policy 0", [family.score], method=method)
    return counted(table, family)


def counted(table: pd.DataFrame, family: Family) -> Coverage:
    """Return how often the intervals in the rows of a comparison hold the truth."""
    held, none = [], 0.0
    for number, truth in enumerate(family.differences, 1):
        rows = table[table["policy"] == f"policy {number}"]
        wide = rows["difference_high"] > rows["difference_low"]
        inside = (rows["difference_low"] <= truth) & (truth <= rows["difference_high"])
        held.append(float(inside[wide].mean()))
        none = max(none, float(1 - wide.mean()))
    rows = table[table["policy"] == "policy 0"]
    return Coverage(tuple(held), float(((rows["low"] <= family.mean) & (family.mean <= rows["high"])).mean()), none)


def quickly(family: Family, replications: int, trials: int = TRIALS, weightings: int = 2000) -> Coverage:
    """Return the same as :func:`coverage`, of all trials at once, with fewer random weights and without tables.

    ``tests/analysis/test_skewed.py`` holds it to the other.
    """
    rng = np.random.default_rng([replications, *map(ord, family.name)])
    values = np.stack(family.draw(rng, (trials, replications)), axis=-1)
    score = SCORES[family.score]
    least, most = support(values, score.better, 0, score.highest)
    gaps = values - values[..., :1]
    rare = far_out(np.moveaxis(gaps, 0, -1))[:, np.newaxis]
    if score.highest == 1:
        rare = np.count_nonzero(gaps, axis=1) < EVENTS
    rare = np.broadcast_to(rare, least.shape)
    held, none = [], 0.0
    for number, truth in enumerate(family.differences, 1):
        low, high, _ = auto_estimates(
            gaps[:, :, number], least[:, number], most[:, number], rare[:, number], weightings=weightings
        )
        wide = high > low
        held.append(float(((low <= truth) & (truth <= high))[wide].mean()))
        none = max(none, float(1 - wide.mean()))
    return Coverage(tuple(held), math.nan, none)


def main(trials: int = TRIALS) -> None:
    """Print the table: percent of the trials in which the interval of the difference holds the truth."""
    head = f"| family | what differs | {' | '.join(map(str, REPLICATIONS))} |"
    sys.stdout.write(f"{head}\n| --- | --- |{' ---: |' * len(REPLICATIONS)}\n")
    for family in FAMILIES:
        found = [quickly(family, replications, trials) for replications in REPLICATIONS]
        cells = [", ".join(f"{100 * share:.1f}" for share in each.differences) for each in found]
        sys.stdout.write(f"| {family.name} | {family.about} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
