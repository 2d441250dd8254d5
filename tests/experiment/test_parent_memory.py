"""What the process that runs an experiment remembers of its cells: nothing, however many there are."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import sys
from typing import TYPE_CHECKING, Any

from sim.experiment.load import load
from sim.experiment.run import run
from sim.experiment.run_cell import Outcome
from sim.results.failure import Failure, Stage
from sim.results.frames import failure_row
from sim.results.identity import CellId
from tests.experiment.examples import small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

WAITING = 100
FEW, MANY = 1100, 3100
"""Cells. With the few of them there are more failures already than a report keeps."""


class Pretending(concurrent.futures.Executor):
    """Has an outcome for every cell at once, so that nothing but the parent's own work is left.

    Notes the most blocks of memory that Python objects took at any cell. Blocks and not bytes: what is kept for a cell
    is at least one block, while a dictionary of the whole process that happens to grow just then (that of interned
    strings, to which every path adds, takes megabytes after other tests) is one block, too.
    """

    count = 2

    def __init__(self) -> None:
        self.most = 0

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        yield self

    def submit(self, fn: object, /, *args: Any, **_: Any) -> concurrent.futures.Future[Any]:  # noqa: ANN401
        cell, identity = args[:2]
        assert isinstance(identity, CellId)
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        row = failure_row(identity, Failure(Stage.SIMULATE, "pretended"))
        future.set_result(Outcome(identity, str(cell), row, Stage.SIMULATE, "pretended", {"cpu_s": 1.0}))
        self.most = max(self.most, sys.getallocatedblocks())
        return future


def peak(cells: int, folder: Path) -> int:
    """Return the most blocks of memory that came on top while an experiment of so many cells ran."""
    tables = small(replications=cells)
    del tables["policies"][1:], tables["workloads"][1:]
    experiment = load(tables)
    workers = Pretending()
    gc.collect()  # what earlier tests have left must not go meanwhile
    before = sys.getallocatedblocks()
    report = run(experiment, folder, workers=workers)
    assert report.failures == cells
    return workers.most - before


def test_two_thousand_cells_more_take_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Times are written when there are that many.
    monkeypatch.setattr("sim.experiment.run.MOST_WAITING", WAITING)
    peak(2, tmp_path / "first")  # whatever is imported and cached at the first run
    few = peak(FEW, tmp_path / "few")
    many = peak(MANY, tmp_path / "many")

    assert few > 1000  # the failures that are kept: what is kept shows
    assert many - few < (MANY - FEW) / 4  # a single object for each cell would be four times that
