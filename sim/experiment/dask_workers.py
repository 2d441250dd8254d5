"""Cells on the workers of a Dask scheduler: many processes on many machines. Needs the extra ``dask``.

Dask gives the cells of a worker that is lost to the others. A cell that was nearly done there is then computed twice,
and written twice: as the same files in the same places.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sim.experiment.executors import WorkerDiedError, available_cores
from sim.faults import Fault, InputError, MemhpSimError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import distributed

LOCAL: Final = "local"
"""Stands for a scheduler and workers of one's own on this machine."""

CONNECT_S: Final = 10.0
WORKERS_S: Final = 60.0
"""Seconds to wait for an answer of the scheduler, and for a first worker."""

_LOOK_S: Final = 5.0
_Result = TypeVar("_Result")


class DaskWorkers:
    """Runs cells on the workers of the scheduler at ``address`` (``tcp://host:port``).

    Workers must have the same version of the program and see the results folder under the same path. They may come and
    go while the experiment runs. With ``address`` "local", a scheduler with ``processes`` workers (as many as there are
    cores where None) is started on this machine and ended afterwards. Raises InputError where Dask is not installed.
    """

    def __init__(self, address: str, processes: int | None = None) -> None:
        if address != LOCAL and "://" not in address:
            raise _fault(address, "is no address of a scheduler; it looks like tcp://host:8786, or is the word local")
        try:
            import distributed  # noqa: F401  better now than when everything is prepared
        except ImportError as error:
            raise _fault(address, "needs Dask; install it with: pip install 'memhp-sim[dask]'") from error
        self.address = address
        self.processes = (processes or available_cores()) if address == LOCAL else processes
        self._client: distributed.Client | None = None
        self._count = processes or 1
        self._looked = 0.0

    @property
    def count(self) -> int:
        """Cells that can run at a time; looked up every few seconds, as workers come and go."""
        if self._client is not None and time.monotonic() > self._looked + _LOOK_S:
            self._looked = time.monotonic()
            self._count = max(1, sum(self._client.nthreads().values()))  # type: ignore[no-untyped-call]
        return self._count

    @contextlib.contextmanager
    def executor(self) -> Iterator[concurrent.futures.Executor]:
        """Return the executor once there is a worker. Leaving the context by an exception drops what is not done."""
        with contextlib.ExitStack() as stack:
            self._client = stack.enter_context(self._connected())
            stack.callback(setattr, self, "_client", None)
            self._looked = 0.0
            executor = _DaskExecutor(self._client)
            try:
                yield executor
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise

    @contextlib.contextmanager
    def _connected(self) -> Iterator[distributed.Client]:
        from distributed import Client, LocalCluster

        if self.address == LOCAL:
            with (
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=self.processes,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    # No dashboard, and whichever port is free for what is left of its server.
                    dashboard_address="127.0.0.1:0",
                    # A cell that ends its worker is run once more by itself, not again and again on other workers.
                    scheduler_kwargs={"dashboard": False, "allowed_failures": 0},
                    # Cells hold next to nothing; what a policy needs is its own business.
                    memory_limit=0,
                ) as cluster,
                Client(cluster, timeout=CONNECT_S) as client,  # type: ignore[no-untyped-call]
            ):
                yield client
            return
        try:
            client = Client(self.address, timeout=CONNECT_S)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, ImportError) as error:
            raise _fault(self.address, f"no scheduler answers there ({error})") from error
        with client:
            try:
                client.wait_for_workers(1, timeout=WORKERS_S)
            except TimeoutError as error:
                what = "the scheduler has no workers; start some with: dask worker " + self.address
                raise _fault(self.address, what) from error
            yield client


class _DaskExecutor(concurrent.futures.Executor):
    """Dask's executor, with its ways to fail told as this program's."""

    def __init__(self, client: distributed.Client) -> None:
        from sim.results.identity import code_version

        self._code = code_version()
        # Not pure: a cell that is to be computed anew must not be answered from an earlier one's result.
        self._inner = client.get_executor(pure=False)  # type: ignore[no-untyped-call]

    def submit(self, fn: Callable[..., _Result], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[_Result]:  # noqa: ANN401
        outer: concurrent.futures.Future[_Result] = concurrent.futures.Future()

        def pass_on(inner: concurrent.futures.Future[_Result]) -> None:
            try:
                outer.set_result(inner.result())
            except BaseException as error:  # noqa: BLE001  raised where the result is asked for
                outer.set_exception(_translated(error))

        self._inner.submit(run_there, self._code, fn, *args, **kwargs).add_done_callback(pass_on)
        return outer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  as its base
        self._inner.shutdown(wait=wait and not cancel_futures)


def run_there(
    code: str, fn: Callable[..., _Result], cell: object, identity: object, folder: str, timeout: float | None
) -> _Result:
    """Run ``fn`` on a worker, after a look at whether it is fit for it. Raises UnfitWorkerError where it is not."""
    import socket

    from sim.results.identity import code_version
    from sim.results.layout import EXPERIMENT_NAME

    if code_version() != code:
        raise UnfitWorkerError(
            f"a worker on {socket.gethostname()} has version {code_version()} of memhp-sim, not {code}"
        )
    if not (Path(folder) / EXPERIMENT_NAME).is_file():
        raise UnfitWorkerError(f"a worker on {socket.gethostname()} does not see the results folder {folder}")
    return fn(cell, identity, folder, timeout)


class UnfitWorkerError(MemhpSimError, RuntimeError):
    """A worker cannot do what it is asked for: another version, or no access to the results."""


def _translated(error: BaseException) -> BaseException:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return WorkerDiedError("every worker process that was given it died")
    if isinstance(error, (UnfitWorkerError, ModuleNotFoundError)):
        return _fault("--scheduler", f"{error}; what was finished is kept")
    if isinstance(error, concurrent.futures.CancelledError):
        return ConnectionError(
            "the scheduler is gone; what was finished is kept, and the same command goes on from there"
        )
    return error


def _fault(address: str, what: str) -> InputError:
    return InputError(f"--scheduler {address}" if not address.startswith("--") else address, [Fault("", what)])
