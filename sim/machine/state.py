"""The state of a machine at some moment: which blocks are online in which zones, and which devices are attached.

A run may start from one instead of from boot: :attr:`sim.machine.spec.MachineSpec.state`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from sim.devices.specs import DAX_STATES, VirtioMemSpec, ranges_of
from sim.record.run_result import BootRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sim.devices.specs import DeviceSpec

UNBOUND: Final = "unbound"
"""Instead of the ``state`` of a dax device: it is not bound to kmem."""

LOST: Final = "lost"
"""Instead of the ``state`` of a dax device: it was unbound with memory online, which is still there."""

DAX_WORDS: Final = (*DAX_STATES, "offline", UNBOUND, LOST)
"""What :attr:`AttachedDevice.state` may be."""


class BlockRun(NamedTuple):
    """Adjacent blocks that are alike: ``blocks`` from id ``first`` on ``node``.

    ``state`` is a number of :class:`sim.record.blockmap.BlockState`: a zone's, SEVERAL_ZONES (boot memory only) or
    OFFLINE. ``boot`` says whether they were there when the kernel started; a block that was not, and lies in no
    attached device, was added without a memory group (a probe, a balloon driver, standby memory).
    """

    first: int
    blocks: int
    node: int
    state: int
    boot: bool

    @property
    def end(self) -> int:
        """The block after the last one."""
        return self.first + self.blocks

    def cut(self, first: int, end: int) -> BlockRun:
        """Return what of it lies in [first, end), which has to be some."""
        if first <= self.first and self.end <= end:
            return self
        low = max(first, self.first)
        return self._replace(first=low, blocks=min(end, self.end) - low)


class ZoneBounds(NamedTuple):
    """What is known of a zone as ``/proc/zoneinfo`` has it, in pages; None where it is not known."""

    node: int
    zone: int
    start: int
    spanned: int
    present: int
    managed: int | None = None
    cma: int | None = None


class PartlyPlugged(NamedTuple):
    """A block of a virtio-mem device of which not all is plugged: ``sub_blocks`` has a bit for each that is."""

    block: int
    sub_blocks: int


class AttachedDevice(NamedTuple):
    """A device that is there: its description, the address in it filled in, and bytes of it that the guest has.

    Of a virtio-mem device: ``plugged`` is what its ``size`` says (None: all bytes of the blocks that are there);
    ``usable`` the bytes that the guest may use of the region (None: what the request and the blocks make it);
    ``partly`` the blocks that are not fully plugged (empty: not known which, see
    :func:`sim.machine.state_plugged.plugged_sub_blocks`). Of a dax device: ``state``, one of :data:`DAX_WORDS` (None:
    ``online`` where it has blocks, else :data:`UNBOUND`).
    """

    spec: DeviceSpec
    plugged: int | None = None
    usable: int | None = None
    partly: tuple[PartlyPlugged, ...] = ()
    state: str | None = None


class SeenRun(NamedTuple):
    """Adjacent blocks of which ``lsmem`` printed something else than it would of this state: for people to see again.

    ``removable`` and ``zones`` (the words of ``valid_zones``, separated by ``/``) are None where it printed the same.
    """

    first: int
    blocks: int
    removable: bool | None = None
    zones: str | None = None


@dataclass(frozen=True, slots=True)
class MachineState:
    """What is there. ``blocks`` ascend and do not overlap; ``zones`` holds those whose bounds are known.

    On what was ``seen`` nothing depends but what is shown. Nodes have the numbers that Linux gives them, in ``devices``
    too.
    """

    blocks: tuple[BlockRun, ...]
    zones: tuple[ZoneBounds, ...] = ()
    devices: tuple[AttachedDevice, ...] = ()
    seen: tuple[SeenRun, ...] = ()


_Run = TypeVar("_Run", BlockRun, BootRun)


def joined(runs: Iterable[_Run]) -> tuple[_Run, ...]:
    """Return ascending ``runs`` with those that follow each other and are alike made one."""
    found: list[_Run] = []
    for run in runs:
        last = found[-1] if found else None
        if last is not None and last.first + last.blocks == run.first and last[2:] == run[2:]:
            found[-1] = last._replace(blocks=last.blocks + run.blocks)
        else:
            found.append(run)
    return tuple(found)


def run_of(runs: Sequence[BlockRun], block: int) -> BlockRun | None:
    """Return the one of ascending ``runs`` that ``block`` is in, None where there is none."""
    at = bisect_right(runs, block, key=lambda run: run.first) - 1
    return runs[at] if at >= 0 and block < runs[at].end else None


class Ownership(NamedTuple):
    """Whose the blocks are: ``boot`` memory, ``devices`` (of each, the blocks in its ranges, by number), or nobody's.

    ``others`` were added after boot and lie in no device. All ascend.
    """

    boot: list[BlockRun]
    devices: list[dict[int, list[BlockRun]]]
    others: list[BlockRun]

    def of_device(self, number: int) -> list[BlockRun]:
        """Return all blocks of a device, ascending."""
        return sorted(run for runs in self.devices[number].values() for run in runs)


def boot_memory(state: MachineState, block_bytes: int) -> list[int]:
    """Return the bytes of boot memory by node, as its blocks have them, for every node that anything is on."""
    nodes = {run.node for run in state.blocks} | {zone.node for zone in state.zones}
    nodes |= {device.spec.node for device in state.devices}
    bytes_of = [0] * (1 + max(nodes, default=0))
    for run in state.blocks:
        if run.boot:
            bytes_of[run.node] += run.blocks * block_bytes
    return bytes_of


def block_ranges(spec: DeviceSpec, block_bytes: int) -> list[tuple[int, int]]:
    """Return the whole blocks [first, end) of each range of a device, whose address is known."""
    address = spec.address or 0
    ranges = [(address, spec.max_size)] if isinstance(spec, VirtioMemSpec) else ranges_of(spec, address)
    return [(-(-start // block_bytes), (start + length) // block_bytes) for start, length in ranges]


@lru_cache(maxsize=2)  # a state of many thousands of runs is asked about again and again while one machine is made
def ownership(state: MachineState, block_bytes: int) -> Ownership:
    """Return whose each block is; nobody may change it. Devices must not overlap, and have an address."""
    ranges = sorted(
        (first, end, number, part)
        for number, device in enumerate(state.devices)
        for part, (first, end) in enumerate(block_ranges(device.spec, block_bytes))
        if first < end
    )
    found = Ownership([run for run in state.blocks if run.boot], [{} for _ in state.devices], [])
    at = 0
    for run in state.blocks:
        start = run.end if run.boot else run.first
        while start < run.end:
            while at < len(ranges) and ranges[at][1] <= start:
                at += 1
            first, end, number, part = ranges[at] if at < len(ranges) else (run.end, run.end, 0, 0)
            inside = first <= start
            stop = min(run.end, end if inside else first)
            (found.devices[number].setdefault(part, []) if inside else found.others).append(run.cut(start, stop))
            start = stop
    return found
