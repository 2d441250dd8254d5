from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.plugins.parameter_search import Between, OneOf, Search
from sim.plugins.parameter_types import Flag, Number, ParameterType, Percent, Seconds, Size, Text, Whole, Word
from sim.plugins.parameters import DescriptionError, parameters_of
from sim.units import GIB, MIB

RATIO = Whole(0, 6400)
DOUBLING = Between(25, 6400, steps=9, spacing="geometric", also=(301,))


def test_geometric_steps_double_and_the_default_is_among_them() -> None:
    assert DOUBLING.first(RATIO) == (25, 50, 100, 200, 301, 400, 800, 1600, 3200, 6400)


def test_even_steps_are_equally_far_apart() -> None:
    assert Between(50, 250, steps=5).first(Percent()) == (50, 100, 150, 200, 250)
    assert Between(0.5, 1.5, steps=3).first(Number()) == (0.5, 1.0, 1.5)
    assert Between(300, 300, steps=4).first(Percent()) == (300,)
    assert Between(10, 20, steps=1).first(Percent()) == (10,)


def test_sizes_keep_to_their_multiples() -> None:
    blocks = Size(multiple_of=128 * MIB)
    assert Between(128 * MIB, GIB, steps=4).first(blocks) == (128 * MIB, 384 * MIB, 768 * MIB, GIB)


@pytest.mark.parametrize(
    ("search", "low", "high", "middle"),
    [
        (DOUBLING, 100, 400, 200),
        (DOUBLING, 200, 301, 245),  # sqrt(200 * 301) = 245.4
        (DOUBLING, 300, 317, None),  # a 96th of eight doublings is 5.9 %
        (DOUBLING, 25, 26, None),
        (Between(0, 960, steps=3), 100, 200, 150),
        (Between(0, 960, steps=3), 100, 109, None),
        (OneOf((1, 100)), 1, 100, None),
    ],
)
def test_halfway_lies_in_the_middle_until_it_no_longer_matters(
    search: Search, low: int, high: int, middle: int | None
) -> None:
    assert search.halfway(RATIO, low, high) == middle


@given(one=st.integers(1, 10_000), other=st.integers(1, 10_000), steps=st.integers(1, 30), geometric=st.booleans())
def test_all_values_lie_within_the_ends_ascend_and_can_be_found_again(
    one: int, other: int, steps: int, *, geometric: bool
) -> None:
    low, high = sorted((one, other))
    search = Between(low, high, steps, "geometric" if geometric else "even")

    values = search.first(Whole())

    assert list(values) == sorted(set(values))
    assert values[0] == low
    assert steps == 1 or values[-1] == high
    for value in values:
        assert abs(search.at(Whole(), search.share(value)) - value) <= 1


@given(st.integers(1, 1000), st.integers(1001, 9000))
def test_halving_comes_to_an_end(low: int, high: int) -> None:
    search = Between(low, high, 2, "geometric")
    rounds = 0
    while (middle := search.halfway(Whole(), low, high)) is not None:
        low = middle
        rounds += 1
    assert rounds <= 7  # 2 ** 7 > 96 parts


def test_values_can_matter_in_some_places_only() -> None:
    by_node = OneOf((True, False), several_nodes=True)
    assert not by_node.matters({}, 1)
    assert by_node.matters({}, 2)
    of_one_policy = DOUBLING.where(online_policy="auto-movable")
    assert of_one_policy.matters({"online_policy": "auto-movable"}, 1)
    assert not of_one_policy.matters({"online_policy": "contig-zones"}, 1)


@pytest.mark.parametrize(
    ("search", "of", "words"),
    [
        (DOUBLING, RATIO, "25 to 6400 in 9 steps, each as many times the one before, and 301"),
        (Between(64 * MIB, GIB), Size(), "64MiB to 1GiB"),
        (OneOf((True, False), several_nodes=True), Flag(), "true, false (on machines with several nodes)"),
        (OneOf((0.5, 2.0)), Seconds(), "0.5, 2"),
    ],
)
def test_what_is_tried_is_said_in_words(search: Search, of: ParameterType, words: str) -> None:
    assert search.in_words(of) == words


def test_as_json_says_the_same_as_a_file_would() -> None:
    assert Between(64 * MIB, GIB, 3).as_json(Size()) == {"from": "64MiB", "to": "1GiB", "steps": 3, "spacing": "even"}
    assert OneOf((256 * MIB,)).where(a=1).as_json(Size()) == {"values": ["256MiB"], "only_with": {"a": 1}}


@pytest.mark.parametrize(
    ("search", "of", "flaw"),
    [
        (Between(3, 1), Whole(), "leave nothing"),
        (Between(0, 10, 3, "geometric"), Whole(), "begin above 0"),
        (Between(0, 10, 0), Whole(), "1 at least"),
        (Between(0, 1), Text(), "list those to try"),
        (Between(0, 20, 3), Whole(0, 10), "must be from 0 to 10, but is 20"),
        (OneOf(()), Whole(), "at least one"),
        (OneOf(("sideways",)), Word(("up", "down")), "sideways"),
        (Between("a", "b"), Whole(), "must be numbers"),  # type: ignore[arg-type]  # whatever an author writes
        (Between(1, 2, 2, "odd"), Whole(), "'even' or 'geometric'"),  # type: ignore[arg-type]  # as above
    ],
)
def test_what_cannot_be_tried_is_a_flaw(search: Search, of: ParameterType, flaw: str) -> None:
    assert any(flaw in each for each in search.flaws(of))


def test_a_plug_in_says_it_beside_the_type_or_has_its_mistake_told() -> None:
    def described(*notes: Any) -> Any:  # noqa: ANN401  whatever an author writes
        class Plugin:
            def __init__(self, *, ratio: int = 100) -> None: ...

        Plugin.__init__.__annotations__["ratio"] = Annotated[int, Percent(), *notes, "a ratio"]
        return parameters_of(Plugin)[0]

    assert described(OneOf((50, 100))).search == OneOf((50, 100))
    assert described().search is None
    with pytest.raises(DescriptionError, match="one must be at least 0, but is -5"):
        described(OneOf((-5,)))
    with pytest.raises(DescriptionError, match="says 2 times which values to try"):
        described(OneOf((5,)), Between(1, 2))
