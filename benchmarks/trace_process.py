"""A demand trace read in a process of its own, for ``bench_traces.py``: prints what it took as JSON.

python -m benchmarks.trace_process FILE
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.processes import peak_mib
from sim.traces.opening import open_trace
from sim.traces.summary import summarize
from workloads.guest_trace import GuestTrace

COLUMNS = {
    "time": "t_s",
    "series": "vm",
    "user": {"column": "use_mib", "unit": 1 << 20},
    "page_cache": {"column": "cached_mib", "unit": 1 << 20},
}


def main(file: str) -> None:
    """Describe the trace in ``file`` as the command does, then make two cells' workloads of it."""
    idle = peak_mib()
    start = time.process_time()
    trace = open_trace(Path(file), COLUMNS)
    opened = time.process_time()
    summary = summarize(trace)
    described = time.process_time()
    trace = open_trace(Path(file), COLUMNS)
    again = time.process_time()
    GuestTrace(path=file, columns=COLUMNS, series=trace.series[0])
    GuestTrace(path=file, columns=COLUMNS, series=trace.series[-1])
    told = {
        "samples": summary.samples,
        "series": summary.series,
        "idle_mib": idle,
        "peak_mib": peak_mib(),
        "opening_cpu_s": opened - start,
        "describing_cpu_s": described - opened,
        "opening_again_cpu_s": again - described,
        "two_cells_cpu_s": time.process_time() - again,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
