"""States that recorded kernels were in, and replays that go on from one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from sim.devices.found_sub_blocks import partly_plugged
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.devices.virtio_mem import VirtioMem
from sim.machine.boot_layout import lay_out
from sim.machine.current_state import starting_from
from sim.machine.host import MachineHost
from sim.machine.state import LOST, UNBOUND, AttachedDevice, BlockRun, MachineState, PartlyPlugged, ZoneBounds
from sim.memory.zones import NR_ZONES, ZONE_BY_LABEL
from sim.record.run_result import SEVERAL_ZONES
from sim.replay.kernel_replay import Replay
from sim.replay.recorded_machine import recorded_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.machine.spec import MachineSpec
    from sim.replay.trace_format import DeviceEntry, Snapshot, Trace

_CHANGED = ("online_policy", "auto_movable_ratio", "auto_movable_numa_aware", "auto_online_blocks")


class Hidden(NamedTuple):
    """What a kernel knows and nothing shows: which sub-blocks are plugged, how far a region may be used, left words."""

    partly: dict[str, tuple[PartlyPlugged, ...]]
    usable: dict[str, int]
    left_over: dict[int, int]

    @classmethod
    def of(cls, run: Replay) -> Hidden:
        """Take it from the model as it is now."""
        mem = {name: device for name, device in run.devices.items() if isinstance(device, VirtioMem)}
        partly = {
            name: tuple(PartlyPlugged(*each) for each in sorted(partly_plugged(device.mode).items()))
            for name, device in mem.items()
        }
        usable = {name: device.usable for name, device in mem.items()}
        return cls(partly, usable, dict(run.memory.blocks.left_over))

    def fill_in(self, state: MachineState) -> MachineState:
        """Return the state with what is hidden of its devices."""
        devices = (
            device._replace(partly=self.partly[device.spec.id], usable=self.usable[device.spec.id])
            if device.spec.id in self.partly
            else device
            for device in state.devices
        )
        return replace(state, devices=tuple(devices))


def recorded_state(trace: Trace, at: int) -> MachineState | None:
    """What the recording shows after step ``at``; None where it does not show all that is there.

    Of a dax device of several ranges it does not say where those without blocks are.
    """
    snapshot, size = trace.steps[at].after, trace.memory_block_size
    entries = trace.steps[at].devices or ()
    if snapshot is None or any(entry.ranges for entry in entries):
        return None
    there = {block for run in snapshot.blocks for block in range(run.start, run.start + run.count)}
    devices = tuple(_device(entry, there, trace) for entry in entries if entry.block_count or entry.memaddr is not None)
    at_boot = {block for run in trace.boot.blocks for block in range(run.start, run.start + run.count)}
    for dimm in trace.machine.cold_dimms:
        entry = next(entry for step in trace.steps for entry in step.devices or () if entry.id == dimm.id)
        at_boot -= set(range((entry.addr or 0) // size, ((entry.addr or 0) + dimm.size) // size))
    return MachineState(tuple(_runs(snapshot, at_boot)), _zones(snapshot), devices)


def _runs(snapshot: Snapshot, at_boot: set[int]) -> Iterator[BlockRun]:
    for run in snapshot.blocks:
        state = SEVERAL_ZONES if run.zone == "none" else ZONE_BY_LABEL.get(run.zone or "", NR_ZONES)
        for block in range(run.start, run.start + run.count):
            yield BlockRun(block, 1, run.node or 0, int(state), block in at_boot)


def _zones(snapshot: Snapshot) -> tuple[ZoneBounds, ...]:
    return tuple(
        ZoneBounds(
            zone.node,
            int(ZONE_BY_LABEL[zone.zone]),
            zone.start_pfn,
            zone.spanned_pages,
            zone.present_pages,
            zone.managed_pages,
            zone.cma_pages,
        )
        for zone in snapshot.zones
        if zone.zone in ZONE_BY_LABEL
    )


def _device(entry: DeviceEntry, there: set[int], trace: Trace) -> AttachedDevice:
    size, first, count = trace.memory_block_size, entry.block_start or 0, entry.block_count or 0
    if entry.type == "virtio-mem":
        mem = VirtioMemSpec(
            entry.id,
            entry.max_size or 0,
            entry.node,
            entry.block_size or 0,
            entry.requested_size or 0,
            entry.memaddr,
        )
        return AttachedDevice(mem, entry.size)
    if entry.type == "dimm":
        return AttachedDevice(DimmSpec(entry.id, entry.size or 0, entry.node, entry.addr))
    has_blocks = not there.isdisjoint(range(first, first + count))
    word = entry.dax_state
    if "dax_state" in entry.model_fields_set and word is None:
        word = LOST if has_blocks else UNBOUND
    return AttachedDevice(DaxSpec(entry.id, count * size, entry.node, first * size), state=word)


def machine_at(trace: Trace, state: MachineState) -> MachineSpec:
    machine = replace(
        recorded_machine(trace), block_size=trace.memory_block_size, max_memory=None, slots=4096, firmware_pages=0
    )
    return starting_from(machine, state)


class ReplayFrom(Replay):
    """A replay of the steps after ``at``, from what the recording shows then, and from what is ``hidden``."""

    def __init__(self, trace: Trace, at: int, state: MachineState, hidden: Hidden | None = None) -> None:
        state = state if hidden is None else hidden.fill_in(state)
        machine = machine_at(trace, state)
        layout = lay_out(machine)
        changes = {
            key: value
            for step in trace.steps[: at + 1]
            if step.op == "set_policy"
            for key in _CHANGED
            if (value := step.recorded(key)) is not None
        }
        policy = type(trace.policy).model_validate(trace.policy.model_dump() | changes)
        rest = trace.model_copy(
            update={"boot": trace.steps[at].after, "steps": trace.steps[at + 1 :], "policy": policy}
        )
        super().__init__(rest, memory=layout.memory)
        host = MachineHost(self.context, machine)
        host.boot()
        self.devices.update(host.devices)
        if hidden is not None:
            self.memory.blocks.left_over = dict(hidden.left_over)
