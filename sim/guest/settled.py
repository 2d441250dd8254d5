"""Kernel pages that nobody asked for: what memory blocks cost besides their memmap, and what settles in a new zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.guest.loads import LoadKind

if TYPE_CHECKING:
    from sim.guest.allocation import Allocation
    from sim.guest.loads import Load, Loads
    from sim.guest.parameters import GuestParameters
    from sim.guest.zone import GuestZone

SETTLED = "(settled kernel)"
"""Name of the load that these pages belong to."""
LOT = 100_000
"""Thousandths of a page after which the blocks' cost is charged: a page now and then, not a part of one each time."""


class SettledKernel:
    """``home`` is the node whose CPUs run the idle kernel: the first with memory at boot.

    ``due`` is what blocks have cost since it was last charged, in thousandths of a page; ``block_cost`` what each does.
    """

    __slots__ = ("_allocation", "_loads", "_parameters", "block_cost", "due", "home")

    def __init__(self, loads: Loads, allocation: Allocation, parameters: GuestParameters) -> None:
        self.home = 0
        self.due = 0
        self.block_cost = parameters.block_overhead_bytes * 1000 // parameters.geometry.size
        self._loads = loads
        self._allocation = allocation
        self._parameters = parameters

    def charge(self, nr_blocks: int) -> None:
        """Note what blocks cost (or, negative, gave back)."""
        self.due += self.block_cost * nr_blocks
        if not -LOT < self.due < LOT:
            self.pay()

    def pay(self) -> None:
        """Take or give back the whole pages that are due."""
        load = self._load()
        pages = int(self.due / 1000)
        self.due -= pages * 1000
        if pages > 0:
            self._allocation.take_kernel(load, pages)
            return
        for zone in list(load.kernel):
            part = min(load.kernel[zone], -pages)
            load.drop_kernel(zone, part)
            pages += part

    def settle_in(self, zone: GuestZone) -> None:
        """Let a few kernel pages move into a zone Normal that hotplug has just created, as the idle kernel does."""
        pageblocks = zone.pageblocks
        if pageblocks is None:
            return
        parameters = self._parameters
        page_size = parameters.geometry.size
        pages = min(parameters.zone_settle_bytes // page_size, zone.free)
        load = self._load()
        if pages:
            load.put_kernel(zone, pages)
        zone.recount.add(zone)
        zone.pcp = parameters.zone_settle_pcp_bytes // page_size
        held = -(-parameters.zone_settle_held_bytes // (page_size * pageblocks.pageblock))
        while pageblocks.nr_held < held and pageblocks.untouched():
            pageblocks.hold_one()
        pageblocks.floor = pageblocks.nr_held

    @staticmethod
    def start_threads(zone: GuestZone) -> None:
        """Start the threads of a node that gets its first memory: a pageblock of it holds them for good.

        They end when the last of the node's memory has gone (mm/memory_hotplug.c, ``kswapd_run``, ``kswapd_stop``),
        and it cannot go before.
        """
        pageblocks = zone.pageblocks
        if pageblocks is not None and pageblocks.untouched():
            pageblocks.hold_one()
            pageblocks.floor = pageblocks.nr_held

    def pages_in(self, zone: GuestZone) -> int:
        """Return how many of these pages lie in a zone."""
        return self._load().kernel.get(zone, 0)

    def _load(self) -> Load:
        return self._loads.get(SETTLED, LoadKind.KERNEL, self.home)
