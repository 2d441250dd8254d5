"""The guest machine that memory is plugged into: its boot memory, its block size and the boot parameters that matter.

Everything in bytes. What a value may be follows x86-64 Linux: the smallest memory block is a section (128 MiB), the
largest 2 GiB (``arch/x86/mm/init_64.c``, MIN_MEMORY_BLOCK_SIZE and MAX_BLOCK_SIZE), and four-level page tables reach
64 TiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sim.devices.specs import MOST_DIMM_SLOTS
from sim.faults import Fault, InputError
from sim.machine import swiotlb
from sim.machine.address_map import HIGH_MEMORY, firmware_leaves, present_ranges
from sim.machine.architecture import ARCHITECTURES, architecture_of
from sim.machine.boot_zones import crossing, zones_at_boot
from sim.machine.cma import cma_areas, largest_area
from sim.machine.cold_devices import cold_device_faults
from sim.machine.state_checks import state_faults
from sim.pages import PAGE_SIZES, SMALLEST_PAGE
from sim.units import GIB, MEMORY_LIMIT, MIB, MOST_NODES, format_size, nearest, parse_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.devices.specs import DeviceSpec
    from sim.machine.architecture import Architecture
    from sim.machine.state import MachineState
    from sim.pages import PageGeometry

_MAX_BLOCK_SIZE: Final = 2 * GIB
_MAX_SLOTS: Final = 4096  # far beyond any VMM, so that a limit of the guest can be looked for behind the machine's
_LOG_BUFFER_MAX: Final = 1 << 31
DEFAULT_SERIES: Final = "6.1"
FIRST_SERIES: Final = (5, 15)
_CMA_PER_NODE_SINCE: Final = (7, 0)  # CONFIG_CMA_SIZE_PERNUMA: recorded of 7.3, absent in 6.12
_LEAST_LOW_MEMORY: Final = 16 * MIB
_LIMITS: Final = {"mem": MEMORY_LIMIT, "max_ram_below_4g": 4 * GIB}
_MOST_FIRMWARE_PAGES: Final = 4096
_HUNDRED: Final = 100
_SERIES = re.compile(r"(\d{1,3})\.(\d{1,3})")


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A NUMA node with ``boot_memory`` bytes of early memory (0: a node that gets memory only by hotplug).

    ``cpus`` says whether it has CPUs; None: if it is the first one. A node that has neither memory nor CPUs and is not
    the last one is unknown to Linux, see :class:`sim.machine.address_map.LinuxNodes`.
    """

    boot_memory: int
    cpus: bool | None = None


