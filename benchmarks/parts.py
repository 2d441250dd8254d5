"""Where the CPU time of a command goes, by the parts of the program: ``python -m benchmarks.parts run quickstart``.

A timer interrupts the command after each millisecond of CPU time; what has passed since the last one counts for the
part that is at work. The command runs as always, but in this process alone: give it ``--workers=1``.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

ROOT: Final = f"{Path(__file__).resolve().parent.parent}/"
EVERY_S: Final = 0.001
START, REST = "start: Python and its imports", "everything else"

WHATEVER_IT_CALLS: Final = {
    "<frozen importlib": START,
    "sim/plots/": "plots",
    "sim/results/": "files",
    "sim/scores/": "scores",
    "sim/record/series.py": "series over time",
    "sim/analysis/": "tables on the screen",
    "sim/cli/": "tables on the screen",
}
"""Parts by the file of a function that was called, from the outermost on, the command itself aside."""

AT_WORK: Final = {
    "sim/kernel/guest_samples.py": "guest: samples",
    "sim/guest/": "guest: memory in use",
    "sim/kernel/guest_link.py": "guest: memory in use",
    "sim/kernel/alarms.py": "guest: memory in use",
    "sim/kernel/wishes.py": "guest: memory in use",
    "sim/kernel/returnable.py": "guest: memory in use",
    "sim/kernel/kernel_pressure.py": "guest: memory in use",
    "sim/experiment/": "reading and planning the experiment",
    "sim/plugins/": "reading and planning the experiment",
    "workloads/": "workloads",
    "policies/": "policies",
    "sim/kernel/": "core: kernel, devices, host, record",
    "sim/devices/": "core: kernel, devices, host, record",
    "sim/machine/": "core: kernel, devices, host, record",
    "sim/memory/": "core: kernel, devices, host, record",
    "sim/record/": "core: kernel, devices, host, record",
    "sim/engine.py": "engine: SimPy",
}
"""Parts by the file of the innermost function of the program."""


def _files(frame: FrameType | None) -> Iterator[str]:
    """Yield files from the innermost on, those of the program from its root."""
    while frame is not None:
        yield frame.f_code.co_filename.removeprefix(ROOT)
        frame = frame.f_back


def part_of(files: list[str]) -> str:
    """Return the part that is at work where the functions of these files have called each other, innermost first."""
    outer = [file for file in reversed(files) if not file.startswith("benchmarks/")]
    if any(file.startswith("<frozen importlib") for file in outer):
        return START
    if "/simpy/" in files[0]:
        return AT_WORK["sim/engine.py"]
    simulated = "sim/engine.py" in outer
    if not simulated:
        for file in outer:
            for begins, part in WHATEVER_IT_CALLS.items():
                # The command calls everything: it is at work itself where nothing below it is another part.
                if file.startswith(begins) and not file.startswith("sim/cli/"):
                    return part
    for file in files:
        for begins, part in (*AT_WORK.items(), *WHATEVER_IT_CALLS.items()):
            if file.startswith(begins):
                return part
    return REST


class Parts:
    """Adds up the seconds of CPU time by part, from when it is made until it is stopped."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float, {START: time.process_time()})
        self._last = time.process_time()
        signal.signal(signal.SIGPROF, self._note)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def _note(self, _number: int, frame: FrameType | None) -> None:
        now = time.process_time()
        self.seconds[part_of(list(_files(frame)))] += now - self._last
        self._last = time.process_time()

    def stop(self) -> None:
        """Count no further."""
        signal.setitimer(signal.ITIMER_PROF, 0)


def table(seconds: Mapping[str, float]) -> str:
    """Return parts and their shares, the largest first, as a table in Markdown."""
    whole = sum(seconds.values())
    rows = [
        f"| {part} | {100 * spent / whole:.1f} |" for part, spent in sorted(seconds.items(), key=lambda each: -each[1])
    ]
    return "\n".join(["| part | % of CPU time |", "| --- | ---: |", *rows])


def main(*arguments: str) -> None:
    """Run the command, and print the table behind what it prints."""
    parts = Parts()
    from sim.cli.main import main as command

    try:
        command(list(arguments), standalone_mode=False)
    finally:
        parts.stop()
    sys.stdout.write(f"\n{table(parts.seconds)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
