"""Against programs that can do nothing else: a plain Python script, and a loop in C, for the same record of blocks."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from benchmarks import plain_script
from benchmarks.places import ROOT
from benchmarks.ratios import ratio, timed
from benchmarks.runs import DAY, resized
from sim.experiment import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from sim.experiment.plan import Cell
    from sim.record.run_result import RunResult

    Rows = npt.NDArray[np.int64]

DAYS: Final = 2
INTERVAL_US: Final = 300_000_000
BLOCKS: Final = 128
TURNS: Final = DAYS * DAY * 1_000_000 // (2 * INTERVAL_US)
COMPILER: Final = shutil.which("cc")


def cell() -> Cell:
    """Return the cell that asks for the same: up to 16 GiB at once and down again, without a guest."""
    [only] = resized(DAYS, "none", step="16GiB", duration=(2 * TURNS + 1) * INTERVAL_US / 1e6).cells()
    return only


def simulated() -> float:
    """Return the CPU time of the program's simulation."""
    run = build.simulation(cell())
    return timed(run)


def arguments(result: RunResult) -> tuple[int, int, int, int, int]:
    """Return what the two others have to know of the machine."""
    first = int(result.events[result.events[:, 1] == plain_script.PLUG, 3].min())
    return TURNS, BLOCKS, first, result.boot.kernel_pages, INTERVAL_US


def rows_of(result: RunResult) -> Rows:
    """Return the rows of blocks that came or went, each row a block."""
    rows = result.events[np.isin(result.events[:, 1], (plain_script.PLUG, plain_script.UNPLUG))]
    assert (rows[:, 4] == 1).all()
    return rows


@pytest.fixture(scope="module")
def result() -> RunResult:
    return build.simulation(cell())()


def test_against_plain_python(result: RunResult, goal: Callable[[float], None]) -> None:
    given = arguments(result)
    assert np.array_equal(np.array(plain_script.resized(*given)), rows_of(result))
    goal(ratio(simulated, lambda: timed(lambda: plain_script.resized(*given))))


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler called cc")
def test_against_c(result: RunResult, tmp_path: Path, goal: Callable[[float], None]) -> None:
    assert COMPILER is not None
    library, source = tmp_path / "loop.so", ROOT / "benchmarks" / "loop.c"
    subprocess.run([COMPILER, "-O2", "-shared", "-fPIC", "-o", library, source], check=True)  # noqa: S603  this program
    resized_in_c = ctypes.CDLL(str(library)).resized
    resized_in_c.restype = ctypes.c_int64
    given = [ctypes.c_int64(number) for number in arguments(result)]
    rows = np.zeros_like(rows_of(result))
    zones, out = ctypes.create_string_buffer(BLOCKS), ctypes.c_void_p(rows.ctypes.data)
    assert resized_in_c(*given, zones, out) == len(rows)
    assert np.array_equal(rows, rows_of(result))
    times = 50

    def in_c() -> None:
        for _ in range(times):
            resized_in_c(*given, zones, out)

    goal(ratio(simulated, lambda: timed(in_c) / times))
