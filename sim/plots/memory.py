"""Memory over time: how much of it is in ZONE_MOVABLE and in the kernel zones, a panel per policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sim.analysis import findings
from sim.analysis.scenario import time_axis
from sim.plots.colours import DARK, policy_colours
from sim.plots.figure_heading import dead_note, heading
from sim.plots.panels import draw_line, duration, name_panels, panels, policies_to_draw, seeds_note
from sim.plots.plot_data import memory_series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore


def plot_memory(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw MOVABLE and KERNEL over time (GiB), a panel per policy."""
    colours = policy_colours(scenario.policies)
    length = duration(scenario)
    per, unit = time_axis(length)
    policies = policies_to_draw(scenario)
    figure, axes = panels(len(policies), 4.2, 2.5, (f"simulated time [{unit}]", "present memory [GiB]"))
    differs, deaths = False, None
    for axis, policy in zip(axes, policies, strict=True):
        series = memory_series(store, scenario, policy)
        for column, colour, width, dash in (
            ("movable_bytes", colours[policy], 2.0, "solid"),
            ("kernel_bytes", DARK, 1.5, (0, (4, 1.4))),
        ):
            line = series[column]
            differs |= line.differs
            draw_line(axis, line, length, per, colour, width, dash)
        dead = scenario.of(policy)["death_time"].dropna().to_numpy() / per
        if len(dead):
            deaths = axis.scatter(
                dead, np.full(len(dead), 0.95), marker="x", s=26, lw=1.3, color=DARK, zorder=4,
                transform=axis.get_xaxis_transform(), label="a guest dies",
            )  # fmt: skip
        axis.set_xlim(0, length / per)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    # Once all is drawn: a limit ends the scaling of all panels, and the highest may be any of them.
    axes[0].set_ylim(bottom=0)
    handles: list[Any] = [
        Line2D([], [], color="#777777", lw=2.4, label="MOVABLE (in the policy's colour)"),
        Line2D([], [], color=DARK, lw=1.5, ls=(0, (4, 1.4)), label="KERNEL: DMA, DMA32 and Normal"),
    ]
    figure.legend(handles=handles + ([] if deaths is None else [deaths]), loc="outside lower center", ncols=3)
    name_panels(figure, axes, scenario, policies)
    notes = (seeds_note(scenario, differs=differs), dead_note(scenario))
    heading(figure, findings.memory(scenario, store), "Memory by zone", scenario, *notes)
    return figure
