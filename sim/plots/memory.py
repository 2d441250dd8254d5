"""Memory over time: how much of it is in ZONE_MOVABLE and in the kernel zones, a panel per policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sim.analysis import findings
from sim.analysis.scenario import time_axis
from sim.plots.colours import DARK, GREY, policy_colours
from sim.plots.figure_heading import dead_note, heading
from sim.plots.panels import (
    PLUGGED,
    PLUGGED_DASH,
    draw_line,
    duration,
    name_panels,
    panels,
    policies_to_draw,
    seeds_note,
)
from sim.plots.plot_data import memory_series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

_LITTLE: Final = 1e-3
"""GiB: less than the smallest sub-block."""


def plot_memory(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw MOVABLE and KERNEL over time (GiB), a panel per policy, and how much memory is plugged in all."""
    colours = policy_colours(scenario.policies)
    length = duration(scenario)
    per, unit = time_axis(length)
    policies = policies_to_draw(scenario)
    figure, axes = panels(len(policies), 4.2, 2.5, (f"simulated time [{unit}]", "present memory [GiB]"))
    differs, partly, deaths = False, False, None
    for axis, policy in zip(axes, policies, strict=True):
        series = memory_series(store, scenario, policy)
        for column, colour, width, dash in (
            ("movable_bytes", colours[policy], 2.0, "solid"),
            ("kernel_bytes", DARK, 1.5, (0, (4, 1.4))),
        ):
            line = series[column]
            differs |= line.differs
            draw_line(axis, line, length, per, colour, width, dash)
        plugged, zones = (
            series["plugged_bytes"].mean,
            sum(series[name].mean for name in ("movable_bytes", "kernel_bytes")),
        )
        partly |= bool((plugged < zones - _LITTLE).any())
        # Thin, below the others, and no band: it is the sum of what they show, but for parts of blocks.
        look: dict[str, Any] = {"band": False, "gid": PLUGGED, "zorder": 1.9}
        draw_line(axis, series["plugged_bytes"], length, per, GREY, 1.3, PLUGGED_DASH, **look)
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
        Line2D([], [], color=GREY, lw=1.3, ls=PLUGGED_DASH, label="plugged in all, boot memory included"),
    ]
    figure.legend(handles=handles + ([] if deaths is None else [deaths]), loc="outside lower center", ncols=2)
    name_panels(figure, axes, scenario, policies)
    parts = "zones count blocks that are online: of some, virtio-mem may have unplugged a part" if partly else ""
    notes = (seeds_note(scenario, differs=differs), parts, dead_note(scenario))
    heading(figure, findings.memory(scenario, store), "Memory by zone", scenario, *notes)
    return figure
