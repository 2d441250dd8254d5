"""Scores side by side: a panel for each, a row for each policy, with replications and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from sim.analysis import findings
from sim.analysis.compare import HEADLINE_SCORES, compare, number
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.wording import titled
from sim.plots.colours import policy_colours
from sim.plots.figure_heading import MOST_ROWS, heading
from sim.plots.lettering import shortened
from sim.plots.panels import label_width, panels, row_labels, undefined_in
from sim.plots.spans import whole
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

_NEAR: Final = 1e-9
"""Of a mean: what rounding may put between it and values that are all alike."""


def plot_scores(_: ResultStore, scenario: Scenario, scores: Sequence[str] = HEADLINE_SCORES) -> Figure:
    """Draw ``scores``, a panel per score and a row per policy: each replication, their mean and its 95 % interval.

    Scores that tell no policy from another have no panel but a place in the heading, unless none does.
    """
    policies = scenario.ranked[:MOST_ROWS]
    colours = policy_colours(scenario.policies)
    table = scenario.comparison
    if table is None or not set(scores) <= set(table["score"]):
        table = compare(scenario.runs, policies[0], scores, policies=scenario.policies)
    defined = [name for name in scores if scenario.runs[name].notna().any()]
    telling = [name for name in defined if _tells_apart(scenario, name)] or defined
    alike = [name for name in defined if name not in telling]
    varied = bool((scenario.runs.groupby("policy")[list(scores)].nunique() > 1).any(axis=None))
    labels = row_labels(scenario, policies)
    figure, axes = panels(max(len(telling), 1), 2.9 + label_width(labels) / 3, 0.3 * len(policies) + 1.1)
    any_worst = False
    for axis, name in zip(axes, telling, strict=False):
        score = SCORES[name]
        rows = table[table["score"] == name].set_index("policy")
        for row, policy in enumerate(policies):
            values = scenario.of(policy)[name].dropna().to_numpy(dtype=np.float64) / score.unit.shown_per
            values = values[np.isfinite(values)]
            if not len(values):
                undefined_in(axis, row)
                continue
            mean, low, high = (rows[key][policy] / score.unit.shown_per for key in ("mean", "low", "high"))
            # No score is below 0 but an excess, so neither is what one may expect of its mean.
            low = low if values.min() < 0 else max(low, 0.0)
            if low < high:
                axis.plot([low, high], [row, row], color=colours[policy], lw=2.2, solid_capstyle="round")
            axis.scatter([mean], [row], s=48, color=colours[policy], edgecolor="white", lw=0.8, zorder=3)
            if abs((worst := score.worst(values)) - mean) > _NEAR * abs(mean):  # not where it is NaN
                any_worst = True
                look: dict[str, Any] = {"marker": "D", "color": "white", "edgecolor": colours[policy], "lw": 1.3}
                axis.scatter([worst], [row], s=26, zorder=4, **look)
            if varied:
                axis.scatter(values, np.full(len(values), row + 0.27), s=9, color=colours[policy], marker="|", lw=1.0)
        axis.set_yticks(range(len(policies)), labels)
        axis.set_ylim(len(policies) - 0.4, -0.6)
        better = {"higher": "higher is better →", "lower": "← lower is better", "neither": ""}[score.better]
        axis.set_title(shortened(score.title, 2.6, 10), fontsize=10)
        unit = f"[{score.unit.shown_symbol}]" if score.unit.shown_symbol else ""
        axis.set_xlabel("   ".join(text for text in (unit, better) if text))
        _room(axis, counts=whole(score))
    if not telling:
        axes[0].set_axis_off()
    heading(
        figure,
        findings.scores(scenario),
        "Scores",
        scenario,
        _scores_note(scenario, varied=varied, worst=any_worst),
        _alike_note(scenario, alike),
        most=MOST_ROWS,
    )
    return figure


def _tells_apart(scenario: Scenario, score: str) -> bool:
    """Whether ``score`` differs between policies that have it, in any replication."""
    values = scenario.runs.groupby("replication")[score].nunique()
    return bool((values > 1).any())


def _scores_note(scenario: Scenario, *, varied: bool, worst: bool) -> str:
    if not varied:
        return "one replication" if scenario.replications == 1 else f"{scenario.replications} replications, all alike"
    bar = "; bar: 95 % confidence interval of the mean" if scenario.replications >= FEWEST_FOR_INTERVAL else ""
    single = "; hollow diamond: the worst replication, where a score is the least or the most" if worst else ""
    return f"dot: mean of {scenario.replications} replications{bar}; ticks below: the replications{single}"


def _alike_note(scenario: Scenario, scores: Sequence[str]) -> str:
    parts = []
    for name in scores:
        values = scenario.runs[name].dropna()
        unit = SCORES[name].unit
        if len(values):
            mean = number(float(values.mean()) / unit.shown_per)
            parts.append(f"{titled(name)} {mean} {unit.shown_symbol}".strip())
    return f"the same for all policies that have it: {'; '.join(parts)}" if parts else ""


def _room(axis: Axes, *, counts: bool = False) -> None:
    """Let the axis begin at 0, unless values are negative, and leave some room on both sides; of ``counts`` to 1."""
    low, high = axis.get_xlim() if np.any(axis.dataLim.intervalx) else (0.0, 1.0)
    high = max(high, 1.0) if counts else high
    margin = 0.03 * max(abs(low), abs(high))
    axis.set_xlim(low if low < -2 * margin else -margin, high + margin)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=counts))
