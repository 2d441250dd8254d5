"""Where a machine's boot memory lies: what QEMU's ``pc`` and its firmware give the kernel, node by node.

QEMU's ``hw/i386/pc_piix.c`` and ``pc.c`` for the hole below 4 GiB and the first address of devices; what is missing is
as recorded kernels report it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.machine.state import ownership
from sim.pages import PAGES_4K
from sim.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.machine.spec import MachineSpec

HIGH_MEMORY: Final = 4 * GIB
"""Address from which on devices that know 32 bits do not reach."""

LOW_MEMORY: Final = 7 * GIB // 2
"""Bytes from which on memory is split at the hole below 4 GiB, by default (``max-ram-below-4g``)."""

_SPLIT_LOW_MEMORY: Final = 3 * GIB
"""Where low memory ends at most once it is split, so that what lies above 4 GiB is in whole gigabytes."""

# Page 0, and the video and BIOS area up to 1 MiB, are missing, as in recorded kernels (zone DMA has 3998 pages).
_FIRST_HOLE: Final = (0, 1)
_VIDEO_HOLE: Final = (0x9F, 0x100)

# QEMU's ACPI_BUILD_TABLE_SIZE; a page of its own for the NVDIMM's ACPI method; SeaBIOS's virtqueue of a virtio disk.
_ACPI_TABLES: Final = 128 * 1024
_NVDIMM_PAGES: Final = 1
_VIRTIO_DISK_PAGES: Final = 3
# SMBIOS has an entry for each 16 GiB; SeaBIOS puts tables of up to 600 bytes below 1 MiB (BUILD_MAX_SMBIOS_FSEG).
_SMBIOS_MODULE: Final = 16 * GIB
_SMBIOS_BASE_BYTES: Final = 368
_SMBIOS_MODULE_BYTES: Final = 53
_SMBIOS_LOW_BYTES: Final = 600


@dataclass(frozen=True, slots=True)
class NodeRange:
    """Memory of a node at boot: page frames [start, end) that are present."""

    node: int
    start: int
    end: int


class LinuxNodes:
    """What Linux calls a machine's nodes, and where it puts memory of one that it does not know.

    It numbers nodes as their proximity domains appear in the firmware's table (``acpi_map_pxm_to_node``): first those
    with CPUs, then those with memory, then the last node, to which QEMU gives the area for devices (``build_srat``).
    ``numbers`` has each of these by the machine's own number. The nodes of a machine that starts from a state are
    Linux's already.
    """

    def __init__(self, machine: MachineSpec) -> None:
        nodes = list(enumerate(machine.nodes))
        with_memory = [node for node, spec in nodes if spec.boot_memory]
        listed = [node for node, spec in nodes if spec.cpus or (spec.cpus is None and not node)] + with_memory
        if machine.can_grow:
            listed.append(len(nodes) - 1)
        if machine.state is not None:
            listed = [node for node, _ in nodes]
        self.numbers: Final = {node: number for number, node in enumerate(dict.fromkeys(listed))}
        self._nodes = range(len(nodes))
        self._first_with_memory = self.numbers[with_memory[0]]
        self._of_device_memory = self.numbers.get(len(nodes) - 1)

    def of_device(self, node: int, *, dax: bool = False) -> int | None:
        """Return the kernel's node for a device on the machine's ``node``; None where there is no such node.

        Of a node without a number DIMMs and virtio-mem come to the lowest memory's node
        (``memory_add_physaddr_to_nid``), a dax device to that of the device area (``phys_to_target_node``).
        """
        if node not in self._nodes:
            return None
        return self.numbers.get(node, self._of_device_memory if dax else self._first_with_memory)


def firmware_pages(boot_memory: int, *, nvdimm: bool = False, virtio_disks: int = 0) -> int:
    """Return the pages at the top of low memory that QEMU's tables and SeaBIOS's queues take.

    ``boot_memory`` in bytes; ``nvdimm``: started with ``-machine nvdimm=on``; ``virtio_disks`` that it may boot from.
    Recorded: 32, 33 with NVDIMM support or with more than 64 GiB, 35 with a disk.
    """
    smbios = _SMBIOS_BASE_BYTES + _SMBIOS_MODULE_BYTES * -(-boot_memory // _SMBIOS_MODULE)
    tables = _ACPI_TABLES + (smbios if smbios > _SMBIOS_LOW_BYTES else 0)
    return PAGES_4K.pages(tables) + _NVDIMM_PAGES * nvdimm + _VIRTIO_DISK_PAGES * virtio_disks


def present_ranges(machine: MachineSpec) -> list[NodeRange]:
    """Return the memory that the kernel uses, ascending: nodes one after the other, without what firmware keeps."""
    pages = machine.geometry.pages
    ranges = firmware_leaves(machine)
    for start, size in (*machine.soft_reserved, *machine.reserved):
        ranges = without(ranges, pages(start), pages(start + size))
    return without(ranges, pages(machine.mem), 1 << 62) if machine.mem else ranges


def boot_block_nodes(machine: MachineSpec, block_bytes: int) -> dict[int, int]:
    """Return the memory blocks that boot memory lies in, as QEMU lays it out, each with its node."""
    page = machine.page_size
    return {
        block: part.node
        for part in reversed(present_ranges(machine))
        for block in range(part.start * page // block_bytes, -(-part.end * page // block_bytes))
    }


def firmware_leaves(machine: MachineSpec) -> list[NodeRange]:
    """Return the memory that firmware tells the kernel of, ascending, whatever the command line says of it."""
    pages = machine.geometry.pages
    ranges, low_end = _memory_ranges(machine)
    holes = []
    if machine.built_for.pc_layout:
        tables = machine.firmware_pages or firmware_pages(machine.boot_memory)
        holes = [_FIRST_HOLE, _VIDEO_HOLE]
        if low_end > pages(machine.built_for.dma_end) + tables:
            holes.append((low_end - tables, low_end))
    for start, end in holes:
        ranges = without(ranges, start, end)
    return ranges


def device_base(machine: MachineSpec) -> int:
    """Return the first byte address for hotplugged devices: a whole GiB above all memory that is no device's.

    Where there is a state, its blocks say where that is; boot memory may be known to whole blocks only.
    """
    if machine.state is not None:
        owned = ownership(machine.state, machine.block_size)
        end = max(run.end for run in (*owned.boot, *owned.others)) * machine.block_size
    else:
        ranges, _ = _memory_ranges(machine)
        end = max(node_range.end for node_range in ranges) * machine.page_size
    return machine.built_for.device_base(end)


def _memory_ranges(machine: MachineSpec) -> tuple[list[NodeRange], int]:
    """Return each node's memory as QEMU lays it out, and the page frame where low memory ends."""
    pages = machine.geometry.pages
    split = machine.max_ram_below_4g or LOW_MEMORY
    total = machine.boot_memory
    low_end = pages(min(split, _SPLIT_LOW_MEMORY) if total >= split else total)
    if not machine.built_for.pc_layout:
        low_end = pages(machine.built_for.ram_start + total)
    numbers = LinuxNodes(machine).numbers
    ranges = []
    position = pages(machine.built_for.ram_start)
    for own, spec in enumerate(machine.nodes):
        left = pages(spec.boot_memory)
        if position < low_end and left:
            low_part = min(left, low_end - position)
            ranges.append(NodeRange(numbers[own], position, position + low_part))
            position += low_part
            left -= low_part
        if left:
            position = max(position, pages(HIGH_MEMORY))
            ranges.append(NodeRange(numbers[own], position, position + left))
            position += left
    return ranges, low_end


def without(ranges: Iterable[NodeRange], start: int, end: int) -> list[NodeRange]:
    """Return what is left of ranges when [start, end) is missing."""
    left = []
    for part in ranges:
        for low, high in ((part.start, min(part.end, start)), (max(part.start, end), part.end)):
            if low < high:
                left.append(NodeRange(part.node, low, high))
    return left
