"""Rows of a log of host requests, checked one by one, and against those before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sim.devices.specs import (
    DAX_STATES,
    MOST_DIMM_SLOTS,
    ONLINE_WORDS,
    DaxSpec,
    DeviceSpec,
    DimmSpec,
    VirtioMemSpec,
    span,
)
from sim.faults import shown
from sim.pages import PAGE_SIZES, SMALLEST_PAGE
from sim.plugins.parameter_types import Size, Whole
from sim.units import MIB, format_size
from workloads.parts.demand import BYTE_KINDS
from workloads.parts.demand import KINDS as LOAD_KINDS
from workloads.parts.parameters import NODE, DeviceBlock
from workloads.parts.requests.columns import DEVICE_KINDS, NAMES, OF_KIND, OPS, USED
from workloads.parts.requests.fields import Fields
from workloads.parts.requests.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.plugins.parameters import Checker

_MOST_TURNS: Final = 1 << 40
_WITHOUT_DEVICE: Final = {op for op, columns in USED.items() if "device" not in columns}
_ENDS: Final = ("stop", "end")
_WORDS: Final = {"state": DAX_STATES, "online": ONLINE_WORDS}
"""What can be written, by operation."""


class RequestReader:
    """Turns rows into requests and keeps track of what was plugged, so that rows can be checked against those before.

    ``attached`` are devices that are there before the first row. With ``unknown``, there may be others that no row
    plugs: a row that names one is taken as it is.
    """

    def __init__(self, attached: Iterable[DeviceSpec] = (), *, unknown: bool = False) -> None:
        self._unknown = unknown
        self._last = (0, 0)
        """Microsecond and turn of the row above."""
        self._ended = ""
        self._known = {spec.id: spec for spec in attached}
        """Devices that rows have plugged; those that were asked back may be there still."""
        self._there = dict.fromkeys(self._known, True)
        """By device: whether it was not asked back since it was plugged."""
        self._loads: dict[str, tuple[str, bool]] = {}
        """By name: the kind of a load, and whether it uses any memory."""
        self._since: dict[str, int] = {}
        """By device: the microsecond at which it is plugged."""
        # Devices of which a row was faulty: later rows cannot be judged and are not blamed for it.
        self._unclear: set[str] = set()

    def requests(self, row: dict[str, str], check: Checker) -> list[Request]:
        """Return the requests of a row, or none with its faults told to ``check``."""
        requests = self._checked(row, check)
        if check.faults:
            self._unclear.add(row.get("device", ""))
            return []
        return requests

    def takes_plain(self, t_us: int, op: str, device: str, kind: str, size: int) -> bool:
        """Whether a row that says no more than this is sound, as :meth:`requests` would find; it then stands above.

        False, and nothing has changed, where it is not, or has to be looked at more closely.
        """
        last_us, turn = self._last
        if self._ended or t_us < last_us or (turn and t_us == last_us):
            return False
        if op == "resize":
            spec = self._known.get(device)
            if not isinstance(spec, VirtioMemSpec) or kind or device in self._unclear:
                return False
            if size > spec.max_size or size % spec.block_size or t_us < self._since.get(device, 0):
                return False
        elif op == "demand" and kind in LOAD_KINDS:
            uses = size >= (PAGE_SIZES[-1] if kind in BYTE_KINDS else 1)
            if self._loads.get(device, (kind,))[0] != kind:
                return False
            self._loads[device] = kind, uses
        else:
            return False
        if t_us > last_us:
            self._last = (t_us, 0)
        return True

    def _checked(self, row: dict[str, str], check: Checker) -> list[Request]:
        fields = Fields(row, check, as_it_stands=row.get("refused") == "yes")
        t_us = self._time(fields)
        op = Fields(row, check).word("op", OPS)
        device = fields.text("device")
        if check.good("op") and not device and op not in _WITHOUT_DEVICE:
            check.fault("device", "must be a name, but is ''")
        refused = fields.flag("refused", otherwise=False)
        if check.faults:
            return []
        for column in NAMES:
            if column != "note" and row.get(column) and column not in USED[op]:
                check.fault(column, f"must be empty with {op}, but is {shown(row[column])}")
        if self._ended and not (self._ended == "stop" and op == "end"):
            check.fault("op", f"nothing can come after {self._ended}, but here is {op}")
        turn = self._turn(t_us, fields)
        self._ended = op if op in _ENDS else self._ended
        return [
            replace(request, turn=turn, refused=refused) if turn or refused else request
            for request in self._of(op, t_us, device, fields, refused=refused)
        ]

    def _of(self, op: str, t_us: int, device: str, fields: Fields, *, refused: bool) -> list[Request]:
        if op in ("plug", "attached"):
            return self._plug(op, t_us, device, fields, refused=refused)
        if op == "demand":
            return [self._demand(t_us, device, fields, refused=refused)]
        if op == "drop-caches":
            return [Request(t_us, op, "", state=str(fields.whole("state", Whole(0, 3), 3)))]
        if op in _ENDS:
            return [Request(t_us, op, "")]
        spec = None if refused else self._named(t_us, device, fields.check)
        if op == "resize":
            return [self._resize(t_us, device, spec, fields)]
        if op in ("unplug", "keep"):
            return [self._ask_back(op, t_us, device, spec, fields.check, refused=refused)]
        if spec is not None and not isinstance(spec, DaxSpec):
            fields.check.fault("op", f"{shown(device)} is no dax device; there is no {op} of others")
        return [Request(t_us, op, device, state=fields.word("state", _WORDS[op]) if op in _WORDS else "")]

    def _time(self, fields: Fields) -> int:
        t_us = fields.seconds("t_s")
        last_us = self._last[0]
        if not fields.check.good("t_s"):
            return last_us
        if t_us < last_us:
            text = fields.text("t_s")
            fields.check.fault("t_s", f"must not be before the row above ({last_us / 1e6:g}), but is {shown(text)}")
        if t_us > last_us:
            self._last = (t_us, 0)
        return t_us

    def _turn(self, t_us: int, fields: Fields) -> int:
        turn = fields.whole("turn", Whole(0, _MOST_TURNS), 0) or 0
        if turn and fields.text("count"):
            fields.check.fault("turn", "must be empty with a count")
        if t_us == self._last[0]:
            if turn < self._last[1] and fields.check.good("turn"):
                fields.check.fault("turn", f"must not be before that of the row above, {self._last[1]}, but is {turn}")
            self._last = (t_us, max(turn, self._last[1]))
        return turn

    def _plug(self, op: str, t_us: int, device: str, fields: Fields, *, refused: bool) -> list[Request]:
        check = fields.check
        kind = _kind(fields)
        count, wait_us = _how_many(fields)
        names = [device] if count is None else [f"{device}{number}" for number in range(count)]
        if refused:
            return [Request(t_us, op, name, spec=_spec(name, kind, fields)) for name in names]
        for name in names:
            if self._there.get(name) and name not in self._unclear:
                check.fault("device", f"{shown(name)} is plugged already")
        requests = []
        for number, name in enumerate(names):
            spec = _spec(name, kind, fields)
            self._apart(spec, check)
            if check.faults:
                return []
            requests.append(Request(t_us + number * wait_us, op, name, spec=spec))
            self._known[name], self._there[name] = spec, True
            self._since[name] = requests[-1].t_us
            self._unclear.discard(name)
        return requests

    def _apart(self, spec: DeviceSpec, check: Checker) -> None:
        """Blame a device for an address that lies in another one whose address stands in the log."""
        if spec.address is None:
            return
        for other in self._known.values():
            if other.address is None or other.id == spec.id or not self._there[other.id]:
                continue
            if spec.address < other.address + span(other) and other.address < spec.address + span(spec):
                check.fault("address", f"{shown(other.id)} lies from {other.address:#x} on, {format_size(span(other))}")

    def _ask_back(
        self, op: str, t_us: int, device: str, spec: DeviceSpec | None, check: Checker, *, refused: bool
    ) -> Request:
        if isinstance(spec, VirtioMemSpec):
            check.fault("op", f"virtio-mem device {shown(device)} cannot be unplugged; resize it to 0")
        elif op == "unplug" and not refused and not check.faults and device in self._there:
            self._there[device] = False
        return Request(t_us, op, device)

    def _named(self, t_us: int, device: str, check: Checker) -> DeviceSpec | None:
        """Return what was plugged by that name; None, with a fault unless a row before is to blame, where nothing."""
        spec = self._known.get(device)
        if device in self._unclear or (spec is None and self._unknown):
            return None
        if spec is None:
            check.fault("device", f"{shown(device)} is not plugged")
        elif t_us < self._since.get(device, 0):
            check.fault("t_s", f"{shown(device)} is plugged later, at {self._since[device] / 1e6:g}")
        return spec

    def _resize(self, t_us: int, device: str, spec: DeviceSpec | None, fields: Fields) -> Request:
        if spec is not None and not isinstance(spec, VirtioMemSpec):
            fields.check.fault("op", f"{shown(device)} is no virtio-mem device; only those can be resized")
            return Request(t_us, "resize", device)
        unit = 1 if spec is None else spec.block_size
        size = fields.size("size_bytes", Size(zero=True, multiple_of=unit))
        if spec is not None:
            _within(size, spec.max_size, fields.check)
        return Request(t_us, "resize", device, size=size)

    def _demand(self, t_us: int, device: str, fields: Fields, *, refused: bool) -> Request:
        kind = fields.word("kind", LOAD_KINDS)
        amount = fields.size("size_bytes", Size(zero=True))
        wanted = fields.size("wanted_bytes", Size(zero=True)) if fields.text("wanted_bytes") else None
        if fields.check.good("kind", "size_bytes") and not refused:
            uses = amount >= (PAGE_SIZES[-1] if kind in BYTE_KINDS else 1)  # less may be no page
            before, used = self._loads.get(device, (kind, False))
            if before != kind and used and uses:
                fields.check.fault("kind", f"{shown(device)} is {before} in a row above, and cannot be {kind}")
            self._loads[device] = kind, uses
        node = fields.whole("node", NODE, 0) or 0
        return Request(t_us, "demand", device, size=amount, wanted=wanted, kind=kind, node=node)


def _kind(fields: Fields) -> str:
    """Return the kind of device of a plug, other kinds' columns blamed: not even refused can there be any other."""
    kind = Fields({"kind": fields.text("kind")}, fields.check).word("kind", DEVICE_KINDS)
    for column in NAMES if fields.check.good("kind") else ():
        if fields.text(column) and column not in OF_KIND[kind]:
            fields.check.fault(column, f"must be empty with a {kind} device, but is {shown(fields.text(column))}")
    return kind


