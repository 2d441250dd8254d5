"""A demand trace in one picture: each quantity over time, how large it is, and how much it changes at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from sim.analysis.scenario import time_axis
from sim.plots.colours import PALETTE
from sim.plots.lettering import shortened
from sim.traces.samples import QUANTITIES
from sim.traces.summary import MOMENTS
from sim.units import GIB, KIB, MIB, TIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.traces.distribution import Distribution
    from sim.traces.summary import Quantity, Summary

_MOST_QUANTITIES: Final = 6
_TITLE: Final = 7.0
"""Inches."""

_BANDS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def plot_trace(summary: Summary, title: str) -> Figure:
    """Draw ``summary``: a row for each quantity, with levels over time and the shares of levels and of changes."""
    drawn = [name for name, each in summary.quantities.items() if each.levels.count][:_MOST_QUANTITIES]
    rows = max(len(drawn), 1)
    figure = Figure(figsize=(12.5, 2.75 * rows + 1.0), layout="constrained")
    grid = figure.subplots(rows, 3, squeeze=False, width_ratios=(1.7, 1, 1))
    per, unit = time_axis(summary.span_s)
    for row, name in enumerate(drawn):
        quantity = summary.quantities[name]
        colour = PALETTE[row % len(PALETTE)]
        over_time, levels, changes = grid[row]
        _over_time(over_time, quantity, summary.span_s / per, colour)
        _shares(levels, {"": quantity.levels}, colour, quantity.levels.count)
        _shares(changes, {"rises": quantity.rises, "falls": quantity.falls}, colour, quantity.changes.count)
        over_time.set_ylabel(_memory_name(name))
        over_time.set_title(re.split("[:,(]", QUANTITIES[name])[0].strip(), fontsize=10, loc="left")
        levels.set_title("share of samples at or below", fontsize=10, loc="left")
        changes.set_title("share of changes at least as large", fontsize=10, loc="left")
        over_time.set_xlabel(f"time [{unit}]" if row == rows - 1 else "")
    how = "line: median of all samples at that time; bands: from 25 to 75 % and from 5 to 95 % of them"
    left_out = len(summary.quantities) - len(drawn)
    more = f"; {left_out} more quantities are not drawn" if left_out and len(drawn) == _MOST_QUANTITIES else ""
    figure.suptitle(
        f"{shortened(title, _TITLE, 14, 'bold')}: {summary.series:,} series, {summary.samples:,} samples\n\n",
        x=0.01,
        ha="left",
        fontsize=14,
        fontweight="bold",
    )
    figure.text(0.01, 1 - 0.42 / figure.get_figheight(), how + more, fontsize=10, color="#444444", va="top")
    return figure


def _memory_name(quantity: str) -> str:
    return quantity.replace("_", " ")


def _over_time(axis: Axes, quantity: Quantity, end: float, colour: str) -> None:
    bands = quantity.bands(_BANDS)
    time = (np.arange(MOMENTS) + 0.5) * end / MOMENTS
    known = ~np.isnan(bands[:, 0])  # a moment without samples is passed over
    top = quantity.levels.quantile(1)
    unit, scale = _unit(top)
    time, bands = time[known], np.clip(bands[known], quantity.levels.quantile(0), top) / scale
    axis.fill_between(time, bands[:, 0], bands[:, 4], color=colour, alpha=0.18, lw=0)
    axis.fill_between(time, bands[:, 1], bands[:, 3], color=colour, alpha=0.32, lw=0)
    axis.plot(time, bands[:, 2], color=colour, lw=1.6)
    axis.set_xlim(0, end or 1)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} {unit}"))


def _shares(axis: Axes, parts: dict[str, Distribution], colour: str, total: int) -> None:
    """Draw the shares of one distribution at or below each size, or of several by name beyond each size."""
    for style, (name, part) in zip(("solid", (0, (4, 1.4))), parts.items(), strict=False):
        if not part.count:
            continue
        values, shares = part.cumulated()
        sizes = np.maximum(values, 1) / MIB
        if name:
            beyond = (1 - np.concatenate([[0.0], shares[:-1]])) * part.count / total
            axis.step(sizes, beyond * 100, where="pre", color=colour, ls=style, label=name)
        else:
            axis.step(sizes, shares * 100, where="post", color=colour, lw=1.6)
    axis.set_xscale("log", base=2)
    low, high = axis.get_xlim()
    axis.set_xlim(max(low, 2.0**-12), max(high, 2.0**-11))
    axis.xaxis.set_major_locator(LogLocator(base=2, numticks=5))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _size(value * MIB)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axis.set_ylim(bottom=0)
    if any(parts) and any(part.count for part in parts.values()):
        axis.legend(fontsize=9)


def _size(size: float) -> str:
    unit, scale = _unit(size)
    return f"{size / scale:.3g} {unit}"


def _unit(size: float) -> tuple[str, int]:
    """Return the unit that suits ``size`` bytes, and its bytes."""
    units = (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
    return next(((unit, scale) for unit, scale in units if size >= scale), ("B", 1))
