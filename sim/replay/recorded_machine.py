"""The machine that a recording was made on, from what it says of it: not from what the kernel found when it booted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.faults import InputError
from sim.machine import cmdline
from sim.machine.address_map import firmware_pages
from sim.machine.spec import MachineSpec, NodeSpec
from sim.replay.trace_format import TraceError

if TYPE_CHECKING:
    from sim.replay.trace_format import Trace

_WITHOUT_ZONE_DMA: Final = "cma"
"""The recorded series that was built without CONFIG_ZONE_DMA."""


def recorded_machine(trace: Trace) -> MachineSpec:
    """Return the machine: its nodes and options, and the words of its kernel's command line that matter to memory.

    QEMU was started with NVDIMM support where a step makes a dax device, and with a disk where the guest was put under
    load. Raises TraceError where it could not boot.
    """
    memory = {node.nid: node.boot_memory for node in trace.machine.nodes}
    nodes = tuple(NodeSpec(memory.get(node, 0)) for node in range(max(memory) + 1))
    boot_memory = sum(node.boot_memory for node in nodes)
    said = cmdline.read(trace.kernel_cmdline, boot_memory=boot_memory, series=trace.series)
    unread = [remark for remark in said.remarks if remark.word.partition("=")[0] in cmdline.MACHINE_FIELDS]
    if unread:
        raise TraceError(f"{trace.name}: kernel_cmdline: {unread[0].word}: {unread[0].what}")
    try:
        return MachineSpec(
            nodes,
            section_size=trace.section_size,
            kernel="{}.{}".format(*trace.series),
            zone_dma=trace.kernel_series != _WITHOUT_ZONE_DMA,
            slots=trace.machine.slots,
            max_memory=max(boot_memory, trace.machine.max_memory),
            firmware_pages=firmware_pages(
                boot_memory, nvdimm=any(step.op == "add_dax" for step in trace.steps), virtio_disks=int(trace.load)
            ),
            **{**said.machine, "memmap_on_memory": trace.policy.memmap_on_memory},
        )
    except InputError as error:
        raise TraceError(f"{trace.name}: {error}") from error
