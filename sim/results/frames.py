"""From runs to rows and blocks of numbers, to Arrow tables, and back to runs. pyarrow is imported when needed first."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from sim.record.device_group import STATIC_GROUP, WITHOUT_GROUP, GroupKind, dynamic_group
from sim.record.events import Events
from sim.record.run_result import BootMemory, BootRun, Foreseen, RunResult
from sim.record.series import SERIES_COLUMNS
from sim.results.failure import Status
from sim.results.identity import canonical_json
from sim.results.schema import CELL_COLUMNS, GUEST, LABEL_COLUMNS, TableLayout
from sim.scores.registry import SCORES
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from sim.record.device_group import DeviceGroup
    from sim.record.series import RunSeries
    from sim.results.failure import Failure
    from sim.results.identity import CellId
    from sim.results.layout import Labels

Block = npt.NDArray[np.int64]
"""Numbers of a table: a row for each column of its own, a column for each row."""

MISSING: Final = -(1 << 63)
"""Stands in a block of numbers for what a run does not have; it is null in the files."""

RUN_DETAILS: Final[Mapping[str, str]] = {
    "device_names": "ids of the devices, in the order of the column `device`",
    "device_nodes": "their NUMA nodes",
    "device_units": "their memory groups: pages of a unit of a dynamic group, 0 for a static one, -1 for none",
    "page_size": "bytes of a base page, in which all pages are counted",
    "block_pages": "pages in a memory block",
    "duration_us": "simulated end of the run, in microseconds",
    "boot": "memory before hotplug: `runs` of blocks that are alike (first block, blocks, zone number or -1 where "
    "zones share a block, node), `kernel_pages` (present pages of the kernel zones), `movable_pages` (of "
    "ZONE_MOVABLE) and `cma_pages` (of the kernel zones, in CMA areas)",
    "configured_ratio": "MOVABLE : KERNEL in percent that the policy shall keep to, or null",
    "counters": "totals that the kernel kept: `decisions` of the policy, `refused_offlines`, `failed_requests` of the "
    "host, `failed_operations` of drivers; and the random streams that the run drew from, `streams_drawn`",
    "foreseen": "what a policy that looked ahead found: `proved`, `rehearsals` and `bound_byte_seconds`, the columns "
    "`plan_...` of `runs`; null for other policies",
    "guest_drawn": "the guest's parameters that were drawn at random, by name",
}
"""What the JSON in the table ``details`` holds, by key."""


@cache
def arrow_schema(layout: TableLayout) -> pa.Schema:
    """Return the Arrow schema of ``layout``'s files, units and meanings as the fields' metadata."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(column.name, _arrow_type(column.type), metadata={"unit": column.unit, "meaning": column.meaning})
            for column in layout.columns
        ]
    )


def _arrow_type(name: str) -> Any:  # noqa: ANN401  pyarrow has no types
    import pyarrow as pa

    return pa.type_for_alias(name)


def run_row(cell: CellId, result: RunResult, scores: Mapping[str, float], recording: str | None = None) -> str:
    """Return the row of a completed cell as a JSON object of the columns in ``RUNS``; undefined scores are null."""
    boot = result.boot
    death = Events.of(result.events).death if scores["died"] == 1 else None
    return _row(
        cell,
        {
            "recording": recording,
            "status": Status.COMPLETED.value,
            "duration_s": result.duration_us / MICROSECONDS,
            "page_bytes": result.page_size,
            "block_bytes": result.block_pages * result.page_size,
            "configured_ratio": result.configured_ratio,
            "boot_kernel_bytes": boot.kernel_pages * result.page_size,
            "boot_movable_bytes": boot.movable_pages * result.page_size,
            "boot_cma_bytes": boot.cma_pages * result.page_size,
            "devices": len(result.device_names),
            "events": len(result.events),
            "plan_proved": None if result.foreseen is None else result.foreseen.proved,
            "plan_rehearsals": None if result.foreseen is None else result.foreseen.rehearsals,
            "plan_bound_byte_seconds": None if result.foreseen is None else result.foreseen.bound_byte_seconds,
            "death_cause": death and death.cause.shown,
            "guest_drawn": canonical_json(dict(result.guest_drawn)) if result.guest_drawn else None,
            "streams_drawn": result.counters.get("streams_drawn"),
            **{name: None if math.isnan(scores[name]) else scores[name] for name in SCORES},
        },
    )


def failure_row(cell: CellId, failure: Failure, recording: str | None = None) -> str:
    """Return the row of a cell that failed, as :func:`run_row`; scores and what depends on the run are null."""
    return _row(
        cell,
        {
            "recording": recording,
            "status": Status.FAILED.value,
            "stage": failure.stage.value,
            "error": failure.error,
            "traceback": failure.traceback or None,
        },
    )


def timing_row(cell: CellId, timing: Mapping[str, float]) -> str:
    """Return the row of a cell's real times as a JSON object of the columns in ``TIMINGS``."""
    return canonical_json({**_head(cell), **timing})


def details_row(key: str, labels: Labels, replication: int, details: str) -> str:
    """Return the row of a cell's ``details`` as a JSON object of the columns in ``DETAILS``."""
    return canonical_json({**head(key, labels, replication), "details": details})


def head(key: str, labels: Labels, replication: int) -> dict[str, object]:
    """Return the columns that every table begins with."""
    named = {column.name: label for column, label in zip(LABEL_COLUMNS, labels, strict=True)}
    return {**named, "cell": key, "replication": replication}


