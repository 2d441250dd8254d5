"""What can be wrong with the state that a machine starts from."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from sim.devices.specs import UNPLUGGED, DaxSpec, DimmSpec, VirtioMemSpec, impossible, possible, ranges_of, span
from sim.faults import Fault
from sim.machine.state import DAX_WORDS, LOST, UNBOUND, block_ranges, ownership, run_of
from sim.machine.state_plugged import piece_on, plugged_on
from sim.memory.blocks import block_range
from sim.memory.hotplug import MAX_PHYSICAL_BYTES
from sim.memory.zones import NR_ZONES, ZONE_LABELS, ZONE_MOVABLE
from sim.record.run_result import SEVERAL_ZONES
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.machine.spec import MachineSpec
    from sim.machine.state import AttachedDevice, BlockRun, MachineState


def state_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    """Yield what is wrong with the ``state`` of a machine whose other fields are right."""
    for name, what in (("cold_dimms", "DIMMs"), ("cold_devices", "devices")):
        if getattr(machine, name):
            yield Fault(name, f"a machine with a state has its {what} among the state's devices: leave it out")
    if not machine.block_size:
        yield Fault("block_size", "is needed with a state, whose blocks are counted in it")
        return
    faults = [*_block_faults(machine, state), *_device_faults(machine, state), *_zone_faults(machine, state)]
    yield from faults
    if faults:
        return
    yield from _owner_faults(machine, state)
    yield from _present_faults(machine, state)


def _block_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    most = MAX_PHYSICAL_BYTES // machine.block_size
    boots = False
    for number, run in enumerate(state.blocks):
        key = f"state.blocks[{number}]"
        if run.first < 0 or run.blocks < 1 or run.end > most:
            yield Fault(f"{key}.blocks", f"{_shown(run)} are no blocks from 0 to {most - 1}")
        if not 0 <= run.node < len(machine.nodes):
            yield Fault(f"{key}.node", f"there is no node {run.node}; the last one is {len(machine.nodes) - 1}")
        if not SEVERAL_ZONES <= run.state <= NR_ZONES:
            yield Fault(f"{key}.zone", f"{run.state} is no state of a block")
        elif run.state == SEVERAL_ZONES and not run.boot:
            yield Fault(f"{key}.zone", "blocks that were not there at boot are in one zone each, or offline")
        boots |= run.boot and run.state not in (NR_ZONES, ZONE_MOVABLE)
    for number, (run, after) in enumerate(pairwise(state.blocks), 1):
        if after.first < run.end:
            yield Fault(
                f"state.blocks[{number}].blocks",
                f"{_shown(after)} do not come after those before, {_shown(run)}: each block stands once, in order",
            )
    yield from _boot_memory_faults(machine, state)
    if not boots:
        yield Fault("state.blocks", "hold no boot memory that is online in a kernel zone; a kernel runs in some")


def _boot_memory_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    """Yield blocks of boot memory that are far more than there was.

    Each stretch of blocks may begin and end within one, and firmware may have kept some of the memory between.
    """
    boot = [run for run in state.blocks if run.boot]
    stretches = 1 + sum(run.end != after.first for run, after in pairwise(boot))
    blocks = sum(run.blocks for run in boot)
    if (blocks - 2 * stretches) * machine.block_size * 7 // 8 > machine.boot_memory:
        what = (
            f"{format_size(blocks * machine.block_size)} of them are boot memory, of which the machine has"
            f" {format_size(machine.boot_memory)}: give it more, or boot = false to blocks that came later"
        )
        yield Fault("state.blocks", what)


def _device_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    names: set[str] = set()
    placed: list[tuple[int, int, int]] = []
    for number, device in enumerate(state.devices):
        spec, key = device.spec, f"state.devices[{number}]"
        if spec.id in names:
            yield Fault(f"{key}.id", f"{spec.id!r} is taken")
        names.add(spec.id)
        if not 0 <= spec.node < len(machine.nodes):
            yield Fault(f"{key}.node", f"there is no node {spec.node}; the last one is {len(machine.nodes) - 1}")
        if spec.address is None:
            yield Fault(f"{key}.address", "is needed of a device that is there")
        elif not possible(spec):
            yield from (Fault(key, wrong) for wrong in impossible(spec))
        elif spec.address < 0 or spec.address + span(spec) > MAX_PHYSICAL_BYTES:
            yield Fault(f"{key}.address", f"{spec.address:#x} is beyond the addressable range")
        else:
            placed.append((spec.address, spec.address + span(spec), number))
            yield from _amount_faults(machine, device, key)
    for (_, end, before), (start, _, number) in pairwise(sorted(placed)):
        if start < end:
            other = state.devices[before].spec.id
            yield Fault(f"state.devices[{number}].address", f"{start:#x} lies in {other}, which ends at {end:#x}")
    yield from _slot_faults(machine, state)
    plugged = sum(span(device.spec) for device in state.devices)
    if machine.max_memory is not None and machine.boot_memory + plugged > machine.max_memory:
        there = format_size(machine.boot_memory + plugged)
        yield Fault("state.devices", f"with boot memory they are {there}, more than max_memory")


def _slot_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    dimms = [(number, device.spec) for number, device in enumerate(state.devices) if isinstance(device.spec, DimmSpec)]
    if dimms and not machine.built_for.dimms:
        yield Fault("state.devices", f"machines of {machine.built_for.name} have no DIMMs")
    elif len(dimms) > machine.slots:
        yield Fault("state.devices", f"{len(dimms)} DIMMs are more than the machine's slots, {machine.slots}")
    taken: dict[int, str] = {}
    for number, spec in dimms:
        if spec.slot is None:
            continue
        key = f"state.devices[{number}].slot"
        if spec.slot in taken:
            yield Fault(key, f"{spec.slot} is {taken[spec.slot]}'s")
        elif not 0 <= spec.slot < machine.slots:
            yield Fault(key, f"{spec.slot} is none of the machine's {machine.slots}")
        taken[spec.slot] = spec.id


def _amount_faults(machine: MachineSpec, device: AttachedDevice, key: str) -> Iterator[Fault]:
    spec = device.spec
    if isinstance(spec, VirtioMemSpec):
        piece = piece_on(spec, machine).bytes
        if device.plugged is not None and not (0 <= device.plugged <= spec.max_size and device.plugged % piece == 0):
            yield Fault(
                f"{key}.plugged",
                f"{format_size(device.plugged)} are not whole pieces of {format_size(piece)} within its region",
            )
        usable = device.usable
        if usable is not None and not (0 <= usable <= spec.max_size and usable % spec.block_size == 0):
            yield Fault(f"{key}.usable", f"{format_size(usable)} are not whole device blocks within its region")
    else:
        for name in ("plugged", "usable", "partly"):
            if getattr(device, name) not in (None, ()):
                yield Fault(f"{key}.{name}", "is of virtio-mem devices only")
    if device.state is not None:
        if not isinstance(spec, DaxSpec):
            yield Fault(f"{key}.state", "is of dax devices only")
        elif device.state not in DAX_WORDS:
            yield Fault(f"{key}.state", f"{device.state!r} is none of {', '.join(DAX_WORDS)}")


def _zone_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    seen: set[tuple[int, int]] = set()
    for number, zone in enumerate(state.zones):
        key = f"state.zones[{number}]"
        if not 0 <= zone.node < len(machine.nodes):
            yield Fault(f"{key}.node", f"there is no node {zone.node}; the last one is {len(machine.nodes) - 1}")
        if not 0 <= zone.zone < NR_ZONES:
            yield Fault(f"{key}.zone", f"{zone.zone} is no zone")
            continue
        if (zone.node, zone.zone) in seen:
            yield Fault(key, f"{ZONE_LABELS[zone.zone]} of node {zone.node} stands here twice")
        seen.add((zone.node, zone.zone))
        if zone.start < 0 or zone.start + zone.spanned > MAX_PHYSICAL_BYTES // machine.page_size:
            yield Fault(key, f"{zone.spanned} pages from {zone.start} on are beyond the addressable range")
        elif not 0 <= zone.present <= zone.spanned:
            yield Fault(key, f"{zone.present} pages are not present in a span of {zone.spanned} from {zone.start} on")
        elif zone.managed is not None and not 0 <= zone.managed <= zone.present:
            yield Fault(f"{key}.managed", f"{zone.managed} is not between 0 and present ({zone.present})")
        elif zone.cma is not None and not 0 <= zone.cma <= (zone.present if zone.managed is None else zone.managed):
            what = f"present ({zone.present})" if zone.managed is None else f"managed ({zone.managed})"
            yield Fault(f"{key}.cma", f"{zone.cma} is not between 0 and {what}")


def _owner_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    owned = ownership(state, machine.block_size)
    for number, device in enumerate(state.devices):
        spec, key = device.spec, f"state.devices[{number}]"
        runs = owned.of_device(number)
        other = next((run for run in runs if run.node != spec.node), None)
        if other is not None:
            yield Fault(f"{key}.node", f"its blocks {_shown(other)} are on node {other.node}, not {spec.node}")
        if isinstance(spec, VirtioMemSpec):
            yield from _virtio_mem_faults(machine, device, runs, key)
        else:
            yield from _static_faults(device, owned.devices[number], machine.block_size, key)


def _static_faults(
    device: AttachedDevice, parts: dict[int, list[BlockRun]], block_bytes: int, key: str
) -> Iterator[Fault]:
    for part, (first, end) in enumerate(block_ranges(device.spec, block_bytes)):
        blocks = sum(run.blocks for run in parts.get(part, ()))
        if 0 < blocks < end - first:
            what = f"{blocks} of blocks {first}-{end - 1} are there, not all: such a device is there as a whole"
            yield Fault(key, what)
    if isinstance(device.spec, DimmSpec):
        for part, (start, length) in enumerate(ranges_of(device.spec, device.spec.address or 0)):
            if part in parts and (start | length) % block_bytes:
                what = (
                    f"{format_size(length)} at {start:#x} are no whole memory blocks, so that none of them can be there"
                )
                yield Fault(key, what)
    if device.state in (UNPLUGGED, UNBOUND) and parts:
        yield Fault(f"{key}.state", f"{device.state!r} is a device without blocks, but it has some")
    if device.state == LOST and not parts:
        yield Fault(f"{key}.state", f"{LOST!r} is a device whose memory is still there, but it has none")


def _virtio_mem_faults(
    machine: MachineSpec, device: AttachedDevice, runs: Sequence[BlockRun], key: str
) -> Iterator[Fault]:
    spec = device.spec
    assert isinstance(spec, VirtioMemSpec)  # noqa: S101 - for the type
    piece = piece_on(spec, machine)
    if runs and not machine.virtio_mem_driver:
        yield Fault(key, "has blocks, which a guest without the virtio-mem driver would not have")
    there = sum(run.blocks for run in runs) * machine.block_size
    if piece.big:
        yield from _big_block_faults(machine, spec, runs, piece.bytes, key)
        if device.plugged not in (None, there) or device.partly:
            yield Fault(f"{key}.plugged", f"is {format_size(there)}, all of its blocks: it plugs whole ones only")
        return
    if device.plugged is not None and device.plugged > there:
        yield Fault(f"{key}.plugged", f"{format_size(device.plugged)} are more than its blocks, {format_size(there)}")
        return
    per_block = machine.block_size // piece.bytes
    wrong = False
    for number, (block, mask) in enumerate(device.partly):
        if run_of(runs, block) is None or not 0 <= mask < 1 << per_block:
            there_is = run_of(runs, block) is not None
            what = (
                f"a block has sub-blocks 0 to {per_block - 1}" if there_is else f"block {block} is none of the device's"
            )
            yield Fault(f"{key}.partly[{number}]", what)
            wrong = True
    if wrong:
        return
    masks = plugged_on(device, runs, machine)
    plugged = there - sum(per_block - mask.bit_count() for mask in masks.values()) * piece.bytes
    if device.plugged not in (None, plugged):
        yield Fault(f"{key}.plugged", f"is not {format_size(plugged)}, what its blocks and partly come to")
    end = max((run.end for run in runs), default=0) * machine.block_size
    if device.usable is not None and (spec.address or 0) + device.usable < end:
        yield Fault(f"{key}.usable", f"{format_size(device.usable)} do not reach to its highest block")


def _big_block_faults(
    machine: MachineSpec, spec: VirtioMemSpec, runs: Sequence[BlockRun], size: int, key: str
) -> Iterator[Fault]:
    per_unit = size // machine.block_size
    address = spec.address or 0
    possible_units = range(-(-address // size), (address + spec.max_size) // size)
    units = Counter(block // per_unit for run in runs for block in range(run.first, run.end))
    for unit, blocks in units.items():
        if blocks < per_unit or unit not in possible_units:
            yield Fault(key, f"block {unit * per_unit} belongs to no whole big block of {format_size(size)}")
            return


def _present_faults(machine: MachineSpec, state: MachineState) -> Iterator[Fault]:
    """Yield zones that have fewer pages than the blocks that were added after boot bring, or none for those of boot."""
    pages = machine.block_size // machine.page_size
    for number, zone in enumerate(state.zones):
        added = pages * sum(
            run.blocks for run in state.blocks if not run.boot and (run.node, run.state) == (zone.node, zone.zone)
        )
        if zone.present < added:
            what = f"{zone.present} pages are fewer than those of its blocks that came after boot, {added}"
            yield Fault(f"state.zones[{number}].present", what)
        elif zone.present == added and any(
            run.boot and (run.node, run.state) == (zone.node, zone.zone) for run in state.blocks
        ):
            what = f"{zone.present} pages leave nothing for its blocks of boot memory"
            yield Fault(f"state.zones[{number}].present", what)
        elif (zone.cma or 0) > zone.present - added:
            what = f"{zone.cma} pages are more than its boot memory, {zone.present - added}, and CMA lies in that"
            yield Fault(f"state.zones[{number}].cma", what)


def _shown(run: BlockRun) -> str:
    return block_range(run.first, run.blocks)
