"""Differences to the baseline within each replication: every pair a dot, their mean, its interval, and a line at 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sim.analysis import findings
from sim.analysis.compare import shown_unit
from sim.analysis.wording import DIFFERENCE_SCORES, differing, told_apart
from sim.plots.colours import DARK, GREY, policy_colours
from sim.plots.figure_heading import MOST_ROWS, heading
from sim.plots.lettering import legend_text, shortened
from sim.plots.panels import label_width, row_labels, undefined_in
from sim.plots.spans import least_differences, whole
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore


def plot_differences(_: ResultStore, scenario: Scenario, scores: Sequence[str] = DIFFERENCE_SCORES) -> Figure:
    """Draw for each of ``scores`` (a panel) and each policy (a row) its differences to the baseline, by replication.

    The mean's dot is filled where the two are told apart from chance, with Holm's correction over the policies.
    Scores in which nothing differs have no panel, unless all are so. Raises KeyError for an unknown score.
    """
    base, colours = scenario.against, policy_colours(scenario.policies)
    policies = [policy for policy in scenario.ranked if policy != base][:MOST_ROWS]
    told = differing(scenario, scores) or list(scores[:1])
    labels = row_labels(scenario, policies) or [base]
    figure = Figure(figsize=(max(3.0 * len(told) + label_width(labels), 7.5), 0.36 * len(labels) + 1.9))
    axes = figure.subplots(1, len(told), sharey=True, squeeze=False)[0]
    for axis, score in zip(axes, told, strict=True):
        _panel(axis, scenario, score, policies, colours)
    axes[0].set_yticks(range(len(policies)), labels[: len(policies)])
    axes[0].set_ylim(max(len(policies), 1) - 0.4, -0.6)
    figure.legend(
        handles=[
            Line2D([], [], color=GREY, marker="o", ms=7, lw=2, markeredgecolor="white", label="told apart"),
            Line2D([], [], color=GREY, marker="o", ms=6.5, lw=2, markerfacecolor="white", label="may be chance"),
            Line2D([], [], color=GREY, marker="|", ms=5, lw=0, label="a replication"),
            Line2D([], [], color=DARK, lw=1.2, label=legend_text(shortened(f"{base} (baseline)", 3.0, 9.5))),
        ],
        loc="outside lower center",
        ncols=4 if figure.get_figwidth() > 9 else 2,  # noqa: PLR2004
    )
    note = "dot: mean difference within replications; bar: its 95 % interval, where there are enough for one"
    heading(figure, findings.differences(scenario, told[0]), "Differences", scenario, note, most=MOST_ROWS)
    return figure


def _panel(axis: Axes, scenario: Scenario, score: str, policies: Sequence[str], colours: dict[str, str]) -> None:
    base, known = scenario.against, SCORES[score]
    table = scenario.runs.pivot_table(score, "replication", "policy", dropna=False)
    gaps = {p: (table[p] - table[base]).dropna().to_numpy() for p in policies if p in table and base in table}
    gaps = {policy: each[np.isfinite(each)] for policy, each in gaps.items()}
    rows, apart = scenario.compared(score, base), told_apart(scenario, score, base, policies)
    per, symbol = shown_unit(known, [each for gap in gaps.values() for each in gap])
    axis.axvline(0, color=DARK, lw=1.2, zorder=1)
    for row, policy in enumerate(policies):
        values = gaps.get(policy, np.array([])) / per
        if not len(values):
            undefined_in(axis, row)
            continue
        colour = colours[policy]
        axis.scatter(values, np.full(len(values), row + 0.27), s=16, color=colour, marker="|", lw=1.0)
        mean, low, high = (rows[key][policy] / per for key in ("difference", "difference_low", "difference_high"))
        if low < high:
            axis.plot([low, high], [row, row], color=colour, lw=2.2, solid_capstyle="round")
        if not math.isnan(mean):
            face, edge = (colour, "white") if apart[policy] else ("white", colour)
            axis.scatter([mean], [row], s=46, color=face, edgecolor=edge, lw=1.4, zorder=3)
    axis.set_title(shortened(known.title, 2.8, 10), fontsize=10)
    better = {"higher": "higher is better →", "lower": "← lower is better", "neither": ""}[known.better]
    unit = f"[{'points' if symbol == '%' else symbol}]" if symbol else ""
    axis.set_xlabel("   ".join(text for text in (unit, better) if text))
    axis.margins(x=0.06)
    least = least_differences(known, float(np.nanmax(np.abs(table.to_numpy(dtype=np.float64)), initial=0.0)) / per)
    low, high = axis.get_xlim()
    axis.set_xlim(min(low, -least), max(high, least))
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=whole(known)))
