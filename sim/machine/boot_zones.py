"""Which zone each page of boot memory belongs to: by address, and by the words of the command line.

As ``free_area_init`` and ``find_zone_movable_pfns_for_nodes`` of ``mm/mm_init.c``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.machine.address_map import NodeRange
    from sim.machine.spec import MachineSpec

_NO_END: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class BootZone:
    """A zone at boot: span [start, end) in page frames, present, CMA and (None: not known) managed pages."""

    node: int
    zone: int
    start: int
    end: int
    present: int
    cma: int = 0
    managed: int | None = None


def zones_at_boot(machine: MachineSpec, ranges: Sequence[NodeRange], areas: Sequence[NodeRange] = ()) -> list[BootZone]:
    """Return the zones of each node, ``ranges`` being the memory that is there and ``areas`` the CMA in it."""
    movable_from = _movable_starts(machine, ranges)
    dma, dma32 = _low_zone_ends(machine)
    bounds = ((ZONE_DMA, 0, dma), (ZONE_DMA32, dma, dma32), (ZONE_NORMAL, dma32, _NO_END))
    zones = []
    for node in sorted({node_range.node for node_range in ranges}):
        own = [node_range for node_range in ranges if node_range.node == node]
        first, last = own[0].start, own[-1].end
        movable = movable_from.get(node, _NO_END)
        for zone, low, high in (*bounds, (ZONE_MOVABLE, movable, _NO_END)):
            start, end = max(first, low), min(last, high)
            if zone != ZONE_MOVABLE:
                end = min(end, movable) if movable > start else start
            present = present_pages(own, start, end)
            if start < end and present:
                zones.append(BootZone(node, zone, start, end, present))
    return [replace(zone, cma=sum(area.end - area.start for area in areas if within(area, zone))) for zone in zones]


def _low_zone_ends(machine: MachineSpec) -> tuple[int, int]:
    """Return the page frames where DMA and DMA32 end."""
    pages = machine.geometry.pages
    dma = pages(machine.built_for.dma_end) if machine.zone_dma else 0
    return dma, max(dma, pages(machine.built_for.dma32_end))


def present_pages(ranges: Sequence[NodeRange], start: int, end: int) -> int:
    """Return how many pages of [start, end) are there."""
    return sum(max(0, min(end, node_range.end) - max(start, node_range.start)) for node_range in ranges)


def crossing(areas: Sequence[NodeRange], zones: Sequence[BootZone]) -> NodeRange | None:
    """Return the first CMA area that no zone holds as a whole, which the kernel could not use; None where all are."""
    return next((area for area in areas if not any(within(area, zone) for zone in zones)), None)


def within(area: NodeRange, zone: BootZone) -> bool:
    """Whether an area lies in a zone as a whole."""
    return area.node == zone.node and zone.start <= area.start and area.end <= zone.end


def _movable_starts(machine: MachineSpec, ranges: Sequence[NodeRange]) -> dict[int, int]:
    """Return, by node, the first page of a ZONE_MOVABLE made by ``kernelcore=`` or ``movablecore=``.

    Kernel memory is spread evenly over the nodes, what low zones hold counts first, and what a small node cannot give
    is asked of the others. With ``movable_node`` the kernel looks at neither word: ZONE_MOVABLE is what firmware marks
    as hotpluggable, which is nothing of the memory that QEMU boots with.
    """
    if machine.movable_node:
        return {}
    pages, align = machine.geometry.pages, machine.geometry.chunk_pages
    total = sum(node_range.end - node_range.start for node_range in ranges)
    required = total * machine.kernelcore_percent // 100 or pages(machine.kernelcore)
    movable = total * machine.movablecore_percent // 100 or pages(machine.movablecore)
    if movable:
        required = max(required, total - min(total, -(-movable // align) * align))
    if not required or required >= total:
        return {}
    top = max(node_range.end for node_range in ranges)
    dma, dma32 = _low_zone_ends(machine)
    usable_from = next((end for end in (dma32, dma) if top > end), 0)
    nodes = sorted({node_range.node for node_range in ranges})
    starts = dict.fromkeys(nodes, 0)
    usable = len(nodes)
    while True:
        share = required // usable
        for node in nodes:
            share = min(share, required // usable) if required < share else share
            required = _place_kernel_share(node, share, required, usable_from, ranges, starts)
        usable -= 1
        if not usable or required <= usable:
            break
    ends = {node_range.node: node_range.end for node_range in ranges}
    aligned = {node: -(-start // align) * align for node, start in starts.items() if start}
    return {node: start for node, start in aligned.items() if start < ends[node]}


def _place_kernel_share(
    node: int, share: int, required: int, usable_from: int, ranges: Sequence[NodeRange], starts: dict[int, int]
) -> int:
    """Move ``starts[node]`` up by ``share`` pages of kernel memory. Returns what is still required of all nodes."""
    left = share
    for node_range in ranges:
        if node_range.node != node:
            continue
        start = max(node_range.start, starts[node])
        if start >= node_range.end:
            continue
        if start < usable_from:
            low = min(node_range.end, usable_from) - start
            left -= min(low, left)
            required -= min(low, required)
            if node_range.end <= usable_from:
                starts[node] = node_range.end
                continue
            start = usable_from
        size = min(node_range.end - start, left)
        starts[node] = start + size
        required -= min(size, required)
        left -= size
        if not left:
            break
    return required
