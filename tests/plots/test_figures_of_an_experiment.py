"""Which figures an experiment has, under which names, and that each shows the machine and workload that it names."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from sim.analysis.scenario import Scenario, scenarios
from sim.api import Results
from sim.memory.zones import ZONE_MOVABLE
from sim.plots.registry import KINDS, wanted
from sim.record.guest_series import GUEST_SERIES
from sim.record.recorder import EventKind
from sim.results.identity import CellId
from sim.results.store import ResultStore
from tests.plots.by_hand import OUT_OF_ORDER, figures, hand_run, panel, score_rows, step_lines, titles, value_at, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# GiB that each machine and workload gets in ZONE_MOVABLE at once.
GIB = {("small", "grow"): 1, ("small", "away"): 2, ("large", "grow"): 4}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    """Results of three pairs of machine and workload; a guest is modelled in one run of the last."""
    found = ResultStore(tmp_path_factory.mktemp("results"))
    for (machine, workload), size in GIB.items():
        run = hand_run(100, [(0, EventKind.PLUG, 40, 8 * size, ZONE_MOVABLE)])
        for policy in ("alpha", "zeta"):
            samples = {name: np.array([4096]) for name in GUEST_SERIES} | {"t_us": np.array([0])}
            with_guest = machine == "large" and policy == "zeta"
            cell = CellId(f"{machine}{workload}{policy}", machine, workload, policy, 0, 1)
            found.write(cell, replace(run, guest=samples) if with_guest else run)
    return found


def movable(figure: Figure, policy: str) -> float:
    """Return the GiB of MOVABLE in a figure of memory."""
    (line,) = [line for line in step_lines(panel(figure, policy)) if not line.is_dashed()]
    return value_at(line, 50)


def test_every_machine_and_workload_has_its_figures_and_those_with_a_guest_one_more(store: ResultStore) -> None:
    drawn = list(islice(figures(store, OUT_OF_ORDER, "zeta", None, KINDS), 5 + 4 + 1))
    assert drawn[-1][0] == "memory-small-grow"  # the first of the next
    found = dict(drawn[:-1])
    headings = {"memory": "Memory by zone", "ratio": "Ratio", "map": "Memory map", "scores": "Scores"}
    assert {name: words(figure).split(" on ")[0] for name, figure in found.items()} == {
        f"{kind}-{machine}-{workload}": f"{title}: {workload}"
        for machine, workload in (("large", "grow"), ("small", "away"))
        for kind, title in (headings | ({"tradeoff": "Trade-off"} if machine == "large" else {})).items()
    }
    assert "zeta knows the future" in words(found["tradeoff-large-grow"])
    for machine, workload in (("large", "grow"), ("small", "away")):
        figure = found[f"memory-{machine}-{workload}"]
        assert words(figure).startswith(f"Memory by zone: {workload} on {machine} ")
        assert movable(figure, "zeta") == GIB[machine, workload]
        assert titles(figure) == ["zeta", "alpha"]


def test_without_being_asked_for_the_trade_off_is_drawn_or_memory_where_there_is_no_guest(store: ResultStore) -> None:
    names = [name for each in wanted(store, OUT_OF_ORDER) for name, _ in each.draw()]
    assert names == ["tradeoff-large-grow", "memory-small-away", "memory-small-grow"]


def test_a_figure_that_is_asked_for_is_that_of_its_workload_and_machine(store: ResultStore) -> None:
    results = Results(store.folder)
    for (machine, workload), size in GIB.items():
        assert movable(results.plot("memory", workload, machine), "alpha") == size
    # Without a machine, the first by name.
    assert movable(results.plot("memory", "grow"), "alpha") == 4
    assert words(results.plot("ratio", "away")).startswith("Ratio: away on small")


def test_a_guest_in_one_run_is_a_guest() -> None:
    def scenario(*headroom: float) -> Scenario:
        return Scenario("m", "w", ("p",), score_rows({"p": {"headroom_min": headroom}}))

    assert scenario(np.nan, 5.0).has_guest
    assert scenario(0.0).has_guest
    assert not scenario(np.nan, np.nan).has_guest


def test_swept_values_that_no_label_shows_are_scenarios_of_their_own() -> None:
    rows = [score_rows({"b": {"kernel_mean": [1, 2]}, "a": {"kernel_mean": [3, 4]}}, **{"timing.x": x}) for x in (5, 1)]
    found = list(scenarios(pd.concat(rows), ("b", "a")))
    assert [(each.title, each.present, each.replications) for each in found] == [
        ("w (timing x 1) on m", ["b", "a"], 2),
        ("w (timing x 5) on m", ["b", "a"], 2),
    ]
    assert [float(each.runs["kernel_mean"].sum()) for each in found] == [10, 10]
    assert set(found[0].runs["timing.x"]) == {1}
