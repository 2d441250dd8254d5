"""Evidence: exact on cases small enough to work out by hand, and never too strong where the claim is true."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.recommend import evidence

LOOKS = 400


def test_failures_speak_against_a_limit_at_once_where_it_must_always_hold() -> None:
    assert evidence.broken(1, 1, 1.0) == math.inf
    assert evidence.broken(0, 1000, 1.0) == 0


def test_evidence_is_a_mean_of_likelihood_ratios() -> None:
    # By hand: with an allowed share of a half and one failure of one, each alternative q has the ratio q / 0.5.
    oftener = 0.5 + 0.5 * np.array([0.03, 0.08, 0.16, 0.3, 0.45, 0.65, 0.85, 0.97])
    assert float(evidence.broken(1, 1, 0.5)) == pytest.approx(math.log(np.mean(oftener / 0.5)))


def test_three_deaths_of_five_are_much_and_one_is_little() -> None:
    assert math.exp(float(evidence.broken(3, 5, 0.95))) > 50
    assert math.exp(float(evidence.broken(1, 5, 0.95))) < 5


@pytest.mark.parametrize("share", [0.9, 0.99])
def test_a_limit_that_is_just_broken_is_taken_for_kept_no_more_often_than_the_error(share: float) -> None:
    rng = np.random.default_rng(1)
    failed = (rng.random((1000, LOOKS)) < 1 - share).cumsum(axis=1)
    ever = (evidence.kept(failed, np.arange(1, LOOKS + 1), share) >= math.log(20)).any(axis=1)
    # Looked at after every one of 400 replications.
    assert ever.mean() <= 0.05
    never = (evidence.broken(failed, np.arange(1, LOOKS + 1), share) >= math.log(20)).any(axis=1)
    assert never.mean() <= 0.05


def test_how_many_more_it_takes_is_what_it_takes() -> None:
    for share, error in ((0.95, 0.05), (0.99, 0.05), (0.95, 0.001)):
        more = int(evidence.to_keep(0, 0, share, error, 0.0))
        assert evidence.kept(0, more, share) >= -math.log(error)
        assert evidence.kept(0, more - 2, share) < -math.log(error)
        # No test can do with fewer than so many without any failure.
        assert math.log(error) / math.log(share) <= more <= 1.5 * math.log(error) / math.log(share) + 1
    assert evidence.to_keep(5, 50, 0.95, 0.05, 0.1) == evidence.FARTHEST


@pytest.mark.parametrize(("rare", "loss"), [(0.02, 50.0), (0.01, 99.0), (0.2, 5.0)])
def test_a_mean_that_is_just_worse_is_taken_for_better_no_more_often_than_the_error(rare: float, loss: float) -> None:
    rng = np.random.default_rng(2)
    # Differences of 0, but for a rare loss: the mean is minus the indifference of 1.
    gap = rare * loss - 1
    losses = rng.random((600, LOOKS)) < rare
    wrong = 0
    for row in losses:
        differences = np.where(row, -loss, 0.0) + gap
        wrong += evidence.highest(evidence.not_better(differences, loss - gap, 1.0)) <= 0.05
    assert wrong / len(losses) <= 0.05


def test_what_cannot_be_worse_than_the_indifference_needs_no_evidence() -> None:
    assert (evidence.not_better(np.array([0.5, -0.5]), 0.9, 1.0) == math.inf).all()
    assert len(evidence.not_better(np.zeros(0), 3.0, 1.0)) == 0
    assert evidence.to_tell(np.zeros(0), 3.0, 1.0, 0.05) == evidence.FARTHEST


def test_pairs_that_are_equal_need_as_many_as_an_unseen_loss_could_hide() -> None:
    equal = np.zeros(1000)
    first = int(np.argmax(evidence.not_better(equal, 91.0, 1.0) >= math.log(20)))
    assert evidence.to_tell(equal[:10], 91.0, 1.0, 0.05) == pytest.approx(first - 10, rel=0.3)
    assert 90 * math.log(20) < first < 2 * 90 * math.log(20)
