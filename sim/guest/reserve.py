"""What of boot memory never becomes managed: kernel image, SWIOTLB, crash kernel, log buffer, memmap, hash tables.

Each part lies where the kernel's early allocator (mm/memblock.c) puts it: from the top of memory downwards, except for
the image and what has to be reached by devices that know 32 bits only. So zones lose pages as recorded ones do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.memory.zones import ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE
from sim.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.guest.boot import PresentZone
    from sim.guest.parameters import GuestParameters
    from sim.pages import PageGeometry

    Key = tuple[int, int]

_ISA_DMA: Final = 16 * MIB
"""Most bytes of a zone DMA that is only there for old devices."""
_ISA_RESERVED: Final = 158
"""Pages of such a zone that are not managed: the first MiB and little else. The same in all recorded kernels."""
_FIRST_NODE: Final = 66 << 12
"""Bytes at the top of the first node for its own structures; the recorded kernels agree to 4 KiB or two."""
_NODE: Final = 43 << 12
"""The same for every further node, without memory too; they lie on the nodes before it."""
_SLOT_BYTES: Final = 24
"""Bytes that describe one slot of SWIOTLB (struct io_tlb_slot, kernel/dma/swiotlb.c)."""
_SLOT: Final = 2 * KIB
_INITRAMFS: Final = 2 * MIB
"""Bytes of an initramfs and of first page tables that still lie there when SWIOTLB is set up, and are free later. At
least: an init alone has so much, a distribution's initramfs tens of MiB."""
_SWIOTLB_LEAST: Final = MIB
"""Bytes below which SWIOTLB is not halved again (IO_TLB_MIN_SLABS)."""
_RECORD: Final = 32
"""Bytes of the log buffer for which the kernel keeps one descriptor (PRB_AVGBITS, kernel/printk/printk.c)."""
_DESCRIPTOR_BYTES: Final = 24
_LOG_BUILT_IN: Final = 128 * KIB
"""Bytes of the log buffer that is part of the kernel's image (CONFIG_LOG_BUF_SHIFT = 17)."""
_HASH_ENTRY_BYTES: Final = 8
_HASH_ADAPT_FROM: Final = 64 * GIB
"""Bytes of memory from which on hash tables grow half as fast, and again at every four times as much
(ADAPT_SCALE_BASE, mm/mm_init.c)."""


@dataclass(frozen=True, slots=True)
class BootOptions:
    """What of the machine and its command line decides what is reserved.

    ``series``: the kernel's, such as (6, 1); ``boot_memory``: bytes, with what firmware keeps of it; ``unused``: bytes
    of it that the command line keeps from the kernel (``mem``, ``memmap``); ``swiotlb``: whether bounce buffers are set
    up, ``swiotlb_bytes``: how many bytes of them (None: as many as the guest's kernel has by default); ``above_4g``:
    whether boot memory reaches above 4 GiB; ``crashkernel`` and ``log_buf_len``: bytes, as the boot parameters of these
    names say; ``bottom_up``: early allocations are made from below (``movable_node``); ``cma``: bytes of CMA;
    ``memoryless_nodes``: nodes without boot memory; ``section_size``: bytes of a section.
    """

    series: tuple[int, int] = (6, 1)
    boot_memory: int = 0
    unused: int = 0
    swiotlb: bool = True
    swiotlb_bytes: int | None = None
    above_4g: bool = False
    crashkernel: int = 0
    log_buf_len: int = 0
    bottom_up: bool = False
    cma: int = 0
    memoryless_nodes: int = 0
    section_size: int = 128 * MIB


