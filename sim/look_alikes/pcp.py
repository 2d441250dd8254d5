"""Kernel memory beside anonymous memory and page cache, like that of machines recorded with Performance Co-Pilot.

Published are, machine by machine, the spans of anonymous and kernel memory, and what each costs: page tables and stacks
for each process, page tables for each GiB, slab that follows files (performancecopilot/pcp, commit 918d12b, recordings
under ``qa``). Three of its machines stand here: a small server at boot, a laptop from boot into work, and a workstation
on which one process outgrows memory. Paths between the published ends are straight, with a little noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.look_alikes.figures import Figure
from sim.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.look_alikes.draws import Floats
    from sim.look_alikes.figures import Tables
    from sim.look_alikes.tables import Columns

STACK_KIB: Final = 16.0  # of a process or thread
EARLY: Final = 0.3
"""The kernel's part comes before the memory that it is for: this power of the way. Chosen for the published slopes."""

UNITS: Final = MIB // KIB
"""KiB in a MiB: the published spans are in MiB, the columns in KiB."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine: RAM, and from start to end anonymous and kernel memory, in MiB; page tables for each GiB and so on.

    ``reclaimable`` (least, most) is slab that follows files: it grows until memory runs short, and then yields.
    ``processes`` from start to end, of which each has a stack.
    """

    ram: int
    samples: int
    step_s: int
    anonymous: tuple[int, int]
    kernel: tuple[int, int]
    tables_a_gib: float
    reclaimable: tuple[int, int]
    processes: tuple[int, int]


MACHINES: Final = {
    "small-2g": Machine(1839, 60, 10, (231, 799), (58, 85), 16.3, (38, 112), (190, 250)),
    "laptop-8g": Machine(7677, 600, 10, (282, 4031), (81, 166), 7.9, (100, 419), (250, 720)),
    "workstation-32g": Machine(32_075, 600, 60, (2485, 30_601), (299, 499), 6.1, (400, 2663), (900, 1300)),
}
"""RAM and the spans as published of ``el7-2g-2018``, ``laptop8-2018`` and ``ws32-2017``; processes are chosen."""


def machines(rng: np.random.Generator) -> Columns:
    """Return the three machines: ``machine``, ``t_s``, columns of meminfo in KiB, and ``processes``."""
    parts = [_machine(rng, name, machine) for name, machine in MACHINES.items()]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _machine(rng: np.random.Generator, name: str, machine: Machine) -> Columns:
    n = machine.samples
    way = np.linspace(0, 1, n)

    def along(ends: tuple[int, int], path: Floats = way) -> Floats:
        noise = 1 + 0.01 * np.clip(rng.standard_normal(n), -2, 2) * np.minimum(way, 1 - way)
        return (ends[0] + (ends[1] - ends[0]) * path) * noise

    total = np.full(n, float(machine.ram * UNITS))
    anonymous = along(machine.anonymous) * UNITS
    kernel = along(machine.kernel, way**EARLY) * UNITS
    processes = np.rint(along(machine.processes))
    stacks = processes * STACK_KIB
    tables = (machine.anonymous[0] / 1024 * machine.tables_a_gib + 4) * UNITS + machine.tables_a_gib * (
        anonymous - anonymous[0]
    ) / 1024
    # Files come first: their slab is at its most a third of the way, and yields as anonymous memory fills the machine.
    files = np.interp(way, [0, 1 / 3, 1], [0, 1, 0])
    reclaimable = along(machine.reclaimable, files) * UNITS
    spare = total - anonymous - kernel - reclaimable
    cached = np.clip(spare * np.interp(way, [0, 1 / 3, 1], [0.2, 0.9, 0.95]), 0, None)
    free = spare - cached
    columns = {
        "free_kib": free,
        "available_kib": free + cached * 0.9 + reclaimable / 2,
        "buffers_kib": cached * 0.03,
        "cached_kib": cached * 0.97,
        "anon_kib": anonymous,
        "slab_reclaimable_kib": reclaimable,
        "slab_unreclaimable_kib": kernel - stacks - tables,
        "kernel_stack_kib": stacks,
        "page_tables_kib": tables,
        "processes": processes,
    }
    return {
        "machine": np.full(n, name),
        "t_s": np.arange(n) * machine.step_s,
        **{column: np.rint(values).astype(np.int64) for column, values in columns.items()},
    }


def _column(tables: Tables, machine: str, *columns: str) -> Floats:
    table = tables["machines"]
    rows = table["machine"] == machine
    return np.asarray(sum(table[column][rows] for column in columns), dtype=np.float64) / UNITS


def _kernel(tables: Tables, machine: str) -> Floats:
    return _column(tables, machine, "slab_unreclaimable_kib", "kernel_stack_kib", "page_tables_kib")


def _slope(machine: str, of: Callable[[Tables, str], Floats]) -> Callable[[Tables], float]:
    """Return what measures MiB for each GiB of anonymous memory, by least squares."""

    def measure(tables: Tables) -> float:
        anonymous = _column(tables, machine, "anon_kib") / 1024
        return float(np.polyfit(anonymous, of(tables, machine), 1)[0])

    return measure


def _end(machine: str, of: Callable[[Tables, str], Floats], *, most: bool) -> Callable[[Tables], float]:
    return lambda tables: float(of(tables, machine).max() if most else of(tables, machine).min())


def _anonymous(tables: Tables, machine: str) -> Floats:
    return _column(tables, machine, "anon_kib")


def _tables(tables: Tables, machine: str) -> Floats:
    return _column(tables, machine, "page_tables_kib")


def _with_reclaimable(tables: Tables, machine: str) -> Floats:
    return _kernel(tables, machine) + _column(tables, machine, "slab_reclaimable_kib")


def _stacks(tables: Tables) -> float:
    """Return KiB of stack for each process or thread, median over the machines' medians."""
    each = [
        _column(tables, m, "kernel_stack_kib") * UNITS / (_column(tables, m, "processes") * UNITS) for m in MACHINES
    ]
    return float(np.median([np.nanmedian(values) for values in each]))


_WITH_RECLAIMABLE: Final = {"small-2g": 197, "laptop-8g": 585, "workstation-32g": 3162}

FIGURES: Final = (
    *(
        Figure(f"{name}: {what}, {'most' if most else 'least'}", "MiB", ends[most], _end(name, of, most=most), 1.1)
        for name, machine in MACHINES.items()
        for what, of, ends in (
            ("anonymous memory", _anonymous, machine.anonymous),
            ("kernel memory", _kernel, machine.kernel),
        )
        for most in (False, True)
    ),
    *(
        Figure(f"{name}: with reclaimable slab, most", "MiB", real, _end(name, _with_reclaimable, most=True), 1.15)
        for name, real in _WITH_RECLAIMABLE.items()
    ),
    *(
        Figure(
            f"{name}: page tables for each GiB of anonymous memory",
            "MiB",
            machine.tables_a_gib,
            _slope(name, _tables),
            1.1,
        )
        for name, machine in MACHINES.items()
    ),
    Figure("stack of a process or thread", "KiB", STACK_KIB, _stacks, 1.02),
    Figure("laptop-8g: kernel memory for each GiB of anonymous memory", "MiB", 14, _slope("laptop-8g", _kernel), 1.2),
    Figure("small-2g: kernel memory for each GiB of anonymous memory", "MiB", 28, _slope("small-2g", _kernel), 1.2),
)
