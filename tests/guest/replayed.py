"""A replay in which the guest model decides what comes back, and ``exec`` lines are demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.devices.virtio_mem import VirtioMem
from sim.guest import BootZone, GuestModel, OomEvent, parameters_for
from sim.guest.calibration import StepComparison, TraceComparison
from sim.guest.contract import DMA, MOVABLE, ZONE_NAMES
from sim.guest.load_commands import apply, ooms, parse_command
from sim.kernel_trace import Replay
from sim.trace_format import read_trace

if TYPE_CHECKING:
    from pathlib import Path

    from sim.guest import GuestParameters
    from sim.trace_format import Snapshot, Step, Trace

_PAGE = 4096
_MIB_PAGES = 256


class GuestReplay(Replay):
    """Replays a recording with a guest model; :meth:`rows` gives one row for each step."""

    def __init__(self, trace: Trace, parameters: GuestParameters | None = None) -> None:
        series = "6.12" if trace.series >= (6, 12) else "6.1"
        self.model = GuestModel(parameters or parameters_for(series), block_pages=trace.memory_block_size // _PAGE)
        self.model.boot(boot_zones(trace, self.model.parameters))
        super().__init__(trace, guest=self.model)
        self.events: dict[int, tuple[OomEvent, ...]] = {}
        """Kills by step."""

    def rows(self) -> list[StepComparison]:
        """Replay all steps; the invariants are checked after each."""
        out: list[StepComparison] = []
        self._kernel_at_boot = _kernel_pages(self.trace, self.trace.boot)
        for number, step in enumerate(self.trace.steps):
            seen = len(self.core.ooms)
            self._step = number
            self._applied: tuple[OomEvent, ...] = ()
            self._do(step)
            self._settle()
            self.model.check()
            events = self._applied + tuple(event for _, event in self.core.ooms[seen:])
            out.append(self._row(number, step, events))
            if self.model.died:
                break
        return out

    def _do_exec(self, step: Step) -> None:
        self._applied = ooms(apply(self.model, parse_command(step.command or "")))

    def _do_reactive_growth(self, step: Step) -> None:
        """Touch memory as the recorded program did, and make the host's requests when the recorded host made them."""
        device = self.devices[step.id or ""]
        assert isinstance(device, VirtioMem)
        columns = step.recorded("columns")
        at, wanted = columns.index("guest_seconds"), columns.index("requested_mib")
        # The program wrote down its progress four times a second.
        seconds, mib = zip(*([(0.0, 0.0), *step.recorded("program")]), strict=True)
        done = 0.0
        before = 0.0
        events: list[OomEvent] = []
        for sample in step.recorded("timeline"):
            # A request seen in a sample was made right after the sample before, and takes a while to be met.
            for when in (before + (sample[at] - before) / 3, sample[at]):
                goal = float(np.interp(when, seconds, mib))
                events += self.model.anonymous(step.recorded("load"), round(goal - done) * _MIB_PAGES).ooms
                done += round(goal - done)
                if sample[wanted] is not None:
                    device.resize(int(sample[wanted]) << 20)
                    self._settle()
            before = sample[at]
        rest = round(step.recorded("total_mib") - done)
        events += self.model.anonymous(step.recorded("load"), rest * _MIB_PAGES).ooms
        self._applied = tuple(events)

    def _row(self, number: int, step: Step, events: tuple[OomEvent, ...]) -> StepComparison:
        uses = {(u.node, u.zone): u for u in self.model.uses()}
        row = StepComparison(number, step.command or step.id or step.op, oom=(len(events), step.oom_count or 0))
        row.load_gone = not self.model.named_loads()
        self.events[number] = events
        after = step.after
        listed = sum(u.free - u.pcp for u in uses.values()) / _MIB_PAGES
        if after is not None and after.mem_free is not None:
            row.mem_free_mib = (listed, after.mem_free / 2**20)
        kernel = None if after is None else _kernel_pages(self.trace, after)
        if kernel is not None and self._kernel_at_boot is not None:
            mine = sum(u.kernel + u.memmap for u in uses.values())
            row.kernel_mib = (mine / _MIB_PAGES, (kernel - self._kernel_at_boot) / _MIB_PAGES)
        for zone in after.zones if after else ():
            if zone.free_pages is not None and zone.zone in ZONE_NAMES:
                use = uses.get((zone.node, ZONE_NAMES.index(zone.zone)))
                pages = use.free - use.pcp if use else 0
                row.free_mib[f"{zone.node}/{zone.zone}"] = (pages / _MIB_PAGES, zone.free_pages / _MIB_PAGES)
        for entry in step.devices or ():
            device = self.devices.get(entry.id)
            if entry.type == "virtio-mem" and entry.size is not None:
                size = device.plugged if isinstance(device, VirtioMem) else 0
                row.plugged_mib[entry.id] = (size / 2**20, entry.size / 2**20)
        if step.op == "unplug_dimm" and "not found" not in str(step.detail):
            row.returned = (step.id not in self.devices, step.id not in {e.id for e in step.devices or ()})
        return row


