"""No text of a figure lies on another or is cut by the figure's edge: with few policies and many, short names and long.

Colours are different, and nothing that is drawn warns.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from sim.analysis.grid import grids
from sim.analysis.scenario import Scenario
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.plots.heat_map import plot_heat_map
from sim.plots.registry import GUEST_PLOTS, HEAT_MAP, KINDS, PLOTS
from sim.plots.saving import styled
from sim.record.recorder import EventKind
from sim.results.store import ResultStore
from sim.scores.registry import SCORES
from sim.units import GIB
from tests.plots.by_hand import hand_run, stored
from tests.support.shared import by_module

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from sim.record.run_result import RunResult

SHORT = [f"policy {chr(97 + number)}" for number in range(12)]
SWEPT = [f"auto-movable, ratio {ratio}" for ratio in (50, 100, 150, 200, 250, 301, 400, 500, 600, 900, 1200, 2000)]
LONG = [
    f"{'a label as long as any may be, that costs $5 or $6'.ljust(70, '~')} 政策 number {number:02} of 12, {end}"
    for number, end in zip(range(12), ["the last words differ", "as_do^these"] * 6, strict=True)
]


class Many(ResultStore):
    """A store of many runs that are all one of three, as only their look matters here."""

    def __init__(self, folder: Path) -> None:
        grow = [(200.0 * n, EventKind.PLUG, 40 + 8 * n, 8, ZONE_MOVABLE if n % 3 else ZONE_NORMAL) for n in range(6)]
        runs = {"p": [hand_run(3600, grow[: 2 + 2 * n], ratio=301) for n in range(3)]}
        super().__init__(stored(folder, runs).folder)
        keys = self.runs().sort_values("replication")["cell"]
        self._results = [super(Many, self).result(key) for key in keys]
        self._series = [super(Many, self).series([key]) for key in keys]

    def series(self, cells: Collection[str] | None = None, **_: object) -> pd.DataFrame:
        return pd.concat([self._series[sum(map(ord, cell)) % 3].assign(cell=cell) for cell in cells or ()])

    def result(self, cell: str) -> RunResult:
        return self._results[sum(map(ord, cell)) % 3]


@pytest.fixture(scope=by_module)
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    return Many(tmp_path_factory.mktemp("many"))


def scenario(policies: Sequence[str], replications: int) -> Scenario:
    """Return runs in which policies are all that they can be: the first dies, another gives nothing back."""
    random, rows = np.random.default_rng(7), []
    for number, policy in enumerate(policies):
        for replication in range(replications):
            row: dict[str, Any] = dict.fromkeys(SCORES, 0.0)
            row |= {"machine": "a machine", "workload": "w " * 30, "policy": policy, "replication": replication}
            row |= {"cell": f"{policy}{replication}", "duration_s": 3600.0, "status": "completed", "streams_drawn": 1}
            died = number == 0 or (number % 5 == 3 and replication % 3 == 0)
            row |= {"died": float(died), "death_time": 600.0 + 40 * replication if died else math.nan}
            row |= {
                "kernel_ooms": 3.0 * died,
                "configured_ratio": 301.0,
                "ratio_max": 290.0,
                "movable_share_mean": 50.0,
            }
            back = 0.0 if died or number == 1 else 60 + 3 * number + random.uniform(0, 10)
            row |= {"returned_share": back, "returned": back * GIB / 6, "asked_back": 16 * GIB, "arrived_share": 100.0}
            row |= {"headroom_min": (2 - 0.1 * number) * GIB * (not died) + random.uniform(0, 1e8)}
            row |= {"not_given_byte_seconds": (100 - back) * 1e11, "return_time": 600 - 5 * back}
            rows.append(row)
    return Scenario("a machine", "w " * 30, tuple(policies), pd.DataFrame(rows), None, policies[-1])


def draw(kind: str, store: ResultStore, found: Scenario) -> Figure:
    with styled():
        if kind != HEAT_MAP:
            return (PLOTS | GUEST_PLOTS)[kind].draw(store, found)
        (grid,) = grids(
            found.runs.assign(**{"guest.x": found.runs["replication"] % 7}), "returned_share", "policy", "guest.x"
        )
        return plot_heat_map(grid)


def texts(figure: Figure) -> list[Text]:
    """Return every text that shows."""
    ticks, drawn = set(), set()
    every: list[Any] = [each for axes in figure.axes for each in (axes.xaxis, axes.yaxis)]
    for axis in every:
        ticks |= {label for tick in [*axis.majorTicks, *axis.minorTicks] for label in (tick.label1, tick.label2)}
        # Private: which ticks are drawn is told nowhere else.
        drawn |= {label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)}  # noqa: SLF001
    hidden = {text for axes in figure.axes if not (axes.get_visible() and axes.axison) for text in axes.findobj(Text)}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible()
        and text.get_text().strip()
        and text not in hidden
        and (text not in ticks or text in drawn)
    ]


def faults(figure: Figure) -> list[str]:
    """Return which texts lie on each other or are cut."""
    figure.draw_without_rendering()
    boxes = {text: text.get_window_extent() for text in texts(figure)}
    inside = figure.bbox
    found = [
        f"cut: {text.get_text()!r}"
        for text, box in boxes.items()
        if box.x0 < inside.x0 - 1 or box.y0 < inside.y0 - 1 or box.x1 > inside.x1 + 1 or box.y1 > inside.y1 + 1
    ]
    for (one, box), (other, over) in combinations(boxes.items(), 2):
        # A dot on each side is where letters that end and begin may meet.
        if box.x0 + 1 < over.x1 and over.x0 + 1 < box.x1 and box.y0 + 1 < over.y1 and over.y0 + 1 < box.y1:
            found.append(f"{one.get_text()!r} lies on {other.get_text()!r}")
    return found


CASES = [
    pytest.param(labels[:policies], replications, marks=() if (policies, replications) in often else pytest.mark.slow)
    for labels, often in ((LONG, [(12, 14)]), (SWEPT, []), (SHORT, []))
    for policies in (2, 12)
    for replications in (1, 14, 40)  # 40 have intervals, which take long to work out
]


@pytest.mark.parametrize(("policies", "replications"), CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_text_lies_on_another_or_is_cut(
    store: ResultStore, kind: str, policies: list[str], replications: int
) -> None:
    if kind == HEAT_MAP and replications == 1:
        return  # nothing varies
    figure = draw(kind, store, scenario(policies, replications))
    assert faults(figure) == []
