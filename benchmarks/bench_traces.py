"""A demand trace of ten million samples: it streams, in memory that does not grow with it, and is split only once.

``MEMHP_SIM_BENCH_SAMPLES`` sets another number of samples. They are of a thousand series that come in turn, with two
quantities each, as CSV packed by gzip.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks.ratios import bare_event

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = int(os.environ.get("MEMHP_SIM_BENCH_SAMPLES", "10000000"))
SERIES = 1000


def write_trace(path: Path, samples: int) -> None:
    """Write a trace of ``samples`` samples."""
    draw = np.random.default_rng(1)
    names = pa.array([f"vm{number:04}" for number in range(SERIES)])
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for start in range(0, samples, SERIES * 100):
            at = np.arange(start, min(start + SERIES * 100, samples))
            table = pa.table(
                {
                    "vm": names.take(pa.array(at % SERIES)),
                    "t_s": 300 * (at // SERIES),
                    "use_mib": draw.integers(0, 1 << 14, len(at)),
                    "cached_mib": draw.integers(0, 1 << 12, len(at)),
                }
            )
            csv.write_csv(table, stream, csv.WriteOptions(include_header=not start, quoting_style="none"))


def read(path: Path, cache: Path) -> dict[str, Any]:
    """Read the trace in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.trace_process", str(path)]
    done = subprocess.run(  # noqa: S603  this benchmark's own process
        command, cwd=ROOT, capture_output=True, check=True, env={**os.environ, "XDG_CACHE_HOME": str(cache)}
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_ten_million_samples_stream_in_bounded_memory(
    tmp_path: Path, report: Callable[[str, float, float], None]
) -> None:
    write_trace(tmp_path / "small.csv.gz", SAMPLES // 10)
    write_trace(tmp_path / "large.csv.gz", SAMPLES)
    before = bare_event()
    small = read(tmp_path / "small.csv.gz", tmp_path / "cache")
    large = read(tmp_path / "large.csv.gz", tmp_path / "cache")
    event = (before + bare_event()) / 2

    assert large["samples"] == SAMPLES
    assert large["series"] == SERIES
    millions = f"{SAMPLES / 1e6:g} million samples"
    report(f"memory for {millions}: peak, against a tenth of them", large["peak_mib"] / small["peak_mib"], 1.15)
    report(
        f"memory for {millions}: MiB beyond a process that has only started", large["peak_mib"] - large["idle_mib"], 150
    )
    report("a sample read and split by series, in bare events", large["opening_cpu_s"] / SAMPLES / event, 2)
    report("a sample described, in bare events", large["describing_cpu_s"] / SAMPLES / event, 2)
    report(
        "the trace opened again, in percent of the first time",
        100 * large["opening_again_cpu_s"] / large["opening_cpu_s"],
        1,
    )
    report(
        "two cells of it, in percent of the first opening", 100 * large["two_cells_cpu_s"] / large["opening_cpu_s"], 1
    )
