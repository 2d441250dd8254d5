"""Where cells run: how many are handed out, what becomes of those whose workers die, and how one is cut off."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner

import sim.experiment.executors
from sim.api import run as run_from_python
from sim.cli.main import main
from sim.experiment.choose_workers import choose_workers
from sim.experiment.executors import InProcess, LocalProcesses, WorkerDiedError, local, run_all
from sim.experiment.load import load
from sim.experiment.run import run
from sim.experiment.run_cell import CellTimeoutError, Outcome, run_cell, time_limit
from sim.results.manifest import read_manifest
from sim.results.store import ResultStore
from tests.experiment.examples import small
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sim.experiment.plan import Experiment

TINY = small(
    policies=[{"name": "contig-zones"}],
    workloads=[{"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 60}],
)


def tiny(cells: int, **changed: Any) -> Experiment:  # noqa: ANN401  whatever TOML can hold
    return load(TINY | {"replications": cells} | changed)


def numbers(outcomes: list[Outcome]) -> list[int]:
    return sorted(outcome.id.replication for outcome in outcomes)


class Scripted(concurrent.futures.Executor):
    """``count`` workers that have done the cell handed out last when asked for any; some end otherwise.

    ``ends`` maps the number of a cell (its replication) to the exception that its future ends with.
    """

    def __init__(self, count: int, ends: dict[int, Exception] | None = None) -> None:
        self.count = count
        self.ends = ends or {}
        self.handed_out: list[int] = []
        self.timeouts: set[object] = set()
        self.most_pending = 0
        self.pending: list[tuple[int, concurrent.futures.Future[Any], tuple[Any, ...]]] = []
        self._lock = threading.Lock()
        self._busy = False

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        yield self

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> concurrent.futures.Future[Any]:  # noqa: ANN401
        assert fn is run_cell
        number = args[1].replication
        self.handed_out.append(number)
        self.timeouts.add(args[3])
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        with self._lock:
            self.pending.append((number, future, args))
            self.most_pending = max(self.most_pending, len(self.pending))
            idle, self._busy = not self._busy, True
        if idle:
            threading.Timer(0.02, self.work).start()
        return future

    def work(self) -> None:
        """Finish everything that waits, the last first."""
        while True:
            with self._lock:
                if not self.pending:
                    self._busy = False
                    return
                number, future, args = self.pending.pop()
            if number in self.ends:
                future.set_exception(self.ends[number])
            else:
                row = json.dumps({"cell": args[1].key, "replication": number, "status": "completed"})
                future.set_result(Outcome(args[1], str(args[0]), row))


@pytest.mark.parametrize(("count", "most"), [(1, 1), (2, 8), (3, 12)])
def test_four_cells_are_handed_out_for_each_worker_and_all_are_told_once(count: int, most: int) -> None:
    workers = Scripted(count)

    outcomes = list(run_all(tiny(20).tasks(), "nowhere", workers, 7.0))

    assert numbers(outcomes) == sorted(workers.handed_out) == list(range(20))
    assert workers.most_pending == most
    assert workers.timeouts == {7.0}


def test_a_single_worker_tells_of_each_cell_before_it_takes_the_next() -> None:
    workers = Scripted(1)
    handed_out = [list(workers.handed_out) for _ in run_all(tiny(3).tasks(), "nowhere", workers, None)]
    assert handed_out == [[0], [0, 1], [0, 1, 2]]


def test_cells_that_were_with_a_pool_that_broke_are_run_alone_and_the_rest_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cells' futures say that the pool is broken: nobody knows which of them broke it."""
    alone: list[tuple[int, float | None]] = []

    class One(Scripted):
        def __init__(self, count: int) -> None:
            super().__init__(count, {3: concurrent.futures.BrokenExecutor()})

        def submit(self, fn: Any, /, *args: Any, **named: Any) -> concurrent.futures.Future[Any]:  # noqa: ANN401
            if fn is not run_cell:  # whether a worker starts at all
                (future := concurrent.futures.Future[Any]()).set_result(fn(*args))
                return future
            alone.append((args[1].replication, args[3]))
            return super().submit(fn, *args, **named)

    monkeypatch.setattr(sim.experiment.executors, "LocalProcesses", One)
    broken = concurrent.futures.BrokenExecutor()
    workers = Scripted(2, {1: broken, 3: broken})

    outcomes = list(run_all(tiny(6).tasks(), str(tmp_path), workers, 2.5))

    assert numbers(outcomes) == list(range(6))
    assert sorted(alone) == [(1, 2.5), (3, 2.5)]
    (failed,) = (outcome for outcome in outcomes if not outcome.completed)
    assert (failed.id.replication, failed.stage) == (3, "worker")
    assert failed.error == (
        "the worker process died; it was ended if the cell went on long after its cell_timeout of 2.5 s"
    )


