"""The share of guests that live, over time: by hand, and against a plain estimate that counts them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.analysis.intervals import proportion_interval
from sim.analysis.lasting import Lasting, lasting

if TYPE_CHECKING:
    from collections.abc import Sequence

Run = tuple[bool, float]
"""Whether the guest died, and when it did or the run ended."""


def curve(runs: Sequence[Run]) -> Lasting:
    rows = [{"died": float(died), "death_time": at if died else float("nan"), "duration_s": at} for died, at in runs]
    return lasting(pd.DataFrame(rows))


def steps(found: Lasting) -> dict[float, float]:
    return dict(zip(found.time.tolist(), found.alive.tolist(), strict=True))


def test_where_all_runs_last_as_long_it_is_the_share_with_its_exact_interval() -> None:
    found = curve([(True, 10), (True, 10), (True, 30), *[(False, 100)] * 7])
    assert steps(found) == pytest.approx({0: 1, 10: 0.8, 30: 0.7})
    ends = list(zip(found.low, found.high, strict=True))
    assert ends == [pytest.approx(proportion_interval(alive, 10)) for alive in (10, 8, 7)]
    assert (found.died.tolist(), found.ended.tolist()) == ([10, 10, 30], [100] * 7)


def test_nobody_who_ended_before_is_counted_as_living_or_dead() -> None:
    # Of four, one ends at 5 and one at 20, with a death: who ends at the moment of a death was there to see it.
    found = curve([(False, 5), (True, 20), (False, 20), (True, 40)])
    assert steps(found) == pytest.approx({0: 1, 20: 2 / 3, 40: 0})
    # Two thirds are as uncertain as they look, of three that were there.
    assert (found.low[1], found.high[1]) == pytest.approx(proportion_interval(2, 3))


def test_of_nobody_alive_and_of_nobody_dead_something_is_unknown() -> None:
    dead, alive = curve([(True, 10)] * 5), curve([(False, 10)] * 5)
    assert (dead.low[-1], dead.high[-1]) == pytest.approx(proportion_interval(0, 5))
    assert (steps(alive), alive.low[0], alive.high[0]) == ({0: 1}, pytest.approx(0.478, abs=0.001), 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6).map(float)), min_size=1, max_size=12))
def test_it_is_the_product_of_the_shares_that_survive_each_death(runs: list[Run]) -> None:
    found = curve(runs)
    for time, alive in steps(found).items():
        expected = 1.0
        for moment in sorted({at for died, at in runs if died and at <= time}):
            there = [died and at == moment for died, at in runs if at >= moment]
            expected *= 1 - sum(there) / len(there)
        assert alive == pytest.approx(expected, abs=1e-12)
    assert (found.low <= found.alive + 1e-9).all()
    assert (found.alive <= found.high + 1e-9).all()