def boot_zones(trace: Trace, parameters: GuestParameters) -> list[BootZone]:
    """Return the boot snapshot as the guest model takes it: free pages by zone, or spread from their sum."""
    boot = trace.boot
    block_pages = trace.memory_block_size // _PAGE
    zones = [z for z in boot.zones if z.zone in ZONE_NAMES and z.managed_pages]
    number = {id(z): ZONE_NAMES.index(z.zone) for z in zones}
    runs: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for run in boot.blocks:
        if run.state != "online" or run.node is None:
            continue
        if run.zone in ZONE_NAMES:
            runs.setdefault((run.node, ZONE_NAMES.index(run.zone)), []).append((run.start, run.count))
        else:
            for block in range(run.start, run.start + run.count):
                start = block * block_pages
                inside = [
                    number[id(z)]
                    for z in zones
                    if z.node == run.node
                    and z.zone != "Movable"
                    and z.start_pfn < start + block_pages
                    and start < z.start_pfn + z.spanned_pages
                ]
                if inside:
                    runs.setdefault((run.node, max(inside)), []).append((block, 1))
    home = min(z.node for z in zones)
    first = max(number[id(z)] for z in zones if z.node == home and z.zone != "Movable")
    managed = sum(z.managed_pages for z in zones)
    used = managed - (boot.mem_free or 0) // _PAGE
    # A CPU's list is short where the watermarks are: in a guest too small for huge pages.
    small = managed * _PAGE < parameters.thp_min_boot_bytes
    idle_pcp = min(parameters.idle_pcp_bytes // _PAGE, managed >> 7 if small else managed)
    out = []
    for z in zones:
        n = number[id(z)]
        mine = z.node == home and n == first
        if z.free_pages is not None:
            pcp = z.pcp_pages if z.pcp_pages is not None else (idle_pcp if n not in (DMA, MOVABLE) else 0)
            free = min(z.managed_pages, z.free_pages + pcp)
        else:
            pcp = idle_pcp if mine else 0
            free = z.managed_pages - (used - pcp if mine else 0)
        where = tuple(runs.get((z.node, n), ()))
        out.append(BootZone(z.node, n, z.managed_pages, free, pcp, z.present_pages, where))
    return out


def _kernel_pages(trace: Trace, snapshot: Snapshot) -> int | None:
    """Return the slab, page-table and other kernel pages of all blocks, None where they were not recorded."""
    if snapshot.block_use is None or trace.block_use_columns is None:
        return None
    columns = [trace.block_use_columns.index(name) for name in ("slab", "pagetable", "other")]
    return sum(row[c] for row in snapshot.block_use for c in columns)


def compare(path: Path, parameters: GuestParameters | None = None) -> TraceComparison:
    """Replay a recording with a guest model and return how it compares."""
    trace = read_trace(path)
    return TraceComparison(trace.name, trace.kernel, GuestReplay(trace, parameters).rows())