@pytest.mark.parametrize("guarded", [False, True])
def test_a_script_without_a_guard_is_told_so_at_once(tmp_path: Path, *, guarded: bool) -> None:
    (tmp_path / "e.toml").write_text(tomli_w.dumps(TINY | {"replications": 8}))
    lines = ["import memhp_sim", "print('imported', flush=True)"]
    lines += ["if __name__ == '__main__':"] if guarded else ["if True:"]
    lines += ["    print(len(memhp_sim.run('e.toml', workers=2).runs()), flush=True)"]
    (tmp_path / "script.py").write_text("\n".join(lines))
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    if guarded:
        assert (ended.returncode, ended.stdout.split()[-1], ended.stderr) == (0, "8", "")
    else:
        # Once by itself, once by each of two workers, and once by one that is tried alone.
        assert (ended.returncode, ended.stdout.split().count("imported") <= 4) == (1, True)
        assert ended.stderr.count("Traceback") == 1
        assert "only below \"if __name__ == '__main__':\"" in ended.stderr.splitlines()[-1]


def test_a_cell_that_a_scheduler_gave_up_is_run_alone_in_a_process(tmp_path: Path) -> None:
    workers = Scripted(2, {1: WorkerDiedError("gone")})

    outcomes = list(run_all(tiny(3).tasks(), str(tmp_path), workers, None))

    assert numbers(outcomes) == [0, 1, 2]
    assert all(outcome.completed for outcome in outcomes)
    # Only the one that was run alone was really run.
    assert len(ResultStore(tmp_path).completed()) == 1


# Who is chosen --------------------------------------------------------------------------------------------------------


def kind(workers: object) -> tuple[str, int]:
    assert isinstance(workers, (InProcess, LocalProcesses))
    return type(workers).__name__, workers.count


def test_one_worker_is_this_process_unless_it_must_be_possible_to_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind(local(1)) == kind(choose_workers(1, None)) == ("InProcess", 1)
    assert kind(local(1, apart=True)) == kind(choose_workers(1, None, apart=True)) == ("LocalProcesses", 1)
    assert kind(choose_workers(3, None)) == ("LocalProcesses", 3)
    for cores, expected in ((1, "InProcess"), (5, "LocalProcesses")):
        monkeypatch.setattr(sim.experiment.executors, "available_cores", lambda cores=cores: cores)
        assert kind(local()) == kind(choose_workers(None, None)) == (expected, cores)
        assert kind(local(2)) == ("LocalProcesses", 2)


@pytest.mark.parametrize(("changed", "apart"), [({}, False), ({"cell_timeout": 30}, True)])
def test_cells_with_a_timeout_run_apart_whoever_starts_them(
    changed: dict[str, Any],
    apart: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[object, ...]] = []

    class NoneWanted(Exception):  # noqa: N818  what was asked is all that counts here
        pass

    def choose(count: int | None, scheduler: str | None, *, apart: bool = False) -> InProcess:
        asked.append((count, scheduler, apart))
        raise NoneWanted

    def choose_local(count: int | None = None, *, apart: bool = False) -> InProcess:
        return choose(count, None, apart=apart)

    monkeypatch.setattr("sim.experiment.choose_workers.choose_workers", choose)
    monkeypatch.setattr("sim.api.choose_workers", choose)
    monkeypatch.setattr("sim.experiment.run.local", choose_local)
    tables = TINY | changed
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(tables))

    with pytest.raises(NoneWanted):
        run(load(tables), tmp_path)
    for named in ({}, {"workers": 3}, {"scheduler": "local"}):
        with pytest.raises(NoneWanted):
            run_from_python(tables, tmp_path, **named)
    for options in ([], ["--workers", "2"], ["--scheduler", "local", "--workers", "5"]):
        result = CliRunner().invoke(main, ["run", str(path), "--out", str(tmp_path), *options])
        assert isinstance(result.exception, NoneWanted)

    assert asked == [
        (None, None, apart),
        (1, None, apart),
        (3, None, apart),
        (None, "local", apart),
        (None, None, apart),
        (2, None, apart),
        (5, "local", apart),
    ]


