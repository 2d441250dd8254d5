"""What the host's files say together: boot memory, nodes, and each memory device with a place to lie."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec, impossible, span
from sim.machine.address_map import LinuxNodes
from sim.machine.device_memory import DeviceMemory
from sim.memory.errors import HotplugError
from sim.readers.facts import HOST_KINDS, QEMU
from sim.snapshot.account import Assumed, Left, source
from sim.units import MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.devices.specs import DeviceSpec
    from sim.machine.spec import MachineSpec
    from sim.readers.facts import DeviceFacts, Facts, NodeFacts
    from sim.snapshot.evidence import Evidence, Said

_PERSISTENT: Final = ("nvdimm", "virtio-pmem")
_USUAL_DEVICE_BLOCK: Final = 2 * MIB


class HostDevice(NamedTuple):
    """A device as the host has it, and the file that says so."""

    facts: DeviceFacts
    file: str


@dataclass(slots=True)
class HostSide:
    """What the host says: ``boot_memory`` in bytes, ``cells`` by the host's numbers, ``devices`` in its order.

    ``file`` is the first of its files, for messages; ``machine_type`` is QEMU's name of the machine (``pc-q35-9.2``).
    """

    file: str
    boot_memory: Said | None = None
    cells: tuple[NodeFacts, ...] = ()
    devices: list[HostDevice] = field(default_factory=list)
    machine_type: str | None = None


def host_side(evidence: Evidence) -> HostSide | None:
    """Return what the host's files say; None without any. Adds what contradicts to the evidence's faults."""
    if not evidence.of_host():
        return None
    boot_memory = evidence.one("boot_memory", "boot memory", format_size)
    cells: tuple[NodeFacts, ...] = ()
    for each in evidence.facts:
        if each.kind in HOST_KINDS and each.nodes:
            cells = cells or each.nodes
    machine_type = evidence.first("machine_type")
    file = next(each.file for each in evidence.facts if each.kind in HOST_KINDS)
    return HostSide(file, boot_memory, cells, _devices(evidence), None if machine_type is None else machine_type.value)


def _devices(evidence: Evidence) -> list[HostDevice]:
    """Return each device once: where QEMU itself was asked, what it has counts, and the XML adds what it left out."""
    asked = [each for each in evidence.facts if each.kind == QEMU and each.devices]
    described = [each for each in evidence.facts if each.kind != QEMU and each.devices]
    for each in (*asked[1:], *described[1:]):
        first = asked[0] if each.kind == QEMU else described[0]
        evidence.account.left.append(Left(each.file, f"its memory devices: those of {first.file} are taken"))
    if not asked:
        return [HostDevice(device, each.file) for each in described[:1] for device in each.devices]
    running = [HostDevice(device, each.file) for each in asked[:1] for device in each.devices]
    if not described:
        return running
    other = described[0]
    left = list(other.devices)
    merged = []
    for device in running:
        match = _match(device.facts, left)
        if match is None:
            evidence.account.conflicts.append(
                f"{device.facts.id} is in {device.file} and not in {other.file}: it is taken as attached"
            )
            merged.append(device)
            continue
        left.remove(match)
        merged.append(HostDevice(_joined(device, match, other, evidence), device.file))
    for device_facts in left:
        evidence.account.conflicts.append(
            f"{device_facts.id} is in {other.file} and not in {running[0].file}: it is taken as not attached"
        )
    return merged


def _match(device: DeviceFacts, others: Sequence[DeviceFacts]) -> DeviceFacts | None:
    alike = [other for other in others if other.kind == device.kind]
    by_name = (other for other in alike if other.id == device.id)
    by_place = (other for other in alike if other.address is not None and other.address == device.address)
    return next(by_name, None) or next(by_place, None)


def _joined(device: HostDevice, other: DeviceFacts, described: Facts, evidence: Evidence) -> DeviceFacts:
    joined = device.facts
    for name in ("size", "node", "address", "block_size", "slot"):
        here, there = getattr(joined, name), getattr(other, name)
        if here is None:
            joined = joined._replace(**{name: there})
        elif there is not None and there != here:
            write = str if name in ("node", "slot") else hex if name == "address" else format_size
            evidence.account.conflicts.append(
                f"{name} of {joined.id}: {write(here)} ({device.file}); {write(there)} ({described.file}). The first is"
                " taken"
            )
    return joined


def placed(
    host: HostSide, machine: MachineSpec, evidence: Evidence, *, linux_nodes: bool = True
) -> list[tuple[DeviceSpec, HostDevice]]:
    """Return a description of each device, with its address, on the node by Linux's number or by the host's.

    ``machine`` is the one that the host describes, without devices. Addresses that no file gives are those that QEMU
    hands out, in the order of the files; said as assumed.
    """
    area = DeviceMemory(machine)
    nodes = LinuxNodes(machine)
    found: dict[int, DeviceSpec] = {}
    order = sorted(range(len(host.devices)), key=lambda number: host.devices[number].facts.address is None)
    chosen = []
    for number in order:
        device = host.devices[number]
        spec = _spec(device, nodes, evidence)
        if spec is None:
            continue
        if not linux_nodes:
            spec = replace(spec, node=device.facts.node or 0)
        try:
            address = _place(area, spec)
        except HotplugError as error:
            evidence.account.conflicts.append(
                f"{spec.id} ({device.file}, {device.facts.where}) cannot be where it is said to be: {error.reason}. It"
                " is left out"
            )
            continue
        if spec.address is None:
            chosen.append(f"{spec.id} at {address:#x}")
        found[number] = replace(spec, address=address)
    if chosen:
        evidence.account.assumed.append(
            Assumed(
                f"addresses of devices as QEMU hands them out in the order of the file: {', '.join(chosen)}",
                "give the XML of the running domain (virsh dumpxml) or info memory-devices",
            )
        )
    return [(found[number], host.devices[number]) for number in sorted(found)]


def _place(area: DeviceMemory, spec: DeviceSpec) -> int:
    return area.attach(
        spec.id,
        span(spec),
        align=spec.block_size if isinstance(spec, VirtioMemSpec) else 1,
        address=spec.address,
        in_slot=isinstance(spec, DimmSpec),
        slot=spec.slot if isinstance(spec, DimmSpec) else None,
    )


def _spec(device: HostDevice, nodes: LinuxNodes, evidence: Evidence) -> DeviceSpec | None:
    """Return the description of a device; None, said, for kinds that add no system memory."""
    facts, account = device.facts, evidence.account
    size = facts.size or 0
    own = facts.node or 0
    node = nodes.of_device(own, dax=facts.kind in _PERSISTENT)
    where = source(device.file, facts.where)
    if facts.kind not in ("dimm", "virtio-mem", *_PERSISTENT):
        account.left.append(Left(where, f"devices of kind {facts.kind!r} are not modelled"))
        return None
    if node is None:
        evidence.faults.add(
            f"{where}: {facts.id} is on node {own}, and no file tells of such a node: lsmem's output, libvirt's XML or"
            " QEMU's command line would"
        )
        return None
    if facts.kind == "dimm":
        return DimmSpec(facts.id, size, node, facts.address, facts.slot)
    if facts.kind in _PERSISTENT:
        account.left.append(
            Left(where, f"{facts.id} keeps its addresses; its memory is the guest's only where dax/kmem has it")
        )
        return DaxSpec(facts.id, size, node, facts.address)
    block = facts.block_size
    if block is None:
        block = _USUAL_DEVICE_BLOCK
        account.assumed.append(
            Assumed(f"{facts.id} is plugged in blocks of {format_size(block)}", "block_size in the state's devices")
        )
    requested = facts.requested if facts.requested is not None else facts.plugged or 0
    spec = VirtioMemSpec(facts.id, size, node, block, requested, facts.address)
    for wrong in impossible(spec):
        evidence.faults.add(f"{where}: {facts.id} {wrong}")
    return spec
