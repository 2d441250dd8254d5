"""A machine that is being put together: what is known of it so far, and what is shared by the ways to get on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sim.devices.specs import MOST_DIMM_SLOTS, span
from sim.faults import InputError
from sim.machine.spec import MachineSpec, NodeSpec
from sim.snapshot.account import Assumed
from sim.units import MEMORY_LIMIT, format_size, parse_series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.devices.specs import DeviceSpec
    from sim.snapshot.evidence import Evidence
    from sim.snapshot.host_side import HostSide
    from sim.snapshot.kernel_facts import KernelFacts
    from sim.snapshot.wishes import Wishes

SOURCE: Final = "these files together"
"""What faults are of that no single file has."""


@dataclass(slots=True)
class Draft:
    """``fields`` are those of :class:`sim.machine.spec.MachineSpec` that are settled, beside nodes and state."""

    evidence: Evidence
    wishes: Wishes
    kernel: KernelFacts
    host: HostSide | None
    fields: dict[str, Any] = field(default_factory=dict)

    def machine(self, nodes: Sequence[NodeSpec], **more: Any) -> MachineSpec:  # noqa: ANN401  fields of MachineSpec
        """Return a machine of these ``nodes``. Raises InputError, as of the files together."""
        kernel = self.kernel
        fields = {**kernel.read.machine, **kernel.machine, **self.fields, **more}
        block_size = fields.get("block_size")
        section = kernel.built_for.section_size(kernel.page_size, parse_series(kernel.series))
        if block_size and (block_size < section or kernel.built_for.blocks_are_sections):
            fields["section_size"] = block_size
        try:
            return MachineSpec(
                nodes=tuple(nodes),
                kernel=kernel.series,
                architecture=kernel.architecture,
                page_size=kernel.page_size,
                **fields,
            )
        except InputError as error:
            # The section is set for the sake of the block, which is what files tell of.
            faults = [replace(fault, key=fault.key.replace("section_size", "memory block")) for fault in error.faults]
            raise InputError(SOURCE, [*self.evidence.faults, *faults]) from error

    def host_nodes(self, boot_memory: int) -> list[NodeSpec]:
        """Return the nodes that the host describes: its cells, or a single one with all boot memory."""
        cells = () if self.host is None else self.host.cells
        known = {cell.node: cell for cell in cells}
        if not cells or sum(cell.boot_memory or 0 for cell in cells) != boot_memory:
            return [NodeSpec(boot_memory)]
        return [
            NodeSpec(known[node].boot_memory or 0, known[node].cpus) if node in known else NodeSpec(0, cpus=False)
            for node in range(1 + max(known))
        ]

    def bare_metal(self) -> None:
        """Settle whether it is a virtual machine."""
        said = self.evidence.one("bare_metal", "bare metal", prefer=())
        if said is None:
            self.evidence.account.assumed.append(
                Assumed("it is a virtual machine", "bare_metal = true in [[machines]]")
            )
            return
        self.evidence.take("it is bare metal" if said.value else "it is a virtual machine", said)
        if said.value:
            self.fields["bare_metal"] = True

    def limits(self, boot_memory: int, devices: Iterable[DeviceSpec], *, believed: bool = True) -> None:
        """Settle how much there may be at most, and how many slots. ``believed``: whether the host's word counts."""
        evidence, account = self.evidence, self.evidence.account
        most = evidence.one("max_memory", "maxMemory", format_size) if believed else None
        slots = evidence.one("slots", "slots") if believed else None
        there = boot_memory + sum(map(span, devices))
        if most is None:
            silent = next(evidence.all("boot_memory"), None) if believed else None
            nothing = "" if silent is None else f"; as {silent.facts.file} gives none, the host plugs nothing as it is"
            account.assumed.append(Assumed(f"no limit on what may be plugged{nothing}", "max_memory in [[machines]]"))
        elif most.value < there:
            account.conflicts.append(
                f"{most.source}: {format_size(most.value)} are less than boot memory and devices, {format_size(there)}:"
                " no host starts such a machine. The latter is taken, so that nothing more can be plugged"
            )
            self.fields["max_memory"] = there
        elif most.value > MEMORY_LIMIT:
            self.fields["max_memory"] = MEMORY_LIMIT
            evidence.take(
                f"at most {format_size(MEMORY_LIMIT)}, as far as is modelled, of {format_size(most.value)}", most
            )
        else:
            self.fields["max_memory"] = most.value
            evidence.take(f"at most {format_size(most.value)}", most)
        if slots is not None:
            self.fields["slots"] = slots.value
            evidence.take(f"{slots.value} DIMM slots", slots)
        elif self.kernel.built_for.dimms:
            account.assumed.append(
                Assumed(f"{MOST_DIMM_SLOTS} DIMM slots, as many as QEMU has", "slots in [[machines]]")
            )
