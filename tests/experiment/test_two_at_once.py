"""Two runs into one folder at the same time: one after the other, and in the end as if there had been one at a time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tomli_w

from sim.cli.main import BAD_INPUT, INTERRUPTED
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.results.store import ResultStore
from tests.experiment.test_killed import TABLES, wait_for_more_cells
from tests.experiment.test_run import files
from tests.support.lock_holder import holder
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")

CELLS = 5
"""Of one replication."""


@dataclass(frozen=True, slots=True)
class Case:
    """Two runs: of the same experiment or of ``another``; the second waits or not, the first is killed or not."""

    another: bool
    wait: bool
    killed: bool

    def __str__(self) -> str:
        words = ("another" if self.another else "the-same", "waits" if self.wait else "does-not-wait")
        return "-".join([*words, "first-killed" if self.killed else "first-left-alone"])


CASES = [Case(another, wait, killed) for another in (False, True) for wait in (False, True) for killed in (False, True)]


SMALL, LARGE = 6, 60
"""Replications."""

FEW = [CASES[number] for number in (0, 3, 5, 6)]
"""Those that are tried in the normal suite; all of them in the long one, three times each and with more runs."""


class Calm:
    """What undisturbed runs leave, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[tuple[int, bool], dict[str, bytes]] = {}

    def __call__(self, replications: int, *, another: bool) -> dict[str, bytes]:
        key = replications, another
        if key not in self._found:
            report = run(load(tables(replications, another=another)), self._folder / str(key), workers=InProcess())
            assert report.summary() == f"{CELLS * replications} of {CELLS * replications} runs completed"
            self._found[key] = files(report.folder)
        return self._found[key]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    return Calm(tmp_path_factory.mktemp("calm"))


def tables(replications: int, *, another: bool) -> dict[str, Any]:
    """Return an experiment, or another one of the same name."""
    changed: dict[str, Any] = {"seed": 7} if another else {}
    return TABLES | {"replications": replications} | changed


def command(path: Path, *more: str) -> list[str]:
    start = "from sim.cli.main import main; main()"
    return [sys.executable, "-c", start, "run", str(path), "--out", str(path.parent / "x"), "--no-plots", *more]


def started(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.parametrize("case", FEW, ids=str)
def test_the_results_are_those_of_runs_one_after_the_other(tmp_path: Path, calm: Calm, case: Case) -> None:
    pair_after_pair(tmp_path, calm, case, SMALL, 1)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_so_they_are_however_often_it_is_tried(tmp_path: Path, calm: Calm, case: Case) -> None:
    pair_after_pair(tmp_path, calm, case, LARGE, 3)


def pair_after_pair(tmp_path: Path, calm: Calm, case: Case, replications: int, pairs: int) -> None:
    rng = np.random.default_rng([replications, CASES.index(case)])
    cells = CELLS * replications
    paths = [tmp_path / "first.toml", tmp_path / "second.toml"]
    for path, another in zip(paths, (False, case.another), strict=True):
        path.write_text(tomli_w.dumps(tables(replications, another=another) | {"name": "sweep"}))
    for _ in range(pairs):
        first = started(command(paths[0], "--force", "--workers", "1"))
        store = ResultStore(tmp_path / "x" / "sweep")
        deadline = time.monotonic() + 60
        while not (store.folder / ".in-use").is_file() and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0, 0.3)))
        second = started(command(paths[1], "--workers", "2", *(["--wait"] if case.wait else [])))
        if case.killed:
            time.sleep(float(rng.uniform(0, 1.5)))
            before = ResultStore(store.folder).completed() if not case.another else set()
            os.killpg(first.pid, signal.SIGKILL)
        out, err = second.communicate(timeout=120)
        first_out, first_err = first.communicate(timeout=120)

        assert "Traceback" not in out + err + first_err
        assert second.returncode == (0 if case.wait or "at work" not in err else BAD_INPUT), err
        if not case.killed or first.returncode == 0:
            assert first.returncode == 0, first_err
            assert f"{cells} of {cells} runs completed" in first_out
        if second.returncode == 0:
            assert f"{cells} of {cells} runs completed" in out
            last = case.another
        else:
            assert re.search(rf"at work in it \(process {first.pid} on \S+, since \d\d:\d\d\); wait with --wait", err)
            last = False
        if case.killed and not case.another:
            assert store.completed() >= before, "what was finished is lost"
        if second.returncode != 0 and first.returncode != 0:
            again = subprocess.run(command(paths[0]), cwd=ROOT, text=True, capture_output=True, check=True)
            assert f"{cells} of {cells} runs completed" in again.stdout
        assert files(store.folder) == calm(replications, another=last)


def test_ctrl_c_ends_the_waiting_quietly(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps(tables(1, another=False)))
    folder = tmp_path / "x" / "sweep"
    folder.mkdir(parents=True)
    with holder(folder) as other, started(command(path, "--wait", "--workers", "1")) as waiting:
        assert waiting.stderr is not None
        told = waiting.stderr.readline()
        assert told.startswith(f"Waiting for process {other.pid} on ")
        time.sleep(0.3)  # an interrupt while the line is on its way has it written twice
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out, err) == (INTERRUPTED, "", "Interrupted.\n")
    assert [each.name for each in folder.iterdir()] == [".in-use"], "nothing was written"


def test_a_run_without_a_waiter_writes_nothing_where_another_is_at_work(tmp_path: Path) -> None:
    report = run(load(tables(2, another=False)), tmp_path / "x", workers=InProcess())
    before = files(report.folder)
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps(tables(3, another=True)))
    with holder(report.folder) as other:
        done = subprocess.run(command(path), cwd=ROOT, text=True, capture_output=True, check=False)
        assert done.returncode == BAD_INPUT
        assert f"(process {other.pid} on " in done.stderr
    (report.folder / ".in-use").unlink()
    assert files(report.folder) == before


def test_workers_of_a_killed_run_do_not_keep_the_next_one_out(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(tomli_w.dumps(tables(15, another=False)))
    first = started(command(path, "--workers", "2"))
    wait_for_more_cells(tmp_path / "x" / "sweep", 0)
    first.kill()  # not its workers
    second = started(command(path, "--workers", "2"))
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert "75 of 75 runs completed" in out
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=60)
