"""What a request for one block costs, and one block of a large request: whole cells, from their settings to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.ratios import against_bare, timed
from benchmarks.runs import resized
from sim.experiment.executors import InProcess
from sim.experiment.run import run
from sim.experiment.run_cell import run_cell
from sim.record.recorder import EventKind
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HANDLED = (EventKind.PLUG, EventKind.UNPLUG)


def by_request(guest: str, folder: Path) -> float:
    """Return what a request of one block costs in bare events: a cell as a worker runs it, by ``run_cell``."""
    experiment = resized(60, guest, step="128MiB")
    [(cell, identity)] = experiment.tasks()
    store = folder / experiment.name
    run(experiment, folder, workers=InProcess())  # what is imported first is no cost of a request
    requests = int((ResultStore(store).events()["kind"] == EventKind.REQUEST).sum())
    assert 17_000 < requests < 17_300

    def cost() -> float:
        return timed(lambda: run_cell(cell, identity, str(store), None)) / requests

    return against_bare(cost, rounds=5)


def test_one_block_request_without_guest(tmp_path: Path, goal: Callable[[float], None]) -> None:
    goal(by_request("none", tmp_path))


def test_one_block_request_with_guest(tmp_path: Path, goal: Callable[[float], None]) -> None:
    goal(by_request("linux", tmp_path))


def by_block(guest: str, folder: Path) -> float:
    """Return what a block costs that comes and goes with 127 others: an experiment, by ``run``, manifest included."""
    experiment = resized(3, guest, step="16GiB")
    run(experiment, folder, workers=InProcess())
    events = ResultStore(folder / experiment.name).events()
    blocks = int(events.loc[events["kind"].isin(HANDLED), "count"].sum())
    assert blocks > 100_000

    def cost() -> float:
        return timed(lambda: run(experiment, folder, workers=InProcess(), force=True)) / blocks

    return against_bare(cost, rounds=3)


def test_one_block_of_many_without_guest(tmp_path: Path, goal: Callable[[float], None]) -> None:
    goal(by_block("none", tmp_path))


def test_one_block_of_many_with_guest(tmp_path: Path, goal: Callable[[float], None]) -> None:
    goal(by_block("linux", tmp_path))
