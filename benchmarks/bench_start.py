"""How soon the command answers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-c", "from sim.cli.main import main; main(prog_name='memhp-sim')", "--help"]


def test_help_is_there_in_a_fifth_of_a_second(report: Callable[[str, float, float], None]) -> None:
    times = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run(COMMAND, cwd=ROOT, capture_output=True, check=True)  # noqa: S603  this program
        times.append(time.perf_counter() - start)

    report("seconds until memhp-sim --help is done", min(times), 0.2)
