"""Running one cell, in whatever process: make everything from the cell's plain data, simulate, write the results.

Nothing that a cell does wrong leaves this module: it becomes a row that says at which stage what went wrong.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import threading
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.experiment.interrupts import noticed
from sim.faults import Unwinding, text_of
from sim.results.failure import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from sim.experiment.plan import Cell
    from sim.record.run_result import RunResult
    from sim.results.failure import Failure
    from sim.results.identity import CellId

GRACE: Final = 1.0
"""Seconds that a worker process gets beyond a cell's time before it is ended, if it will not be interrupted."""


class CellTimeoutError(Unwinding):
    """A cell took longer than allowed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the cell ``id``, called ``cell`` for people. ``stage`` says where it failed, ``error`` why.

    ``row`` is its row of the table ``runs`` as JSON, which is ``stored`` already or yet to be; ``times`` are those of
    its row of ``timings``. ``cut_off``: it took longer than it may.
    """

    id: CellId
    cell: str
    row: str
    stage: Stage = Stage.COMPLETED
    error: str = ""
    times: Mapping[str, float] = field(default_factory=dict)
    stored: bool = False
    cut_off: bool = False

    @property
    def completed(self) -> bool:
        """Whether the cell's results are there."""
        return self.stage is Stage.COMPLETED


def run_for_row(cell: Cell, identity: CellId, folder: str | None, timeout: float | None) -> Outcome:
    """Run ``cell`` as :func:`run_cell` does, but keep only its row of ``runs``."""
    return run_cell(cell, identity, folder, timeout, tables=False)


def run_cell(
    cell: Cell, identity: CellId, folder: str | None, timeout: float | None, *, tables: bool = True
) -> Outcome:
    """Run ``cell`` and write its results into the store in ``folder`` (None: nowhere); a failure leaves none.

    Without ``tables`` its row of ``runs`` is all that is written. ``timeout`` is the real time in seconds that making
    and simulating may take. KeyboardInterrupt passes through where a person or a signal wants that, and OSError where
    the disk is full.
    """
    import sim.engine
    import sim.experiment.build  # noqa: F401  imported here, the first cell's time is not spent on it
    from sim.record.events import Events
    from sim.record.series import run_series
    from sim.results.atomic import no_room
    from sim.results.cells import write_cell
    from sim.results.failure import Failure
    from sim.scores.registry import compute_scores

    times = _Stopwatch()
    progress = _Progress()
    cut_off = False
    with noticed() as came:
        try:
            with time_limit(timeout):
                result = _simulate(cell, progress)
            progress.stage = Stage.SCORE
            events = Events.of(result.events)
            series = run_series(result, events)
            scores = compute_scores(result, series, events)
            times.simulated()
            progress.stage = Stage.STORE
            row = ""
            if folder is not None:
                row = write_cell(Path(folder), identity, result, series, scores, progress.recording, tables=tables)
        except CellTimeoutError as error:
            cut_off = True
            message = f"took longer than its cell_timeout of {timeout:g} s"
            failure = Failure(progress.stage, message, _traceback(error))
        except BaseException as error:  # whatever a policy or workload does
            if progress.stage is Stage.STORE and no_room(error):
                raise  # no other cell could be stored either
            if came:
                raise KeyboardInterrupt from error  # a person's, whatever a plug-in has made of it
            failure = Failure(progress.stage_of(error), in_one_line(error), _traceback(error))
        else:
            return Outcome(identity, str(cell), row, times=times.read(), stored=True)
    outcome = failed(cell, identity, folder, failure, times.read(), progress.recording)
    return replace(outcome, cut_off=cut_off)


def failed(
    cell: Cell,
    identity: CellId,
    folder: str | None,
    failure: Failure,
    times: Mapping[str, float] | None = None,
    recording: str | None = None,
) -> Outcome:
    """Return the outcome of a cell that failed, written in the place of what an earlier attempt may have left of it.

    Nothing is written where ``folder`` is None.
    """
    from sim.results.cells import write_row
    from sim.results.frames import failure_row

    row = failure_row(identity, failure, recording)
    stored = False
    with contextlib.suppress(OSError):  # what cannot be written may be why it failed; the outcome says so
        if folder is not None:
            write_row(Path(folder), identity, row, completed=False)
            stored = True
    name = str(cell) if recording is None else f"{cell} ({recording})"
    return Outcome(identity, name, row, failure.stage, failure.error, times or {}, stored)


