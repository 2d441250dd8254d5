"""Requests in one line each, as the command line and the workload ``steps`` take them, in the words of a log.

``plug KIND:SIZE[@NODE]`` (``dimm``, ``dax`` or ``virtio-mem``; with ``,id=NAME`` and, as with the columns of a log,
``,address=0x140000000``, ``,gap=SIZE``, ``,block=SIZE``, ``,max=SIZE``), ``resize ID:SIZE``, ``unplug ID``,
``demand KIND:SIZE`` (with ``,id=NAME``). A virtio-mem device without ``max`` has a region of the size that is plugged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.devices.specs import DaxSpec, VirtioMemSpec
from sim.faults import shown, unknown_name
from sim.plugins.parameters import Checker
from sim.units import MIB, format_size
from workloads.parts.requests.reader import RequestReader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sim.devices.specs import DeviceSpec
    from workloads.parts.requests.request import Request

OPS: Final = ("plug", "resize", "unplug", "demand")

_COLUMNS: Final = {"address": "address", "gap": "gap_bytes", "block": "block_bytes", "max": "max_bytes"}
"""What may stand behind a plug, and the column of a log that it is."""
_FORMS: Final = {
    "plug": "KIND:SIZE[@NODE][,id=NAME], such as dimm:16GiB@0",
    "resize": "ID:SIZE, such as vmem0:64GiB",
    "unplug": "ID, such as dimm0",
    "demand": "KIND:SIZE[,id=NAME], such as anonymous:4GiB",
}
_SHORT: Final = {"dimm": "new-dimm", "dax": "new-dax", "virtio-mem": "new-vmem"}
"""What devices without a name are called, with a number behind it: as no machine calls those that it has."""


class StepReader:
    """Reads steps one after the other and knows what those before have plugged; there may be devices beside.

    ``attached`` are such. ``faults`` collects what is wrong, each with the step that it is wrong in.
    """

    def __init__(self, attached: Collection[DeviceSpec] = ()) -> None:
        self._reader = RequestReader(attached, unknown=True)
        self._names = {spec.id for spec in attached}
        self.faults: list[str] = []

    def read(self, op: str, text: str) -> list[Request]:
        """Return the request that the step ``op`` with what it is about, ``text``, makes; none where it is faulty."""
        step = f"{op} {text}"
        if op not in OPS:
            self.faults.append(f"{shown(step)}: {unknown_name('step', op, OPS)}")
            return []
        row, wrong = _row(op, text)
        if row is None:
            self.faults.append(f"{shown(step)}: {wrong}")
            return []
        if op == "plug" and not row["device"]:
            row["device"] = _free_name(_SHORT.get(row["kind"], row["kind"]), self._names)
        check = Checker()
        requests = self._reader.requests(row, check)
        words = [_in_words(fault) for fault in check.faults]
        if not any(option.strip().startswith("max=") for option in text.split(",")):
            # Without a maximum it is the size, of which the same would be said again.
            others = [what for what in words if not what.startswith("max: ")]
            words = others if others or not words else ["a device that has nothing yet needs max=, such as max=64GiB"]
        self.faults += [f"{shown(step)}: {what}" for what in words]
        if op == "plug":
            self._names.add(row["device"])
        return requests


def read_steps(steps: Iterable[str]) -> tuple[list[Request], list[str]]:
    """Return the requests of ``steps``, each such as ``"plug dimm:16GiB@0"``, and what is wrong with them."""
    reader = StepReader()
    requests = []
    for step in steps:
        op, _, text = step.strip().partition(" ")
        requests += reader.read(op, text.strip())
    return requests, reader.faults


def written(request: Request) -> str:
    """Return the step that makes ``request``; :func:`read_steps` reads it back."""
    device, spec = request.device, request.spec
    if spec is None:
        amount = {"resize": f"{device}:{format_size(request.size)}", "unplug": device}
        return f"{request.op} {amount.get(request.op) or f'{request.kind}:{format_size(request.size)},id={device}'}"
    if isinstance(spec, VirtioMemSpec):
        text = f"virtio-mem:{format_size(spec.requested)}@{spec.node},max={format_size(spec.max_size)}"
        text += f",block={format_size(spec.block_size)}" * (spec.block_size != 2 * MIB)
    else:
        sizes = "+".join(format_size(size) for size in spec.ranges or (spec.size,))
        kind = "dax" if isinstance(spec, DaxSpec) else "dimm"
        text = f"{kind}:{sizes}@{spec.node}" + f",gap={format_size(spec.gap)}" * bool(spec.gap)
    text += "" if spec.address is None else f",address={spec.address:#x}"
    return f"plug {text},id={device}"


def _row(op: str, text: str) -> tuple[dict[str, str] | None, str]:
    """Return the row of a log that says the same; None, and what is wrong, where the step has not the right form."""
    first, *options = text.split(",")
    row = {"t_s": "0", "op": op, "device": "", "kind": ""}
    if op == "unplug":
        row["device"] = first.strip()
    else:
        what, colon, size = first.rpartition(":")
        if not colon or not what:
            return None, f"is not {op} {_FORMS[op]}"
        size, at, node = size.partition("@")
        if at and (op != "plug" or not node):
            return None, f"is not {op} {_FORMS[op]}"
        row |= {"device" if op == "resize" else "kind": what, "size_bytes": size}
        if at:
            row["node"] = node
    known = {"plug": ("id", *_COLUMNS), "demand": ("id",)}.get(op, ())
    for option in options:
        name, equals, value = option.strip().partition("=")
        if not equals or name not in known:
            allowed = f"behind a comma may stand {', '.join(f'{each}=' for each in known)}" if known else "no comma"
            return None, f"{shown(option)} is not known; {allowed}"
        column = "device" if name == "id" else _COLUMNS[name]
        if not value or row.get(column):
            return None, f"{name}= {'stands there twice' if value else 'says nothing'}"
        row[column] = value
    if op == "demand":
        row["device"] = row["device"] or row["kind"]
    if row["kind"] == "virtio-mem" and op == "plug":
        row.setdefault("max_bytes", row["size_bytes"])
    return row, ""


def _free_name(short: str, taken: Collection[str]) -> str:
    number = 0
    while f"{short}{number}" in taken:
        number += 1
    return f"{short}{number}"


def _in_words(fault: str) -> str:
    """Return a fault of a log's row in the words of a step."""
    for column in ("size", "max", "block", "gap"):
        fault = fault.replace(f"{column}_bytes", column)
    return fault.removeprefix("op: ")
