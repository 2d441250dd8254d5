"""How each kind of plot looks, artist by artist: held in tests/data/looks.json.

Other tests read what a plot says. This one notices that it looks different: a line that is thicker, a label elsewhere,
something drawn over something else. Whoever changes a plot on purpose looks at it, then runs
``python -m tests.plots.looks`` and reads the difference.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import Collection
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text

from sim.analysis.grid import grids
from sim.analysis.scenario import scenarios
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.plots.answer import plot_answer
from sim.plots.differences import plot_differences
from sim.plots.distribution import plot_distribution
from sim.plots.heat_map import plot_heat_map
from sim.plots.memory import plot_memory
from sim.plots.memory_map import plot_map
from sim.plots.ratio import plot_ratio
from sim.plots.saving import styled
from sim.plots.scores import plot_scores
from sim.plots.survival import plot_survival
from sim.plots.tradeoff import plot_tradeoff
from sim.record.recorder import EventKind
from sim.results.store import ResultStore
from sim.units import GIB, MIB
from tests.plots.by_hand import hand_run, score_rows, score_scenario, stored
from tests.support.places import DATA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario

LOOKS: Final = DATA / "looks.json"


def look(artist: Artist) -> dict[str, Any]:
    """Return what can be seen of an artist, in plain values."""
    seen: dict[str, Any] = {"kind": type(artist).__name__, "over": round(artist.get_zorder(), 2)}
    if (alpha := artist.get_alpha()) is not None:
        seen["alpha"] = alpha
    thing: Any = artist  # getters take and give more kinds of value than are used here
    match artist:
        case Line2D():
            # Private, as the dashes that were asked for are kept nowhere else.
            dashes = thing._unscaled_dash_pattern  # noqa: SLF001
            seen |= {"colour": to_hex(thing.get_color()), "width": thing.get_linewidth(), "dashes": dashes}
            seen |= {"marker": str(thing.get_marker()), "ends": thing.get_solid_capstyle()}
            seen |= {"marked": [thing.get_markersize(), to_hex(thing.get_markeredgecolor())]}
            seen |= {"points": len(thing.get_xydata()), "steps": thing.get_drawstyle(), "label": thing.get_label()}
        case Collection():
            seen |= {"faces": sorted({to_hex(c) for c in thing.get_facecolor()})}
            seen |= {"edges": sorted({to_hex(c) for c in thing.get_edgecolor()})}
            sizes: list[float] = getattr(thing, "get_sizes", list)()
            seen |= {"widths": list(thing.get_linewidth()), "sizes": rounded(sizes)}
            seen |= {"corners": [len(path.vertices) for path in thing.get_paths()][:3]}
        case Text():
            seen |= {"text": thing.get_text(), "size": thing.get_fontsize(), "colour": to_hex(thing.get_color())}
            seen |= {"weight": thing.get_fontweight(), "ha": thing.get_ha(), "va": thing.get_va()}
            seen["at"] = [round(float(where), 3) for where in thing.get_position()]
            if isinstance(artist, Annotation):
                seen |= {"to": thing.xy, "in": [thing.xycoords, thing.anncoords]}
                if thing.arrow_patch is not None:
                    seen["arrow"] = type(thing.arrow_patch.get_arrowstyle()).__name__
            if (box := thing.get_bbox_patch()) is not None:
                style = box.get_boxstyle()
                seen["box"] = [to_hex(box.get_facecolor()), to_hex(box.get_edgecolor()), box.get_alpha(), style.pad]
        case AxesImage():
            seen |= {"extent": thing.get_extent(), "origin": thing.origin, "by": thing.get_interpolation()}
        case Patch():
            seen |= {"face": to_hex(thing.get_facecolor()), "edge": to_hex(thing.get_edgecolor())}
            seen |= {"width": thing.get_linewidth(), "label": thing.get_label()}
    return seen


def figure_looks(figure: Figure) -> list[str]:
    """Return a line for the figure and for each artist that shows, in the order in which they were put there."""
    lines = [f"{[round(float(size), 3) for size in figure.get_size_inches()]} inches, {len(figure.axes)} panels"]
    for axis in figure.axes:
        limits = [rounded(axis.get_xlim()), rounded(axis.get_ylim())]
        lines.append(f"panel {axis.get_visible()}, limits {limits}, {axis.get_xscale()}")
        lines.append(f"ticks {rounded(axis.get_xticks())} {rounded(axis.get_yticks())}")
    for legend in figure.legends:
        # Private: what was asked for; where it comes to stand depends on fonts.
        known: Any = legend
        lines.append(f"legend of {known._ncols} columns, {known._outside_loc} {known._loc}")  # noqa: SLF001
    shown = figure.findobj(lambda a: isinstance(a, Line2D | Collection | Text | AxesImage | Patch) and a.get_visible())
    return [*lines, *(json.dumps(look(artist), default=plain) for artist in shown)]


def rounded(values: Iterable[float]) -> list[float]:
    """Return numbers without the last digits, in which versions of a library may differ."""
    return [round(float(value), 6) for value in values]


def plain(value: object) -> object:
    """Return what JSON takes for a NumPy value or an enumeration."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


# One figure of each kind, of runs that are known by hand and have something of everything. ----------------------------


