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
from sim.units import GIB, MEMORY_LIMIT, MIB, MOST_NODES, PAGE_SIZE, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_BLOCK_SIZE: Final = 2 * GIB
_MAX_SLOTS: Final = 4096  # far beyond any VMM, so that a limit of the guest can be looked for behind the machine's
_FIRST_SERIES: Final = (5, 15)
_SERIES = re.compile(r"(\d{1,3})\.(\d{1,3})")


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A NUMA node with ``boot_memory`` bytes of early memory (0: a node that gets memory only by hotplug)."""

    boot_memory: int


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A guest machine at boot. All sizes in bytes.

    ``block_size`` is the memory block, ``section_size`` the sparse-memory section; ``kernel`` the series (``"6.1"``);
    ``kernelcore``, ``movablecore``, ``movable_node``, ``cma``, ``swiotlb``, ``crashkernel`` and ``log_buf_len`` the
    boot parameters of these names (0, False or None: not given); ``slots`` the DIMM slots; ``max_memory`` the most that
    boot memory and devices may add up to, None for no limit of its own; ``memmap_on_memory`` the parameter of that name
    (False, True or ``"force"``).

    Raises InputError with all faults; the key of each is the field's name.
    """

    nodes: tuple[NodeSpec, ...]
    block_size: int = 128 * MIB
    section_size: int = 128 * MIB
    kernel: str = "6.1"
    kernelcore: int = 0
    movablecore: int = 0
    movable_node: bool = False
    cma: int = 0
    swiotlb: Literal["noforce"] | None = None
    crashkernel: int = 0
    log_buf_len: int = 0
    slots: int = MOST_DIMM_SLOTS
    max_memory: int | None = None
    memmap_on_memory: bool | Literal["force"] = False

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise InputError("machine", faults)

    @property
    def boot_memory(self) -> int:
        """Bytes of early memory on all nodes."""
        return sum(node.boot_memory for node in self.nodes)

    @property
    def can_grow(self) -> bool:
        """Whether anything can be plugged in, which makes firmware tell of an area for it above 4 GiB."""
        return self.max_memory is None or self.max_memory > self.boot_memory

    @property
    def kernel_series(self) -> tuple[int, int]:
        """The kernel series as numbers, to compare: ``"6.12"`` is (6, 12), later than (6, 6)."""
        major, _, minor = self.kernel.partition(".")
        return int(major), int(minor)

    def _faults(self) -> Iterator[Fault]:
        yield from self._node_faults()
        if not _power_of_two(self.section_size) or not PAGE_SIZE <= self.section_size <= _MAX_BLOCK_SIZE:
            yield Fault("section_size", f"{format_size(self.section_size)} is not a power of two up to 2GiB")
        elif not _power_of_two(self.block_size) or not self.section_size <= self.block_size <= _MAX_BLOCK_SIZE:
            yield Fault(
                "block_size",
                f"{format_size(self.block_size)} is not a power of two from the section size"
                f" ({format_size(self.section_size)}) to 2GiB",
            )
        series = _SERIES.fullmatch(self.kernel)
        if series is None or (int(series[1]), int(series[2])) < _FIRST_SERIES:
            yield Fault("kernel", f"{self.kernel!r} is not a kernel series from 5.15 on, such as '6.1' or '6.12'")
        if not 0 <= self.slots <= _MAX_SLOTS:
            yield Fault("slots", f"{self.slots} is not a number of DIMM slots from 0 to {_MAX_SLOTS}")
        yield from self._word_faults()
        for name in ("kernelcore", "movablecore", "cma", "crashkernel", "log_buf_len"):
            size: int = getattr(self, name)
            if size < 0 or size % PAGE_SIZE:
                yield Fault(name, f"{size} bytes are not a number of whole pages of 4KiB")
            elif 0 < self.boot_memory < size:
                yield Fault(
                    name, f"{format_size(size)} are more than the boot memory ({format_size(self.boot_memory)})"
                )
        if self.max_memory is not None and not self.boot_memory <= self.max_memory <= MEMORY_LIMIT:
            yield Fault(
                "max_memory",
                f"{format_size(self.max_memory)} is not between the boot memory"
                f" ({format_size(self.boot_memory)}) and 64TiB",
            )

    def _word_faults(self) -> Iterator[Fault]:
        if self.memmap_on_memory not in (False, True, "force"):
            yield Fault("memmap_on_memory", f"{self.memmap_on_memory!r} is none of false, true and 'force'")
        if self.swiotlb not in (None, "noforce"):
            yield Fault("swiotlb", f"{self.swiotlb!r} is not 'noforce', the only word of swiotlb= that is modelled")

    def _node_faults(self) -> Iterator[Fault]:
        if not 0 < len(self.nodes) <= MOST_NODES:
            yield Fault("nodes", f"a machine has 1 to {MOST_NODES} nodes, not {len(self.nodes)}")
            return
        for number, node in enumerate(self.nodes):
            if node.boot_memory < 0 or node.boot_memory % PAGE_SIZE:
                yield Fault(
                    f"nodes[{number}].boot_memory", f"{node.boot_memory} bytes are not a number of whole pages of 4KiB"
                )
        if self.boot_memory <= 0:
            yield Fault("nodes", "no node has boot memory; a kernel needs some to boot")
        elif self.boot_memory > MEMORY_LIMIT:
            yield Fault(
                "nodes", f"boot memory of {format_size(self.boot_memory)} is more than x86-64 addresses (64TiB)"
            )


def _power_of_two(size: int) -> bool:
    return size > 0 and size & (size - 1) == 0
