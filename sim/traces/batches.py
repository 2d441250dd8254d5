"""What readers yield: samples as a file holds them, some at a time, of any series; and the names of the series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.faults import shown
from sim.units import MEMORY_LIMIT, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from sim.traces.told import TraceFaults

MOST_SERIES: Final = 1_000_000
LONGEST_NAME: Final = 300
"""Characters of a series' name."""

MISSING: Final = -1
LEAST_SUM: Final = -0.5
"""Bytes that a difference of columns may come to: what is above is none, such as 0.3 - 0.1 - 0.2."""

LATEST_US: Final = 1 << 60
"""No time lies further from a trace's zero: some 36,000 years."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples in the order of the file: of which series (its number), when, and how much; -1 for missing."""

    codes: npt.NDArray[np.int64]
    t_us: npt.NDArray[np.int64]
    values: Mapping[str, npt.NDArray[np.int64]]


class SeriesNames:
    """Series by name, numbered as they come."""

    def __init__(self, faults: TraceFaults) -> None:
        self._faults = faults
        self._codes: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        """All names so far, by number."""
        return list(self._codes)

    def code(self, name: str) -> int:
        """Return the number of series ``name``. Raises InputError where there are too many for any trace."""
        code = self._codes.setdefault(name, len(self._codes))
        if code >= MOST_SERIES:
            self._faults.refuse(f"holds over {MOST_SERIES:,} series: is the right column taken for them?")
        if len(name) > LONGEST_NAME:
            self._faults.refuse(f"holds a series with a name of over {LONGEST_NAME} characters: {shown(name)}")
        return code


class Builder:
    """Makes batches of samples that come one by one, and tells where time falls within a series."""

    def __init__(self, quantities: Sequence[str]) -> None:
        self._quantities = quantities
        self._codes: list[int] = []
        self._times: list[int] = []
        self._amounts: dict[str, list[float]] = {name: [] for name in quantities}
        self._last: dict[int, int] = {}

    def falls(self, code: int, t_us: int) -> bool:
        """Whether time falls with a sample at ``t_us``; if not, it is the last of its series now."""
        last = self._last.get(code)
        if last is not None and t_us < last:
            return True
        self._last[code] = t_us
        return False

    def add(self, code: int, t_us: int, amounts: Sequence[float]) -> None:
        """Add a sample."""
        self._codes.append(code)
        self._times.append(t_us)
        for name, amount in zip(self._quantities, amounts, strict=True):
            self._amounts[name].append(amount)

    def __len__(self) -> int:
        return len(self._codes)

    def taken(self, *, bits: bool = False) -> Batch:
        """Return all samples since the last call, their amounts as whole numbers or as the ``bits`` of floats."""
        batch = Batch(
            np.array(self._codes, np.int64),
            np.array(self._times, np.int64),
            {
                name: np.array(amounts, np.float64).view(np.int64) if bits else np.array(amounts, np.int64)
                for name, amounts in self._amounts.items()
            },
        )
        self._codes.clear()
        self._times.clear()
        for amounts in self._amounts.values():
            amounts.clear()
        return batch


def wrong_amount(value: float, unit: float, text: object) -> str | None:
    """Return what is wrong with ``value`` units of ``unit`` bytes, written as ``text``; None if nothing is."""
    if 0 <= value * unit <= MEMORY_LIMIT:
        return None
    if value < 0:
        return f"must not be negative, but is {shown(text)}; 'missing' says what stands for no value"
    return f"must be at most {format_size(MEMORY_LIMIT)}, but is {shown(text)} times {unit:g} bytes: is the unit right?"


def wrong_time(value: float, unit_us: float, text: object) -> str | None:
    """Return what is wrong with a time of ``value`` units, written as ``text``; None if nothing is."""
    if abs(value * unit_us) < LATEST_US:
        return None
    return f"must be a time within 36,000 years, but is {shown(text)} times {unit_us / 1e6:g} s: is the unit right?"
