from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from sim.analysis.scenario import scenarios
from sim.plots.colours import PALETTE, ZONE_COLOURS, ZONE_NAMES, policy_colours, readable
from sim.plots.files import FORMATS, save_all
from sim.plots.memory import plot_memory
from sim.plots.memory_map import plot_map
from sim.plots.panels import panels
from sim.plots.plot_data import memory_series, ratio_series, spread
from sim.plots.ratio import plot_ratio
from sim.plots.registry import GUEST_PLOTS, KINDS, PLOTS
from sim.plots.scores import plot_scores
from sim.results.failure import Failure, Stage
from sim.results.identity import CellId, cell_key
from sim.results.store import ResultStore
from sim.units import GIB
from tests.support.pages import PAGE_SIZE
from tests.support.synthetic import seeded_run

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario

POLICIES = ("contig-zones", "auto-movable 301", "auto-movable 100")


def fill(store: ResultStore, policies: tuple[str, ...], replications: int, workload: str = "w/x") -> None:
    for policy_number, policy in enumerate(policies):
        for replication in range(replications):
            cell = CellId(
                cell_key({"p": policy, "r": replication, "w": workload}, "c"), "m", workload, policy, replication, 1
            )
            run = seeded_run(10 * policy_number + replication)
            store.write(cell, replace(run, configured_ratio=301 if "301" in policy else None))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    found = ResultStore(tmp_path_factory.mktemp("results"))
    fill(found, POLICIES, 3)
    fill(found, POLICIES[1:], 1, "second")
    found.write_failure(CellId("f" * 32, "m", "w/x", "broken", 0, 1), Failure(Stage.SIMULATE, "no"))
    return found


@pytest.fixture(scope="module")
def scenario(store: ResultStore) -> Scenario:
    return list(scenarios(store.runs(), POLICIES))[1]


def texts(figure: Figure) -> str:
    found: list[Any] = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return "\n".join(text.get_text() for text in found)


def test_every_machine_and_workload_has_its_runs(store: ResultStore) -> None:
    found = list(scenarios(store.runs(), POLICIES))
    assert [(s.title, s.replications, s.present) for s in found] == [
        ("second on m", 1, list(POLICIES[1:])),
        ("w/x on m", 3, list(POLICIES)),
    ]
    assert found[0].policies == found[1].policies == (*POLICIES, "broken")


def test_a_policy_has_the_same_colour_in_every_figure(store: ResultStore) -> None:
    colours = policy_colours((*POLICIES, "broken"))
    assert len(set(colours.values())) == 4
    for scenario in scenarios(store.runs(), POLICIES):
        for plot in (plot_memory, plot_ratio, plot_map):
            for axis in plot(store, scenario).axes:
                if title := axis.get_title(loc="left"):
                    assert axis.title.get_text() == ""
                    assert axis._left_title.get_color() == readable(colours[title])  # type: ignore[attr-defined]  # noqa: SLF001


def test_means_and_bands_are_those_of_the_runs(store: ResultStore, scenario: Scenario) -> None:
    found = memory_series(store, scenario, POLICIES[0])["kernel_bytes"]
    runs = store.runs()
    rows = runs[(runs["policy"] == POLICIES[0]) & (runs["workload"] == "w/x")]["kernel_end"] / GIB
    assert found.mean[-1] == pytest.approx(rows.mean())
    assert (found.low[-1], found.high[-1]) == pytest.approx((rows.min(), rows.max()))
    assert found.differs
    ratio = ratio_series(store, scenario, POLICIES[1])
    assert (ratio.low <= ratio.mean + 1e-9).all()
    assert (ratio.mean <= ratio.high + 1e-9).all()


