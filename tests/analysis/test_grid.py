"""Scores over two things that an experiment varies: which combinations there are, and which of them fail."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from sim.analysis import findings
from sim.analysis.grid import Grid, grids, swept, usual_axes
from tests.plots.by_hand import score_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


def runs(*cells: tuple[float, float, float, float], machine: str = "m", policy: str = "p, ratio {}") -> pd.DataFrame:
    """Return a run for each ratio, pace (KiB), what came back and whether the guest died; labels say what is swept."""
    rows = []
    for ratio, pace, back, died in cells:
        row = score_rows({policy.format(int(ratio)): {"returned_share": [back], "died": [died]}})
        swept_values = {"policy.ratio": ratio, "workload.pace": pace * 1024}
        rows.append(row.assign(**swept_values, workload=f"w, pace {pace}KiB"))
    return pd.concat(rows, ignore_index=True).assign(machine=machine)


def grid(failed: Sequence[Sequence[int]], *, ran: int = 2) -> Grid:
    """Return the grid of ratios 1, 2, ... (across) and paces 1, 2, ... of which so many runs fail."""
    cells = []
    for y, row in enumerate(failed, 1):
        for x, times in enumerate(row, 1):
            cells += [(x, y, 10.0 * x, float(number < times)) for number in range(ran)]
    (found,) = grids(runs(*cells), "returned_share", "policy.ratio", "workload.pace")
    return found


def test_means_failures_and_runs_stand_at_their_values_in_order() -> None:
    table = runs((301, 8, 90, 0), (100, 8, 70, 0), (100, 16, 60, 0), (100, 16, 80, 0), (301, 16, 0, 1), (301, 8, 80, 0))
    (found,) = grids(table, "returned_share", "policy.ratio", "workload.pace")
    assert (found.across.words, found.across.title, found.across.numeric) == (("100", "301"), "ratio", True)
    # What is in bytes stands as it is written in the label.
    assert (found.up.words, found.up.title) == (("8KiB", "16KiB"), "pace")
    assert found.mean.tolist() == [[70, 85], [70, 0]]
    assert found.failed.tolist() == [[0, 0], [0, 1]]
    assert found.runs.tolist() == [[1, 2], [2, 1]]
    assert found.fixed == "m, w, p"


def test_what_else_differs_has_a_grid_of_its_own_and_who_lacks_a_parameter_none() -> None:
    cells = [(ratio, pace, 50.0, 0.0) for ratio in (1, 2) for pace in (1, 2)]
    other = runs(*cells, machine="n").assign(returned_share=7.0)
    fixed = runs(*cells, policy="contig-zones").assign(**{"policy.ratio": math.nan})
    table = pd.concat([runs(*cells), other, fixed], ignore_index=True)
    found = list(grids(table, "returned_share", "policy.ratio", "workload.pace"))
    assert [(each.fixed, each.mean.mean()) for each in found] == [("m, w, p", 50), ("n, w, p", 7)]


def test_labels_may_lie_along_a_side() -> None:
    (found,) = grids(runs((1, 1, 5, 0), (2, 2, 6, 0)), "returned_share", "policy", "workload")
    assert found.across.words == ("p, ratio 1", "p, ratio 2")
    assert np.isnan(found.mean[0, 1])
    assert found.runs.tolist() == [[1, 0], [0, 1]]


def test_two_swept_parameters_are_the_usual_axes_and_policies_lie_across() -> None:
    table = runs((1, 1, 5, 0), (2, 1, 5, 0), (1, 2, 5, 0), (1, 3, 5, 0))
    assert swept(table) == ["workload.pace", "policy.ratio"]
    assert usual_axes(table) == ("policy.ratio", "workload.pace")
    one = runs((1, 1, 5, 0), (2, 1, 5, 0))
    assert usual_axes(one) is None
    assert usual_axes(pd.concat([one, one.assign(machine="n")])) == ("policy.ratio", "machine")
    assert usual_axes(score_rows({"p": {"died": [0.0]}})) is None


@pytest.mark.parametrize(
    ("across", "up", "what"),
    [("ratio", "policy", "nothing varies under the name 'ratio'"), ("policy", "policy", "across and up are both")],
)
def test_what_does_not_vary_cannot_lie_along_a_side(across: str, up: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        next(grids(runs((1, 1, 5, 0)), "returned_share", across, up))
    with pytest.raises(ValueError, match="no score"):
        next(grids(runs((1, 1, 5, 0)), "no such", "policy", "workload"))


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        ([[0, 0], [0, 0]], "No combination fails; came back 10 to 20 %"),
        ([[2, 1], [1, 1]], "Every combination fails"),
        ([[0, 0, 1], [0, 0, 2]], "Runs fail from ratio 3 up, whatever the pace"),
        ([[0, 1, 1], [0, 0, 2]], "Runs fail from ratio 2 up (pace 1KiB), from ratio 3 up (pace 2KiB)"),
        ([[0, 1], [0, 0], [0, 0]], "Runs fail from ratio 2 up (pace 1KiB), nowhere (pace 2KiB and 1 more)"),
        ([[1, 0], [0, 0]], "1 of 4 combinations of ratio and pace fail"),
    ],
)
def test_the_finding_tells_from_where_on_runs_fail(failed: list[list[int]], said: str) -> None:
    assert findings.heat(grid(failed)) == said
