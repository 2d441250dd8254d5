"""The machine of a recording as it was at boot, as the model takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_BY_LABEL, ZONE_LABELS
from sim.replay.trace_format import TraceError

if TYPE_CHECKING:
    from sim.replay.trace_format import Trace


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
        add_boot_zone(
            memory,
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
        add_boot_blocks(memory, run.node, run.start, run.count, zone_type)
    return memory
