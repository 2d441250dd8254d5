"""Draws in batches: what they yield, and that the size of a batch does not show."""

from __future__ import annotations

from itertools import islice
from statistics import mean
from typing import TYPE_CHECKING, Any

import pytest

from sim.streams import Streams
from workloads.parts import draws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

KINDS: dict[str, Callable[[np.random.Generator], Iterator[Any]]] = {
    "uniforms": draws.uniforms,
    "normals": draws.normals,
    "indices": lambda stream: draws.indices(stream, 7),
    "signs": lambda stream: draws.signs(stream, 0.3),
    "exponential": lambda stream: draws.exponential_waits(stream, 1_000_000),
    "even": lambda stream: draws.even_waits(stream, 1_000_000, 0.5),
}


def taken(kind: str, count: int = 1000) -> list[Any]:
    return list(islice(KINDS[kind](Streams(3, 0)("x")), count))


@pytest.mark.parametrize("kind", KINDS)
def test_batches_do_not_show(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = taken(kind)
    monkeypatch.setattr(draws, "_BATCH", 7)
    assert taken(kind) == expected


@pytest.mark.parametrize("kind", ["indices", "signs", "exponential", "even"])
def test_whole_numbers_are_plain_integers(kind: str) -> None:
    # simpy adds them to the clock: a NumPy integer would spread from there and overflow silently.
    assert {type(number) for number in taken(kind)} == {int}


def test_no_wait_is_nothing() -> None:
    stream = Streams(1, 0)("x")
    assert min(islice(draws.exponential_waits(stream, 2), 1000)) == 1
    assert min(islice(draws.even_waits(stream, 1, 1.0), 1000)) == 1


def test_what_they_are() -> None:
    assert set(taken("indices")) == set(range(7))
    assert mean(taken("indices", 20_000)) == pytest.approx(3.0, abs=0.05)
    assert set(taken("signs")) == {-1, 1}
    assert mean(taken("signs", 20_000)) == pytest.approx(-0.4, abs=0.03)
    assert mean(taken("uniforms", 20_000)) == pytest.approx(0.5, abs=0.01)
    assert mean(taken("exponential", 20_000)) == pytest.approx(1e6, rel=0.03)


def test_without_a_choice_nothing_is_drawn() -> None:
    stream = Streams(1, 0)("x")
    before = stream.bit_generator.state
    assert list(islice(draws.indices(stream, 1), 3)) == [0, 0, 0]
    assert list(islice(draws.even_waits(stream, 5, 0.0), 3)) == [5, 5, 5]
    assert stream.bit_generator.state == before
