"""A series of which all values are missing says nothing: a fault, and not a run in which nothing happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.plugins.parameters import ParameterError
from workloads.demand_trace import DemandTrace
from workloads.guest_trace import GuestTrace
from workloads.hyperalloc import HyperAlloc

if TYPE_CHECKING:
    from pathlib import Path

CASES: dict[str, tuple[Any, str]] = {
    "demand-trace": (DemandTrace, "user"),
    "guest-trace": (GuestTrace, "user"),
    "hyperalloc": (HyperAlloc, "free_huge"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_trace_without_a_value_is_a_fault(name: str, tmp_path: Path) -> None:
    workload, quantity = CASES[name]
    path = tmp_path / "trace.csv"
    columns = {"time": "t", quantity: "use"}
    path.write_text("t,use\n0,\n10,\n", "utf-8")
    with pytest.raises(ParameterError, match=f"path: it has no value of {quantity}: all are missing$"):
        workload(path=str(path), columns=columns)
    path.write_text("t,use\n0,\n10,5\n", "utf-8")
    workload(path=str(path), columns=columns)


@pytest.mark.parametrize("name", CASES)
def test_so_is_a_series_among_others_unless_it_is_not_played(name: str, tmp_path: Path) -> None:
    workload, quantity = CASES[name]
    path = tmp_path / "trace.csv"
    columns = {"time": "t", "series": ["vm"], quantity: "use"}
    path.write_text("t,vm,use\n0,a,1\n0,b,\n0,c,\n10,a,\n10,b,\n10,c,\n", "utf-8")
    more = "all are missing, nor have 1 more of its series"
    with pytest.raises(ParameterError, match=f"path: series 'b' has no value of {quantity}: {more}"):
        workload(path=str(path), columns=columns)
    workload(path=str(path), columns=columns, series="a")