def test_replications_that_are_alike_keep_their_steps(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for replication in range(2):
        store.write(CellId(f"{replication}" * 32, "m", "w", "p", replication, 1), seeded_run(5))
    (scenario,) = scenarios(store.runs())
    line = memory_series(store, scenario, "p")["movable_bytes"]
    assert not line.differs
    assert line.replications == 2
    series = store.series({"0" * 32})
    assert (line.time * 1e6).round().astype(int).tolist() == series["t_us"].tolist()
    assert "2 replications, all alike" in texts(plot_memory(store, scenario))


def test_figures_say_what_they_show(store: ResultStore, scenario: Scenario) -> None:
    memory = texts(plot_memory(store, scenario))
    for text in (
        "Memory by zone: w/x on m",
        "present memory [GiB]",
        "simulated time [",
        "MOVABLE (in the",
        "mean of 3",
    ):
        assert text in memory
    ratio = texts(plot_ratio(store, scenario))
    assert "MOVABLE : KERNEL [%]" in ratio
    assert ratio.count("configured: 301 %") == 1
    shown = texts(plot_map(store, scenario))
    for text in (
        "physical address [GiB]",
        "MOVABLE",
        "Normal",
        "several zones",
        "gap in the addresses",
        "replication 0",
    ):
        assert text in shown
    scores = texts(plot_scores(store, scenario))
    assert "higher is better" in scores
    assert "ticks below: the replications" in scores


def test_a_map_shows_every_block_at_its_address(store: ResultStore, scenario: Scenario) -> None:
    figure = plot_map(store, scenario)
    result = store.result(str(scenario.of(POLICIES[0])["cell"].iloc[0]))
    from sim.record.blockmap import BlockState, zone_map

    expected = zone_map(result, samples=600)
    image = np.asarray(figure.axes[0].images[0].get_array())
    rows = [row for row in image.tolist() if set(row) != {BlockState.ABSENT}]
    assert rows == [row for row in expected.states.T.tolist() if set(row) != {BlockState.ABSENT}]


def test_zones_have_names_and_colours_of_their_own() -> None:
    assert ZONE_COLOURS.keys() == ZONE_NAMES.keys()
    assert len(set(ZONE_COLOURS.values())) == len(ZONE_COLOURS)
    assert len(set(PALETTE)) == 8


def test_files_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    fill(store, POLICIES[1:2], 1, "second")
    hashes = []
    for name in ("a", "b"):
        paths = save_all(store, tmp_path / name, POLICIES, kinds=KINDS, formats=FORMATS)
        assert [path.name for path in paths[:4]] == [
            "memory-m-second.png", "memory-m-second.svg", "ratio-m-second.png", "ratio-m-second.svg",
        ]  # fmt: skip
        assert {path.name.split("-")[0] for path in paths} == {"memory", "ratio", "map", "scores", "tradeoff"}
        hashes.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
        for path in paths:
            if path.suffix == ".svg":
                assert "</svg>" in path.read_text("utf-8")
            else:
                assert path.read_bytes().startswith(b"\x89PNG")
    assert hashes[0] == hashes[1]


def test_a_single_policy_makes_figures(tmp_path: Path) -> None:
    for kind, plot in PLOTS.items():
        single = ResultStore(tmp_path / kind)
        fill(single, ("alone",), 1)
        assert "alone" in texts(plot.draw(single, next(scenarios(single.runs()))))


def test_a_run_in_which_nothing_happens_can_be_drawn(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    run = seeded_run(1, steps=0)
    store.write(CellId("0" * 32, "m", "w", "p", 0, 1), replace(run, duration_us=0, events=run.events[:0]))
    (scenario,) = scenarios(store.runs())
    drawn = [kind.draw(store, scenario) for kind in (PLOTS | GUEST_PLOTS).values()]
    for figure in drawn:
        figure.draw_without_rendering()
    assert run.boot.kernel_pages * PAGE_SIZE == store.runs()["kernel_end"].iloc[0]


def test_replications_that_are_alike_where_there_is_no_value_are_alike() -> None:
    nothing = float("nan")
    series = pd.DataFrame({"cell": ["a", "a", "b", "b"], "t_us": [0, 5, 0, 5], "x": [nothing, 1.0, nothing, 1.0]})
    assert spread(series, ["a", "b"], ("x",), 1.0)["x"].time.tolist() == [0.0, 5e-6]


@pytest.mark.parametrize(("labels", "shared"), [(("x", ""), True), (("", "y"), False)])
def test_panels_lie_in_rows_of_three_and_share_an_axis_that_is_labelled_once(
    labels: tuple[str, str],
    shared: bool,  # noqa: FBT001
) -> None:
    figure, axes = panels(5, 4.0, 3.0, labels)
    assert tuple(figure.get_size_inches()) == (12.0, 7.2)
    assert axes[0].get_shared_x_axes().joined(axes[0], axes[1]) == shared
    assert [axis.xaxis.get_tick_params()["labelbottom"] for axis in axes] == [not shared] * 2 + [True] * 3
