"""How a machine's boot memory is laid out: nodes, zones, blocks, and where hotplugged devices go.

The machine is QEMU's ``pc`` with x86-64 Linux: memory below the PCI hole, the rest from 4 GiB; zones DMA, DMA32 and
NORMAL by address; ``kernelcore=`` and ``movablecore=`` split off ZONE_MOVABLE as ``find_zone_movable_pfns_for_nodes``
of ``mm/mm_init.c`` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.guest.boot import PresentZone
from sim.guest.reserve import BootOptions
from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.hotplug import Memory
from sim.memory.zones import NR_ZONES, ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.record.run_result import SEVERAL_ZONES, BootMemory, BootRun
from sim.units import GIB, PAGE_SIZE, bytes_to_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.machine.spec import MachineSpec

_DMA_END: Final = 4096
_DMA32_END: Final = 4 * GIB // PAGE_SIZE
_MOVABLE_ALIGN: Final = 1024
"""Pages that the start of a ZONE_MOVABLE at boot is rounded up to: the page allocator's largest chunk, 4 MiB."""

# QEMU hw/i386/pc_piix.c: memory below 4 GiB ends at 3 GiB once there are 3.5 GiB, so that the hole is aligned.
_HOLE_FROM: Final = 7 * GIB // 2
_LOW_MEMORY: Final = 3 * GIB

# Firmware: page 0 and the video and BIOS area up to 1 MiB are missing, and 32 pages of ACPI tables at the top of low
# memory. As in recorded kernels, where zone DMA of this machine has 3998 pages.
_FIRST_HOLE: Final = (0, 1)
_VIDEO_HOLE: Final = (0x9F, 0x100)
_ACPI_PAGES: Final = 32


@dataclass(frozen=True, slots=True)
class NodeRange:
    """Memory of a node at boot: page frames [start, end) that are present."""

    node: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BootZone:
    """A zone at boot: span [start, end) in page frames, present and CMA pages."""

    node: int
    zone: int
    start: int
    end: int
    present: int
    cma: int


@dataclass(frozen=True, slots=True)
class BootLayout:
    """A machine's memory as it boots.

    ``device_base`` is the first byte address for hotplugged devices; ``options`` what the guest's kernel goes by.
    """

    memory: Memory
    zones: tuple[BootZone, ...]
    boot: BootMemory
    device_base: int
    options: BootOptions

    def present_zones(self) -> list[PresentZone]:
        """Return every zone. A block of several zones stands with the highest; blocks of ZONE_DMA are left out."""
        block_pages = self.memory.block_pages
        runs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for run in self.boot.runs:
            owner = run.zone
            if owner == SEVERAL_ZONES:
                start, end = run.first * block_pages, (run.first + run.blocks) * block_pages
                within = [
                    zone for zone in self.zones if zone.node == run.node and zone.start < end and zone.end > start
                ]
                owner = max((zone.zone for zone in within), default=NR_ZONES)
            if owner != ZONE_DMA:
                runs.setdefault((run.node, owner), []).append((run.first, run.blocks))
        return [
            PresentZone(zone.node, zone.zone, zone.present, tuple(runs.get((zone.node, zone.zone), ())))
            for zone in self.zones
        ]


