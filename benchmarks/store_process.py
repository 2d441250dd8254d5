"""Events read from results in a process of its own, for ``bench_store.py``: prints what it took as JSON.

python -m benchmarks.store_process FOLDER HOW WANTED: how is events or parts, what is wanted of them is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.processes import peak_mib
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd


def main(folder: str, how: str, wanted: str) -> None:
    """Read, and print."""
    import pyarrow.dataset  # noqa: F401  what is imported is no cost of reading

    store = ResultStore(folder)
    asked = json.loads(wanted)
    idle, start = peak_mib(), time.process_time()
    found: Iterable[pd.DataFrame] = [store.events(**asked)] if how == "events" else store.parts("events", **asked)
    rows = sum(len(part) for part in found)
    sys.stdout.write(json.dumps({"rows": rows, "cpu_s": time.process_time() - start, "mib": peak_mib() - idle}))


if __name__ == "__main__":
    main(*sys.argv[1:])
