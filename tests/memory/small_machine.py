"""A machine of a few blocks, and what its zones count and span."""

from __future__ import annotations

from copy import deepcopy

from sim.memory.boot import add_boot_blocks, add_boot_zone
from sim.memory.hotplug import Memory
from sim.memory.zones import ZONE_NORMAL

B = 32768
"""Pages of a block of 128 MiB."""


def machine(*, nodes: int = 1, cma: int = 0, block_pages: int = B) -> Memory:
    """One node with 8 boot blocks in Normal from block 32 on, on a machine with ``nodes`` possible nodes."""
    memory = Memory(block_pages=block_pages, section_pages=block_pages, nodes=range(nodes))
    start, pages = 32 * block_pages, 8 * block_pages
    add_boot_zone(memory, 0, ZONE_NORMAL, start=start, end=start + pages, present=pages, managed=pages - 1000, cma=cma)
    add_boot_blocks(memory, 0, 32, 8, ZONE_NORMAL)
    return memory


def counters(memory: Memory, zone_type: int, node: int = 0) -> tuple[int, int, int]:
    """(present, present_early, managed) of a zone, in pages."""
    zone = memory.zone(node, zone_type)
    return zone.present, zone.present_early, zone.managed


def span(memory: Memory, zone_type: int) -> tuple[int, int]:
    """Span of the zone in blocks (start, end)."""
    zone = memory.zone(0, zone_type)
    return zone.start // B, zone.end // B


def everything(memory: Memory) -> tuple[object, ...]:
    """Return a copy of all that a memory holds, totals and sums kept for policies included: to compare with another."""
    blocks, groups = memory.blocks, memory.groups
    return (
        bytes(blocks.where),
        bytes(blocks.flags),
        list(blocks.node),
        list(blocks.group),
        dict(blocks.left_over),
        [(group.id, group.blocks, group.kernel, group.movable) for group in groups],
        [
            (zone.start, zone.end, zone.present, zone.present_early, zone.managed)
            for zone in memory.zone_by_code
            if zone is not None
        ],
        vars(memory.system).copy(),
        {node.id: vars(node.totals).copy() for node in memory.nodes.values()},
        {
            ratio: (charges.total, charges.by_node.copy(), charges.charged.copy())
            for ratio, charges in groups.kept.items()
        },
        None if groups.touched is None else groups.touched.id,
        deepcopy(memory._units.sizes),  # noqa: SLF001 - it follows from the rest, if every way keeps it so
    )
