"""Runs what a recording asked for on the program's own machine: nothing that its kernel or its QEMU did is input.

Boot memory is laid out from the machine's description (:mod:`sim.replay.recorded_machine`), devices get the addresses
that :class:`sim.machine.device_memory.DeviceMemory` gives them, and the guest model decides what can be taken back.
Then all is compared as in a replay, with CMA and where devices lie beside.

Which pageblocks of kernel zones an idle kernel has its few pages in is chance. Where a step differs for nothing else,
it is run once more as recorded (:mod:`sim.replay.following_guest`), and the report names it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sim.faults import InputError
from sim.guest import GuestModel, parameters_for_kernel
from sim.guest.boot import default_boot
from sim.kernel.listener import Listeners
from sim.kernel.worker import settle
from sim.machine.address_map import LinuxNodes
from sim.machine.boot_layout import lay_out
from sim.machine.device_memory import DeviceMemory
from sim.memory.errors import HotplugError
from sim.replay.bystander import Bystander
from sim.replay.following_guest import FollowingGuest
from sim.replay.kernel_replay import Replay
from sim.replay.recorded_guest import RecordedGuest
from sim.replay.recorded_machine import recorded_machine
from sim.replay.report import BOOT, Chance
from sim.replay.trace_format import DeviceEntry, TraceError, read_trace
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sim.replay.report import ReplayReport
    from sim.replay.trace_format import Snapshot, Step, Trace

_NVDIMM_INFO: Final = 2 * MIB
"""Bytes at the start of an NVDIMM that its namespace takes for its info block, so that the dax device is less."""


def free_run(path: Path) -> ReplayReport | None:
    """Run the recording at ``path`` freely; None where it is one of a guest under load, which is not idle.

    Raises TraceError where it cannot be read or makes no sense.
    """
    trace = read_trace(path)
    return None if trace.has_load else run_freely(trace)


def run_freely(trace: Trace) -> ReplayReport:
    """Run the recording freely, with as few steps as recorded as it takes to be as recorded, if it can be at all."""
    chance: dict[int, set[int]] = {}
    run = FreeRun(trace, chance)
    report = run.run()
    while not report.identical:
        first = min(int(str(mismatch["step"])) for mismatch in report.mismatches)
        if first == BOOT or first in chance:
            break
        again = FreeRun(trace, chance | {first: run.kept_by_model.get(first, set())})
        tried = again.run()
        if any(mismatch["step"] == first for mismatch in tried.mismatches):
            break
        chance[first] = run.kept_by_model.get(first, set())
        run, report = again, tried
    return report


class FreeRun(Replay):
    """One free run of a recording.

    ``chance`` are the steps in which refusals are taken from the recording, each with the blocks of which the model
    would have kept something. ``model`` is the guest; ``kept_by_model`` are these blocks of every other step in which
    there were any.
    """

    def __init__(self, trace: Trace, chance: Mapping[int, set[int]] | None = None, *, explain: bool = False) -> None:
        machine = recorded_machine(trace)
        layout = lay_out(machine)
        parameters = replace(parameters_for_kernel(trace.series), geometry=machine.geometry)
        model = GuestModel(parameters, block_pages=layout.memory.block_pages)
        try:
            boot = default_boot(layout.present_zones(), parameters, layout.options)
        except InputError as error:
            raise TraceError(f"{trace.name}: {error}") from error
        for entry in boot:
            layout.memory.zone(entry.node, entry.zone).managed = entry.managed
        model.boot(boot)
        self.model = model
        self.kept_by_model: dict[int, set[int]] = {}
        self._chance = chance or {}
        self._follower = FollowingGuest(model, RecordedGuest(layout.memory, trace.boot))
        super().__init__(trace, explain=explain, guest=self._follower, memory=layout.memory)
        self.core.listener = Listeners(self.core.listener, Bystander(model, self.ooms))
        self._nodes = LinuxNodes(machine)
        self._area = DeviceMemory(machine)
        self._attached: dict[str, DeviceEntry] = {}
        """Devices as this machine has them."""
        for dimm in trace.machine.cold_dimms:
            self._plug_dimm_of(self._attach(dimm.id, dimm.node, "dimm", dimm.size), dimm.id)
            settle(self.env)

    # Devices ---------------------------------------------------------------------------------------------------------

    def _entry(self, step: Step, name: str | None = None) -> DeviceEntry | None:
        """Attach the device that ``step`` makes; return how this machine has it, None where the machine refuses."""
        name = name or step.id or ""
        node, address, slot = step.node or 0, step.recorded("addr"), step.recorded("slot")
        match step.op:
            case "plug_dimm" | "plug_dimms":
                return self._attach(name, node, "dimm", step.size or 0, address=address, slot=slot)
            case "add_virtio_mem":
                size, block = step.max_size or 0, step.block_size or 0
                return self._attach(name, node, "virtio-mem", size, address=address, device_block=block)
            case "add_dax":
                return self._attach(name, node, "nvdimm", step.size or 0, address=address, slot=slot)
            case _:
                return super()._entry(step, name)

    def _attach(
        self,
        name: str,
        node: int,
        kind: str,
        size: int,
        *,
        address: int | None = None,
        slot: int | None = None,
        device_block: int = 0,
    ) -> DeviceEntry | None:
        virtio_mem = kind == "virtio-mem"
        number = self._nodes.of_device(node, dax=kind == "nvdimm")
        if name in self._attached or number is None:
            return None
        try:
            start = self._area.attach(
                name, size, align=device_block, address=address, in_slot=not virtio_mem, slot=slot
            )
        except HotplugError:
            return None
        block = self.trace.memory_block_size
        first = -(-(start + (_NVDIMM_INFO if kind == "nvdimm" else 0)) // block)
        entry = self._attached[name] = DeviceEntry(
            id=name,
            type=kind,
            node=number,
            addr=None if virtio_mem else start,
            memaddr=start if virtio_mem else None,
            size=size,
            max_size=size,
            block_size=device_block or None,
            block_start=first,
            block_count=max(0, (start + size) // block - first),
        )
        return entry

    def _unplug_dimm(self, step: Step) -> None:
        super()._unplug_dimm(step)
        name = step.id or ""
        if name not in self.devices:
            self._area.detach(name)
            self._attached.pop(name, None)

    # Steps -----------------------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[int]:
        """Compare the machine at boot, then do one step after the other, and compare who is alive at the end."""
        yield from super().steps()
        at = self.report.steps
        if at < len(self.trace.steps) and not self.model.killer.guest_died:
            self._step = at
            self._do(self.trace.steps[at])
            settle(self.env)
        died = self.model.killer.guest_died
        if died != (at < len(self.trace.steps)):
            self.report.differs_in_death(self._step, not died, died)

    def _do(self, step: Step) -> None:
        follower = self._follower
        follower.kept.clear()
        follower.following = self._step in self._chance
        follower.recorded.begin(step, self.devices)
        super()._do(step)

    def _compare(self, snapshot: Snapshot, step: Step | None) -> None:
        super()._compare(snapshot, step)
        if step is None:
            return
        self._comparison.addresses(self._step, step.devices or (), self._attached)
        follower = self._follower
        if follower.following:
            refused = tuple(sorted(follower.recorded.refused))
            self.report.chance[self._step] = Chance(refused, tuple(sorted(self._chance[self._step])))
        elif follower.kept:
            self.kept_by_model[self._step] = set(follower.kept)
            self.report.refused[self._step] = len(follower.kept)
