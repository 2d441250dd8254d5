"""How long guests live: the share of replications whose guest is alive, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.figure import Figure

from sim.analysis import findings
from sim.analysis.lasting import lasting
from sim.analysis.scenario import time_axis
from sim.plots.colours import DASHES, policy_looks
from sim.plots.figure_heading import MOST_ROWS, heading
from sim.plots.lettering import distinct, legend_text
from sim.plots.panels import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

_MOST_BANDS: Final = 4
"""Curves beyond which bands would hide each other."""

_MOST_NAMES: Final = 3
_LEGEND: Final = 7.9
"""Inches."""


def plot_survival(_: ResultStore, scenario: Scenario) -> Figure:
    """Draw the share of guests that live (percent) over time, a step line for each policy, with its 95 % interval.

    Policies whose guests all live equally long share a line. Only for scenarios with a guest.
    """
    looks, length = policy_looks(scenario.policies), duration(scenario)
    per, unit = time_axis(length)
    curves = {policy: lasting(scenario.of(policy)) for policy in scenario.present}
    alike: dict[tuple[Any, ...], list[str]] = {}
    for policy, curve in curves.items():
        alike.setdefault((*curve.time.tolist(), *curve.alive.tolist()), []).append(policy)
    every = sorted(alike.values(), key=lambda group: -curves[group[0]].alive[-1])
    # Those that live longest and those that die first; of many, some between them are left out.
    groups = every if len(every) <= MOST_ROWS else [*every[: MOST_ROWS // 2], *every[-MOST_ROWS // 2 :]]
    drawn, present = sum(map(len, groups)), len(scenario.present)
    unseen = f"{drawn} of {present} policies are drawn" if drawn < present else ""
    figure = Figure(figsize=(9.5, 4.6 + 0.2 * len(groups)))
    axis = figure.subplots()
    bands = scenario.replications > 1 and len(groups) <= _MOST_BANDS
    censored = False
    for number, group in enumerate(groups):
        curve, look = curves[group[0]], looks[group[0]]
        time = np.append(curve.time, length) / per
        low, alive, high = (100 * np.append(each, each[-1]) for each in (curve.low, curve.alive, curve.high))
        if bands:
            axis.fill_between(time, low, high, step="post", color=look.colour, alpha=0.13, lw=0)
        axis.step(
            time, alive, where="post", color=look.colour, lw=2.2, ls=DASHES[number % len(DASHES)],
            label=legend_text(_names(scenario, group)),
            # Above the lines that are drawn before, so that dashes show both.
            zorder=3 + number / 100, clip_on=False,
        )  # fmt: skip
        early = curve.ended[curve.ended < length]
        if len(early):
            censored = True
            places = np.searchsorted(curve.time, early, side="right") - 1
            axis.scatter(early / per, 100 * curve.alive[places], marker="|", s=60, color=look.colour, zorder=4)
    axis.set_xlim(0, length / per)
    axis.set_ylim(0, 103)
    axis.set_xlabel(f"simulated time [{unit}]")
    axis.set_ylabel("guests that live [%]")
    figure.legend(loc="outside lower left", ncols=1)
    notes = [f"of {scenario.replications} replications" if scenario.replications > 1 else "one replication"]
    if bands:
        notes.append("band: 95 % interval (Kaplan and Meier)")
    if censored:
        notes.append("|: a run ends, its guest alive")
    heading(figure, findings.survival(scenario), "Survival", scenario, "; ".join(notes), unseen, most=None)
    return figure


def _names(scenario: Scenario, policies: Sequence[str]) -> str:
    """Return who shares a line: the first by name, of the others how many."""
    more = f"; {len(policies) - _MOST_NAMES} more" if len(policies) > _MOST_NAMES else ""
    room = _LEGEND / min(len(policies), _MOST_NAMES) - 0.4
    shown = distinct([scenario.marked(policy) for policy in policies[:_MOST_NAMES]], room, 9.5)
    return "; ".join(shown) + more
