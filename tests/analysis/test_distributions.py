"""The distributions that intervals need, held to those of SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from sim.analysis.distributions import (
    beta_quantile,
    normal_below,
    normal_quantile,
    root,
    student_below,
    student_quantile,
)

SHARES = st.floats(1e-12, 1 - 1e-9)


@given(st.floats(-37, 37))
def test_a_normal_number_is_below_a_place_as_likely_as_it_is(place: float) -> None:
    assert normal_below(place) == pytest.approx(float(special.ndtr(place)), rel=1e-11)


@given(SHARES)
def test_a_normal_number_is_below_its_quantile_as_likely_as_is_said(share: float) -> None:
    assert normal_quantile(share) == pytest.approx(float(special.ndtri(share)), rel=1e-12, abs=1e-15)


@given(st.integers(1, 2000), st.lists(st.floats(-200, 200), min_size=1, max_size=9))
def test_a_number_of_students_is_below_places_as_likely_as_it_is(freedom: int, places: list[float]) -> None:
    asked = np.array([0.0, *places])
    found = student_below(freedom, asked)
    assert found[0] == 0.5
    np.testing.assert_allclose(found, special.stdtr(freedom, asked), rtol=1e-9, atol=1e-300)


@given(st.integers(1, 2000), SHARES)
def test_a_number_of_students_is_below_its_quantile_as_likely_as_is_said(freedom: int, share: float) -> None:
    known = float(special.stdtrit(freedom, share))
    assert student_quantile(freedom, share) == pytest.approx(known, rel=1e-8, abs=1e-9)


@given(st.integers(1, 5000), st.data(), st.sampled_from([0.025, 0.975, 1e-6, 0.5]))
def test_the_quantile_of_a_beta_distribution_is_that_of_a_library(
    trials: int, data: st.DataObject, share: float
) -> None:
    events = data.draw(st.integers(0, trials - 1))
    known = float(special.betaincinv(events + 1, trials - events, share))
    assert beta_quantile(events + 1, trials - events, share) == pytest.approx(known, rel=1e-9)


@given(st.floats(-0.99, 0.99), st.sampled_from([1, 3, 5]))
def test_a_root_is_found_also_where_the_slope_is_nothing(place: float, power: int) -> None:
    def curve(x: float) -> tuple[float, float]:
        return (x - place) ** power, power * (x - place) ** (power - 1)

    # Of a power of five, whatever is so near is 0.
    assert root(curve, -1.0, 1.0) == pytest.approx(place, abs=1e-12 if power == 1 else 1e-4)


def test_newtons_steps_that_lead_out_are_halved() -> None:
    asked = []

    def flat(x: float) -> tuple[float, float]:
        asked.append(x)
        return math.atan(1e6 * (x - 0.9)), 1e6 / (1 + (1e6 * (x - 0.9)) ** 2)

    assert root(flat, 0.0, 1.0) == pytest.approx(0.9, abs=1e-12)
    assert all(0 < x < 1 for x in asked)
    assert len(asked) < 60
