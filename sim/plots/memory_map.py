"""The memory map: the zone of every block over time, in address order, a panel per policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from sim.analysis import findings
from sim.analysis.scenario import time_axis
from sim.plots.colours import ZONE_COLOURS, ZONE_NAMES
from sim.plots.figure_heading import dead_note, heading
from sim.plots.panels import PLUGGED, duration, legend_below, name_panels, panels, policies_to_draw
from sim.plots.plot_data import with_boot_memory
from sim.record.blockmap import BlockState, zone_map
from sim.units import GIB, MICROSECONDS

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore

_GAP_COLOUR: Final = "#d03030"
_PLUGGED_COLOUR: Final = "black"
_HALO: Final = [withStroke(linewidth=2.6, foreground="white")]
"""What lets a line be seen on dark zones, too."""

_MAP_SAMPLES: Final = 600
_MAP_LABELS: Final = 9
_MAP_ROWS: Final = 2048
"""Blocks beyond which a map is thinned out: more than a panel has rows of dots."""


def plot_map(store: ResultStore, scenario: Scenario) -> Figure:
    """Draw each block's zone over time, a panel per policy, blocks in address order, and how much is plugged in all.

    Shows the first replication that all of the policies have, and the first of each where there is none.
    """
    length = duration(scenario)
    per, unit = time_axis(length)
    policies = policies_to_draw(scenario)
    codes = sorted(ZONE_COLOURS)
    of_policies = [scenario.of(policy).set_index("replication")["cell"] for policy in policies]
    # The same traffic for all, also where a policy's first run failed.
    shared = set.intersection(*(set(cells.index) for cells in of_policies))
    colour_map = ListedColormap([ZONE_COLOURS[code] for code in codes])
    norm = BoundaryNorm([code - 0.5 for code in [*codes, codes[-1] + 1]], colour_map.N)
    maps, plugged = [], []
    for cells in of_policies:
        cell = str(cells.loc[min(shared)] if shared else cells.iloc[0])
        result = store.result(cell)
        maps.append((zone_map(result, samples=_MAP_SAMPLES), result.block_pages * result.page_size))
        plugged.append(with_boot_memory(store.series([cell])))
    blocks = np.unique(np.concatenate([zones.blocks for zones, _ in maps]))
    stride = -(-len(blocks) // _MAP_ROWS)
    figure, axes = panels(len(policies), 4.2, 3.1, (f"simulated time [{unit}]", "physical address [GiB]"))
    seen: set[int] = set()
    for axis, (zones, block_bytes), line in zip(axes, maps, plugged, strict=True):
        states = np.full((len(zones.t_us), len(blocks)), BlockState.ABSENT, dtype=np.int8)
        states[:, np.searchsorted(blocks, zones.blocks)] = zones.states
        seen |= set(np.unique(states).tolist())
        axis.imshow(
            states[:, ::stride].T, extent=(0, length / per, 0, len(blocks)), origin="lower", aspect="auto",
            cmap=colour_map, norm=norm, interpolation="nearest", interpolation_stage="data",
        )  # fmt: skip
        axis.grid(visible=False)
        _address_axis(axis, blocks, maps[0][1])
        time = np.append(line["t_us"].to_numpy() / MICROSECONDS, length) / per
        rows = np.append(line["plugged_bytes"].to_numpy(), line["plugged_bytes"].iloc[-1]) / block_bytes
        axis.step(time, rows, where="post", color=_PLUGGED_COLOUR, lw=1.2, gid=PLUGGED, path_effects=_HALO)
    handles: list[Any] = [
        Patch(facecolor=ZONE_COLOURS[code], edgecolor="#888888", lw=0.6, label=ZONE_NAMES[code])
        for code in sorted(seen, key=lambda code: (code == BlockState.ABSENT, code))
    ]
    handles.append(
        Line2D(
            [],
            [],
            color=_PLUGGED_COLOUR,
            lw=1.2,
            path_effects=_HALO,
            label="plugged in all, counted in blocks from below",
        )
    )
    if (np.diff(blocks) > 1).any():
        handles.append(Line2D([], [], color=_GAP_COLOUR, lw=0.9, label="gap in the addresses"))
    legend_below(figure, handles)
    thinned = f"; one in {stride} is drawn" if stride > 1 else ""
    which = f"replication {min(shared)}" if shared else "the first replication of each policy"
    note = f"zone of every memory block ({maps[0][1] >> 20} MiB) over time; {which}{thinned}"
    name_panels(figure, axes, scenario, policies)
    heading(figure, findings.memory_map(scenario), "Memory map", scenario, note, dead_note(scenario))
    return figure


def _address_axis(axis: Axes, blocks: npt.NDArray[np.int64], block_bytes: int) -> None:
    """Label rows with round addresses, and draw a line where addresses jump over what never exists."""
    jumps = (np.flatnonzero(np.diff(blocks) > 1) + 1).tolist()
    for jump in jumps:
        axis.axhline(jump, color=_GAP_COLOUR, lw=0.9)
    # The finest round step that leaves room between the labels, counted over what exists.
    step = block_bytes
    while len(blocks) * block_bytes / step > _MAP_LABELS:
        step *= 2
    round_rows = np.flatnonzero(blocks * block_bytes % step == 0).tolist()
    apart = step // block_bytes * 0.6
    ticks: list[int] = []
    for row in sorted({*round_rows, *jumps}):
        if not ticks or row - ticks[-1] >= apart:
            ticks.append(row)
    axis.set_yticks(ticks, [f"{int(blocks[row]) * block_bytes / GIB:g}" for row in ticks])
