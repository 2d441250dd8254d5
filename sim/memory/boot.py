"""What there is at boot: zones with their counters, and the blocks that firmware's memory map has given them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.memory.blocks import BLOCK_MIXED, BLOCK_OFFLINE, BlockTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.memory.hotplug import Memory
    from sim.memory.zones import Zone


def add_boot_zone(  # noqa: PLR0913 - all counters of a zone
    memory: Memory,
    node: int,
    zone_type: int,
    *,
    start: int,
    end: int,
    present: int,
    managed: int,
    cma: int = 0,
    present_early: int | None = None,
) -> Zone:
    """Set up a boot zone: span ``[start, end)`` in page frames, counters in pages.

    Blocks follow by :func:`add_boot_blocks`.
    """
    zone = memory.zone(node, zone_type)
    zone.start, zone.end = start, end
    zone.cma, zone.managed = cma, managed
    zone.present_early = present if present_early is None else present_early
    zone.present = present
    memory.nodes[node].update_low_end()
    for totals in memory.scopes(zone):
        if zone.movable:
            totals.movable += present
        else:
            totals.kernel += present
            totals.early_kernel += zone.present_early
            if present:
                totals.movable += cma
                totals.early_kernel -= cma
    return zone


def veto_offlining(memory: Memory) -> None:
    """Have the architecture refuse to take early blocks offline (``prevent_bootmem_remove_notifier`` on arm64)."""
    flags = memory.blocks.flags
    for block in memory.blocks.ids():
        if flags[block] & BlockTable.EARLY:
            flags[block] |= BlockTable.VETOED


def add_boot_blocks(
    memory: Memory,
    node: int,
    first: int,
    count: int,
    zone_type: int | None,
    *,
    holes: bool = False,
    sections_end: int | None = None,
) -> None:
    """Declare ``count`` early blocks, online in ``zone_type`` or, where None, in several zones or nodes.

    ``sections_end``: page after the last block's last section that has memory, where sections are missing above it.
    """
    code = BLOCK_MIXED if zone_type is None else memory.zone(node, zone_type).code
    _declare(memory, node, first, count, code, BlockTable.HAS_HOLES if holes else 0)
    if zone_type is None:
        start, end = first * memory.block_pages, (first + count) * memory.block_pages
        for zone in memory.zone_by_code:
            if zone is not None and zone.intersects(start, end - start):
                zone.mixed_parts.append((max(zone.start, start), min(zone.end, end)))
    elif sections_end is not None:
        memory.spans.sections_end[first + count - 1] = sections_end


def add_offline_boot_blocks(memory: Memory, node: int, first: int, count: int) -> None:
    """Declare ``count`` early blocks that have been taken offline since the kernel started."""
    _declare(memory, node, first, count, BLOCK_OFFLINE)


def add_shared_boot_block(memory: Memory, node: int, block: int, parts: Iterable[tuple[Zone, int, int]]) -> None:
    """Declare an early block of which each of several zones has a part, page frames [start, end)."""
    _declare(memory, node, block, 1, BLOCK_MIXED)
    for zone, start, end in parts:
        zone.mixed_parts.append((start, end))


def _declare(memory: Memory, node: int, first: int, count: int, code: int, flags: int = 0) -> None:
    blocks = memory.blocks
    blocks.reserve(first + count)
    end = first + count
    blocks.where[first:end] = bytes((code,)) * count
    blocks.node[first:end] = type(blocks.node)("H", (node,)) * count
    blocks.flags[first:end] = bytes((BlockTable.EARLY | flags,)) * count
