"""A recorded demand as an experiment to start from plays it: which column is what, how large, how fast, which part."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.faults import Faults
from sim.traces.opening import open_trace
from sim.traces.recognising import Recognised, recognise
from sim.units import MIB, MICROSECONDS, format_size, us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from sim.traces.samples import Trace

MOST_SAMPLES: Final = 600
"""Of a longer trace about so many samples around its peak are played at first.

A run takes about half a millisecond for each, and a recommendation a thousand runs: minutes.
"""

_SHORTEST_S: Final = 3600
_LITTLE_MORE: Final = 1.2
"""A trace that is longer by no more than this is played as a whole."""

_BEFORE_PEAK: Final = 0.75
"""Share of what is played that lies before the peak, so that what comes back after it is seen, too."""

_FASTEST_LEAK: Final = 47 * MIB
"""Bytes per second of the one growth that was measured, between any two samples (docs/recipes.md, hpc-leaks)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A demand trace, and what of it is played.

    ``path`` is the file; ``columns`` the mapping; ``series`` their number; ``tells_series`` whether the file tells them
    apart. ``peak`` is the largest sample of user memory in bytes, at ``peak_s`` after the first sample of the series
    ``peak_series``; ``peaks`` those of all series. ``span_s`` is the longest series, ``step_s`` the median time between
    samples, ``longest_gap_s`` the longest; ``fastest`` the fastest growth in bytes per second. ``start_s`` to ``end_s``
    is played (0 and 0: all of it). ``said`` and ``assumed`` are lines about the columns.
    """

    path: Path
    columns: Mapping[str, Any]
    series: int
    tells_series: bool
    peak: int
    peak_s: float
    peak_series: str
    peaks: tuple[int, ...]
    span_s: float
    step_s: float
    longest_gap_s: float
    fastest: int
    start_s: float
    end_s: float
    whole_machine: bool
    said: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def played_s(self) -> float:
        """Seconds of a replication."""
        return self.end_s - self.start_s if self.end_s else self.span_s

    @property
    def rate(self) -> int:
        """Bytes per second by which demand grows between two samples: whole MiB."""
        return max(_FASTEST_LEAK, -(-self.fastest // MIB) * MIB)

    def path_from(self, folder: Path) -> str:
        """Return the path of the file as a file in ``folder`` says it."""
        return os.path.relpath(self.path, folder)


@dataclass(slots=True)
class _Measured:
    """What is found out about the series of a trace, one after the other."""

    peaks: list[tuple[int, float, str]] = field(default_factory=list)
    spans: list[float] = field(default_factory=list)
    steps: list[npt.NDArray[np.int64]] = field(default_factory=list)
    fastest: float = 0.0

    def add(self, trace: Trace, series: str) -> None:
        """Measure one series."""
        parts = [(some.t_us, some.values["user"]) for some in trace.samples(series)]
        t_us = np.concatenate([t for t, _ in parts])
        user = np.concatenate([values for _, values in parts])
        self.spans.append(us_to_seconds(int(t_us[-1] - t_us[0])))
        steps = np.diff(t_us)
        self.steps.append(steps[steps > 0])
        there = user >= 0
        if not there.any():
            return
        at = int(np.argmax(user))
        self.peaks.append((int(user[at]), us_to_seconds(int(t_us[at] - t_us[0])), series))
        rises, times = np.diff(user[there]), np.diff(t_us[there])
        growing = (rises > 0) & (times > 0)
        if growing.any():
            self.fastest = max(self.fastest, float((rises[growing] / times[growing]).max()) * MICROSECONDS)


def read_demand(path: Path, given: Mapping[str, Any], *, likely: int | None = None, whole: bool = False) -> Demand:
    """Return the demand in the file at ``path``; ``given`` is what was said of its columns.

    ``likely`` is about how large (bytes) the machine is; ``whole``: nothing is to be added to what is given. Raises
    InputError with everything that is missing or wrong.
    """
    faults = Faults()
    found = Recognised(dict(given)) if whole else recognise(path, given, faults, likely=likely)
    faults.raise_if_any(str(path))
    trace = open_trace(path, found.columns)
    if len(trace.series) == 1 and "series" not in given and found.columns.pop("series", None) is not None:
        found.said = [line for line in found.said if not line.startswith("series:")]
    measured = _Measured()
    for series in trace.series:
        measured.add(trace, series)
    if not measured.peaks:
        faults.below("--user").add("no sample has a value of the memory in use")
    faults.raise_if_any(str(path))
    peak, peak_s, peak_series = max(measured.peaks, key=lambda each: each[0])
    steps = np.concatenate(measured.steps)
    step = us_to_seconds(int(np.median(steps))) if len(steps) else 0.0
    start, end = _part(peak_s, step, max(measured.spans), min(measured.spans))
    return Demand(
        path=path,
        columns={name: _written(value) for name, value in found.columns.items()},
        series=len(trace.series),
        tells_series="series" in found.columns,
        peak=peak,
        peak_s=peak_s,
        peak_series=peak_series,
        peaks=tuple(each[0] for each in measured.peaks),
        span_s=max(measured.spans),
        step_s=step,
        longest_gap_s=us_to_seconds(int(steps.max())) if len(steps) else 0.0,
        fastest=int(measured.fastest),
        start_s=start,
        end_s=end,
        whole_machine=found.whole_machine,
        said=tuple(found.said),
        assumed=tuple(found.assumed),
    )


def _written(value: object) -> object:
    """Return a part of a mapping as a file has it, its sizes as strings."""
    if not isinstance(value, dict):
        return value
    sizes = ("unit", "percent_of", "share_of")
    return {key: format_size(item) if key in sizes and isinstance(item, int) else item for key, item in value.items()}


def _part(peak_s: float, step_s: float, longest_s: float, shortest_s: float) -> tuple[float, float]:
    """Return from when to when it is played, in seconds since a series' first sample; 0 and 0 for all of it."""
    length = math.ceil(max(_SHORTEST_S, MOST_SAMPLES * step_s) / _SHORTEST_S) * _SHORTEST_S
    if longest_s <= _LITTLE_MORE * length:
        return 0.0, 0.0
    start = min(max(0.0, peak_s - _BEFORE_PEAK * length), max(0.0, shortest_s - length))
    start = float(int(start))
    return start, start + length
