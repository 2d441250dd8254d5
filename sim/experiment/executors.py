"""Where cells run: in this process, in local processes, or in anything else that is a ``concurrent.futures`` executor.

Workers write their own results, so that nothing but outcomes of a few hundred bytes comes back.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.spawn
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sim.experiment.batches import Lengths, Packer, how, outcomes
from sim.experiment.interrupts import ENDING
from sim.experiment.run_cell import failed, start_worker
from sim.faults import MemhpSimError
from sim.results.failure import Failure, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sim.experiment.plan import Cell
    from sim.experiment.run_cell import Outcome
    from sim.results.identity import CellId

    Task = tuple[Cell, CellId]

_NEEDED: Final = (
    "numpy.random",
    "pyarrow",
    "sim.engine",
    "sim.experiment.batches",
    "sim.experiment.build",
    "sim.experiment.plan",
    "sim.experiment.recommend_table",
    "sim.experiment.run_cell",
    "sim.machine.spec",
    "sim.plugins.parameter_addresses",
    "sim.results.cells",
    "workloads.contract",
)
"""What every worker needs sooner or later: imported once by the server that workers are made from."""

_Result = TypeVar("_Result")
_QUIETLY: Final = "ignore:resource_tracker:UserWarning"
_AHEAD: Final = 4
"""Times that cells are handed out for each worker before any is done: enough that none waits, few enough that memory
does not grow with the plan."""


class WorkerDiedError(MemhpSimError):
    """The process that a cell was handed to is gone, and so are those that it was given to afterwards."""


class WorkersDoNotStartError(MemhpSimError, ChildProcessError):
    """No process that is started to run cells gets as far as its first one."""


class Workers(Protocol):
    """A way to run cells: how many at a time, and the executor that does it."""

    @property
    def count(self) -> int:
        """Cells that can run at a time."""

    def executor(self) -> contextlib.AbstractContextManager[concurrent.futures.Executor]:
        """Return the executor, ready for work; leaving the context ends it."""


class InProcess:
    """Runs one cell after the other in this process."""

    count = 1

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        """Return an executor that has done the work when ``submit`` returns."""
        yield _Immediate()


class _Immediate(concurrent.futures.Executor):
    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[_Result]:  # noqa: ANN401
        future: concurrent.futures.Future[_Result] = concurrent.futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


class LocalProcesses:
    """Runs cells in ``count`` processes of this machine.

    They are started afresh (forkserver, or spawn where there is none), never forked from a process with threads.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"at least one worker is needed, not {count}")
        self.count = count

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        """Return a pool of processes, started by the first task. An exception, such as Ctrl-C, ends them at once."""
        end_in_a_script_without_guard()
        before = set(multiprocessing.active_children())
        pool = _StartedLate(self.count)
        try:
            yield pool
        except BaseException:
            for worker in set(multiprocessing.active_children()) - before:
                worker.terminate()
            # Waited for: else Python, where it ends meanwhile, writes to what the pool's thread is just closing.
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


class _StartedLate(concurrent.futures.Executor):
    """A pool of ``count`` processes that costs nothing, not the server that starts them either, until it has work."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[_Result]:  # noqa: ANN401
        with _interrupted_afterwards():
            if self._pool is None:
                self._pool = concurrent.futures.ProcessPoolExecutor(
                    self._count, mp_context=_context(), initializer=start_worker
                )
            return self._pool.submit(fn, *args, **kwargs)

    @property
    def _broken(self) -> object:
        """Whether a process has died, as the pool itself says it: then there are no others in it."""
        return getattr(self._pool, "_broken", False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  as it is there
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)


@contextlib.contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Let Ctrl-C and its like wait for the end of the body: in between a process may be there that nobody ends yet."""
    if threading.current_thread() is not threading.main_thread():  # nobody else may set what signals do
        yield
        return
    came: list[int] = []
    handlers = {each: signal.getsignal(each) for each in ENDING}
    handlers = {each: handler for each, handler in handlers.items() if handler is not signal.SIG_IGN}
    for each in handlers:
        signal.signal(each, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


def local(count: int | None = None, *, apart: bool = False) -> Workers:
    """Return ``count`` local workers (as many as this process may use cores where None).

    A single one works in this process, unless it shall work ``apart``, so that it can be ended.
    """
    count = available_cores() if count is None else count
    return InProcess() if count == 1 and not apart else LocalProcesses(count)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    tasks: Iterable[Task | None], folder: str | None, workers: Workers, timeout: float | None, kept: int | None = None
) -> Iterator[Outcome]:
    """Run all ``tasks`` (cells with their identities) with results in ``folder``; yield outcomes as they come.

    Without a folder nothing is written; of replications from ``kept`` on (None: of none), only the row of ``runs``.
    A cell whose worker process dies is run once more by itself; if the process dies again, that is the cell's failure.
    ``tasks`` may yield None while cells that were handed out decide what is next; it is asked again after the next
    outcome.
    """
    waiting = iter(tasks)
    while True:
        suspects: list[Task] = []
        yield from _run_until_broken(waiting, suspects, folder, workers, timeout, kept)
        if not suspects:
            return
        _see_that_workers_start()
        for task in suspects:
            yield _run_alone(task, folder, timeout, kept)


