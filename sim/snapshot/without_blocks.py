"""A machine of which no file lists the memory blocks: it starts from boot, as its host or its totals have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.devices.specs import DaxSpec
from sim.faults import Fault, InputError
from sim.machine.address_map import device_base
from sim.machine.boot_layout import lay_out
from sim.machine.spec import NodeSpec
from sim.machine.state import BlockRun, MachineState
from sim.memory.zones import ZONE_DMA, ZONE_LABELS, ZONE_MOVABLE
from sim.snapshot.account import Assumed
from sim.snapshot.block_zones import movable_bytes
from sim.snapshot.boot_blocks import low_memories
from sim.snapshot.draft import SOURCE
from sim.snapshot.guest_figures import figures, known_boot_memory, likely_boot_memory
from sim.snapshot.host_side import placed
from sim.snapshot.kernel_facts import crash_kernel, read_command_line
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.devices.specs import DeviceSpec
    from sim.machine.spec import MachineSpec
    from sim.readers.facts import ZoneView
    from sim.snapshot.draft import Draft
    from sim.snapshot.evidence import Said

ZONES_UNKNOWN: Final = (
    "in which zones the memory of the devices is: no file lists the blocks. A run starts from boot with the devices"
    " attached, and its policy decides. lsmem --output-all of the guest would tell"
)
"""What is not known of a machine that starts from boot with its devices."""

_DMA: Final = ZONE_LABELS[ZONE_DMA]


def without_blocks(draft: Draft) -> MachineSpec:
    """Return the machine that the files tell of without listing its blocks."""
    evidence, host = draft.evidence, draft.host
    size = evidence.one("block_size", "memory block size", format_size)
    if size is not None:
        draft.fields["block_size"] = size.value
        evidence.take(f"memory blocks of {format_size(size.value)}", size)
    nodes = _boot_nodes(draft)
    boot_memory = sum(node.boot_memory for node in nodes)
    read_command_line(draft.kernel, boot_memory, evidence)
    draft.bare_metal()
    if draft.kernel.built_for.pc_layout and host is not None:
        low = low_memories(boot_memory, host.machine_type)[0]
        if low:
            draft.fields["max_ram_below_4g"] = low
    plain = draft.machine(nodes)
    zones = evidence.zones()
    if host is not None and host.devices:
        return _with_devices(draft, plain, nodes, zones)
    draft.limits(boot_memory, ())
    if zones is not None and movable_bytes(zones.value, draft.kernel.page_size) and not draft.kernel.movable_at_boot:
        return _with_movable(draft, plain, nodes, zones)
    return draft.machine(nodes)


def _boot_nodes(draft: Draft) -> list[NodeSpec]:
    """Return the nodes with their boot memory, by the best that there is. Raises InputError where nothing tells."""
    evidence, host = draft.evidence, draft.host
    if draft.wishes.boot_memory is not None:
        return draft.host_nodes(draft.wishes.boot_memory)
    if host is not None and host.boot_memory is not None:
        evidence.take(f"boot memory {format_size(host.boot_memory.value)}", host.boot_memory)
        return draft.host_nodes(host.boot_memory.value)
    listed = next((said for said in evidence.all("nodes") if any(node.listed for node in said.value)), None)
    logged, zones, found = evidence.first("memory_known"), evidence.zones(), figures(evidence)
    if listed is not None:
        said, sizes = listed, {node.node: known_boot_memory(node.listed or 0) for node in listed.value}
        why = "round numbers for what firmware told the kernel"
    elif logged is not None:
        said, sizes = logged, {0: known_boot_memory(logged.value)}
        why = f"a round number for the {format_size(logged.value)} that the kernel counts"
    elif zones is not None and (by_zones := _by_zones(draft, zones.value)):
        said, sizes = zones, by_zones
        why = "a round number for the pages of all kernel zones, as if none of them was added"
    elif found is not None:
        kept = crash_kernel(draft.kernel, likely_boot_memory(found.mem_total), evidence)
        said, sizes = found.said, {0: likely_boot_memory(found.mem_total + kept)}
        why = f"a round number for MemTotal {format_size(found.mem_total)}, as if nothing was added"
    else:
        what = "do not say how much boot memory there is: say it with --boot-memory SIZE, or add lsmem's output"
        raise InputError(SOURCE, [*evidence.faults, Fault("", what)])
    nodes = [NodeSpec(sizes.get(node, 0)) for node in range(1 + max(sizes))]
    amounts = " + ".join(format_size(node.boot_memory) for node in nodes)
    evidence.account.assumed.append(Assumed(f"boot memory {amounts}: {why} ({said.source})", "--boot-memory SIZE"))
    return nodes


def _by_zones(draft: Draft, zones: Sequence[ZoneView]) -> dict[int, int]:
    """Return a round number of bytes for the kernel zones of each node."""
    kernel = draft.kernel
    pages = dict.fromkeys((zone.node for zone in zones), 0)
    for zone in zones:
        if zone.zone != ZONE_LABELS[ZONE_MOVABLE]:
            pages[zone.node] += zone.present or zone.spanned or 0
    if any(pages.values()) and kernel.built_for.isa_dma and not any(zone.zone == _DMA for zone in zones):
        pages[min(pages)] += kernel.built_for.dma_end // kernel.page_size  # it is left out of the text, not missing
    return {node: known_boot_memory(count * kernel.page_size) for node, count in pages.items() if count}


def _with_devices(draft: Draft, plain: MachineSpec, nodes: Sequence[NodeSpec], zones: Said | None) -> MachineSpec:
    """Return a machine that boots with its devices, as nothing says in which zones their blocks are."""
    assert draft.host is not None  # noqa: S101  whoever calls has looked
    evidence, account = draft.evidence, draft.evidence.account
    devices = placed(draft.host, plain, evidence, linux_nodes=False)
    evidence.faults.raise_if_any(SOURCE)
    draft.limits(plain.boot_memory, [spec for spec, _ in devices])
    kept: list[DeviceSpec] = []
    for spec, device in devices:
        if not isinstance(spec, DaxSpec):
            kept.append(spec)
            evidence.took(f"{device.facts.kind} {spec.id}", device.file, device.facts.where)
            continue
        what = f"whether {spec.id} adds memory to the guest: it is left out, with its part of maxMemory"
        account.unknown.append(what)
        if "max_memory" in draft.fields:
            draft.fields["max_memory"] -= spec.size
    account.unknown.append(ZONES_UNKNOWN)
    if zones is not None:
        account.unknown.append(f"what of it the zones in {zones.source} are: their totals are not used")
    return draft.machine(nodes, cold_devices=tuple(kept))


def _with_movable(draft: Draft, plain: MachineSpec, nodes: Sequence[NodeSpec], zones: Said) -> MachineSpec:
    """Return a machine to which memory in ZONE_MOVABLE was added, as the totals of its zones have it."""
    evidence, page = draft.evidence, draft.kernel.page_size
    block_size = plain.block_size
    label = ZONE_LABELS[ZONE_MOVABLE]
    added = [zone for zone in zones.value if zone.zone == label and zone.present]
    total = movable_bytes(zones.value, page)
    if any(zone.present * page % block_size for zone in added):
        draft.fields["movablecore"] = total
        what = f"ZONE_MOVABLE of {format_size(total)} is boot memory: it is not a number of whole memory blocks"
        evidence.account.assumed.append(Assumed(what, "add lsmem's output"))
        boot_memory = plain.boot_memory + total
        return draft.machine([NodeSpec(boot_memory)])
    if "block_size" not in draft.fields:
        what = f"memory blocks of {format_size(block_size)}"
        evidence.account.assumed.append(Assumed(what, "add lsmem's output"))
        draft.fields["block_size"] = block_size
    layout = lay_out(plain)
    runs = [BlockRun(run.first, run.blocks, run.node, run.zone, boot=True) for run in layout.boot.runs]
    free = max(device_base(plain) // block_size, runs[-1].end)
    for zone in added:
        blocks = zone.present * page // block_size
        exact = zone.start is not None and zone.spanned == zone.present and not zone.start * page % block_size
        first = max(free, zone.start * page // block_size if exact else free)
        runs.append(BlockRun(first, blocks, zone.node, ZONE_MOVABLE, boot=False))
        free = first + blocks
    evidence.take(f"{format_size(total)} in ZONE_MOVABLE", zones)
    evidence.account.assumed.append(
        Assumed(
            f"{format_size(total)} in ZONE_MOVABLE were added after boot, without a device, above boot memory",
            "add lsmem's output, or a file of the host",
        )
    )
    most = max(run.node for run in runs)
    all_nodes = [*nodes, *(NodeSpec(0) for _ in range(len(nodes), most + 1))]
    return draft.machine(all_nodes, state=MachineState(tuple(runs)))
