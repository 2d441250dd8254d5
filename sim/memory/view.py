"""The read-only view of memory that a policy gets: totals that cost the same however much memory there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.memory.zones import NR_ZONES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sim.memory.groups import Charges, GroupRegistry, GroupView
    from sim.memory.hotplug import Memory
    from sim.memory.zones import ScopeTotals


class MemoryView:
    """What a policy may know. All counts are pages; objects it hands out are live and must not be changed.

    ``system`` and ``nodes[nid]`` are the totals of all nodes and of one node; ``block_pages``, ``section_pages`` the
    machine's constants; ``several_nodes`` whether the machine has more than one (else both totals are the same);
    ``movable_node`` whether the kernel was booted with that word; ``free_kernel_pages`` asks the guest how many pages
    kernel requests could still take on a node (None: on all), and is None itself where no guest is modelled.
    """

    __slots__ = (
        "_memory",
        "block_pages",
        "charges",
        "free_kernel_pages",
        "groups",
        "movable_node",
        "nodes",
        "section_pages",
        "several_nodes",
        "system",
        "unit_sections",
    )

    def __init__(self, memory: Memory, *, movable_node: bool = False) -> None:
        self._memory = memory
        self.block_pages = memory.block_pages
        self.section_pages = memory.section_pages
        self.system: ScopeTotals = memory.system
        self.several_nodes = len(memory.nodes) > 1
        self.nodes: Mapping[int, ScopeTotals] = {nid: node.totals for nid, node in memory.nodes.items()}
        self.groups: GroupRegistry = memory.groups
        self.charges: Callable[[int], Charges] = memory.groups.charges
        self.unit_sections = memory.unit_sections
        self.movable_node = movable_node
        self.free_kernel_pages: Callable[[int | None], int] | None = None

    def others_charge(self, ratio: int, group: GroupView | None, node: int | None = None) -> int:
        """Return REQ: early pages that all dynamic groups but ``group`` need at ``ratio`` percent."""
        charges = self.charges(ratio)
        if self.groups.touched is not None and self.groups.touched is not group:
            self.groups.settle()
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
