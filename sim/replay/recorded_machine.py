"""The machine that a recording was made on, from what it says of it: not from what the kernel found when it booted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sim.faults import InputError
from sim.machine.address_map import firmware_pages
from sim.machine.spec import MachineSpec, NodeSpec
from sim.replay.trace_format import TraceError
from sim.units import parse_size

if TYPE_CHECKING:
    from sim.replay.trace_format import Trace

_SIZE_WORDS: Final = ("kernelcore", "movablecore", "cma", "mem", "crashkernel", "log_buf_len")

_SOFT_RESERVED = re.compile(r"(?P<size>\w+)%(?P<start>\w+)-1\+0xefffffff")
"""Memory that is turned into soft-reserved memory, E820 type 0xefffffff, from ordinary memory, type 1."""

_WITHOUT_ZONE_DMA: Final = "cma"
"""The recorded series that was built without CONFIG_ZONE_DMA."""


def recorded_machine(trace: Trace) -> MachineSpec:
    """Return the machine: its nodes and options, and the words of its kernel's command line that matter to memory.

    QEMU was started with NVDIMM support where a step makes a dax device, and with a disk where the guest was put under
    load. Raises TraceError where it could not boot.
    """
    words = trace.kernel_cmdline.split()
    memory = {node.nid: node.boot_memory for node in trace.machine.nodes}
    nodes = tuple(NodeSpec(memory.get(node, 0)) for node in range(max(memory) + 1))
    boot_memory = sum(node.boot_memory for node in nodes)
    values = dict(word.partition("=")[::2] for word in words if "=" in word)
    try:
        sizes: dict[str, Any] = {name: _size(name, values[name]) for name in _SIZE_WORDS if name in values}
        return MachineSpec(
            nodes,
            section_size=trace.section_size,
            kernel="{}.{}".format(*trace.series),
            movable_node="movable_node" in words,
            soft_reserved=tuple(
                (_bytes(found["start"]), _bytes(found["size"]))
                for word in words
                if word.startswith("memmap=")
                for found in map(_SOFT_RESERVED.fullmatch, word.removeprefix("memmap=").split(","))
                if found is not None
            ),
            swiotlb="noforce" if values.get("swiotlb") == "noforce" else None,
            zone_dma=trace.kernel_series != _WITHOUT_ZONE_DMA,
            slots=trace.machine.slots,
            max_memory=max(boot_memory, trace.machine.max_memory),
            firmware_pages=firmware_pages(
                boot_memory, nvdimm=any(step.op == "add_dax" for step in trace.steps), virtio_disks=int(trace.load)
            ),
            memmap_on_memory=trace.policy.memmap_on_memory,
            **sizes,
        )
    except InputError as error:
        raise TraceError(f"{trace.name}: {error}") from error
    except ValueError as error:
        raise TraceError(f"{trace.name}: kernel_cmdline: {error}") from error


def _size(name: str, text: str) -> int:
    """Return what a word of the command line gives as a size. Raises ValueError, with the word, for what is none.

    The kernel knows more: shares of memory (``kernelcore=50%``) and places (``cma=64M@0-4G``) are not read.
    """
    try:
        return _bytes(text)
    except ValueError as error:
        raise ValueError(f"{name}={text}: {error}") from error


def _bytes(text: str) -> int:
    """Return a size as the kernel reads it (``memparse``): a number, in hexadecimal too, and a unit."""
    return int(text, 16) if text.startswith("0x") else parse_size(text)
