"""The policies that decide nothing: every new block gets the same word, as ``auto_online_blocks`` sets it.

``offline`` leaves new blocks to user space; a plain ``online`` from there is decided as contig-zones does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.contig_zones import ContigZones
from policies.contract import InLinux, Policy
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE, OnlineType

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView


class OnlineKernel(Policy):
    """Everything to a kernel zone (``online_kernel``)."""

    name = "online-kernel"
    summary = "every block to a kernel zone: the kernel never starves, little can be taken back"
    auto_online = OnlineType.ONLINE_KERNEL

    def in_linux(self) -> InLinux | None:
        """The word for new blocks."""
        return InLinux(self.auto_online)

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Return the default kernel zone."""
        zone = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        if request.why is not None:
            request.why(f"online_kernel: {ZONE_LABELS[zone]}")
        return zone

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide the whole run where it lies above the low zones."""
        if request.first_page < memory.low_end(request.node):
            return None
        return [(count, self.zone_for(request, memory))]


class OnlineMovable(Policy):
    """Everything to ZONE_MOVABLE (``online_movable``)."""

    name = "online-movable"
    summary = "every block to ZONE_MOVABLE: all of it can be taken back, unless the kernel starves first"
    auto_online = OnlineType.ONLINE_MOVABLE

    def in_linux(self) -> InLinux | None:
        """The word for new blocks."""
        return InLinux(self.auto_online)

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Return ZONE_MOVABLE."""
        if request.why is not None:
            request.why(f"online_movable: {ZONE_LABELS[ZONE_MOVABLE]}")
        return ZONE_MOVABLE

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide the whole run."""
        return [(count, ZONE_MOVABLE)]


class Offline(ContigZones):
    """Nothing goes online by itself; a plain ``online`` by hand is decided as by the kernel's default policy."""

    name = "offline"
    summary = "blocks are added and stay offline until somebody puts them online: memory that is paid for and not used"
    auto_online = OnlineType.OFFLINE
