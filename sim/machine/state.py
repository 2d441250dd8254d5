"""The state of a machine at some moment: which blocks are online in which zones, and which devices are attached.

A run may start from one instead of from boot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec


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


class ZoneBounds(NamedTuple):
    """What is known of a zone as ``/proc/zoneinfo`` has it, in pages; None where it is not known."""

    node: int
    zone: int
    start: int
    spanned: int
    present: int
    managed: int | None = None
    cma: int | None = None


class AttachedDevice(NamedTuple):
    """A device that is there: its description, the address in it filled in, and bytes of it that the guest has.

    ``plugged`` is what a virtio-mem device's ``size`` says; None: all bytes of the blocks that are there.
    """

    spec: DeviceSpec
    plugged: int | None = None


@dataclass(frozen=True, slots=True)
class MachineState:
    """What is there. ``blocks`` ascend and do not overlap; ``zones`` holds those whose bounds are known."""

    blocks: tuple[BlockRun, ...]
    zones: tuple[ZoneBounds, ...] = ()
    devices: tuple[AttachedDevice, ...] = ()
