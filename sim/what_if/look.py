"""A machine as it is at one moment of a run, taken down by a workload that looks on while its steps are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sim.devices.virtio_mem import VirtioMem
from sim.memory.blocks import BlockTable
from sim.memory.groups import NO_GROUP
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE
from sim.record.blockmap import BlockState, state_by_code
from workloads.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from sim.kernel.guest_link import GuestLink
    from sim.machine.host import MachineHost
    from workloads.contract import Host


class DeviceLook(NamedTuple):
    """An attached device: ``kind``, bytes ``plugged`` and ``requested``, and its memory group (-1 where it has none).

    ``stalled``: the errno for which a virtio-mem device waits to try again, 0 where it does not.
    """

    kind: str
    plugged: int
    requested: int
    group: int
    stalled: int = 0


class GuestLook(NamedTuple):
    """What the guest says, in bytes: MemTotal, MemAvailable, room for kernel requests, and memmap by zone.

    ``died``: it is dead, and the figures are those of its end.
    """

    mem_total: int
    available: int
    headroom: int
    memmap: Mapping[str, int]
    died: bool


class Look(NamedTuple):
    """The machine at microsecond ``t_us``. ``rows`` are the events recorded by then, ``notes`` what was told by then.

    ``states`` (int8, :class:`sim.record.blockmap.BlockState`), ``nodes``, ``groups`` and ``hosted`` (whether a block
    holds its own memmap) are arrays by block id, of one length. ``movable`` and ``kernel`` are present bytes.
    """

    t_us: int
    rows: int
    notes: int
    states: npt.NDArray[np.int8]
    nodes: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    hosted: npt.NDArray[np.bool_]
    movable: int
    kernel: int
    devices: Mapping[str, DeviceLook]
    guest: GuestLook | None

    @property
    def dead(self) -> bool:
        """Whether there is a guest that is dead."""
        return self.guest is not None and self.guest.died

    def of_device(self, name: str) -> npt.NDArray[np.bool_]:
        """Flag the blocks that are there and belong to a device."""
        group = self.devices[name].group
        flags: npt.NDArray[np.bool_] = (self.groups == group) & (group != NO_GROUP) & (self.states != BlockState.ABSENT)
        return flags

    @property
    def memmap_blocks(self) -> tuple[int, int]:
        """Blocks whose memmap lies elsewhere, and those that hold their own."""
        hosted = int(np.count_nonzero(self.hosted))
        return int(np.count_nonzero(self.states != BlockState.ABSENT)) - hosted, hosted


class Watched(Steps):
    """Steps whose effects are looked at: ``looks`` holds one before the first step, and one after each.

    ``notes`` is what the run tells whoever listens.
    """

    def __init__(self, *, steps: Sequence[str], notes: Sequence[object]) -> None:
        super().__init__(steps=steps)
        self.looks: list[Look] = []
        self._notes = notes

    def settled(self, host: Host) -> None:
        """Look at the machine."""
        self.looks.append(look(host, len(self._notes)))  # type: ignore[arg-type]  # the engine's host


def look(host: MachineHost, notes: int) -> Look:
    """Return what there is now."""
    memory = host.context.core.memory
    page = memory.geometry.size
    table = memory.blocks
    zones = [zone for zone in memory.zone_by_code if zone is not None]
    movable = sum(zone.present for zone in zones if zone.type == ZONE_MOVABLE)
    flags = np.frombuffer(table.flags, dtype=np.uint8)
    return Look(
        t_us=int(host.env.now),
        rows=len(host.context.recorder),
        notes=notes,
        states=np.array(state_by_code(memory), dtype=np.int8)[np.frombuffer(table.where, dtype=np.uint8)],
        nodes=np.array(table.node, dtype=np.int64),
        groups=np.array(table.group, dtype=np.int64),
        hosted=(flags & BlockTable.SELF_HOSTED) != 0,
        movable=movable * page,
        kernel=(sum(zone.present for zone in zones) - movable) * page,
        devices={
            name: DeviceLook(
                device.kind,
                device.plugged_pages * page,
                host.requested(name),
                device.group.id if isinstance(device, VirtioMem) else device.group_id,
                device.stalled if isinstance(device, VirtioMem) else 0,
            )
            for name, device in host.devices.items()
        },
        guest=None if host.guest is None else _guest(host.guest, page),
    )


def _guest(guest: GuestLink, page: int) -> GuestLook:
    available = guest.mem_available()
    zones = guest.model.zones.values()
    memmap = {f"{ZONE_LABELS[zone.type]} (node {zone.node})": zone.memmap * page for zone in zones if zone.memmap}
    return GuestLook(
        mem_total=sum(zone.managed for zone in zones) * page,
        available=available or 0,
        headroom=0 if available is None else guest.model.meminfo.kernel_headroom() * page,
        memmap=memmap,
        died=guest.died,
    )
