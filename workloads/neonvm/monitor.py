"""Neon's vm-monitor in the guest: it refuses to have memory taken that programs use, and asks for more when short.

Source: neondatabase/neon, libs/vm_monitor/src at 90c0113 (runner.rs: thresholds, when it asks) and c3302ad (cgroup.rs:
how often it samples, and the average).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When the monitor finds memory short: times in microseconds, multiples of ``sample_us``, sizes in bytes."""

    sample_us: int
    samples: int
    reserved_share: float
    system: int
    margin: int
    ask_every_us: int

    def threshold(self, size: int) -> int:
        """Return how much anonymous memory is short of memory in a guest that is told that it has ``size`` bytes."""
        return int(max(0, size - self.system) * (1.0 - self.reserved_share))


class Monitor:
    """Samples the guest's anonymous memory; the mean of the last few samples is held against a threshold.

    ``size`` is what it takes the guest to have. Samples are taken to have found, until the next one is handed over,
    what the last one found; those before the first one as well.
    """

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = limits
        self._threshold = int(size * (1.0 - limits.reserved_share))
        self._changes: deque[tuple[int, int]] = deque()
        """Samples (microsecond, bytes) that differ from the one before."""
        self._mean = 0
        self._seen_us = 0
        self.asked_us: int | None = None
        """When it asked for more the last time."""

    def told(self, size: int) -> None:
        """Take the guest to have ``size`` bytes from now on."""
        self._threshold = self._limits.threshold(size)

    @property
    def short(self) -> bool:
        """Whether memory is short; then it goes on asking for more."""
        return self._mean >= self._threshold

    @property
    def asks_next_us(self) -> int:
        """When it asks for more next, if memory is short then."""
        soonest = self._seen_us + self._limits.sample_us
        return soonest if self.asked_us is None else max(soonest, self.asked_us + self._limits.ask_every_us)

    def catch_up(self, now_us: int) -> bool:
        """Make up for the samples that were left out before ``now_us``; whether it has asked for more in any."""
        first, last = self.asks_next_us, now_us - self._limits.sample_us
        if not self.short or last < first:
            return False
        self.asked_us = first + (last - first) // self._limits.ask_every_us * self._limits.ask_every_us
        return True

    def sample(self, now_us: int, anonymous: int) -> bool:
        """Take a sample; whether it asks for more now."""
        if not self._changes or self._changes[-1][1] != anonymous:
            self._changes.append((now_us, anonymous))
        oldest = now_us - (self._limits.samples - 1) * self._limits.sample_us
        while len(self._changes) > 1 and self._changes[1][0] <= oldest:
            self._changes.popleft()
        self._mean = self._mean_of(now_us)
        asks = self.short and (self.asked_us is None or now_us >= self.asked_us + self._limits.ask_every_us)
        self._seen_us = now_us
        if asks:
            self.asked_us = now_us
        return asks

    def _mean_of(self, now_us: int) -> int:
        """Return the mean of the last samples up to ``now_us``."""
        count = self._limits.samples
        total, left, until = 0, count, now_us + self._limits.sample_us
        for at, size in reversed(self._changes):
            samples = min(left, -(-(until - at) // self._limits.sample_us))
            total += samples * size
            left -= samples
            until = at
        return (total + left * self._changes[0][1]) // count

    @property
    def wavers(self) -> bool:
        """Whether the next samples may find memory short, or no longer short, with nothing changed in the guest."""
        sizes = [size for _, size in self._changes]
        return len(sizes) > 1 and min(sizes) < self._threshold <= max(sizes)

    def allows(self, size: int) -> bool:
        """Whether the guest can do with ``size`` bytes."""
        return self._limits.threshold(size) >= self._mean + self._limits.margin
