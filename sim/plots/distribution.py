"""How replications are spread: each run a dot, by policy, and those that fail in a place of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sim.analysis import findings
from sim.analysis.compare import shown_unit
from sim.analysis.ranking import failing
from sim.plots.colours import DARK, GREY, policy_colours
from sim.plots.figure_heading import CUT_NOTE, MOST_ROWS, heading
from sim.plots.panels import label_width, row_labels, undefined_in
from sim.plots.spans import least_span, whole
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

    Floats = npt.NDArray[np.float64]

_FEWEST_FOR_QUARTILES: Final = 4
_NEAR: Final = 0.018
"""Dots nearer than this share of the axis lie beside each other, not on each other."""

_MOST_HEIGHTS: Final = 6
_APART: Final = 0.075
"""Of a row: how far dots are above each other. Of more than so many that are near, some hide others."""


def plot_distribution(_: ResultStore, scenario: Scenario, score: str = findings.RETURNED) -> Figure:
    """Draw ``score`` of every run that does not fail as a dot, a row per policy, with median and quartiles.

    How many fail stands at the left: whatever their score is, it is not held against that of the others. Raises
    KeyError for an unknown score.
    """
    known, policies = SCORES[score], scenario.ranked[:MOST_ROWS]
    colours, labels = policy_colours(scenario.policies), row_labels(scenario, policies)
    fails = failing(scenario.runs)
    any_fails = bool(fails.any())
    figure = Figure(figsize=(7.2 + label_width(labels), 0.46 * len(policies) + 1.9))
    failed, axis = figure.subplots(1, 2, sharey=True, width_ratios=(1.0 if any_fails else 0.01, 4.2))
    per, symbol = shown_unit(known, scenario.runs[score].dropna())
    of_policies = {}
    for policy in policies:
        runs = scenario.of(policy)
        values = runs[score][~fails[runs.index]].dropna().to_numpy(dtype=np.float64) / per
        of_policies[policy] = np.sort(values[np.isfinite(values)])
    spans = np.concatenate(list(of_policies.values()))
    low, high = least_span(spans, spans.min(), spans.max()) if len(spans) else (0.0, 0.0)
    near = _NEAR * (high - low)
    for row, policy in enumerate(policies):
        values, count = of_policies[policy], scenario.failures[policy]
        if any_fails:
            failed.barh(row, count.failed, height=0.5, color=DARK, alpha=0.8)
        if not len(values):
            undefined_in(axis, row, "all failed" if count.failed == count.runs else "undefined")
            continue
        axis.scatter(
            values, row - _beside(values, near), s=16, color=colours[policy], alpha=0.75, lw=0, zorder=3, clip_on=False
        )
        if len(values) >= _FEWEST_FOR_QUARTILES:
            lower, middle, upper = np.quantile(values, (0.25, 0.5, 0.75))
            axis.plot([lower, upper], [row + 0.22] * 2, color=colours[policy], lw=4, solid_capstyle="butt", zorder=2)
            axis.plot([middle] * 2, [row + 0.12, row + 0.32], color=DARK, lw=1.6, zorder=4)
    failed.set_yticks(range(len(policies)), labels)
    failed.set_ylim(len(policies) - 0.4, -0.6)
    failed.set_xlim(left=0)
    failed.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    failed.set_xlabel("runs that fail" if any_fails else "")
    failed.tick_params(bottom=any_fails, labelbottom=any_fails)
    failed.grid(visible=any_fails)
    axis.tick_params(labelleft=False)
    axis.set_xlabel(f"{known.title}{f' [{symbol}]' if symbol else ''}")
    axis.margins(x=0.03)
    axis.set_xlim(least_span(spans, *axis.get_xlim()))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=whole(known)))
    figure.legend(
        handles=[
            Line2D([], [], color=GREY, marker="o", ms=4.5, lw=0, label="a run that does not fail"),
            Line2D([], [], color=GREY, lw=4, label="from 25 to 75 % of them"),
            Line2D([], [], color=DARK, marker="|", ms=9, mew=1.6, lw=0, label="median"),
        ],
        loc="outside lower center",
        ncols=3,
    )
    many = f"{scenario.replications} replications" if scenario.replications > 1 else "one replication"
    cut = CUT_NOTE if axis.get_xlim()[0] > 0 else ""
    heading(figure, findings.distribution(scenario, score), "Distribution", scenario, many, cut, most=MOST_ROWS)
    return figure


def _beside(values: Floats, near: float) -> Floats:
    """Return how far above its row each of the sorted ``values`` is drawn, so that none hides another that is near."""
    heights: list[int] = []
    last: list[float] = []  # the value that was put last at each height
    for value in values.tolist():
        free = [height for height, other in enumerate(last) if value - other > near]
        height = free[0] if free else len(last) if len(last) < _MOST_HEIGHTS else int(np.argmin(last))
        last[height : height + 1] = [value]
        heights.append(height)
    return _APART * np.array(heights, dtype=np.float64)
