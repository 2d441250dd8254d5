"""The kernel's default online policy, ``contig-zones``: a block goes where its neighbours are.

Follows ``default_zone_for_pfn`` of ``mm/memory_hotplug.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from policies.contract import InLinux, Policy
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
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

    def in_linux(self) -> InLinux | None:
        """What Linux does by itself once blocks are put online."""
        return InLinux(self.auto_online, movable_node=self.movable_node)

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide by the spans as they are now."""
        kernel = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        in_kernel, in_movable = _inside(request, request.pages, memory, kernel)
        why = request.why
        where = ""
        if in_kernel != in_movable:
            zone = ZONE_MOVABLE if in_movable else kernel
            if why is not None:
                where = f"inside the {ZONE_LABELS[zone]} span only"
        else:
            zone = self._default(kernel, memory)
            if why is not None:
                which, joined = ("both", "and") if in_kernel else ("neither", "nor")
                where = f"inside {which} the {ZONE_LABELS[kernel]} {joined} the Movable span"
                if zone == ZONE_MOVABLE:
                    where += ", and movable_node is set"
        if why is not None:
            why(f"{where}: {ZONE_LABELS[zone]}", in_kernel_span=int(in_kernel), in_movable_span=int(in_movable))
        return zone

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide a run that meets neither span: its first block takes the default, the others follow."""
        if request.first_page < memory.low_end(request.node):
            return None
        if any(_inside(request, count * request.pages, memory, ZONE_NORMAL)):
            return None
        return [(count, self._default(ZONE_NORMAL, memory))]

    def _default(self, kernel: int, memory: MemoryView) -> int:
        """Return the zone where the spans do not tell: ``kernel``, or MOVABLE with ``movable_node``."""
        return ZONE_MOVABLE if self.movable_node or memory.movable_node else kernel


def _inside(request: ZoneRequest, pages: int, memory: MemoryView, kernel: int) -> tuple[bool, bool]:
    """Return whether the range meets the kernel zone's span and whether it meets ZONE_MOVABLE's."""
    first, end = request.first_page, request.first_page + pages
    kernel_start, kernel_end = memory.span(request.node, kernel)
    movable_start, movable_end = memory.span(request.node, ZONE_MOVABLE)
    return kernel_end > first and kernel_start < end, movable_end > first and movable_start < end
