"""Requests written as a log, CSV or JSONL: :func:`workloads.parts.requests.log.read_request_log` reads it back."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.faults import Fault, InputError, shown
from sim.units import MIB, seconds_text, us_to_seconds
from workloads.parts.requests.columns import NAMES, REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sim.devices.specs import DeviceSpec
    from workloads.parts.requests.request import Request

Value = str | int | float | bool


def row_of(request: Request) -> dict[str, Value]:
    """Return the row that says the same as ``request``: by column, without those that would be empty."""
    row: dict[str, Value] = {"t_s": us_to_seconds(request.t_us), "op": request.op}
    if request.device:
        row["device"] = request.device
    if request.spec is not None:
        row |= _plug(request.spec)
    elif request.op == "resize":
        row["size_bytes"] = request.size
    elif request.op == "demand":
        row |= {"kind": request.kind, "size_bytes": request.size}
        if request.wanted is not None:
            row["wanted_bytes"] = request.wanted
        if request.node:
            row["node"] = request.node
    elif request.state:
        row["state"] = int(request.state) if request.op == "drop-caches" else request.state
    if request.turn:
        row["turn"] = request.turn
    if request.refused:
        row["refused"] = True
    return row


def _plug(spec: DeviceSpec) -> dict[str, Value]:
    row: dict[str, Value] = {}
    if isinstance(spec, VirtioMemSpec):
        row |= {"kind": "virtio-mem", "size_bytes": spec.requested, "max_bytes": spec.max_size}
        differs: list[tuple[str, Value, Value]] = [
            ("block_bytes", spec.block_size, 2 * MIB),
            ("unplug_online", spec.unplug_online, True),
            ("force_bbm", spec.force_bbm, False),
            ("bbm_block_bytes", spec.bbm_block_size, 0),
        ]
    else:
        sizes = "+".join(str(size) for size in spec.ranges)
        row |= {"kind": "dimm" if isinstance(spec, DimmSpec) else "dax", "size_bytes": sizes or spec.size}
        differs = [("gap_bytes", spec.gap, 0)] if len(spec.ranges) > 1 else []
    if isinstance(spec, DaxSpec):
        differs += [("bytes_for_pages", spec.bytes_for_pages, False), ("self_host", spec.self_host, False)]
    row |= {name: value for name, value, usual in [("node", spec.node, 0), *differs] if value != usual}
    row |= {} if spec.address is None else {"address": spec.address}
    return row if not isinstance(spec, DimmSpec) or spec.slot is None else {**row, "slot": spec.slot}


def csv_lines(requests: Sequence[Request], source: str) -> Iterator[str]:
    """Yield the lines of a CSV file of ``requests``, each with its end; columns that no row needs are left out.

    Raises InputError of ``source`` for a name that a row of CSV cannot hold.
    """
    rows = [_named(row_of(request), source, "\r\n", blanks=True) for request in requests]
    used = {name for row in rows for name in row}
    columns = [name for name in NAMES if name in REQUIRED or name in used]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for fields in [columns, *([_as_text(name, row.get(name)) for name in columns] for row in rows)]:
        writer.writerow(fields)
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def jsonl_lines(requests: Iterable[Request], source: str) -> Iterator[str]:
    """Yield the lines of a JSONL file of ``requests``, each with its end. Raises InputError as :func:`csv_lines`."""
    for request in requests:
        yield json.dumps(_named(row_of(request), source), ensure_ascii=False) + "\n"


def _named(row: dict[str, Value], source: str, not_within: str = "", *, blanks: bool = False) -> dict[str, Value]:
    """Return ``row``. Raises InputError where its name cannot stand there."""
    name = str(row.get("device", "-"))
    fits = not any(character in name for character in not_within) and not (blanks and name != name.strip())
    try:
        name.encode()
    except UnicodeEncodeError:
        fits = False
    if not fits:
        hint = "; JSONL takes it" if not_within else ""
        raise InputError(source, [Fault("device", f"a log in this form cannot hold the name {shown(name)}{hint}")])
    return row


def _as_text(name: str, value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "address":
        return f"{value:#x}"
    return seconds_text(value) if isinstance(value, float) else str(value)
