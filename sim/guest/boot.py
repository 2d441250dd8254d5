"""The guest's memory at boot: from a recording's snapshot, or by default from the machine's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.guest.contract import DMA, MOVABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.guest.parameters import GuestParameters

_PAGE = 4096
_MEMMAP_DIVISOR = 64
"""A descriptor of 64 bytes for each page of 4096: 1/64."""


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


def default_boot(
    present: Sequence[tuple[int, int, int, tuple[tuple[int, int], ...]]], parameters: GuestParameters
) -> list[BootZone]:
    """Return what an idle kernel leaves of boot memory.

    ``present``: (node, zone, present pages, runs) of each zone. Reserved: a fixed part for the kernel image and the
    like in the zones of the first node, from the bottom, and each node's memmap at its top; then the idle kernel's
    own use, which prefers the highest kernel zone of the first node. Fitted to idle kernels from 512 MiB to 65 GiB;
    a guest too small for that keeps a sixteenth of its memory.
    """
    total = sum(x[2] for x in present)
    managed = {(n, z): p for n, z, p, _ in present}
    fixed = min(parameters.boot_reserved_bytes // _PAGE, total * 15 // 16)
    dma = sum(p // 32 for _, z, p, _ in present if z == DMA)
    for n, z, p, _ in present:
        if z == DMA:
            managed[n, z] = p - p // 32
    first_node = min(n for n, *_ in present)
    _take(managed, [k for k in sorted(managed) if k[0] == first_node and k[1] != DMA], max(0, fixed - dma))
    for node in sorted({n for n, *_ in present}):
        memmap = sum(p for n, _, p, _ in present if n == node) // _MEMMAP_DIVISOR
        _take(managed, sorted((k for k in managed if k[0] == node), reverse=True), memmap)
    total_managed = sum(managed.values())
    idle = parameters.idle_use_bytes // _PAGE + int(parameters.idle_use_share * total_managed)
    free = dict(managed)
    kernel_first = [k for k in sorted(managed, reverse=True) if k[0] == first_node and k[1] not in (MOVABLE, DMA)]
    _take(free, [*kernel_first, *(k for k in sorted(managed) if k[1] == DMA)], min(idle, total_managed * 9 // 10))
    pcp = parameters.idle_pcp_bytes // _PAGE
    first = kernel_first[0] if kernel_first else None
    return [
        BootZone(n, z, managed[n, z], free[n, z], min(pcp, free[n, z]) if (n, z) == first else 0, p, runs)
        for n, z, p, runs in present
    ]


def _take(pages: dict[tuple[int, int], int], order: Iterable[tuple[int, int]], amount: int) -> None:
    """Take ``amount`` pages out of ``pages`` in ``order``, as far as there are any."""
    for key in order:
        n = min(pages[key], amount)
        pages[key] -= n
        amount -= n