class _Stopwatch:
    """The real time that a cell takes, and the CPU time of the thread that it runs in."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.thread_time()
        self._simulation: float | None = None

    def simulated(self) -> None:
        """Note that from now on it is about writing."""
        self._simulation = time.thread_time() - self._cpu

    def read(self) -> dict[str, float]:
        """Return the times so far as columns of ``timings``."""
        cpu = time.thread_time() - self._cpu
        simulation = cpu if self._simulation is None else self._simulation
        return {"wall_s": time.perf_counter() - self._wall, "cpu_s": cpu, "simulation_cpu_s": simulation}


class _Progress:
    """What is being done, so that a failure can be put to it."""

    def __init__(self) -> None:
        self.stage = Stage.BUILD
        self.recording: str | None = None
        """What the cell's workload plays, once that is known."""

    def stage_of(self, error: BaseException) -> Stage:
        """Return the stage that ``error`` belongs to: what plug-ins do wrong is theirs."""
        from sim.engine import WorkloadError
        from sim.kernel.policy_answers import PolicyError

        if isinstance(error, PolicyError):
            return Stage.POLICY
        return Stage.WORKLOAD if isinstance(error, WorkloadError) else self.stage


def _simulate(cell: Cell, progress: _Progress) -> RunResult:
    from sim.experiment import build

    asks = build.played(cell)
    progress.recording = asks.recording()
    run = build.simulation(cell, asks=asks)
    progress.stage = Stage.SIMULATE
    return run()


def in_one_line(error: BaseException) -> str:
    """Return what a person wants to know of ``error``; a policy's or workload's tells its kind itself."""
    from sim.engine import WorkloadError
    from sim.kernel.policy_answers import PolicyError

    tells_its_kind = isinstance(error, (PolicyError, WorkloadError))
    told = str(error) if tells_its_kind else f"{type(error).__name__}: {text_of(error)}"
    return _as_text(" ".join(told.split()))


def _traceback(error: BaseException) -> str:
    try:
        return _as_text("".join(traceback.format_exception(error)))
    except Exception:  # noqa: BLE001  where memory is short, it may not be had; nor may what an error says of itself
        return ""


def _as_text(told: str) -> str:
    """Return what can be stored: characters that no encoding has are written as their numbers."""
    return told.encode(errors="backslashreplace").decode()


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise CellTimeoutError in the body once ``seconds`` of real time have passed."""
    if seconds is None:
        yield
        return
    stop = _interrupt_by_signal if _can_use_signals() else _interrupt_thread
    cancel = stop(seconds)
    if in_worker_process():
        # A body that catches even this, or hangs in C, takes its process with it; the parent sees that and goes on.
        faulthandler.dump_traceback_later(2 * seconds + GRACE, exit=True, file=_nowhere())
    try:
        yield
    finally:
        cancel()
        if in_worker_process():
            faulthandler.cancel_dump_traceback_later()


def _can_use_signals() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def _interrupt_by_signal(seconds: float) -> Callable[[], object]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise CellTimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    return cancel


def _interrupt_thread(seconds: float) -> Callable[[], object]:
    """Interrupt the calling thread where it cannot take signals: a worker that runs its tasks in threads."""
    thread = threading.get_ident()

    def interrupt() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(CellTimeoutError))

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    return timer.cancel


def start_worker() -> None:
    """Prepare a worker process: Ctrl-C is the parent's business, and a worker does not outlive its parent."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.join,), daemon=True).start()


def in_worker_process() -> bool:
    """Whether this process is one that was started to run cells."""
    import multiprocessing

    return multiprocessing.parent_process() is not None


def _leave_with(wait: Callable[[], object]) -> None:
    wait()
    os._exit(1)


_sinks: list[int] = []


def _nowhere() -> int:
    """Return a file descriptor that forgets what is written to it."""
    if not _sinks:
        _sinks.append(os.open(os.devnull, os.O_WRONLY))
    return _sinks[0]
