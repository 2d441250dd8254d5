"""A machine whose memory blocks are listed: it starts from the state that they show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.devices.specs import DaxSpec, VirtioMemSpec
from sim.machine.address_map import boot_block_nodes
from sim.machine.spec import MachineSpec, NodeSpec
from sim.machine.state import AttachedDevice, BlockRun, MachineState, ZoneBounds, joined
from sim.machine.state_plugged import piece_on
from sim.memory.zones import NR_ZONES, ZONE_DMA, ZONE_LABELS, ZONE_MOVABLE
from sim.readers.facts import HOST_KINDS
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.account import Assumed
from sim.snapshot.block_map import shown_blocks
from sim.snapshot.block_zones import Spans, places, zone_number
from sim.snapshot.boot_blocks import (
    Split,
    blocks_of,
    low_memories,
    split_by_host,
    split_without_host,
)
from sim.snapshot.draft import SOURCE
from sim.snapshot.kernel_facts import read_command_line
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.readers.facts import ZoneView
    from sim.snapshot.block_map import BlockMap
    from sim.snapshot.block_zones import Place
    from sim.snapshot.draft import Draft
    from sim.snapshot.evidence import Evidence, Said
    from sim.snapshot.host_side import HostSide


def from_blocks(draft: Draft, blocks: BlockMap) -> MachineSpec:
    """Return the machine whose ``blocks`` are listed, with its state."""
    evidence = draft.evidence
    draft.fields["block_size"] = blocks.block_size
    amount = _amount(draft, blocks)
    kernel_zones = sum(block.online and block.zone != ZONE_MOVABLE for block in blocks.blocks.values())
    read_command_line(draft.kernel, amount or kernel_zones * blocks.block_size, evidence)
    split = None if amount is None or draft.host is None else _split_by_host(draft, draft.host, blocks, amount)
    believed = split is not None
    if split is None:
        split = split_without_host(
            blocks,
            evidence,
            boot_memory=draft.wishes.boot_memory,
            movable_at_boot=draft.kernel.movable_at_boot,
        )
    said = evidence.zones()
    zones = () if said is None else said.value
    where = places(
        blocks,
        split,
        Spans.of(zones, draft.kernel.page_size),
        split.nodes,
        draft.kernel.built_for,
        evidence,
        added_zone=draft.wishes.zone,
    )
    if not any(where[block].state not in (NR_ZONES, ZONE_MOVABLE) for block in split.boot & where.keys()):
        evidence.faults.add(
            "no block that is online in a kernel zone is left for boot memory, and a kernel runs in some: say with"
            " --boot-memory SIZE how much was there at boot"
        )
    evidence.faults.raise_if_any(SOURCE)
    known: list[list[int]] = [] if draft.wishes.boot_memory is None else [[draft.wishes.boot_memory]]
    if believed and amount is not None:
        known = [[node.boot_memory for node in draft.host_nodes(amount)], [amount]]
    nodes = _nodes(draft, split, where, blocks.block_size, known)
    boot_memory = sum(node.boot_memory for node in nodes)
    draft.bare_metal()
    draft.limits(boot_memory, [spec for spec, _ in split.devices], believed=believed)
    low_memory = split.low_memory or _low_memory(draft, nodes, split, blocks.block_size)
    if low_memory:
        draft.fields["max_ram_below_4g"] = low_memory
    runs = _runs(where, split)
    devices = _devices(draft, split, where, blocks, nodes)
    state = MachineState(runs, _zone_bounds(draft, runs, blocks), tuple(devices))
    return draft.machine(nodes, state=state)


def _low_memory(draft: Draft, nodes: Sequence[NodeSpec], split: Split, block_size: int) -> int:
    """Return with how much memory below 4 GiB QEMU has boot memory in just these blocks; 0 for pc's, or none."""
    if not draft.kernel.built_for.pc_layout:
        return 0
    for low_memory in low_memories(sum(node.boot_memory for node in nodes), None):
        if boot_block_nodes(draft.machine(nodes, max_ram_below_4g=low_memory), block_size).keys() == split.boot:
            return low_memory
    return 0


