"""What the page allocator has of the memory that was added after boot, in a state: all that is plugged but memmap."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sim.devices.dimm import asks_to_self_host
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.kernel.self_hosting import altmap_pages, can_self_host
from sim.machine.state import ownership, run_of
from sim.machine.state_plugged import piece_on, plugged_on
from sim.memory.zones import NR_ZONES
from sim.pages import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.machine.spec import MachineSpec
    from sim.machine.state import AttachedDevice, BlockRun, Ownership
    from sim.memory.hotplug import Memory

    Key = tuple[int, int]


class BesideBoot(NamedTuple):
    """What tells a guest's figures from those of its boot memory alone, in bytes.

    ``managed``: what its page allocator has of memory that came after boot; ``memmap``: page descriptors of that, of
    offline blocks too, where they do not lie in the blocks themselves; ``offline``: boot memory that is offline.
    """

    managed: int
    memmap: int
    offline: int


def beside_boot(machine: MachineSpec, memory: Memory) -> BesideBoot:
    """Return that of a machine's state, all 0 without one; ``memory`` is that of the machine."""
    if machine.state is None:
        return BesideBoot(0, 0, 0)
    owned = ownership(machine.state, machine.block_size)
    withheld = withheld_pages(machine, memory, owned)
    managed = added_pages(machine, owned).total() - withheld.total()
    hosted = sum(run.blocks for _, runs in _hosting(machine, memory, owned) for run in runs)
    blocks = sum(run.blocks for run in machine.state.blocks if not run.boot)
    return BesideBoot(
        managed=managed * machine.page_size,
        memmap=(blocks - hosted) * memory.block_pages * STRUCT_PAGE_BYTES,
        offline=sum(run.blocks for run in owned.boot if run.state == NR_ZONES) * machine.block_size,
    )


def added_pages(machine: MachineSpec, owned: Ownership) -> Counter[Key]:
    """Return the pages of blocks that came after boot, by (node, zone) that they are online in."""
    block_pages = machine.block_size // machine.page_size
    pages: Counter[Key] = Counter()
    for runs in (owned.others, *(owned.of_device(number) for number in range(len(owned.devices)))):
        for run in runs:
            if run.state != NR_ZONES:
                pages[run.node, run.state] += run.blocks * block_pages
    return pages


def withheld_pages(machine: MachineSpec, memory: Memory, owned: Ownership) -> Counter[Key]:
    """Return how many of these the page allocator has not: a memmap in the block itself, and what is unplugged."""
    pages: Counter[Key] = Counter()
    state = machine.state
    for number, device in enumerate(state.devices if state is not None else ()):
        if isinstance(device.spec, VirtioMemSpec):
            pages += _unplugged(machine, device, owned.of_device(number))
    for altmap, runs in _hosting(machine, memory, owned):
        for run in runs:
            pages[run.node, run.state] += altmap * run.blocks * (run.state != NR_ZONES)
    return pages


def _hosting(machine: MachineSpec, memory: Memory, owned: Ownership) -> Iterator[tuple[int, list[BlockRun]]]:
    """Yield blocks that hold their own memmap, and how many pages of each it takes."""
    for device, parts in zip(machine.state.devices if machine.state is not None else (), owned.devices, strict=True):
        for part, runs in parts.items():
            if _hosted(machine, memory, device, part, sum(run.blocks for run in runs)):
                yield altmap_pages(memory, machine.memmap_on_memory), runs


def _hosted(machine: MachineSpec, memory: Memory, device: AttachedDevice, part: int, count: int) -> bool:
    spec = device.spec
    if isinstance(spec, VirtioMemSpec):
        return False
    asks = (
        asks_to_self_host(machine.kernel_series, (spec.ranges or (spec.size,))[part], machine.block_size)
        if isinstance(spec, DimmSpec)
        else spec.self_host
    )
    return asks and can_self_host(memory, machine.memmap_on_memory, machine.kernel_series, count)


def _unplugged(machine: MachineSpec, device: AttachedDevice, runs: list[BlockRun]) -> Counter[Key]:
    pages: Counter[Key] = Counter()
    spec = device.spec
    for block, mask in plugged_on(device, runs, machine).items():
        run = run_of(runs, block)
        if run is not None and run.state != NR_ZONES and isinstance(spec, VirtioMemSpec):
            unplugged = machine.block_size - mask.bit_count() * piece_on(spec, machine).bytes
            pages[run.node, run.state] += unplugged // machine.page_size
    return pages
