"""What a cell's run asks of its host: run again for it, which gives the same run, because everything is seeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.experiment import build
from sim.experiment.again import cell_again, check_same
from sim.machine.cold_devices import devices_at_first
from workloads.parts.requests.recording import Recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.experiment.plan import Cell
    from sim.record.run_result import RunResult
    from sim.results.store import ResultStore
    from workloads.parts.requests.request import Request


def record(cell: Cell) -> tuple[RunResult, Sequence[Request]]:
    """Run ``cell`` and return its run with the rows of its log of requests. Raises what building and running raises."""
    listened = Recorded(build.played(cell), devices_at_first(cell.combination.machine.spec))
    result = build.simulation(cell, asks=listened)()
    return result, listened.log


def requests_of(store: ResultStore, key: str) -> Sequence[Request]:
    """Return the log of requests of the completed cell ``key``, which is run again for it.

    Raises KeyError if there is no such cell, and InputError where it does not come out as it is stored.
    """
    stored = store.result(key)
    result, requests = record(cell_again(store, key))
    check_same(store, stored, result)
    return requests
