"""Replays a recorded kernel: drives the model with the recorded requests, compares every block after each step.

What the recording gives as input is the machine at boot, the requests and where devices were put. What depends on the
guest's own pages, that a block in a kernel zone refused to go offline, is taken from the recording and counted
(:mod:`sim.replay.recorded_guest`). Everything else has to follow from the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import simpy

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from sim.devices.context import DriverContext
from sim.devices.dax import Dax
from sim.devices.dimm import Dimm
from sim.devices.timing import Timing
from sim.devices.virtio_mem import VirtioMem
from sim.kernel.hotplug_core import HotplugCore
from sim.memory.errors import HotplugError
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_BY_LABEL, ZONE_LABELS, OnlineType
from sim.record.recorder import Recorder
from sim.replay.recorded_guest import RecordedGuest
from sim.replay.trace_format import TraceError, read_trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from policies.contract import Explanation, Policy
    from sim.guest.contract import Guest
    from sim.replay.trace_format import DeviceEntry, Snapshot, Step, Trace

_WORDS = {kind.word: kind for kind in OnlineType}


@dataclass(slots=True)
class ReplayReport:
    """How a replay compared.

    Each mismatch is a dict with ``step`` (from 0; -1 is boot), what, ``recorded`` and ``simulated``.
    """

    trace: str
    kernel: str
    steps: int = 0
    blocks_compared: int = 0
    block_mismatches: list[dict[str, object]] = field(default_factory=list)
    zone_mismatches: list[dict[str, object]] = field(default_factory=list)
    size_mismatches: list[dict[str, object]] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    """Blocks that refused to go offline, by step."""

    @property
    def refused_by_guest(self) -> int:
        """Blocks that refused, taken from the recording."""
        return sum(self.refused.values())

    @property
    def identical(self) -> bool:
        """Whether nothing differed."""
        return not (self.block_mismatches or self.zone_mismatches or self.size_mismatches)

    def to_json(self) -> dict[str, object]:
        """Return the object that ``memhp-sim replay --json`` prints."""
        return {
            "trace": self.trace,
            "kernel": self.kernel,
            "steps": self.steps,
            "blocks_compared": self.blocks_compared,
            "block_mismatches": self.block_mismatches,
            "zone_mismatches": self.zone_mismatches,
            "size_mismatches": self.size_mismatches,
            "refused_by_guest": self.refused_by_guest,
        }


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One decision of a replay: at ``step``, for ``block``, put online with ``word``."""

    step: int
    block: int
    word: str
    explanation: Explanation


def build_memory(trace: Trace) -> Memory:
    """Return the recorded machine as it was at boot. Raises TraceError where its blocks or zones make no sense."""
    page_bytes = trace.page_size
    try:
        memory = Memory(
            block_pages=trace.memory_block_size // page_bytes,
            section_pages=trace.section_size // page_bytes,
            nodes=sorted({node.nid for node in trace.machine.nodes} | {zone.node for zone in trace.boot.zones}),
        )
    except ValueError as error:
        raise TraceError(f"{trace.name}: {error}") from error
    for zone in trace.boot.zones:
        if zone.zone == "Device":
            continue
        if zone.zone not in ZONE_BY_LABEL:
            raise TraceError(
                f"{trace.name}: boot: unknown zone {zone.zone!r} (known: {', '.join(ZONE_LABELS)}, Device)"
            )
        memory.boot_zone(
            zone.node,
            ZONE_BY_LABEL[zone.zone],
            start=zone.start_pfn if zone.spanned_pages else 0,
            end=zone.start_pfn + zone.spanned_pages if zone.spanned_pages else 0,
            present=zone.present_pages,
            managed=zone.managed_pages,
            cma=zone.cma_pages,
        )
    for run in trace.boot.blocks:
        if run.node is None or run.node not in memory.nodes or run.start + run.count > memory.max_blocks:
            raise TraceError(f"{trace.name}: boot: blocks from {run.start}: node {run.node!r} or range is impossible")
        zone_type = None if run.zone == "none" else ZONE_BY_LABEL.get(run.zone or "")
        if zone_type is None and run.zone != "none":
            raise TraceError(f"{trace.name}: boot: blocks from {run.start}: unknown zone {run.zone!r}")
        memory.boot_blocks(run.node, run.start, run.count, zone_type)
    return memory


