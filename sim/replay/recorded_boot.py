"""The machine of a recording as it was at boot, as the model takes it: zones, boot blocks, DIMMs that were there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim.devices.dimm import Dimm
from sim.kernel.found_memory import FoundRun
from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_BY_LABEL, ZONE_LABELS, ZoneType
from sim.record.recorder import NO_ZONE
from sim.replay.trace_format import TraceError

if TYPE_CHECKING:
    from sim.kernel.context import DriverContext
    from sim.replay.trace_format import BlockRun, Trace


@dataclass(slots=True)
class ColdMemory:
    """A DIMM that was there when the kernel started: ``address`` in bytes, ``online`` blocks and the zone of each."""

    name: str
    node: int
    address: int
    size: int
    online: dict[int, ZoneType] = field(default_factory=dict)


def build_memory(trace: Trace) -> tuple[Memory, list[ColdMemory]]:
    """Return the recorded machine as it was at boot, without its cold DIMMs, and these; :func:`attach` adds them.

    Raises TraceError where its blocks or zones make no sense.
    """
    page_bytes = trace.page_size
    try:
        memory = Memory(
            geometry=trace.geometry,
            block_pages=trace.memory_block_size // page_bytes,
            section_pages=trace.section_size // page_bytes,
            nodes=sorted({node.nid for node in trace.machine.nodes} | {zone.node for zone in trace.boot.zones}),
        )
    except ValueError as error:
        raise TraceError(f"{trace.name}: {error}") from error
    cold = _cold_dimms(trace)
    early = _boot_blocks(trace, memory, cold)
    of_cold: dict[tuple[int, ZoneType], int] = {}
    for dimm in cold:
        for zone_type in dimm.online.values():
            key = dimm.node, zone_type
            of_cold[key] = of_cold.get(key, 0) + memory.block_pages
    for zone in trace.boot.zones:
        if zone.zone == "Device":
            continue
        if zone.zone not in ZONE_BY_LABEL:
            raise TraceError(
                f"{trace.name}: boot: unknown zone {zone.zone!r} (known: {', '.join(ZONE_LABELS)}, Device)"
            )
        zone_type = ZONE_BY_LABEL[zone.zone]
        later = of_cold.get((zone.node, zone_type), 0)
        add_boot_zone(
            memory,
            zone.node,
            zone_type,
            start=zone.start_pfn if zone.spanned_pages else 0,
            end=zone.start_pfn + zone.spanned_pages if zone.spanned_pages else 0,
            present=zone.present_pages - later,
            managed=zone.managed_pages - later,
            cma=zone.cma_pages,
        )
    for run, zone_of_run in early:
        add_boot_blocks(memory, *run, zone_of_run)
    return memory, cold


def _boot_blocks(
    trace: Trace, memory: Memory, cold: list[ColdMemory]
) -> list[tuple[tuple[int, int, int], ZoneType | None]]:
    """Return the blocks of boot memory: (node, first, count) and zone, None for several.

    Those of ``cold`` DIMMs that are online are noted there.
    """
    early = []
    for run in trace.boot.blocks:
        if run.node is None or run.node not in memory.nodes or run.start + run.count > memory.max_blocks:
            raise TraceError(f"{trace.name}: boot: blocks from {run.start}: node {run.node!r} or range is impossible")
        zone_type = ZONE_BY_LABEL.get(run.zone or "")
        for first, count, dimm in _split(run, cold, trace.memory_block_size):
            if dimm is not None:
                if zone_type is not None:
                    dimm.online.update(dict.fromkeys(range(first, first + count), zone_type))
                continue
            if zone_type is None and run.zone != "none":
                raise TraceError(f"{trace.name}: boot: blocks from {first}: unknown zone {run.zone!r}")
            early.append(((run.node, first, count), zone_type))
    return early


def attach(cold: list[ColdMemory], context: DriverContext) -> list[Dimm]:
    """Add DIMMs to the machine as they were at boot: blocks that are online are in the zones that they were in."""
    dimms = []
    for memory in cold:
        dimm = Dimm(context, memory.name, memory.node, [(memory.address, memory.size)])
        first, end = (edge // context.block_bytes for edge in (memory.address, memory.address + memory.size))
        whole = not (memory.address | memory.size) % context.block_bytes
        zones = [int(memory.online.get(block, NO_ZONE)) for block in range(first, end)] if whole else []
        dimm.find({0: [FoundRun(first + at, 1, zone) for at, zone in enumerate(zones)]})
        dimms.append(dimm)
    return dimms


def _cold_dimms(trace: Trace) -> list[ColdMemory]:
    """Return the DIMMs of the machine's command line, at the addresses that the first step which lists them has.

    One that is not listed lies behind the one before it, as the machine places them in this order.
    """
    known = {
        entry.id: entry
        for step in reversed(trace.steps)
        for entry in reversed(step.devices or [])
        if entry.type == "dimm" and entry.addr is not None
    }
    found: list[ColdMemory] = []
    for dimm in trace.machine.cold_dimms:
        entry = known.get(dimm.id)
        if entry is not None and entry.addr is not None:
            found.append(ColdMemory(dimm.id, entry.node, entry.addr, dimm.size))
        elif found:
            found.append(ColdMemory(dimm.id, dimm.node, found[-1].address + found[-1].size, dimm.size))
        else:
            raise TraceError(f"{trace.name}: no step has the address of {dimm.id!r}, which was there at boot")
    return found


def _split(run: BlockRun, cold: list[ColdMemory], block_bytes: int) -> list[tuple[int, int, ColdMemory | None]]:
    """Return ``run`` as (first block, blocks, DIMM that they are of or None for boot memory), ascending."""
    parts: list[tuple[int, int, ColdMemory | None]] = []
    at, end = run.start, run.start + run.count
    for dimm in sorted(cold, key=lambda dimm: dimm.address):
        first = max(at, -(-dimm.address // block_bytes))
        last = min(end, (dimm.address + dimm.size) // block_bytes)
        if first >= last:
            continue
        if first > at:
            parts.append((at, first - at, None))
        parts.append((first, last - first, dimm))
        at = last
    if at < end:
        parts.append((at, end - at, None))
    return parts
