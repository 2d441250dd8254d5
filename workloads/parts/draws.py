"""Random numbers in batches: endless iterators of plain Python numbers over one stream (:mod:`sim.streams`).

One draw from a NumPy generator costs about half as much as a whole simulated event; a batch of a few hundred turned
into a list costs a fifteenth of that per number. A stream given to one of these belongs to it: the numbers drawn ahead
are lost to others. What a stream yields does not depend on the size of the batches.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

_BATCH: Final = 256


def uniforms(stream: np.random.Generator) -> Iterator[float]:
    """Yield numbers spread evenly over [0, 1)."""
    return _in_batches(lambda: stream.random(_BATCH))


def indices(stream: np.random.Generator, count: int) -> Iterator[int]:
    """Yield whole numbers spread evenly over 0 to ``count`` - 1; nothing is drawn where there is only 0."""
    if count == 1:
        return repeat(0)
    # Not Generator.integers: its use of the stream depends on how many are drawn at a time.
    return _in_batches(lambda: (stream.random(_BATCH) * count).astype(np.int64))


def signs(stream: np.random.Generator, probability: float) -> Iterator[int]:
    """Yield 1 with this ``probability``, else -1."""
    return _in_batches(lambda: np.where(stream.random(_BATCH) < probability, 1, -1))


def normals(stream: np.random.Generator) -> Iterator[float]:
    """Yield numbers from the normal distribution with mean 0 and standard deviation 1."""
    return _in_batches(lambda: stream.standard_normal(_BATCH))


def exponential_waits(stream: np.random.Generator, mean_us: int) -> Iterator[int]:
    """Yield exponentially distributed times with mean ``mean_us``, in whole microseconds and at least one."""
    return _in_batches(lambda: _microseconds(stream.standard_exponential(_BATCH) * mean_us))


def even_waits(stream: np.random.Generator, mean_us: int, jitter: float) -> Iterator[int]:
    """Yield times spread evenly over ``mean_us`` * (1 +- ``jitter``), in whole microseconds and at least one.

    Without jitter nothing is drawn.
    """
    if not jitter:
        return repeat(mean_us)
    low, width = (1.0 - jitter) * mean_us, 2.0 * jitter * mean_us
    return _in_batches(lambda: _microseconds(low + width * stream.random(_BATCH)))


def _microseconds(times: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.maximum(np.rint(times).astype(np.int64), 1)


def _in_batches(batch: Callable[[], npt.NDArray[np.generic]]) -> Iterator[Any]:
    # chain hands the numbers out without running any Python code of ours in between.
    return chain.from_iterable(batch().tolist() for _ in repeat(None))
