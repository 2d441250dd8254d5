"""The guest's memory at boot, by default from the machine's size (a recording's: :mod:`sim.replay.load_replay`).

Also where in it the boot kernel's own pages lie, which never come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sim.faults import Fault, InputError
from sim.guest.bits import highest as highest_bits
from sim.guest.bits import lowest as lowest_bits
from sim.guest.reserve import BootOptions, isa_zones, managed_pages, take_pages
from sim.memory.zones import ZONE_MOVABLE
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sim.guest.cma import Area
    from sim.guest.kernel_pages import KernelPages
    from sim.guest.parameters import GuestParameters


class PresentZone(NamedTuple):
    """A zone as firmware and command line leave it: its present pages; ``runs`` and ``cma`` as in :class:`BootZone`.

    ``managed`` are the pages that the page allocator has of it, where they are known; None where they follow from what
    the kernel reserves.
    """

    node: int
    zone: int
    pages: int
    runs: tuple[tuple[int, int], ...]
    cma: tuple[Area, ...] = ()
    managed: int | None = None

    def cma_pages(self) -> int:
        """Return the pages of its CMA areas."""
        return sum(pages for _, pages in self.cma)


@dataclass(frozen=True, slots=True)
class BootZone:
    """One zone at boot, in pages. ``free`` includes ``pcp``, what lies on CPU lists.

    ``present`` is needed of MOVABLE only: where less is managed, its highest block holds boot allocations and
    stays. ``runs`` are (first block, blocks) of boot memory in this zone; a block that mixes zones is listed with
    the highest of them. Zone DMA needs none. ``cma`` are its CMA areas, all of them free.
    """

    node: int
    zone: int
    managed: int
    free: int
    pcp: int = 0
    present: int = 0
    runs: tuple[tuple[int, int], ...] = ()
    cma: tuple[Area, ...] = ()


def default_boot(
    present: Sequence[PresentZone], parameters: GuestParameters, options: BootOptions | None = None
) -> list[BootZone]:
    """Return what an idle kernel leaves of boot memory, ``present`` being all zones.

    What is reserved for good see :mod:`sim.guest.reserve`; of the rest the idle kernel's own use prefers the highest
    kernel zone of the first node, and the CPU's lists hold a part of that node's kernel zones. Raises InputError where
    the machine is too small for the kernel.
    """
    if not present:
        raise InputError("guest", [Fault("", "there is no boot memory beside what firmware keeps")])
    managed, tables = managed_pages(present, parameters, options or BootOptions())
    managed |= {(zone.node, zone.zone): zone.managed for zone in present if zone.managed is not None}
    total = sum(managed.values())
    cma = {(zone.node, zone.zone): zone.cma_pages() for zone in present}
    usable = total - sum(cma.values())
    page_size = parameters.geometry.size
    idle = parameters.idle_use_bytes // page_size + int(parameters.idle_use_share * total) + tables
    several = len({zone.node for zone in present}) > 1
    idle += parameters.idle_use_nodes_bytes // page_size * several
    if idle >= usable:
        unused = options.unused if options else 0
        given = (options.boot_memory if options else 0) - unused
        given = given if given > 0 else sum(zone.pages for zone in present) * page_size
        smaller = "" if parameters.boot_reserved_bytes else ', or the guest a smaller kernel (preset = "kata", for one)'
        what = _too_small(given, unused, total, idle, total - usable, page_size)
        raise InputError("guest", [Fault("", what + smaller)])
    kernel_pages = sum(managed[key] - cma[key] for key in managed if key[1] != ZONE_MOVABLE)
    if idle >= kernel_pages:
        what = (
            f"{round(kernel_pages * page_size / MIB)}MiB of kernel zones, all that kernelcore or movablecore leaves,"
            f" are less than the {round(idle * page_size / MIB)}MiB that the kernel uses at boot: it would panic"
        )
        raise InputError("guest", [Fault("", what)])
    first_node = min(zone.node for zone in present)
    free = {key: pages - cma[key] for key, pages in managed.items()}
    home = [key for key in sorted(managed, reverse=True) if key[0] == first_node and key[1] != ZONE_MOVABLE]
    take_pages(free, [*home, *(key for key in sorted(managed) if key not in home)], idle)
    isa = isa_zones(present, parameters.geometry)
    lists = _cpu_lists(free, [key for key in home if key not in isa], idle_pcp_pages(total, parameters))
    return [
        BootZone(
            node,
            zone,
            managed[node, zone],
            free[node, zone] + cma[node, zone],
            lists.get((node, zone), 0),
            pages,
            runs,
            areas,
        )
        for node, zone, pages, runs, areas, _ in present
    ]


def idle_pcp_pages(managed: int, parameters: GuestParameters) -> int:
    """Return the free pages on the lists of an idle CPU in a guest that manages so many.

    Lists are as long as watermarks are high, and those are low in a guest too small for huge pages.
    """
    page_size = parameters.geometry.size
    pages = parameters.idle_pcp_bytes // page_size
    if managed * page_size < parameters.thp_min_boot_bytes:
        return min(pages, int(managed * parameters.idle_pcp_small_share))
    return pages


def _cpu_lists(
    free: Mapping[tuple[int, int], int], zones: Sequence[tuple[int, int]], pages: int
) -> dict[tuple[int, int], int]:
    """Return the pages of CPU lists by zone, in proportion to what is free there."""
    total = sum(free[key] for key in zones) or 1
    return {key: min(free[key], pages * free[key] // total) for key in zones}


def _too_small(given: int, unused: int, managed: int, idle: int, cma: int, page_size: int) -> str:
    """Say what ``given`` bytes of boot memory are short of; ``unused`` are those that the command line takes away."""
    reserved, used, areas = given - managed * page_size, idle * page_size, cma * page_size
    left = f" (all that mem, soft_reserved and reserved leave of {round((given + unused) / MIB)}MiB)" if unused else ""
    return (
        f"{round(given / MIB)}MiB of boot memory{left} are less than the kernel takes for itself,"
        f" {round(reserved / MIB)}MiB reserved and {round(used / MIB)}MiB in use"
        f"{f', beside {round(areas / MIB)}MiB of CMA, which it cannot use' if areas else ''};"
        f" give the machine more than {-(-(reserved + used + areas) // MIB)}MiB"
    )


def fix_boot_use(pageblocks: KernelPages, boot: BootZone, lowest: int = 0) -> None:
    """Place the boot kernel's own use of a zone: half in the ``lowest`` block (its image), the rest at the top."""
    width = pageblocks.width
    used = max(0, sum(count for _, count in boot.runs) * width - boot.free // pageblocks.pageblock)
    if any(first == lowest for first, _ in boot.runs):
        there = _for_kernel(pageblocks, lowest)
        low = min(there.bit_count(), -(-used // 2))
        pageblocks.fix(lowest, lowest_bits(there, low))
        used -= low
    for first, count in sorted(boot.runs, reverse=True):
        for block in range(first + count - 1, first - 1, -1):
            there = _for_kernel(pageblocks, block)
            part = min(used, there.bit_count())
            pageblocks.fix(block, highest_bits(there, part))
            used -= part
            if not used:
                return


def _for_kernel(pageblocks: KernelPages, block: int) -> int:
    """Return the bitmap of pageblocks of a block in which kernel pages may lie: those that are not CMA."""
    return (1 << pageblocks.width) - 1 & ~pageblocks.absent.get(block, 0)


def fix_node_structures(
    pageblocks: Mapping[tuple[int, int], KernelPages | None], boot_zones: Iterable[BootZone]
) -> None:
    """Keep a pageblock for each node's own structures and threads: in its highest kernel zone, at the bottom.

    ``pageblocks``: of each (node, zone).
    """
    highest: dict[int, BootZone] = {}
    for boot in boot_zones:
        if boot.zone != ZONE_MOVABLE and boot.runs:
            top = highest.setdefault(boot.node, boot)
            if boot.zone > top.zone:
                highest[boot.node] = boot
    for node, top in highest.items():
        tracked = pageblocks[node, top.zone]
        if tracked is not None:
            blocks = (block for first, count in sorted(top.runs) for block in range(first, first + count))
            block, there = next(((block, there) for block in blocks if (there := _for_kernel(tracked, block))), (0, 0))
            tracked.fix(block, there & -there)


def stuck_blocks(boot_zones: Iterable[BootZone]) -> set[int]:
    """Return the boot blocks in MOVABLE with boot allocations: the highest of a zone that manages not all it has."""
    return {
        max(first + count for first, count in boot.runs) - 1
        for boot in boot_zones
        if boot.zone == ZONE_MOVABLE and boot.runs and boot.managed < boot.present
    }
