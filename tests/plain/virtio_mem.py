"""A virtio-mem device in sub-block mode, while everything that is added goes online by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.plain import linux
from tests.plain.machine import MOVABLE, LinuxError, Machine

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: The series from which on every run begins with blocks of which nothing is plugged.
CLEANS_UP_SINCE = (6, 6)


@dataclass
class VirtioMem:
    """A device whose region has ``count`` whole blocks from block ``first``, of ``per_block`` sub-blocks each.

    ``plugged`` has the sub-blocks of each block that is there, as bits. All sizes are sub-blocks.
    """

    first: int
    count: int
    per_block: int
    group: int
    extent: int
    series: tuple[int, int]
    requested: int = 0
    usable: int = 0
    plugged: dict[int, int] = field(default_factory=dict)
    known: int = 0
    """Blocks that have been used, from the first on."""
    refusals: int = 0

    @property
    def size(self) -> int:
        return sum(mask.bit_count() for mask in self.plugged.values())


def resize(
    machine: Machine, device: VirtioMem, requested: int, holds: Mapping[int, int], sticks: Collection[int]
) -> None:
    """The host asks for a size, and the driver runs once. ``holds``: sub-blocks with pages that cannot move.

    ``sticks``: blocks that do not go offline, whatever is plugged of them.
    """
    device.requested = requested
    device.usable = max(device.usable, min(device.count * device.per_block, requested + device.extent))
    if device.series >= CLEANS_UP_SINCE:
        for movable in (True, False):
            for block in in_class(machine, device, movable=movable, partial=True):
                if not device.plugged[block]:
                    remove(machine, device, block, sticks)
    if requested > device.size:
        plug(machine, device, requested - device.size)
    elif requested < device.size:
        unplug(machine, device, device.size - requested, holds, sticks)


def in_class(machine: Machine, device: VirtioMem, *, movable: bool, partial: bool) -> list[int]:
    full = (1 << device.per_block) - 1
    return sorted(
        block
        for block, mask in device.plugged.items()
        if (machine.blocks[block].zone == MOVABLE) == movable and (mask != full) == partial
    )


def plug(machine: Machine, device: VirtioMem, rest: int) -> None:
    """Partial kernel blocks, partial MOVABLE ones, blocks that were used before, then new ones up to the usable end."""
    for movable in (False, True):
        for block in in_class(machine, device, movable=movable, partial=True):
            for bit in range(device.per_block):
                if rest and not device.plugged[block] >> bit & 1:
                    device.plugged[block] |= 1 << bit
                    rest -= 1
    end = device.first + device.usable // device.per_block
    unused = [block for block in range(device.first, device.first + device.known) if block not in device.plugged]
    for block in (*unused, *range(device.first + device.known, end)):
        if not rest:
            return
        part = min(rest, device.per_block)
        linux.add(machine, machine.first_page(block), machine.block_pages, group=device.group)
        device.plugged[block] = (1 << part) - 1
        device.known = max(device.known, block - device.first + 1)
        rest -= part


def unplug(machine: Machine, device: VirtioMem, rest: int, holds: Mapping[int, int], sticks: Collection[int]) -> None:
    """Partial blocks before whole ones, MOVABLE before kernel, from above; what one does not give the next is asked."""
    for partial in (True, False):
        for movable in (True, False):
            for block in reversed(in_class(machine, device, movable=movable, partial=partial)):
                if not rest:
                    return
                for bit in reversed(range(device.per_block)):
                    if rest and device.plugged[block] >> bit & 1 and not holds.get(block, 0) >> bit & 1:
                        device.plugged[block] &= ~(1 << bit)
                        rest -= 1
                if not device.plugged[block]:
                    remove(machine, device, block, sticks)


def remove(machine: Machine, device: VirtioMem, block: int, sticks: Collection[int]) -> None:
    """A block of which nothing is plugged: it goes, or stays and is there."""
    try:
        linux.offline(machine, block, refuse=block in sticks)
    except LinuxError:
        device.refusals += 1
        return
    linux.remove(machine, machine.first_page(block), machine.block_pages)
    del device.plugged[block]
