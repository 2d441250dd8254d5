"""The kernel's ``auto-movable`` online policy, as merged for v5.15 and unchanged since.

Follows ``auto_movable_zone_for_pfn``, ``auto_movable_can_online_movable`` and ``auto_movable_stats_*`` of
``mm/memory_hotplug.c`` in integer arithmetic, in the kernel's order of tests, quirks included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from policies.contract import Explanation, Policy
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, ZoneType
from sim.plugins.parameter_types import Whole
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.groups import GroupView
    from sim.memory.view import MemoryView

DEFAULT_RATIO = 301
"""Percent; the default of ``memory_hotplug.auto_movable_ratio``."""

_MAX_RATIO = 2**32 - 1
"""The parameter is an unsigned int of 32 bits."""


class AutoMovable(Policy):
    """MOVABLE as long as a ratio to early kernel memory is kept, over whole DIMMs and units; v5.15 and later."""

    name = "auto-movable"
    summary = "Linux's auto-movable: MOVABLE while MOVABLE:KERNEL stays within a ratio, over whole DIMMs and units"

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        ratio: Annotated[
            int,
            Whole(0, _MAX_RATIO, unit="percent"),
            "most MOVABLE to early KERNEL memory (auto_movable_ratio); 0 = never MOVABLE",
        ] = DEFAULT_RATIO,
        numa_aware: Annotated[bool, "keep to the ratio on every node too (auto_movable_numa_aware)"] = True,
    ) -> None:
        check.done()
        self.ratio = ratio
        self.numa_aware = numa_aware

    @property
    def configured_ratio(self) -> int | None:
        """The ratio in percent."""
        return self.ratio

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block. Constant cost: totals, one group, one unit."""
        first = request.first_page
        length = request.pages
        group = request.group
        if self.ratio == 0:
            return memory.default_kernel_zone(request.node, first, length)
        want = length
        if group is not None:
            if not group.is_dynamic:
                if group.kernel > 0:
                    return memory.default_kernel_zone(request.node, first, length)
                want = length = group.max_pages - group.movable
            elif group.unit_pages > length:
                kernel, movable = memory.unit_sections(group.unit_pages, first)
                start = first - first % group.unit_pages
                if kernel:
                    if start >= memory.low_end(request.node):
                        return ZONE_NORMAL
                    return memory.default_kernel_zone(request.node, _first_kernel_section(memory, start), length)
                want = length = group.unit_pages - movable * memory.section_pages
                first = start + group.unit_pages  # where the kernel's walk of the unit leaves the position
        if self._fits(memory, group, want, None) and (
            not self.numa_aware or not memory.several_nodes or self._fits(memory, group, want, request.node)
        ):
            return ZONE_MOVABLE
        return memory.default_kernel_zone(request.node, first, length)

    def _fits(self, memory: MemoryView, group: GroupView | None, want: int, node: int | None) -> bool:
        """Whether ``want`` more MOVABLE pages keep to the ratio over ``node``, or over all nodes where None."""
        totals = memory.system if node is None else memory.nodes[node]
        available = totals.early_kernel
        movable = totals.movable - totals.dynamic_movable
        # This is memory.others_charge(), written out: it runs at every decision.
        groups = memory.groups
        charges = memory.charges(self.ratio)
        if groups.touched is not group and groups.touched is not None:
            groups.settle()
        required = charges.total if node is None else charges.by_node.get(node, 0)
        if group is not None and group.is_dynamic:
            if node is None or group.node == node:
                required -= charges.charged.get(group.id, 0)
                movable += group.movable
            if available <= required:
                return False
            available += group.kernel
        elif available <= required:
            return False
        return movable + want <= self.ratio * (available - required) // 100

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide adjacent blocks of a static device, of one unit, or without a group at once; None elsewhere.

        All blocks of a static group, and of a unit, repeat the first one's inequality: MV grows by what ``want`` loses.
        """
        group = request.group
        if request.first_page < memory.low_end(request.node):
            return None
        if group is None:
            fitting = min(count, self._room(memory, None, request) // request.pages) if self.ratio else 0
            return [run for run in ((fitting, ZONE_MOVABLE), (count - fitting, ZONE_NORMAL)) if run[0]]
        if group.is_dynamic:
            last_page = request.first_page + count * request.pages - 1
            if (
                group.unit_pages <= request.pages
                or request.first_page // group.unit_pages != last_page // group.unit_pages
            ):
                return None
        return [(count, self.zone_for(request, memory))]

    def _room(self, memory: MemoryView, group: GroupView | None, request: ZoneRequest) -> int:
        """Return how many more MOVABLE pages fit, at least 0, where ``want`` does not depend on the group."""
        scopes = (None, request.node) if self.numa_aware else (None,)
        rooms = []
        for node in scopes:
            totals = memory.system if node is None else memory.nodes[node]
            required = memory.others_charge(self.ratio, group, node)
            if totals.early_kernel <= required:
                return 0
            limit = self.ratio * (totals.early_kernel - required) // 100
            rooms.append(limit - (totals.movable - totals.dynamic_movable))
        return max(0, min(rooms))

    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        """Return the decision of :meth:`zone_for` with the first test that settled it."""
        zone = ZoneType(self.zone_for(request, memory))
        group = request.group
        if self.ratio == 0:
            return Explanation(zone, "the ratio is 0: never MOVABLE", {"ratio": 0})
        want = request.pages
        whole = "block"
        if group is not None and not group.is_dynamic:
            if group.kernel > 0:
                reason = (
                    f"group {group.id} (static) already has {group.kernel} pages in a kernel zone: all of it goes there"
                )
                return Explanation(zone, reason, {"group_kernel": group.kernel})
            want = group.max_pages - group.movable
            whole = f"rest of static group {group.id}"
        elif group is not None and group.unit_pages > request.pages:
            kernel, movable = memory.unit_sections(group.unit_pages, request.first_page)
            if kernel:
                reason = (
                    f"unit of group {group.id} already has {kernel} sections in a kernel zone: all of it goes there"
                )
                return Explanation(zone, reason, {"unit_kernel_sections": kernel})
            want = group.unit_pages - movable * memory.section_pages
            whole = f"rest of a unit of group {group.id}"
        for node in (None, request.node) if self.numa_aware else (None,):
            numbers = self._numbers(memory, group, want, node)
            scope = "all nodes" if node is None else f"node {node}"
            if numbers["early_kernel"] <= numbers["required_by_others"]:
                reason = (
                    f"{scope}: early kernel memory {numbers['early_kernel']} <= "
                    f"{numbers['required_by_others']} required by other dynamic groups"
                )
                return Explanation(zone, reason, numbers)
            if numbers["movable"] + want > numbers["limit"]:
                reason = (
                    f"{scope}: MOVABLE {numbers['movable']} + {whole} {want} > limit {numbers['limit']}"
                    f" (ratio {self.ratio} %)"
                )
                return Explanation(zone, reason, numbers)
        reason = (
            f"fits: MOVABLE {numbers['movable']} + {whole} {want} <= limit {numbers['limit']} (ratio {self.ratio} %)"
        )
        return Explanation(zone, reason, numbers)

    def _numbers(self, memory: MemoryView, group: GroupView | None, want: int, node: int | None) -> dict[str, int]:
        """Return the figures of one fit test in pages; ``node`` is -1 for all nodes."""
        totals = memory.system if node is None else memory.nodes[node]
        required = memory.others_charge(self.ratio, group, node)
        own_kernel = own_movable = 0
        if group is not None and group.is_dynamic:
            own_kernel = group.kernel
            own_movable = group.movable if node is None or group.node == node else 0
        return {
            "node": -1 if node is None else node,
            "want": want,
            "movable": totals.movable - totals.dynamic_movable + own_movable,
            "early_kernel": totals.early_kernel,
            "required_by_others": required,
            "own_kernel": own_kernel,
            "limit": self.ratio * max(0, totals.early_kernel - required + own_kernel) // 100,
        }


def _first_kernel_section(memory: MemoryView, start: int) -> int:
    """Return the first page of the unit's first online kernel section: where the kernel's walk stops early.

    The default kernel zone is then looked up at this position. It matters only near the spans of DMA and DMA32; above
    them every position gives the same answer, so the walk is spared.
    """
    page = start
    while True:
        zone = memory.zone_type_at(page)
        if zone is not None and zone != ZONE_MOVABLE:
            return page
        page += memory.section_pages
