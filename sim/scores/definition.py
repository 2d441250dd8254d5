"""What a score is: its name, unit, direction, formula and source. The scores stand in :mod:`sim.scores.registry`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from sim.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from sim.scores.measured import Measured

Direction = Literal["higher", "lower", "neither"]
Extreme = Literal["least", "most"]


OWN: Final = "this project"
DOCUMENT: Final = "Linux admin guide, memory hotplug: MOVABLE:KERNEL ratios"
"""Sources of several scores."""

NO_GUEST: Final = "no guest is modelled"
"""Why several scores may be undefined."""


class Question(StrEnum):
    """What people ask, in the order in which they ask it; each score helps to answer one."""

    FAILURES = "Did anything die?"
    ARRIVALS = "Did all arrive that was asked for?"
    RETURNS = "How much came back of what was asked back, and how fast?"
    WALL = "How near was the kernel to the wall?"
    ZONES = "Where did the memory go?"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: ``symbol`` of what is stored; people see the value divided by ``shown_per`` with ``shown_symbol``."""

    symbol: str
    shown_symbol: str
    shown_per: float = 1.0

    def show(self, value: float) -> float:
        """Return a stored ``value`` in the unit that people are shown."""
        return value / self.shown_per


PERCENT: Final = Unit("%", "%")
POINTS: Final = Unit("percentage points", "points")
SECONDS: Final = Unit("s", "s")
NUMBER: Final = Unit("1", "")
BYTES: Final = Unit("B", "GiB", GIB)
BYTE_SECONDS: Final = Unit("B s", "GiB s", GIB)


@dataclass(frozen=True, slots=True)
class Score:
    """One score.

    ``name`` is its key in files and tables and ``title`` its heading; ``unit`` what it is stored and shown in;
    ``better`` which direction is good; ``question`` what it helps to answer; ``function`` computes it; ``formula`` is
    its definition in words; ``source`` what it follows; ``undefined`` when it is NaN; ``headline`` marks the few that
    short tables and plots show; ``highest`` is the greatest value that it can have, 1 where it tells yes from no.
    ``extreme`` says that it is the least or the most that there was in a run: what of several runs comes to mind then
    is no mean, so the worst of them is told beside it.
    """

    name: str
    title: str
    unit: Unit
    better: Direction
    question: Question
    function: Callable[[Measured], float]
    formula: str
    source: str
    undefined: str = "never"
    headline: bool = False
    highest: float = math.inf
    extreme: Extreme | None = None

    @property
    def worst_is(self) -> Extreme | None:
        """Whether the worst of several runs is that with the least or the most; None where a mean says it all."""
        if self.extreme is None or self.better == "neither":
            return self.extreme
        return "least" if self.better == "higher" else "most"

    def worst(self, values: npt.NDArray[np.float64]) -> float:
        """Return the worst of the ``values`` of several runs; NaN without any, and where a mean says it all."""
        if self.worst_is is None or not len(values):
            return math.nan
        return float(values.min() if self.worst_is == "least" else values.max())