class Replay:
    """One replay. :meth:`steps` runs it step by step; ``decisions`` collects explanations where ``explain`` is set.

    ``guest`` decides what can be taken back; where None, the recording does (:class:`RecordedGuest`). Of a
    recording under load only the zones of blocks are compared: which blocks are there when depends on what the
    guest holds.
    """

    def __init__(self, trace: Trace, *, explain: bool = False, guest: Guest | None = None) -> None:
        self.trace = trace
        self.report = ReplayReport(trace.name, trace.kernel)
        self.env = simpy.Environment()
        self.memory = build_memory(trace)
        self.decisions: list[LoggedDecision] = []
        self._policy = {
            "online_policy": trace.policy.online_policy,
            "auto_movable_ratio": trace.policy.auto_movable_ratio,
            "auto_movable_numa_aware": trace.policy.auto_movable_numa_aware,
        }
        self.recorded = RecordedGuest(self.memory, trace.boot, under_load=trace.load) if guest is None else None
        recorder = Recorder()
        self.core = HotplugCore(
            self.env,
            self.memory,
            self._make_policy(),
            recorder,
            guest=self.recorded if guest is None else guest,
            series=trace.series,
            movable_node="movable_node" in trace.kernel_cmdline.split(),
            memmap_on_memory=trace.policy.memmap_on_memory,
        )
        self.core.auto_online = int(_WORDS[trace.policy.auto_online_blocks])
        self.context = DriverContext(self.env, self.core, recorder, Timing.instant())
        self.devices: dict[str, Dimm | VirtioMem | Dax] = {}
        self._step = -1
        if explain:
            self.core.zone_choice.log = self._log

    def _log(self, online_type: int, first: int, count: int, explanation: Explanation) -> None:
        word = OnlineType(online_type).word
        self.decisions += [
            LoggedDecision(self._step, block, word, explanation) for block in range(first, first + count)
        ]

    def _make_policy(self) -> Policy:
        if self._policy["online_policy"] == "auto-movable":
            return AutoMovable(
                ratio=int(self._policy["auto_movable_ratio"]), numa_aware=bool(self._policy["auto_movable_numa_aware"])
            )
        return ContigZones()

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
            self._settle()
            self.report.steps = number + 1
            if self.recorded is not None and self.recorded.refused:
                self.report.refused[number] = len(self.recorded.refused)
            self._compare(step.after, step)
            yield number

    def _settle(self) -> None:
        """Let every device come to rest: all that happens without time passing."""
        env = self.env
        while env.peek() <= env.now:
            env.step()

    # Steps -----------------------------------------------------------------------------------------------------------

    def _entry(self, step: Step) -> DeviceEntry | None:
        return next((entry for entry in step.devices or () if entry.id == step.id), None)

    def _do(self, step: Step) -> None:
        action = getattr(self, f"_do_{step.op}", None)
        if action is None:
            known = sorted(name.removeprefix("_do_") for name in dir(self) if name.startswith("_do_"))
            raise TraceError(
                f"{self.trace.name}: step {self._step}: unknown operation {step.op!r} (known: {', '.join(known)})"
            )
        action(step)

    def _do_wait(self, step: Step) -> None:
        """Time passes; nothing is asked for."""

    _do_exec = _do_wait

    def _do_reactive_growth(self, step: Step) -> None:
        """The recorded host raised the request whenever memory ran low: make the requests that it made."""
        device = self.devices.get(step.id or "")
        for _, requested in growth_samples(step):
            if isinstance(device, VirtioMem) and requested is not None:
                device.resize(requested)
                self._settle()

    def _do_plug_dimm(self, step: Step) -> None:
        entry = self._entry(step)
        name = step.id or ""
        if entry is None or entry.addr is None or entry.size is None or name in self.devices:
            return  # refused by the machine itself: no slot, no room, or the id is in use
        dimm = Dimm(self.context, name, entry.node, [(entry.addr, entry.size)])
        self.devices[name] = dimm
        dimm.plug()

    def _do_unplug_dimm(self, step: Step) -> None:
        device = self.devices.get(step.id or "")
        if isinstance(device, Dimm):
            device.eject()
            if device.gone:
                del self.devices[device.name]

    def _do_add_virtio_mem(self, step: Step) -> None:
        entry = self._entry(step)
        name = step.id or ""
        if entry is None or entry.memaddr is None or not entry.max_size or not entry.block_size or name in self.devices:
            return
        device = VirtioMem(self.context, name, entry.node, entry.memaddr, entry.max_size, entry.block_size)
        self.devices[name] = device
        device.resize(step.requested_size or 0)

    def _do_resize_virtio_mem(self, step: Step) -> None:
        device = self.devices.get(step.id or "")
        if isinstance(device, VirtioMem):
            device.resize(step.requested_size or 0)

    def _do_add_dax(self, step: Step) -> None:
        entry = self._entry(step)
        name = step.id or ""
        if entry is None or entry.block_start is None or not entry.block_count or name in self.devices:
            return
        size = self.trace.memory_block_size
        dax = Dax(self.context, name, entry.node, [(entry.block_start * size, entry.block_count * size)])
        self.devices[name] = dax
        dax.plug()

    def _do_remove_dax(self, step: Step) -> None:
        device = self.devices.get(step.id or "")
        if isinstance(device, Dax):
            device.eject()
            if device.gone:
                del self.devices[device.name]

    def _do_set_policy(self, step: Step) -> None:
        for key in self._policy:
            value = step.recorded(key)
            if value is not None:
                self._policy[key] = value
        self.core.zone_choice.set_policy(self._make_policy())
        word = step.recorded("auto_online_blocks")
        if word is not None:
            if word not in _WORDS:
                raise TraceError(f"{self.trace.name}: step {self._step}: unknown auto_online_blocks {word!r}")
            self.core.auto_online = int(_WORDS[word])

    def _do_set_block_state(self, step: Step) -> None:
        if step.block is None or step.state not in _WORDS:
            raise TraceError(f"{self.trace.name}: step {self._step}: needs a block and a state ({', '.join(_WORDS)})")
        blocks = range(step.block, step.block + (step.count or 1))
        for block in reversed(blocks) if step.reverse else blocks:
            try:
                self.core.write_state(block, int(_WORDS[step.state]))
            except HotplugError:
                continue  # user space goes on with the next block; the comparison shows which ones changed
            # A slow writer: whatever the write set off is done before the next one.
            self._settle()

    # Comparing -------------------------------------------------------------------------------------------------------

    def _compare(self, snapshot: Snapshot, step: Step | None) -> None:
        if self.trace.load:
            self._compare_zones_of_blocks(snapshot)
            return
        self._compare_blocks(snapshot)
        self._compare_zones(snapshot)
        for entry in (step.devices or ()) if step is not None else ():
            device = self.devices.get(entry.id)
            if entry.type == "virtio-mem" and entry.size is not None:
                simulated = device.plugged if isinstance(device, VirtioMem) else None
                if simulated != entry.size:
                    self._mismatch(self.report.size_mismatches, "device", entry.id, entry.size, simulated)

    def _mismatch(
        self, where: list[dict[str, object]], what: str, name: object, recorded: object, simulated: object
    ) -> None:
        where.append({"step": self._step, what: name, "recorded": recorded, "simulated": simulated})

    def _compare_blocks(self, snapshot: Snapshot) -> None:
        blocks = self.memory.blocks
        seen = 0
        for run in snapshot.blocks:
            for block in range(run.start, run.start + run.count):
                seen += 1
                if not blocks.exists(block):
                    self._mismatch(self.report.block_mismatches, "block", block, _said(run.state, run.zone), "absent")
                    continue
                recorded: tuple[object, ...] = (run.state, run.zone, run.node)
                state = "online" if blocks.is_online(block) else "offline"
                simulated: tuple[object, ...] = (state, self.memory.zone_label(block), blocks.node[block])
                if run.state == state == "offline" and run.valid_zones:
                    recorded += (run.valid_zones.split()[0],)
                    simulated += (ZONE_LABELS[self.core.zone_choice.choose(int(OnlineType.ONLINE), block)],)
                if recorded != simulated:
                    self._mismatch(self.report.block_mismatches, "block", block, list(recorded), list(simulated))
        self.report.blocks_compared += seen
        if seen != len(blocks.where) - blocks.where.count(0):
            listed = {block for run in snapshot.blocks for block in range(run.start, run.start + run.count)}
            for block in blocks.ids():
                if block not in listed:
                    found = self.memory.zone_label(block) or "offline"
                    self._mismatch(self.report.block_mismatches, "block", block, "absent", found)

    def _compare_zones_of_blocks(self, snapshot: Snapshot) -> None:
        """Compare the zone of every block that is online here and there."""
        blocks = self.memory.blocks
        for run in snapshot.blocks:
            for block in range(run.start, run.start + run.count):
                if run.state == "online" and blocks.is_online(block):
                    self.report.blocks_compared += 1
                    recorded, simulated = (run.zone, run.node), (self.memory.zone_label(block), blocks.node[block])
                    if recorded != simulated:
                        self._mismatch(self.report.block_mismatches, "block", block, list(recorded), list(simulated))

    def _compare_zones(self, snapshot: Snapshot) -> None:
        recorded = {
            (zone.node, zone.zone): (
                zone.present_pages,
                zone.start_pfn if zone.spanned_pages else 0,
                zone.spanned_pages,
            )
            for zone in snapshot.zones
            if zone.zone != "Device"
        }
        simulated = {
            (node.id, ZONE_LABELS[zone.type]): (zone.present, zone.start, zone.spanned)
            for node in self.memory.nodes.values()
            for zone in node.zones
            if zone is not None
        }
        for key in sorted(recorded.keys() | simulated.keys()):
            theirs, ours = recorded.get(key, (0, 0, 0)), simulated.get(key, (0, 0, 0))
            if theirs != ours:
                names = ("present_pages", "start_pfn", "spanned_pages")
                self._mismatch(
                    self.report.zone_mismatches,
                    "zone",
                    f"{key[0]}/{key[1]}",
                    dict(zip(names, theirs, strict=True)),
                    dict(zip(names, ours, strict=True)),
                )


def growth_samples(step: Step) -> Iterator[tuple[float, int | None]]:
    """Yield what the recorder saw of reactive growth: (seconds in the guest, requested bytes or None).

    Raises TraceError where the step does not have it.
    """
    columns, timeline = step.recorded("columns"), step.recorded("timeline")
    try:
        at, wanted = columns.index("guest_seconds"), columns.index("requested_mib")
        for row in timeline:
            yield float(row[at]), None if row[wanted] is None else int(row[wanted]) << 20
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise TraceError(f"step {step.op}: no usable 'columns' and 'timeline': {error}") from error


def _said(state: str, zone: str | None) -> str:
    return state if zone is None else f"{state} {zone}"


def replay(path: Path) -> ReplayReport:
    """Replay the recording at ``path``. Raises TraceError where it cannot be read or makes no sense."""
    return Replay(read_trace(path)).run()
