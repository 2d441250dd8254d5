"""What an architecture fixes: page sizes, sections, zones, where memory starts, what its machines in QEMU can do.

Linux: ``arch/arm64`` and ``arch/s390``: ``include/asm/sparsemem.h`` (sections), ``mm/init.c`` (zones, SWIOTLB),
``Kconfig`` (largest chunks), ``mm/mmu.c`` (memmap, boot memory). QEMU: ``hw/arm/virt.c`` and
``hw/s390x/s390-virtio-ccw.c`` (addresses), ``hw/virtio/virtio-mem.c``. Only x86-64 was held against real machines, by
recordings; the others are what source code says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sim.pages import SMALLEST_PAGE, PageGeometry
from sim.units import GIB, KIB, MIB

_KIB16: Final = 16 * KIB
_KIB64: Final = 64 * KIB
_S390_SMALL_SECTIONS_SINCE: Final = (6, 13)
_LARGE_BLOCKS_FROM: Final = 64 * GIB
_LARGEST_BLOCK: Final = 2 * GIB


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture by ``name``. Sizes in bytes.

    ``page_sizes`` that its kernels are built for, the default first. ``ram_start``: where boot memory begins.
    ``pc_layout``: it has the PC's hole below 4 GiB, firmware in the first MiB and ``max-ram-below-4g``.
    ``dma_end``, ``dma32_end``: where these zones end; the second begins where the first ends, if it is there at
    all. ``isa_dma``: zone DMA is a remnant for old devices that nobody else uses. ``low_cma``: CMA has to lie below
    4 GiB. ``boot_goes_offline``: whether blocks of boot memory can. ``swiotlb``: bounce buffers are set up if there
    is memory above 4 GiB at boot; ``swiotlb_for_hotplug``: also if some could come. ``large_blocks``: memory blocks
    grow with boot memory; ``blocks_are_sections``: they are one section and no other size. ``usable_extent``: what
    QEMU lets a virtio-mem driver use beyond the request. ``dimms``: QEMU's machine takes DIMMs. ``device_align``:
    what address and size of a memory device are multiples of at least (QEMU_VMALLOC_ALIGN).
    """

    name: str
    page_sizes: tuple[int, ...] = (SMALLEST_PAGE,)
    ram_start: int = 0
    pc_layout: bool = False
    dma_end: int = 4 * GIB
    dma32_end: int = 4 * GIB
    isa_dma: bool = False
    low_cma: bool = False
    boot_goes_offline: bool = True
    swiotlb: bool = True
    swiotlb_for_hotplug: bool = False
    large_blocks: bool = False
    blocks_are_sections: bool = False
    usable_extent: int = 2 * 128 * MIB
    dimms: bool = True
    device_align: int = 2 * MIB

    def geometry(self, page_size: int) -> PageGeometry:
        """Return what follows from a page size."""
        if self.name == "s390x":
            return PageGeometry(page_size, pageblock_size=MIB)
        return PageGeometry(page_size, huge_memmap=page_size == SMALLEST_PAGE)

    def section_size(self, page_size: int, series: tuple[int, int]) -> int:
        """Return the bytes of a section in a kernel of ``series``."""
        if self.name == "s390x":
            return 128 * MIB if series >= _S390_SMALL_SECTIONS_SINCE else 256 * MIB
        return 512 * MIB if page_size == _KIB64 else 128 * MIB

    def block_size(self, section_size: int, end: int) -> int:
        """Return the memory block that a guest's kernel chooses whose boot memory ends at byte ``end``.

        x86-64: a section below 64 GiB; from there on the largest power of two up to 2 GiB that the end is a multiple of
        (``probe_memory_block_size`` of ``arch/x86/mm/init_64.c``). Elsewhere a section; on s390x more where the
        machine's storage increments are larger, which those of QEMU (1 MiB) are not.
        """
        if not self.large_blocks or end < _LARGE_BLOCKS_FROM:
            return section_size
        return max(section_size, min(_LARGEST_BLOCK, end & -end))

    def device_base(self, end: int) -> int:
        """Return the first byte address for hotplugged devices above boot memory that ends at byte ``end``."""
        base = -(-end // GIB) * GIB
        return max(4 * GIB, base) if self.pc_layout else base


X86_64: Final = Architecture(
    "x86-64", pc_layout=True, dma_end=16 * MIB, isa_dma=True, swiotlb_for_hotplug=True, large_blocks=True
)
ARM64: Final = Architecture(
    "arm64",
    page_sizes=(SMALLEST_PAGE, _KIB16, _KIB64),
    ram_start=GIB,
    low_cma=True,
    boot_goes_offline=False,
    blocks_are_sections=True,
    usable_extent=2 * 512 * MIB,
)
S390X: Final = Architecture("s390x", dma_end=2 * GIB, dma32_end=0, swiotlb=False, dimms=False, device_align=MIB)

ARCHITECTURES: Final = {architecture.name: architecture for architecture in (X86_64, ARM64, S390X)}
"""All, by name."""


def architecture_of(name: str | None, page_size: int) -> Architecture:
    """Return the architecture ``name``.

    Where none is named it is x86-64, or with larger pages arm64, the only one here that has them. Raises KeyError for
    an unknown name.
    """
    if name is None:
        return X86_64 if page_size in X86_64.page_sizes else ARM64
    return ARCHITECTURES[name]
