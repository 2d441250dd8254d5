"""What the process that runs an experiment remembers of its cells: nothing, however many there are."""

from __future__ import annotations

import concurrent.futures
import contextlib
import tracemalloc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sim.experiment.load import load
from sim.experiment.run import run
from sim.experiment.run_cell import Outcome
from sim.results import rows
from sim.results.frames import failure_row
from sim.results.identity import CellId, Failure
from tests.experiment.examples import small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


class Pretending(concurrent.futures.Executor):
    """Has an outcome for every cell at once, so that nothing but the parent's own work is left."""

    count = 2

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        yield self

    def submit(self, fn: object, /, *args: Any, **_: Any) -> concurrent.futures.Future[Any]:  # noqa: ANN401
        cell, identity = args[:2]
        assert isinstance(identity, CellId)
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        row = failure_row(identity, Failure("simulate", "pretended"))
        future.set_result(Outcome(identity, str(cell), row, "simulate", "pretended", {"cpu_s": 1.0}))
        return future


def peak(replications: int, folder: Path) -> int:
    """Return the most bytes that Python objects took while an experiment of four cells a replication ran."""
    experiment = load(small(replications=replications))
    tracemalloc.start()
    try:
        report = run(experiment, folder, workers=Pretending())
        assert report.failures == 4 * replications
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_five_times_the_cells_take_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Rows are written by their number only, or what waits would depend on how busy the machine is.
    monkeypatch.setattr(rows, "_MOST_WAITING", 500)
    monkeypatch.setattr(rows, "time", SimpleNamespace(monotonic=lambda: 0.0))
    peak(300, tmp_path / "first")  # whatever is imported and cached at the first run
    few = peak(300, tmp_path / "few")  # more than failures are kept
    many = peak(1500, tmp_path / "many")

    assert many < 2 * few  # it would be five times, were anything kept for each cell
