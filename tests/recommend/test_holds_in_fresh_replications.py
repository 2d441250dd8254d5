"""Recommendations of shipped experiments and of random relatives, in fresh replications beside all fixed choices.

All of them: ``python -m tests.support.recommend_check FOLDER``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.recommend_check import checks

if TYPE_CHECKING:
    from pathlib import Path


def test_the_pick_where_nothing_is_random_is_the_best_fixed_choice(tmp_path: Path) -> None:
    (check,) = checks("sail-reactive", tmp_path, workers=1)
    assert check.good, check.line()
    assert check.replications == 1
    assert check.pick is not None


@pytest.mark.slow
@pytest.mark.parametrize("case", ["neon-ratio-101", "neon-x60", "relative-0", "relative-1", "relative-2"])
def test_a_pick_keeps_its_limits_and_is_near_the_best_fixed_choice(case: str, tmp_path: Path) -> None:
    for check in checks(case, tmp_path):
        assert check.good, check.line()
