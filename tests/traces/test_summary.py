from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.traces import distribution
from sim.traces.distribution import Distribution
from sim.traces.opening import open_trace
from sim.traces.summary import summarize
from sim.units import MIB
from tests.traces.made import USE, written

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.lists(st.integers(0, 1 << 46) | st.integers(0, 3000), max_size=40), max_size=6), st.integers(1, 50))
def test_quantiles_are_those_of_the_values_to_a_thousandth(parts: list[list[int]], held: int) -> None:
    found = Distribution()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distribution, "_HELD", held)
        for part in parts:
            found.add(np.array(part, np.int64))
    values = sorted(value for part in parts for value in part)

    assert found.count == len(values)
    if values:
        assert found.quantile(0) == values[0]
        assert found.quantile(1) == values[-1]
        assert found.mean == pytest.approx(sum(values) / len(values))
        for share in (0.05, 0.5, 0.75, 0.99):
            exact = values[min(int(share * len(values)), len(values) - 1)]
            assert abs(found.quantile(share) - exact) <= exact / 1000 + 1
        levels, shares = found.cumulated()
        assert levels[-1] == values[-1]
        assert shares[-1] == pytest.approx(1.0)
        assert all(
            share * len(values) == pytest.approx(sum(value <= level for value in values))
            for level, share in zip(levels, shares, strict=True)
        )


def test_a_trace_worked_out_by_hand(tmp_path: Path) -> None:
    rows = "a,0,4\na,10,4\na,20,\na,30,1\na,60,11\nb,5,7\n"
    summary = summarize(open_trace(written(tmp_path, f"vm,t,use\n{rows}"), USE)).as_json()

    assert summary == {
        "series": 2,
        "samples": 6,
        "span_s": 60.0,
        "shortest_span_s": 0.0,
        "step_s": {
            "least": 10.0,
            "5 %": 10.0,
            "25 %": 10.0,
            "median": 10.0,
            "75 %": 30.0,
            "95 %": 30.0,
            "largest": 30.0,
        },
        "gaps": 1,
        "longest_gap_s": 30.0,
        "quantities": {
            "user": {
                "samples": 5,
                "missing": 1,
                "series_without": 0,
                "level_bytes": {
                    "least": MIB,
                    "5 %": MIB,
                    "25 %": 4 * MIB,
                    "median": 4 * MIB,
                    "75 %": 7 * MIB,
                    "95 %": 11 * MIB,
                    "largest": 11 * MIB,
                    "mean": 27 * MIB / 5,
                },
                "change_bytes": {"median": 3 * MIB, "90 %": 10 * MIB, "99 %": 10 * MIB, "largest": 10 * MIB}
                | {"mean": 13 * MIB / 3},
                "rises": 1,
                "falls": 1,
                "largest_rise_bytes": 10 * MIB,
                "largest_fall_bytes": 3 * MIB,
            }
        },
    }


def test_levels_over_time_are_within_a_fiftieth(tmp_path: Path) -> None:
    rows = [f"a,{t},{use}" for t in range(240) for use in (10, 20, 40)]
    summary = summarize(open_trace(written(tmp_path, "\n".join(["vm,t,use", *rows])), USE))

    bands = summary.quantities["user"].bands((0.0, 0.5, 1.0))

    assert bands.shape == (240, 3)
    assert np.all(np.abs(bands / (np.array([10, 20, 40]) * MIB) - 1) < 1 / 50)


@pytest.mark.parametrize("few", [1, 1 << 18])
def test_a_gap_is_long_for_its_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr("sim.traces.summary._FEW", few)
    slow = [f"slow,{60 * at},1" for at in range(10)]
    fast = [f"fast,{at},1" for at in (*range(50), 51, 54)]
    text = "\n".join(["vm,t,use", *slow, *fast])

    summary = summarize(open_trace(written(tmp_path, text), USE))

    assert (summary.gaps, summary.longest_gap_s) == (1, 3.0)
