"""Where the areas of ``cma=`` lie: contiguous memory that only movable pages use until a driver wants it.

As ``cma_declare_contiguous_nid`` (later ``cma_alloc_mem``) of ``mm/cma.c`` and ``dma_numa_cma_reserve`` of
``kernel/dma/contiguous.c``: the lowest place from 4 GiB on, else the highest of all, each in one piece of free memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.machine.address_map import HIGH_MEMORY, NodeRange, without
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.machine.spec import MachineSpec
    from sim.pages import PageGeometry

# What the kernel holds by then: its image, loaded at 16 MiB; at the top of memory the log and its first page tables; at
# the top of each node that node's own structures. The sizes are rough, and decide where an area fits all but so.
_IMAGE: Final = (16 * MIB, 64 * MIB)
_TOP_OF_MEMORY: Final = 4 * MIB
_TOP_OF_NODE: Final = 2 * MIB


def cma_areas(machine: MachineSpec, ranges: Sequence[NodeRange]) -> list[NodeRange] | None:
    """Return the areas that ``cma=`` brings, the default one first; None where that fits nowhere.

    ``ranges`` is the memory that is there. Where the kernel repeats it on each of several nodes with memory, each that
    has room gets one more of the same size.
    """
    geometry = machine.geometry
    size = geometry.whole_pageblocks(geometry.pages(machine.cma))
    if not size:
        return []
    free = _free_ranges(machine, ranges)
    nodes = sorted({part.node for part in ranges})
    areas: list[NodeRange] = []
    for wanted in ({*nodes}, *([{node} for node in nodes] if machine.repeats_cma and len(nodes) > 1 else [])):
        room = [part for part in free if part.node in wanted]
        area = place(room if areas else _asked_for(machine, room), size, geometry)
        if area is not None:
            areas.append(area)
            free = without(free, area.start, area.end)
        elif not areas:
            return None
    return areas


def _asked_for(machine: MachineSpec, free: Sequence[NodeRange]) -> list[NodeRange]:
    """Return what of ``free`` lies where ``cma=size@base-limit`` has the default area; all where it says nothing."""
    pages = machine.geometry.pages
    below = without(free, pages(machine.cma_limit), 1 << 62) if machine.cma_limit else free
    return without(below, 0, pages(machine.cma_base))


def largest_area(machine: MachineSpec, ranges: Sequence[NodeRange]) -> int:
    """Return the pages of the largest area that finds room in ``ranges``, 0 where none does."""
    geometry = machine.geometry
    pageblock = geometry.pageblock_pages
    room = (
        part.end // pageblock * pageblock - geometry.whole_pageblocks(part.start)
        for part in _asked_for(machine, _free_ranges(machine, ranges))
    )
    return max([0, *room])


def _free_ranges(machine: MachineSpec, ranges: Sequence[NodeRange]) -> list[NodeRange]:
    """Return what the kernel has not taken for itself by then, ascending."""
    top = max(part.end for part in ranges)
    pages = machine.geometry.pages
    tables = pages(_TOP_OF_MEMORY + machine.log_buffer)
    last = {part.node: part.end for part in ranges}
    begin = machine.built_for.ram_start
    free = without(ranges, *(pages(begin + edge) for edge in _IMAGE))
    if machine.built_for.low_cma:
        free = without(free, pages(HIGH_MEMORY), 1 << 62)
    for end in last.values():
        free = without(free, end - (tables if end == top else pages(_TOP_OF_NODE)), end)
    return free


def place(free: Sequence[NodeRange], size: int, geometry: PageGeometry) -> NodeRange | None:
    """Return the lowest place for ``size`` pages from 4 GiB on, else the highest of all; None where there is none."""
    for part in free:
        start = geometry.whole_pageblocks(max(part.start, geometry.pages(HIGH_MEMORY)))
        if start + size <= part.end:
            return NodeRange(part.node, start, start + size)
    pageblock = geometry.pageblock_pages
    for part in reversed(free):
        start = (part.end - size) // pageblock * pageblock
        if start >= part.start:
            return NodeRange(part.node, start, start + size)
    return None
