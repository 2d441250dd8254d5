"""The kernel's default online policy, ``contig-zones``: a block goes where its neighbours are.

Follows ``default_zone_for_pfn`` of ``mm/memory_hotplug.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from policies.contract import Policy
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from policies.contract import Reason, ZoneRequest
    from sim.memory.view import MemoryView


MovableNode = Annotated[bool, "the kernel was booted with movable_node"]


class ContigZones(Policy):
    """Inside exactly one of the kernel zone's and ZONE_MOVABLE's spans: that zone.

    Else the kernel zone, or MOVABLE with ``movable_node``.
    """

    name = "contig-zones"
    summary = "Linux's default: keep zones contiguous; everything hotplugged on a fresh guest goes to a kernel zone"

    @checked
    def __init__(self, check: Checker, *, movable_node: MovableNode = False) -> None:
        check.done()
        self.movable_node = movable_node

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide by the spans as they are now."""
        kernel = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        in_kernel, in_movable = _inside(request, request.pages, memory, kernel)
        if in_kernel != in_movable:
            zone = ZONE_MOVABLE if in_movable else kernel
        else:
            zone = ZONE_MOVABLE if self.movable_node or memory.movable_node else kernel
        if request.why is not None:
            _tell(request.why, kernel, zone, in_kernel=in_kernel, in_movable=in_movable)
        return zone

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide a run that meets neither span: its first block takes the default, the others follow."""
        if request.first_page < memory.low_end(request.node):
            return None
        if any(_inside(request, count * request.pages, memory, ZONE_NORMAL)):
            return None
        return [(count, ZONE_MOVABLE if self.movable_node or memory.movable_node else ZONE_NORMAL)]


def _tell(why: Reason, kernel: int, zone: int, *, in_kernel: bool, in_movable: bool) -> None:
    """Tell the spans that the block meets, and the zone that follows."""
    label = ZONE_LABELS[kernel]
    if in_kernel != in_movable:
        where = f"inside the {label if in_kernel else 'Movable'} span only"
    else:
        where = f"inside {f'both the {label} and' if in_kernel else f'neither the {label} nor'} the Movable span"
        if zone == ZONE_MOVABLE:
            where += ", and movable_node is set"
    why(f"{where}: {ZONE_LABELS[zone]}", in_kernel_span=int(in_kernel), in_movable_span=int(in_movable))


def _inside(request: ZoneRequest, pages: int, memory: MemoryView, kernel: int) -> tuple[bool, bool]:
    """Return whether the range meets the kernel zone's span and whether it meets ZONE_MOVABLE's."""
    first, end = request.first_page, request.first_page + pages
    kernel_start, kernel_end = memory.span(request.node, kernel)
    movable_start, movable_end = memory.span(request.node, ZONE_MOVABLE)
    return kernel_end > first and kernel_start < end, movable_end > first and movable_start < end
