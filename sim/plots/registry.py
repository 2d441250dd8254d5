"""Which figures there are, and which of them an experiment's runs are drawn in, under which names.

Each kind's function returns a :class:`matplotlib.figure.Figure`, which a notebook shows and
:func:`sim.plots.files.save_all` writes. A policy has the same colour in every figure of an experiment. What draws is
imported when something is drawn, as it takes long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sim.analysis import grid
from sim.analysis.findings import RETURNED
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.scenario import scenarios
from sim.analysis.wording import differing
from sim.plots.file_names import file_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario
    from sim.results.store import ResultStore


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of figure of one machine and workload: the ``function`` that draws it, and what it is ``about``.

    ``telling`` says whether it shows anything of a scenario; ``usual`` whether it is drawn without being asked for,
    where it is of :data:`GUEST_PLOTS`, or no guest is modelled.
    """

    function: str
    about: str
    telling: Callable[[Scenario], bool] = lambda _: True
    usual: bool = False

    def draw(self, store: ResultStore, scenario: Scenario, **choices: Any) -> Figure:  # noqa: ANN401  the kind's own
        """Return the figure of ``scenario``, whose runs are in ``store``, in the look of all plots."""
        from sim.plots.saving import styled

        module, _, name = self.function.partition(":")
        with styled(scenario.title, *scenario.policies):
            figure: Figure = getattr(import_module(f"sim.plots.{module}"), name)(store, scenario, **choices)
        return figure


def _anybody_dies(scenario: Scenario) -> bool:
    return bool((scenario.runs["died"] > 0).any())


def _anything_asked_back(scenario: Scenario) -> bool:
    return len(scenario.present) > 1 and bool(scenario.runs[RETURNED].notna().any())


def _anything_differs(scenario: Scenario) -> bool:
    # With fewer there is no interval, and the figure of scores has the replications, too.
    enough = scenario.replications >= FEWEST_FOR_INTERVAL and len(scenario.present) > 1
    return enough and bool(differing(scenario))


PLOTS: Final[dict[str, Kind]] = {
    "memory": Kind("memory:plot_memory", "memory by zone over time", usual=True),
    "ratio": Kind(
        "ratio:plot_ratio", "MOVABLE : KERNEL over time", lambda scenario: bool((scenario.runs["ratio_max"] > 0).any())
    ),
    "map": Kind("memory_map:plot_map", "zone of every memory block over time"),
    "scores": Kind("scores:plot_scores", "headline scores of every policy, with intervals"),
    "differences": Kind(
        "differences:plot_differences", "differences to the baseline within replications", _anything_differs
    ),
    "distribution": Kind(
        "distribution:plot_distribution",
        "what came back in every run",
        lambda scenario: scenario.replications > 1,
    ),
}
"""The kinds of figures by the names that their files begin with."""

GUEST_PLOTS: Final[dict[str, Kind]] = {
    "tradeoff": Kind(
        "tradeoff:plot_tradeoff", "memory given back against kernel headroom, and the front of the best", usual=True
    ),
    "survival": Kind("survival:plot_survival", "share of guests that live, over time", _anybody_dies),
    "answer": Kind("answer:plot_answer", "who dies, who gives nothing back, who is between", _anything_asked_back),
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
    from sim.plots.heat_map import plot_heat_map
    from sim.plots.saving import styled

    first, second = usual or ("", "")
    across, up = across or (first if first != up else second), up or (second if second != across else first)
    for each in grid.grids(runs, score, across, up):
        with styled(each.fixed, each.up.title, each.across.title, *each.up.words, *each.across.words):
            figure = plot_heat_map(each)
        yield figure


@dataclass(frozen=True, slots=True)
class Wanted:
    """Figures of one kind that are wanted, of one machine and workload, or of all ``runs``; ``name`` is theirs alone.

    They follow from the ``runs`` (with what is stored of them), which are of the ``policies`` of an experiment, of
    which one may be the ``bound`` and one the ``baseline``. ``draw`` yields them with their files' names; none where
    they would show nothing.
    """

    name: str
    runs: pd.DataFrame
    policies: tuple[str, ...]
    bound: str | None
    baseline: str | None
    draw: Callable[[], Iterator[tuple[str, Figure]]]


def wanted(
    store: ResultStore,
    policies: Sequence[str] = (),
    bound: str | None = None,
    baseline: str | None = None,
    kinds: Collection[str] = (),
    comparison: pd.DataFrame | None = None,
) -> Iterator[Wanted]:
    """Yield what is wanted of the experiment in ``store``: the usual kinds of figures, or ``kinds``.

    ``policies`` is their order, ``bound`` the label of the one that knows the future and ``baseline`` of the one that
    the others are compared with, if known; ``comparison`` what was found of them, where that is worked out already.
    """
    runs = store.runs()
    pairs: list[tuple[Scenario, str]] = []
    for scenario in scenarios(runs, policies, bound, baseline, comparison):
        of_guest = GUEST_PLOTS if scenario.has_guest else {}
        usual = [name for name, kind in (of_guest or PLOTS).items() if kind.usual]
        pairs += [(scenario, name) for name in (PLOTS | of_guest) if name in (kinds or usual)]
    names = file_names([(kind, each.machine, each.workload) for each, kind in pairs])
    for (each, kind), name in zip(pairs, names, strict=True):
        draw = partial(_drawn, store, each, kind, name)
        yield Wanted(name, each.runs, each.policies, each.bound, each.baseline, draw)
    if (not kinds or HEAT_MAP in kinds) and grid.usual_axes(runs) is not None:
        yield Wanted(HEAT_MAP, runs, tuple(policies), bound, baseline, partial(_drawn_heat_maps, runs))


def _drawn(store: ResultStore, scenario: Scenario, name: str, stem: str) -> Iterator[tuple[str, Figure]]:
    kind = (PLOTS | GUEST_PLOTS)[name]
    if kind.telling(scenario):
        yield stem, kind.draw(store, scenario)


def _drawn_heat_maps(runs: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    for number, figure in zip(range(_MOST_HEAT_MAPS), heat_maps(runs), strict=False):
        yield f"{HEAT_MAP}-{number + 1}", figure
