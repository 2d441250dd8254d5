"""A whole cell, from its settings to its files: what one block costs, and how long a busy year takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.ratios import against_bare, timed
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.record.recorder import EventKind
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sim.experiment.plan import Experiment

DAY = 86_400
HANDLED = (EventKind.PLUG, EventKind.UNPLUG)


def resized_every_five_minutes(days: int, guest: str, **workload: Any) -> Experiment:  # noqa: ANN401  any parameter
    """Return a virtual machine of 4 GiB whose virtio-mem device goes up and down by 1 GiB every 300 seconds."""
    resize = {"name": "virtio-mem-resize", "shape": "triangle", "maximum": "16GiB", "step": "1GiB", "interval": 300}
    return load(
        {
            "name": "resized",
            "machines": [{"boot_memory": "4GiB"}],
            "policies": [{"name": "auto-movable"}],
            "workloads": [{**resize, "duration": days * DAY, **workload}],
            "guest": {"model": guest},
        }
    )


def test_a_block_costs_at_most_seven_bare_events_from_settings_to_files(
    tmp_path: Path, report: Callable[[str, float, float], None]
) -> None:
    """Everything that ``run`` does is counted: requests, decisions, record, series, scores, Parquet files, manifest."""
    # As a block comes and goes alone on its way to a larger size, requests are few beside the blocks.
    experiment = resized_every_five_minutes(60, "none", step="16GiB")
    run(experiment, tmp_path, workers=InProcess())  # what is imported first is no cost of a block
    events = ResultStore(tmp_path / "resized").events()
    blocks = int(events.loc[events["kind"].isin(HANDLED), "count"].sum())
    assert blocks > 100_000
    assert (events.loc[events["kind"].isin(HANDLED), "count"] == 1).all(), "blocks come one by one"

    def cost() -> float:
        return timed(lambda: run(experiment, tmp_path, workers=InProcess(), force=True)) / blocks

    report("one block, from settings to files, in bare SimPy events", against_bare(cost, rounds=5), 7)


@pytest.mark.parametrize("guest", ["none", "linux"])
def test_a_year_of_resizing_every_five_minutes_takes_under_a_minute(
    guest: str, tmp_path: Path, report: Callable[[str, float, float], None]
) -> None:
    start = time.process_time()
    done = run(resized_every_five_minutes(365, guest), tmp_path, workers=InProcess())
    seconds = time.process_time() - start

    assert done.summary() == "1 of 1 runs completed"
    events = ResultStore(done.folder).events()
    resizes = int((events["kind"] == EventKind.REQUEST).sum())
    assert 105_000 <= resizes <= 105_200
    report(f"CPU seconds of a year with {resizes} resizes, guest {guest}", seconds, 60)
