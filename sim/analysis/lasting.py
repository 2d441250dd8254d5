"""How long guests last: the share of replications that live, over time, with what is known of those that end alive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.analysis.intervals import proportion_interval

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lasting:
    """A product-limit curve: from each of ``time`` (s; the first is 0) on, ``alive`` of all (0 to 1) live.

    ``low`` and ``high`` are the ends of the 95 % interval at each time. ``ended`` (s) are the times at which runs end
    whose guest lives (censored), ``died`` those of deaths, both in order.
    """

    time: Floats
    alive: Floats
    low: Floats
    high: Floats
    ended: Floats
    died: Floats


def lasting(runs: pd.DataFrame) -> Lasting:
    """Return how long the guests of ``runs``, those of one policy with a guest, live.

    Kaplan and Meier (1958), J. Am. Stat. Assoc. 53, 457-481, with the exact binomial interval of the effective number
    of runs: the number of which a share would be as uncertain as Greenwood's formula says (Dorey and Korn (1987),
    Statistics in Medicine 6, 679-687). Where all runs last equally long that is the interval of a proportion.
    """
    dies = (runs["died"] > 0).to_numpy()
    until = np.where(dies, runs["death_time"].to_numpy(dtype=np.float64), runs["duration_s"].to_numpy(dtype=np.float64))
    died, ended = np.sort(until[dies]), np.sort(until[~dies])
    time, alive, low, high = [0.0], [1.0], [proportion_interval(len(runs), len(runs))[0]], [1.0]
    still, greenwood = 1.0, 0.0
    for moment, deaths in zip(*np.unique(died, return_counts=True), strict=True):
        # Who ends at the same moment ends after who dies.
        risk = int((until >= moment).sum())
        still *= (risk - deaths) / risk
        greenwood += deaths / (risk * (risk - deaths)) if risk > deaths else math.inf
        # still^2 * greenwood is the variance; of nobody alive, the share of those that were seen to die.
        effective = (1 - still) / (still * greenwood) if still > 0 else float(len(runs))
        time.append(float(moment))
        alive.append(still)
        below, above = proportion_interval(still * effective, effective)
        low.append(below)
        high.append(above)
    return Lasting(np.array(time), np.array(alive), np.array(low), np.array(high), ended, died)
