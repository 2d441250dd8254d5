"""Zones that were decided beforehand, followed in the order in which decisions come."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policies.contract import Policy
from policies.parts.indivisible import one_kind, settled_by
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from policies.contract import Foresight, ZoneRequest
    from sim.memory.view import MemoryView


class Decision(NamedTuple):
    """What was decided: when (microseconds), about which block first, and whether it is kernel memory."""

    t_us: int
    block: int
    kernel: bool


class Scripted(Policy):
    """Follows ``kinds``: whether the memory of the first, second, ... decision is kernel memory; then MOVABLE.

    A decision is about a whole static device, about a whole unit, or about a block that is neither: what comes after
    the first block of a device or unit goes where that is. ``decisions`` are those taken so far.
    """

    name = "scripted"
    summary = "follows zones that were decided beforehand"

    def __init__(self, kinds: Sequence[bool]) -> None:
        self._kinds = kinds
        self._now: Callable[[], int] | None = None
        self.decisions: list[Decision] = []

    def foresee(self, foresight: Foresight) -> Policy | None:
        """Take the clock, and begin anew."""
        self._now = foresight.now
        self.decisions = []
        return None

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block."""
        settled = settled_by(request, memory)
        kernel, reason = self._decide(request) if settled is None else (not settled.movable, settled.reason)
        zone: int = ZONE_MOVABLE
        if kernel:
            zone = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        if request.why is not None:
            request.why(f"{reason}: {ZONE_LABELS[zone]}")
        return zone

    def _decide(self, request: ZoneRequest) -> tuple[bool, str]:
        """Return whether the next decision is for kernel memory, and why."""
        block = request.first_page // request.pages
        # Whoever asks why has asked for the zone just before: that is no other decision.
        if request.why is None or not self.decisions or self.decisions[-1].block != block:
            place = len(self.decisions)
            kernel = place < len(self._kinds) and self._kinds[place]
            self.decisions.append(Decision(0 if self._now is None else self._now(), block, kernel))
        kernel = self.decisions[-1].kernel
        if len(self.decisions) > len(self._kinds):
            return kernel, "not foreseen"
        return kernel, "the kernel will need it" if kernel else "the kernel will not need it"

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide adjacent blocks of a static device or of one unit at once: they follow their first."""
        return [(count, self.zone_for(request, memory))] if one_kind(request, count, memory) else None
