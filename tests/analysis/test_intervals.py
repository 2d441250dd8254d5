"""Intervals against what is known exactly: binomial tables, sums by hand, plain loops; and Holm's procedure."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from sim.analysis.bounded import bounded_estimates, bounded_means
from sim.analysis.compare import compare
from sim.analysis.intervals import (
    FEWEST_FOR_INTERVAL,
    estimate,
    holm,
    needed,
    proportion_interval,
    support,
)
from tests.plots.by_hand import score_rows


@pytest.mark.parametrize(
    ("events", "trials", "low", "high"),
    # Tables of Clopper and Pearson's 95 % interval.
    [(0, 20, 0.0, 0.1684), (1, 20, 0.0013, 0.2487), (9, 20, 0.2306, 0.6847), (20, 20, 0.8316, 1.0), (0, 1, 0, 0.975)],
)
def test_a_proportions_interval_is_that_of_the_tables(events: int, trials: int, low: float, high: float) -> None:
    assert proportion_interval(events, trials) == pytest.approx((low, high), abs=5e-5)


def test_a_proportions_ends_are_where_the_binomial_tail_is_a_fortieth() -> None:
    """In exact fractions, beside SciPy's beta function."""

    def at_least(events: int, trials: int, share: Fraction) -> float:
        terms = (math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(events, trials + 1))
        return float(sum(terms))

    for events, trials in ((1, 5), (3, 15), (7, 20)):
        low, high = proportion_interval(events, trials)
        assert at_least(events, trials, Fraction(low)) == pytest.approx(0.025, rel=1e-6)
        assert 1 - at_least(events + 1, trials, Fraction(high)) == pytest.approx(0.025, rel=1e-6)
    assert all(math.isnan(end) for end in proportion_interval(0, 0))


@pytest.mark.parametrize("events", [0, 1, 4, 15, 20])
def test_of_zeros_and_ones_the_bounded_interval_is_the_exact_binomial_one(events: int) -> None:
    values = np.array([1.0] * events + [0.0] * (20 - events))
    low, high, _ = estimate(values, "bounded", bounds=(0.0, 1.0))
    assert (low, high) == pytest.approx(proportion_interval(events, 20), abs=0.006)


def test_weights_are_the_gaps_between_uniform_numbers() -> None:
    """Beside plain loops with other random numbers: the same distribution of weighted means."""
    values, bound = np.array([[1.0, 2.0, 4.0]]), np.array([10.0])
    rng = np.random.default_rng(5)
    plain = []
    for _ in range(20_000):
        cuts = sorted([0.0, *rng.random(3), 1.0])
        gaps = [after - before for before, after in itertools.pairwise(cuts)]
        plain.append(sum(gap * value for gap, value in zip(gaps, [1.0, 2.0, 4.0, 10.0], strict=True)))
    found = np.sort(bounded_means(values, bound)[0])
    for quantile in (0.025, 0.5, 0.975):
        assert np.quantile(found, quantile) == pytest.approx(np.quantile(plain, quantile), abs=0.08)


def test_bounded_ends_and_chances_are_those_of_all_weighted_means() -> None:
    """Beside all of them put in order, for rows of equal values too, of which the bound's weight alone decides."""
    rng = np.random.default_rng(3)
    values = np.vstack([rng.normal(shift, 1, (3, 16)) for shift in (-0.4, 0, 0.3, 7)])
    values = np.vstack([values, *(np.full((3, 16), equal) for equal in (0.0, 2.0, -2.0, 0.1))])
    reach = np.resize([0.0, 1.0, 40.0], len(values))
    ends = values.min(axis=1) - reach, values.max(axis=1) + reach
    low, high, p = bounded_estimates(values, *ends, 0.95)
    below, above = (np.sort(bounded_means(values, end), axis=1) for end in ends)
    # In single precision: how a product of matrices is summed up depends on their size, and on the processor.
    assert list(low) == pytest.approx(list(below[:, 500]), rel=1e-5, abs=1e-5)
    assert list(high) == pytest.approx(list(above[:, -501]), rel=1e-5, abs=1e-5)
    fewer = np.minimum((below <= 0).sum(axis=1), (above >= 0).sum(axis=1))
    often = fewer >= 100
    assert list(p[often]) == pytest.approx(list(np.minimum(1, 2 * (fewer[often] + 1) / 20_001)), abs=2 * 3 / 20_001)
    assert (p[~often] < 0.02).all()
    assert 5 < often.sum() < len(values)


def test_an_interval_moves_and_stretches_with_its_values_and_turns_with_their_sign() -> None:
    values = np.array([0.0, 0, 0, 1, 0, 3, 0, 0, 12, 0, 0, 1, 0, 0, 2, 0])
    low, high, p = estimate(values, bounds=(-5, 20))
    assert estimate(values * 1e9 + 7e12, bounds=(-5e9 + 7e12, 20e9 + 7e12))[:2] == pytest.approx(
        (low * 1e9 + 7e12, high * 1e9 + 7e12), rel=1e-6
    )
    turned = estimate(-values, bounds=(-20, 5))
    assert turned[:2] == pytest.approx((-high, -low), abs=0.1)
    assert turned.p == pytest.approx(p, abs=0.02)
    assert low < values.mean() < high
    assert estimate(values[::-1].copy(), bounds=(-5, 20)) == (low, high, p), "in whatever order"


