"""Axes: round numbers between two ends, and how they are written."""

from __future__ import annotations

import math


def ticks(low: float, high: float, about: int = 4, *, whole: bool = False) -> list[float]:
    """Return round numbers from ``low`` to ``high``, ``about`` so many; the same as ``ticks`` of ``charts.js``.

    Of counts they are ``whole`` numbers.
    """
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low] if math.isfinite(low) else []
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    steps = [power * each for each in (1, 2, 2.5, 5, 10)]
    if whole:
        steps = [step for step in steps if step >= 1 and step == int(step)] or [1.0]
    step = next((step for step in steps if step >= raw * (1 - 1e-9)), steps[-1])
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [each * step for each in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return a tick's number, without digits that say nothing."""
    text = f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"  # noqa: PLR2004  from there on {:g} has exponents
    return "0" if float(value) == 0 else text


def top_of(values: float, about: int = 4) -> float:
    """Return where an axis from 0 ends that is to show ``values``: a little above, 1 where there is nothing."""
    if not (math.isfinite(values) and values > 0):
        return 1.0
    marks = ticks(0, values, about)
    step = marks[1] - marks[0] if len(marks) > 1 else values
    return float(math.ceil(values * 1.02 / (step / 2) - 1e-9) * step / 2)
