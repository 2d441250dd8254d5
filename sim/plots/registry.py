"""Which figures there are, which an experiment has, and under which names their files are written.

Each function returns a :class:`matplotlib.figure.Figure`, which a notebook shows and :func:`sim.plots.saving.save`
writes. A policy has the same colour in every figure of an experiment.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sim.analysis.scenario import scenarios
from sim.plots.memory import plot_memory
from sim.plots.memory_map import plot_map
from sim.plots.ratio import plot_ratio
from sim.plots.saving import save, styled
from sim.plots.scores import plot_scores
from sim.plots.tradeoff import plot_tradeoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from sim.results.store import ResultStore

PLOTS: Final[dict[str, Callable[[Any, Any], Figure]]] = {
    "memory": plot_memory,
    "ratio": plot_ratio,
    "map": plot_map,
    "scores": plot_scores,
}
"""The plots by the name that their files begin with."""

GUEST_PLOTS: Final[dict[str, Callable[[Any, Any], Figure]]] = {"tradeoff": plot_tradeoff}
"""More of them, where a guest is modelled."""


def figures(store: ResultStore, policies: Sequence[str] = (), bound: str | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield every plot of the experiment in ``store`` with its file's name.

    ``policies`` is their order, ``bound`` the label of the one that knows the future, if known.
    """
    with styled():
        for scenario in scenarios(store.runs(), policies, bound):
            for kind, plot in (PLOTS | (GUEST_PLOTS if scenario.has_guest else {})).items():
                yield f"{kind}-{_slug(scenario.machine)}-{_slug(scenario.workload)}", plot(store, scenario)


def save_all(store: ResultStore, folder: Path, policies: Sequence[str] = (), bound: str | None = None) -> list[Path]:
    """Write every plot of the experiment in ``store`` into ``folder`` and return the paths. See :func:`figures`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures(store, policies, bound):
        paths += save(figure, folder / name)
    return paths


def _slug(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-") or "x"
