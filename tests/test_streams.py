from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.streams import ScopedStreams, Streams

seeds = st.integers(0, 2**63 - 1)
replications = st.integers(0, 2**32 - 1)
stream_names = st.text(min_size=0, max_size=30)


def draws(streams: Streams, name: str, count: int = 4) -> list[int]:
    return [int(number) for number in streams(name).integers(0, 2**62, count)]


def test_the_same_name_is_the_same_generator() -> None:
    streams = Streams(1, 0)

    assert streams("a") is streams("a")
    assert streams("a") is not streams("b")


@given(seeds, replications, st.lists(stream_names, min_size=1, max_size=6, unique=True))
def test_a_stream_does_not_depend_on_which_others_there_are(seed: int, replication: int, names: list[str]) -> None:
    alone = draws(Streams(seed, replication), names[-1])
    streams = Streams(seed, replication)
    for name in names[:-1]:
        draws(streams, name, 17)

    assert draws(streams, names[-1]) == alone


@given(st.lists(st.tuples(seeds, replications, stream_names), min_size=2, max_size=6, unique=True))
def test_different_seeds_replications_or_names_give_different_numbers(keys: list[tuple[int, int, str]]) -> None:
    drawn = {tuple(draws(Streams(seed, replication), name)) for seed, replication, name in keys}

    assert len(drawn) == len(keys)


def test_the_numbers_stay_what_they_are() -> None:
    """Results of an old experiment can be computed again: this must never change."""
    assert draws(Streams(1, 0), "traffic") == [
        2439266872271052379,
        191062375273484952,
        3209721626244799334,
        4373091269748320805,
    ]


def test_a_scope_is_part_of_the_name() -> None:
    assert list(ScopedStreams(Streams(3, 1), "dimms")("waits").integers(0, 99, 5)) == list(
        Streams(3, 1)("dimms/waits").integers(0, 99, 5)
    )


def test_seeds_are_checked() -> None:
    with pytest.raises(ValueError, match="negative"):
        Streams(-1, 0)
    with pytest.raises(ValueError, match="replication"):
        Streams(1, 2**32)


def test_streams_look_independent() -> None:
    """Neighbouring replications and names share no visible pattern: correlations stay within five sigma."""
    samples = [Streams(1, replication)(name).random(20_000) for replication in range(3) for name in ("a", "b")]
    correlations = np.asarray(np.corrcoef(samples))[np.triu_indices(len(samples), 1)]

    assert np.abs(correlations).max() < 5 / np.sqrt(20_000)