def _head(cell: CellId) -> dict[str, object]:
    return head(cell.key, cell.labels, cell.replication)


def _row(cell: CellId, values: Mapping[str, object]) -> str:
    head = {**_head(cell), "seed": cell.seed}
    # A lone half of a surrogate pair, which an error's text may hold, is no character and cannot be in a file.
    text = canonical_json({**head, "factors": canonical_json(dict(cell.factors)), **values})
    return text.encode("utf-8", "replace").decode()


def rows_table(layout: TableLayout, rows: Sequence[str]) -> pa.Table:
    """Return the table of ``rows``, each a JSON object of columns in ``layout``; what a row does not have is null."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    if not rows:
        return arrow_schema(layout).empty_table()
    text = "\n".join(rows).encode()
    return arrow_json.read_json(
        pa.BufferReader(text),
        # One block, however long its rows are: a row may not reach over more than two.
        read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=arrow_json.ParseOptions(explicit_schema=arrow_schema(layout), unexpected_field_behavior="error"),
    ).cast(arrow_schema(layout))


def int_columns(layout: TableLayout) -> tuple[str, ...]:
    """Return the columns of a table of :data:`~sim.results.layout.CELL_TABLES` that hold numbers of its own."""
    head = {column.name for column in (*LABEL_COLUMNS, *CELL_COLUMNS)}
    return tuple(column.name for column in layout.columns if column.name not in head)


def array(values: npt.NDArray[Any], kind: str) -> pa.Array:
    """Return ``values`` as an array of the Arrow type ``kind``, null where they are :data:`MISSING`.

    Made from the buffer: ``pyarrow.array`` would import pandas, which a worker has no other use for.
    """
    import pyarrow as pa

    valid = None
    if len(values) and kind == "int64" and (missing := values == MISSING).any():
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    contiguous = np.ascontiguousarray(values, dtype=kind)
    return pa.Array.from_buffers(_arrow_type(kind), len(contiguous), [valid, pa.py_buffer(contiguous)])


def events_block(result: RunResult) -> Block:
    """Return the events of a run: a row for each column of ``EVENTS``."""
    return np.ascontiguousarray(result.events.T)


def series_block(series: RunSeries, page_size: int) -> Block:
    """Return the step series of a run, sizes in bytes; ``page_size`` is that of the machine."""
    block = np.array([getattr(series, column.name) for column in SERIES_COLUMNS], dtype=np.int64)
    sizes = np.array([page_size if column.unit == "pages" else 1 for column in SERIES_COLUMNS], dtype=np.int64)
    block *= sizes[:, None]
    return block


def guest_block(result: RunResult) -> Block:
    """Return the samples of a run's guest; what it does not have is :data:`MISSING`, and there may be no sample."""
    names = int_columns(GUEST)
    if not result.guest:
        return np.empty((len(names), 0), dtype=np.int64)
    none = np.full(len(result.guest["t_us"]), MISSING)
    return np.array([result.guest.get(name, none) for name in names], dtype=np.int64)


_CODE_OF_STATIC: Final = 0
_CODE_OF_NONE: Final = -1


def _group_code(group: DeviceGroup) -> int:
    """Return the number that stands for ``group`` in files: pages of a unit, or a code where there are no units."""
    if group.kind is GroupKind.DYNAMIC:
        return group.unit_pages
    return _CODE_OF_STATIC if group.kind is GroupKind.STATIC else _CODE_OF_NONE


def _group_of(code: int) -> DeviceGroup:
    """Return the group that ``code`` stands for in a file."""
    return {_CODE_OF_STATIC: STATIC_GROUP, _CODE_OF_NONE: WITHOUT_GROUP}.get(code) or dynamic_group(code)


def details(result: RunResult) -> str:
    """Return what else there is to know of a run but its events and samples, as JSON with :data:`RUN_DETAILS`."""
    return canonical_json(
        {
            "device_names": list(result.device_names),
            "device_nodes": list(result.device_nodes),
            "device_units": [_group_code(group) for group in result.device_groups],
            "page_size": result.page_size,
            "block_pages": result.block_pages,
            "duration_us": result.duration_us,
            "boot": asdict(result.boot),
            "configured_ratio": result.configured_ratio,
            "counters": dict(result.counters),
            "foreseen": None if result.foreseen is None else asdict(result.foreseen),
            "guest_drawn": dict(result.guest_drawn),
        }
    )


def result_from(events: Block, details: str, guest: Block | None) -> RunResult:
    """Return the run with these blocks of events and samples (None: no guest), as it was before it was written."""
    rest = json.loads(details)
    boot = rest["boot"]
    samples = {} if guest is None or not guest.size else dict(zip(int_columns(GUEST), guest, strict=True))
    return RunResult(
        events=np.ascontiguousarray(events.T),
        device_names=tuple(rest["device_names"]),
        device_nodes=tuple(rest["device_nodes"]),
        device_groups=tuple(_group_of(code) for code in rest["device_units"]),
        page_size=rest["page_size"],
        block_pages=rest["block_pages"],
        duration_us=rest["duration_us"],
        boot=BootMemory(
            tuple(BootRun(*run) for run in boot["runs"]),
            boot["kernel_pages"],
            boot["movable_pages"],
            boot["cma_pages"],
        ),
        configured_ratio=rest["configured_ratio"],
        counters=rest["counters"],
        foreseen=None if rest["foreseen"] is None else Foreseen(**rest["foreseen"]),
        guest_drawn=rest["guest_drawn"],
        guest={name: values for name, values in samples.items() if MISSING not in values},
    )