@dataclass(frozen=True, slots=True)
class ColdDimms:
    """``count`` DIMMs of ``size`` bytes on ``node`` that are there when the kernel starts."""

    size: int
    node: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A guest machine at boot. All sizes in bytes.

    ``block_size`` is the memory block, by default (0) what the kernel makes of boot memory's end; ``section_size`` the
    sparse-memory section, by default (0) the architecture's; ``kernel`` the series (``"6.1"``); ``kernelcore``,
    ``movablecore``, ``movable_node``, ``cma``, ``mem``, ``swiotlb``, ``crashkernel`` and ``log_buf_len`` the boot
    parameters of these names (0, False or None: not given); ``kernelcore_percent`` and ``movablecore_percent`` the same
    as shares of memory; ``cma_base`` and ``cma_limit`` the addresses behind ``cma=size@`` (limit 0: none given);
    ``cma_per_node`` whether each of several nodes gets an area of its own beside (None: as the series does);
    ``cold_dimms`` the DIMMs that are there when the kernel starts, which adds them as if they were plugged one after
    the other before anything else happens; ``cold_devices`` further devices that are there then, in their order, of
    which virtio-mem devices begin to get what they ask for; ``soft_reserved`` the ranges (address, bytes) of boot
    memory that firmware or ``memmap=`` keeps for dax devices, ``reserved`` those that ``memmap=`` keeps from everybody;
    ``zone_dma`` whether the kernel has a zone for the first 16 MiB; ``slots`` the DIMM slots; ``max_memory`` the most
    that boot memory and devices may add up to, None for no limit of its own; ``max_ram_below_4g`` QEMU's option of that
    name (0: 3.5 GiB); ``firmware_pages`` what firmware keeps at the top of low memory (0: as
    :func:`sim.machine.address_map.firmware_pages` says); ``memmap_on_memory`` the parameter of that name (False, True
    or ``"force"``); ``virtio_mem_unplug_online``, ``virtio_mem_force_bbm`` and ``virtio_mem_bbm_block_size`` (bytes)
    the module parameters of the driver, which hold for all its devices; ``virtio_mem_driver`` whether the guest has
    one at all; ``architecture`` a name of
    :data:`sim.machine.architecture.ARCHITECTURES` (None: x86-64, or with larger pages arm64); ``page_size`` the base
    page; ``bare_metal`` whether it is no virtual machine, which rules of user space may ask (``systemd-detect-virt``);
    ``state`` what the machine starts from instead of from boot, with its ``block_size`` given: nodes then have the
    numbers that Linux gives them.

    Raises InputError with all faults; the key of each is the field's name.
    """

    nodes: tuple[NodeSpec, ...]
    block_size: int = 0
    section_size: int = 0
    kernel: str = DEFAULT_SERIES
    kernelcore: int = 0
    kernelcore_percent: int = 0
    movablecore: int = 0
    movablecore_percent: int = 0
    movable_node: bool = False
    cma: int = 0
    cma_base: int = 0
    cma_limit: int = 0
    swiotlb: str | None = None
    crashkernel: int = 0
    log_buf_len: int = 0
    cma_per_node: bool | None = None
    mem: int = 0
    soft_reserved: tuple[tuple[int, int], ...] = ()
    reserved: tuple[tuple[int, int], ...] = ()
    zone_dma: bool = True
    slots: int = MOST_DIMM_SLOTS
    cold_dimms: tuple[ColdDimms, ...] = ()
    cold_devices: tuple[DeviceSpec, ...] = ()
    max_memory: int | None = None
    max_ram_below_4g: int = 0
    firmware_pages: int = 0
    memmap_on_memory: bool | Literal["force"] = False
    virtio_mem_unplug_online: bool = True
    virtio_mem_force_bbm: bool = False
    virtio_mem_bbm_block_size: int = 0
    virtio_mem_driver: bool = True
    architecture: str | None = None
    page_size: int = SMALLEST_PAGE
    bare_metal: bool = False
    state: MachineState | None = None

    def __post_init__(self) -> None:
        faults = list(self._architecture_faults())
        if not faults:
            if not self.section_size:
                section = self.built_for.section_size(self.page_size, self._series_or_first())
                object.__setattr__(self, "section_size", section)
            faults = list(self._faults()) or list(self._state_or_layout_faults())
        if faults:
            raise InputError("machine", faults)
        if not self.block_size:
            end = present_ranges(self)[-1].end * self.page_size
            block = self.built_for.block_size(self.section_size, end)
            object.__setattr__(self, "block_size", block)

    @property
    def geometry(self) -> PageGeometry:
        """What a page is, and what follows from it."""
        return self.built_for.geometry(self.page_size)

    @property
    def built_for(self) -> Architecture:
        """What the architecture fixes."""
        return architecture_of(self.architecture, self.page_size)

    @property
    def boot_memory(self) -> int:
        """Bytes of early memory on all nodes."""
        return sum(node.boot_memory for node in self.nodes)

    @property
    def can_grow(self) -> bool:
        """Whether anything can be plugged in, which makes firmware tell of an area for it above 4 GiB."""
        return self.max_memory is None or self.max_memory > self.boot_memory

    @property
    def log_buffer(self) -> int:
        """Bytes of the log buffer: ``log_buf_len`` rounded up to a power of two (log_buf_len_update in printk.c)."""
        return min(1 << (self.log_buf_len - 1).bit_length(), _LOG_BUFFER_MAX) if self.log_buf_len else 0

    @property
    def kernel_series(self) -> tuple[int, int]:
        """The kernel series as numbers, to compare."""
        return parse_series(self.kernel)

    @property
    def repeats_cma(self) -> bool:
        """Whether each of several nodes gets a CMA area of its own, of the size of the default one."""
        return self.kernel_series >= _CMA_PER_NODE_SINCE if self.cma_per_node is None else self.cma_per_node

    def _series_or_first(self) -> tuple[int, int]:
        return self.kernel_series if _SERIES.fullmatch(self.kernel) else FIRST_SERIES

    def _architecture_faults(self) -> Iterator[Fault]:
        if self.architecture is not None and self.architecture not in ARCHITECTURES:
            yield Fault("architecture", f"{self.architecture!r} is none of {', '.join(ARCHITECTURES)}")
        elif self.page_size not in PAGE_SIZES:
            sizes = ", ".join(map(format_size, PAGE_SIZES))
            yield Fault("page_size", f"{format_size(self.page_size)} is none of {sizes}")
        elif self.page_size not in self.built_for.page_sizes:
            sizes = ", ".join(map(format_size, self.built_for.page_sizes))
            yield Fault("page_size", f"{self.built_for.name} has no pages of {format_size(self.page_size)}: {sizes}")
        elif not self.built_for.pc_layout:
            for name in ("max_ram_below_4g", "firmware_pages"):
                if getattr(self, name):
                    yield Fault(name, f"machines of {self.built_for.name} have none: leave it out")

    def _faults(self) -> Iterator[Fault]:
        yield from self._node_faults()
        yield from self._block_faults()
        yield from self._word_faults()
        yield from self._size_faults()
        yield from self._cold_dimm_faults()
        if self.cold_devices:
            yield from cold_device_faults(self)
        series = _SERIES.fullmatch(self.kernel)
        if series is None or (int(series[1]), int(series[2])) < FIRST_SERIES:
            yield Fault("kernel", f"{self.kernel!r} is not a kernel series from 5.15 on, such as '6.1' or '6.12'")
        if not 0 <= self.slots <= _MAX_SLOTS:
            yield Fault("slots", f"{self.slots} is not a number of DIMM slots from 0 to {_MAX_SLOTS}")

    def _block_faults(self) -> Iterator[Fault]:
        pageblock = self.geometry.pageblock_pages * self.page_size
        if not _power_of_two(self.section_size) or not pageblock <= self.section_size <= _MAX_BLOCK_SIZE:
            yield Fault(
                "section_size",
                f"{format_size(self.section_size)} is not a power of two from a pageblock ({format_size(pageblock)})"
                " to 2GiB",
            )
        elif self.built_for.blocks_are_sections and self.block_size not in (0, self.section_size):
            yield Fault(
                "block_size",
                f"{format_size(self.block_size)} is not possible on {self.built_for.name}, where a memory block is a"
                f" section ({format_size(self.section_size)})",
            )
        elif self.block_size and (
            not _power_of_two(self.block_size) or not self.section_size <= self.block_size <= _MAX_BLOCK_SIZE
        ):
            yield Fault(
                "block_size",
                f"{format_size(self.block_size)} is not a power of two from the section size"
                f" ({format_size(self.section_size)}) to 2GiB",
            )

    def _word_faults(self) -> Iterator[Fault]:
        if self.memmap_on_memory not in (False, True, "force"):
            yield Fault("memmap_on_memory", f"{self.memmap_on_memory!r} is none of false, true and 'force'")
        if self.swiotlb is not None and swiotlb.parse(self.swiotlb) is None:
            yield Fault(
                "swiotlb",
                f"{self.swiotlb!r} is not slots of 2KiB, areas, 'force' or 'noforce', such as '65536,noforce'",
            )
        for name in ("kernelcore_percent", "movablecore_percent"):
            if not 0 <= getattr(self, name) <= _HUNDRED:
                yield Fault(name, f"{getattr(self, name)} is not a percentage from 0 to {_HUNDRED}")
            elif getattr(self, name) and getattr(self, name.removesuffix("_percent")):
                yield Fault(name, f"{name.removesuffix('_percent')} is given too; keep one")
        for name in ("cma_base", "cma_limit"):
            if getattr(self, name) and not self.cma:
                yield Fault(name, "needs cma, the size of the area")
        if not 0 <= self.firmware_pages <= _MOST_FIRMWARE_PAGES:
            yield Fault(
                "firmware_pages", f"{self.firmware_pages} is not a number of pages up to {_MOST_FIRMWARE_PAGES}"
            )

    def _size_faults(self) -> Iterator[Fault]:
        for name in ("kernelcore", "movablecore", "cma", "crashkernel", "log_buf_len", "mem", "max_ram_below_4g"):
            size: int = getattr(self, name)
            if size < 0 or size % self.page_size:
                yield Fault(name, self._no_pages(size))
            elif size and name in _LIMITS:
                if not _LEAST_LOW_MEMORY <= size <= _LIMITS[name]:
                    low, high = format_size(_LEAST_LOW_MEMORY), format_size(_LIMITS[name])
                    yield Fault(name, f"{format_size(size)} is not 0 (not given) or a size from {low} to {high}")
            elif 0 < self.boot_memory < size:
                yield Fault(
                    name, f"{format_size(size)} are more than the boot memory ({format_size(self.boot_memory)})"
                )
        for name in ("soft_reserved", "reserved"):
            for number, (start, size) in enumerate(getattr(self, name)):
                if start < 0 or size <= 0 or (start | size) % self.page_size:
                    yield Fault(
                        f"{name}[{number}]",
                        f"{format_size(size)} at {start:#x} are not whole pages of {format_size(self.page_size)}",
                    )
        if self.max_memory is not None and not self.boot_memory <= self.max_memory <= MEMORY_LIMIT:
            yield Fault(
                "max_memory",
                f"{format_size(self.max_memory)} is not between the boot memory"
                f" ({format_size(self.boot_memory)}) and 64TiB",
            )

    def _cold_dimm_faults(self) -> Iterator[Fault]:
        if self.cold_dimms and not self.built_for.dimms:
            yield Fault("cold_dimms", f"machines of {self.built_for.name} have no DIMMs: leave it out")
            return
        unit = self.built_for.device_align
        for number, dimms in enumerate(self.cold_dimms):
            key = f"cold_dimms[{number}]"
            if dimms.size <= 0 or dimms.size % unit:
                yield Fault(f"{key}.size", f"{format_size(dimms.size)} is not one or more times {format_size(unit)}")
            if not 0 <= dimms.node < len(self.nodes):
                yield Fault(f"{key}.node", f"there is no node {dimms.node}; the last one is {len(self.nodes) - 1}")
            if dimms.count < 1:
                yield Fault(f"{key}.count", f"{dimms.count} is not a number of DIMMs, one at least")
        count = sum(dimms.count for dimms in self.cold_dimms)
        if count > max(0, self.slots):
            yield Fault("cold_dimms", f"{count} DIMMs are more than the machine's slots, {self.slots}")
        memory = self.boot_memory + sum(dimms.count * dimms.size for dimms in self.cold_dimms)
        if self.max_memory is not None and self.boot_memory <= self.max_memory < memory:
            yield Fault("cold_dimms", f"with them there are {format_size(memory)}, more than max_memory")

    def _state_or_layout_faults(self) -> Iterator[Fault]:
        return self._layout_faults() if self.state is None else state_faults(self, self.state)

    def _layout_faults(self) -> Iterator[Fault]:
        """Yield what shows only once boot memory is laid out, which takes a machine without other faults."""
        ranges = present_ranges(self)
        if not ranges:
            key = next((name for name in ("soft_reserved", "reserved") if getattr(self, name)), "nodes")
            yield Fault(key, "leaves no boot memory beside what firmware keeps; a kernel needs some to boot")
            return
        taking = next((name for name in ("soft_reserved", "reserved") if getattr(self, name)), None)
        low = self.geometry.pages(self.built_for.ram_start + HIGH_MEMORY)
        left = sum(max(0, min(part.end, low) - part.start) for part in ranges) * self.page_size
        if taking and left < _LEAST_LOW_MEMORY:
            yield Fault(
                taking,
                f"leaves {format_size(left)} of the first 4GiB of memory; a kernel needs at least"
                f" {format_size(_LEAST_LOW_MEMORY)} there",
            )
            return
        told = firmware_leaves(self)
        for number, (address, size) in enumerate(self.soft_reserved):
            first, behind = self.geometry.pages(address), self.geometry.pages(address + size)
            if all(part.end <= first or behind <= part.start for part in told):
                last = told[-1].end * self.page_size
                what = f"{format_size(size)} at {address:#x} are no boot memory, which ends at {last:#x}"
                yield Fault(f"soft_reserved[{number}]", what)
        areas = cma_areas(self, ranges)
        if areas is None:
            free = format_size(largest_area(self, ranges) * self.page_size)
            there = " there" if self.cma_limit else ""
            yield Fault(
                "cma",
                f"{format_size(self.cma)} do not fit{there}: an area lies in one piece in one zone, and the largest"
                f" that the kernel leaves free has {free}",
            )
            return
        area = crossing(areas, zones_at_boot(self, ranges))
        if area is not None:
            start, end = (format_size(page * self.page_size) for page in (area.start, area.end))
            yield Fault(
                "cma",
                f"the area would lie from {start} to {end}, where kernelcore or movablecore has a zone begin; the"
                " kernel cannot use an area of two zones",
            )

    def _no_pages(self, size: int) -> str:
        near = f"; {nearest(size, self.page_size)}" if size > 0 else ""
        return f"{size} bytes are not a number of whole pages of {format_size(self.page_size)}{near}"

    def _node_faults(self) -> Iterator[Fault]:
        if not 0 < len(self.nodes) <= MOST_NODES:
            yield Fault("nodes", f"a machine has 1 to {MOST_NODES} nodes, not {len(self.nodes)}")
            return
        for number, node in enumerate(self.nodes):
            if node.boot_memory < 0 or node.boot_memory % self.page_size:
                yield Fault(f"nodes[{number}].boot_memory", self._no_pages(node.boot_memory))
        if self.boot_memory <= 0:
            yield Fault("nodes", "no node has boot memory; a kernel needs some to boot")
        elif self.boot_memory > MEMORY_LIMIT:
            yield Fault(
                "nodes", f"boot memory of {format_size(self.boot_memory)} is more than x86-64 addresses (64TiB)"
            )


def _power_of_two(size: int) -> bool:
    return size > 0 and size & (size - 1) == 0
