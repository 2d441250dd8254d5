"""Memory over time: how much of it is in ZONE_MOVABLE and in the kernel zones, a panel per policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sim.analysis.scenario import time_axis
from sim.plots.colours import policy_colours
from sim.plots.figure_heading import dead_note, heading
from sim.plots.panels import KERNEL_COLOUR, draw_line, duration, panels, policies_to_draw, seeds_note
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
    differs = False
    for axis, policy in zip(axes, policies, strict=True):
        series = memory_series(store, scenario, policy)
        for column, colour, width, dash in (
            ("movable_bytes", colours[policy], 2.0, "solid"),
            ("kernel_bytes", KERNEL_COLOUR, 1.5, (0, (4, 1.4))),
        ):
            line = series[column]
            differs |= line.differs
            draw_line(axis, line, length, per, colour, width, dash)
        axis.set_title(scenario.marked(policy), color=colours[policy], fontweight="bold")
        axis.set_xlim(0, length / per)
        axis.yaxis.set_major_locator(MaxNLocator(5))
    # Once all is drawn: a limit ends the scaling of all panels, and the highest may be any of them.
    axes[0].set_ylim(bottom=0)
    figure.legend(
        handles=[
            Line2D([], [], color="#777777", lw=2.4, label="MOVABLE (in the policy's colour)"),
            Line2D([], [], color=KERNEL_COLOUR, lw=1.5, ls=(0, (4, 1.4)), label="KERNEL: DMA, DMA32 and Normal"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    heading(figure, "Memory by zone", scenario, seeds_note(scenario, differs=differs), dead_note(scenario))
    return figure