def managed_pages(
    present: Sequence[PresentZone], parameters: GuestParameters, options: BootOptions
) -> tuple[dict[Key, int], int]:
    """Return the managed pages of every zone of ``present``, and the pages of hash tables that managed memory holds.

    The sum of the first is not above 0 where the machine is too small for the kernel.
    """
    managed = {(zone.node, zone.zone): zone.pages - zone.cma_pages() for zone in present}
    geometry = parameters.geometry
    at = _Places(present, options, isa_zones(present, geometry))
    wanted = 0

    def take(order: Iterable[Key], pages: int) -> None:
        nonlocal wanted
        left = pages - take_pages(managed, order, pages)
        wanted += left - take_pages(managed, (*at.top, *at.isa), left) if left else 0

    parts = parameters.boot_reserved_bytes == 0
    # Where all that is reserved is given as one sum, what lies in zone DMA is a part of it.
    isa = _ISA_RESERVED if at.isa else 0
    image = parameters.kernel_image_bytes if parts else max(0, parameters.boot_reserved_bytes - isa * geometry.size)
    take(at.isa, isa)
    take(at.low, geometry.pages(image))
    take(at.below_4g, geometry.pages(options.crashkernel))
    if parts:
        for piece in _log_buffer(options.log_buf_len, parameters):
            fits = options.bottom_up and any(managed[key] >= piece for key in at.isa)
            take(at.isa if fits else at.low if options.bottom_up else at.top, piece)
        above = sum(zone.pages for zone in present if options.above_4g and (zone.node, zone.zone) not in at.below_4g)
        take(at.top, geometry.pages(parameters.early_reserved_bytes) + above * geometry.size // GIB)
        take(at.node_top(at.nodes[0]), geometry.pages(_FIRST_NODE))
        take(at.top, geometry.pages(_NODE) * options.memoryless_nodes)
    for node in at.nodes:
        if parts and node != at.nodes[-1]:
            take(at.node_top(node), geometry.pages(_NODE))
        take(at.node_top(node), _memmap(sum(zone.pages for zone in present if zone.node == node), options, geometry))
    total = sum(zone.pages for zone in present)
    cma = sum(zone.cma_pages() for zone in present)
    tables = _hash_tables(total, sum(managed.values()) + cma, parameters, options)
    if len(at.nodes) == 1:
        take(at.top, tables)
        tables = 0
    if parts and options.swiotlb:  # set up after the tables
        wanted_buffers = parameters.swiotlb_bytes if options.swiotlb_bytes is None else options.swiotlb_bytes
        buffers = _swiotlb(wanted_buffers, max(managed[key] for key in at.below_4g), parameters)
        take(at.below_4g, geometry.pages(buffers))
        take(at.top, geometry.pages(buffers // _SLOT * _SLOT_BYTES))
    if wanted:
        managed[at.top[-1]] -= wanted
    for zone in present:
        managed[zone.node, zone.zone] += zone.cma_pages()
    return managed, tables


def reserved_pages(nodes: Sequence[int], managed: int, parameters: GuestParameters, options: BootOptions) -> int:
    """Return what is reserved beside memmap and hash tables where of present pages by node so many are managed."""
    memmap = sum(_memmap(pages, options, parameters.geometry) for pages in nodes)
    tables = 0 if len(nodes) > 1 else _hash_tables(sum(nodes), managed, parameters, options)
    return sum(nodes) - memmap - tables - managed


def tables_in_use(nodes: Sequence[int], managed: int, parameters: GuestParameters, options: BootOptions) -> int:
    """Return the pages of hash tables that are not reserved but in use, as they are spread over several nodes."""
    return _hash_tables(sum(nodes), managed, parameters, options) if len(nodes) > 1 else 0


class _Places:
    """Where things are put: zones in the order in which they are tried."""

    def __init__(self, present: Sequence[PresentZone], options: BootOptions, isa: list[Key]) -> None:
        keys = sorted((zone.node, zone.zone) for zone in present)
        self.isa = isa
        self.nodes = sorted({node for node, _ in keys})
        self._downwards = keys[::-1]
        others = [key for key in keys if key not in self.isa]
        self.low = others or self.isa
        self.top = [key for key in self._downwards if key not in self.isa] or self.isa
        low_types = {ZONE_DMA, ZONE_DMA32} if options.above_4g else {ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE}
        self.below_4g = [key for key in self.top if key[1] in low_types] or self.low

    def node_top(self, node: int) -> list[Key]:
        """Return the zones of ``node``, the highest first."""
        return [key for key in self._downwards if key[0] == node]


def isa_zones(present: Sequence[PresentZone], geometry: PageGeometry) -> list[Key]:
    """Return the zones DMA that are only there for old devices."""
    most = geometry.pages(_ISA_DMA)
    return [(zone.node, zone.zone) for zone in present if zone.zone == ZONE_DMA and zone.pages <= most]


def take_pages(pages: dict[Key, int], order: Iterable[Key], amount: int) -> int:
    """Take ``amount`` pages out of ``pages`` in ``order``, as far as there are any; return how many those were."""
    left = amount
    for key in order:
        part = min(pages[key], left)
        pages[key] -= part
        left -= part
    return amount - left


def _memmap(pages: int, options: BootOptions, geometry: PageGeometry) -> int:
    """Return the pages of memmap for ``pages`` of a node: whole sections have one."""
    section = geometry.pages(options.section_size)
    return geometry.memmap_pages(-(-pages // section) * section)


def _swiotlb(wanted: int, room: int, parameters: GuestParameters) -> int:
    """Return the bytes of bounce buffers, ``wanted`` so many; ``room``: pages below 4 GiB when all else is there.

    Where there is less, 6.1 goes without, and later kernels try half as much time and again (kernel/dma/swiotlb.c,
    ``swiotlb_init_remap``; since 6.2).
    """
    most = room * parameters.geometry.size - _INITRAMFS
    while wanted > most and parameters.series != "6.1" and wanted > _SWIOTLB_LEAST:
        wanted //= 2
    return wanted if wanted <= most else 0


def _log_buffer(length: int, parameters: GuestParameters) -> list[int]:
    """Return the pages of text, descriptors and details of a log buffer of ``length`` bytes."""
    if length <= _LOG_BUILT_IN:
        return []
    records = length // _RECORD
    parts = (length, records * _DESCRIPTOR_BYTES, records * parameters.printk_info_bytes)
    return [parameters.geometry.pages(part) for part in parts]


def _hash_tables(total: int, free: int, parameters: GuestParameters, options: BootOptions) -> int:
    """Return the pages of the hash tables of directory entries and inodes (alloc_large_system_hash, mm/mm_init.c).

    6.1 goes by all pages less their memmap; later kernels by those that are ``free`` by then, of which CMA is none.
    """
    geometry = parameters.geometry
    early = parameters.series == "6.1"
    pages = total - geometry.memmap_pages(total) if early else free - geometry.pages(options.cma)
    size = -(-pages * geometry.size // MIB) * MIB
    adapted, limit = 0, _HASH_ADAPT_FROM
    while limit < size:
        adapted += 1
        limit *= 4
    entries = sum(1 << max(0, (size >> scale + adapted) - 1).bit_length() for scale in (13, 14))
    return geometry.pages(entries * _HASH_ENTRY_BYTES)
