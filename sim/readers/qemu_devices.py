"""QEMU's monitor on memory devices: ``info memory-devices`` as people see it, and ``query-memory-devices`` of QMP.

As ``hw/core/machine-hmp-cmds.c`` prints and ``qapi/machine.json`` describes them (``MemoryDeviceInfo``). Beside them
stand the two figures of ``info memory_size_summary`` and ``query-memory-size-summary``: boot memory, and what devices
add to it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from sim.faults import Fault, Faults, InputError, shown
from sim.readers.bounds import no_node, whole_number
from sim.readers.facts import QEMU, DeviceFacts, Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DEVICE = re.compile(r'\s*Memory device \[([^\]]*)\]: "(.*)"\s*')
_PROPERTY = re.compile(r"\s*([a-z-]+):\s*(\S.*?)?\s*")
_SUMMARY = re.compile(r"\s*(base|plugged) memory:\s*([0-9]+)\s*")
_NO_DEVICES = re.compile(r'\s*\{\s*"return"\s*:\s*\[\s*\]')
_MOST_DOCUMENTS: Final = 1000

_FIELDS: Final = {
    "addr": "address",
    "memaddr": "address",
    "slot": "slot",
    "node": "node",
    "size": "size",
    "max-size": "size",
    "block-size": "block_size",
    "requested-size": "requested",
}
"""What is taken of a device, by QEMU's names. ``size`` of one that has a ``max-size`` says what is plugged of it."""


_LOGGED = re.compile(r'\{\\+"return\\+": ?(?:\[\{\\+"type|\{\\+"base-memory)[^\n]*')
"""An answer within a string: how Kata's runtime logs it."""


def reads_as_memory_devices(text: str) -> bool:
    """Whether ``text`` looks like what the monitor prints of memory devices, for people or as JSON."""
    if _LOGGED.search(text) or _NO_DEVICES.match(text):
        return True
    if '"memdev"' in text or '"base-memory"' in text or '"memaddr"' in text:
        return True
    return any(_DEVICE.fullmatch(line) or _SUMMARY.fullmatch(line) for line in text.splitlines())


def read_memory_devices(text: str, file: str) -> Facts:
    """Return what the monitor says, printed for people or as JSON: answers with or without what is around them.

    Raises InputError with all faults, each with its line, or its place in the JSON.
    """
    facts, faults = Facts(file, QEMU), Faults()
    devices: list[DeviceFacts] = []
    sizes: dict[str, tuple[str, object]] = {}
    if logged := list(_LOGGED.finditer(text)):
        text = "\n" * text.count("\n", 0, logged[-1].start()) + _unescaped(logged[-1][0])
    reader = _answers if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")) else _paragraphs
    for where, kind, values in reader(text, file):
        if kind:
            devices.append(_device(where, kind, values, faults))
        else:
            sizes.update({name: (where, value) for name, value in values.items()})
    facts.devices = tuple(_named(devices))
    if "base-memory" in sizes:
        where, value = sizes["base-memory"]
        facts.boot_memory = _whole("base-memory", value, where, faults)
        facts.places["boot_memory"] = where
    faults.raise_if_any(file)
    return facts


def _unescaped(text: str) -> str:
    """Return the answer that ``text`` begins with, without the backslashes before its quotes."""
    plain = re.sub(r'\\+"', '"', text)
    try:
        return plain[: json.JSONDecoder().raw_decode(plain)[1]]
    except (ValueError, RecursionError):
        return plain


def _paragraphs(text: str, _file: str) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Yield the place, the kind and the values of each device of text; the two sizes have no kind."""
    where, kind = "", ""
    values: dict[str, object] = {}
    for number, line in enumerate(text.splitlines(), 1):
        heading, size = _DEVICE.fullmatch(line), _SUMMARY.fullmatch(line)
        if heading or size:
            if kind:
                yield where, kind, values
            where, kind, values = f"line {number}", "", {}
        if heading:
            kind, values = heading[1] or "?", {"id": heading[2]}
        elif size:
            yield where, "", {f"{size[1]}-memory": size[2]}
        elif kind and (known := _PROPERTY.fullmatch(line)):
            values.setdefault(known[1], known[2] or "")
    if kind:
        yield where, kind, values


def _answers(text: str, file: str) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Yield the same of JSON: of every answer in it, as many as there are one after the other."""
    found = False
    for number, document in enumerate(_documents(text, file)):
        of_document = "" if not number else f"document {number + 1}, "
        answer, path = (document["return"], "return") if _is_answer(document) else (document, "")
        if isinstance(answer, dict) and "base-memory" in answer:
            found = True
            yield f"{of_document}{path or 'base-memory'}", "", answer
        if not isinstance(answer, list):
            continue
        for position, entry in enumerate(answer):
            if isinstance(entry, dict) and isinstance(entry.get("data"), dict):
                found = True
                yield f"{of_document}{path}[{position}]", str(entry.get("type", "?")), entry["data"]
        found = found or not answer
    if not found:
        what = "holds no memory devices: expected the answer of query-memory-devices, a list of type and data"
        raise InputError(file, [Fault("", what)])


def _is_answer(document: object) -> bool:
    return isinstance(document, dict) and "return" in document


def _documents(text: str, file: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position, count = 0, 0
    text = text.lstrip("\ufeff")
    while (position := _next_document(text, position)) < len(text) and count < _MOST_DOCUMENTS:
        try:
            document, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise InputError(file, [Fault(f"line {error.lineno}", f"is no JSON: {error.msg}")]) from error
        except (RecursionError, ValueError) as error:
            what = "is no answer of QEMU: it is nested too deep, or has numbers that are too long"
            raise InputError(file, [Fault(f"line {text.count(chr(10), 0, position) + 1}", what)]) from error
        yield document
        count += 1


def _next_document(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _device(where: str, kind: str, values: Mapping[str, object], faults: Faults) -> DeviceFacts:
    known: dict[str, Any] = {}
    for name, field in _FIELDS.items():
        value = values.get(name)
        if value is None or (name == "size" and "max-size" in values):
            continue
        known[field] = _whole(name, value, where, faults)
    if "max-size" in values and "size" in values:
        known["plugged"] = _whole("size", values["size"], where, faults)
    if known.get("size") is None:
        faults.include([Fault(where, f"the {shown(kind)} has no size")])
    if known.get("node", 0) is not None and known.get("node", 0) < 0:
        del known["node"]
    elif wrong := no_node(known.get("node") or 0):
        faults.include([Fault(where, wrong)])
    return DeviceFacts(str(values.get("id") or ""), kind, **known, where=where)


def _named(devices: list[DeviceFacts]) -> Iterator[DeviceFacts]:
    """Yield the devices, those that were made without an id by their kind and number."""
    taken = {device.id for device in devices}
    for number, device in enumerate(devices):
        if device.id:
            yield device
            continue
        name = f"{device.kind}{number}"
        while name in taken:
            name += "'"
        taken.add(name)
        yield device._replace(id=name)


def _whole(name: str, value: object, where: str, faults: Faults) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    number = whole_number(text)
    if number is None:
        faults.include([Fault(where, f"{name}: {shown(text)} is not a whole number")])
    return number
