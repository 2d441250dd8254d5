"""Logs of host requests: a CSV file that says what was asked of which device, and when.

A row is one request; rows stand in order of time. General rules (comments, quotes, gzip) as in
:mod:`workloads.parts.table`. Columns, in any order; the first three must be there, of the others those that are needed:

``t_s``
    Seconds since the guest booted, or since any other moment: the replay's time 0.
``op``
    ``plug`` (a DIMM or dax device is plugged, a virtio-mem device attached), ``unplug`` (a DIMM or dax device is asked
    back), ``resize`` (a virtio-mem device gets a new requested size), ``demand`` (a load in the guest uses so much);
    of a dax device, by user space in the guest: ``state`` (a word is written to the device's ``state``; Linux 7.3 and
    later), ``unbind`` (it is unbound from kmem, whatever its blocks are), ``bind`` (it is bound again).
``device``
    The device's id, or the load's name with ``demand``.
``kind``
    With ``plug``: ``dimm``, ``virtio-mem`` or ``dax``. With ``demand``: the kind of load, a word of
    :data:`workloads.parts.demand.KINDS`, the same in all rows of a load.
``size_bytes``
    With ``plug``: the size of a DIMM or dax device, or those of its ranges with ``+`` between them; the first
    requested size of a virtio-mem device (empty: 0).
    With ``resize``: the requested size. With ``demand``: what the load uses from now on (pieces for files, processes,
    pipes and sockets).
``node``
    With ``plug``: the NUMA node (empty: 0).
``block_bytes``
    With ``plug`` of a virtio-mem device: its block size (empty: 2 MiB).
``max_bytes``
    With ``plug`` of a virtio-mem device: the size of its region, needed.
``address``
    With ``plug``: its first byte, such as 0x108000000 (empty: where the machine has room); of a dax device also in boot
    memory that the machine keeps for those.
``gap_bytes``
    With ``plug`` of a DIMM or dax device of several ranges: bytes between two of them (empty: 0).
``count``
    With ``plug`` of a DIMM: how many, whatever the guest does meanwhile (empty: one). They are called by ``device`` and
    a number, from 0 on.
``interval_s``
    With ``count``: seconds from one to the next (empty: 0, all at once).
``state``
    With ``state``: the word, ``unplugged``, ``online``, ``online_kernel`` or ``online_movable``.
``note``
    Anything; not read.

Sizes are bytes, or written with a unit as in ``4GiB``. A field that its row has no use for must be empty. A device must
be plugged before it is resized or asked back, and asked back before it is plugged again::

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
    31,unbind,cxl,,,,,,
    40,bind,cxl,,,,,,
    50,unplug,dimm31,,,,,,
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sim.devices.specs import (
    DAX_STATES,
    MOST_DIMM_SLOTS,
    DaxSpec,
    DeviceSpec,
    DimmSpec,
    VirtioMemSpec,
    span,
)
from sim.faults import shown
from sim.pages import SMALLEST_PAGE
from sim.plugins import values
from sim.plugins.parameter_types import Name, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker
from sim.units import MIB, format_size, parse_size, seconds_to_us
from workloads.parts.demand import KINDS as LOAD_KINDS
from workloads.parts.parameters import NODE, PLACE, DeviceBlock
from workloads.parts.request import Request
from workloads.parts.table import TableFaults, read_text, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

REQUIRED: Final = ("t_s", "op", "device")
OPTIONAL: Final = (
    "kind", "size_bytes", "node", "block_bytes", "max_bytes", "address", "gap_bytes", "count", "interval_s", "state",
    "note",
)  # fmt: skip
OPS: Final = ("plug", "unplug", "resize", "demand", "state", "unbind", "bind")
KINDS: Final = ("dimm", "virtio-mem", "dax")

_USED: Final = {
    "plug": {
        "kind", "size_bytes", "node", "block_bytes", "max_bytes", "address", "gap_bytes", "count", "interval_s",
    },
    "unplug": set[str](),
    "resize": {"size_bytes"},
    "demand": {"kind", "size_bytes"},
    "state": {"state"},
    "unbind": set[str](),
    "bind": set[str](),
}  # fmt: skip
_ONLY: Final = {
    "dimm": {"gap_bytes", "count", "interval_s"},
    "dax": {"gap_bytes"},
    "virtio-mem": {"block_bytes", "max_bytes"},
}
"""By kind: the columns of a plug that not every kind has a use for."""
_LONGEST_NUMBER: Final = 30


def read_request_log(path: Path, parameter: str = "path") -> list[Request]:
    """Return the requests of the log at ``path``, in order.

    Raises :class:`~sim.plugins.parameters.ParameterError` with all faults of the file at once, each as
    "``parameter``: file, line: what is wrong".
    """
    faults = TableFaults(parameter, path.name)
    reader = RequestReader()
    requests: list[Request] = []
    for line, row in rows(read_text(path, faults), REQUIRED, OPTIONAL, faults):
        check = Checker()
        requests += reader.requests(row, check)
        for fault in check.faults:
            faults.add(line, fault)
    # One row may make requests later than the row behind it does.
    requests.sort(key=lambda request: request.t_us)
    faults.done()
    if not requests:
        faults.add(0, "holds no request")
        faults.done()
    return requests


class RequestReader:
    """Turns rows into requests and keeps track of what is plugged, so that rows can be checked against those before.

    ``attached`` are devices that are there before the first row. With ``unknown``, there may be others that no row
    plugs: a row that names one is taken as it is.
    """

    def __init__(self, attached: Iterable[DeviceSpec] = (), *, unknown: bool = False) -> None:
        self._unknown = unknown
        self._last_us = 0
        self._plugged = {spec.id: spec for spec in attached}
        self._loads: dict[str, str] = {}
        """The kinds of loads, by name."""
        self._since: dict[str, int] = {}
        """By device: the microsecond at which it is plugged."""
        # Devices of which a row was faulty: later rows cannot be judged and are not blamed for it.
        self._unclear: set[str] = set()
        self._requests: dict[str, Callable[[int, str, dict[str, str], Checker], list[Request]]] = {
            "plug": self._plug,
            "unplug": self._unplug,
            "resize": self._resize,
            "demand": self._demand,
            "state": self._dax_verb,
            "unbind": self._dax_verb,
            "bind": self._dax_verb,
        }

    def requests(self, row: dict[str, str], check: Checker) -> list[Request]:
        """Return the requests of a row, or none with its faults told to ``check``."""
        requests = self._checked(row, check)
        if check.faults:
            self._unclear.add(row["device"])
            return []
        return requests

    def _checked(self, row: dict[str, str], check: Checker) -> list[Request]:
        t_us = self._time(row["t_s"], check)
        op = check.take("op", row["op"], Word(OPS), OPS[0])
        device = check.take("device", row["device"], Name(), "")
        if check.faults:
            return []
        for column in OPTIONAL:
            if column != "note" and row.get(column) and column not in _USED[op]:
                check.fault(column, f"must be empty with {op}, but is {shown(row[column])}")
        return self._requests[op](t_us, device, row, check)

    def _time(self, text: str, check: Checker) -> int:
        t_us = self._seconds(text, "t_s", check)
        if not check.good("t_s"):
            return self._last_us
        if t_us < self._last_us:
            check.fault("t_s", f"must not be before the row above ({self._last_us / 1e6:g}), but is {shown(text)}")
        self._last_us = max(t_us, self._last_us)
        return t_us

    def _seconds(self, text: str, column: str, check: Checker) -> int:
        """Return the microseconds that ``text`` in ``column`` says in seconds."""
        try:
            return seconds_to_us(check.take(column, float(text), Seconds(zero=True), 0.0))
        except ValueError:
            check.fault(column, f"must be a number of seconds, but is {shown(text)}")
            return 0

    def _plug(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> list[Request]:
        kind = check.take("kind", row.get("kind", ""), Word(KINDS), KINDS[0])
        node = check.take("node", _integer(row.get("node") or "0", "node", check), NODE, 0)
        for column in sorted(set().union(*_ONLY.values()) - _ONLY[kind]) if check.good("kind") else ():
            if row.get(column):
                check.fault(column, f"must be empty with a {kind} device, but is {shown(row[column])}")
        count, wait_us = 1, 0
        if row.get("count"):
            count = check.take("count", _integer(row["count"], "count", check), Whole(1, MOST_DIMM_SLOTS), 1)
            wait_us = self._seconds(row.get("interval_s") or "0", "interval_s", check)
        elif row.get("interval_s"):
            check.fault("interval_s", "needs a count: it is the time from one DIMM to the next")
        if row.get("count") and row.get("address"):
            check.fault("address", "must be empty with a count: no two devices lie at one")
        names = [f"{device}{number}" for number in range(count)] if row.get("count") else [device]
        for name in names:
            if name in self._plugged and name not in self._unclear:
                check.fault("device", f"{shown(name)} is plugged already")
        requests = []
        for number, name in enumerate(names):
            spec = self._spec(name, kind, node, row, check)
            self._apart(spec, check)
            if check.faults:
                return []
            requests.append(Request(t_us + number * wait_us, "plug", name, spec=spec))
            self._plugged[name] = spec
            self._since[name] = t_us + number * wait_us
            self._unclear.discard(name)
        return requests

    def _spec(self, device: str, kind: str, node: int, row: dict[str, str], check: Checker) -> DeviceSpec:
        address = _address(row, check)
        if kind == "virtio-mem":
            return replace(_virtio_mem(device, node, row, check), address=address)
        ranges = tuple(_bytes(row, "size_bytes", check, text=part) for part in row.get("size_bytes", "").split("+"))
        gap = _bytes(row, "gap_bytes", check, zero=True) if row.get("gap_bytes") else 0
        if gap and len(ranges) == 1:
            check.fault("gap_bytes", "needs several ranges in size_bytes, such as 1GiB+2GiB")
        made = DimmSpec if kind == "dimm" else DaxSpec
        parts = ranges if len(ranges) > 1 else ()
        return made(id=device, size=sum(ranges), node=node, address=address, ranges=parts, gap=gap)

    def _apart(self, spec: DeviceSpec, check: Checker) -> None:
        """Blame a device for an address that lies in another one whose address stands in the log."""
        if spec.address is None:
            return
        for other in self._plugged.values():
            if other.address is None or other.id == spec.id:
                continue
            if spec.address < other.address + span(other) and other.address < spec.address + span(spec):
                check.fault("address", f"{shown(other.id)} lies from {other.address:#x} on, {format_size(span(other))}")

    def _unplug(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> list[Request]:
        spec = self._there(t_us, device, check)
        if isinstance(spec, VirtioMemSpec):
            check.fault("op", f"virtio-mem device {shown(device)} cannot be unplugged; resize it to 0")
        if check.faults:
            return []
        self._plugged.pop(device, None)
        return [Request(t_us, "unplug", device)]

    def _there(self, t_us: int, device: str, check: Checker) -> DeviceSpec | None:
        """Return what is plugged by that name; None, with a fault unless a row before is to blame, where nothing is."""
        spec = self._plugged.get(device)
        if device in self._unclear or (spec is None and self._unknown):
            return None
        if spec is None:
            check.fault("device", f"{shown(device)} is not plugged")
        elif t_us < self._since.get(device, 0):
            check.fault("t_s", f"{shown(device)} is plugged later, at {self._since[device] / 1e6:g}")
        return spec

    def _resize(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> list[Request]:
        spec = self._there(t_us, device, check)
        if spec is not None and not isinstance(spec, VirtioMemSpec):
            check.fault("op", f"{shown(device)} is no virtio-mem device; only those can be resized")
            return []
        size = _bytes(row, "size_bytes", check, zero=True, unit=1 if spec is None else spec.block_size)
        if spec is not None:
            _within(size, spec.max_size, check)
        return [Request(t_us, "resize", device, size=size)]

    def _demand(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> list[Request]:
        kind = check.take("kind", row.get("kind", ""), Word(LOAD_KINDS), LOAD_KINDS[0])
        before = self._loads.setdefault(device, kind) if check.good("kind") else kind
        if before != kind:
            check.fault("kind", f"{shown(device)} is {before} in a row above, and cannot be {kind}")
        amount = _bytes(row, "size_bytes", check, zero=True, unit=1)
        return [Request(t_us, "demand", device, size=amount, kind=kind)]

    def _dax_verb(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> list[Request]:
        op, state = row["op"], ""
        spec = self._there(t_us, device, check)
        if spec is not None and not isinstance(spec, DaxSpec):
            check.fault("op", f"{shown(device)} is no dax device; there is no {op} of others")
        if op == "state":
            state = check.take("state", row.get("state", ""), Word(DAX_STATES), DAX_STATES[0])
        return [Request(t_us, op, device, state=state)]


def _virtio_mem(device: str, node: int, row: dict[str, str], check: Checker) -> VirtioMemSpec:
    block = 2 * MIB
    if row.get("block_bytes"):
        size = _bytes(row, "block_bytes", check, unit=1)
        block = check.take("block_bytes", size, DeviceBlock(), block) if check.good("block_bytes") else block
    # Without a sound block size, nothing can be said about multiples of it.
    unit = block if check.good("block_bytes") else 1
    region = _bytes(row, "max_bytes", check, unit=unit)
    requested = _bytes(row, "size_bytes", check, zero=True, unit=unit) if row.get("size_bytes") else 0
    if check.good("max_bytes"):
        _within(requested, region, check)
    return VirtioMemSpec(id=device, max_size=region, node=node, block_size=block, requested=requested)


def _address(row: dict[str, str], check: Checker) -> int | None:
    """Return the address that the row names, None where it names none."""
    text = row.get("address")
    if not text:
        return None
    try:
        return check.take("address", values.address(text), PLACE, 0)
    except ValueError as error:
        check.fault("address", str(error))
        return None


def _bytes(
    row: dict[str, str],
    column: str,
    check: Checker,
    *,
    zero: bool = False,
    unit: int = SMALLEST_PAGE,
    text: str | None = None,
) -> int:
    """Return the size in ``column``, or that in ``text``, a part of it: it must be there and a multiple of ``unit``."""
    if text is None:
        text = row.get(column, "")
    if not text:
        check.fault(column, f"is needed with {row['op']}")
    elif len(text) > _LONGEST_NUMBER:
        check.fault(column, f"{shown(text)} is too long for a size")
    else:
        try:
            return check.take(column, parse_size(text), Size(zero=zero, multiple_of=unit), 0 if zero else unit)
        except ValueError as error:
            check.fault(column, str(error))
    return 0


def _integer(text: str, column: str, check: Checker) -> int:
    if text.isdecimal() and len(text) <= _LONGEST_NUMBER:
        return int(text)
    check.fault(column, f"must be a whole number, but is {shown(text)}")
    return 0


def _within(requested: int, region: int, check: Checker) -> None:
    if requested > region:
        largest = f"{format_size(region)}, but is {format_size(requested)}"
        check.fault("size_bytes", f"must be at most the device's max_bytes, {largest}")
