"""QEMU's command line, from ``ps``, a script or libvirt's log: boot memory, the most there may be, nodes and devices.

As QEMU's ``system/vl.c`` and ``util/qemu-option.c`` read it; options as JSON (``-device '{"driver": ...}'``), too.
"""

from __future__ import annotations

import json
import re
import shlex
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from sim.faults import Fault, Faults, InputError, shown
from sim.readers.bounds import whole_number
from sim.readers.facts import QEMU_COMMAND, DeviceFacts, Facts, NodeFacts, Remark
from sim.units import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PROGRAM = re.compile(
    r"(?:\bqemu-(?:system-([a-z0-9_]{2,20})|kvm)\b|(?:^|[\s/'\"])kvm(?=['\"]?[ \t]+(?:\\\r?\n\s*)?-))['\"]?",
    re.MULTILINE,
)
"""Proxmox and a script of Debian's call it ``kvm``; an option behind it tells the program from the word."""

_LONGEST: Final = 1 << 18
_SIZE = re.compile(r"([0-9]{1,15})([bkmgtp]?)", re.IGNORECASE)
_KINDS: Final = {"pc-dimm": "dimm", "nvdimm": "nvdimm", "virtio-mem": "virtio-mem", "virtio-pmem": "virtio-pmem"}
_BUSES: Final = ("-pci", "-device", "-ccw")
_SHARE_STEP: Final = 8 * MIB
"""``numa_default_auto_assign_ram`` of QEMU's ``hw/core/numa.c``."""

_READ: Final = frozenset({"m", "machine", "M", "append", "object", "numa", "device"})


def reads_as_qemu_command(text: str) -> bool:
    """Whether ``text`` holds a command line of QEMU with an amount of memory."""
    start = _PROGRAM.search(text)
    return start is not None and re.search(r"\s-m\s", text[start.end() : start.end() + _LONGEST]) is not None


def read_qemu_command(text: str, file: str) -> Facts:
    """Return what the first command line of QEMU in ``text`` says. Raises InputError with all faults, by option."""
    program = _PROGRAM.search(text)
    start = 0 if program is None else program.end()
    where = f"line {text.count(chr(10), 0, start) + 1}"
    # A command ends where its line ends, unless a backslash says that it goes on.
    ends = re.search(r"(?<!\\)\r?\n", text[start:])
    command = text[start : start + (len(text) if ends is None else ends.start())][:_LONGEST]
    try:
        words = shlex.split(re.sub(r"\\\r?\n", " ", command))
    except ValueError as error:
        raise InputError(file, [Fault(where, f"is no command line: {error}")]) from error
    facts, faults = Facts(file, QEMU_COMMAND, bare_metal=False), Faults()
    if program is not None and program[1]:
        facts.architecture = program[1]
    facts.places = dict.fromkeys(("bare_metal", "architecture"), where)
    _Command(facts, faults, where).read(words)
    faults.raise_if_any(file)
    return facts


