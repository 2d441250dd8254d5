"""Which figures there are, which of them an experiment's runs are drawn in, and under which names.

Each function returns a :class:`matplotlib.figure.Figure`, which a notebook shows and :func:`sim.plots.saving.save`
writes. A policy has the same colour in every figure of an experiment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.analysis import grid
from sim.analysis.findings import RETURNED
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.scenario import scenarios
from sim.plots.answer import plot_answer
from sim.plots.differences import differing, plot_differences
from sim.plots.distribution import plot_distribution
from sim.plots.heat_map import plot_heat_map
from sim.plots.memory import plot_memory
from sim.plots.memory_map import plot_map
from sim.plots.ratio import plot_ratio
from sim.plots.saving import save, styled
from sim.plots.scores import plot_scores
from sim.plots.survival import plot_survival
from sim.plots.tradeoff import plot_tradeoff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of figure of one machine and workload: how it is ``draw``n, and what it is ``about``.

    ``telling`` says whether it shows anything of a scenario; ``usual`` whether it is drawn without being asked for.
    """

    draw: Callable[..., Figure]
    about: str
    telling: Callable[[Scenario], bool] = lambda _: True
    usual: bool = True


def _anybody_dies(scenario: Scenario) -> bool:
    return bool((scenario.runs["died"] > 0).any())


def _anything_asked_back(scenario: Scenario) -> bool:
    return len(scenario.present) > 1 and bool(scenario.runs[RETURNED].notna().any())


def _anything_differs(scenario: Scenario) -> bool:
    # With fewer there is no interval, and the figure of scores has the replications, too.
    enough = scenario.replications >= FEWEST_FOR_INTERVAL and len(scenario.present) > 1
    return enough and bool(differing(scenario))


PLOTS: Final[dict[str, Kind]] = {
    "memory": Kind(plot_memory, "memory by zone over time"),
    "ratio": Kind(
        plot_ratio, "MOVABLE : KERNEL over time", lambda scenario: bool((scenario.runs["ratio_max"] > 0).any())
    ),
    "map": Kind(plot_map, "zone of every memory block over time"),
    "scores": Kind(plot_scores, "headline scores of every policy, with intervals"),
    "differences": Kind(plot_differences, "differences to the baseline within replications", _anything_differs),
    "distribution": Kind(
        plot_distribution, "what came back in every run", lambda scenario: scenario.replications > 1, usual=False
    ),
}
"""The kinds of figures by the names that their files begin with."""

GUEST_PLOTS: Final[dict[str, Kind]] = {
    "tradeoff": Kind(plot_tradeoff, "memory given back against kernel headroom, and the front of the best"),
    "survival": Kind(plot_survival, "share of guests that live, over time", _anybody_dies),
    "answer": Kind(plot_answer, "who dies, who gives nothing back, who is between", _anything_asked_back, usual=False),
}
"""More of them, where a guest is modelled."""

HEAT_MAP: Final = "heatmap"
"""The kind that is not of one machine and workload: a score over two things that the experiment varies."""

KINDS: Final = (*PLOTS, *GUEST_PLOTS, HEAT_MAP)
_MOST_HEAT_MAPS: Final = 6


def heat_maps(runs: pd.DataFrame, score: str = RETURNED, across: str = "", up: str = "") -> Iterator[Figure]:
    """Yield a heat map of ``score`` over ``across`` and ``up`` for each combination of what else is varied.

    They are columns of ``runs``: parameters that were swept, or machine, workload or policy; where empty, what the
    experiment sweeps. Raises ValueError where there is no such thing.
    """
    usual = grid.usual_axes(runs)
    if not (across and up) and usual is None:
        raise ValueError("this experiment sweeps too little for a heat map: two things must be named, across and up")
    first, second = usual or ("", "")
    across, up = across or (first if first != up else second), up or (second if second != across else first)
    for each in grid.grids(runs, score, across, up):
        with styled():
            yield plot_heat_map(each)


def figures(
    store: ResultStore,
    policies: Sequence[str] = (),
    bound: str | None = None,
    baseline: str | None = None,
    kinds: Collection[str] = (),
    comparison: pd.DataFrame | None = None,
) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of the experiment in ``store`` with their files' names: the usual ones, or those of ``kinds``.

    ``policies`` is their order, ``bound`` the label of the one that knows the future and ``baseline`` of the one that
    the others are compared with, if known; ``comparison`` what was found of them, where that is worked out already. A
    figure that would show nothing is left out.
    """
    runs = store.runs()
    for scenario in scenarios(runs, policies, bound, baseline, comparison):
        for name, kind in (PLOTS | (GUEST_PLOTS if scenario.has_guest else {})).items():
            if (name in kinds if kinds else kind.usual) and kind.telling(scenario):
                with styled():
                    figure = kind.draw(store, scenario)
                yield f"{name}-{_slug(scenario.machine)}-{_slug(scenario.workload)}", figure
    if (not kinds or HEAT_MAP in kinds) and grid.usual_axes(runs) is not None:
        for number, figure in zip(range(_MOST_HEAT_MAPS), heat_maps(runs), strict=False):
            yield f"{HEAT_MAP}-{number + 1}", figure


def save_all(
    store: ResultStore,
    folder: Path,
    policies: Sequence[str] = (),
    bound: str | None = None,
    baseline: str | None = None,
    kinds: Collection[str] = (),
    comparison: pd.DataFrame | None = None,
) -> list[Path]:
    """Write the figures of the experiment in ``store`` into ``folder`` and return the paths. See :func:`figures`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures(store, policies, bound, baseline, kinds, comparison):
        paths += save(figure, folder / name)
    return paths


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-") or "x"
