"""What reasons speak of, counted anew from zones and blocks, one by one: no totals, no charges, no index of units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.memory.blocks import FIRST_ZONE_CODE
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.memory.groups import MemoryGroup
    from sim.memory.hotplug import Memory
    from sim.memory.zones import Zone


class Counted:
    """A machine's memory as it is now. Scopes are a node, or all of them where None."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.of_group: dict[int, tuple[int, int]] = {group.id: (0, 0) for group in memory.groups}
        """Pages in kernel zones and in ZONE_MOVABLE by group."""
        for block, code in enumerate(memory.blocks.where):
            zone = memory.zone_by_code[code] if code >= FIRST_ZONE_CODE else None
            group_id = memory.blocks.group[block]
            if zone is not None and group_id >= 0:
                kernel, movable = self.of_group[group_id]
                pages = memory.block_pages
                self.of_group[group_id] = (kernel, movable + pages) if zone.movable else (kernel + pages, movable)

    def zones(self, node: int | None) -> Iterator[Zone]:
        for home in self.memory.nodes.values():
            if node in (None, home.id):
                yield from (zone for zone in home.zones if zone is not None)

    def dynamic(self, node: int | None, but: int | None = None) -> Iterator[MemoryGroup]:
        for group in self.memory.groups:
            if group.is_dynamic and group.id != but and node in (None, group.node):
                yield group

    def present(self, node: int | None) -> int:
        return sum(zone.present for zone in self.zones(node))

    def kernel(self, node: int | None) -> int:
        return sum(zone.present for zone in self.zones(node) if not zone.movable)

    def movable(self, node: int | None) -> int:
        """MV: CMA of zones that have pages counts as MOVABLE."""
        return sum(zone.present if zone.movable else zone.cma * (zone.present > 0) for zone in self.zones(node))

    def early_kernel(self, node: int | None) -> int:
        """KE."""
        return sum(zone.present_early - zone.cma * (zone.present > 0) for zone in self.zones(node) if not zone.movable)

    def movable_of_dynamic(self, node: int | None) -> int:
        """GM: pages of dynamic groups in ZONE_MOVABLE. A group's blocks are all on its node."""
        return sum(self.of_group[group.id][1] for group in self.dynamic(node))

    def required(self, node: int | None, but: int | None, ratio: int) -> int:
        """Early pages that the other dynamic groups need."""
        others = [self.of_group[group.id] for group in self.dynamic(node, but)]
        return sum(max(0, 100 * movable // ratio - kernel) for kernel, movable in others)

    def sections(self, unit_pages: int, page: int) -> tuple[int, int]:
        """Online sections of the unit around a page: in kernel zones, in ZONE_MOVABLE."""
        start = page - page % unit_pages
        pages = range(start, start + unit_pages, self.memory.section_pages)
        zones = [self.memory.zone_type_at(page) for page in pages]
        movable = zones.count(ZONE_MOVABLE)
        return len(zones) - zones.count(None) - movable, movable

    def meets(self, node: int, zone_type: int, first: int, pages: int) -> bool:
        zone = self.memory.nodes[node].zones[zone_type]
        return zone is not None and zone.start < first + pages and first < zone.end
