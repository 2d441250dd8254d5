"""CPU time of whole commands: of a process, and of all that it starts and leaves behind."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.places import ROOT

_PR_SET_CHILD_SUBREAPER = 36


def cpu_of_process(*arguments: str) -> tuple[float, str]:
    """Run Python with ``arguments``; return the seconds of CPU time of all its processes, and what it printed.

    Raises subprocess.CalledProcessError where it fails.
    """
    _adopt_orphans()
    _compile()
    before = _children_cpu_s()
    done = subprocess.run(  # noqa: S603  this program
        [sys.executable, *arguments], cwd=ROOT, env=_environment(), capture_output=True, check=True, text=True
    )
    _wait_for_orphans()
    return _children_cpu_s() - before, done.stdout


def peak_mib() -> float:
    """Return the most memory that this process has had so far, in MiB.

    Not ``ru_maxrss``, which counts what the process that started this one had then.
    """
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status does not tell VmHWM")


def cpu_of_command(*arguments: str) -> float:
    """Return the seconds of CPU time of ``memhp-sim`` with ``arguments``, its workers included."""
    return cpu_of_process("-m", "memhp_sim", *arguments)[0]


def _environment() -> dict[str, str]:
    """Return the environment of a user, who compiles no module twice."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@cache
def _compile() -> None:
    """Compile the program, which otherwise the first process of it would."""
    command = [sys.executable, "-m", "compileall", "-q", "sim", "policies", "workloads", "memhp_sim", "benchmarks"]
    subprocess.run(command, cwd=ROOT, env=_environment(), check=True)  # noqa: S603  this program


@cache
def _adopt_orphans() -> None:
    """Become the parent of processes whose own has ended: the server that starts workers outlives the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wait_for_orphans() -> None:
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children_cpu_s() -> float:
    """Return the CPU time of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
