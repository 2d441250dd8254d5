"""Logs of host requests: a CSV or JSONL file that says what was asked of which device, and when.

A row is one request; rows stand in order of time. The columns are those of :data:`workloads.parts.requests.columns`, in
any order; those that a row needs must be there, others that it has no use for must be empty. Sizes are bytes, or
written with a unit as in ``4GiB``. In a JSONL file each line is an object of the same names, without those that would
be empty; numbers may be numbers, and ``yes`` and ``no`` true and false. General rules of CSV (comments, quotes, gzip)
as in :mod:`workloads.parts.table`. A device must be plugged before it is resized or asked back, and asked back before
it is plugged again::

    # An example.
    t_s,op,device,kind,size_bytes,node,block_bytes,max_bytes,note
    0,plug,vmem0,virtio-mem,0,0,2MiB,16GiB,
    5,resize,vmem0,,4GiB,,,,
    5,plug,dimm0,dimm,1GiB,1,,,
    65.5,unplug,dimm0,,,,,,

and one with what the others do not need::

    t_s,op,device,kind,size_bytes,gap_bytes,count,interval_s,state
    0,plug,dimm,dimm,512MiB,,32,0.5,
    20,plug,cxl,dax,1GiB+1.5GiB,512MiB,,,
    30,state,cxl,,,,,,unplugged
    30.5,online,cxl,,,,,,online_movable
    31,unbind,cxl,,,,,,
    40,bind,cxl,,,,,,
    50,unplug,dimm31,,,,,,
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.faults import shown, unknown_name
from sim.plugins.parameters import Checker
from workloads.parts.requests.columns import NAMES, REQUIRED
from workloads.parts.requests.reader import RequestReader
from workloads.parts.table import TableFaults, read_text, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from workloads.parts.requests.request import Request


@dataclass(frozen=True, slots=True)
class RequestLog:
    """What a log says: ``requests`` in order; ``stop`` where who asks ends the run; ``end_us``, its latest end."""

    requests: Sequence[Request]
    stop: Request | None = None
    end_us: int | None = None


def read_request_log(path: Path, parameter: str = "path") -> RequestLog:
    """Return the log at ``path``, which is JSONL where its text begins with ``{``.

    Raises :class:`~sim.plugins.parameters.ParameterError` with all faults of the file at once, each as
    "``parameter``: file, line: what is wrong".
    """
    faults = TableFaults(parameter, path.name)
    reader = RequestReader()
    requests: list[Request] = []
    text = read_text(path, faults)
    is_jsonl = text.lstrip()[:1] == "{"
    for line, row in _objects(text, faults) if is_jsonl else rows(text, REQUIRED, NAMES[len(REQUIRED) :], faults):
        check = Checker()
        requests += reader.requests(row, check)
        for fault in check.faults:
            faults.add(line, fault)
    faults.done()
    ends = {request.op: request for request in requests if request.op in ("stop", "end")}
    asked = [request for request in requests if request.op not in ("stop", "end", "attached")]
    if not asked and "end" not in ends:
        faults.add(0, "holds no request")
        faults.done()
    end = ends.get("end")
    # Those of one row may come later than those of the next; within a moment, rows stand in order.
    asked.sort(key=lambda request: (request.t_us, request.turn))
    return RequestLog(asked, ends.get("stop"), None if end is None else end.t_us)


def _objects(text: str, faults: TableFaults) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the object of each line, its values as a CSV file would hold them, with the line's number."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            pairs = json.loads(line, object_pairs_hook=_Pairs, parse_constant=_no_number)
        except json.JSONDecodeError as error:
            faults.add(number, f"is not a JSON object: {error.msg} (column {error.colno})")
            continue
        except (ValueError, RecursionError) as error:
            faults.add(number, f"is not a JSON object: {error}")
            continue
        if not isinstance(pairs, _Pairs):
            faults.add(number, f"must be a JSON object, but is {shown(pairs)}")
            continue
        row = _row(pairs, number, faults)
        if row is not None:
            yield number, row


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of an object as they stand there."""


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is no number")


def _row(pairs: _Pairs, line: int, faults: TableFaults) -> dict[str, str] | None:
    """Return the row that an object stands for; None, with its faults, where it is none."""
    row: dict[str, str] = {}
    wrong = [f"{name}: is missing" for name in REQUIRED[:2] if all(name != there for there, _ in pairs)]
    for name, value in pairs:
        if name not in NAMES:
            wrong.append(unknown_name("column", name, list(NAMES)))
        elif name in row:
            wrong.append(f"{name}: stands there twice")
        elif isinstance(value, (list, _Pairs)):
            wrong.append(f"{name}: must be a single value")
        row[name] = _as_text(value)
    for sentence in wrong:
        faults.add(line, sentence)
    return None if wrong else row


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else repr(value)
