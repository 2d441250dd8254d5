"""A score over two things that an experiment varies: a field for each combination, those that fail marked as that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from sim.analysis import findings
from sim.analysis.compare import number, shown_unit
from sim.analysis.ranking import FAILED_MARK
from sim.plots.colours import DARK
from sim.plots.figure_heading import told
from sim.plots.lettering import distinct, shortened, width
from sim.plots.spans import least_span, whole
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.analysis.grid import Grid

_COLOURS: Final = "cividis"
"""Nuñez, Anderton and Renslow (2018), PLoS ONE 13: the same to any colour vision, and from dark to light in grey."""

_TICK: Final = 9.0
_LONGEST: Final = 2.2
_CELL: Final = (0.62, 0.42)
"""Inches."""

_MOST_TEXTS: Final = 400
"""Fields beyond which values are told by colour alone."""


def plot_heat_map(grid: Grid) -> Figure:
    """Draw ``grid``: colours are means of its score, and a hatched field is a combination that fails in some run."""
    known = SCORES[grid.score]
    defined = grid.mean[(grid.failed == 0) & ~np.isnan(grid.mean)]
    per, symbol = shown_unit(known, defined.tolist())
    up = distinct(grid.up.words, _LONGEST, _TICK)
    across = distinct(grid.across.words, _LONGEST, _TICK)
    upright = max(width(label, _TICK) for label in across) > _CELL[0] - 0.06
    wide = min(max(_CELL[0] * len(across), 3.0), 14.0) + max(width(label, _TICK) for label in up) + 2.0
    below = max(width(label, _TICK) for label in across) if upright else 0.2
    high = min(max(_CELL[1] * len(up), 1.6), 12.0) + below + 1.9
    figure = Figure(figsize=(max(wide, 7.0), high))
    axis = figure.subplots()
    colours = mpl.colormaps[_COLOURS]
    low, top = (float(defined.min()), float(defined.max())) if len(defined) else (0.0, 1.0)
    ends = least_span((low, top), low, top)
    norm = Normalize(ends[0] / per, ends[1] / per if top > low else ends[0] / per + 1)
    values = np.where((grid.failed == 0) & (grid.runs > 0), grid.mean / per, np.nan)
    image = axis.imshow(values, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    for row, column in np.ndindex(*values.shape):
        _mark(axis, grid, row, column, float(values[row, column]), norm)
    axis.set_xticks(range(len(across)), across, rotation=90 if upright else 0)
    axis.set_yticks(range(len(up)), up)
    axis.invert_yaxis() if grid.up.numeric else None
    axis.set_xlabel(shortened(grid.across.title, wide - 2, 10))
    axis.set_ylabel(shortened(grid.up.title, high - 2, 10))
    axis.grid(visible=False)
    if top > low:
        bar = figure.colorbar(image, ax=axis, label=f"{known.title}{f' [{symbol}]' if symbol else ''}", pad=0.02)
        if whole(known):
            bar.locator = MaxNLocator(6, integer=True)
    shown = []
    if (grid.failed > 0).any():
        shown.append(Patch(facecolor="#eeeeee", edgecolor=DARK, hatch="////", lw=0.4, label="fails, in so many runs"))
    if (grid.runs == 0).any():
        shown.append(Patch(facecolor="white", edgecolor="#aaaaaa", label="was not run"))
    if shown:
        figure.legend(handles=shown, loc="outside lower center", ncols=2)
    most = int(grid.runs.max())
    better = {"higher": "; higher is better", "lower": "; lower is better", "neither": ""}[known.better]
    note = f"{known.title}, {f'means of {most} replications' if most > 1 else 'one replication'}{better}"
    told(figure, findings.heat(grid), f"Heat map: {grid.fixed}" if grid.fixed else "Heat map", note)
    return figure


def _mark(axis: Axes, grid: Grid, row: int, column: int, value: float, norm: Normalize) -> None:
    """Hatch a field that fails, and write into each what it is, where there are not too many."""
    failed, runs = int(grid.failed[row, column]), int(grid.runs[row, column])
    if failed:
        look: dict[str, Any] = {"facecolor": "#eeeeee", "edgecolor": "#9a9a9a", "hatch": "////", "lw": 0.4}
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, zorder=2, **look))
    if grid.runs.size > _MOST_TEXTS:
        return
    if failed:
        text = f"{FAILED_MARK} {failed}/{runs}" if runs > 1 else FAILED_MARK
    else:
        text = "not run" if not runs else "n/a" if np.isnan(value) else number(value)
    box = {"facecolor": "#eeeeee", "edgecolor": "none", "pad": 0.8} if failed else None
    dark = not failed and runs > 0 and float(norm(value)) < 0.55  # noqa: PLR2004  cividis turns light here
    axis.text(
        column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black", bbox=box, zorder=3
    )
