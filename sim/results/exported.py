"""The tables of one run for other programs: in seconds and bytes, with names for numbers, a row at a time.

What is stored (:mod:`sim.results.schema`) is made to be read fast, by many cells; this is made to be read by anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.guest.contract import OomKind
from sim.memory.errors import NAMES
from sim.memory.zones import ZONE_LABELS
from sim.record.events import PLUGGED_SIGN
from sim.record.guest_series import GUEST_COLUMNS
from sim.record.recorder import ATTACHED, NO_DEVICE, NO_ZONE, EventKind
from sim.record.series import SERIES_COLUMNS, run_series
from sim.results.schema import Column, TableLayout
from sim.units import us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from sim.record.run_result import RunResult
    from sim.record.series import SeriesColumn

    Row = dict[str, Any]

AT_ONCE: Final = 1 << 14
"""Rows that are turned into Python's numbers at a time."""

KINDS: Final = {
    EventKind.PLUG: ("plug", "blocks were added and put online in one go"),
    EventKind.ADD: ("add", "blocks were added and stay offline"),
    EventKind.ONLINE: ("online", "blocks that were there went online"),
    EventKind.OFFLINE: ("offline", "blocks went offline and stay"),
    EventKind.REMOVE: ("remove", "offline blocks were removed"),
    EventKind.UNPLUG: ("unplug", "blocks went offline and were removed in one go"),
    EventKind.SUBPLUG: ("sub-block-plug", "virtio-mem plugged a part of a block that was there"),
    EventKind.SUBUNPLUG: ("sub-block-unplug", "virtio-mem unplugged a part of a block that stays"),
    EventKind.REQUEST: ("request", "the host set the device's requested size"),
    EventKind.REFUSED: ("offline-refused", "blocks could not go offline"),
    EventKind.FAILED: ("failed", "a request of the host or an addition failed"),
    EventKind.OOM: ("out-of-memory", "the guest ran out of memory"),
    EventKind.DEVICE: ("attached", "a device was attached"),
    EventKind.DEATH: ("death", "the guest died"),
}
"""By kind of event: the word in the column ``event``, and what happened."""

GONE: Final = ("gone", "a device is gone")

EVENTS: Final = TableLayout(
    "events",
    "one event, in order of simulated time",
    (
        Column("t_s", "double", "s", "simulated time"),
        Column("event", "string", "-", "what happened; see the words below"),
        Column("device", "string", "-", "the device's id; empty for none, such as boot memory"),
        Column("node", "int64", "-", "the device's NUMA node"),
        Column("block", "int64", "-", "number of the first memory block, N of /sys/devices/system/memory/memoryN"),
        Column("blocks", "int64", "1", "memory blocks from there on"),
        Column("address", "int64", "B", "where the first of them begins"),
        Column("zone", "string", "-", "zone that they went to, left or stay in; empty for none"),
        Column("change_bytes", "int64", "B", "change of what is plugged of the device"),
        Column("plugged_bytes", "int64", "B", "what is plugged of the device after the event"),
        Column("requested_bytes", "int64", "B", "request: what the host wants of the device from now on"),
        Column("error", "string", "-", "failed: the error, such as ENOMEM"),
        Column("cause", "string", "-", f"out-of-memory, death: {', '.join(kind.shown for kind in OomKind)}"),
        Column("available_bytes", "int64", "B", "out-of-memory, death: MemAvailable at that moment"),
    ),
)


def _in_bytes(columns: Sequence[SeriesColumn]) -> tuple[Column, ...]:
    return tuple(
        Column(_name(column), "double", "s", column.formula)
        if column.unit == "us"
        else Column(_name(column), "int64", "B", column.formula)
        for column in columns
    )


def _name(column: SeriesColumn) -> str:
    """Return what a column is called outside: times are in seconds there, and pages in bytes."""
    return f"{column.name.removesuffix('_us')}_s" if column.unit == "us" else f"{column.name}_bytes"


SERIES: Final = TableLayout(
    "series", "one step of the step series; values hold until the next row", _in_bytes(SERIES_COLUMNS)
)

GUEST: Final = TableLayout(
    "guest",
    "one sample of what a modelled guest looks like inside; values hold until the next row",
    _in_bytes(GUEST_COLUMNS),
)

EXPORTED: Final = {table.name: table for table in (EVENTS, SERIES, GUEST)}
"""All tables by name."""


def rows_of(result: RunResult, table: str) -> Iterator[Row]:
    """Yield the rows of a table of :data:`EXPORTED`; what a row does not have is None. There may be none of a guest."""
    if table == EVENTS.name:
        return _events(result)
    if table == SERIES.name:
        series = run_series(result)
        arrays = {column.name: getattr(series, column.name) for column in SERIES_COLUMNS}
        return _steps(arrays, SERIES_COLUMNS, result.page_size)
    return _steps(result.guest, GUEST_COLUMNS, result.page_size) if result.guest else iter(())


def _steps(
    arrays: Mapping[str, npt.NDArray[np.int64]], columns: Sequence[SeriesColumn], page_size: int
) -> Iterator[Row]:
    names = [_name(column) for column in columns]
    for start in range(0, len(arrays["t_us"]), AT_ONCE):
        parts = [(column.unit, arrays[column.name][start : start + AT_ONCE]) for column in columns]
        outside = [
            [us_to_seconds(value) for value in part.tolist()] if unit == "us" else (part * page_size).tolist()
            for unit, part in parts
        ]
        for values in zip(*outside, strict=True):
            yield dict(zip(names, values, strict=True))


def _events(result: RunResult) -> Iterator[Row]:
    block_bytes = result.block_pages * result.page_size
    plugged = [0] * len(result.device_names)
    for start in range(0, len(result.events), AT_ONCE):
        part = result.events[start : start + AT_ONCE]
        signs = PLUGGED_SIGN[part[:, 1]].tolist()
        for (t_us, kind, device, block, count, zone, pages), sign in zip(part.tolist(), signs, strict=True):
            row: Row = dict.fromkeys(_NAMES)
            row["t_s"] = us_to_seconds(t_us)
            row["event"] = _WORDS[kind] if kind != EventKind.DEVICE or count == ATTACHED else GONE[0]
            if device != NO_DEVICE:
                plugged[device] += sign * pages
                row |= {"device": result.device_names[device], "node": result.device_nodes[device]}
                row["plugged_bytes"] = plugged[device] * result.page_size
            if kind <= EventKind.SUBUNPLUG or kind == EventKind.REFUSED:
                row |= {"block": block, "blocks": count, "address": block * block_bytes}
                row["zone"] = None if zone == NO_ZONE else ZONE_LABELS[zone]
                row["change_bytes"] = sign * pages * result.page_size
            elif kind == EventKind.REQUEST:
                row["requested_bytes"] = pages * result.page_size
            elif kind == EventKind.FAILED:
                row["error"] = NAMES.get(zone, str(zone))
            elif kind != EventKind.DEVICE:
                row |= {"cause": OomKind(zone).shown, "available_bytes": pages * result.page_size}
            yield row


_NAMES: Final = tuple(column.name for column in EVENTS.columns)
_WORDS: Final = {int(kind): word for kind, (word, _) in KINDS.items()}
