"""Runs command lines given on standard input, one line of JSON each, every one in a process of its own.

The command is imported once, here; each line's process is forked from it. Told of each: exit code, output, seconds of
CPU time, and by how many MiB its memory grew beyond this process.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import sys
from pathlib import Path
from typing import Final

MOST_CPU_S: Final = 10
MOST_REAL_S: Final = 60
"""Of one that waits for something: other work on the machine may slow it, but not that much."""
MOST_MIB: Final = 1024


def _as_the_command(line: list[str], out: int) -> None:
    """Become the process of a command line; never returns."""
    os.dup2(out, 1)
    os.dup2(out, 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="strict", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(MOST_REAL_S)
    main = importlib.import_module("sim.cli.main").main
    code = 70
    try:
        main(line, prog_name="memhp-sim")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        with contextlib.suppress(ValueError, OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _read(end: int) -> str:
    """Read what a process says until nobody can write any more; what it started and left is not waited for."""
    said = bytearray()
    while select.select([end], [], [], MOST_REAL_S + 5)[0]:
        part = os.read(end, 1 << 16)
        if not part:
            break
        said += part[: (1 << 20) - len(said)]
    return said.decode("utf-8", "replace")


def run(line: list[str], folder: str) -> dict[str, object]:
    """Run a command line in ``folder`` and tell what came of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.chdir(folder)
        _as_the_command(line, writing)
    os.close(writing)
    said = _read(reading)
    os.close(reading)
    _, status, used = os.wait4(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "said": said,
        "cpu_s": used.ru_utime + used.ru_stime,
        "grown_mib": max(0, used.ru_maxrss - resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024,
    }


def serve() -> None:
    """Import all that commands need, then answer."""
    from sim.cli.main import COMMANDS

    for place, _ in COMMANDS.values():
        importlib.import_module(place.partition(":")[0])
    for module in ("sim.experiment.run", "sim.api", "sim.report.page", "sim.recommend.recommend", "sim.engine"):
        importlib.import_module(module)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        for asked in sys.stdin:
            question = json.loads(asked)
            print(json.dumps(run(question["line"], question["folder"])), file=answers, flush=True)


if __name__ == "__main__":
    Path("/proc/self/oom_score_adj").write_text("500", "ascii")  # rather this one than whoever runs the tests
    serve()
