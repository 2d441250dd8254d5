"""Which memory blocks were there when the kernel started, and which were added afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sim.devices.specs import DimmSpec
from sim.machine.address_map import boot_block_nodes, device_base
from sim.machine.state import block_ranges
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.snapshot.account import Assumed
from sim.snapshot.block_map import shown_blocks
from sim.snapshot.evidence import Evidence
from sim.snapshot.host_side import placed
from sim.units import GIB, MEMORY_LIMIT, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sim.devices.specs import DeviceSpec
    from sim.machine.spec import MachineSpec
    from sim.snapshot.block_map import Block, BlockMap
    from sim.snapshot.host_side import HostDevice, HostSide

    Devices = Sequence[tuple[DeviceSpec, HostDevice]]
    OfHost = Callable[[int], MachineSpec]
    """The host's machine without devices, by the bytes of boot memory that it has below 4 GiB at most (0: pc's)."""

_Q35_LOW_MEMORY: Final = 2 * GIB
"""Where q35 has low memory end once it is split (``pc_q35_init`` of QEMU's ``hw/i386/pc_q35.c``)."""

_Q35_SPLIT_FROM: Final = 0xB000_0000
_FIRMWARE_KEEPS: Final = 2 * MIB


@dataclass(frozen=True, slots=True)
class Split:
    """What the blocks are: those in ``boot``, those of ``devices``, and others, which were added without a device.

    ``nodes`` has Linux's node of each block that the host tells of; ``low_memory`` is what
    :attr:`sim.machine.spec.MachineSpec.max_ram_below_4g` has to be for such a layout.
    """

    boot: frozenset[int]
    devices: Devices = ()
    nodes: Mapping[int, int] = field(default_factory=dict)
    low_memory: int = 0


def low_memories(boot_memory: int, machine_type: str | None) -> tuple[int, ...]:
    """Return how much memory QEMU's PCs may have below 4 GiB at most, 0 for pc's rule, the likeliest first."""
    q35 = _Q35_LOW_MEMORY if boot_memory >= _Q35_SPLIT_FROM else 0
    choices = (q35, 0) if machine_type is not None and "q35" in machine_type else (0, q35)
    return tuple(dict.fromkeys(choices))


def blocks_of(spec: DeviceSpec, block_size: int) -> range:
    """Return the whole blocks that a device of one range, at a known address, covers."""
    ((first, end),) = block_ranges(spec, block_size)
    return range(first, end)


def split_by_host(blocks: BlockMap, host: HostSide, amount: int, of_host: OfHost, evidence: Evidence) -> Split | None:
    """Return which blocks are the ``amount`` of boot memory, and which are of the host's devices.

    None, said as a conflict, where they cannot be what the host describes; what is merely odd is said, too.
    """
    reasons: list[str] = []
    plain = of_host(0)
    for low_memory in low_memories(amount, host.machine_type) if plain.built_for.pc_layout else (0,):
        machine = of_host(low_memory)
        found = _fitting(blocks, host, machine, evidence, reasons)
        if found is not None or evidence.faults:
            return None if found is None else replace(found, low_memory=low_memory)
    if all(device.facts.address is not None for device in host.devices):
        # Another machine than QEMU's, whose devices say where they are: boot memory is what lies lowest beside them.
        found = _fitting(blocks, host, plain, evidence, reasons, lowest=amount)
        if found is not None:
            return found
    evidence.account.conflicts.append(
        f"{host.file} does not describe the machine of the blocks: {'; '.join(reasons)}. The blocks are believed; what"
        " the host says of boot memory, nodes, devices and limits is left out"
    )
    return None


def _fitting(
    blocks: BlockMap,
    host: HostSide,
    machine: MachineSpec,
    evidence: Evidence,
    reasons: list[str],
    *,
    lowest: int | None = None,
) -> Split | None:
    """Return what the blocks are if boot memory is where ``machine`` has it, or the ``lowest`` bytes beside devices.

    None where they cannot be that: ``reasons`` has why, of the first that is tried.
    """
    scratch = Evidence(())
    devices = placed(host, machine, scratch)
    evidence.faults.include(scratch.faults)
    owned = {block for spec, _ in devices for block in blocks_of(spec, blocks.block_size)}
    nodes = boot_block_nodes(machine, blocks.block_size)
    boot: Collection[int] = nodes.keys()
    base = device_base(machine)
    if lowest is not None:
        boot = _lowest(blocks, owned, lowest)
        base = min((spec.address or 0 for spec, _ in devices), default=MEMORY_LIMIT)
    wrong = [*scratch.account.conflicts, *_contradictions(blocks, boot, owned, devices, base)]
    if lowest is not None and len(boot) != -(-lowest // blocks.block_size):
        wrong.append(f"{format_size(lowest)} are not what there is beside its devices")
    if wrong or scratch.faults:
        reasons += [] if reasons else wrong
        return None
    account = evidence.account
    account.assumed += scratch.account.assumed
    account.left += scratch.account.left
    _tell_odd(blocks, boot, owned, devices, evidence)
    of_devices = {block: spec.node for spec, _ in devices for block in blocks_of(spec, blocks.block_size)}
    return Split(frozenset(boot), devices, nodes | of_devices)


def _contradictions(
    blocks: BlockMap, boot: Collection[int], owned: Collection[int], devices: Devices, base: int
) -> Iterator[str]:
    """Yield why the blocks cannot be those of boot memory in ``boot`` and of ``devices`` from byte ``base`` on."""
    there = blocks.blocks
    missing = sorted(set(boot) - there.keys())
    if missing:
        yield f"boot memory would be in {shown_blocks(missing)}, where nothing is"
    others = [block for block in there if block not in boot and block not in owned]
    stray = [block for block in others if block * blocks.block_size < base or _is_early(there[block])]
    if stray:
        yield f"neither in boot memory nor in a device, and where nothing can be added, is {shown_blocks(stray)}"
    for spec, _ in devices:
        own = [block for block in blocks_of(spec, blocks.block_size) if block in there]
        if isinstance(spec, DimmSpec) and 0 < len(own) < len(blocks_of(spec, blocks.block_size)):
            yield f"of {spec.id} only {shown_blocks(own)} came, and a DIMM comes as a whole"
        early = [block for block in own if _is_early(there[block])]
        on = {there[block].node for block in own} - {None}
        if len(on) > 1:
            yield f"{spec.id} would have blocks on nodes {', '.join(sorted(map(str, on)))} at once"
        if early:
            yield f"{spec.id} would have {shown_blocks(early)} in zones that added memory never gets to"


def _tell_odd(
    blocks: BlockMap, boot: Collection[int], owned: Collection[int], devices: Devices, evidence: Evidence
) -> None:
    others = [block for block in blocks.blocks if block not in boot and block not in owned]
    if others:
        evidence.account.unknown.append(
            f"what added {shown_blocks(others)}, which no device has that the host tells of: a device plugged since, a"
            " balloon or a probe. Taken as added without a device"
        )
    for spec, device in devices:
        own = blocks_of(spec, blocks.block_size)
        if isinstance(spec, DimmSpec) and not any(block in blocks.blocks for block in own):
            evidence.account.conflicts.append(
                f"{spec.id} ({device.file}) would have {shown_blocks(own)}, and nothing is"
                " there: it is taken as attached, and its memory as not added"
            )


def split_without_host(
    blocks: BlockMap,
    evidence: Evidence,
    *,
    boot_memory: int | None = None,
    movable_at_boot: bool = False,
) -> Split:
    """Return which blocks are boot memory where no host says it.

    ``boot_memory`` is what somebody says there is; ``movable_at_boot`` whether the command line makes a ZONE_MOVABLE of
    boot memory. What is concluded is said.
    """
    rest = blocks.blocks
    if boot_memory is not None:
        _check_amount(blocks, boot_memory, evidence)
        return Split(frozenset(_lowest(blocks, (), boot_memory)))
    logged = evidence.first("memory_known")
    if logged is not None:
        lowest = _lowest(blocks, (), logged.value)
        if 0 <= len(lowest) * blocks.block_size - logged.value < _FIRMWARE_KEEPS:
            evidence.take(f"{format_size(len(lowest) * blocks.block_size)} of boot memory, the lowest blocks", logged)
            return Split(frozenset(lowest))
    boot = {block for block, known in rest.items() if known.online and (movable_at_boot or known.zone != ZONE_MOVABLE)}
    added = [block for block in rest if block not in boot]
    what = "all blocks were there at boot"
    if added:
        reason = "all that is offline" if movable_at_boot else "all that is offline or in ZONE_MOVABLE"
        what = f"{shown_blocks(added)} came after boot: {reason}"
    evidence.account.assumed.append(Assumed(what, "--boot-memory SIZE, or a file of the host"))
    if added:
        evidence.account.unknown.append(
            f"which device brought {shown_blocks(added)}: taken as added without one, so that nothing can ask for it"
            " back. libvirt's XML or QEMU's info memory-devices would tell"
        )
    return Split(frozenset(boot))


def _check_amount(blocks: BlockMap, boot_memory: int, evidence: Evidence) -> None:
    """Refuse more boot memory than there are blocks, of which each stretch may begin and end within one."""
    numbers = sorted(blocks.blocks)
    stretches = 1 + sum(after - before > 1 for before, after in pairwise(numbers))
    if boot_memory > (len(numbers) + 2 * stretches) * blocks.block_size:
        there = format_size(len(numbers) * blocks.block_size)
        evidence.faults.add(f"--boot-memory: {format_size(boot_memory)} are more than all blocks, {there}")


def _lowest(blocks: BlockMap, owned: Collection[int], amount: int) -> set[int]:
    """Return the lowest blocks beside those ``owned`` by devices: as many as ``amount`` bytes need.

    Up to the last one, rather, that is where added memory never gets to: blocks may have holes.
    """
    rest = sorted(block for block in blocks.blocks if block not in owned)
    count = -(-amount // blocks.block_size)
    early = [number for number, block in enumerate(rest) if _is_early(blocks.blocks[block])]
    return set(rest[: max(count, 1 + max(early, default=-1))])


def _is_early(block: Block) -> bool:
    """Whether a block is online where memory that is added never gets to."""
    return block.online and block.zone not in (None, ZONE_NORMAL, ZONE_MOVABLE)
