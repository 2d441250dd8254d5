"""MOVABLE : KERNEL over time, beside the ratio that is configured, a panel per policy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from sim.analysis import findings
from sim.analysis.compare import number
from sim.analysis.scenario import time_axis
from sim.plots.colours import DARK, policy_colours
from sim.plots.figure_heading import dead_note, heading
from sim.plots.panels import draw_line, duration, name_panels, note_in, panels, policies_to_draw, seeds_note
from sim.plots.plot_data import ratio_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

_FAR_BEYOND: Final = 3.0


def plot_ratio(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw MOVABLE : KERNEL over time (percent), a panel per policy, with the ratio that is configured for it.

    Where policies go far beyond every configured ratio, panels end before them and say how far they go.
    """
    colours = policy_colours(scenario.policies)
    length = duration(scenario)
    per, unit = time_axis(length)
    policies = policies_to_draw(scenario)
    lines = {policy: ratio_series(store, scenario, policy) for policy in policies}
    peaks = {policy: float(np.nanmax(line.high, initial=0.0)) for policy, line in lines.items()}
    configured = {policy: scenario.configured_ratio(policy) for policy in policies}
    top = _highest_ratio(list(peaks.values()), [ratio for ratio in configured.values() if not math.isnan(ratio)])
    figure, axes = panels(len(policies), 4.2, 2.5, (f"simulated time [{unit}]", "MOVABLE : KERNEL [%]"))
    for axis, policy in zip(axes, policies, strict=True):
        draw_line(axis, lines[policy], length, per, colours[policy], 1.6, "solid")
        axis.axhline(configured[policy], color=DARK, lw=1.0, ls=(0, (1, 1.6)))
        if not math.isnan(configured[policy]) and configured[policy] <= top:
            note_in(axis, 1, configured[policy], f"configured: {configured[policy]:g} %", "bottom")
        if peaks[policy] > top:
            note_in(axis, 1, top * 1.06, f"goes up to {number(peaks[policy])} %", "top")
        axis.set_xlim(0, length / per)
        axis.set_ylim(0, top * 1.12)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    seeds = seeds_note(scenario, differs=any(line.differs for line in lines.values()))
    name_panels(figure, axes, scenario, policies)
    notes = (f"100 * present MOVABLE / present KERNEL memory; {seeds}", dead_note(scenario))
    heading(figure, findings.ratio(scenario), "Ratio", scenario, *notes)
    return figure


def _highest_ratio(peaks: Sequence[float], configured: Sequence[float]) -> float:
    """Return where the axis ends: at the highest peak, unless that is far beyond what is configured."""
    top = max([*(peak for peak in peaks if math.isfinite(peak)), 10.0])
    if not configured:
        return top
    # A ratio of millions stands for "no limit" and would flatten everything.
    sensible = [ratio for ratio in configured if ratio <= 2 * top]
    if sensible and top > _FAR_BEYOND * max(sensible):
        return 2 * max(sensible)
    return max([top, *sensible])