def _see_that_workers_start() -> None:
    """Raise WorkersDoNotStartError where a worker dies before it has anything to do: so would one for every cell."""
    try:
        with LocalProcesses(1).executor() as executor:
            executor.submit(os.getpid).result()
    except concurrent.futures.BrokenExecutor:
        raise WorkersDoNotStartError(
            "the worker processes end while they start. Each imports the script that started it, so a script may run "
            "anything on several workers only below \"if __name__ == '__main__':\"; where it does, what went wrong "
            "stands above"
        ) from None


def end_in_a_script_without_guard() -> None:
    """End a worker in which the script that it has to import would start workers of its own, and those again.

    Quietly: the process that it works for says what is wrong.
    """
    try:
        multiprocessing.spawn.get_preparation_data("")
    except RuntimeError:
        raise SystemExit(1) from None


def _run_until_broken(
    waiting: Iterator[Task | None],
    suspects: list[Task],
    folder: str | None,
    workers: Workers,
    timeout: float | None,
    kept: int | None,
) -> Iterator[Outcome]:
    """Run tasks until there are none or a worker dies; then ``suspects`` gets those that were handed out."""
    pending: dict[concurrent.futures.Future[Any], list[Task]] = {}
    lengths = Lengths()
    # One that may have to be ended takes no others with it, and a single worker's outcomes are told one by one.
    together = isinstance(workers, LocalProcesses) and workers.count > 1 and timeout is None
    with workers.executor() as executor:
        packer = Packer()
        exhausted = False
        while True:
            while not exhausted and not suspects and len(pending) < _AHEAD * workers.count:
                some, exhausted = _next_of(waiting, lengths.together() if together else 1)
                if not some:
                    break
                try:
                    pending[packer.submit(executor, some, folder, timeout, kept)] = some
                except concurrent.futures.BrokenExecutor:
                    suspects += some
                if workers.count == 1:
                    break
            if not pending:
                return
            done, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                for outcome in _outcomes(future, pending.pop(future), suspects, folder, timeout, kept):
                    lengths.note(outcome)
                    yield outcome


def _next_of(waiting: Iterator[Task | None], most: int) -> tuple[list[Task], bool]:
    """Return up to ``most`` tasks that need not wait for others to be done, and whether there are no more."""
    some: list[Task] = []
    for task in waiting:
        if task is None:
            return some, False
        some.append(task)
        if len(some) == most:
            return some, False
    return some, True


def _outcomes(
    future: concurrent.futures.Future[Any],
    tasks: list[Task],
    suspects: list[Task],
    folder: str | None,
    timeout: float | None,
    kept: int | None,
) -> Iterator[Outcome]:
    """Yield what became of ``tasks``; nothing where the pool broke, which makes them ``suspects``."""
    try:
        told = future.result()
    except concurrent.futures.BrokenExecutor:
        suspects += tasks
    except WorkerDiedError:
        # They may only have been handed to the same workers as the one that ended them.
        for task in tasks:
            yield _run_alone(task, folder, timeout, kept)
    else:
        yield from outcomes(tasks, told)


def _run_alone(task: Task, folder: str | None, timeout: float | None, kept: int | None) -> Outcome:
    cell, identity = task
    try:
        with LocalProcesses(1).executor() as executor:
            return executor.submit(how(task, kept), cell, identity, folder, timeout).result()
    except concurrent.futures.BrokenExecutor:
        error = "the worker process died"
        if timeout is not None:
            error += f"; it was ended if the cell went on long after its cell_timeout of {timeout:g} s"
        return failed(cell, identity, folder, Failure(Stage.WORKER, error))


def _context() -> multiprocessing.context.BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_NEEDED))
    if threading.current_thread() is threading.main_thread():  # nobody else may set what signals do
        # Ctrl-C and a closed terminal reach the whole group: a server that ignores them from its start on does not end
        # with a traceback, nor does whoever removes what is left.
        before = {each: signal.signal(each, signal.SIG_IGN) for each in ENDING if each is not signal.SIGTERM}
        # Whoever removes what a killed process leaves is started with it, and shall not tell the terminal of it.
        sys.warnoptions.append(_QUIETLY)
        try:
            forkserver.ensure_running()
        finally:
            sys.warnoptions.remove(_QUIETLY)
            for each, handler in before.items():
                signal.signal(each, handler)
    return context