def test_p_is_below_five_percent_just_where_the_interval_leaves_out_zero() -> None:
    values = np.arange(1.0, 21.0)
    for shift in np.linspace(0, 15, 31):
        low, high, p = estimate(values - shift, bounds=(-5.0 - shift, 30.0 - shift))
        assert (p < 0.05) == (low > 0 or high < 0)


def test_fewer_than_fifteen_values_have_no_interval() -> None:
    assert FEWEST_FOR_INTERVAL == 15
    assert np.isnan(estimate(np.arange(14.0))).all()
    assert not np.isnan(estimate(np.arange(15.0))).any()
    assert np.isnan(estimate(np.array([math.inf] * 15))).all()


def test_a_support_reaches_as_far_as_the_farthest_of_any_policy_and_a_third_more() -> None:
    # Two policies of 15 replications; the differences of b to a are 1 but for one of 16, whose mean is 2.
    a, b = np.full(15, 100.0), np.array([101.0] * 14 + [116.0])
    least, most = support(np.column_stack([a, b]), "neither", 0)
    # Mean 2, farthest 14 from it, a third more of that: 18.67; but b is at most 116 + 14 / 3 ... of all means' middle.
    assert least[1] == pytest.approx(max(2 - 14 * 4 / 3, 100 - (101 - 100) / 3 - (116 + (116 - 101) / 3)))
    assert most[1] == pytest.approx(min(2 + 14 * 4 / 3, 116 + (116 - 101) / 3 - (100 - (101 - 100) / 3)))


def test_what_was_not_seen_is_no_better_than_the_best_and_may_be_as_bad_as_the_worst_of_any() -> None:
    good, bad = np.full(15, 50.0), np.array([50.0] * 10 + [0.0] * 5)
    least, most = support(np.column_stack([good, bad]), "higher")
    assert most[0] == pytest.approx(50)
    assert least[0] == pytest.approx(max(0, 50 - 100 / 3 * 4 / 3))
    least, most = support(np.column_stack([good, bad]), "higher", highest=50.0)
    assert most.tolist() == [50, 50]


def test_many_tables_at_once_have_the_supports_of_each() -> None:
    rng = np.random.default_rng(3)
    tables = rng.exponential(size=(4, 15, 3))
    for better in ("higher", "lower", "neither"):
        for base in (None, 1):
            least, most = support(tables, better, base, 9.0)
            for place, table in enumerate(tables):
                one = support(table, better, base, 9.0)
                assert least[place] == pytest.approx(one[0])
                assert most[place] == pytest.approx(one[1])


def test_holm_by_hand() -> None:
    # In order: 0.01 <= 0.05 / 4, 0.013 <= 0.05 / 3, 0.03 > 0.05 / 2, and so the last one is not tried.
    assert holm([0.03, 0.01, math.nan, 0.04, 0.013]) == [False, True, False, False, True]
    assert holm([]) == []
    assert holm([0.05]) == [True]
    assert holm([0.026, 0.026]) == [False, False]


def test_marks_of_a_scenario_are_corrected_for_all_that_is_compared_in_it() -> None:
    """Twenty scores in which nothing differs but by chance take away what one of them alone would show."""
    steps = [0.5, -0.35] * 8
    values = {"base": {"returned_share": [40.0] * 16}, "a": {"returned_share": [40 + step for step in steps]}}
    alone = compare(score_rows(values), "base", ["returned_share"])
    (p,) = alone.loc[alone["policy"] == "a", "p"]
    many = holm([p] + [0.9] * 19)
    assert holm([p])[0] == (p <= 0.05)
    assert many[0] == (p <= 0.05 / 20)


def test_how_many_are_needed_solves_the_rule() -> None:
    values = np.array([0.0, 1.0, 2.0, 5.0])
    many = needed(values)
    # z s / (m sqrt N) + l r / (m N) = 1 with m = 2, s^2 = 14 / 3, r = 3; z is 1.96 and l the logarithm of 40.
    left = 1.959964 * math.sqrt(14 / 3) / (2 * math.sqrt(many)) + math.log(40) * 3 / (2 * many)
    assert left <= 1
    assert many == FEWEST_FOR_INTERVAL or left > 0.9
    assert needed(values / 100 + 1) == FEWEST_FOR_INTERVAL
    assert needed(values - 1.9) > 1000
    assert math.isnan(needed(np.zeros(5)))
    assert math.isnan(needed(np.array([1.0])))


def test_more_are_needed_where_unseen_ones_may_lie_beyond_0_and_where_much_is_compared() -> None:
    close = np.array([20.0, 21.0, 22.0, 23.0])
    assert needed(close) == needed(close, (15.0, 30.0)) == FEWEST_FOR_INTERVAL
    # Without spread to speak of, N is l (m - low) / m: of the mean 21.5 and the end -78.5 about 17.2 and more.
    far = needed(close, (-78.5, 30.0))
    assert math.log(40) * 100 / 21.5 < far < math.log(40) * 100 / 21.5 + 2
    assert needed(-close, (-30.0, 78.5)) == far
    assert needed(-close, (-300.0, 0.0)) == needed(close, (0.0, 300.0)) == 15
    assert needed(close, (-78.5, 30.0), 50) > math.log(2000) * 100 / 21.5