def _amount(draft: Draft, blocks: BlockMap) -> int | None:
    """Return how much boot memory there is, where somebody says so or devices show it."""
    host = draft.host
    if draft.wishes.boot_memory is not None or host is None:
        return draft.wishes.boot_memory
    if host.boot_memory is not None:
        return int(host.boot_memory.value)
    addresses = [device.facts.address for device in host.devices if device.facts.address is not None]
    if not addresses:
        return None
    amount = sum(block * blocks.block_size < min(addresses) for block in blocks.blocks) * blocks.block_size
    draft.evidence.account.assumed.append(
        Assumed(
            f"boot memory {format_size(amount)}: all blocks below the devices, the first of which is at"
            f" {min(addresses):#x}",
            "--boot-memory SIZE",
        )
    )
    return amount or None


def _split_by_host(draft: Draft, host: HostSide, blocks: BlockMap, amount: int) -> Split | None:
    def machine(low_memory: int) -> MachineSpec:
        return draft.machine(draft.host_nodes(amount), max_ram_below_4g=low_memory)

    split = split_by_host(blocks, host, amount, machine, draft.evidence)
    if split is not None and host.boot_memory is not None and amount == host.boot_memory.value:
        draft.evidence.take(f"boot memory {format_size(amount)}", host.boot_memory)
    return split


def _nodes(
    draft: Draft, split: Split, where: Mapping[int, Place], block_size: int, known: Sequence[Sequence[int]]
) -> list[NodeSpec]:
    """Return the nodes by Linux's numbers, each with the boot memory of its blocks.

    ``known`` has what somebody says of it instead, in the order of nodes: the first that can be it is taken.
    """
    has_cpus = {
        node.node: node.cpus for each in draft.evidence.facts if each.kind not in HOST_KINDS for node in each.nodes
    }
    used = {place.node for place in where.values()} | {spec.node for spec, _ in split.devices} | has_cpus.keys()
    sizes = [0] * (1 + max(used, default=0))
    for block in split.boot & where.keys():
        sizes[where[block].node] += block_size
    with_memory = [node for node, size in enumerate(sizes) if size]
    for amounts in ([amount for amount in each if amount] for each in known):
        # A block may hold less than its size, or be of two nodes, and then whoever knows the amounts is right.
        if len(amounts) == len(with_memory) and all(
            len(amounts) == 1 or abs(sizes[node] - amount) <= 2 * block_size
            for node, amount in zip(with_memory, amounts, strict=True)
        ):
            for node, amount in zip(with_memory, amounts, strict=True):
                sizes[node] = amount
            break
    return [NodeSpec(size, has_cpus.get(node)) for node, size in enumerate(sizes)]


def _runs(where: Mapping[int, Place], split: Split) -> tuple[BlockRun, ...]:
    return joined(
        BlockRun(block, 1, place.node, place.state, block in split.boot) for block, place in sorted(where.items())
    )


def _devices(
    draft: Draft, split: Split, where: Mapping[int, Place], blocks: BlockMap, nodes: Sequence[NodeSpec]
) -> list[AttachedDevice]:
    """Return the devices that are attached, on the nodes of their blocks, with what of them is plugged."""
    account = draft.evidence.account
    plain = draft.machine(nodes)
    attached = []
    for spec, device in split.devices:
        own = [where[block] for block in blocks_of(spec, blocks.block_size) if block in where]
        on = {place.node for place in own}
        if len(on) == 1 and on != {spec.node}:
            node = on.pop()
            account.conflicts.append(
                f"{spec.id} is on node {device.facts.node} ({device.file}) and its blocks are on node {node}. The"
                " blocks are believed"
            )
            spec = replace(spec, node=node)  # noqa: PLW2901  the same device
        draft.evidence.took(f"{device.facts.kind} {spec.id}", device.file, device.facts.where)
        plugged = None
        if isinstance(spec, VirtioMemSpec):
            plugged = _plugged(spec, device.facts.plugged, len(own) * blocks.block_size, plain, draft.evidence)
        elif isinstance(spec, DaxSpec) and not own:
            account.unknown.append(f"what the guest makes of {spec.id}: it has no blocks")
        attached.append(AttachedDevice(spec, plugged))
    return attached


