"""No two policies of an experiment have one colour, however many there are; swept ones go from light to dark."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from sim.plots.colours import policy_colours

SWEPT = [f"auto-movable, ratio {10 * number}" for number in range(1, 301)]
LABELS = st.from_regex(r"[ab]( [0-9]{1,3}){0,2}", fullmatch=True)


def test_300_policies_of_any_names_have_300_colours() -> None:
    for policies in (
        [f"policy {number} of them" for number in range(300)],
        SWEPT,
        [f"family {name}, {value}" for name in "abcdefghijklmnopqrst" for value in range(15)],
    ):
        assert len(set(policy_colours(policies).values())) == 300


@given(st.lists(LABELS, unique=True, max_size=60))
def test_whatever_is_swept_no_colour_comes_twice(policies: list[str]) -> None:
    assert len(set(policy_colours(policies).values())) == len(policies)


def test_twenty_swept_values_go_from_light_to_dark_whatever_their_order() -> None:
    policies = SWEPT[:20]
    colours = policy_colours(sorted(policies))
    lightness = [sum(to_rgb(colours[policy])) for policy in policies]
    assert all(before > after for before, after in pairwise(lightness))
