"""From runs to Arrow tables, and from file metadata back to runs. pyarrow is imported when first needed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.record.device_group import STATIC_GROUP, WITHOUT_GROUP, GroupKind, dynamic_group
from sim.record.events import Events
from sim.record.recorder import EVENT_COLUMNS
from sim.record.run_result import BootMemory, BootRun, Foreseen, RunResult
from sim.record.series import SERIES_COLUMNS
from sim.results.failure import Status
from sim.results.identity import canonical_json
from sim.results.schema import EVENTS, GUEST, SERIES, TableLayout
from sim.scores.registry import SCORES
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import pyarrow as pa

    from sim.record.device_group import DeviceGroup
    from sim.record.series import RunSeries
    from sim.results.failure import Failure
    from sim.results.identity import CellId

METADATA_KEY: Final = b"memhp_sim"
"""Under this key the metadata of an events file holds the rest of a run, as JSON."""

METADATA: Final[Mapping[str, str]] = {
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
"""What that JSON holds, by key."""

ROW_KEY: Final = b"memhp_sim.row"
"""Under this key the metadata of an events file holds the cell's row of the table ``runs``, as JSON."""


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
    return canonical_json({"cell": cell.key, "replication": cell.replication, **timing})


def _row(cell: CellId, values: Mapping[str, object]) -> str:
    head = {"cell": cell.key, "replication": cell.replication, "seed": cell.seed}
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


def _array(values: npt.NDArray[Any], kind: str) -> pa.Array:
    """Return ``values`` as an array of the Arrow type ``kind``.

    Made from the buffer: ``pyarrow.array`` would import pandas, which a worker has no other use for.
    """
    import pyarrow as pa

    contiguous = np.ascontiguousarray(values, dtype=kind)
    return pa.Array.from_buffers(_arrow_type(kind), len(contiguous), [None, pa.py_buffer(contiguous)])


def _table(layout: TableLayout, cell: CellId, columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    """Return a table with the cell's constant columns, which cost next to nothing, before ``columns``."""
    length = len(next(iter(columns.values())))
    kinds = {column.name: column.type for column in layout.columns}
    return _with_head(cell, length, {name: _array(values, kinds[name]) for name, values in columns.items()})


def _with_head(cell: CellId, length: int, arrays: Mapping[str, pa.Array]) -> pa.Table:
    import pyarrow as pa

    # The cell's key is written once and referred to by every row.
    key = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, len(cell.key)], dtype=np.int32)), pa.py_buffer(cell.key.encode())
    )
    head = {
        "cell": pa.DictionaryArray.from_arrays(_array(np.zeros(length), "int32"), key),
        "replication": _array(np.full(length, cell.replication), "int64"),
    }
    return pa.Table.from_arrays([*head.values(), *arrays.values()], names=[*head, *arrays])


def series_table(cell: CellId, series: RunSeries, page_size: int) -> pa.Table:
    """Return the step series of a cell, sizes in bytes; ``page_size`` is that of the machine."""
    return _table(
        SERIES,
        cell,
        {
            column.name if column.unit != "pages" else f"{column.name}_bytes": getattr(series, column.name)
            if column.unit != "pages"
            else getattr(series, column.name) * page_size
            for column in SERIES_COLUMNS
        },
    )


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


def events_table(cell: CellId, result: RunResult, row: str) -> pa.Table:
    """Return the events of a cell; its metadata holds what else there is to know of the run, and its ``row``."""
    # By column first: picking columns out of rows costs more than everything else here.
    columns = dict(zip(EVENT_COLUMNS, np.ascontiguousarray(result.events.T), strict=True))
    rest = {
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
    table = _table(EVENTS, cell, columns)
    return table.replace_schema_metadata({METADATA_KEY: canonical_json(rest).encode(), ROW_KEY: row.encode()})


def guest_table(cell: CellId, result: RunResult) -> pa.Table:
    """Return the guest's samples of a cell: the cell's columns and those of ``GUEST`` that the run has."""
    arrays = {
        column.name: _array(result.guest[column.name], column.type)
        for column in GUEST.columns
        if column.name in result.guest
    }
    return _with_head(cell, len(result.guest["t_us"]), arrays)


def result_from(events: pa.Table, metadata: Mapping[bytes, bytes], guest: pa.Table | None) -> RunResult:
    """Return the run whose events (and guest's series) these tables hold, as it was before it was written.

    ``metadata`` is that of the events' file.
    """
    rest = json.loads(metadata[METADATA_KEY])
    boot = rest["boot"]
    return RunResult(
        events=np.column_stack([events[name].to_numpy().astype(np.int64) for name in EVENT_COLUMNS]),
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
        guest={}
        if guest is None
        else {name: guest[name].to_numpy() for name in guest.column_names if name not in {"cell", "replication"}},
    )