def _plugged(
    spec: VirtioMemSpec, plugged: int | None, there: int, machine: MachineSpec, evidence: Evidence
) -> int | None:
    """Return what of a device is plugged, None for all of its blocks."""
    account = evidence.account
    if plugged is None:
        if there:
            account.assumed.append(
                Assumed(
                    f"all of the blocks of {spec.id}, {format_size(there)}, is plugged", "QEMU's info memory-devices"
                )
            )
        return None
    piece = piece_on(spec, machine)
    wrong = None
    if plugged > there:
        wrong = f"the blocks in its region are {format_size(there)}"
    elif plugged % piece.bytes:
        wrong = f"the guest plugs in pieces of {format_size(piece.bytes)}"
    elif there and plugged < there // machine.block_size * piece.bytes:
        wrong = f"each of its blocks, which are {format_size(there)}, has some"
    if wrong is not None:
        account.conflicts.append(
            f"{format_size(plugged)} of {spec.id} are said to be plugged, but {wrong}. All of the blocks is taken as"
            " plugged"
        )
        return None
    if 0 < plugged < there:
        account.unknown.append(
            f"which parts of the blocks of {spec.id} are plugged: {format_size(plugged)} of {format_size(there)}; the"
            " highest are taken as not plugged"
        )
    return plugged


def _zone_bounds(draft: Draft, runs: Sequence[BlockRun], blocks: BlockMap) -> tuple[ZoneBounds, ...]:
    """Return what is known of zones' bounds, if it fits the blocks."""
    evidence, page = draft.evidence, draft.kernel.page_size
    said = evidence.zones()
    if said is None:
        return ()
    odd = (_odd(zone, runs, blocks.block_size, page) for zone in said.value)
    wrong = next(filter(None, odd), None) or _missing(said, runs)
    if wrong is not None:
        evidence.account.conflicts.append(f"{said.source}: {wrong}. The blocks are believed; zones are left out")
        return ()
    bounds = tuple(
        found for zone in said.value if (found := _bounds(zone, runs, draft, blocks.block_size // page)) is not None
    )
    if bounds and any(zone.start is None and zone.present for zone in said.value):
        evidence.take("pages of zones; their bounds are those of the blocks", said)
    elif bounds:
        evidence.take("bounds and pages of zones", said)
    return bounds


def _bounds(zone: ZoneView, runs: Sequence[BlockRun], draft: Draft, pages: int) -> ZoneBounds | None:
    """Return a zone's bounds; those of its blocks, of ``pages`` each, where it does not say. None for an empty one."""
    number = zone_number(zone.zone)
    if number is None or zone.present is None:
        return None
    start, spanned = zone.start, zone.spanned
    if start is None and zone.present:
        own = [run for run in runs if (run.node, run.state) == (zone.node, number)]
        shared = any(run.node == zone.node and run.state == SEVERAL_ZONES and not run.first for run in runs)
        isa = draft.kernel.built_for.dma_end // draft.kernel.page_size if shared else 0
        if number == ZONE_DMA and shared and not own:
            start, end = 1, isa
        elif own:
            start = isa if own[0].first == 1 and shared else own[0].first * pages
            end = own[-1].end * pages
            if any((run.first, run.node, run.state) == (own[-1].end, zone.node, SEVERAL_ZONES) for run in runs):
                end = min(max(end, start + zone.present), end + pages)  # it ends in that block
        else:
            return None
        spanned = end - start
    if start is None or not spanned or spanned < zone.present:
        return None
    return ZoneBounds(zone.node, number, start, spanned, zone.present, zone.managed, zone.cma)


def _missing(said: Said, runs: Sequence[BlockRun]) -> str | None:
    """Return which zone that blocks are in is not among those that are ``said``, None if all are."""
    there = {(zone.node, zone_number(zone.zone)) for zone in said.value}
    for run in runs:
        if run.state not in (NR_ZONES, SEVERAL_ZONES) and (run.node, run.state) not in there:
            name = f"{ZONE_LABELS[run.state]} of node {run.node}"
            return f"{name} is not there, which {shown_blocks(range(run.first, run.end))} are in"
    return None


def _odd(zone: ZoneView, runs: Sequence[BlockRun], block_size: int, page: int) -> str | None:
    """Return why a zone of so many pages cannot be made of these blocks, None if it can.

    It has all that was added to it after boot, and at most all of its blocks and those that zones share.
    """
    number = zone_number(zone.zone)
    if number is None or zone.present is None:
        return None
    on_node = [run for run in runs if run.node == zone.node]
    own = [run for run in on_node if run.state == number]
    least = sum(run.blocks for run in own if not run.boot) * block_size
    most = sum(run.blocks for run in (*own, *(run for run in on_node if run.state == SEVERAL_ZONES))) * block_size
    if least <= zone.present * page <= most:
        return None
    blocks = format_size(least) if least == most else f"from {format_size(least)} to {format_size(most)}"
    return f"{zone.zone} of node {zone.node} has {format_size(zone.present * page)}, its blocks make {blocks}"
