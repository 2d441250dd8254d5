"""Named random streams, so that what is random in a run depends on three things only.

These are the master seed, the replication and the stream's name. So every policy of one replication meets the same
traffic (common random numbers), a new stream shifts no other, and any replication can be run again alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_WORDS: Final = 8  # SHA-256 as 32-bit words, which is what a SeedSequence mixes


def seed_sequence(master_seed: int, replication: int, name: str) -> np.random.SeedSequence:
    """Return the seed of stream ``name``: entropy is the master seed, spawn key the replication and SHA-256(name)."""
    digest = hashlib.sha256(name.encode()).digest()
    words = (int.from_bytes(digest[4 * i : 4 * i + 4], "big") for i in range(_WORDS))
    return np.random.SeedSequence(master_seed, spawn_key=(replication, *words))


class Streams:
    """The named random streams of one run.

    ``master_seed`` and ``replication`` are non-negative; the replication is below 2**32. Raises ValueError otherwise.
    """

    __slots__ = ("_master_seed", "_replication", "_streams")

    def __init__(self, master_seed: int, replication: int) -> None:
        if master_seed < 0:
            raise ValueError(f"a master seed cannot be negative, but is {master_seed}")
        if not 0 <= replication < 1 << 32:
            raise ValueError(f"a replication is numbered from 0 to 2**32 - 1, but is {replication}")
        self._master_seed = master_seed
        self._replication = replication
        self._streams: dict[str, np.random.Generator] = {}

    def __call__(self, name: str) -> np.random.Generator:
        """Return the stream ``name``: the same generator at every call with this name."""
        stream = self._streams.get(name)
        if stream is None:
            # PCG64 is named, not left to default_rng, whose choice may change with NumPy.
            seed = seed_sequence(self._master_seed, self._replication, name)
            stream = self._streams[name] = np.random.Generator(np.random.PCG64(seed))
        return stream

    @property
    def drawn(self) -> int:
        """From how many streams anything was drawn: 0 where nothing in the run is random."""
        fresh = (seed_sequence(self._master_seed, self._replication, name) for name in self._streams)
        return sum(
            stream.bit_generator.state != np.random.PCG64(seed).state
            for stream, seed in zip(self._streams.values(), fresh, strict=True)
        )

    def __repr__(self) -> str:
        return f"Streams(seed {self._master_seed}, replication {self._replication}, {sorted(self._streams)})"


class ScopedStreams:
    """The streams of one part of a composition: its names stand behind the part's name, so that parts share none."""

    __slots__ = ("_scope", "_streams")

    def __init__(self, streams: Callable[[str], np.random.Generator], scope: str) -> None:
        self._streams = streams
        self._scope = scope

    def __call__(self, name: str) -> np.random.Generator:
        """Return the part's stream ``name``."""
        return self._streams(f"{self._scope}/{name}")