# Cutting off ----------------------------------------------------------------------------------------------------------


def spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.001)


def in_a_thread(body: Any) -> BaseException | None:  # noqa: ANN401  something to call
    """Return what ``body`` raised in a thread of its own, where no signals arrive."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001  a timeout is no Exception
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def too_long() -> None:
    with time_limit(0.03):
        spin(20)


def short_enough() -> None:
    with time_limit(0.05):
        spin(0.001)
    spin(0.1)


def no_limit() -> None:
    with time_limit(None):
        spin(0.001)


def test_what_takes_too_long_is_cut_off_by_signal_and_in_a_thread() -> None:
    begin = time.monotonic()
    with pytest.raises(CellTimeoutError):
        too_long()
    assert isinstance(in_a_thread(too_long), CellTimeoutError)
    assert time.monotonic() - begin < 10


def test_what_is_done_in_time_is_not_cut_off_afterwards() -> None:
    def mine(*_: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGALRM, mine)
    try:
        for body in (short_enough, no_limit):
            body()
            assert in_a_thread(body) is None
        with pytest.raises(CellTimeoutError):
            too_long()
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("place", ["sim.engine.simulate", "sim.experiment.build.workload"])
def test_the_limit_of_a_cell_holds_for_making_and_for_simulating(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, lambda *_, **__: spin(20))
    cell, identity = next(tiny(1, cell_timeout=0.25).tasks())

    outcome = run_cell(cell, identity, str(tmp_path), 0.05)

    assert outcome.stage == ("simulate" if place == "sim.engine.simulate" else "build")
    assert outcome.error == "took longer than its cell_timeout of 0.05 s"
    assert "CellTimeoutError" in outcome.row


def test_the_limit_of_the_file_is_that_of_its_cells_and_workers_are_counted(tmp_path: Path) -> None:
    experiment = tiny(2, cell_timeout=0.25)
    assert experiment.cell_timeout == 0.25
    workers = Scripted(3)
    report = run(experiment, tmp_path, workers=workers)
    assert workers.timeouts == {0.25}
    assert read_manifest(report.folder)["timings"]["workers"] == 3


def test_rows_that_no_worker_has_stored_are_stored_by_who_runs_them(tmp_path: Path) -> None:
    report = run(tiny(1).only((3, 600, 2000)), tmp_path, workers=Scripted(1))
    assert [each["replication"] for each in ResultStore(report.folder).labels()] == [3, 600, 2000]


def test_an_interrupt_while_the_server_of_workers_starts_ends_nothing_of_it() -> None:
    script = (
        "import os, signal\n"
        "from sim.experiment import executors\n"
        "context = executors._context()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('interrupted', flush=True))\n"
        "os.killpg(0, signal.SIGINT)\n"
        "process = context.Process(target=print, args=('worked',))\n"
        "process.start()\n"
        "process.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, start_new_session=True
    )
    assert (done.stdout, done.stderr) == ("interrupted\nworked\n", "")


def test_ctrl_c_while_a_process_is_started_comes_after_it_and_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(multiprocessing.active_children())
    handler = signal.getsignal(signal.SIGINT)
    started: list[int] = []
    start = multiprocessing.process.BaseProcess.start

    def interrupted(process: multiprocessing.process.BaseProcess) -> None:
        signal.raise_signal(signal.SIGINT)
        start(process)
        started.append(process.pid or 0)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), LocalProcesses(2).executor() as pool:
        pool.submit(os.getpid)
    assert len(started) == 1
    assert set(multiprocessing.active_children()) == before
    assert signal.getsignal(signal.SIGINT) is handler