def over_time(plot: Callable[[ResultStore, Scenario], Figure]) -> Figure:
    """Draw a plot of what happens over time."""
    grow = [(10.0 * n, EventKind.PLUG, 40 + 8 * n, 8, ZONE_MOVABLE if n % 3 else ZONE_NORMAL) for n in range(6)]
    long = [(600.0, EventKind.PLUG, 48, 80, ZONE_MOVABLE), (3000.0, EventKind.UNPLUG, 48, 16, ZONE_MOVABLE)]
    runs = {
        "zeta": [hand_run(14400, grow, ratio=100), hand_run(14400, grow[:3], ratio=100)],
        "alpha": [hand_run(14400, long, ratio=301), hand_run(14400, long[:1], ratio=301)],
        "mid": [hand_run(14400, grow[:1]), hand_run(14400)],
    }
    with tempfile.TemporaryDirectory() as folder:
        store = stored(Path(folder), runs)
        (scenario,) = scenarios(store.runs(), ("zeta", "alpha", "mid"))
        return plot(store, scenario)


def scores() -> Figure:
    """Draw some scores of three replications."""
    few = {
        "zeta": {"headroom_min": [1.0 * GIB, 2.0 * GIB, 3.0 * GIB], "returned_share": [0.0, 10.0, 5.0]},
        "alpha": {"headroom_min": [4.0 * GIB, 5.0 * GIB, 4.5 * GIB], "returned_share": [70.0, 80.0, 90.0]},
        "mid": {"headroom_min": [2.0 * GIB] * 3, "returned_share": [float("nan")] * 3},
    }
    names = ("headroom_min", "returned_share", "returned")
    shown = [name for name in names if name in few["zeta"]]
    return plot_scores(ResultStore("nowhere"), score_scenario(few), shown)


def tradeoff() -> Figure:
    """Draw a curve of ratios, two of which lie on each other and two of which fail, among other policies."""
    ratios = {f"auto-movable {ratio}": float(ratio) for ratio in (90, 200, 301, 310, 1000, 2000)}
    marks = [(800, 3, 0), (600, 5, 0), (400, 7, 0), (396, 7.05, 0), (90, 8, 1), (20, 9, 2)]
    marked = {policy: (*mark, 0.0) for policy, mark in zip(ratios, marks, strict=True)} | {
        "clairvoyant": (300, 9, 0, 0.0),
        "online-kernel": (900, 0, 0, 0.0),
        "near": (898, 0.1, 0, 0.0),
        "lost": (0, 9.5, 0, 3.0),
    }
    values = {
        policy: {
            "headroom_min": [float(x * MIB)],
            "returned": [float(y * GIB)],
            "kernel_ooms": [float(ooms)],
            "failed_adds": [failed],
        }
        for policy, (x, y, ooms, failed) in marked.items()
    }
    return plot_tradeoff(ResultStore("nowhere"), score_scenario(values, ratios, "clairvoyant"))


def compared(plot: Callable[[ResultStore, Scenario], Figure]) -> Figure:
    """Draw a plot of twenty replications: one policy dies, one in some, one is worse and one differs by chance."""
    swing = [float(number % 5) for number in range(20)]
    shared: dict[str, list[float]] = {"asked_back": [GIB] * 20, "arrived_share": [100.0] * 20}
    values: dict[str, dict[str, list[float]]] = {
        "zeta": {"returned_share": [50 + each for each in swing], "headroom_min": [(9 - each) * MIB for each in swing]},
        "alpha": {"returned_share": [51 + each for each in reversed(swing)], "headroom_min": [4.0 * MIB] * 20},
        "poor": {"returned_share": [2 + each / 2 for each in swing], "headroom_min": [8.0 * MIB] * 20},
        "frail": {"returned_share": [90.0] * 20, "died": [0.0, 1.0] * 10, "death_time": [2.0, 4.0] * 10},
        "dead": {"returned_share": [0.0] * 20, "died": [1.0] * 20, "death_time": [3 + each for each in swing]},
    }
    scenario = score_scenario({policy: each | shared for policy, each in values.items()}, baseline="zeta")
    runs = scenario.runs.assign(duration_s=[10.0 - number % 3 for number in range(len(scenario.runs))])
    runs.loc[runs["died"] == 0, "death_time"] = float("nan")
    return plot(ResultStore("nowhere"), replace(scenario, runs=runs))


def heat_map() -> Figure:
    """Draw combinations of a ratio and a pace, of which some fail, one was not run and one is undefined."""
    runs = score_rows({"p": {"returned_share": [float(number) for number in range(12)]}})
    runs["policy.ratio"], runs["workload.pace"] = [100.0, 301.0, 600.0] * 4, [8, 8, 8, 16, 16, 16] * 2
    runs.loc[[5, 8], "died"] = 1.0
    runs.loc[[0, 6], "returned_share"] = float("nan")
    runs = runs.drop([4, 10])
    return plot_heat_map(next(grids(runs, "returned_share", "policy.ratio", "workload.pace")))


FIGURES: Final[dict[str, Callable[[], Figure]]] = {
    "memory": partial(over_time, plot_memory),
    "ratio": partial(over_time, plot_ratio),
    "map": partial(over_time, plot_map),
    "scores": scores,
    "tradeoff": tradeoff,
    "differences": partial(compared, plot_differences),
    "distribution": partial(compared, plot_distribution),
    "survival": partial(compared, plot_survival),
    "answer": partial(compared, plot_answer),
    "heatmap": heat_map,
}


def looks(kind: str) -> list[str]:
    """Return how a kind of plot looks now."""
    with styled():
        figure = FIGURES[kind]()
        figure.draw_without_rendering()
        return figure_looks(figure)


def main() -> None:
    """Write down how plots look."""
    LOOKS.write_text(json.dumps({kind: looks(kind) for kind in FIGURES}, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
