"""Public traces that are kept outside of the repository, against the figures that were published with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.traces.opening import open_trace
from sim.traces.summary import summarize
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from sim.traces.summary import Quantity


def summary(path: Path, columns: dict[str, Any]) -> tuple[int, int, dict[str, Quantity]]:
    if not path.is_file():
        pytest.skip(f"no {path}")
    found = summarize(open_trace(path, columns))
    return found.series, found.samples, dict(found.quantities)


def test_bitbrains(shared_dir: Path) -> None:
    columns = {"time": "t_s", "series": "vm", "user": {"column": "use_mib", "unit": "1MiB"}}
    series, samples, found = summary(shared_dir / "data/bitbrains-rnd/sep2013-5min.csv.gz", columns)

    assert (series, samples) == (45, 391_017)
    assert round(found["user"].levels.quantile(1.0) / GIB) == 44


def test_days_of_google_s_jobs(shared_dir: Path) -> None:
    columns = {
        "time": {"column": "day", "unit": 86400},
        "series": "job",
        "step": 300,
        "user": {"column": "m0", "last": "m287", "percent_of": "1TiB"},
    }
    series, samples, found = summary(shared_dir / "data/google-2011-vms/mem-percent.csv.gz", columns)
    percent = [found["user"].levels.quantile(share) / 1024 / GIB * 100 for share in (0, 0.5, 0.95, 1)]

    assert (series, samples) == (175, 1132 * 288)
    assert percent == pytest.approx([5.1, 12.6, 56.8, 215], rel=0.01)


def test_used_memory_of_hyperalloc_s_guests(shared_dir: Path) -> None:
    used = {"column": "total_mib", "less": ["small_mib", "cached_mib"], "unit": "1MiB"}
    columns = {"time": "t_s", "series": "run", "user": used}
    _, samples, found = summary(shared_dir / "data/hyperalloc-bench/series.csv.gz", columns)

    assert samples == 21_486
    assert found["user"].levels.quantile(0.0) / MIB == pytest.approx(251, abs=1)
    assert found["user"].levels.quantile(1.0) / MIB >= 15_366
