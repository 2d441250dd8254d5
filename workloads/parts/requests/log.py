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

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.faults import shown, unknown_name
from sim.plugins.parameters import Checker
from sim.traces.content import Kept, signature_or_none
from workloads.parts.requests.columns import NAMES, REQUIRED
from workloads.parts.requests.kept import KeptRequests
from workloads.parts.requests.quick import QuickRows
from workloads.parts.requests.reader import RequestReader
from workloads.parts.table import TableFaults, table, text_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from workloads.parts.requests.request import Request


@dataclass(frozen=True, slots=True)
class RequestLog:
    """What a log says: ``requests`` in order; ``stop`` where who asks ends the run; ``end_us``, its latest end.

    Whoever reads the same log is given the same one, so that nobody may change it.
    """

    requests: KeptRequests
    stop: Request | None = None
    end_us: int | None = None


def read_request_log(path: Path, parameter: str = "path") -> RequestLog:
    """Return the log at ``path``, which is JSONL where its text begins with ``{``.

    Raises :class:`~sim.plugins.parameters.ParameterError` with all faults of the file at once, each as
    "``parameter``: file, line: what is wrong".
    """
    log = _kept.get(path)
    if log is None:
        before = signature_or_none(path)
        log = _read(path, parameter)
        _kept.keep(path, before, log)
    return log


_kept: Final = Kept[RequestLog](2)
"""The last logs: every cell of an experiment asks for the same ones."""


def _read(path: Path, parameter: str) -> RequestLog:
    faults = TableFaults(parameter, path.name)
    log = _Log(faults)
    lines = text_lines(path, faults)
    start = list(_up_to_text(lines))
    lines = itertools.chain(start, lines)
    if start and start[-1].lstrip()[:1] == "{":
        _read_objects(lines, log, faults)
    else:
        columns, rows = table(lines, REQUIRED, NAMES[len(REQUIRED) :], faults)
        quick = QuickRows(columns, log.reader, log.asked)
        for number, fields in rows:
            if not quick.take_fields(fields):
                log.take(number, dict(zip(columns, fields, strict=True)))
    return log.done()


def _up_to_text(lines: Iterator[str]) -> Iterator[str]:
    """Yield the first lines up to the one that is not blank."""
    for line in lines:
        yield line
        if line.strip():
            return


class _Log:
    """Takes rows, one after the other; ``asked`` are the requests among them."""

    def __init__(self, faults: TableFaults) -> None:
        self.reader = RequestReader()
        self.asked = KeptRequests()
        self._faults = faults
        self._ends: dict[str, Request] = {}

    def take(self, line: int, row: dict[str, str]) -> None:
        """Take a row, whatever it says; what is wrong with it is told."""
        check = Checker()
        for request in self.reader.requests(row, check):
            if request.op in ("stop", "end"):
                self._ends[request.op] = request
            elif request.op != "attached":
                self.asked.append(request)
        for fault in check.faults:
            self._faults.add(line, fault)

    def done(self) -> RequestLog:
        """Return the log. Raises ParameterError where anything was wrong."""
        self._faults.done()
        end = self._ends.get("end")
        if not self.asked and end is None:
            self._faults.add(0, "holds no request")
            self._faults.done()
        # Those of one row may come later than those of the next; within a moment, rows stand in order.
        self.asked.sort()
        return RequestLog(self.asked, self._ends.get("stop"), None if end is None else end.t_us)


def _read_objects(lines: Iterable[str], log: _Log, faults: TableFaults) -> None:
    """Take the object of each line, its values as a CSV file would hold them."""
    quick = QuickRows((), log.reader, log.asked)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            pairs = _DECODER.decode(line)
        except json.JSONDecodeError as error:
            faults.add(number, f"is not a JSON object: {error.msg} (column {error.colno})")
            continue
        except (ValueError, RecursionError) as error:
            faults.add(number, f"is not a JSON object: {error}")
            continue
        if not isinstance(pairs, _Pairs):
            faults.add(number, f"must be a JSON object, but is {shown(pairs)}")
            continue
        single = dict(pairs)
        if len(single) == len(pairs) and quick.take_object(single):
            continue
        row = _row(pairs, number, faults)
        if row is not None:
            log.take(number, row)


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of an object as they stand there."""


def _no_number(word: str) -> object:
    raise ValueError(f"{word} is no number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_no_number)


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
