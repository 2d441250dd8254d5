"""What figures of several panels share: their grid, lines over time with the band of replications, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.figure import Figure

from sim.plots.colours import DARK, GREY, policy_colours, readable
from sim.plots.figure_heading import MOST_POLICIES
from sim.plots.lettering import distinct, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from sim.analysis.scenario import Scenario
    from sim.plots.plot_data import Spread

_TITLE: Final = 10.5
_TICK: Final = 9.0
_LEGEND: Final = 9.5
_KEY: Final = 0.65
_MARGIN: Final = 0.1
"""Inches: what stands before and between the texts of a legend, and beside it."""

_ROW_LABEL: Final = 2.6
"""Inches."""


def panels(count: int, wide: float, high: float, labels: tuple[str, str] = ("", "")) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` panels, ``labels`` being those of the outer x and y axes, and the panels."""
    columns = 2 if count == 4 else min(count, 3)  # noqa: PLR2004  a square looks better than a row and a rest
    rows = -(-count // columns)
    figure = Figure(figsize=(max(wide * columns, 7.5), high * rows + 1.2))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=bool(labels[0]), sharey=True)
    axes: list[Axes] = list(grid.flat)
    for unused in axes[count:]:
        unused.set_visible(False)
    for place, axis in enumerate(axes[:count]):
        # A panel with nothing below it keeps its own labels.
        lowest = place + columns >= count
        axis.tick_params(labelbottom=lowest or not labels[0])
        axis.set_xlabel(labels[0] if lowest else "")
        axis.set_ylabel("" if place % columns else labels[1])
    return figure, axes[:count]


def name_panels(figure: Figure, axes: Sequence[Axes], scenario: Scenario, policies: Sequence[str]) -> None:
    """Write above each panel the name of its policy, in its colour, shortened to what fits."""
    colours = policy_colours(scenario.policies)
    columns = len({axis.get_position().x0 for axis in axes})
    inches = (figure.get_figwidth() - 0.7) / columns - 0.35
    labels = distinct([scenario.marked(policy) for policy in policies], inches, _TITLE, "bold")
    for axis, policy, label in zip(axes, policies, labels, strict=True):
        axis.set_title(label, color=readable(colours[policy]), fontweight="bold", fontsize=_TITLE)


def row_labels(scenario: Scenario, policies: Sequence[str]) -> list[str]:
    """Return the names of rows, one for each of ``policies``, shortened to what fits beside a panel."""
    return distinct([scenario.marked(policy) for policy in policies], _ROW_LABEL, _TICK)


def label_width(labels: Sequence[str]) -> float:
    """Return how wide the widest of the names of rows is, in inches."""
    return max(width(label, _TICK) for label in labels)


def legend_below(figure: Figure, handles: Sequence[Any], *, most: int = 8) -> None:
    """Put a legend below the panels of ``figure``, in as many columns as find room, ``most`` at the most."""
    widest = max(width(str(handle.get_label()), _LEGEND) for handle in handles) + _KEY
    columns = int((figure.get_figwidth() - 2 * _MARGIN) // widest)
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, min(most, columns, len(handles))))


def undefined_in(axis: Axes, row: int, why: str = "undefined") -> None:
    """Write into a row in which there is nothing to draw that it is so."""
    axis.annotate(
        why, (0, row), xycoords=("axes fraction", "data"), xytext=(4, 0), va="center",
        textcoords="offset points", fontsize=8, color=GREY,
    )  # fmt: skip


def seeds_note(scenario: Scenario, *, differs: bool) -> str:
    """Return how many replications lines and bands are of, which differ or not."""
    if scenario.replications == 1:
        return "one replication"
    if not differs:
        return f"{scenario.replications} replications, all alike"
    return f"mean of {scenario.replications} replications; the band is from the least to the largest"


def policies_to_draw(scenario: Scenario) -> list[str]:
    """Return the policies that have a panel."""
    return scenario.present[:MOST_POLICIES]


def duration(scenario: Scenario) -> float:
    """Return the length of the longest run, in seconds."""
    # A run of no length still needs an axis.
    return float(scenario.runs["duration_s"].max()) or 1.0


def draw_line(
    axis: Axes, line: Spread, duration: float, per: float, colour: str, thick: float, dash: Any, *,  # noqa: ANN401  as matplotlib has it
    band: bool = True, **more: Any,  # noqa: ANN401  likewise
) -> None:  # fmt: skip
    """Draw a step series up to the end of the run, and the ``band`` of its replications; ``more`` is of the line."""
    # What holds on needs no point, of which files would be full; the first of a step has it.
    steps = np.column_stack([line.low, line.mean, line.high])
    told = np.ones(len(steps), dtype=bool)
    told[1:] = ~((steps[1:] == steps[:-1]) | (np.isnan(steps[1:]) & np.isnan(steps[:-1]))).all(axis=1)
    time = np.append(line.time[told], duration) / per
    low, mean, high = (np.append(values[told], values[-1]) for values in (line.low, line.mean, line.high))
    if band and line.differs:
        axis.fill_between(time, low, high, step="post", color=colour, alpha=0.22, lw=0)
    axis.step(time, mean, where="post", color=colour, lw=thick, ls=dash, **more)


PLUGGED: Final = "plugged"
"""Marks lines of how much memory is plugged."""

PLUGGED_DASH: Final = (0, (1, 1.1))


def note_in(axis: Axes, x: float, y: float, text: str, side: str) -> None:
    """Write ``text`` at ``x`` of the width of ``axis``, readable over lines, above (bottom) or below (top) ``y``."""
    axis.annotate(
        text, (x, y), xycoords=("axes fraction", "data"), xytext=(-3, 3 if side == "bottom" else 0),
        textcoords="offset points", ha="right", va=side, fontsize=8.5, color=DARK, zorder=4,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8},
    )  # fmt: skip
