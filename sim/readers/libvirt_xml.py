"""libvirt's domain XML: boot memory, the most there may be, NUMA cells, memory devices and the kernel's command line.

As https://libvirt.org/formatdomain.html describes it; what ``<memory>`` counts, as ``virDomainDefPostParseMemory`` of
``src/conf/domain_postparse.c`` has it. Read is what ``virsh dumpxml`` prints, running or not, what was written by hand,
and a domain within another document: a snapshot's, or the status that libvirtd keeps.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, Faults, shown
from sim.readers.bounds import MOST_DIGITS, no_node, whole_number
from sim.readers.facts import LIBVIRT, DeviceFacts, Facts, NodeFacts, Remark
from sim.readers.xml_tree import parse_xml
from sim.units import GIB, KIB, MIB, TIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

_UNITS: Final = {
    "b": 1, "bytes": 1,
    "kb": 10**3, "k": KIB, "kib": KIB,
    "mb": 10**6, "m": MIB, "mib": MIB,
    "gb": 10**9, "g": GIB, "gib": GIB,
    "tb": 10**12, "t": TIB, "tib": TIB,
    "pb": 10**15, "p": 1024 * TIB, "pib": 1024 * TIB,
    "eb": 10**18, "e": 1024**2 * TIB, "eib": 1024**2 * TIB,
}  # fmt: skip
"""``virScaleInteger`` of ``src/util/virutil.c``, which looks at no case; a number alone is in KiB."""

_ALIASES: Final = {"virtio-mem": "virtiomem", "virtio-pmem": "virtiopmem", "sgx-epc": "epc"}
"""How ``qemuAssignDeviceMemoryAlias`` begins the names of devices, where not with the model's name."""

_DEVICE_STEP: Final = 2 * MIB
"""``qemuDomainGetMemoryModuleSizeAlignment`` of ``src/qemu/qemu_domain.c``; all other memory is in whole MiB."""

_NO_MACHINES: Final = ("lxc", "openvz", "vz")


def reads_as_libvirt(text: str) -> bool:
    """Whether ``text`` looks like a libvirt domain, alone or in another of its documents."""
    return text.lstrip("\ufeff \t\r\n").startswith("<") and re.search(r"<domain[\s>]", text) is not None


def read_libvirt(text: str, file: str) -> Facts:
    """Return what a domain XML says. Raises InputError with all of its faults; the key of each is a place in it."""
    faults = Faults()
    path, domain = _domain(parse_xml(text, file), faults)
    facts = Facts(file, LIBVIRT)
    if domain is not None:
        _Reader(path, domain, facts, faults).read()
    faults.raise_if_any(file)
    return facts


def _domain(root: Element, faults: Faults) -> tuple[str, Element | None]:
    """Return the domain and its place: the root, or one within a snapshot, a saved image or a status."""
    if root.tag == "domain":
        return "/domain", root
    inner = root.find("domain")
    if inner is None or not len(inner):
        place = f"/{shown(root.tag, quote='')}"
        faults.include([Fault(place, "is no libvirt domain, and holds none: expected <domain>")])
    return f"/{root.tag}/domain", inner


