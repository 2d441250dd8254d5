"""What a trace is like: its series, span and steps, and of each quantity how large it is and how much it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.traces.distribution import Distribution
from sim.units import us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from sim.traces.samples import Samples, Trace

SHARES: Final = {"least": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "largest": 1.0}
"""Quantiles of levels, by name."""

CHANGE_SHARES: Final = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "largest": 1.0}
"""Quantiles of changes, by name."""

GAP: Final = 2
"""A step of more than this many median steps of its series is a gap."""

MOMENTS: Final = 240
"""Parts of the span for which levels are kept apart."""

_FEW: Final = 1 << 18
_PER_OCTAVE: Final = 32
_LEVELS: Final = 64 * _PER_OCTAVE


@dataclass
class Quantity:
    """One quantity over all series: levels in bytes, and changes from one sample of a series to the next."""

    levels: Distribution = field(default_factory=Distribution)
    rises: Distribution = field(default_factory=Distribution)
    falls: Distribution = field(default_factory=Distribution)
    changes: Distribution = field(default_factory=Distribution)
    """Sizes of all changes, no change among them."""
    missing: int = 0
    """Samples without a value."""
    untold: list[str] = field(default_factory=list)
    """Series of which no sample has a value."""
    over_time: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((MOMENTS, _LEVELS), np.int32))
    """How many samples lie in each of :data:`MOMENTS` parts of the span and each part of the scale of levels."""

    def take(self, values: npt.NDArray[np.int64], moments: npt.NDArray[np.int64], last: int) -> int:
        """Count consecutive samples of a series, and return the last value; ``last`` is the one before, -1 for none."""
        there = values >= 0
        known = values[there]
        self.missing += len(values) - len(known)
        if not len(known):
            return last
        self.levels.add(known)
        octaves = np.log2(np.maximum(known, 1)) * _PER_OCTAVE
        np.add.at(self.over_time, (moments[there], octaves.astype(np.int64)), 1)
        steps = np.diff(known, prepend=known[:1] if last < 0 else [last])[1 if last < 0 else 0 :]
        self.changes.add(np.abs(steps))
        self.rises.add(steps[steps > 0])
        self.falls.add(-steps[steps < 0])
        return int(known[-1])

    def bands(self, shares: tuple[float, ...]) -> npt.NDArray[np.float64]:
        """Return for each moment (rows) the level in bytes that each of ``shares`` (columns) stays below; NaN for none.

        To within a fiftieth.
        """
        cumulated = np.cumsum(self.over_time, axis=1)
        counts = cumulated[:, -1]
        rows = []
        for counted, row in zip(counts, cumulated, strict=True):
            places = np.searchsorted(row, np.array(shares) * (counted - 1), side="right")
            rows.append(2.0 ** ((places + 0.5) / _PER_OCTAVE) if counted else np.full(len(shares), np.nan))
        return np.array(rows)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a trace is like. Times in seconds since the earliest sample."""

    series: int
    samples: int
    span_s: float
    shortest_s: float
    """The span of the shortest series."""
    steps: Distribution
    """Times between consecutive samples of a series, in microseconds."""
    gaps: int
    longest_gap_s: float
    quantities: Mapping[str, Quantity]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values: bytes and seconds."""
        return {
            "series": self.series,
            "samples": self.samples,
            "span_s": self.span_s,
            "shortest_span_s": self.shortest_s,
            "step_s": _quantiles(self.steps, SHARES, 1e-6),
            "gaps": self.gaps,
            "longest_gap_s": self.longest_gap_s,
            "quantities": {
                name: {
                    "samples": each.levels.count,
                    "missing": each.missing,
                    "series_without": len(each.untold),
                    "level_bytes": _quantiles(each.levels, SHARES) | {"mean": _mean(each.levels)},
                    "change_bytes": _quantiles(each.changes, CHANGE_SHARES) | {"mean": _mean(each.changes)},
                    "rises": each.rises.count,
                    "falls": each.falls.count,
                    "largest_rise_bytes": each.rises.quantile(1.0) if each.rises.count else 0,
                    "largest_fall_bytes": each.falls.quantile(1.0) if each.falls.count else 0,
                }
                for name, each in self.quantities.items()
            },
        }


def _mean(of: Distribution) -> float | None:
    return of.mean if of.count else None


def _quantiles(of: Distribution, shares: Mapping[str, float], scale: float = 1) -> dict[str, float | None]:
    return {name: of.quantile(share) * scale if of.count else None for name, share in shares.items()}


def summarize(trace: Trace) -> Summary:
    """Return what ``trace`` is like; it is read once, as a stream."""
    spans = [trace.span_us(series) for series in trace.series]
    end = max(last for _, last in spans) or 1
    steps = Distribution()
    quantities = {name: Quantity() for name in trace.quantities}
    samples = 0
    gaps = longest = 0
    for series in trace.series:
        own = _SeriesSteps()
        last_us: int | None = None
        last = dict.fromkeys(quantities, -1)
        for some in trace.samples(series):
            samples += len(some.t_us)
            between = _steps(some, last_us)
            steps.add(between)
            own.add(between)
            last_us = int(some.t_us[-1])
            moments = some.t_us * MOMENTS // (end + 1)
            for name, quantity in quantities.items():
                last[name] = quantity.take(some.values[name], moments, last[name])
        told = trace.told(series)
        for name, quantity in quantities.items():
            if name not in told:
                quantity.untold.append(series)
        found, largest = own.gaps()
        gaps, longest = gaps + found, max(longest, largest)
    return Summary(
        series=len(spans),
        samples=samples,
        span_s=us_to_seconds(max(last for _, last in spans)),
        shortest_s=us_to_seconds(min(last - first for first, last in spans)),
        steps=steps,
        gaps=gaps,
        longest_gap_s=us_to_seconds(longest),
        quantities=quantities,
    )


def _steps(some: Samples, last_us: int | None) -> npt.NDArray[np.int64]:
    return np.diff(some.t_us) if last_us is None else np.diff(some.t_us, prepend=last_us)


class _SeriesSteps:
    """The steps of one series, whose gaps are long for it, whatever the steps of others."""

    def __init__(self) -> None:
        self._few: list[npt.NDArray[np.int64]] = []
        self._count = 0
        self._many: Distribution | None = None

    def add(self, steps: npt.NDArray[np.int64]) -> None:
        """Count ``steps``."""
        self._few.append(steps)
        self._count += len(steps)
        if self._count > _FEW:
            self._many = self._many or Distribution()
            for some in self._few:
                self._many.add(some)
            self._few.clear()

    def gaps(self) -> tuple[int, int]:
        """Return how many steps are gaps, and the longest of them in microseconds."""
        if self._many is None:
            steps = np.sort(np.concatenate(self._few))
            gaps = (
                len(steps) - int(np.searchsorted(steps, GAP * steps[len(steps) // 2], side="right"))
                if len(steps)
                else 0
            )
            return gaps, int(steps[-1]) if gaps else 0
        for some in self._few:
            self._many.add(some)
        values, shares = self._many.cumulated()
        below = shares[values <= GAP * self._many.quantile(0.5)]
        gaps = round((1 - float(below[-1] if len(below) else 0.0)) * self._count)
        return gaps, int(values[-1]) if gaps else 0
