"""A machine's memory as it boots: nodes, zones, blocks, and where hotplugged devices go.

The machine is QEMU's ``pc`` with x86-64 Linux, or one of :mod:`sim.machine.architecture`. Where its memory lies:
:mod:`sim.machine.address_map`; which zone it is in: :mod:`sim.machine.boot_zones`; what of it is CMA:
:mod:`sim.machine.cma`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from sim.faults import Fault, InputError
from sim.guest.boot import PresentZone
from sim.guest.reserve import BootOptions
from sim.machine import swiotlb
from sim.machine.address_map import HIGH_MEMORY, LinuxNodes, device_base, firmware_leaves, present_ranges
from sim.machine.boot_zones import present_pages, within, zones_at_boot
from sim.machine.cma import cma_areas
from sim.machine.state import joined
from sim.machine.state_layout import declare_blocks, lay_out_state
from sim.memory.blocks import MAX_ZONES, BlockTable
from sim.memory.boot import add_boot_blocks, add_boot_zone, veto_offlining
from sim.memory.hotplug import Memory
from sim.memory.zones import NR_ZONES, ZONE_DMA, ZONE_MOVABLE
from sim.record.blockmap import state_by_code
from sim.record.run_result import SEVERAL_ZONES, BootMemory, BootRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.machine.address_map import NodeRange
    from sim.machine.boot_zones import BootZone
    from sim.machine.spec import MachineSpec


@dataclass(frozen=True, slots=True)
class BootLayout:
    """A machine's memory as it boots.

    ``cma_areas`` are page frames of CMA, ``cma_of`` the same by node and zone; ``device_base`` is the first byte
    address for hotplugged devices; ``options`` what the guest's kernel goes by; ``isa_dma`` says that zone DMA is
    there for old devices only. ``assumed`` says, a sentence each, what of a machine that starts from a state is
    neither in that nor follows from the machine.
    """

    memory: Memory
    zones: tuple[BootZone, ...]
    cma_areas: tuple[NodeRange, ...]
    cma_of: Mapping[tuple[int, int], Sequence[NodeRange]]
    boot: BootMemory
    device_base: int
    options: BootOptions
    isa_dma: bool
    assumed: tuple[str, ...] = ()

    def present_zones(self) -> list[PresentZone]:
        """Return every zone. A block of several zones stands with the highest; an old zone DMA has none."""
        block_pages = self.memory.block_pages
        runs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for run in self.boot.runs:
            owner = run.zone
            if owner == SEVERAL_ZONES:
                start, end = run.first * block_pages, (run.first + run.blocks) * block_pages
                parts = [zone.zone for zone in self.zones if self._has_part(zone, start, end, run.node)]
                owner = max(parts, default=NR_ZONES)
            if owner != ZONE_DMA or not self.isa_dma:
                runs.setdefault((run.node, owner), []).append((run.first, run.blocks))
        return [
            PresentZone(
                zone.node,
                zone.zone,
                zone.present,
                tuple(runs.get((zone.node, zone.zone), ())),
                self._cma_in(zone),
                zone.managed,
            )
            for zone in self.zones
        ]

    def _has_part(self, zone: BootZone, start: int, end: int, node: int) -> bool:
        """Whether a zone of ``node`` has a piece of a block of several zones in pages [start, end)."""
        parts = self.memory.zone(zone.node, zone.zone).mixed_parts
        return zone.node == node and any(low < end and high > start for low, high in parts)

    def _cma_in(self, zone: BootZone) -> tuple[tuple[int, int], ...]:
        """Return the CMA areas that keep a zone's kernel pages out: none in ZONE_MOVABLE, which has no such pages."""
        if zone.zone == ZONE_MOVABLE:
            return ()
        return tuple((area.start, area.end - area.start) for area in self.cma_of.get((zone.node, zone.zone), ()))


