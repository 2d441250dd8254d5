"""How often the intervals of paired differences hold the truth, on real replications whose mean is taken for it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from sim.analysis.compare import HEADLINE_SCORES
from sim.analysis.intervals import FEWEST_FOR_INTERVAL, auto_estimates, estimate, support
from sim.analysis.skewed import far_out
from sim.scores.registry import SCORES
from tests.analysis.real_replications import FILE, REPLICATIONS

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

DRAWS = 2000
ASKED = 0.90
PAIRS = (
    ("mix", "contig-zones", "online-movable"), ("mix", "contig-zones", "auto-movable 100"),
    ("relatives", "contig-zones", "ratio 500"), ("relatives", "contig-zones", "headroom"),
)  # fmt: skip


@cache
def replications() -> pd.DataFrame:
    return pd.read_csv(FILE)


def measured(workload: str, score: str) -> pd.DataFrame:
    """Return the score's values: a row for each replication, a column for each policy."""
    of_workload = replications()[replications()["workload"] == workload]
    return of_workload.pivot_table(index="replication", columns="policy", values=score, dropna=False)


def drawn(count: int) -> npt.NDArray[np.int64]:
    """Return 2,000 times ``count`` of the forty replications."""
    return np.random.default_rng(count).integers(0, REPLICATIONS, (DRAWS, count))


def coverage(workload: str, baseline: str, policy: str, score: str, count: int) -> tuple[float, float]:
    """Return how often the interval from ``count`` replications holds the truth, and how often it has a width.

    It cannot where no policy differs from another in any replication drawn: then no interval is claimed.
    """
    table = measured(workload, score)
    content = table.to_numpy()
    base, own = table.columns.get_loc(baseline), table.columns.get_loc(policy)
    assert isinstance(base, int)
    assert isinstance(own, int)
    truth = float(np.nanmean(content[:, own] - content[:, base]))
    samples = content[drawn(count)]
    far = far_out(np.moveaxis(samples - samples[:, :, [base]], 0, -1))
    least, most = (end[:, own] for end in support(samples, SCORES[score].better, base, SCORES[score].highest))
    differences = samples[:, :, own] - samples[:, :, base]
    low, high, _ = auto_estimates(differences, least, most, far, weightings=400)
    wide = high > low
    margin = 1e-6 * abs(truth)  # digits of single precision
    held = (low - margin <= truth) & (truth <= high + margin)
    return float((held | ~wide).mean()), float(wide.mean())


@pytest.mark.parametrize("score", HEADLINE_SCORES)
@pytest.mark.parametrize("count", [FEWEST_FOR_INTERVAL, pytest.param(20, marks=pytest.mark.slow)])
def test_intervals_hold_the_truth_in_nine_of_ten_draws_for_every_score_that_tables_show(score: str, count: int) -> None:
    for workload, baseline, policy in PAIRS:
        table = measured(workload, score)
        differences = table[policy] - table[baseline]
        if differences.isna().any() or np.ptp(differences) == 0:
            continue
        held, _ = coverage(workload, baseline, policy, score, count)
        assert held >= ASKED, (workload, policy)


def test_students_interval_would_hold_it_far_less_often() -> None:
    """The reason for another method: what tells policies apart is skewed."""
    table = measured("mix", "not_given_byte_seconds")
    gaps = (table["auto-movable 100"] - table["contig-zones"]).to_numpy()
    samples = gaps[drawn(5)]
    error = samples.std(axis=1, ddof=1) / np.sqrt(5)
    held = np.abs(samples.mean(axis=1) - gaps.mean()) <= 2.776445 * error
    assert held.mean() < 0.6


@pytest.mark.parametrize("count", [3, 5, 10])
def test_with_fewer_replications_no_interval_is_given(count: int) -> None:
    assert np.isnan(estimate(np.arange(count, dtype=np.float64))).all()
