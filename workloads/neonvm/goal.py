"""How many compute units a guest should have, as NeonVM's autoscaler-agent reckons it from the guest's metrics.

Source: neondatabase/autoscaling at a4bce09 (2025-09-23), pkg/agent/core: goalcu.go, wss.go, metrics.go.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workloads.contract import GuestReport

_MINUTE_US: Final = 60 * MICROSECONDS
WINDOWS: Final = 60
"""Working sets are told of the last minute, the last two minutes and so on, up to so many."""


class Metrics(NamedTuple):
    """What the agent has read of the guest, in bytes. ``usage`` is all but MemAvailable, ``kernel`` more for it."""

    usage: int
    cached: int

    @classmethod
    def of(cls, report: GuestReport, kernel: int) -> Metrics:
        """Return the metrics of a guest that reports so."""
        return cls(report.total - report.available + kernel, report.cached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Which shares of a guest's memory are meant to be in use; sizes in bytes, windows in minutes."""

    unit: int
    usage_share: float
    total_share: float
    cache_share: float
    window: int
    wait: int
    largest_window: bool
    steepest: float
    ahead: float

    def units(self, metrics: Metrics, working_sets: Sequence[int] | None = None) -> int:
        """Return how many units the guest should have, before any bounds.

        ``working_sets``: bytes of the file cache that were in use within the last minute, two minutes and so on; None
        where the file cache is not looked at.
        """
        needed = math.floor(metrics.usage / self.usage_share + 0.5) / self.unit
        if working_sets is not None:
            working_set = self.working_set(working_sets)
            in_all = (min(working_set, metrics.cached) + metrics.usage) / self.total_share
            needed = max(needed, in_all / self.unit, working_set / self.cache_share / self.unit)
        return math.ceil(needed)

    def working_set(self, series: Sequence[int]) -> float:
        """Return the bytes of file cache that will be in use in the next minute, from those in use in the windows."""
        first = self.wait - 1
        if self.largest_window:
            size: float = series[-1]
        else:
            size = true_working_set(series, first=first, window=self.window, steepest=self.steepest)
        end = first
        while end < len(series) and series[end] <= size:
            end += 1
        return highest_ahead(series[:end], self.ahead)


def true_working_set(series: Sequence[int], *, first: int, window: int, steepest: float) -> int:
    """Return the value of ``series`` where it turns steep: rises by over ``steepest`` times as much as just before.

    Looked at from index ``first`` on; rises are those over ``window`` values. The last value where it never does.
    """
    reach = window - 1
    for at in range(first, len(series) - reach):
        before = max(0, series[at] - series[at - reach])
        behind = max(0, series[at + reach] - series[at])
        if behind > before * steepest:
            return series[at]
    return series[-1]


def highest_ahead(series: Sequence[int], ahead: float) -> float:
    """Return the most that would be reached if any rise of the ``series`` went on for ``ahead`` values more."""
    highest: float = series[0]
    for before, value in pairwise(series):
        after = max(before, value)
        highest = max(highest, after + (after - before) * ahead)
    return highest


class FileCache:
    """The guest's file cache as it was seen when it was read, every ``period_us``: what it held in the last minutes.

    The simulated guest does not tell which of its page cache is in use. What was in use within the last minutes is
    taken to be the most page cache that it had at any reading within them.
    """

    def __init__(self, period_us: int) -> None:
        self._period_us = period_us
        self._changes: deque[tuple[int, int]] = deque()
        """Readings (microsecond, bytes) that differ from the one before, falling sizes before the last: a smaller one
        before a larger one is never the most of any window."""
        self._last: tuple[int, int] | None = None

    def read(self, now_us: int, cached: int) -> None:
        """Take a reading. Those that were left out since the last one found what that one had found."""
        if self._last is not None and self._last[1] != cached:
            before = now_us - self._period_us
            self._keep(before, self._last[1])
        self._last = now_us, cached
        self._keep(now_us, cached)
        while self._changes[0][0] <= now_us - WINDOWS * _MINUTE_US:
            self._changes.popleft()

    def _keep(self, at_us: int, size: int) -> None:
        while self._changes and self._changes[-1][1] <= size:
            self._changes.pop()
        self._changes.append((at_us, size))

    def working_sets(self, now_us: int) -> list[int]:
        """Return the most that was held in the last minute, two minutes and so on."""
        sizes = []
        at = len(self._changes) - 1
        for minutes in range(1, WINDOWS + 1):
            while at > 0 and self._changes[at - 1][0] > now_us - minutes * _MINUTE_US:
                at -= 1
            sizes.append(self._changes[at][1])
        return sizes

    @property
    def last(self) -> int | None:
        """Bytes of page cache at the last reading."""
        return None if self._last is None else self._last[1]

    @property
    def settled(self) -> bool:
        """Whether all windows hold what was read last, so that time alone changes nothing."""
        return len(self._changes) == 1
