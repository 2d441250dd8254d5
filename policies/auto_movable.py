"""The kernel's ``auto-movable`` online policy, as merged for v5.15 and unchanged since.

Follows ``auto_movable_zone_for_pfn``, ``auto_movable_can_online_movable`` and ``auto_movable_stats_*`` of
``mm/memory_hotplug.c`` in integer arithmetic, in the kernel's order of tests, quirks included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from policies.contract import InLinux, Policy
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.plugins.parameter_search import Between, OneOf
from sim.plugins.parameter_types import Whole
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from policies.contract import Reason, ZoneRequest
    from sim.memory.view import MemoryView

DEFAULT_RATIO = 301
"""Percent; the default of ``memory_hotplug.auto_movable_ratio``."""

_MAX_RATIO = 2**32 - 1
"""The parameter is an unsigned int of 32 bits."""

Ratio = Annotated[
    int,
    Whole(0, _MAX_RATIO, unit="percent"),
    "most MOVABLE to early KERNEL memory (auto_movable_ratio); 0 = never MOVABLE",
]
NumaAware = Annotated[bool, "keep to the ratio on every node too (auto_movable_numa_aware)"]

RATIOS: Final = Between(25, 6400, steps=9, spacing="geometric", also=(DEFAULT_RATIO,))
"""From nearly nothing to beyond what anybody uses: Kata's largest DIMM comes to 4800, Firecracker's tests to 3200."""

WHETHER_BY_NODE: Final = OneOf((True, False), several_nodes=True)

_ALL_THERE = " in a kernel zone: all of it goes there"
_BLOCK = "block"
_STATIC = "rest of static group {group.id}"
_UNIT = "rest of a unit of group {group.id}"
"""What the pages that shall fit are: filled in only where somebody asks for the reason."""


class AutoMovable(Policy):
    """MOVABLE as long as a ratio to early kernel memory is kept, over whole DIMMs and units; v5.15 and later."""

    name = "auto-movable"
    summary = "Linux's auto-movable: MOVABLE while MOVABLE:KERNEL stays within a ratio, over whole DIMMs and units"

    _credits_groups: ClassVar[bool] = True
    """Whether dynamic groups may live off their own kernel memory (since patch 9/9 of the series)."""
    _names_scope: ClassVar[bool] = False
    """Whether a reason says over which nodes the pages fit."""

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        ratio: Annotated[Ratio, RATIOS] = DEFAULT_RATIO,
        numa_aware: Annotated[NumaAware, WHETHER_BY_NODE] = True,
    ) -> None:
        check.done()
        self.ratio = ratio
        self.numa_aware = numa_aware
        # Read at every decision, and quicker from the object than from its class.
        self._with_credit = self._credits_groups

    @property
    def configured_ratio(self) -> int | None:
        """The ratio in percent."""
        return self.ratio

    def in_linux(self) -> InLinux | None:
        """The parameters of the module memory_hotplug."""
        return InLinux(self.auto_online, AutoMovable.name, self.ratio, self.numa_aware)

    def zone_for(  # noqa: C901, PLR0912, PLR0915 - without calls of its own: it runs at every block
        self, request: ZoneRequest, memory: MemoryView
    ) -> int:
        """Decide one block. Constant cost: totals, one group, one unit."""
        first = request.first_page
        length = want = request.pages
        part = _BLOCK
        group = request.group
        ratio = self.ratio
        if ratio == 0:
            if request.why is not None:
                request.why("the ratio is 0: never MOVABLE", ratio=0)
            return memory.default_kernel_zone(request.node, first, length)
        if group is not None:
            if not group.is_dynamic:
                if group.kernel > 0:
                    if request.why is not None:
                        has = f"group {group.id} (static) already has {group.kernel} pages"
                        request.why(has + _ALL_THERE, group_kernel=group.kernel)
                    return memory.default_kernel_zone(request.node, first, length)
                want = length = group.max_pages - group.movable
                part = _STATIC
            elif group.unit_pages > length:
                kernel, movable = memory.unit_sections(group.unit_pages, first)
                start = first - first % group.unit_pages
                if kernel:
                    if request.why is not None:
                        has = f"unit of group {group.id} already has {kernel} sections"
                        request.why(has + _ALL_THERE, unit_kernel_sections=kernel)
                    if start >= memory.low_end(request.node):
                        return ZONE_NORMAL
                    return memory.default_kernel_zone(request.node, _first_kernel_section(memory, start), length)
                want = length = group.unit_pages - movable * memory.section_pages
                part = _UNIT
                first = start + group.unit_pages  # where the kernel's walk of the unit leaves the position
        # Over all nodes first, then over the block's own, whose test is the same where it is the only one.
        node = None
        totals = memory.system
        while True:
            early = totals.early_kernel
            movable = totals.movable
            if self._with_credit:
                required = memory.others_charge(ratio, group, node)
                movable -= totals.dynamic_movable
                if group is not None and group.is_dynamic:
                    own_kernel = group.kernel
                    if node is None or group.node == node:
                        movable += group.movable
                else:
                    own_kernel = 0
            else:
                required = own_kernel = 0
            if early > required or not self._with_credit:
                limit = ratio * (early - required + own_kernel) // 100
                fits = movable + want <= limit
            else:
                limit = 0
                fits = False
            if request.why is not None:
                # Where it fits, the node's own test is the next one, or the same where it is the only node.
                told = request.node if fits and self.numa_aware else node
                figures = (want, movable, early, required, own_kernel, limit)
                self._tell(request.why, part.format(group=group), told, figures, fits=fits)
            if not fits:
                return memory.default_kernel_zone(request.node, first, length)
            if node is not None or not self.numa_aware or not memory.several_nodes:
                return ZONE_MOVABLE
            node = request.node
            totals = memory.nodes[node]

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide adjacent blocks of one device, or of none, at once; None near the low zones and over several units.

        All blocks of a static group, and of a unit, repeat the first one's inequality: MV grows by what ``want`` loses.
        """
        group = request.group
        if request.first_page < memory.low_end(request.node):
            return None
        if group is not None and not group.is_dynamic:
            return [(count, self.zone_for(request, memory))]
        if group is not None and group.unit_pages > request.pages:
            last_page = request.first_page + count * request.pages - 1
            if request.first_page // group.unit_pages != last_page // group.unit_pages:
                return None
            return [(count, self.zone_for(request, memory))]
        if group is not None and group.node != request.node:
            return None
        return self._each_for_itself(request, count, memory)

    def _each_for_itself(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]]:
        """Decide adjacent blocks of a dynamic group that are its units, or blocks of no group.

        The inequality of :meth:`zone_for`, ``movable + want <= ratio * early // 100``, with what is over on the right
        side kept in hundredths of a page: a block in MOVABLE takes from it, and one in a kernel zone adds to it where
        it is the group's credit, alike on the node and on all nodes. Both have to change together, which
        ``test_runs_are_what_block_by_block_decisions_give`` in ``tests/policies/test_limits.py`` sees to.
        """
        ratio, pages, group = self.ratio, request.pages, request.group
        credited = self._with_credit and group is not None
        over = None
        for node in (None, request.node) if self.numa_aware and memory.several_nodes else (None,):
            totals = memory.system if node is None else memory.nodes[node]
            early, movable = totals.early_kernel, totals.movable
            if ratio and self._with_credit:
                early -= memory.others_charge(ratio, group, node)
                movable -= totals.dynamic_movable
            if ratio == 0 or (early <= 0 and self._with_credit):
                return [(count, ZONE_NORMAL)]
            if credited and group is not None:
                early += group.kernel
                movable += group.movable
            here = ratio * early - 100 * (movable + pages)
            over = here if over is None else min(over, here)
        taken, added = 100 * pages, ratio * pages if credited else 0
        runs = []
        over = over or 0
        while count > 0:
            if over >= 0:
                blocks = over // taken + 1
                if blocks > count:  # noqa: PLR1730 - min() costs a call, and runs are short
                    blocks = count
                runs.append((blocks, ZONE_MOVABLE))
                over -= blocks * taken
            else:
                blocks = -(over // added) if added else count
                if blocks > count:  # noqa: PLR1730
                    blocks = count
                runs.append((blocks, ZONE_NORMAL))
                over += blocks * added
            count -= blocks
        return runs

    def _tell(self, why: Reason, part: str, node: int | None, figures: tuple[int, ...], *, fits: bool) -> None:
        """Tell what was compared over ``node``, or over all nodes where None. ``part`` is what shall fit."""
        want, movable, early, required, own_kernel, limit = figures
        scope = "all nodes" if node is None else f"node {node}"
        if early == 0 and node is not None and self._with_credit:
            # Nothing is required there either: a device lives on the node that its memory is on.
            reason = f"{scope}: no early kernel memory (numa_aware = false would ask all nodes only)"
        elif early <= required and self._with_credit:
            reason = f"{scope}: early kernel memory {early} <= {required} required by other dynamic groups"
        else:
            outcome = "fits" if fits and not self._names_scope else scope
            relation = "<=" if fits else ">"
            reason = f"{outcome}: MOVABLE {movable} + {part} {want} {relation} limit {limit} (ratio {self.ratio} %)"
        numbers = {"want": want, "movable": movable, "early_kernel": early, "own_kernel": own_kernel}
        if node is not None:
            numbers["node"] = node
        if self._with_credit:
            numbers["required_by_others"] = required
        why(reason, limit=max(0, limit), **numbers)


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