class _Command:
    """Reads options into ``facts``."""

    def __init__(self, facts: Facts, faults: Faults, where: str) -> None:
        self._facts = facts
        self._faults = faults
        self._where = where
        self._backends: dict[str, int | None] = {}
        self._nodes: dict[int, NodeFacts] = {}

    def read(self, words: list[str]) -> None:
        """Read all options: what others refer to first."""
        options: dict[str, list[str]] = {name: [] for name in _READ}
        for name, value in _pairs(words):
            options.get(name, []).append(value)
        for value in options["object"]:
            values = _values(value, "qom-type")
            if values.get("qom-type", "").startswith("memory-backend"):
                self._backends[values.get("id", "")] = self._size(f"-object {values.get('id')}", values, "size")
        for value in options["m"]:
            self._read_memory(_values(value, "size"))
        for value in (*options["machine"], *options["M"]):
            self._take("machine_type", _values(value, "type").get("type"))
        for value in options["append"]:
            self._take("cmdline", value)
        for value in options["numa"]:
            self._read_node(_values(value, "type"))
        found = [self._device(_values(value, "driver"), number) for number, value in enumerate(options["device"])]
        self._facts.devices = tuple(device for device in found if device is not None)
        if self._facts.boot_memory is None and not self._faults:
            self._faults.include([Fault(self._where, "has no option -m with the amount of memory")])
        if self._nodes:
            self._share_memory()
            self._take("nodes", tuple(self._nodes[node] for node in sorted(self._nodes)))

    def _read_memory(self, values: Mapping[str, str]) -> None:
        self._take("boot_memory", self._size("-m", values, "size", MIB))
        self._take("max_memory", self._size("-m", values, "maxmem", MIB))
        if "slots" in values:
            self._take("slots", self._number("-m", values, "slots"))

    def _read_node(self, values: Mapping[str, str]) -> None:
        if values.get("type") != "node":
            return
        number = len(self._nodes)
        if "nodeid" in values:
            number = self._number("-numa", values, "nodeid") or 0
        memory = self._size("-numa", values, "mem", MIB) if "mem" in values else self._backend("-numa", values)
        self._nodes[number] = NodeFacts(number, cpus="cpus" in values or None, boot_memory=memory or 0)

    def _share_memory(self) -> None:
        """Give boot memory to nodes as QEMU does where no ``-numa`` says an amount, up to machines of 5.1."""
        total, nodes = self._facts.boot_memory, sorted(self._nodes)
        if not total or any(node.boot_memory for node in self._nodes.values()):
            return
        share = total // len(nodes) // _SHARE_STEP * _SHARE_STEP
        for number in nodes:
            size = total - share * (len(nodes) - 1) if number == nodes[-1] else share
            self._nodes[number] = self._nodes[number]._replace(boot_memory=size)
        if len(nodes) > 1:
            what = f"no amount for any node: QEMU shares -m among them, {format_size(share)} each"
            self._facts.remarks.append(Remark(f"{self._where}, -numa", what))

    def _device(self, values: Mapping[str, str], number: int) -> DeviceFacts | None:
        driver = values.get("driver", "")
        kind = _KINDS.get(next((driver.removesuffix(bus) for bus in _BUSES if driver.endswith(bus)), driver))
        if kind is None:
            return None
        name = values.get("id") or f"{kind}{number}"
        place = f"-device {name}"
        address = {"dimm": "addr", "nvdimm": "addr"}.get(kind, "memaddr")
        return DeviceFacts(
            name,
            kind,
            self._backend(place, values),
            self._number(place, values, "node"),
            self._number(place, values, address),
            self._size(place, values, "block-size"),
            self._size(place, values, "requested-size"),
            slot=self._number(place, values, "slot"),
            where=place,
        )

    def _backend(self, place: str, values: Mapping[str, str]) -> int | None:
        name = values.get("memdev")
        if name is None:
            return None
        if name not in self._backends:
            self._faults.include(
                [Fault(place, f"memdev {shown(name)} is no -object memory-backend-... of this command")]
            )
        return self._backends.get(name)

    def _size(self, place: str, values: Mapping[str, str], key: str, scale: int = 1) -> int | None:
        text = values.get(key)
        if text is None:
            return None
        match = _SIZE.fullmatch(text)
        if match is None:
            return self._number(place, values, key)
        letter = match[2].lower()
        return int(match[1]) * (1 << 10 * "bkmgtp".index(letter) if letter else scale)

    def _number(self, place: str, values: Mapping[str, str], key: str) -> int | None:
        text = values.get(key)
        if text is None:
            return None
        number = whole_number(text)
        if number is None:
            self._faults.include([Fault(place, f"{key}={shown(text)} is not a whole number")])
        return number

    def _take(self, field: str, value: object) -> None:
        if value is not None:
            setattr(self._facts, field, value)
            self._facts.places[field] = self._where


def _pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each option with the word after it; those without a value get what follows, which nobody reads."""
    for word, after in zip_longest(words, words[1:], fillvalue=""):
        if word.startswith("-"):
            yield word.removeprefix("-").removeprefix("-"), after


def _values(text: str, first: str) -> dict[str, str]:
    """Return ``a=1,b=2`` by name, the value without a name under ``first``; or the same as JSON."""
    if text.startswith("{"):
        try:
            found: Any = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
    values: dict[str, str] = {}
    for number, part in enumerate(text.split(",")):
        name, equals, value = part.partition("=")
        values.setdefault(name if equals else first if not number else name, value if equals else part)
    return values