def _how_many(fields: Fields) -> tuple[int | None, int]:
    """Return how many DIMMs are plugged, None for one that has the row's name, and microseconds between two."""
    if not fields.text("count"):
        if fields.text("interval_s"):
            fields.check.fault("interval_s", "needs a count: it is the time from one DIMM to the next")
        return None, 0
    for column in ("address", "slot"):
        if fields.text(column):
            fields.check.fault(column, "must be empty with a count: no two devices lie at one")
    return fields.whole("count", Whole(1, MOST_DIMM_SLOTS)), fields.seconds("interval_s", "0")


def _spec(device: str, kind: str, fields: Fields) -> DeviceSpec:
    node = fields.whole("node", NODE, 0) or 0
    address = fields.address("address")
    if kind == "virtio-mem":
        return replace(_virtio_mem(device, node, fields), address=address)
    ranges = fields.sizes("size_bytes")
    gap = fields.size("gap_bytes", Size(zero=True, multiple_of=SMALLEST_PAGE), 0)
    if gap and len(ranges) == 1:
        fields.check.fault("gap_bytes", "needs several ranges in size_bytes, such as 1GiB+2GiB")
    parts = ranges if len(ranges) > 1 else ()
    if kind == "dimm":
        slot = fields.whole("slot", Whole(0, MOST_DIMM_SLOTS - 1))
        return DimmSpec(device, sum(ranges), node, address, slot, ranges=parts, gap=gap)
    return DaxSpec(
        device,
        sum(ranges),
        node,
        address,
        bytes_for_pages=fields.flag("bytes_for_pages", otherwise=False),
        self_host=fields.flag("self_host", otherwise=False),
        ranges=parts,
        gap=gap,
    )


def _virtio_mem(device: str, node: int, fields: Fields) -> VirtioMemSpec:
    check = fields.check
    block = fields.size("block_bytes", DeviceBlock(), 2 * MIB)
    # Without a sound block size, nothing can be said about multiples of it.
    unit = block if check.good("block_bytes") else 1
    region = fields.size("max_bytes", Size(multiple_of=unit or 1))
    requested = fields.size("size_bytes", Size(zero=True, multiple_of=unit or 1), 0)
    if check.good("max_bytes") and fields.text("refused") != "yes":
        _within(requested, region, check)
    return VirtioMemSpec(
        id=device,
        max_size=region,
        node=node,
        block_size=block,
        requested=requested,
        unplug_online=fields.flag("unplug_online", otherwise=True),
        force_bbm=fields.flag("force_bbm", otherwise=False),
        bbm_block_size=fields.size("bbm_block_bytes", Size(zero=True), 0),
    )


def _within(requested: int, region: int, check: Checker) -> None:
    if requested > region:
        largest = f"{format_size(region)}, but is {format_size(requested)}"
        check.fault("size_bytes", f"must be at most the device's max_bytes, {largest}")
