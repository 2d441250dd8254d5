"""Short cells are handed to workers together: how many, that all is as before, and who is run alone where one dies."""

from __future__ import annotations

import concurrent.futures
import contextlib
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import sim.experiment.executors
from sim.experiment.batches import MOST_TOGETHER, Lengths, run_batch
from sim.experiment.executors import InProcess, LocalProcesses, run_all
from sim.experiment.load import load
from sim.experiment.run_cell import Outcome, run_cell
from sim.results.store import ResultStore
from tests.experiment.examples import small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sim.experiment.plan import Experiment

CELLS = 60


def tiny(**changed: Any) -> Experiment:  # noqa: ANN401  whatever TOML can hold
    workloads = [{"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 60}]
    return load(small(policies=[{"name": "contig-zones"}], workloads=workloads) | {"replications": CELLS} | changed)


class Elsewhere(LocalProcesses, concurrent.futures.Executor):
    """Two workers that are this process, to which everything crosses as to others; ``dies`` at some replication."""

    def __init__(self, dies: int | None = None) -> None:
        super().__init__(2)
        self.dies = dies
        self.together: list[int] = []

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        yield self

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> concurrent.futures.Future[Any]:  # noqa: ANN401
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        cells = [each[2] for each in args[0]] if fn is run_batch else [args[1].replication]
        self.together.append(len(cells))
        if self.dies in cells:
            future.set_exception(concurrent.futures.BrokenExecutor())
        else:
            future.set_result(pickle.loads(pickle.dumps(fn(*pickle.loads(pickle.dumps(args))))))  # noqa: S301
        return future


def outcome(cpu_s: float | None) -> Outcome:
    _, identity = next(tiny().tasks())
    return Outcome(identity, "", "", times={} if cpu_s is None else {"cpu_s": cpu_s})


@pytest.mark.parametrize(("cpu_s", "together"), [(None, 1), (5.0, 1), (0.06, 1), (0.02, 5), (0.0, MOST_TOGETHER)])
def test_as_many_are_handed_over_together_as_take_a_moment(cpu_s: float | None, together: int) -> None:
    lengths = Lengths()
    for _ in range(3):
        lengths.note(outcome(cpu_s))
    assert lengths.together() == together


def test_what_is_handed_over_together_leaves_what_each_would_by_itself(tmp_path: Path) -> None:
    workers = Elsewhere()
    together = list(run_all(tiny().tasks(), str(tmp_path / "a"), workers, None, kept=50))
    single = list(run_all(tiny().tasks(), str(tmp_path / "b"), InProcess(), None, kept=50))

    assert workers.together[:8] == [1] * 8
    assert max(workers.together) == MOST_TOGETHER
    assert sum(workers.together) == CELLS

    def told(outcomes: list[Outcome]) -> list[Outcome]:
        ordered = sorted(outcomes, key=lambda each: each.id.replication)
        return [replace(each, times=dict.fromkeys(each.times, 0.0)) for each in ordered]

    assert told(together) == told(single)
    stores = [ResultStore(tmp_path / name) for name in "ab"]
    assert stores[0].events().equals(stores[1].events())
    assert 40 < stores[0].events()["replication"].max() < 50


def test_cells_with_a_limit_are_handed_over_one_by_one(tmp_path: Path) -> None:
    workers = Elsewhere()
    assert len(list(run_all(tiny().tasks(), str(tmp_path), workers, 30.0))) == CELLS
    assert workers.together == [1] * CELLS


def test_all_that_were_together_with_one_that_dies_are_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[int] = []

    def noted(cell: Any, *rest: Any) -> Outcome:  # noqa: ANN401
        alone.append(cell.replication)
        return run_cell(cell, *rest)

    monkeypatch.setattr(sim.experiment.executors, "_run_alone", lambda task, folder, *_: noted(*task, folder, None))
    monkeypatch.setattr(sim.experiment.executors, "_see_that_workers_start", lambda: None)
    workers = Elsewhere(dies=30)

    def twice() -> Iterator[Any]:
        for task in tiny().tasks():
            workers.dies = None if 30 in alone else 30
            yield task

    outcomes = list(run_all(twice(), str(tmp_path), workers, None))

    assert sorted(each.id.replication for each in outcomes) == list(range(CELLS))
    assert 30 in alone
    assert len(alone) > 1
