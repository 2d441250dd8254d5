"""The restricted mean: on data whose product-limit estimate is published, on cases by hand, and beside plain loops."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.record.shrink_requests import NEVER, Wait, Waits
from sim.scores import survival
from tests.plain.returns import restricted_mean as plainly

SIX_MP = (
    (6, 1), (6, 1), (6, 1), (6, 0), (7, 1), (9, 0), (10, 1), (10, 0), (11, 0), (13, 1), (16, 1), (17, 0), (19, 0),
    (20, 0), (22, 1), (23, 1), (25, 0), (32, 0), (32, 0), (34, 0), (35, 0),
)  # fmt: skip
"""Weeks of remission under 6-MP and whether it ended then: Freireich et al. (1963), Blood 21, 699-716.

The example of Kaplan-Meier estimation in most textbooks (Gehan 1965, Cox 1972, Klein and Moeschberger 1997).
"""

SIX_MP_CURVE = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
"""The estimate just after each of these weeks, as published, to three digits."""


def restricted_mean(waits: list[Wait], horizon_us: int) -> float:
    return survival.restricted_mean(Waits.of(waits), horizon_us)


def six_mp(times: int = 1) -> list[Wait]:
    return [Wait(times, week, bool(ended)) for week, ended in SIX_MP]


def test_the_area_grows_by_the_published_curve_week_by_week() -> None:
    """The slope of the restricted mean as a function of its horizon is the curve itself."""
    still = 1.0
    for week in range(35):
        still = SIX_MP_CURVE.get(week, still)
        slope = restricted_mean(six_mp(), week + 1) - restricted_mean(six_mp(), week)
        assert slope == pytest.approx(still, abs=0.0006), week


def test_the_mean_of_the_published_example_is_the_published_one() -> None:
    """23.3 weeks up to week 35, the largest time, with which the curve still stands at 0.448 (R's survival package)."""
    exact = 6 + Fraction(6, 7) * 1 + Fraction(6, 7) * Fraction(16, 17) * 3
    still = Fraction(6, 7) * Fraction(16, 17)
    for at_risk, weeks in ((15, 3), (12, 3), (11, 6), (7, 1), (6, 12)):
        still *= Fraction(at_risk - 1, at_risk)
        exact += still * weeks
    assert round(float(exact), 1) == 23.3
    assert restricted_mean(six_mp(), 35) == pytest.approx(float(exact), rel=1e-14)


def test_pages_count_as_so_many_waits() -> None:
    assert restricted_mean(six_mp(1000), 35) == pytest.approx(restricted_mean(six_mp(), 35), rel=1e-13)
    together = [Wait(2, 3, True), Wait(3, 5, False)]  # noqa: FBT003
    one_by_one = [Wait(1, wait.after_us, wait.fulfilled) for wait in together for _ in range(wait.pages)]
    assert restricted_mean(together, 9) == pytest.approx(restricted_mean(one_by_one, 9)) == 3 + 6 * 3 / 5


BACK, NOT = True, False


@pytest.mark.parametrize(
    ("waits", "mean"),
    [
        ([], 100),
        ([Wait(5, 0, BACK)], 0),
        ([Wait(5, 30, BACK)], 30),
        ([Wait(5, 0, NOT)], 100),
        ([Wait(5, NEVER, NOT)], 100),
        ([Wait(3, 20, BACK), Wait(1, 60, BACK)], 30),
        ([Wait(3, 20, BACK), Wait(1, NEVER, NOT)], 40),
        # Given up before anything came back: says nothing of what happens later.
        ([Wait(3, 10, NOT), Wait(1, 20, BACK)], 20),
        # Given up when something came back: was still waiting then.
        ([Wait(3, 20, NOT), Wait(1, 20, BACK)], 20 + 80 * 3 / 4),
        ([Wait(1, 10, BACK), Wait(1, 20, NOT), Wait(1, 30, BACK), Wait(1, 40, NOT)], 10 + 20 * 3 / 4 + 70 * 3 / 8),
        # Pages of 64 TiB.
        ([Wait(2**34, 25, BACK), Wait(2**34, NEVER, NOT)], 62.5),
    ],
)
def test_waits_of_at_most_100(waits: list[Wait], mean: float) -> None:
    assert restricted_mean(waits, 100) == pytest.approx(mean, rel=1e-14)
    assert restricted_mean(waits[::-1], 100) == pytest.approx(mean, rel=1e-14)


WAITS = st.lists(
    st.builds(Wait, st.integers(1, 50), st.integers(0, 60), st.booleans())
    | st.builds(Wait, st.integers(1, 50), st.just(NEVER), st.just(NOT)),
    max_size=30,
)


@given(WAITS)
def test_the_fast_way_agrees_with_plain_loops(waits: list[Wait]) -> None:
    rows = [(wait.pages, None if wait.after_us == NEVER else wait.after_us, wait.fulfilled) for wait in waits]
    assert restricted_mean(waits, 60) == pytest.approx(plainly(rows, 60), rel=1e-12)


@given(WAITS, st.integers(0, 29))
def test_returning_later_or_never_is_never_better(waits: list[Wait], which: int) -> None:
    """It is what keeps a policy from gaining by a refusal: the worst there is, is to return nothing."""
    mean = restricted_mean(waits, 60)
    assert 0 <= mean <= 60 + 1e-9
    back = [number for number, wait in enumerate(waits) if wait.fulfilled]
    if back:
        number = back[which % len(back)]
        for worse in (Wait(waits[number].pages, NEVER, NOT), Wait(waits[number].pages, 60, BACK)):
            assert restricted_mean([*waits[:number], worse, *waits[number + 1 :]], 60) >= mean - 1e-9
