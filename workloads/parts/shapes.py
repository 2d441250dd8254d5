"""Shapes over time for a size that is set again and again: endless or finite series of (microseconds to wait, level).

A level counts steps above the minimum, from 0 to ``top``; what a step is in bytes is the caller's affair. Every shape
starts from level 0 at time 0.
"""

from __future__ import annotations

import math
from itertools import islice, repeat
from typing import TYPE_CHECKING, Final

import numpy as np

from workloads.parts.draws import exponential_waits, indices, normals

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_OF_NOISE: Final = 0.8
"""How much of the noise of a diurnal sample carries over to the next one (first-order autoregression)."""

_BATCH: Final = 256


def ramp(waits: Iterator[int], top: int) -> Iterator[tuple[int, int]]:
    """Up by one level after each wait until the top, then nothing more."""
    for level, wait in zip(range(1, top + 1), waits, strict=False):
        yield wait, level


def triangle(waits: Iterator[int], top: int) -> Iterator[tuple[int, int]]:
    """Up by one level at a time to the top, then down by one level at a time, again and again."""
    while True:
        for level in (*range(1, top + 1), *range(top - 1, -1, -1)):
            yield next(waits), level


def saw_tooth(waits: Iterator[int], top: int) -> Iterator[tuple[int, int]]:
    """Up by one level at a time to the top, then down to 0 at once, again and again."""
    while True:
        for level in (*range(1, top + 1), 0):
            yield next(waits), level


def diurnal(
    waits: Iterator[int], top: int, period_us: int, noise: float, stream: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """The curve of a day, lowest at time 0 and highest half a ``period_us`` later, with noise on top.

    The curve is (1 - cos) / 2 of the top; ``noise`` is the standard deviation, as a share of the top, of a disturbance
    that keeps :data:`MEMORY_OF_NOISE` of itself from one sample to the next. Rounded to whole levels and cut off at 0
    and the top.
    """
    draws = normals(stream) if noise else repeat(0.0)
    # Scaled so that the disturbance has the wanted spread from the first sample on.
    fresh = noise * math.sqrt(1.0 - MEMORY_OF_NOISE**2)
    disturbance = noise * next(draws)
    now = 0
    while True:
        batch = list(islice(waits, _BATCH))
        disturbances = []
        for draw in islice(draws, len(batch)):
            disturbance = MEMORY_OF_NOISE * disturbance + fresh * draw
            disturbances.append(disturbance)
        times = now + np.cumsum(batch)
        now = int(times[-1]) % period_us
        curve = 0.5 - 0.5 * np.cos((2.0 * np.pi / period_us) * (times % period_us))
        # Halves go up by a margin, so that no machine's last bit of a cosine decides about a level.
        levels = np.floor((curve + disturbances) * top + (0.5 + 1e-9)).clip(0, top).astype(np.int64)
        yield from zip(batch, levels.tolist(), strict=True)


def bursts(
    top: int,
    gap_us: int,
    length_us: int,
    gaps: np.random.Generator,
    lengths: np.random.Generator,
    heights: np.random.Generator,
) -> Iterator[tuple[int, int]]:
    """Level 0, broken by bursts to a level drawn evenly from 1 to the top.

    The times between bursts and their lengths are exponential with means ``gap_us`` and ``length_us``.
    """
    quiet, loud = exponential_waits(gaps, gap_us), exponential_waits(lengths, length_us)
    for gap, length, level in zip(quiet, loud, indices(heights, top), strict=False):
        yield gap, level + 1
        yield length, 0
