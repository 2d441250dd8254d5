"""All zones of a guest: which there are, in which order requests try them, and when their watermarks are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.boot import fix_boot_use, fix_node_structures
from sim.guest.changes import Changes
from sim.guest.cma import CmaPages, cma_by_block
from sim.guest.kernel_pages import KernelPages
from sim.guest.watermarks import Watermarks
from sim.guest.zone import GuestZone
from sim.memory.zones import ZONE_MOVABLE
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.guest.boot import BootZone
    from sim.guest.parameters import GuestParameters


class GuestZones:
    """The zones by (node, zone type), made as they get their first memory.

    Watermarks are those of the last block that came or went: whoever changes what a zone manages by whole blocks tells
    :meth:`blocks_changed`, and who changes it by parts of one :meth:`part_changed`.
    """

    __slots__ = (
        "_block_pages", "_decayed_us", "_huge_pages", "_kernel_zones", "_parameters", "_user_lists", "_watermarks",
        "by_key", "changed", "changes", "hot_from", "kernel_lists", "parted", "recount", "watermarks_stale",
    )  # fmt: skip

    def __init__(self, parameters: GuestParameters, block_pages: int) -> None:
        """Make a guest without zones; ``block_pages`` pages of a memory block."""
        self.by_key: dict[tuple[int, int], GuestZone] = {}
        self.kernel_lists: dict[int, tuple[GuestZone, ...]] = {}
        """What :meth:`kernel_list` has returned, by node."""
        self.watermarks_stale = True
        """They have not been computed since."""
        self.parted: dict[GuestZone, int] = {}
        """Pages that parts of blocks have added to zones since then, or taken."""
        self.changes = Changes()
        self.recount: set[GuestZone] = set()
        """Zones of which pages or marks have changed since they were counted, see :class:`GuestZone`."""
        self.hot_from = 1 << 62
        """First block above all boot memory: what lies from here on was hotplugged."""
        self.changed: dict[int, KernelPages] = {}
        """Hotplugged blocks in which kernel pages came or went, with whose they are."""
        self._parameters = parameters
        self._watermarks = Watermarks(parameters)
        self._block_pages = block_pages
        self._user_lists: dict[int, tuple[GuestZone, ...]] = {}
        self._kernel_zones: dict[int | None, tuple[GuestZone, ...]] = {}
        self._huge_pages = False
        self._decayed_us = 0
        """Until when CPU lists have given back what they have too much."""

    def boot(self, boot_zones: Sequence[BootZone]) -> None:
        """Make the zones that exist at boot, with the boot kernel's own use in them."""
        self.changes.count += 1
        boot_end = -1
        lowest = min((first for boot in boot_zones for first, _ in boot.runs), default=0)
        for boot in boot_zones:
            zone = self.get(boot.node, boot.zone)
            self.recount.add(zone)
            zone.managed, zone.free, zone.pcp = boot.managed, boot.free, boot.pcp
            zone.reserved = boot.managed - boot.free
            if boot.runs and zone.layout is None:
                zone.lay_out()
            for first, count in boot.runs:
                boot_end = max(boot_end, first + count - 1)
                if zone.layout is not None:
                    zone.layout.fresh.add(first, count, self._block_pages)
            if zone.pageblocks is not None and boot.runs:
                for first, count in boot.runs:
                    zone.pageblocks.insert(first, count)
                if boot.cma:
                    self._set_cma(zone, zone.pageblocks, boot)
                fix_boot_use(zone.pageblocks, boot, lowest)
        fix_node_structures({key: zone.pageblocks for key, zone in self.by_key.items()}, boot_zones)
        self.hot_from = boot_end + 1
        for zone in self.by_key.values():
            if zone.pageblocks is None:
                zone.boot_managed = zone.managed
            else:
                zone.pageblocks.hot_from = self.hot_from
        managed = sum(zone.managed for zone in self.by_key.values())
        self._huge_pages = managed * self._parameters.geometry.size >= self._parameters.thp_min_boot_bytes
        self.watermarks_stale = True

    def follow_from(self, block: int) -> None:
        """Take note of kernel pages from ``block`` on, where hotplugged memory lies below some of boot memory."""
        self.hot_from = min(self.hot_from, block)
        for zone in self.by_key.values():
            if zone.pageblocks is not None:
                zone.pageblocks.hot_from = self.hot_from

    def _set_cma(self, zone: GuestZone, pageblocks: KernelPages, boot: BootZone) -> None:
        """Set the CMA areas of a zone apart: kernel pages see their pageblocks as if they were not there."""
        zone.cma = CmaPages(sum(pages for _, pages in boot.cma))
        zone.use_cma(-zone.cma.pages)
        pageblock = pageblocks.pageblock
        for block, parts in cma_by_block(boot.cma, self._block_pages).items():
            if not any(first <= block < first + count for first, count in boot.runs):
                continue  # a block of several zones that counts for another
            for first, pages in parts:
                mask = (1 << (first + pages) // pageblock) - (1 << first // pageblock)
                pageblocks.remove_pageblocks(block, mask)
                if zone.layout is not None:
                    zone.layout.unplug(block, pages)

    def get(self, node: int, zone_type: int) -> GuestZone:
        """Return the zone, made if need be."""
        zone = self.by_key.get((node, zone_type))
        if zone is None:
            pageblocks = None
            if zone_type != ZONE_MOVABLE:
                parameters = self._parameters
                pageblock = parameters.geometry.pageblock_pages
                width = self._block_pages // pageblock
                fill, left_half = parameters.pageblock_fill, parameters.leftover_half_pageblocks
                pageblocks = KernelPages(width, fill, left_half, pageblock)
                pageblocks.hot_from = self.hot_from
                pageblocks.changed = self.changed
            zone = GuestZone(node, zone_type, pageblocks, self._parameters, self.recount)
            self.by_key[node, zone_type] = zone
            self._user_lists.clear()
            self.kernel_lists.clear()
            self._kernel_zones.clear()
        return zone

    def user_list(self, node: int) -> tuple[GuestZone, ...]:
        """Return the zones for user pages on ``node``: its own from MOVABLE down, then those of the other nodes."""
        zonelist = self._user_lists.get(node)
        if zonelist is None:
            zones = self.by_key.values()
            zonelist = tuple(sorted(zones, key=lambda zone: (zone.node != node, zone.node, -zone.type)))
            self._user_lists[node] = zonelist
        return zonelist

    def kernel_list(self, node: int) -> tuple[GuestZone, ...]:
        """Return the zones for kernel pages: the same without MOVABLE."""
        zonelist = self.kernel_lists.get(node)
        if zonelist is None:
            zonelist = tuple(zone for zone in self.user_list(node) if zone.type != ZONE_MOVABLE)
            self.kernel_lists[node] = zonelist
        return zonelist

    def kernel_zones(self, node: int | None) -> tuple[GuestZone, ...]:
        """Return the kernel zones of ``node`` alone (None: of all nodes)."""
        zones = self._kernel_zones.get(node)
        if zones is None:
            zonelist = self.kernel_list(0 if node is None else node)
            zones = tuple(zone for zone in zonelist if node is None or zone.node == node)
            self._kernel_zones[node] = zones
        return zones

    def decay_lists(self, now_us: int) -> None:
        """Let time pass until ``now_us``: once a second, what CPU lists have too much goes back (vmstat_update).

        Kernels of which lists do not grow beyond the low watermark have nothing to give back.
        """
        seconds = (now_us - self._decayed_us) // MICROSECONDS
        if seconds > 0:
            self._decayed_us += seconds * MICROSECONDS
            if self._parameters.pcp_adaptive_share:
                pages = seconds * self._parameters.pcp_decay_bytes // self._parameters.geometry.size
                for zone in self.by_key.values():
                    if zone.pcp_loads:
                        self.refresh_watermarks()
                        self.changes.count += zone.decay_pcp(pages)

    def lists_decay_at(self) -> int | None:
        """Return the microsecond at which CPU lists give back something next; None where they have nothing too much."""
        self.refresh_watermarks()
        too_much = any(zone.pcp_loads and zone.pcp + zone.pcp_loads > zone.low for zone in self.by_key.values())
        return self._decayed_us + MICROSECONDS if too_much else None

    def blocks_changed(self) -> None:
        """Note that blocks went online or offline."""
        self.changes.count += 1
        self.watermarks_stale = True
        if self.parted:
            self.parted.clear()

    def part_changed(self, zone: GuestZone, pages: int) -> None:
        """Note that so many pages of a block came to a zone that manages the others, or (negative) are about to go."""
        if self.watermarks_stale:
            self.parted[zone] = self.parted.get(zone, 0) + pages

    def refresh_watermarks(self) -> None:
        """Recompute the watermarks if a block went online or offline since they were last needed."""
        if self.watermarks_stale:
            parted = self.parted
            for zone, pages in parted.items():
                zone.managed -= pages
            self._watermarks.set(self.user_list(0), huge_pages=self._huge_pages)
            for zone, pages in parted.items():
                zone.managed += pages
            parted.clear()
            self.watermarks_stale = False