class _Reader:
    """Reads one domain into ``facts``; what is wrong goes to ``faults``, what is not taken to the remarks."""

    def __init__(self, path: str, domain: Element, facts: Facts, faults: Faults) -> None:
        self._path = path
        self._domain = domain
        self._facts = facts
        self._faults = faults
        self._names: dict[str, int] = {}

    def read(self) -> None:
        """Read everything."""
        self._read_kind()
        devices = list(self._devices())
        self._facts.devices = tuple(device for device, _ in devices)
        self._read_cells()
        self._read_sizes(sum(size for _, size in devices))
        self._round_up()
        self._read_os()
        if any(child.tag.endswith("|commandline") for child in self._domain):
            self._remark("qemu:commandline", "arguments that are handed on to QEMU are not read")

    def _read_kind(self) -> None:
        kind = self._domain.get("type")
        if kind in _NO_MACHINES:
            self._fault("", f"a domain of type {kind} is a container: it has no memory that could be plugged")
        elif kind == "xen":
            self._remark("", "Xen's balloon, which adds memory without a device, is not modelled")
        self._take("bare_metal", False, "")  # noqa: FBT003  a field's value
        architecture = self._find("os/type", "arch")
        if architecture is not None:
            self._take("architecture", architecture, "os/type")
        machine_type = self._find("os/type", "machine")
        if machine_type is not None:
            self._take("machine_type", machine_type, "os/type")

    def _read_os(self) -> None:
        cmdline = self._domain.findtext("os/cmdline")
        if cmdline is not None:
            self._take("cmdline", " ".join(cmdline.split()), "os/cmdline")

    def _read_cells(self) -> None:
        cells = self._domain.findall("cpu/numa/cell")
        nodes: dict[int, NodeFacts] = {}
        said = [cell.get("cpus") for cell in cells]
        assigned = sum(map(_count_cpus, filter(None, said)))
        vcpus = self._number("vcpu", self._domain.findtext("vcpu"), missing=assigned)
        for position, cell in enumerate(cells):
            place = _numbered("cpu/numa/cell", position, len(cells))
            node = self._node(f"{place}@id", cell.get("id"), missing=position)
            memory = self._size(f"{place}@memory", cell.get("memory"), cell.get("unit"))
            if node is None or memory is None:
                continue
            if node in nodes:
                self._fault(f"{place}@id", f"there is a cell {node} already")
            # libvirt gives virtual CPUs that no cell lists to the first (virDomainNumaFillCPUsInNode).
            spare = not node and vcpus is not None and vcpus > assigned
            cpus = None if not any(said) else bool(cell.get("cpus")) or spare
            nodes[node] = NodeFacts(node, cpus, memory)
        if nodes:
            self._take("nodes", tuple(nodes[node] for node in sorted(nodes)), "cpu/numa/cell")

    def _read_sizes(self, devices: int) -> None:
        """Read ``memory``, which counts boot memory and all devices in full, and what there may be at most."""
        total = self._sized("memory")
        cells = sum(node.boot_memory or 0 for node in self._facts.nodes)
        if cells:
            self._take("boot_memory", cells, "cpu/numa/cell")
            if total is not None and total != cells + devices:
                self._remark(
                    "memory",
                    f"libvirt counts cells and memory devices here, which are {format_size(cells + devices)}, and it"
                    f" says {format_size(total)}: the cells are taken, as libvirt does when a domain is defined",
                )
        elif total is not None and total <= devices:
            self._fault(
                "memory",
                f"{format_size(total)} leave no boot memory beside memory devices of {format_size(devices)}: it counts"
                " both, the devices in full",
            )
        elif total is not None:
            self._take("boot_memory", total - devices, "memory" + " less all devices/memory" * bool(devices))
        elif not self._faults:
            self._fault("memory", "is missing, and there are no NUMA cells: the domain does not say how much it has")
        most = self._sized("maxMemory")
        if most:
            self._take("max_memory", most, "maxMemory")
            slots = self._number("maxMemory@slots", self._find("maxMemory", "slots"))
            if slots is not None:
                self._take("slots", slots, "maxMemory")
        self._note_balloon(total or cells + devices)

    def _round_up(self) -> None:
        """Round sizes as libvirt does when it starts a domain (``qemuDomainAlignMemorySizes``), and say so."""
        facts = self._facts
        cells = tuple(self._rounded_cell(node) for node in facts.nodes)
        if cells != facts.nodes:
            facts.nodes = cells
            facts.boot_memory = sum(node.boot_memory or 0 for node in cells)
        elif facts.boot_memory is not None:
            facts.boot_memory = self._rounded(facts.boot_memory, MIB, "memory")
        if facts.max_memory is not None:
            facts.max_memory = self._rounded(facts.max_memory, MIB, "maxMemory")
        facts.devices = tuple(
            device._replace(size=self._rounded(device.size, _DEVICE_STEP, device.where.removeprefix(f"{self._path}/")))
            if device.size is not None
            else device
            for device in facts.devices
        )

    def _rounded_cell(self, node: NodeFacts) -> NodeFacts:
        return node._replace(boot_memory=self._rounded(node.boot_memory or 0, MIB, f"cpu/numa/cell {node.node}"))

    def _rounded(self, size: int, step: int, place: str) -> int:
        rounded = -(-size // step) * step
        if rounded != size:
            what = f"libvirt starts {format_size(size)} as {format_size(rounded)}, a multiple of {format_size(step)}"
            self._remark(place, what)
        return rounded

    def _note_balloon(self, total: int) -> None:
        """Say what a balloon holds: of memory that is there at all, part is not the guest's to use.

        ``get_current_ram_size`` of QEMU's ``hw/virtio/virtio-balloon.c`` counts boot memory and DIMMs, to which libvirt
        adds what virtio-mem devices have plugged.
        """
        now = self._sized("currentMemory")
        held_back = sum(
            (device.size or 0) - (device.plugged or 0) for device in self._facts.devices if device.kind != "dimm"
        )
        unknown = any(device.kind == "virtio-mem" and device.plugged is None for device in self._facts.devices)
        if now and not unknown and now < total - held_back:
            self._remark(
                "currentMemory",
                f"a balloon keeps {format_size(total - held_back - now)} of the memory from the guest; it is not"
                " modelled, the guest has all of it",
            )

    def _devices(self) -> Iterator[tuple[DeviceFacts, int]]:
        """Yield each memory device with what libvirt counts of it, which is its whole size."""
        elements = self._domain.findall("devices/memory")
        for position, element in enumerate(elements):
            place = _numbered("devices/memory", position, len(elements))
            kind = element.get("model", "")
            size = self._size(f"{place}/target/size", *_text_and_unit(element.find("target/size")))
            device = self._device(element, place, kind)
            if size is not None:
                yield device._replace(size=size), size

    def _device(self, element: Element, place: str, kind: str) -> DeviceFacts:
        if kind == "nvdimm" and element.find("target/label/size") is not None:
            self._remark(f"{place}/target/label", "an NVDIMM's label area is not taken off its size")
        if element.find("source/pagesize") is not None:
            self._remark(f"{place}/source/pagesize", "the host's page size is not modelled")
        address = element.find("target/address")
        base = None if address is None else address.get("base")
        slot = None
        own = element.find("address")
        if own is not None and own.get("type") == "dimm":
            base = own.get("base") or base
            slot = self._number(f"{place}/address@slot", own.get("slot"))
        alias = element.find("alias")
        return DeviceFacts(
            id=(None if alias is None else alias.get("name")) or self._alias(kind, slot),
            kind=kind,
            node=self._node(f"{place}/target/node", element.findtext("target/node")),
            address=self._number(f"{place}/address@base", base),
            block_size=self._size_within(element, place, "block"),
            requested=self._size_within(element, place, "requested"),
            plugged=self._size_within(element, place, "current"),
            slot=slot,
            where=self._place(place),
        )

    def _alias(self, kind: str, slot: int | None) -> str:
        """Return the name that libvirt gives a device when it starts the domain."""
        number = self._names.get(kind, 0)
        self._names[kind] = number + 1
        return f"{_ALIASES.get(kind, kind)}{number if slot is None else slot}"

    def _size_within(self, element: Element, place: str, name: str) -> int | None:
        found = element.find(f"target/{name}")
        return None if found is None else self._size(f"{place}/target/{name}", *_text_and_unit(found))

    def _sized(self, name: str) -> int | None:
        found = self._domain.find(name)
        return None if found is None else self._size(name, *_text_and_unit(found))

    def _size(self, place: str, text: str | None, unit: str | None) -> int | None:
        number = self._number(place, text)
        if text is None:
            self._fault(place, "is missing: every memory has a size")
        scale = _UNITS.get((unit or "KiB").lower())
        if scale is None:
            self._fault(place, f"{shown(unit)} is no unit that libvirt knows, such as KiB, MiB, GiB or bytes")
            return None
        # libvirt rounds up to whole KiB.
        return None if number is None else -(-number * scale // KIB) * KIB

    def _number(self, place: str, text: str | None, missing: int | None = None) -> int | None:
        if text is None:
            return missing
        number = whole_number(text.strip())
        if number is None:
            self._fault(place, f"{shown(text.strip())} is not a whole number")
        return number

    def _node(self, place: str, text: str | None, missing: int | None = None) -> int | None:
        node = self._number(place, text, missing)
        if node is not None and (wrong := no_node(node)):
            self._fault(place, wrong)
            return None
        return node

    def _find(self, path: str, attribute: str) -> str | None:
        found = self._domain.find(path)
        return None if found is None else found.get(attribute)

    def _take(self, field: str, value: object, place: str) -> None:
        setattr(self._facts, field, value)
        self._facts.places[field] = self._place(place)

    def _place(self, place: str) -> str:
        return f"{self._path}/{place}" if place else self._path

    def _remark(self, place: str, what: str) -> None:
        self._facts.remarks.append(Remark(self._place(place), what))

    def _fault(self, place: str, what: str) -> None:
        self._faults.include([Fault(self._place(place), what)])


def _numbered(path: str, position: int, count: int) -> str:
    """Return the place of one of ``count`` elements, as XPath counts them."""
    return f"{path}[{position + 1}]" if count > 1 else path


def _text_and_unit(element: Element | None) -> tuple[str | None, str | None]:
    return (None, None) if element is None else (element.text or "", element.get("unit"))


def _count_cpus(text: str) -> int:
    """Return how many CPUs a list such as ``0-3,^2,8`` names; what is odd counts nothing."""
    count = 0
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if low.startswith("^"):
            count -= 1
        elif low.isdecimal() and (not high or high.isdecimal()) and len(part) <= MOST_DIGITS:
            count += int(high or low) - int(low) + 1
    return count
