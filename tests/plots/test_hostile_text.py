"""Whatever text there is comes out as that text: nothing of it is mathematics, markup, a second line or left out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from matplotlib.text import Text

from sim.analysis.grid import grids
from sim.plots.heat_map import plot_heat_map
from sim.plots.registry import GUEST_PLOTS, PLOTS
from sim.plots.saving import save, styled
from sim.plots.trace import plot_trace
from sim.results.store import ResultStore
from sim.traces.opening import open_trace
from sim.traces.summary import summarize
from sim.units import GIB
from tests.plots.by_hand import Values, score_rows, score_scenario
from tests.plots.test_no_overlaps import faults, texts

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

LABELS = [
    "$unclosed", "$\\frac{1}{$", "_hidden", "x_1^2 100 %", "two\nlines\tand", "שלום", "🐧 政策", "e\u0301z\u0351\u0352",
    "L" * 200,
]  # fmt: skip
COLUMNS = {"time": "t_s", "user": {"column": "used_mib", "unit": "1MiB"}}
NOWHERE = ResultStore("nowhere")


def values() -> Values:
    """Return scores of which every figure has something to tell: of the last policy, guests die."""
    rows: Values = {}
    for number, label in enumerate(LABELS):
        dies = float(number == len(LABELS) - 1)
        rows[label] = {
            "headroom_min": [(number + 1.0) * GIB * (1 - dies), (number + 2.0) * GIB],
            "returned": [number * GIB, number * GIB + 1],
            "returned_share": [10.0 * number, 10.0 * number + 1],
            "asked_back": [9.0 * GIB] * 2,
            "died": [dies, 0.0],
            "death_time": [5.0 if dies else float("nan"), float("nan")],
        }
    return rows


def saved(figure: Figure, folder: Path) -> list[str]:
    """Write the figure without a warning, and return its texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, folder / "figure", ("png",))
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("kind", ["scores", "distribution", "differences", "tradeoff", "survival", "answer"])
def test_labels_are_text_in_every_figure(kind: str, tmp_path: Path) -> None:
    figure = (PLOTS | GUEST_PLOTS)[kind].draw(NOWHERE, score_scenario(values(), baseline="$unclosed"))
    assert faults(figure) == []
    told = "\n".join(saved(figure, tmp_path))
    # Survival names three of those that live, and how many more there are.
    for part in (
        ("$unclosed", "_hidden") if kind == "survival" else ("$unclosed", "_hidden", "x_1^2 100 %", "two lines and")
    ):
        assert part in told
    assert "L" * 100 not in told
    assert not any(text.get_parse_math() for text in texts(figure) if "$" in text.get_text())


def test_labels_are_text_in_a_heat_map(tmp_path: Path) -> None:
    runs = score_rows({label: {"returned_share": [float(number)] * 2} for number, label in enumerate(LABELS)})
    runs["guest.$x_1$"] = [1, 2] * len(LABELS)
    with styled(*LABELS):
        figure = plot_heat_map(next(grids(runs, "returned_share", "guest.$x_1$", "policy")))
    assert {"$unclosed", "_hidden", "two lines and"} <= set(saved(figure, tmp_path))


@pytest.mark.parametrize("name", ["$x$_a^{.csv", "_" * 200, "政策.csv", "\udcff.csv", "two\nlines"])
def test_a_file_name_is_text_in_the_figure_of_a_trace(name: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("t_s,used_mib\n0,100\n60,300\n120,200\n", "utf-8")
    with styled(name):
        figure = plot_trace(summarize(open_trace(trace, COLUMNS)), name)
    saved(figure, tmp_path)
    assert not [fault for fault in faults(figure) if fault.startswith("cut")]
