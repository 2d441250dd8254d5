"""A sweep that is killed, with all its processes, at random moments, and goes on each time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tomli_w

from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.results.store import ResultStore
from tests.experiment.test_run import files
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TABLES: dict[str, Any] = {
    "name": "sweep",
    "machines": [{"label": "vm", "boot_memory": "1GiB"}],
    "policies": [{"name": "contig-zones"}, {"name": "auto-movable"}],
    "workloads": [{"name": "dimm-slots", "slots": 4, "sizes": ["512MiB"], "interval": 30, "duration": 600}],
    "sweep": [{"product": {"policies": {"auto-movable": {"ratio": [50, 100, 200, 301]}}}}],
}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("kills", "replications"), [(3, 50), pytest.param(20, 150, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_sweep_killed_again_and_again_ends_like_one_that_was_left_alone(
    tmp_path: Path, kills: int, replications: int
) -> None:
    tables = TABLES | {"replications": replications}
    cells = 5 * replications
    calm = run(load(tables), tmp_path / "calm", workers=InProcess())
    assert calm.summary() == f"{cells} of {cells} runs completed"
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps(tables))
    command = [
        sys.executable,
        "-c",
        "from sim.cli.main import main; main()",
        "run",
        str(path),
        "--out",
        str(tmp_path / "x"),
    ]
    rng = np.random.default_rng(4)
    store = ResultStore(tmp_path / "x" / "sweep")
    before: set[str] = set()
    at_work = 0

    for attempt in range(kills):
        with subprocess.Popen(
            [*command, "--workers", "2", "--no-plots"], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
        ) as running:
            # Every fourth time while it is still starting or looking for what is there, else in the midst of writing.
            if attempt % 4:
                wait_for_more_cells(store.folder, len(before))
                time.sleep(float(rng.uniform(0, 0.08)))
            else:
                time.sleep(float(rng.uniform(0, 0.8)))
            at_work += running.poll() is None
            kill_all(running)

        runs = store.runs()
        assert (runs["status"] == "completed").all()
        assert runs["cell"].is_unique
        now = set(runs["cell"])
        assert now >= before, "what was finished is lost"
        assert now == store.completed() == store.keys()
        for cell in sorted(now - before)[:10]:
            assert len(store.result(cell).events) == int(runs.loc[runs["cell"] == cell, "events"].iloc[0])
            assert len(store.series({cell})) > 0
        before = now

    assert at_work == kills, "a sweep was over before it was killed"
    assert 0 < len(before) < cells
    report = run(load(tables), tmp_path / "x", workers=InProcess())
    assert report.reused == len(before)
    assert report.summary().startswith(f"{cells} of {cells} runs completed")
    assert files(report.folder) == files(calm.folder)


def kill_all(running: subprocess.Popen[bytes]) -> None:
    """Kill ``running`` with all that it has started, and return once none is left: all of them hold its output."""
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)


def wait_for_more_cells(folder: Path, there: int) -> None:
    """Return once more than ``there`` cells are there in ``folder``, finished but for the tables."""
    deadline = time.monotonic() + 60
    while len(ResultStore(folder).completed()) <= there and time.monotonic() < deadline:
        time.sleep(0.01)
