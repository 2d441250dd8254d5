"""The state that a machine is in: what a run that starts from it would begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.devices.dax import Dax
from sim.devices.found_sub_blocks import partly_plugged
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.devices.virtio_mem import VirtioMem
from sim.machine.address_map import LinuxNodes
from sim.machine.state import LOST, UNBOUND, AttachedDevice, BlockRun, MachineState, PartlyPlugged, ZoneBounds, joined
from sim.memory.blocks import BlockTable
from sim.record.blockmap import state_by_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sim.devices.dimm import Dimm
    from sim.devices.specs import DeviceSpec
    from sim.machine.spec import MachineSpec
    from sim.memory.hotplug import Memory


def state_now(memory: Memory, devices: Iterable[tuple[DeviceSpec, Dimm | Dax | VirtioMem]]) -> MachineState:
    """Return the state of ``memory``, with its ``devices``: each with its description, address and slot filled in.

    A request that a driver is at work on is not part of it, and no word that user space left on a block.
    """
    zones = [
        ZoneBounds(zone.node, zone.type, zone.start, zone.spanned, zone.present, zone.managed, zone.cma)
        for zone in memory.zone_by_code
        if zone is not None and zone.present
    ]
    return MachineState(
        joined(_blocks(memory)), tuple(sorted(zones)), tuple(_attached(spec, device) for spec, device in devices)
    )


def starting_from(machine: MachineSpec, state: MachineState) -> MachineSpec:
    """Return ``machine`` as it starts from ``state``, which it came to: its nodes by the numbers that Linux gives them.

    Nodes that Linux does not know are gone.
    """
    numbers = LinuxNodes(machine).numbers
    known = sorted(numbers, key=lambda own: numbers[own])
    cpus = [spec.cpus if spec.cpus is not None else not own for own, spec in enumerate(machine.nodes)]
    nodes = tuple(replace(machine.nodes[own], cpus=cpus[own]) for own in known)
    return replace(machine, nodes=nodes, cold_dimms=(), state=state)


def _blocks(memory: Memory) -> Iterator[BlockRun]:
    """Yield every block as a run of its own."""
    blocks, states = memory.blocks, state_by_code(memory)
    for block in blocks.ids():
        state, boot = states[blocks.where[block]], bool(blocks.flags[block] & BlockTable.EARLY)
        yield BlockRun(block, 1, blocks.node[block], state, boot)


def _attached(spec: DeviceSpec, device: Dimm | Dax | VirtioMem) -> AttachedDevice:
    match spec:
        case VirtioMemSpec() if isinstance(device, VirtioMem):
            partly = tuple(PartlyPlugged(*each) for each in sorted(partly_plugged(device.mode).items()))
            spec = replace(spec, requested=device.requested)
            return AttachedDevice(spec, device.plugged, device.usable, partly)
        case DaxSpec() if isinstance(device, Dax):
            return AttachedDevice(spec, state=LOST if device.lost else device.state or UNBOUND)
        case DimmSpec() | _:
            return AttachedDevice(spec)
