"""Memory does not grow with a trace: what ``benchmarks/bench_traces.py`` shows with ten million samples, in small."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from sim.traces import distribution, source, splitting
from sim.traces.opening import open_trace
from sim.traces.summary import summarize
from tests.traces.made import USE, prometheus_text, written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture(autouse=True)
def _small_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(splitting, "MOST_VALUES", 6000)
    monkeypatch.setattr(distribution, "_HELD", 2000)
    monkeypatch.setattr(source, "CHUNK", 1 << 15)


def peak(path: Path, columns: Mapping[str, object]) -> tuple[int, int]:
    """Return how many samples the trace has, and the most bytes that Python held while it was described."""
    tracemalloc.start()
    try:
        summary = summarize(open_trace(path, columns))
        return summary.samples, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def csv_of(samples: int) -> str:
    return "".join(["vm,t,use\n", *(f"vm{at % 50},{at // 50},{at % 977}\n" for at in range(samples))])


def prometheus_of(samples: int) -> str:
    return prometheus_text(
        [({"vm": f"vm{n}"}, [(at, str(at % 977)) for at in range(samples // 50)]) for n in range(50)]
    )


def test_a_trace_six_times_as_long_takes_no_more_memory(tmp_path: Path) -> None:
    peak(written(tmp_path, csv_of(2_000)), USE)  # what is imported and kept

    small, small_peak = peak(written(tmp_path, csv_of(10_000)), USE)
    large, large_peak = peak(written(tmp_path, csv_of(60_000)), USE)

    assert (small, large) == (10_000, 60_000)
    assert large_peak < 1.15 * small_peak


def test_pandas_which_takes_more_memory_than_all_else_is_not_loaded_for_it(tmp_path: Path) -> None:
    columns = {**USE, "page_cache": {"column": "cached", "unit": "1MiB"}}
    content = "vm,t,use,cached\na,0,1,\na,1,,2\nb,0,3,4\n"
    code = (
        "import sys; from pathlib import Path; from sim.traces.opening import open_trace;"
        "from sim.traces.summary import summarize;"
        f"trace = open_trace(Path({str(written(tmp_path, content))!r}), {columns!r});"
        "print(summarize(trace).samples, 'pyarrow' in sys.modules, 'pandas' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.split() == ["3", "True", "False"]


def test_neither_does_an_answer_of_prometheus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.traces.prometheus_json._AT_ONCE", 500)
    columns: Mapping[str, object] = {"series": "vm", "user": "value"}
    peak(written(tmp_path, prometheus_of(2_000)), columns)

    small, small_peak = peak(written(tmp_path, prometheus_of(5_000)), columns)
    large, large_peak = peak(written(tmp_path, prometheus_of(30_000)), columns)

    assert (small, large) == (5_000, 30_000)
    assert large_peak < 1.5 * small_peak
