"""From runs to Arrow tables, and from file metadata back to runs. pyarrow is imported when first needed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.observe import EVENT_COLUMNS
from sim.results.identity import canonical_json
from sim.results.schema import EVENTS, RUNS, SERIES, TIMINGS, TableLayout
from sim.run_result import BootMemory, RunResult
from sim.score import SCORES
from sim.series import SERIES_COLUMNS
from sim.units import MICROSECONDS, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from sim.results.identity import CellId, Failure
    from sim.series import RunSeries

METADATA_KEY: Final = b"memhp_sim"
"""Under this key a Parquet file's metadata holds the rest of a run, as JSON."""


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


def _head(cell: CellId) -> dict[str, object]:
    return {"cell": cell.key, "replication": cell.replication}


def _one_row(layout: TableLayout, values: Mapping[str, object]) -> pa.Table:
    import pyarrow as pa

    unknown = values.keys() - {column.name for column in layout.columns}
    if unknown:
        raise ValueError(f"no such columns in {layout.name}: {', '.join(sorted(unknown))}")
    return pa.Table.from_pylist([dict(values)], schema=arrow_schema(layout))


def run_row(cell: CellId, result: RunResult, scores: Mapping[str, float]) -> pa.Table:
    """Return the row of a completed cell; undefined scores become null."""
    boot = result.boot
    return _one_row(
        RUNS,
        {
            **_head(cell),
            "seed": cell.seed,
            "factors": canonical_json(dict(cell.factors)),
            "status": "completed",
            "duration_s": result.duration_us / MICROSECONDS,
            "block_bytes": result.block_pages * PAGE_SIZE,
            "configured_ratio": result.configured_ratio,
            "boot_kernel_bytes": boot.kernel_pages * PAGE_SIZE,
            "boot_movable_bytes": boot.movable_pages * PAGE_SIZE,
            "boot_early_kernel_bytes": boot.early_kernel_pages * PAGE_SIZE,
            "devices": len(result.device_names),
            "events": len(result.events),
            **{name: None if math.isnan(scores[name]) else scores[name] for name in SCORES},
        },
    )


def failure_row(cell: CellId, failure: Failure) -> pa.Table:
    """Return the row of a cell that failed; scores and what depends on the run are null."""
    return _one_row(
        RUNS,
        {
            **_head(cell),
            "seed": cell.seed,
            "factors": canonical_json(dict(cell.factors)),
            "status": "failed",
            "stage": failure.stage,
            "error": failure.error,
            "traceback": failure.traceback or None,
        },
    )


def timing_row(cell: CellId, timing: Mapping[str, float]) -> pa.Table:
    """Return the row of a cell's real times."""
    return _one_row(TIMINGS, {**_head(cell), **timing})


def _table(layout: TableLayout, cell: CellId, columns: Mapping[str, Any]) -> pa.Table:
    """Return a table with the cell's constant columns, which cost next to nothing, before ``columns``."""
    import pyarrow as pa

    schema = arrow_schema(layout)
    length = len(next(iter(columns.values())))
    constant = {"cell": pa.scalar(cell.key), "replication": pa.scalar(cell.replication, pa.int64())}
    arrays = [
        pa.repeat(constant[field.name], length)
        if field.name in constant
        else pa.array(np.ascontiguousarray(columns[field.name]), type=field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def series_table(cell: CellId, series: RunSeries) -> pa.Table:
    """Return the step series of a cell, sizes in bytes."""
    return _table(
        SERIES,
        cell,
        {
            column.name if column.unit != "pages" else f"{column.name}_bytes": getattr(series, column.name)
            if column.unit != "pages"
            else getattr(series, column.name) * PAGE_SIZE
            for column in SERIES_COLUMNS
        },
    )


def events_table(cell: CellId, result: RunResult) -> pa.Table:
    """Return the events of a cell; its metadata holds what else there is to know of the run."""
    columns = {name: result.events[:, number] for number, name in enumerate(EVENT_COLUMNS)}
    rest = {
        "device_names": list(result.device_names),
        "device_nodes": list(result.device_nodes),
        "device_units": list(result.device_units),
        "block_pages": result.block_pages,
        "duration_us": result.duration_us,
        "boot": asdict(result.boot),
        "configured_ratio": result.configured_ratio,
        "counters": dict(result.counters),
    }
    table = _table(EVENTS, cell, columns)
    return table.replace_schema_metadata({METADATA_KEY: canonical_json(rest).encode()})


def guest_table(cell: CellId, result: RunResult) -> pa.Table:
    """Return the guest's sampled series of a cell: the cell's columns and one int64 column for each series."""
    import pyarrow as pa

    length = len(result.guest["t_us"])
    arrays = [pa.repeat(pa.scalar(cell.key), length), pa.repeat(pa.scalar(cell.replication, pa.int64()), length)]
    names = sorted(result.guest, key=lambda name: (name != "t_us", name))
    arrays += [pa.array(result.guest[name], type=pa.int64()) for name in names]
    return pa.Table.from_arrays(arrays, names=["cell", "replication", *names])


def result_from(events: pa.Table, guest: pa.Table | None) -> RunResult:
    """Return the run whose events (and guest's series) these tables hold, as it was before it was written."""
    rest = json.loads(events.schema.metadata[METADATA_KEY])
    boot = rest["boot"]
    return RunResult(
        events=np.column_stack([events[name].to_numpy().astype(np.int64) for name in EVENT_COLUMNS]),
        device_names=tuple(rest["device_names"]),
        device_nodes=tuple(rest["device_nodes"]),
        device_units=tuple(rest["device_units"]),
        block_pages=rest["block_pages"],
        duration_us=rest["duration_us"],
        boot=BootMemory(
            tuple((first, count, zone, node) for first, count, zone, node in boot["runs"]),
            boot["kernel_pages"],
            boot["movable_pages"],
            boot["early_kernel_pages"],
        ),
        configured_ratio=rest["configured_ratio"],
        counters=rest["counters"],
        guest={}
        if guest is None
        else {name: guest[name].to_numpy() for name in guest.column_names if name not in {"cell", "replication"}},
    )
