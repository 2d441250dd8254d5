"""Logs of host requests: a CSV file that says what was asked of which device, and when.

A row is one request; rows stand in order of time. General rules (comments, quotes, gzip) as in
:mod:`workloads.parts.table`. Columns, in any order; the first three must be there, of the others those that are needed:

``t_s``
    Seconds since the guest booted, or since any other moment: the replay's time 0.
``op``
    ``plug`` (a DIMM or dax device is plugged, a virtio-mem device attached), ``unplug`` (a DIMM or dax device is asked
    back), ``resize`` (a virtio-mem device gets a new requested size), ``demand`` (a load in the guest uses so much).
``device``
    The device's id, or the load's name with ``demand``.
``kind``
    With ``plug``: ``dimm``, ``virtio-mem`` or ``dax``. With ``demand``: the kind of load, a word of the guest model.
``size_bytes``
    With ``plug``: the size of a DIMM or dax device; the first requested size of a virtio-mem device (empty: 0).
    With ``resize``: the requested size. With ``demand``: what the load uses from now on.
``node``
    With ``plug``: the NUMA node (empty: 0).
``block_bytes``
    With ``plug`` of a virtio-mem device: its block size (empty: 2 MiB).
``max_bytes``
    With ``plug`` of a virtio-mem device: the size of its region, needed.
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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.devices.specs import DaxSpec, DeviceSpec, DimmSpec, VirtioMemSpec
from sim.faults import shown
from sim.plugins.parameter_types import Name, Seconds, Size, Word
from sim.plugins.parameters import Checker
from sim.units import MIB, PAGE_SIZE, format_size, parse_size, seconds_to_us
from workloads.parts.parameters import NODE, DeviceBlock
from workloads.parts.table import TableFaults, read_text, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REQUIRED: Final = ("t_s", "op", "device")
OPTIONAL: Final = ("kind", "size_bytes", "node", "block_bytes", "max_bytes", "note")
OPS: Final = ("plug", "unplug", "resize", "demand")
KINDS: Final = ("dimm", "virtio-mem", "dax")

_USED: Final = {
    "plug": {"kind", "size_bytes", "node", "block_bytes", "max_bytes"},
    "unplug": set[str](),
    "resize": {"size_bytes"},
    "demand": {"kind", "size_bytes"},
}
_ONLY_VIRTIO_MEM: Final = ("block_bytes", "max_bytes")
_LONGEST_NUMBER: Final = 30


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``op`` for ``device`` at ``t_us`` microseconds.

    ``spec`` describes the device of a plug, ``size`` is the requested size or the demand in bytes, ``kind`` the kind of
    load of a demand; each is empty with other operations.
    """

    t_us: int
    op: str
    device: str
    spec: DeviceSpec | None = None
    size: int = 0
    kind: str = ""


def read_request_log(path: Path, parameter: str = "path") -> list[Request]:
    """Return the requests of the log at ``path``, in order.

    Raises :class:`~sim.plugins.parameters.ParameterError` with all faults of the file at once, each as
    "``parameter``: file, line: what is wrong".
    """
    faults = TableFaults(parameter, path.name)
    reader = _Reader(faults)
    requests = [
        request
        for line, row in rows(read_text(path, faults), REQUIRED, OPTIONAL, faults)
        if (request := reader.request(line, row)) is not None
    ]
    faults.done()
    if not requests:
        faults.add(0, "holds no request")
        faults.done()
    return requests


