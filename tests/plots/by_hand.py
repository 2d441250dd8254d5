"""Runs and tables of runs so small that every number is known by hand, and what a person reads off a figure."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_hex

from sim.analysis.scenario import Scenario
from sim.memory.zones import ZONE_NORMAL
from sim.plots.figure_heading import FINDING
from sim.plots.panels import PLUGGED
from sim.plots.registry import wanted
from sim.record.device_group import STATIC_GROUP
from sim.record.run_result import BootMemory, BootRun, RunResult
from sim.results.identity import CellId
from sim.results.store import ResultStore
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

BLOCK_PAGES = 32768  # 128 MiB: eight blocks are a GiB
BOOT_BLOCKS = 8
OUT_OF_ORDER = ("zeta", "alpha", "mid")
"""Policies in an experiment's order, which is not that of their names."""

Values = dict[str, dict[str, list[float]]]
"""Scores of policies by replication."""

Event = tuple[float, int, int, int, int]  # seconds, kind, first block, blocks, zone
Point = tuple[float, float]


def hand_run(duration_s: float, events: Sequence[Event] = (), ratio: int | None = None) -> RunResult:
    """Return a run on 1 GiB of boot memory, all of it kernel memory, with one device that ``events`` happen to."""
    rows = [
        (round(seconds * 1_000_000), int(kind), 0, block, count, zone, count * BLOCK_PAGES)
        for seconds, kind, block, count, zone in events
    ]
    kernel = BOOT_BLOCKS * BLOCK_PAGES
    return RunResult(
        events=np.array(rows, dtype=np.int64).reshape(-1, 7),
        device_names=("dimm",),
        device_nodes=(0,),
        device_groups=(STATIC_GROUP,),
        block_pages=BLOCK_PAGES,
        duration_us=round(duration_s * 1_000_000),
        boot=BootMemory((BootRun(0, 1, -1, 0), BootRun(1, BOOT_BLOCKS - 1, ZONE_NORMAL, 0)), kernel, 0),
        configured_ratio=ratio,
        counters={},
    )


def stored(folder: Path, runs: Mapping[str, Sequence[RunResult]], workload: str = "w", first: int = 0) -> ResultStore:
    """Store the ``runs`` of each policy, by replication from ``first``, under names that sort in no useful way."""
    store = ResultStore(folder)
    for policy, results in runs.items():
        for replication, result in enumerate(results, first):
            key = f"{workload}{policy}{9 - replication}"
            store.write(CellId(key, "m", workload, policy, replication, 1), result)
    return store


def score_rows(values: Mapping[str, Mapping[str, Sequence[float]]], **more: Any) -> pd.DataFrame:  # noqa: ANN401
    """Return the rows of runs with the ``values`` of each policy's scores by replication, all others 0."""
    rows = []
    for policy, scores in values.items():
        for replication in range(max(map(len, scores.values()))):
            row = {"machine": "m", "workload": "w", "policy": policy, "replication": replication, "status": "completed"}
            row |= {"cell": f"{policy}{replication}", "duration_s": 10.0, "configured_ratio": math.nan} | more
            rows.append(row | dict.fromkeys(SCORES, 0.0) | {name: each[replication] for name, each in scores.items()})
    return pd.DataFrame(rows)


def score_scenario(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    ratios: Mapping[str, float] | None = None,
    bound: str | None = None,
    baseline: str | None = None,
) -> Scenario:
    """Return the scenario of such rows. ``ratios`` are what policies are set to, ``bound`` knows the future."""
    runs = score_rows(values)
    if ratios:
        runs["configured_ratio"] = runs["policy"].map(ratios).astype(float)
    return Scenario("m", "w", tuple(values), runs, bound, baseline)


# What is read off a figure.


def panels(figure: Figure) -> list[Axes]:
    return [axis for axis in figure.axes if axis.get_visible()]


def titles(figure: Figure) -> list[str]:
    """Return the titles of the panels, which the look of plots has at the left."""
    return [axis.get_title(loc="left") or axis.get_title() for axis in panels(figure)]


def figures(store: ResultStore, *how: object) -> Iterator[tuple[str, Figure]]:
    """Yield the figures that an experiment has, with their files' names: see :func:`sim.plots.registry.wanted`."""
    for each in wanted(store, *how):  # type: ignore[arg-type]  # as wanted takes them
        yield from each.draw()


def panel(figure: Figure, title: str) -> Axes:
    (found,) = [axis for axis, name in zip(panels(figure), titles(figure), strict=True) if name == title]
    return found


def words(figure: Figure) -> str:
    """Return what is written above the panels below what the figure finds, in one line."""
    return " ".join(text.get_text() for text in figure.texts if text.get_gid() != FINDING)


def finding(figure: Figure) -> str:
    """Return what the figure finds."""
    return " ".join(text.get_text() for text in figure.texts if text.get_gid() == FINDING)


def points(line: Line2D) -> list[Point]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata(), dtype=float)]


def value_at(line: Line2D, time: float) -> float:
    """Return what a step line shows at ``time``: the value of the last point before."""
    assert line.get_drawstyle() == "steps-post"
    return [y for x, y in points(line) if x <= time][-1]


def coloured(artist: Any) -> str:  # noqa: ANN401  lines, patches and collections name it differently
    """Return the one colour that an artist is drawn in, as #rrggbb."""
    if hasattr(artist, "get_offsets") or isinstance(artist, PolyCollection):
        (colour,) = {to_hex(each) for each in np.asarray(artist.get_facecolor())}
        return colour
    return to_hex(artist.get_color() if hasattr(artist, "get_color") else artist.get_facecolor())


def step_lines(axis: Axes) -> list[Line2D]:
    """Return the lines of what was counted, without that of how much is plugged in all."""
    return [line for line in axis.lines if line.get_drawstyle() == "steps-post" and line.get_gid() != PLUGGED]


def band_at(axis: Axes, colour: str, time: float) -> Point:
    """Return the lower and the upper end at ``time`` of the band in ``colour``."""
    (band,) = [each for each in axis.collections if isinstance(each, PolyCollection) and coloured(each) == colour]
    (path,) = band.get_paths()
    corners = [(float(x), float(y)) for x, y in np.asarray(path.vertices)]
    crossed = [y for (x, y), (then, _) in pairwise(corners) if min(x, then) < time < max(x, then)]
    return min(crossed), max(crossed)


def dots(axis: Axes) -> list[PathCollection]:
    return [each for each in axis.collections if isinstance(each, PathCollection)]


def dot_place(dot: PathCollection) -> Point:
    ((x, y),) = np.asarray(dot.get_offsets(), dtype=float)
    return float(x), float(y)


def legend(figure: Figure) -> dict[str, Artist]:
    """Return what stands beside each text of the figure's legend."""
    (found,) = figure.legends
    labels = [text.get_text() for text in found.get_texts()]
    return {label: handle for label, handle in zip(labels, found.legend_handles, strict=True) if handle is not None}
