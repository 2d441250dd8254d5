"""Keep a reserve of kernel-zone memory free, and give everything else to ZONE_MOVABLE.

A ratio fixes how much kernel memory there is; what matters is how much of it is left. This policy looks at that: at
what kernel requests could still take after all that kernel use and the memmap of plugged memory have needed so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from policies.contract import Policy
from policies.parts.indivisible import one_kind, settled_by
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE
from sim.plugins.parameter_types import Percent, Size
from sim.plugins.parameters import Checker, checked
from sim.units import PAGE_SIZE

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView

DEFAULT_RESERVE: Final = 256 << 20
"""Bytes: what the memmap of 16 GiB takes, or two memory blocks of 128 MiB."""

_MEMMAP_DIVISOR: Final = 64
"""A descriptor of 64 bytes for each page of 4096."""

_WITHOUT_GUEST: Final = "of kernel zones beside the memmap"


class Headroom(Policy):
    """MOVABLE while the kernel zones have the reserve free, a kernel zone otherwise; whole DIMMs and units.

    A device that is removed as a whole (static group) and a unit follow what is decided for their first block, so that
    one kernel block does not spoil them. Where no guest is modelled, all that is known to have been taken from the
    kernel zones is the memmap of present memory, 1/64 of it.

    ``numa_aware`` is off by default, other than in auto-movable: kernel requests fall back to other nodes, so a reserve
    on each makes memory of CPU-less nodes unreturnable without need.
    """

    name = "headroom"
    summary = "MOVABLE while a stated reserve of kernel-zone memory is free, a kernel zone otherwise"

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        reserve: Annotated[
            int, Size(zero=True), "kernel-zone memory that shall stay free for the kernel"
        ] = DEFAULT_RESERVE,
        share: Annotated[
            int, Percent(most=100), "the same as a share of all present memory; the larger one counts"
        ] = 0,
        numa_aware: Annotated[bool, "keep the reserve on every node too, not over all only"] = False,
    ) -> None:
        check.done()
        self.reserve_pages = -(-reserve // PAGE_SIZE)
        self.share = share
        self.numa_aware = numa_aware

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block. Constant cost but for the guest's look at its zones."""
        settled = settled_by(request, memory)
        node, free, required = None, 0, 0
        if settled is not None:
            movable = settled.movable
        else:
            free, required = _free(memory, None), self._required(memory, None)
            movable = free >= required
            if movable and self.numa_aware and memory.several_nodes:
                node = request.node
                free, required = _free(memory, node), self._required(memory, node)
                movable = free >= required
        zone = ZONE_MOVABLE
        if not movable:
            zone = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        why = request.why
        if why is not None and settled is not None:
            why(settled.reason, has=settled.pages)
        elif why is not None:
            scope, numbers = ("all nodes", {}) if node is None else (f"node {node}", {"node": node})
            source = _WITHOUT_GUEST if memory.kernel_headroom is None else "free to the kernel"
            relation = ">=" if movable else "<"
            text = f"{scope}: {free} pages {source} {relation} reserve of {required}: {ZONE_LABELS[zone]}"
            why(text, free=free, required=required, **numbers)
        return zone

    def _required(self, memory: MemoryView, node: int | None) -> int:
        """Return the pages that shall be free in the kernel zones of ``node``, or of all nodes where None."""
        totals = memory.system if node is None else memory.nodes[node]
        return max(self.reserve_pages, (totals.kernel + totals.movable) * self.share // 100)

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide adjacent blocks of a static device or of one unit at once: they follow their first."""
        return [(count, self.zone_for(request, memory))] if one_kind(request, count, memory) else None


def _free(memory: MemoryView, node: int | None) -> int:
    """Return the pages of kernel zones that the kernel can still take on ``node``, or on all nodes where None."""
    if memory.kernel_headroom is not None:
        return memory.kernel_headroom(node)
    totals = memory.system if node is None else memory.nodes[node]
    return totals.kernel - (totals.kernel + totals.movable) // _MEMMAP_DIVISOR
