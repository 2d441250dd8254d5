"""Keep enough kernel-zone memory for what the kernel will need, and give everything else to ZONE_MOVABLE.

A ratio fixes how much kernel memory there is; what matters is how much of it is left, and how much more the kernel will
take once programs use the rest of memory. This policy looks at both: at what kernel requests could still get after all
that kernel use and the memmap of plugged memory have needed so far, and at what the kernel takes of memory in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from policies.contract import Policy
from policies.parts.indivisible import one_kind, settled_by
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE
from sim.pages import STRUCT_PAGE_BYTES
from sim.plugins.parameter_search import OneOf
from sim.plugins.parameter_types import Percent, Size
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView

DEFAULT_RESERVE: Final = 256 << 20
"""Bytes: what the memmap of 16 GiB takes, or two memory blocks of 128 MiB."""

DEFAULT_EXPECTED: Final = 20
"""Percent: a ratio of 400. Of 15, 20 and 25 it left least to fail among random relatives of one guest under load."""

_LITTLE: Final = 1 << 30
"""Bytes in use below which they say little of what the kernel will take: a GiB. It is taken for that much."""

_MOST_EXPECTED: Final = 50
"""Percent. An idle guest uses little but kernel memory, which does not mean that it will go on like that."""

_WITHOUT_GUEST: Final = "of kernel zones beside the memmap"


class Headroom(Policy):
    """MOVABLE while the kernel zones have room for what the kernel will need, a kernel zone otherwise.

    It will need the ``reserve``, and a part of the memory that is unused, the device or unit in question included: the
    part that it has of memory in use now, but ``expected`` percent at least and half of it at most. So it holds out
    where plugging ends long before the kernel has grown, as long as the kernel takes no larger part of what is used
    later than of what was used before. A device that is removed as a whole (static group) and a unit follow what is
    decided for their first block, so that one kernel block does not spoil them.

    It cannot know of kernel memory that grows alone once all memory is plugged, and of demand that comes before the
    memory for it. Of 100 guests drawn at random for which nothing here was chosen (``tests/support/wide_guests.py``:
    DIMMs and virtio-mem; boot memory of 512 MiB to 4 GiB; pace and growth of a quarter to four times, sizes of half to
    twice those of the workload ``grow-and-return``) it failed in 2; all kernel memory (online-kernel) failed in 6, and
    auto-movable in 17 with its default ratio of 301 and in 5 with 100. Where it held, 93 % of what was asked back came
    back, 86 % under ratio 100.

    Where no guest is modelled, all that is known to have been taken from the kernel zones is the memmap of present
    memory (1/64 of it with pages of 4 KiB), and only the reserve is kept.

    ``numa_aware`` is off by default, other than in auto-movable: kernel requests fall back to other nodes, so a reserve
    on each makes memory of CPU-less nodes unreturnable without need.
    """

    name = "headroom"
    summary = "MOVABLE while kernel zones have room for what the kernel will need, a kernel zone otherwise"

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        reserve: Annotated[
            int,
            Size(zero=True),
            OneOf((DEFAULT_RESERVE // 2, DEFAULT_RESERVE, 2 * DEFAULT_RESERVE)),
            "kernel-zone memory that shall stay free for the kernel",
        ] = DEFAULT_RESERVE,
        share: Annotated[
            int, Percent(most=100), "the same as a share of all present memory; the larger one counts"
        ] = 0,
        expected: Annotated[
            int,
            Percent(most=_MOST_EXPECTED),
            OneOf((15, DEFAULT_EXPECTED, 25)),
            "part of unused memory that the kernel is expected to take at least",
        ] = DEFAULT_EXPECTED,
        numa_aware: Annotated[bool, "keep the reserve on every node too, not over all only"] = False,
    ) -> None:
        check.done()
        self.reserve = reserve
        self.share = share
        self.expected = expected
        self.numa_aware = numa_aware

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block. Constant cost but for the guest's look at its zones."""
        settled = settled_by(request, memory)
        node, free, reserve, growth = None, 0, 0, 0
        if settled is not None:
            movable = settled.movable
        else:
            free, reserve, growth = self._numbers(request, memory, None)
            movable = free >= reserve + growth
            if movable and self.numa_aware and memory.several_nodes:
                node = request.node
                free, reserve, growth = self._numbers(request, memory, node)
                movable = free >= reserve + growth
        zone = ZONE_MOVABLE
        if not movable:
            zone = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        why = request.why
        if why is not None and settled is not None:
            why(settled.reason, has=settled.pages)
        elif why is not None:
            scope, numbers = ("all nodes", {}) if node is None else (f"node {node}", {"node": node})
            source, more = _WITHOUT_GUEST, ""
            if memory.use is not None:
                source, more = "left to the kernel", f" and {growth} for its growth"
                numbers["growth"] = growth
            relation = ">=" if movable else "<"
            text = f"{scope}: {free} pages {source} {relation} reserve of {reserve}{more}: {ZONE_LABELS[zone]}"
            why(text, free=free, reserve=reserve, **numbers)
        return zone

    def _numbers(self, request: ZoneRequest, memory: MemoryView, node: int | None) -> tuple[int, int, int]:
        """Return, of ``node`` or of all, what the kernel can still get, the reserve, and what else it will need."""
        page_size = memory.page_size
        totals = memory.system if node is None else memory.nodes[node]
        present = totals.kernel + totals.movable
        reserve = max(-(-self.reserve // page_size), present * self.share // 100)
        if memory.use is None or memory.kernel_headroom is None:
            return totals.kernel - present * STRUCT_PAGE_BYTES // page_size, reserve, 0
        use = memory.use(node)
        in_use = max(use.kernel + use.user, _LITTLE // page_size)
        percent_of_use = min(max(self.expected * in_use, 100 * use.kernel), _MOST_EXPECTED * in_use)
        growth = (use.free + coming(request)) * percent_of_use // (100 * in_use)
        return memory.kernel_headroom(node), reserve, growth

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide adjacent blocks of a static device or of one unit at once: they follow their first."""
        return [(count, self.zone_for(request, memory))] if one_kind(request, count, memory) else None


def coming(request: ZoneRequest) -> int:
    """Return the pages that go where the block goes: of its static device, of its unit, or its own."""
    group = request.group
    return request.pages if group is None else max(request.pages, group.max_pages, group.unit_pages)
