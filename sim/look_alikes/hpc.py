"""Runs of a parallel program beside a memory leak, second by second, like those of an HPC anomaly data set.

Published are page tables by anonymous memory, the leak's rate, how much a program takes and the end of a leak gives
back in a second, and what slab and stacks are (clayfiler/HPC_Anomaly_Data_Generation, 2025: 40 runs on one workstation
of 62.6 GiB; figures of 33,101 samples). A run here is a program that takes and gives back its memory in turns, and
leaks of the published rate each of which is given back within seconds when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.look_alikes.figures import Figure, groups
from sim.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.look_alikes.draws import Floats
    from sim.look_alikes.figures import Tables
    from sim.look_alikes.tables import Columns

TOTAL_KIB: Final = 65_682_500
PAGE_TABLES: Final = 21 * MIB // KIB
PAGE_TABLES_SHARE: Final = 2 * MIB / GIB
LEAK_KIB_A_SECOND: Final = 47 * MIB // KIB
TAKES_IN_A_SECOND_KIB: Final = 4.5 * GIB / KIB
GIVES_BACK_KIB_A_SECOND: Final = 15.5 * GIB / KIB
SLAB_KIB: Final = (1_269_000, 1_279_000)  # 1.21 to 1.22 GiB
UNRECLAIMABLE_KIB: Final = (391 * 1024, 394 * 1024)
STACKS_KIB: Final = (15_155, 16_691)  # 14.8 to 16.3 MiB
IDLE_ANON_KIB: Final = 2.8 * GIB / KIB

# Chosen, not published: what the program holds, and how much lies in page cache.
CACHE_KIB: Final = 5 * GIB // KIB
MAPPED_KIB: Final = 490_000
SHARED_KIB: Final = 37_000


@dataclass(frozen=True, slots=True)
class Run:
    """A run: how long it lasts, what its program holds (bytes), for how long in turns, and the leaks' (start, end)."""

    seconds: int
    program: int
    turn: int
    leaks: Sequence[tuple[int, int]] = ()


RUNS: Final = (
    Run(900, 7 * GIB, 230),
    Run(900, 9 * GIB, 260, [(150, 640)]),
    Run(900, 9 * GIB, 260, [(80, 650), (280, 710)]),
    Run(600, 5 * GIB, 140, [(60, 200), (300, 440)]),
)
"""No leak; one of eight minutes; two at once, up to 55 GiB; two that follow each other."""


def runs(rng: np.random.Generator) -> Columns:
    """Return four runs: ``run``, ``t_s``, and of each second the columns of meminfo that the data set has, in KiB."""
    parts = [_run(rng, number, run) for number, run in enumerate(RUNS)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run(rng: np.random.Generator, number: int, run: Run) -> Columns:
    n = run.seconds
    anonymous = IDLE_ANON_KIB + _program(n, run) + sum(_leak(n, start, end) for start, end in run.leaks)
    anonymous = anonymous + rng.normal(0, 2000, n)
    slab = rng.uniform(*SLAB_KIB)
    unreclaimable = rng.uniform(*UNRECLAIMABLE_KIB)
    stacks = np.rint(rng.uniform(*STACKS_KIB, n))
    tables = PAGE_TABLES + PAGE_TABLES_SHARE * anonymous + rng.normal(0, 300, n)
    cached = CACHE_KIB + np.cumsum(rng.integers(0, 20, n)).astype(np.float64)
    free = TOTAL_KIB - anonymous - cached - slab - stacks - tables
    columns: dict[str, Floats | float] = {
        "free_kib": free,
        "available_kib": free + cached + (slab - unreclaimable) / 2,
        "cached_kib": cached,
        "anon_kib": anonymous,
        "mapped_kib": MAPPED_KIB,
        "shmem_kib": SHARED_KIB,
        "slab_reclaimable_kib": slab - unreclaimable,
        "slab_unreclaimable_kib": unreclaimable,
        "kernel_stack_kib": stacks,
        "page_tables_kib": tables,
        "committed_kib": anonymous * 1.1 + MAPPED_KIB,
    }
    return {
        "run": np.full(n, f"run-{number}"),
        "t_s": np.arange(n),
        **{name: np.rint(np.broadcast_to(values, n)).astype(np.int64) for name, values in columns.items()},
    }


def _program(n: int, run: Run) -> Floats:
    """Memory of a program that takes all it needs in seconds, holds it for a turn, rests for a tenth of one."""
    second = np.arange(n) % round(1.1 * run.turn)
    held = np.minimum((second + 1) * TAKES_IN_A_SECOND_KIB, run.program / KIB)
    return np.where(second < run.turn, held, 0.0)


def _leak(n: int, start: int, end: int) -> Floats:
    second = np.arange(n)
    held = np.clip(np.minimum(second, end) - start, 0, None) * LEAK_KIB_A_SECOND
    given_back = np.clip(second - end, 0, None) * GIVES_BACK_KIB_A_SECOND
    return np.asarray(np.clip(held - given_back, 0, None), dtype=np.float64)


def _line(tables: Tables) -> tuple[float, float]:
    """Return slope and level (KiB) of page tables by anonymous memory, by least squares."""
    slope, level = np.polyfit(tables["runs"]["anon_kib"], tables["runs"]["page_tables_kib"], 1)
    return float(slope), float(level)


def _change(seconds: int, sign: int) -> Callable[[Tables], float]:
    def measure(tables: Tables) -> float:
        changes = [each[seconds:] - each[:-seconds] for each in groups(tables["runs"], "run", "anon_kib")]
        return max(float((sign * each).max()) for each in changes) * KIB / GIB

    return measure


def _rate(tables: Tables) -> float:
    """Return the median change of ten seconds that is 20 to 80 MiB a second: most seconds of those are a leak's."""
    changes = np.concatenate([each[10:] - each[:-10] for each in groups(tables["runs"], "run", "anon_kib")])
    changes = changes * KIB / MIB / 10
    return float(np.median(changes[(changes > 20) & (changes < 80)]))  # noqa: PLR2004


def _most(column: str, unit: int) -> Callable[[Tables], float]:
    return lambda tables: float(tables["runs"][column].max()) * KIB / unit


def _least(column: str, unit: int) -> Callable[[Tables], float]:
    return lambda tables: float(tables["runs"][column].min()) * KIB / unit


FIGURES: Final = (
    Figure("page tables for each GiB of anonymous memory", "MiB", 2.0, lambda tables: _line(tables)[0] * 1024, 1.05),
    Figure("page tables beside", "MiB", 21, lambda tables: _line(tables)[1] / 1024, 1.1),
    Figure("a leak's rate", "MiB/s", 47, _rate, 1.05),
    Figure("the program takes in a second, most", "GiB", 4.5, _change(1, 1), 1.1),
    Figure("the end of leaks gives back in a second, most", "GiB", 15.5, _change(1, -1), 1.1),
    Figure("the end of leaks gives back in three seconds, most", "GiB", 22.6, _change(3, -1), 1.3),
    Figure("anonymous memory, most", "GiB", 55, _most("anon_kib", GIB), 1.1),
    Figure("anonymous memory, least", "GiB", 1.6, _least("anon_kib", GIB)),
    Figure("kernel stacks, least", "MiB", 14.8, _least("kernel_stack_kib", MIB), 1.05),
    Figure("the same, most", "MiB", 16.3, _most("kernel_stack_kib", MIB), 1.05),
    Figure("unreclaimable slab, least", "MiB", 391, _least("slab_unreclaimable_kib", MIB), 1.02),
    Figure("the same, most", "MiB", 394, _most("slab_unreclaimable_kib", MIB), 1.02),
)
