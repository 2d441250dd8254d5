"""The devices that are there when a machine's kernel starts, and what can be wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.specs import DimmSpec, impossible, span
from sim.faults import Fault
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.devices.specs import DeviceSpec
    from sim.machine.spec import MachineSpec


def cold_dimm_specs(machine: MachineSpec) -> list[DimmSpec]:
    """Return a description of each of ``cold_dimms``, in order; they are called ``cold0``, ``cold1`` and so on."""
    sizes = [(dimms.size, dimms.node) for dimms in machine.cold_dimms for _ in range(dimms.count)]
    return [DimmSpec(f"cold{number}", size, node) for number, (size, node) in enumerate(sizes)]


def devices_at_first(machine: MachineSpec) -> list[DeviceSpec]:
    """Return all devices that are there when a run of ``machine`` begins, in the order in which they come."""
    of_state = [] if machine.state is None else [device.spec for device in machine.state.devices]
    return [*cold_dimm_specs(machine), *machine.cold_devices, *of_state]


def cold_device_faults(machine: MachineSpec) -> Iterator[Fault]:
    """Yield what is wrong with ``cold_devices`` of a machine whose sizes are right, its other DIMMs considered."""
    names = {f"cold{number}" for number in range(sum(dimms.count for dimms in machine.cold_dimms))}
    there = sum(dimms.count * dimms.size for dimms in machine.cold_dimms) + machine.boot_memory
    slots = len(names)
    for number, spec in enumerate(machine.cold_devices):
        key = f"cold_devices[{number}]"
        if spec.id in names:
            yield Fault(f"{key}.id", f"{spec.id!r} is taken")
        names.add(spec.id)
        yield from (Fault(key, wrong) for wrong in impossible(spec))
        if not 0 <= spec.node < len(machine.nodes):
            yield Fault(f"{key}.node", f"there is no node {spec.node}; the last one is {len(machine.nodes) - 1}")
        slots += isinstance(spec, DimmSpec)
        there += max(0, span(spec))
    if slots > machine.slots:
        yield Fault("cold_devices", f"{slots} DIMMs are more than the machine's slots, {machine.slots}")
    if machine.max_memory is not None and there > machine.max_memory:
        yield Fault("cold_devices", f"with them there are {format_size(there)}, more than max_memory")