def lay_out(machine: MachineSpec) -> BootLayout:
    """Return the machine's memory at boot. Nodes follow each other in address order, by the kernel's numbers.

    Raises InputError where there are more zones than can be simulated.
    """
    geometry = machine.geometry
    memory = Memory(
        geometry=geometry,
        block_pages=machine.block_size // geometry.size,
        section_pages=machine.section_size // geometry.size,
        nodes=range(len(LinuxNodes(machine).numbers)),
    )
    ranges = present_ranges(machine)
    assumed: tuple[str, ...] = ()
    if machine.state is None:
        areas = cma_areas(machine, ranges) or []
        zones = zones_at_boot(machine, ranges, areas)
        cma_of = {(zone.node, zone.zone): [area for area in areas if within(area, zone)] for zone in zones}
        _add_zones(memory, zones)
        _declare_blocks(memory, ranges, zones)
        if not machine.built_for.boot_goes_offline:
            veto_offlining(memory)
        top = ranges[-1].end
    else:
        found = lay_out_state(machine, machine.state, memory)
        areas, zones, cma_of = [area for own in found.areas.values() for area in own], found.zones, found.areas
        _add_zones(memory, zones)
        declare_blocks(found, memory)
        top, assumed = max(part.end for part in found.ranges), tuple(found.assumed)
    for area in areas:
        for block in range(area.start // memory.block_pages, -(-area.end // memory.block_pages)):
            memory.blocks.flags[block] |= BlockTable.HAS_CMA
    kernel = [zone for zone in zones if zone.zone != ZONE_MOVABLE]
    boot = BootMemory(
        runs=_block_runs(memory),
        kernel_pages=sum(zone.present for zone in kernel),
        movable_pages=sum(zone.present for zone in zones if zone.zone == ZONE_MOVABLE),
        cma_pages=sum(zone.cma for zone in kernel),
    )
    options = _options(machine, ranges, areas, above_4g=top > geometry.pages(HIGH_MEMORY))
    base, isa_dma = device_base(machine), machine.built_for.isa_dma
    return BootLayout(memory, tuple(zones), tuple(areas), cma_of, boot, base, options, isa_dma, assumed)


def _add_zones(memory: Memory, zones: Sequence[BootZone]) -> None:
    if len(zones) > MAX_ZONES:
        what = f"their memory is in {len(zones)} zones; {MAX_ZONES} at most can be simulated"
        raise InputError("machine", [Fault("nodes", what)])
    for zone in zones:
        add_boot_zone(
            memory,
            zone.node,
            zone.zone,
            start=zone.start,
            end=zone.end,
            present=zone.present,
            managed=zone.present if zone.managed is None else zone.managed,
            cma=zone.cma,
        )


def _options(
    machine: MachineSpec, ranges: Sequence[NodeRange], areas: Sequence[NodeRange], *, above_4g: bool
) -> BootOptions:
    """Return what decides how much the guest's kernel reserves; ``ranges`` are what it uses."""
    used, told = (sum(part.end - part.start for part in parts) for parts in (ranges, firmware_leaves(machine)))
    buffers = swiotlb.parse(machine.swiotlb or "") or swiotlb.Swiotlb()
    return BootOptions(
        series=machine.kernel_series,
        boot_memory=machine.boot_memory,
        unused=(told - used) * machine.page_size,
        swiotlb=not buffers.off and _needs_swiotlb(machine, above_4g=above_4g, forced=buffers.force),
        swiotlb_bytes=buffers.size,
        above_4g=above_4g,
        crashkernel=machine.crashkernel,
        log_buf_len=machine.log_buffer,
        bottom_up=machine.movable_node,
        cma=sum(area.end - area.start for area in areas) * machine.page_size,
        memoryless_nodes=len(LinuxNodes(machine).numbers) - sum(bool(node.boot_memory) for node in machine.nodes),
        section_size=machine.section_size,
    )


def _needs_swiotlb(machine: MachineSpec, *, above_4g: bool, forced: bool) -> bool:
    """Whether the kernel sets up bounce buffers, for devices that do not reach all memory."""
    architecture = machine.built_for
    return architecture.swiotlb and (forced or above_4g or (architecture.swiotlb_for_hotplug and machine.can_grow))


def _declare_blocks(memory: Memory, ranges: list[NodeRange], zones: list[BootZone]) -> None:
    """Enter the boot blocks: one of several zones or nodes as mixed, one with missing pages as never to go offline."""
    pages = memory.block_pages
    of_node = {node: [node_range for node_range in ranges if node_range.node == node] for node in memory.nodes}
    # Where nothing begins or ends, blocks are alike.
    spans = [(part.start, part.end) for part in ranges] + [(zone.start, zone.end) for zone in zones]
    edges = sorted({block for span in spans for edge in span for block in (edge // pages, -(-edge // pages))})
    memory.blocks.reserve(edges[-1])
    for first, stop in pairwise(edges):
        start, end = first * pages, (first + 1) * pages
        node = next((part.node for part in ranges if part.start < end and part.end > start), None)
        if node is None:
            continue
        within = [
            zone
            for zone in zones
            if zone.start < end
            and zone.end > start
            and present_pages(of_node[zone.node], max(start, zone.start), min(end, zone.end))
        ]
        if len(within) == 1:
            own = [part for part in of_node[within[0].node] if part.start < end and part.end > start]
            missing = present_pages(own, start, end) < pages
            last = -(-own[-1].end // memory.section_pages) * memory.section_pages
            add_boot_blocks(
                memory,
                within[0].node,
                first,
                stop - first,
                within[0].zone,
                holes=missing,
                sections_end=last if last < end else None,
            )
        else:
            for block in range(first, stop):
                add_boot_blocks(memory, node, block, 1, None)


def _block_runs(memory: Memory) -> tuple[BootRun, ...]:
    """Return the boot blocks, adjacent ones that are alike as one run."""
    blocks, states = memory.blocks, state_by_code(memory)
    found = []
    for start, end in blocks.runs(0, len(blocks)):
        like = zip(blocks.where[start:end], blocks.node[start:end], strict=True)
        first = start
        for (code, node), alike in groupby(like):
            count = sum(1 for _ in alike)
            found.append(BootRun(first, count, states[code], node))
            first += count
    return joined(found)
