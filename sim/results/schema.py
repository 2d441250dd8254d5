"""The columns of the result files, with type, unit and meaning. Files, readers and the documentation derive from here.

Only names of Arrow types stand here, so that nothing heavy is imported for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sim.record.guest_series import GUEST_COLUMNS
from sim.record.series import SERIES_COLUMNS
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result file: ``type`` is an Arrow type's name, ``meaning`` what it holds or its formula."""

    name: str
    type: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A kind of result file: the folder it is in, what one row stands for, and the columns."""

    name: str
    row: str
    columns: tuple[Column, ...]


LABEL_COLUMNS: Final = (
    Column("machine", "string", "-", "label of the machine"),
    Column("workload", "string", "-", "label of the workload"),
    Column("policy", "string", "-", "label of the policy"),
)
"""Columns that every table begins with."""

CELL_COLUMNS: Final = (
    Column("cell", "string", "-", "key of the cell: SHA-256 of its configuration and of the program's code"),
    Column("replication", "int64", "1", "number of the replication; the host wants the same of all policies"),
)
"""Columns that follow in every table."""

_HEAD: Final = (*LABEL_COLUMNS, *CELL_COLUMNS)

_RUN_HEAD: Final = (
    *_HEAD,
    Column("seed", "uint64", "1", "master seed, from which all random streams derive"),
    Column("factors", "string", "-", "values that the experiment varies, as a JSON object by their keys"),
    Column("recording", "string", "-", "the series of a trace that was played, such as a VM's; null where none was"),
    Column("status", "string", "-", "completed or failed"),
    Column("stage", "string", "-", "what the cell was doing when it failed; null if completed"),
    Column("error", "string", "-", "why it failed, in one line; null if completed"),
    Column("traceback", "string", "-", "where in the code it failed; null if completed"),
    Column("duration_s", "double", "s", "simulated time"),
    Column("page_bytes", "int64", "B", "size of a base page, in which the tables `events` and `guest` count pages"),
    Column("block_bytes", "int64", "B", "size of a memory block"),
    Column("configured_ratio", "int64", "%", "MOVABLE : KERNEL that the policy shall keep to; null where it has none"),
    Column("boot_kernel_bytes", "int64", "B", "present memory of the kernel zones at boot"),
    Column("boot_movable_bytes", "int64", "B", "present memory of ZONE_MOVABLE at boot"),
    Column("boot_cma_bytes", "int64", "B", "part of boot_kernel_bytes that lies in CMA areas"),
    Column("devices", "int64", "1", "devices that were attached"),
    Column("events", "int64", "1", "rows of the events table"),
    Column("plan_proved", "bool", "-", "whether no zones are better, where the policy looked ahead; null where not"),
    Column("plan_rehearsals", "int64", "1", "how often a policy that looks ahead rehearsed the run; null for others"),
    Column(
        "plan_bound_byte_seconds",
        "double",
        "B s",
        "what no zones can pass of movable_byte_seconds, as such a policy found out; null where it did not",
    ),
    Column("death_cause", "string", "-", "what the guest died of: kernel, guest full or return; null where it lives"),
    Column(
        "guest_drawn", "string", "-", "parameters of the guest that were drawn, as a JSON object; null where none was"
    ),
    Column("streams_drawn", "int64", "1", "random streams that the run drew from; 0 where nothing is random in it"),
)

RUNS: Final = TableLayout(
    "runs",
    "one cell: a policy on a workload on a machine in one replication",
    (
        *_RUN_HEAD,
        *(Column(score.name, "double", score.unit.symbol, score.formula) for score in SCORES.values()),
    ),
)
"""One row per cell. A score that is undefined, and every score of a failed cell, is null."""

SERIES: Final = TableLayout(
    "series",
    "one step of a cell's step series; values hold until the next row of the cell",
    (
        *_HEAD,
        *(
            Column(column.name, "int64", column.unit, column.formula)
            if column.unit != "pages"
            else Column(f"{column.name}_bytes", "int64", "B", column.formula)
            for column in SERIES_COLUMNS
        ),
    ),
)
"""The series of :mod:`sim.record.series`, in bytes."""

GUEST: Final = TableLayout(
    "guest",
    "one sample of what a modelled guest looks like inside; values hold until the next row of the cell",
    (
        *_HEAD,
        *(Column(column.name, "int64", column.unit, column.formula) for column in GUEST_COLUMNS),
    ),
)
"""The samples of :mod:`sim.record.guest_series`, in pages of the machine (``page_bytes`` of ``runs``). There is none
for a cell without a guest model.

A sample is taken at every change of demand, where an add has taken its memmap, where memory asked back costs a process
its life, and now and then (the guest's ``sample_every``): several may be of one instant.
"""

EVENTS: Final = TableLayout(
    "events",
    "one event of a cell, in order of simulated time",
    (
        *_HEAD,
        Column("t_us", "int64", "us", "simulated time"),
        Column("kind", "int8", "-", "what happened; see the kinds below"),
        Column("device", "int32", "-", "index of the device in the cell; -1 for none, such as boot memory"),
        Column("block", "int64", "-", "first memory block"),
        Column(
            "count",
            "int64",
            "1",
            "memory blocks; for DEVICE 1 where attached, 0 where gone; for OOM the loads among which chance chose",
        ),
        Column(
            "zone",
            "int32",
            "-",
            "zone number: 0 DMA, 1 DMA32, 2 Normal, 3 Movable, -1 none; an errno for FAILED, the kind of out of memory "
            "for OOM and DEATH",
        ),
        Column(
            "pages",
            "int64",
            "pages",
            "change of the device's plugged memory; for REQUEST the size asked for, for OOM and DEATH MemAvailable",
        ),
    ),
)
"""The table of :mod:`sim.record.recorder`. The rest (devices, boot memory, counters) is in ``DETAILS``."""

DETAILS: Final = TableLayout(
    "details",
    "one completed cell whose events are kept",
    (
        *_HEAD,
        Column("details", "string", "-", "what else there is to know of the run, as a JSON object; see below"),
    ),
)
"""With it a run can be had again from its events and samples as it was."""

TIMINGS: Final = TableLayout(
    "timings",
    "one cell; the only table that differs from run to run",
    (
        *_HEAD,
        Column("wall_s", "double", "s", "real time that the cell took"),
        Column("cpu_s", "double", "s", "CPU time that the cell took"),
        Column("simulation_cpu_s", "double", "s", "part of it that is not writing: to build, simulate and score"),
        Column("finished_unix_s", "double", "s", "when it was finished, since 1970"),
    ),
)
"""Real times, kept apart so that all other files are the same bytes on any machine with any number of workers.

A run that is killed may lose some of them.
"""

TABLES: Final[Mapping[str, TableLayout]] = MappingProxyType(
    {table.name: table for table in (RUNS, SERIES, GUEST, EVENTS, DETAILS, TIMINGS)}
)
