"""How many values are how large, counted as they stream by: quantiles in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_BITS: Final = 10
"""Bins of which a power of two has so many bits: values of one differ by a thousandth at most."""

_DROPPED: Final = 52 - _BITS
_BINS: Final = 64 << _BITS
_HELD: Final = 1 << 18


class Distribution:
    """Whole numbers from 0 to 2^62, counted in bins of which each remembers its least and its largest value."""

    def __init__(self) -> None:
        self.count = 0
        """How many values there are."""
        self._sum = 0.0
        self._counts = np.zeros(_BINS, np.int64)
        self._least = np.full(_BINS, np.iinfo(np.int64).max)
        self._most = np.full(_BINS, -1)
        self._waiting: list[npt.NDArray[np.int64]] = []
        self._waiting_count = 0

    def add(self, values: npt.NDArray[np.int64]) -> None:
        """Count ``values``."""
        if not len(values):
            return
        self.count += len(values)
        self._sum += float(values.sum(dtype=np.float64))
        self._waiting.append(values)
        self._waiting_count += len(values)
        if self._waiting_count >= _HELD:
            self._settle()

    def _settle(self) -> None:
        if not self._waiting:
            return
        values = np.sort(np.concatenate(self._waiting))
        self._waiting.clear()
        self._waiting_count = 0
        found, starts = np.unique(_bins(values), return_index=True)
        ends = np.append(starts[1:], len(values)) - 1
        self._counts[found] += ends - starts + 1
        self._least[found] = np.minimum(self._least[found], values[starts])
        self._most[found] = np.maximum(self._most[found], values[ends])

    @property
    def mean(self) -> float:
        """The mean of all values; NaN without any."""
        return self._sum / self.count if self.count else float("nan")

    def quantile(self, share: float) -> int:
        """Return a value that ``share`` of all values do not exceed, to a thousandth; least and largest are exact."""
        self._settle()
        rank = min(int(share * self.count), self.count - 1)
        cumulated = np.cumsum(self._counts)
        place = int(np.searchsorted(cumulated, rank, side="right"))
        inside = rank - (int(cumulated[place - 1]) if place else 0)
        least, most, count = int(self._least[place]), int(self._most[place]), int(self._counts[place])
        return least if count == 1 else least + round((most - least) * inside / (count - 1))

    def cumulated(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return values in rising order, and for each the share of all values that do not exceed it."""
        self._settle()
        found = np.flatnonzero(self._counts)
        return self._most[found], np.cumsum(self._counts[found]) / max(self.count, 1)


def _bins(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the bin of each value: its power of two, and the first bits behind the point."""
    first = np.float64(1.0).view(np.int64) >> _DROPPED
    return np.where(values == 0, 0, (values.astype(np.float64).view(np.int64) >> _DROPPED) - first + 1)
