"""Two earlier stages of ``auto-movable``, for ablation: what each later patch of its series brought.

The series is "auto-movable online policy and memory groups" v3 (2021-08-06). After patch 2/9 a ratio decides every
block alone; after 8/9 static groups and units decide as a whole; 9/9, which every release has, lets dynamic groups
live off their own kernel memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.auto_movable import AutoMovable
from policies.contract import Explanation
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, ZoneType

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.groups import GroupView
    from sim.memory.view import MemoryView


class AutoMovablePatch8(AutoMovable):
    """After patch 8/9: static groups and units decide as a whole, dynamic groups get nothing for kernel memory."""

    name = "auto-movable-patch8"
    summary = "ablation: auto-movable after patch 8/9, whole DIMMs and units, no credit for own kernel memory"

    def _fits(self, memory: MemoryView, group: GroupView | None, want: int, node: int | None) -> bool:
        return _fits_plainly(memory, self.ratio, want, node)

    def _room(self, memory: MemoryView, group: GroupView | None, request: ZoneRequest) -> int:
        return _room_plainly(memory, self.ratio, request.node if self.numa_aware else None)

    def _numbers(self, memory: MemoryView, group: GroupView | None, want: int, node: int | None) -> dict[str, int]:
        return _numbers_plainly(memory, self.ratio, want, node)


class AutoMovablePatch2(AutoMovablePatch8):
    """The stage after patch 2/9: every block for itself, MOVABLE to early kernel memory, groups unknown."""

    name = "auto-movable-patch2"
    summary = "ablation: auto-movable after patch 2/9, every block decided alone, memory groups unknown"

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block by the ratio alone."""
        if (
            self.ratio
            and _fits_plainly(memory, self.ratio, request.pages, None)
            and (not self.numa_aware or _fits_plainly(memory, self.ratio, request.pages, request.node))
        ):
            return ZONE_MOVABLE
        return memory.default_kernel_zone(request.node, request.first_page, request.pages)

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Split the run where the ratio is reached."""
        if request.first_page < memory.low_end(request.node):
            return None
        fitting = min(count, self._room(memory, None, request) // request.pages) if self.ratio else 0
        return [run for run in ((fitting, ZONE_MOVABLE), (count - fitting, ZONE_NORMAL)) if run[0]]

    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        """Return the decision of :meth:`zone_for` with the test that settled it."""
        zone = ZoneType(self.zone_for(request, memory))
        if self.ratio == 0:
            return Explanation(zone, "the ratio is 0: never MOVABLE", {"ratio": 0})
        for node in (None, request.node) if self.numa_aware else (None,):
            numbers = self._numbers(memory, None, request.pages, node)
            scope = "all nodes" if node is None else f"node {node}"
            relation = "<=" if numbers["movable"] + request.pages <= numbers["limit"] else ">"
            reason = (
                f"{scope}: MOVABLE {numbers['movable']} + block {request.pages} {relation} limit {numbers['limit']}"
                f" (ratio {self.ratio} %)"
            )
            if relation == ">":
                break
        return Explanation(zone, reason, numbers)


def _fits_plainly(memory: MemoryView, ratio: int, want: int, node: int | None) -> bool:
    """Test ``MV + want <= floor(R * KE / 100)``, the whole rule before patch 9/9."""
    totals = memory.system if node is None else memory.nodes[node]
    return totals.movable + want <= ratio * totals.early_kernel // 100


def _room_plainly(memory: MemoryView, ratio: int, node: int | None) -> int:
    scopes = [memory.system] if node is None else [memory.system, memory.nodes[node]]
    return max(0, min(ratio * totals.early_kernel // 100 - totals.movable for totals in scopes))


def _numbers_plainly(memory: MemoryView, ratio: int, want: int, node: int | None) -> dict[str, int]:
    totals = memory.system if node is None else memory.nodes[node]
    return {
        "node": -1 if node is None else node,
        "want": want,
        "movable": totals.movable,
        "early_kernel": totals.early_kernel,
        "required_by_others": -1,
        "own_kernel": 0,
        "limit": ratio * totals.early_kernel // 100,
    }
