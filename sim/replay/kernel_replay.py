"""Replays a recorded kernel: drives the model with the recorded requests, compares every block after each step.

What the recording gives as input is the machine at boot, the requests and where devices were put. What depends on the
guest's own pages, that a block in a kernel zone refused to go offline, is taken from the recording and counted
(:mod:`sim.replay.recorded_guest`). Everything else has to follow from the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy
from pydantic import ValidationError

from policies.kernel import Kernel
from sim.devices.dax import Dax
from sim.devices.dimm import Dimm
from sim.devices.virtio_mem import VirtioMem
from sim.kernel.context import DriverContext
from sim.kernel.diary import Diary
from sim.kernel.hotplug_core import HotplugCore
from sim.kernel.listener import Listeners
from sim.kernel.oom_log import OomLog
from sim.kernel.settings import KernelSettings
from sim.kernel.timing import Timing
from sim.kernel.worker import GuestDied, Threads, settle
from sim.machine import cmdline
from sim.memory.errors import HotplugError
from sim.memory.zones import ONLINE_TYPE_BY_WORD
from sim.record.recorder import Recorder
from sim.replay.recorded_boot import attach, build_memory
from sim.replay.recorded_guest import RecordedGuest
from sim.replay.report import BOOT, ReplayReport
from sim.replay.snapshot_comparison import SnapshotComparison
from sim.replay.trace_format import PolicyEntry, TraceError, read_trace
from sim.units import MIB, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sim.guest.contract import Guest
    from sim.kernel.diary import Note
    from sim.memory.hotplug import Memory
    from sim.replay.trace_format import DeviceEntry, Snapshot, Step, Trace


_CHANGED_AT_RUN_TIME = ("online_policy", "auto_movable_ratio", "auto_movable_numa_aware", "auto_online_blocks")
"""Of a :class:`PolicyEntry`; ``memmap_on_memory`` is fixed at boot."""


class Replay:
    """One replay. :meth:`steps` runs it step by step; ``notes`` says what is done and why where ``explain`` is set.

    ``guest`` decides what can be taken back; where None, the recording does (:class:`RecordedGuest`). ``memory`` is the
    machine as it booted, without DIMMs that were there; where None, both are the recorded ones. Of a recording under
    load only the zones of blocks are compared: which blocks are there when depends on what the guest holds.
    """

    def __init__(
        self, trace: Trace, *, explain: bool = False, guest: Guest | None = None, memory: Memory | None = None
    ) -> None:
        self.trace = trace
        self.report = ReplayReport(trace.name, trace.kernel)
        self.env = simpy.Environment()
        self.memory, cold = build_memory(trace) if memory is None else (memory, [])
        self.notes: list[Note] = []
        self._policy = trace.policy
        self.recorded = RecordedGuest(self.memory, trace.boot, under_load=trace.load) if guest is None else None
        recorder, threads = Recorder(), Threads()
        self.ooms = OomLog(self.env, recorder, threads)
        policy = self._make_policy()
        self.core = HotplugCore(
            self.env,
            self.memory,
            policy,
            recorder,
            settings=KernelSettings(
                trace.series,
                "movable_node" in cmdline.read(trace.kernel_cmdline).machine,
                trace.policy.memmap_on_memory,
            ),
            listener=Listeners(self.ooms, Diary(self.notes.append)) if explain else self.ooms,
            threads=threads,
        )
        self.context = DriverContext(self.env, self.core, recorder, Timing.instant())
        self.devices: dict[str, Dimm | VirtioMem | Dax] = {}
        # The snapshot at boot holds already what these cost: no guest is asked for it again.
        self.devices.update((dimm.name, dimm) for dimm in attach(cold, self.context))
        self.core.guest = self.recorded if guest is None else guest
        self.core.auto_online = int(policy.auto_online)
        self._comparison = SnapshotComparison(self.core, self.report)
        self._step = BOOT
        self._operations: dict[str, Callable[[Step], None]] = {
            "add_dax": self._add_dax,
            "add_hmem": self._add_dax,
            "add_virtio_mem": self._add_virtio_mem,
            "bind_dax": self._bind_dax,
            "exec": self._exec,
            "plug_dimm": self._plug_dimm,
            "plug_dimms": self._plug_dimms,
            "reactive_growth": self._reactive_growth,
            "remove_dax": self._remove_dax,
            "resize_virtio_mem": self._resize_virtio_mem,
            "set_block_state": self._set_block_state,
            "set_dax_state": self._set_dax_state,
            "set_policy": self._set_policy,
            "unbind_dax": self._unbind_dax,
            "unplug_dimm": self._unplug_dimm,
            "wait": self._wait,
        }

    def _make_policy(self) -> Kernel:
        told = self._policy
        return Kernel(
            default_state=told.auto_online_blocks,
            online_policy=told.online_policy,
            auto_movable_ratio=told.auto_movable_ratio,
            auto_movable_numa_aware=told.auto_movable_numa_aware,
        )

    def run(self) -> ReplayReport:
        """Replay all steps and return the report."""
        for _ in self.steps():
            pass
        return self.report

    def steps(self) -> Iterator[int]:
        """Compare the machine at boot, then do one recorded step after the other, yielding its number once compared."""
        self._compare(self.trace.boot, None)
        for number, step in enumerate(self.trace.steps):
            self._step = number
            if step.after is None:  # the guest died here: there is nothing left to compare
                break
            if self.recorded is not None:
                self.recorded.begin(step, self.devices)
            self._do(step)
            settle(self.env)
            self.report.steps = number + 1
            if self.recorded is not None and self.recorded.refused:
                self.report.refused[number] = len(self.recorded.refused)
            if self.recorded is not None and self.recorded.failed_adds:
                self.report.failed_adds[number] = len(self.recorded.failed_adds)
            self._compare(step.after, step)
            yield number

    def _advance(self, seconds: float) -> None:
        """Let time pass in the guest."""
        until = self.env.now + seconds_to_us(seconds)
        if until > self.env.now:
            self.env.run(until=until)

    # Steps -----------------------------------------------------------------------------------------------------------

    def _entry(self, step: Step, name: str | None = None) -> DeviceEntry | None:
        """Return what the recording says of the device that ``step`` names, or of the one called ``name``."""
        wanted = step.id if name is None else name
        return next((entry for entry in step.devices or () if entry.id == wanted), None)

    def _do(self, step: Step) -> None:
        operation = self._operations.get(step.op)
        if operation is None:
            known = ", ".join(sorted(self._operations))
            raise TraceError(f"{self.trace.name}: step {self._step}: unknown operation {step.op!r} (known: {known})")
        try:
            operation(step)
        except HotplugError as error:  # of a device that no such machine has; what its kernel refuses is dealt with
            raise TraceError(f"{self.trace.name}: step {self._step}: {step.id or step.op}: {error.reason}") from error

    def _wait(self, step: Step) -> None:
        """Time passes, and nothing is asked for: what moves now does so by itself, as a driver's next try does."""
        self._advance(step.seconds or 0)

    def _exec(self, step: Step) -> None:
        """Run a command in the guest, which does nothing to a recorded guest: it has done all that it did."""

    def _reactive_growth(self, step: Step) -> None:
        """The recorded host raised the request whenever memory ran low: make the requests that it made."""
        device = self.devices.get(step.id or "")
        for _, requested in growth_samples(step):
            if isinstance(device, VirtioMem) and requested is not None:
                device.resize(requested)
                settle(self.env)

    def _plug_dimm(self, step: Step) -> None:
        self._plug_dimm_of(self._entry(step), step.id or "")

    def _plug_dimm_of(self, entry: DeviceEntry | None, name: str) -> None:
        if entry is None or entry.addr is None or entry.size is None or name in self.devices:
            return  # refused by the machine itself: no slot, no room, or the id is in use
        dimm = Dimm(self.context, name, entry.node, [(entry.addr, entry.size)])
        self.devices[name] = dimm
        dimm.plug()

    def _plug_dimms(self, step: Step) -> None:
        """Plug many, one after the other: whether the host waited between them decides no zone."""
        for name in step.ids or ():
            self._plug_dimm_of(self._entry(step, name), name)
            settle(self.env)

    def _unplug_dimm(self, step: Step) -> None:
        device = self.devices.get(step.id or "")
        if isinstance(device, Dimm):
            device.eject()
            if device.gone:
                del self.devices[device.name]

    def _add_virtio_mem(self, step: Step) -> None:
        entry = self._entry(step)
        name = step.id or ""
        if entry is None or entry.memaddr is None or not entry.max_size or not entry.block_size or name in self.devices:
            return
        device = VirtioMem(self.context, name, entry.node, entry.memaddr, entry.max_size, entry.block_size)
        self.devices[name] = device
        device.resize(step.requested_size or 0)

    def _resize_virtio_mem(self, step: Step) -> None:
        device = self.devices.get(step.id or "")
        if isinstance(device, VirtioMem):
            device.resize(step.requested_size or 0)

    def _add_dax(self, step: Step) -> None:
        entry = self._entry(step)
        name = step.id or ""
        if entry is None or name in self.devices:
            return
        size = self.trace.memory_block_size
        parts = [(part.block_start, part.block_count) for part in entry.ranges or ()]
        if not entry.ranges and entry.block_start is not None and entry.block_count:
            parts = [(entry.block_start, entry.block_count)]
        ranges = [(first * size, count * size) for first, count in parts if count]
        if ranges:
            self.devices[name] = dax = Dax(self.context, name, entry.node, ranges)
            dax.plug()

    def _dax(self, step: Step) -> Dax | None:
        device = self.devices.get(step.id or "")
        return device if isinstance(device, Dax) else None

    def _remove_dax(self, step: Step) -> None:
        if (dax := self._dax(step)) is not None:
            dax.eject()  # from kmem: the device itself stays, and may be bound again

    def _bind_dax(self, step: Step) -> None:
        if (dax := self._dax(step)) is not None:
            dax.plug()

    def _unbind_dax(self, step: Step) -> None:
        if (dax := self._dax(step)) is not None:
            dax.unbind()

    def _set_dax_state(self, step: Step) -> None:
        if (dax := self._dax(step)) is not None:
            dax.write_state(step.state or "")

    def _set_policy(self, step: Step) -> None:
        changes = {key: value for key in _CHANGED_AT_RUN_TIME if (value := step.recorded(key)) is not None}
        try:
            self._policy = PolicyEntry.model_validate(self._policy.model_dump() | changes)
        except ValidationError as error:
            key, says = str(error.errors()[0]["loc"][0]), error.errors()[0]["msg"]
            raise TraceError(f"{self.trace.name}: step {self._step}: {key} {changes[key]!r}: {says}") from error
        policy = self._make_policy()
        self.core.zone_choice.set_policy(policy)
        self.core.auto_online = int(policy.auto_online)

    def _set_block_state(self, step: Step) -> None:
        if step.block is None or step.state not in ONLINE_TYPE_BY_WORD:
            words = ", ".join(ONLINE_TYPE_BY_WORD)
            raise TraceError(f"{self.trace.name}: step {self._step}: needs a block and a state ({words})")
        blocks = range(step.block, step.block + (step.count or 1))
        for block in reversed(blocks) if step.reverse else blocks:
            try:
                self.core.write_state(block, int(ONLINE_TYPE_BY_WORD[step.state]))
            except HotplugError:
                continue  # user space goes on with the next block; the comparison shows which ones changed
            except GuestDied:
                return
            # A slow writer: whatever the write set off is done before the next one.
            settle(self.env)

    def _compare(self, snapshot: Snapshot, step: Step | None) -> None:
        if self.trace.load:
            self._comparison.zones_of_online_blocks(self._step, snapshot)
            return
        self._comparison.blocks(self._step, snapshot)
        self._comparison.zones(self._step, snapshot)
        if step is not None:
            self._comparison.plugged_sizes(self._step, step.devices or (), self.devices)
            self._comparison.dax_states(self._step, step, self.devices)


def growth_samples(step: Step) -> Iterator[tuple[float, int | None]]:
    """Yield what the recorder saw of reactive growth: (seconds in the guest, requested bytes or None).

    Raises TraceError where the step does not have it.
    """
    columns, timeline = step.recorded("columns"), step.recorded("timeline")
    try:
        seconds, requested = columns.index("guest_seconds"), columns.index("requested_mib")
        for row in timeline:
            yield float(row[seconds]), None if row[requested] is None else int(row[requested]) * MIB
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise TraceError(f"step {step.op}: no usable 'columns' and 'timeline': {error}") from error


def replay(path: Path) -> ReplayReport:
    """Replay the recording at ``path``. Raises TraceError where it cannot be read or makes no sense."""
    return Replay(read_trace(path)).run()