class _Reader:
    """Turns rows into requests and keeps track of what is plugged, so that rows can be checked against those before."""

    def __init__(self, faults: TableFaults) -> None:
        self._faults = faults
        self._last_us = 0
        self._plugged: dict[str, DeviceSpec] = {}
        # Devices of which a row was faulty: later rows cannot be judged and are not blamed for it.
        self._unclear: set[str] = set()
        self._requests: dict[str, Callable[[int, str, dict[str, str], Checker], Request | None]] = {
            "plug": self._plug,
            "unplug": self._unplug,
            "resize": self._resize,
            "demand": self._demand,
        }

    def request(self, line: int, row: dict[str, str]) -> Request | None:
        """Return the request of a row, or None with its faults told."""
        check = Checker()
        request = self._checked(row, check)
        for fault in check.faults:
            self._faults.add(line, fault)
        if check.faults:
            self._unclear.add(row["device"])
            return None
        return request

    def _checked(self, row: dict[str, str], check: Checker) -> Request | None:
        t_us = self._time(row["t_s"], check)
        op = check.take("op", row["op"], Word(OPS), OPS[0])
        device = check.take("device", row["device"], Name(), "")
        if check.faults:
            return None
        for column in OPTIONAL:
            if column != "note" and row.get(column) and column not in _USED[op]:
                check.fault(column, f"must be empty with {op}, but is {shown(row[column])}")
        return self._requests[op](t_us, device, row, check)

    def _time(self, text: str, check: Checker) -> int:
        try:
            t_us = seconds_to_us(check.take("t_s", float(text), Seconds(zero=True), 0.0))
        except ValueError:
            check.fault("t_s", f"must be a number of seconds, but is {shown(text)}")
            return self._last_us
        if t_us < self._last_us:
            check.fault("t_s", f"must not be before the row above ({self._last_us / 1e6:g}), but is {shown(text)}")
        self._last_us = max(t_us, self._last_us)
        return t_us

    def _plug(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> Request | None:
        if device in self._plugged and device not in self._unclear:
            check.fault("device", f"{shown(device)} is plugged already")
        kind = check.take("kind", row.get("kind", ""), Word(KINDS), KINDS[0])
        node = check.take("node", _integer(row.get("node") or "0", "node", check), NODE, 0)
        spec: DeviceSpec
        if kind == "virtio-mem":
            spec = _virtio_mem(device, node, row, check)
        else:
            for column in _ONLY_VIRTIO_MEM:
                if row.get(column):
                    check.fault(column, f"must be empty with a {kind} device, but is {shown(row[column])}")
            size = _bytes(row, "size_bytes", check)
            spec = (DimmSpec if kind == "dimm" else DaxSpec)(id=device, size=size, node=node)
        if check.faults:
            return None
        self._plugged[device] = spec
        self._unclear.discard(device)
        return Request(t_us, "plug", device, spec=spec)

    def _unplug(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> Request | None:
        spec = self._plugged.get(device)
        if device not in self._unclear:
            if spec is None:
                check.fault("device", f"{shown(device)} is not plugged")
            elif isinstance(spec, VirtioMemSpec):
                check.fault("op", f"virtio-mem device {shown(device)} cannot be unplugged; resize it to 0")
        if check.faults:
            return None
        self._plugged.pop(device, None)
        return Request(t_us, "unplug", device)

    def _resize(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> Request | None:
        spec = self._plugged.get(device)
        if device in self._unclear:
            return None
        if spec is None:
            check.fault("device", f"{shown(device)} is not plugged")
            return None
        if not isinstance(spec, VirtioMemSpec):
            check.fault("op", f"{shown(device)} is no virtio-mem device; only those can be resized")
            return None
        size = _bytes(row, "size_bytes", check, zero=True, unit=spec.block_size)
        _within(size, spec.max_size, check)
        return Request(t_us, "resize", device, size=size)

    def _demand(self, t_us: int, device: str, row: dict[str, str], check: Checker) -> Request:
        kind = check.take("kind", row.get("kind", ""), Name(), "")
        amount = _bytes(row, "size_bytes", check, zero=True, unit=1)
        return Request(t_us, "demand", device, size=amount, kind=kind)


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


def _bytes(row: dict[str, str], column: str, check: Checker, *, zero: bool = False, unit: int = PAGE_SIZE) -> int:
    """Return the size in ``column``, which must be there and a multiple of ``unit``."""
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
