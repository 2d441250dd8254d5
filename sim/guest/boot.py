"""The guest's memory at boot, by default from the machine's size (a recording's: :mod:`sim.replay.load_replay`).

Also where in it the boot kernel's own pages lie, which never come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sim.memory.zones import ZONE_DMA, ZONE_MOVABLE
from sim.units import PAGE_SIZE, PAGEBLOCK_PAGES, STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sim.guest.kernel_pages import KernelPages
    from sim.guest.parameters import GuestParameters

_MEMMAP_DIVISOR = PAGE_SIZE // STRUCT_PAGE_BYTES
"""Pages whose descriptors fill one page."""


class PresentZone(NamedTuple):
    """A zone as firmware and command line leave it: its present pages, and its ``runs`` as in :class:`BootZone`."""

    node: int
    zone: int
    pages: int
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class BootZone:
    """One zone at boot, in pages. ``free`` includes ``pcp``, what lies on CPU lists.

    ``present`` is needed of MOVABLE only: where less is managed, its highest block holds boot allocations and
    stays. ``runs`` are (first block, blocks) of boot memory in this zone; a block that mixes zones is listed with
    the highest of them. Zone DMA needs none.
    """

    node: int
    zone: int
    managed: int
    free: int
    pcp: int = 0
    present: int = 0
    runs: tuple[tuple[int, int], ...] = ()


def default_boot(present: Sequence[PresentZone], parameters: GuestParameters) -> list[BootZone]:
    """Return what an idle kernel leaves of boot memory, ``present`` being all zones.

    Reserved: a fixed part for the kernel image and the like in the zones of the first node, from the bottom, and each
    node's memmap at its top; then the idle kernel's own use, which prefers the highest kernel zone of the first node.
    Fitted to idle kernels from 512 MiB to 65 GiB; a guest too small for that keeps a sixteenth of its memory.
    """
    total = sum(zone.pages for zone in present)
    managed = {(zone.node, zone.zone): zone.pages for zone in present}
    fixed = min(parameters.boot_reserved_bytes // PAGE_SIZE, total * 15 // 16)
    for zone in present:
        if zone.zone == ZONE_DMA:
            managed[zone.node, zone.zone] -= zone.pages // 32
            fixed -= zone.pages // 32
    first_node = min(zone.node for zone in present)
    above_dma = [key for key in sorted(managed) if key[0] == first_node and key[1] != ZONE_DMA]
    _take(managed, above_dma, max(0, fixed))
    for node in sorted({zone.node for zone in present}):
        memmap = sum(zone.pages for zone in present if zone.node == node) // _MEMMAP_DIVISOR
        _take(managed, sorted((key for key in managed if key[0] == node), reverse=True), memmap)
    total_managed = sum(managed.values())
    idle = parameters.idle_use_bytes // PAGE_SIZE + int(parameters.idle_use_share * total_managed)
    free = dict(managed)
    kernel_first = [key for key in reversed(above_dma) if key[1] != ZONE_MOVABLE]
    dma = [key for key in sorted(managed) if key[1] == ZONE_DMA]
    _take(free, [*kernel_first, *dma], min(idle, total_managed * 9 // 10))
    pcp = parameters.idle_pcp_bytes // PAGE_SIZE
    home = kernel_first[0] if kernel_first else None
    return [
        BootZone(
            node, zone, managed[node, zone], free[node, zone],
            min(pcp, free[node, zone]) if (node, zone) == home else 0, pages, runs,
        )
        for node, zone, pages, runs in present
    ]  # fmt: skip


def _take(pages: dict[tuple[int, int], int], order: Iterable[tuple[int, int]], amount: int) -> None:
    """Take ``amount`` pages out of ``pages`` in ``order``, as far as there are any."""
    for key in order:
        part = min(pages[key], amount)
        pages[key] -= part
        amount -= part


def fix_boot_use(pageblocks: KernelPages, boot: BootZone) -> None:
    """Place the boot kernel's own use of a zone: half in block 0 (its image), the rest at the top of the zone."""
    width = pageblocks.width
    used = max(0, sum(count for _, count in boot.runs) * width - boot.free // PAGEBLOCK_PAGES)
    if any(first == 0 for first, _ in boot.runs):
        low = min(width, -(-used // 2))
        pageblocks.fix(0, (1 << low) - 1)
        used -= low
    for first, count in sorted(boot.runs, reverse=True):
        for block in range(first + count - 1, first - 1, -1):
            part = min(used, width)
            if not part:
                return
            pageblocks.fix(block, ((1 << part) - 1) << (width - part))
            used -= part


def fix_node_structures(
    pageblocks: Mapping[tuple[int, int], KernelPages | None], boot_zones: Iterable[BootZone]
) -> None:
    """Keep a pageblock for each node's own structures and threads: in its highest kernel zone, at the bottom.

    ``pageblocks``: of each (node, zone).
    """
    highest: dict[int, BootZone] = {}
    for boot in boot_zones:
        if boot.zone not in {ZONE_DMA, ZONE_MOVABLE} and boot.runs:
            top = highest.setdefault(boot.node, boot)
            if boot.zone > top.zone:
                highest[boot.node] = boot
    for node, top in highest.items():
        tracked = pageblocks[node, top.zone]
        if tracked is not None:
            tracked.fix(min(first for first, _ in top.runs), 1)


def stuck_blocks(boot_zones: Iterable[BootZone]) -> set[int]:
    """Return the boot blocks in MOVABLE with boot allocations: the highest of a zone that manages not all it has."""
    return {
        max(first + count for first, count in boot.runs) - 1
        for boot in boot_zones
        if boot.zone == ZONE_MOVABLE and boot.runs and boot.managed < boot.present
    }
