"""Random numbers in batches: endless iterators of plain Python numbers over one stream.

One draw from a NumPy generator costs about half as much as a whole simulated event; a batch of a few hundred turned
into a list costs a fifteenth of that per number. A stream given to one of these belongs to it: the numbers drawn ahead
are lost to others. What a stream yields does not depend on the size of the batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

_BATCH: Final = 256


def uniforms(stream: np.random.Generator) -> Iterator[float]:
    """Yield numbers spread evenly over [0, 1)."""
    while True:
        yield from stream.random(_BATCH).tolist()


def normals(stream: np.random.Generator) -> Iterator[float]:
    """Yield numbers from the normal distribution with mean 0 and standard deviation 1."""
    while True:
        yield from stream.standard_normal(_BATCH).tolist()


def exponential_waits(stream: np.random.Generator, mean_us: int) -> Iterator[int]:
    """Yield exponentially distributed times with mean ``mean_us``, in whole microseconds and at least one."""
    while True:
        for draw in stream.standard_exponential(_BATCH).tolist():
            yield round(draw * mean_us) or 1


def even_waits(stream: np.random.Generator, mean_us: int, jitter: float) -> Iterator[int]:
    """Yield times spread evenly over ``mean_us`` * (1 +- ``jitter``), in whole microseconds and at least one.

    Without jitter nothing is drawn.
    """
    if not jitter:
        while True:
            yield mean_us
    low, width = (1.0 - jitter) * mean_us, 2.0 * jitter * mean_us
    while True:
        for draw in stream.random(_BATCH).tolist():
            yield round(low + width * draw) or 1
