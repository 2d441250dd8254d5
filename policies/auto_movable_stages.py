"""Two earlier stages of ``auto-movable``, for ablation: what each later patch of its series brought.

The series is "auto-movable online policy and memory groups" v3 (2021-08-06). After patch 2/9 a ratio decides every
block alone, ``MV + want <= floor(R * KE / 100)``; after 8/9 static groups and units decide as a whole; 9/9, which every
release has, lets dynamic groups live off their own kernel memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.auto_movable import AutoMovable
from policies.contract import ZoneRequest

if TYPE_CHECKING:
    from sim.memory.view import MemoryView


class AutoMovablePatch8(AutoMovable):
    """After patch 8/9: static groups and units decide as a whole, dynamic groups get nothing for kernel memory."""

    name = "auto-movable-patch8"
    summary = "ablation: auto-movable after patch 8/9, whole DIMMs and units, no credit for own kernel memory"

    _credits_groups = False

    def in_linux(self) -> None:
        """No release has it."""


class AutoMovablePatch2(AutoMovablePatch8):
    """The stage after patch 2/9: every block for itself, MOVABLE to early kernel memory, groups unknown."""

    name = "auto-movable-patch2"
    summary = "ablation: auto-movable after patch 2/9, every block decided alone, memory groups unknown"

    _names_scope = True

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block as one of no group."""
        return super().zone_for(_without_group(request), memory)

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Split the run where the ratio is reached."""
        return super().zones_for_run(_without_group(request), count, memory)


def _without_group(request: ZoneRequest) -> ZoneRequest:
    return ZoneRequest(request.node, request.first_page, request.pages, None, request.why)
