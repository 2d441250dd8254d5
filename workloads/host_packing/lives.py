"""When virtual machines come and how long they stay, where a trace does not say: drawn from named distributions."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.units import MICROSECONDS
from workloads.parts.draws import exponential_waits, uniforms

if TYPE_CHECKING:
    from collections.abc import Iterator

GAPS: Final = ("exponential", "fixed")
"""How times between arrivals are spread."""

LIVES: Final = ("azure-2017", "exponential", "fixed")
"""How lifetimes are spread."""

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR

AZURE_2017: Final = (
    (0.0, 60),
    (0.126, 300),
    (0.241, 600),
    (0.342, 900),
    (0.446, 1200),
    (0.520, 1500),
    (0.559, 1800),
    (0.608, 2400),
    (0.655, _HOUR),
    (0.735, 2 * _HOUR),
    (0.790, 4 * _HOUR),
    (0.843, 8 * _HOUR),
    (0.880, 12 * _HOUR),
    (0.940, _DAY),
    (0.960, 2 * _DAY),
    (0.971, 6 * _DAY),
    (1.0, 30 * _DAY),
)
"""Lifetimes of 669,435 virtual machines of Microsoft Azure: share that had gone by so many seconds.

The estimate of Kaplan and Meier from the public trace of 2017 (Cortez et al., "Resource Central", SOSP 2017), as
binned in huaweicloud/trace_generation_rnn at fa856db, the files v1.dev.c2100000.txt and v1.test.c2591400.txt; 37,628
had not gone when it ended. The trace counts in 5 minutes and these parts of it span 9 days: the first and the last
point are taken, not measured.
"""


def lifetimes(stream: np.random.Generator, spread: str, mean_us: int) -> Iterator[int]:
    """Yield lifetimes in microseconds; ``azure-2017`` has its own mean."""
    if spread == "fixed":
        return repeat(mean_us)
    if spread == "exponential":
        return exponential_waits(stream, mean_us)
    shares = [share for share, _ in AZURE_2017]
    logs = np.log([seconds for _, seconds in AZURE_2017])
    return (round(float(np.exp(np.interp(draw, shares, logs))) * MICROSECONDS) for draw in uniforms(stream))


def gaps(stream: np.random.Generator, spread: str, mean_us: int) -> Iterator[int]:
    """Yield times between arrivals in microseconds."""
    return repeat(mean_us) if spread == "fixed" else exponential_waits(stream, mean_us)
