"""Replays a recording under load with the guest model: its ``load`` commands become demand, and its memory is compared.

Here the model, not the recording, decides what comes back. Differences are figures to report
(:mod:`sim.replay.load_comparison`), not mismatches.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.devices.virtio_mem import VirtioMem
from sim.guest import BootZone, GuestModel, OomKind, parameters_for_kernel
from sim.guest.boot import idle_pcp_pages
from sim.kernel.listener import Listeners
from sim.kernel.worker import settle
from sim.machine.boot_layout import lay_out
from sim.memory.zones import ZONE_BY_LABEL, ZONE_DMA, ZONE_LABELS, ZONE_MOVABLE
from sim.replay.bystander import Bystander
from sim.replay.kernel_replay import Replay, growth_samples
from sim.replay.load_commands import Action, Verb, apply, ooms
from sim.replay.load_comparison import StepComparison, TraceComparison
from sim.replay.recorded_machine import recorded_machine
from sim.replay.shell_lines import parse_command
from sim.replay.trace_format import DeviceEntry, TraceError, read_trace
from sim.units import MIB, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sim.guest import GuestParameters, OomEvent
    from sim.guest.cma import Area
    from sim.guest.contract import ZoneUse
    from sim.replay.load_comparison import Pair
    from sim.replay.report import ReplayReport
    from sim.replay.trace_format import Snapshot, Step, Trace, ZoneSnapshot

_MOVES: Final = frozenset({"resize_virtio_mem", "set_block_state", "unplug_dimm", "wait"})
"""Steps in which pages are moved for offlining; in others the kernel moves some to have huge pages."""

_PROGRAM_US: Final = 230_000
"""How long a load in the background takes: three of a few MiB after each other took 0.7 s (recorded turns)."""


class LoadReplay(Replay):
    """A replay in which a guest model holds the memory. ``events`` are the out-of-memory kills by step."""

    def __init__(self, trace: Trace, parameters: GuestParameters | None = None) -> None:
        if parameters is None:
            parameters = parameters_for_kernel(trace.series)
        parameters = replace(parameters, geometry=trace.geometry)
        self._mib = MIB // trace.page_size
        self.model = GuestModel(parameters, block_pages=trace.memory_block_size // trace.page_size)
        self.model.boot(boot_zones(trace, parameters))
        super().__init__(trace, guest=self.model)
        self.core.listener = Listeners(self.ooms, Bystander(self.model, self.ooms))
        self.events: dict[int, tuple[OomEvent, ...]] = {}
        self._applied: tuple[OomEvent, ...] = ()
        self._background: deque[tuple[int, Action]] = deque()
        """What programs in the background will do, and when."""
        self._kernel_at_boot = _kernel_pages(trace, trace.boot)
        self._migrated = (0, _migrated(trace.boot))
        """Pages moved up to the step before: simulated, recorded."""

    def compare(self) -> TraceComparison:
        """Replay all steps, up to the guest's death, and return how each compares."""
        return TraceComparison(self.trace.name, self.trace.kernel, list(self.follow()), len(self.trace.steps))

    def follow(self) -> Iterator[StepComparison]:
        """Replay step by step, up to the guest's death; yield how each compares while the guest is as it left it."""
        for number, step in enumerate(self.trace.steps):
            before = len(self.ooms.kills)
            self._step = number
            self._applied = ()
            ends = int(self.env.now) + seconds_to_us(step.seconds or 0)
            self._do(step)
            settle(self.env)
            self._until(ends)
            self.events[number] = self._applied + tuple(event for _, event in self.ooms.kills[before:])
            yield self._row(number, step)
            if self.model.killer.guest_died:
                return

    def _entry(self, step: Step, name: str | None = None) -> DeviceEntry | None:
        """Return a device as recorded; the DIMM that the guest died of, where QEMU puts one: behind all others."""
        if step.devices is None and step.op == "plug_dimm" and step.id and step.size:
            others = self.trace.steps[self._step - 1].devices or () if self._step else ()
            ends = [entry.addr + entry.size for entry in others if entry.addr is not None and entry.size is not None]
            if ends:
                return DeviceEntry(id=step.id, type="dimm", node=step.node or 0, addr=max(ends), size=step.size)
        return super()._entry(step, name)

    def _advance(self, seconds: float) -> None:
        self._until(int(self.env.now) + seconds_to_us(seconds))

    def _until(self, end: int) -> None:
        """Let time pass in the guest until then: programs in the background go on, dirty pages reach the disk."""
        while end > self.env.now or (self._background and self._background[0][0] <= end):
            now = int(self.env.now)
            then = min(end, self._background[0][0] if self._background else end, self.model.write_back.due_us or end)
            if then > now:
                self.env.run(until=then)
            self.model.advance(then)
            if self._background and self._background[0][0] <= then:
                self._apply(self._background.popleft()[1])

    def _apply(self, action: Action) -> None:
        self._applied += ooms(apply(self.model, (action,)))

    def _exec(self, step: Step) -> None:
        command = step.command or ""
        try:
            actions = parse_command(command)
        except ValueError as error:
            raise TraceError(f"{self.trace.name}: step {self._step}: command: {error}") from error
        at = began = int(self.env.now)
        for action in (action for action in actions if action.background):
            self._background.append((at, action))
            at += action.amount * 1000 if action.verb is Verb.SLEEP else _PROGRAM_US
        lasts = seconds_to_us(step.seconds or 0)
        actions = [action for action in actions if not action.background]
        for number, action in enumerate(actions):
            # Each in the middle of an equal share of the time that the line took: of each alone it was not recorded.
            self._until(began + lasts * (2 * number + 1) // (2 * len(actions)))
            self._apply(action)
        if "grep -q end" in command:
            # The recorder's way to wait until what runs in the background has ended.
            self._until(began + lasts)
            while self._background:
                self._apply(self._background.popleft()[1])

    def _plug_dimms(self, step: Step) -> None:
        """Plug many while programs go on in the background: one every ``interval``, or spread over the step's time."""
        began, names = int(self.env.now), step.ids or []
        every = seconds_to_us(step.interval or (step.seconds or 0) / max(1, len(names)))
        for number, name in enumerate(names):
            self._until(began + every * number)
            self._plug_dimm_of(self._entry(step, name), name)
            settle(self.env)

    def _reactive_growth(self, step: Step) -> None:
        """Touch memory as the recorded program did, and make the host's requests when the recorded host made them."""
        device = self.devices.get(step.id or "")
        samples = list(growth_samples(step))
        # The program wrote down its progress several times a second.
        progress = [(0.0, 0.0), *(step.recorded("program") or [])]
        seconds, mib = zip(*progress, strict=True)
        load = str(step.recorded("load") or "program")
        done = 0
        events: list[OomEvent] = []

        def touch(until: int) -> None:
            nonlocal done
            if until > done:
                events.extend(self.model.demands.anonymous(load, (until - done) * self._mib).ooms)
                done = until

        before = 0.0
        for at, requested in samples:
            # A request seen in a sample was made soon after the sample before, and takes a while to be met.
            for when in (before + (at - before) / 3, at):
                touch(round(float(np.interp(when, seconds, mib))))
                if requested is not None and isinstance(device, VirtioMem):
                    device.resize(requested)
                    settle(self.env)
            before = at
        touch(round(step.recorded("total_mib") or 0))
        self._applied = tuple(events)

    def _row(self, number: int, step: Step) -> StepComparison:
        uses = {(use.node, use.zone): use for use in self.model.meminfo.uses()}
        kills = (len(self.events[number]), step.oom_count or 0)
        row = StepComparison(number, step.command or step.id or step.op, oom=kills)
        # A second process may live where the first was gone in time: that is chance, too.
        one_lived = kills[1] == kills[0] - 1
        # So it is whether the killer comes before a device that finds no room for what it moves has given up.
        gave_up = step.op == "resize_virtio_mem" and step.result == "error"
        # Where nobody died there was no choice: then the kill is the model's mistake, and so is all that follows.
        row.tie = kills[1] > 0 and any(
            event.equals or (event.second and one_lived) or (event.kind is OomKind.MIGRATION and gave_up)
            for event in self.events[number]
        )
        row.load_gone = not self.model.demands.named_loads()
        after = step.after
        row.died = (self.model.killer.guest_died, after is None)
        if after is None:
            return row
        row.moved_mib = self._moved(step, after)
        if after.mem_free is not None:
            listed = sum(use.free - use.pcp for use in uses.values())
            row.mem_free_mib = (listed / self._mib, after.mem_free / MIB)
        kernel = _kernel_pages(self.trace, after)
        if kernel is not None and self._kernel_at_boot is not None:
            simulated = sum(use.kernel + use.memmap for use in uses.values())
            row.kernel_mib = (simulated / self._mib, (kernel - self._kernel_at_boot) / self._mib)
        row.free_mib = _free(after, uses, self._mib)
        for entry in step.devices or ():
            device = self.devices.get(entry.id)
            if entry.type == "virtio-mem" and entry.size is not None:
                size = device.plugged if isinstance(device, VirtioMem) else 0
                row.plugged_mib[entry.id] = (size / MIB, entry.size / MIB)
        if step.op == "unplug_dimm" and "not found" not in str(step.detail):
            left = {entry.id for entry in step.devices or ()}
            row.returned = (step.id not in self.devices, step.id not in left)
        return row

    def _moved(self, step: Step, after: Snapshot) -> Pair | None:
        """Return the pages moved in a step in MiB, None in a step that asks nothing back or was recorded without."""
        migrated, before = (self.model.migration.moved, _migrated(after)), self._migrated
        self._migrated = migrated
        if after.vmstat is None or step.op not in _MOVES:
            return None
        return (migrated[0] - before[0]) / self._mib, (migrated[1] - before[1]) / self._mib


def replay_with_load(path: Path) -> tuple[ReplayReport, TraceComparison | None]:
    """Replay the recording at ``path``: its zone decisions and, where it was made under load, the guest's memory.

    Raises TraceError where it cannot be read or makes no sense.
    """
    trace = read_trace(path)
    report = Replay(trace).run()
    return report, LoadReplay(trace).compare() if trace.has_load else None


def boot_zones(trace: Trace, parameters: GuestParameters) -> list[BootZone]:
    """Return the recorded boot as the guest model takes it: free pages by zone, or spread from MemFree."""
    boot = trace.boot
    zones = [(zone, int(ZONE_BY_LABEL[zone.zone])) for zone in boot.zones if zone.zone in ZONE_BY_LABEL]
    zones = [(zone, number) for zone, number in zones if zone.managed_pages]
    if not zones:
        raise TraceError(f"{trace.name}: boot: no zone has managed pages")
    runs = _runs(trace, zones)
    home = min(zone.node for zone, _ in zones)
    first = max((number for zone, number in zones if zone.node == home and number != ZONE_MOVABLE), default=ZONE_DMA)
    managed = sum(zone.managed_pages for zone, _ in zones)
    used = managed - (boot.mem_free or 0) // trace.page_size
    idle_pcp = idle_pcp_pages(managed, parameters)
    cma = _cma(trace) if any(zone.cma_pages for zone, _ in zones) else {}
    entries = []
    for zone, number in zones:
        is_first = (zone.node, number) == (home, first)
        if zone.free_pages is None:
            pcp = idle_pcp if is_first else 0
            free = zone.managed_pages - (used - pcp if is_first else 0)
        else:
            pcp = idle_pcp if number not in (ZONE_DMA, ZONE_MOVABLE) else 0
            pcp = pcp if zone.pcp_pages is None else zone.pcp_pages
            free = min(zone.managed_pages, zone.free_pages + pcp)
        where = tuple(runs.get((zone.node, number), ()))
        areas = cma.get((zone.node, number), ())
        entries.append(BootZone(zone.node, number, zone.managed_pages, free, pcp, zone.present_pages, where, areas))
    return entries


def _cma(trace: Trace) -> dict[tuple[int, int], tuple[Area, ...]]:
    """Return the CMA areas by (node, zone): recordings say how large they are, the layout of boot memory where."""
    return {(zone.node, zone.zone): zone.cma for zone in lay_out(recorded_machine(trace)).present_zones()}


def _runs(trace: Trace, zones: list[tuple[ZoneSnapshot, int]]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return boot blocks as (first, count) by (node, zone); one that mixes zones counts for its highest kernel zone."""
    block_pages = trace.memory_block_size // trace.page_size
    runs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for run in trace.boot.blocks:
        if run.state != "online" or run.node is None:
            continue
        if run.zone in ZONE_LABELS:
            runs.setdefault((run.node, int(ZONE_BY_LABEL[run.zone or ""])), []).append((run.start, run.count))
            continue
        for block in range(run.start, run.start + run.count):
            start, end = block * block_pages, (block + 1) * block_pages
            inside = [
                number
                for zone, number in zones
                if zone.node == run.node
                and number != ZONE_MOVABLE
                and zone.start_pfn < end
                and start < zone.start_pfn + zone.spanned_pages
            ]
            if inside:
                runs.setdefault((run.node, max(inside)), []).append((block, 1))
    return runs


def _free(after: Snapshot, uses: Mapping[tuple[int, int], ZoneUse], mib: int) -> dict[str, Pair]:
    """Return free memory by zone in MiB, ``mib`` being the pages of one, with CPU lists where they were recorded."""
    free: dict[str, Pair] = {}
    for zone in after.zones:
        if zone.free_pages is None or zone.zone not in ZONE_BY_LABEL:
            continue
        use = uses.get((zone.node, int(ZONE_BY_LABEL[zone.zone])))
        simulated, recorded = use.free if use else 0, zone.free_pages
        if zone.pcp_pages is not None:
            recorded += zone.pcp_pages
        elif use:
            simulated -= use.pcp
        free[f"{zone.node}/{zone.zone}"] = (simulated / mib, recorded / mib)
    return free


def _migrated(snapshot: Snapshot) -> int:
    """Return the pages that the kernel had moved by then."""
    return (snapshot.vmstat or {}).get("pgmigrate_success", 0)


def _kernel_pages(trace: Trace, snapshot: Snapshot) -> int | None:
    """Return the slab, page-table and other kernel pages of all blocks, None where they were not recorded."""
    columns = trace.block_use_columns
    if snapshot.block_use is None or columns is None:
        return None
    kernel_columns = [columns.index(name) for name in ("slab", "pagetable", "other") if name in columns]
    return sum(row[column] for row in snapshot.block_use for column in kernel_columns if column < len(row))
