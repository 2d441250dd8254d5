"""Another process that is at work in a folder of results."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLD = (
    "import pathlib, sys, time\n"
    "from sim.results.locks import alone\n"
    "with alone(pathlib.Path(sys.argv[1])):\n"
    "    print('in', flush=True)\n"
    "    time.sleep(60)\n"
)


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have another process at work in ``folder``, which is killed in the end if it lives."""
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        try:
            yield other
        finally:
            other.kill()
