from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from sim.analysis.regret import bound, regret
from sim.api import Results, run
from sim.plots.saving import styled
from sim.plots.tradeoff import plot_tradeoff
from tests.plots.by_hand import figures

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

DIMMS = "t_s,op,device,kind,size_bytes\n" + "".join(
    [
        *(f"{10 * n},plug,d{n},dimm,256MiB\n{10 * n + 5},demand,k,kernel,{(n + 1) * 64}MiB\n" for n in range(16)),
        *(f"{200 + n},unplug,d{15 - n},,\n" for n in range(16)),
    ]
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder: Path = tmp_path_factory.mktemp("tradeoff")
    (folder / "dimms.csv").write_text(DIMMS, "utf-8")
    (folder / "small.toml").write_text(
        """
        machines = [{ boot_memory = "1GiB" }]
        workloads = [{ name = "request-replay", label = "grow", path = "dimms.csv" }]
        guest.model = "linux"
        policies = [
            { name = "auto-movable" }, { name = "clairvoyant" }, { name = "headroom" }, { name = "online-movable" },
            { name = "online-kernel" },
        ]
        sweep = [{ product.policies.auto-movable.ratio = [100, 200, 301, 2000] }]
        """,
        "utf-8",
    )
    found = run(folder / "small.toml", folder / "results", workers=1)
    assert (found.runs()["status"] == "completed").all()
    return found


def score(results: Results, policy: str, name: str) -> float:
    runs = results.runs()
    (value,) = runs.loc[runs["policy"] == policy, name].to_numpy(dtype=float)
    return float(value)


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in [*figure.axes[0].texts, *figure.texts])


def test_the_figure_has_every_policy_and_every_ratio_and_tells_of_the_bound(results: Results) -> None:
    figure = results.plot("tradeoff", "grow")
    found = texts(figure)
    assert "clairvoyant knows the future" in found
    for label in ("clairvoyant", "headroom", "online-movable", "online-kernel", "100 %", "2000 %"):
        assert label in found
    axis = figure.axes[0]
    points = [
        tuple(xy)
        for each in axis.collections
        if isinstance(each, PathCollection)
        for xy in np.asarray(each.get_offsets(), dtype=float)
    ]
    x, y = score(results, "headroom", "headroom_min") / 2**20, score(results, "headroom", "returned") / 2**30
    assert any(math.isclose(point[0], x) and math.isclose(point[1], y) for point in points)
    curve = axis.lines[0]
    along = np.asarray(curve.get_xydata())
    assert (np.diff(along[:, 0]) <= 0).all()
    assert (np.diff(along[:, 1]) >= 0).all()


def test_it_is_drawn_where_there_is_a_guest(tmp_path: Path) -> None:
    tables = {
        "machines": [{"boot_memory": "1GiB"}],
        "policies": [{"name": "online-kernel"}],
        "workloads": [{"name": "dimm-slots", "duration": 600}],
    }
    drawn = {}
    for name, guest in (("with", {"guest": {"model": "linux"}}), ("without", {})):
        results = run(tables | guest, tmp_path / name, workers=1)
        drawn[name] = {stem for stem, _ in figures(results.store)}
    assert drawn == {"with": {"tradeoff-1GiB-dimm-slots"}, "without": {"memory-1GiB-dimm-slots"}}


def test_where_nothing_was_given_back_the_share_of_movable_takes_its_place(results: Results) -> None:
    from sim.analysis.scenario import scenarios

    runs = results.runs().assign(returned=0.0)
    (scenario,) = scenarios(runs, results.policies)
    with styled():
        figure = plot_tradeoff(results.store, scenario)
    assert "MOVABLE" in figure.axes[0].get_ylabel()


def test_no_policy_has_less_than_no_regret(results: Results) -> None:
    assert results.experiment is not None
    assert bound(results.experiment) == "clairvoyant"
    rows = results.regret()
    table = dict(zip(rows["policy"], rows["regret"], strict=True))
    assert table.keys() == set(results.policies)
    best = score(results, "clairvoyant", "movable_byte_seconds")
    assert table["clairvoyant"] == 0
    assert table["online-kernel"] == table["online-movable"] == best > 0, "one has none in MOVABLE, the other fails"
    assert all(lost >= 0 for lost in table.values())


def test_regret_needs_a_bound(tmp_path: Path) -> None:
    tables = {
        "machines": [{"boot_memory": "1GiB"}],
        "policies": [{"name": "online-kernel"}],
        "workloads": [{"name": "dimm-slots", "duration": 600}],
    }
    found = run(tables, tmp_path, workers=1)
    with pytest.raises(ValueError, match="clairvoyant"):
        found.regret()
    with pytest.raises(ValueError, match="baseline"):
        regret(found.runs(), "nobody")
