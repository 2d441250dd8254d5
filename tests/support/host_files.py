"""What a host and a guest would print of a machine: libvirt's XML, QEMU's answer, ``/proc/zoneinfo``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sim.machine.spec import MachineSpec
    from sim.readers.facts import ZoneView

    Device = DimmSpec | VirtioMemSpec


def domain_xml(
    machine: MachineSpec, devices: Sequence[Device], plugged: Mapping[str, int] | None = None, *, addresses: bool = True
) -> str:
    """Return the domain's XML: of a running one with what is ``plugged`` by device, and ``addresses``."""
    total = machine.boot_memory + sum(_size(device) for device in devices)
    cells = "".join(
        f"<cell id='{number}' cpus='{number}' memory='{node.boot_memory // KIB}'/>"
        for number, node in enumerate(machine.nodes)
    )
    return (
        f"<domain type='kvm'><maxMemory slots='{machine.slots}'>{(machine.max_memory or 0) // KIB}</maxMemory>"
        f"<memory unit='KiB'>{total // KIB}</memory><os><type arch='x86_64' machine='pc-i440fx-9.2'>hvm</type></os>"
        f"<cpu><numa>{cells}</numa></cpu><devices>"
        + "".join(_memory(device, plugged, addresses=addresses) for device in devices)
        + "</devices></domain>"
    )


def _size(device: Device) -> int:
    return device.size if isinstance(device, DimmSpec) else device.max_size


def _memory(device: Device, plugged: Mapping[str, int] | None, *, addresses: bool) -> str:
    inside = f"<size unit='KiB'>{_size(device) // KIB}</size><node>{device.node}</node>"
    place = ""
    if isinstance(device, VirtioMemSpec):
        inside += f"<block unit='KiB'>{device.block_size // KIB}</block>"
        inside += f"<requested unit='KiB'>{device.requested // KIB}</requested>"
        if plugged is not None:
            inside += f"<current unit='KiB'>{plugged[device.id] // KIB}</current>"
        if addresses:
            inside += f"<address base='{device.address:#x}'/>"
    elif addresses:
        place = f"<address type='dimm' slot='{device.slot}' base='{device.address:#x}'/>"
    model = "dimm" if isinstance(device, DimmSpec) else "virtio-mem"
    return f"<memory model='{model}'><target>{inside}</target><alias name='{device.id}'/>{place}</memory>"


def memory_devices_json(devices: Iterable[Device], plugged: Mapping[str, int]) -> str:
    """Return what ``query-memory-devices`` answers."""
    answer: list[dict[str, Any]] = []
    for device in devices:
        common = {"id": device.id, "node": device.node, "memdev": f"/objects/mem-{device.id}"}
        if isinstance(device, DimmSpec):
            data = {"addr": device.address, "slot": device.slot, "size": device.size, "hotplugged": True}
            answer.append({"type": "dimm", "data": common | data | {"hotpluggable": True}})
        else:
            data = {"memaddr": device.address, "max-size": device.max_size, "requested-size": device.requested}
            sizes = {"size": plugged[device.id], "block-size": device.block_size}
            answer.append({"type": "virtio-mem", "data": common | data | sizes})
    return json.dumps({"return": answer})


def zoneinfo_text(zones: Iterable[ZoneView]) -> str:
    """Return ``/proc/zoneinfo``, without what nobody reads."""
    return "".join(
        f"Node {zone.node}, zone {zone.zone:>8}\n  pages free     {zone.free or 0}\n        min      0\n"
        f"        low      0\n        high     0\n        spanned  {zone.spanned}\n        present  {zone.present}\n"
        f"        managed  {zone.managed or 0}\n        cma      0\n  start_pfn:           {zone.start or 0}\n"
        for zone in zones
    )