def lay_out(machine: MachineSpec) -> BootLayout:
    """Return the machine's memory at boot. Nodes follow each other in address order."""
    memory = Memory(
        block_pages=machine.block_size // PAGE_SIZE,
        section_pages=machine.section_size // PAGE_SIZE,
        nodes=range(len(machine.nodes)),
    )
    ranges = _present_ranges(machine)
    zones = _zones(machine, ranges)
    for zone in zones:
        add_boot_zone(
            memory,
            zone.node,
            zone.zone,
            start=zone.start,
            end=zone.end,
            present=zone.present,
            managed=zone.present,
            cma=zone.cma,
        )
    _declare_blocks(memory, ranges, zones)
    top = max((node_range.end for node_range in ranges), default=0) * PAGE_SIZE
    base = max(4 * GIB, -(-top // GIB) * GIB)
    boot = BootMemory(
        runs=_block_runs(memory),
        kernel_pages=memory.system.kernel,
        movable_pages=memory.system.movable,
        early_kernel_pages=memory.system.early_kernel,
    )
    return BootLayout(memory, tuple(zones), boot, base, _options(machine, above_4g=top > 4 * GIB))


def _options(machine: MachineSpec, *, above_4g: bool) -> BootOptions:
    """Return what decides how much the guest's kernel reserves."""
    return BootOptions(
        series=machine.kernel_series,
        swiotlb=machine.swiotlb != "noforce" and (above_4g or machine.can_grow),
        above_4g=above_4g,
        crashkernel=machine.crashkernel,
        log_buf_len=machine.log_buf_len,
        bottom_up=machine.movable_node,
        cma=machine.cma,
        memoryless_nodes=sum(not node.boot_memory for node in machine.nodes),
        section_pages=machine.section_size // PAGE_SIZE,
    )


def _present_ranges(machine: MachineSpec) -> list[NodeRange]:
    """Return where each node's memory lies, ascending, without what firmware keeps."""
    total = machine.boot_memory
    low_end = bytes_to_pages(_LOW_MEMORY if total >= _HOLE_FROM else total)
    ranges = []
    position = 0
    for node, spec in enumerate(machine.nodes):
        left = bytes_to_pages(spec.boot_memory)
        if position < low_end and left:
            low_part = min(left, low_end - position)
            ranges.append(NodeRange(node, position, position + low_part))
            position += low_part
            left -= low_part
        if left:
            position = max(position, _DMA32_END)
            ranges.append(NodeRange(node, position, position + left))
            position += left
    holes = [_FIRST_HOLE, _VIDEO_HOLE]
    if low_end > _DMA_END + _ACPI_PAGES:
        holes.append((low_end - _ACPI_PAGES, low_end))
    for hole in holes:
        ranges = [piece for node_range in ranges for piece in _cut_out(node_range, *hole)]
    return ranges


def _cut_out(node_range: NodeRange, start: int, end: int) -> Iterator[NodeRange]:
    """Yield what is left of a range when [start, end) is missing."""
    if start >= node_range.end or end <= node_range.start:
        yield node_range
        return
    if node_range.start < start:
        yield NodeRange(node_range.node, node_range.start, start)
    if end < node_range.end:
        yield NodeRange(node_range.node, end, node_range.end)


def _zones(machine: MachineSpec, ranges: list[NodeRange]) -> list[BootZone]:
    movable_from = _movable_starts(machine, ranges)
    bounds = ((ZONE_DMA, 0, _DMA_END), (ZONE_DMA32, _DMA_END, _DMA32_END), (ZONE_NORMAL, _DMA32_END, 1 << 62))
    # CMA areas lie below 4 GiB where devices without long addresses reach them, so in DMA32 of the first node that
    # has any.
    cma_left = bytes_to_pages(machine.cma)
    zones = []
    for node in range(len(machine.nodes)):
        own = [node_range for node_range in ranges if node_range.node == node]
        if not own:
            continue
        first, last = own[0].start, own[-1].end
        movable = movable_from.get(node, 1 << 62)
        for zone, low, high in (*bounds, (ZONE_MOVABLE, movable, 1 << 62)):
            start, end = max(first, low), min(last, high)
            if zone != ZONE_MOVABLE:
                end = min(end, movable) if movable > start else start
            present = _present_pages(own, start, end)
            if start >= end or not present:
                continue
            cma = min(cma_left, present) if zone == ZONE_DMA32 else 0
            cma_left -= cma
            zones.append(BootZone(node, zone, start, end, present, cma))
    return zones


def _present_pages(ranges: list[NodeRange], start: int, end: int) -> int:
    """Return how many pages of [start, end) are there."""
    return sum(max(0, min(end, node_range.end) - max(start, node_range.start)) for node_range in ranges)


def _movable_starts(machine: MachineSpec, ranges: list[NodeRange]) -> dict[int, int]:
    """Return, by node, the first page of a ZONE_MOVABLE made by ``kernelcore=`` or ``movablecore=``.

    Kernel memory is spread evenly over the nodes, what low zones hold counts first, and what a small node cannot give
    is asked of the others.
    """
    required = bytes_to_pages(machine.kernelcore)
    total = sum(node_range.end - node_range.start for node_range in ranges)
    if machine.movablecore:
        movable = -(-bytes_to_pages(machine.movablecore) // _MOVABLE_ALIGN) * _MOVABLE_ALIGN
        required = max(required, total - min(total, movable))
    if not required or required >= total:
        return {}
    top = max(node_range.end for node_range in ranges)
    usable_from = _DMA32_END if top > _DMA32_END else _DMA_END if top > _DMA_END else 0
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
    aligned = {node: -(-start // _MOVABLE_ALIGN) * _MOVABLE_ALIGN for node, start in starts.items() if start}
    return {node: start for node, start in aligned.items() if start < ends[node]}


def _place_kernel_share(
    node: int, share: int, required: int, usable_from: int, ranges: list[NodeRange], starts: dict[int, int]
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


def _declare_blocks(memory: Memory, ranges: list[NodeRange], zones: list[BootZone]) -> None:
    """Enter the boot blocks: one of several zones or nodes as mixed, one with missing pages as never to go offline."""
    pages = memory.block_pages
    of_node = {node: [node_range for node_range in ranges if node_range.node == node] for node in memory.nodes}
    blocks = {
        block: node_range.node
        for node_range in reversed(ranges)
        for block in range(node_range.start // pages, -(-node_range.end // pages))
    }
    for block, node in sorted(blocks.items()):
        start, end = block * pages, (block + 1) * pages
        within = [
            zone
            for zone in zones
            if zone.start < end
            and zone.end > start
            and _present_pages(of_node[zone.node], max(start, zone.start), min(end, zone.end))
        ]
        if len(within) == 1:
            own = [
                node_range
                for node_range in of_node[within[0].node]
                if node_range.start < end and node_range.end > start
            ]
            missing = _present_pages(own, start, end) < pages
            last = -(-own[-1].end // memory.section_pages) * memory.section_pages
            add_boot_blocks(
                memory,
                within[0].node,
                block,
                1,
                within[0].zone,
                holes=missing,
                sections_end=last if last < end else None,
            )
        else:
            add_boot_blocks(memory, node, block, 1, None)


def _block_runs(memory: Memory) -> tuple[BootRun, ...]:
    """Return the boot blocks, adjacent ones that are alike as one run."""
    runs: list[BootRun] = []
    for block in memory.blocks.ids():
        zone = memory.zone_of(block)
        alone = BootRun(block, 1, SEVERAL_ZONES if zone is None else zone.type, memory.blocks.node[block])
        last = runs[-1] if runs else None
        if (
            last is not None
            and (last.zone, last.node) == (alone.zone, alone.node)
            and last.first + last.blocks == block
        ):
            runs[-1] = last._replace(blocks=last.blocks + 1)
        else:
            runs.append(alone)
    return tuple(runs)
