"""A Dask scheduler and workers as somebody starts them on a shell: processes of their own, on loopback."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0


class Cluster:
    """A running scheduler at ``address`` with ``workers``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.workers: list[subprocess.Popen[bytes]] = []


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Start a scheduler and ``workers`` processes of one thread each; end them all on leaving.

    Workers have no nanny: one that is killed stays away.
    """
    file = folder / "scheduler.json"
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(  # type: ignore[call-overload]
                [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]], **quiet
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process  # type: ignore[no-any-return]

        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        deadline = time.monotonic() + PATIENCE_S
        while not file.is_file() or not file.stat().st_size:
            assert time.monotonic() < deadline, "the scheduler does not start"
            time.sleep(0.05)
        import json

        running = Cluster(json.loads(file.read_text())["address"])
        for _ in range(workers):
            running.workers.append(
                start(
                    "dask_worker", running.address, "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1",
                    "--no-dashboard", "--memory-limit", "0", "--local-directory", str(folder),
                )
            )  # fmt: skip
        yield running
