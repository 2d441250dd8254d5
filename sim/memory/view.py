"""The view of memory that a policy gets: sums that cost the same however much memory there is; nothing to change."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol

from sim.memory.zones import NR_ZONES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.memory.groups import GroupRegistry, GroupView
    from sim.memory.hotplug import Memory
    from sim.memory.zones import TotalsView


class MemoryUse(NamedTuple):
    """Who uses memory, in pages, as /proc/meminfo tells it.

    ``user``: programs and files, without page cache that can be given up; ``kernel``: the kernel, without slab that can
    be given up, without memmap and what it took for itself at boot; ``free``: what is free or can be given up.
    """

    user: int
    kernel: int
    free: int


class Meminfo(Protocol):
    """What a guest says of its memory, on a node or (None) on all."""

    def kernel_headroom(self, node: int | None = None, /) -> int:
        """Return the pages that kernel requests could still get before one fails."""

    def use(self, node: int | None = None, /) -> MemoryUse:
        """Return who uses memory."""


class MemoryView:
    """What a policy may know, as it is now. All counts are pages. Nothing that can be reached from it can be changed.

    ``system`` and ``nodes[nid]`` are the totals of all nodes and of one node; ``page_size`` (bytes), ``block_pages``
    and ``section_pages`` the machine's constants; ``several_nodes`` whether the machine has more than one (else both
    totals are the same); ``movable_node`` whether the kernel was booted with that word; ``unit_sections(unit_pages,
    page)`` the online sections of the unit around a page as (in kernel zones, in ZONE_MOVABLE); ``kernel_headroom``
    asks the guest how many pages kernel requests could still get on a node (None: on all), caches given up for them,
    and is None itself where no guest is modelled; ``use``, likewise, who uses a node's memory (:class:`MemoryUse`).
    """

    __slots__ = (
        "_groups",
        "_memory",
        "block_pages",
        "kernel_headroom",
        "movable_node",
        "nodes",
        "page_size",
        "section_pages",
        "several_nodes",
        "system",
        "unit_sections",
        "use",
    )

    page_size: int
    block_pages: int
    section_pages: int
    system: TotalsView
    several_nodes: bool
    nodes: Mapping[int, TotalsView]
    movable_node: bool
    unit_sections: Callable[[int, int], tuple[int, int]]
    kernel_headroom: Callable[[int | None], int] | None
    use: Callable[[int | None], MemoryUse] | None
    _memory: Memory
    _groups: GroupRegistry

    def __init__(
        self,
        memory: Memory,
        *,
        movable_node: bool = False,
        meminfo: Meminfo | None = None,
    ) -> None:
        values = {
            "page_size": memory.geometry.size,
            "block_pages": memory.block_pages,
            "section_pages": memory.section_pages,
            "system": memory.system.view,
            "several_nodes": len(memory.nodes) > 1,
            "nodes": MappingProxyType({nid: node.totals.view for nid, node in memory.nodes.items()}),
            "movable_node": movable_node,
            # The method itself: one of the view's own would cost another call, at every decision about a unit.
            "unit_sections": memory.unit_sections,
            "kernel_headroom": None if meminfo is None else meminfo.kernel_headroom,
            "use": None if meminfo is None else meminfo.use,
            "_memory": memory,
            "_groups": memory.groups,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} may be looked at, and not set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name} may be looked at, and not deleted")

    def group(self, group_id: int) -> GroupView | None:
        """Return the memory group with this id, None where there is none."""
        group = self._groups.find(group_id)
        return None if group is None else group.view

    def groups(self) -> tuple[GroupView, ...]:
        """Return all memory groups, by id."""
        return tuple(group.view for group in sorted(self._groups, key=lambda group: group.id))

    def others_charge(self, ratio: int, group: GroupView | None, node: int | None = None) -> int:
        """Return REQ: early pages that all dynamic groups but ``group`` need at ``ratio`` percent (above 0)."""
        groups = self._groups
        # Asked at every decision about a ratio, so the registry is called only where that changes something.
        try:
            charges = groups.kept[ratio]
        except KeyError:
            charges = groups.charges(ratio)
        touched = groups.touched
        if touched is not None and touched.view is not group:
            groups.settle()
        total = charges.total if node is None else charges.by_node.get(node, 0)
        if group is not None and group.is_dynamic and (node is None or group.node == node):
            total -= charges.charged.get(group.id, 0)
        return total

    def default_kernel_zone(self, node: int, first_page: int, pages: int) -> int:
        """Return the kernel zone of ``node`` for a range: DMA or DMA32 where it meets their span, else NORMAL."""
        return self._memory.nodes[node].default_kernel_zone(first_page, pages)

    def low_end(self, node: int) -> int:
        """Return the page frame from which on the default kernel zone of ``node`` is always NORMAL."""
        return self._memory.nodes[node].low_end

    def span(self, node: int, zone_type: int) -> tuple[int, int]:
        """Return the zone's span as page frames (start, end); (0, 0) where it is empty."""
        zone = self._memory.nodes[node].zones[zone_type]
        return (zone.start, zone.end) if zone is not None else (0, 0)

    def present(self, node: int, zone_type: int) -> int:
        """Return the zone's present pages."""
        zone = self._memory.nodes[node].zones[zone_type]
        return zone.present if zone is not None else 0

    def managed(self, node: int, zone_type: int) -> int:
        """Return the zone's managed pages: those handed to the page allocator."""
        zone = self._memory.nodes[node].zones[zone_type]
        return zone.managed if zone is not None else 0

    def zone_type_at(self, page: int) -> int | None:
        """Return the zone type that a page is online in, None where it is not online."""
        return self._memory.zone_type_at(page)

    def kernel_present(self, node: int | None = None) -> int:
        """Return present pages of kernel zones, of ``node`` or of all."""
        return (self.system if node is None else self.nodes[node]).kernel

    def zones_present(self, node: int) -> tuple[int, ...]:
        """Return present pages of ``node`` by zone type, shape (4,)."""
        return tuple(self.present(node, zone_type) for zone_type in range(NR_ZONES))
