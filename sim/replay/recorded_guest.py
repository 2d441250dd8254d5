"""The guest of a replay: whether a block in a kernel zone refuses to go offline is read off the recording, and counted.

Where the guest had put unmovable pages cannot be known without its contents. This guest answers only when the model
itself is about to empty an online block of a kernel zone (or a boot block of ZONE_MOVABLE, which may hold boot
allocations): it refuses if the recording has the block online after the step, in the zone that it had. One that is
online in another zone went offline and was put back. Everything else always succeeds, so that the allowance hides no
wrong order. An add fails where the recorded one did, for want of memory for the memmap; that is counted, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.devices.dax import Dax
from sim.devices.dimm import Dimm
from sim.devices.virtio_mem import VirtioMem
from sim.devices.virtio_mem_bbm import BigBlockMode
from sim.guest.bits import highest
from sim.guest.contract import OfflineOutcome, SubblockOutcome
from sim.memory.zones import ZONE_BY_LABEL, ZONE_LABELS, ZONE_MOVABLE, ZONE_NORMAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.devices.virtio_mem_sbm import SubBlockMode
    from sim.memory.hotplug import Memory
    from sim.replay.trace_format import DeviceEntry, Snapshot, Step

_GONE = OfflineOutcome()

_ADDS_OF_MANY = ("plug_dimms", "reactive_growth")
"""Steps of several adds, some of which may have failed although the step did not."""


class RecordedGuest:
    """Implements :class:`sim.guest.contract.Guest` for one step at a time.

    ``refused`` are the blocks that refused in this step, ``failed_adds`` the first blocks of adds that failed. A guest
    ``under_load`` may keep blocks of ZONE_MOVABLE as well: moving their pages takes room elsewhere.
    """

    at_once = None

    def __init__(self, memory: Memory, boot: Snapshot, *, under_load: bool = False) -> None:
        self._memory = memory
        self._under_load = under_load
        self._after: dict[int, str] = {}
        """The zone of every block that the recording has after this step, empty where the block is offline."""
        self._step: Step | None = None
        self._devices: Mapping[str, Dimm | VirtioMem | Dax] = {}
        self._shares: dict[str, _Share] = {}
        self._kernel_managed = _kernel_managed(boot)
        self.refused: set[int] = set()
        self.failed_adds: set[int] = set()

    def begin(self, step: Step, devices: Mapping[str, Dimm | VirtioMem | Dax]) -> None:
        """Prepare for ``step``: what is there after it, in which zones, and how much the refusing blocks keep."""
        self.refused, self.failed_adds, self._shares = set(), set(), {}
        after = step.after
        if after is None:
            return
        self._step, self._devices = step, devices
        self._after = {
            block: (run.zone or "") if run.state == "online" else ""
            for run in after.blocks
            for block in range(run.start, run.start + run.count)
        }
        for entry in step.devices or ():
            device = devices.get(entry.id)
            if isinstance(device, VirtioMem) and not isinstance(device.mode, BigBlockMode) and entry.size is not None:
                requested = step.requested_size if entry.id == step.id else entry.requested_size
                if entry.size > (requested or 0):
                    self._shares[entry.id] = _Share(keep=entry.size // self._memory.geometry.size)
                else:
                    self._shares[entry.id] = _Share(give=self._given_by_staying(device.node, device.mode, after))
        self._kernel_managed = _kernel_managed(after)

    def _given_by_staying(self, node: int, mode: SubBlockMode, after: Snapshot) -> int | None:
        """Return what kernel blocks that stay give up together, for a request that was met; None if not recorded.

        The managed pages of the node's kernel zones fall by that and by what was plugged of kernel blocks that went.
        """
        before = self._kernel_managed.get(node)
        if before is None:
            return None
        fallen = before - _kernel_managed(after).get(node, 0)
        memory = self._memory
        for at, state in enumerate(mode.states.of_block):
            block = mode.first + at
            zone = memory.zone_of(block) if state else None
            if zone is not None and not zone.movable and not self._after.get(block):
                fallen -= memory.block_pages - mode.unplugged_pages(block)
        return max(0, fallen)

    # Adding ----------------------------------------------------------------------------------------------------------

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        """Fail where the recorded add did."""
        if not self._failed(first_block):
            return True
        self.failed_adds.add(first_block)
        return False

    def _failed(self, block: int) -> bool:
        """Whether the recording says that the add of ``block``, which it does not have, failed in this step."""
        step = self._step
        if step is None or block in self._after:
            return False
        entry = next((entry for entry in step.devices or () if self._covers(entry, block)), None)
        if entry is None:
            return False
        if entry.type == "virtio-mem":
            return entry.size is not None and entry.size < (entry.requested_size or 0)
        return step.result == "error" or step.op in _ADDS_OF_MANY

    def _covers(self, entry: DeviceEntry, block: int) -> bool:
        if entry.ranges:
            return any(part.block_start <= block < part.block_start + part.block_count for part in entry.ranges)
        address = entry.addr if entry.memaddr is None else entry.memaddr
        size = entry.size if entry.max_size is None else entry.max_size
        return address is not None and size is not None and address <= self._address(block) < address + size

    def _address(self, block: int) -> int:
        return block * self._memory.block_pages * self._memory.geometry.size

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Nothing to note."""

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Nothing to note."""

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        """Nothing to note."""

    # Refusing --------------------------------------------------------------------------------------------------------

    def _may_refuse(self, block: int, zone: int) -> bool:
        if self._after.get(block) != ZONE_LABELS[zone]:
            return False
        early = bool(self._memory.blocks.flags[block] & self._memory.blocks.EARLY)
        return zone <= ZONE_NORMAL or early or self._under_load

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        """Say whether the block would go offline."""
        return not self._may_refuse(block, zone)

    def offline(
        self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int, *, drop_cache: bool = False
    ) -> OfflineOutcome:
        """Refuse where the recording has the block online after the step, in the zone that it is in."""
        step = self._step
        if step is None or not self._may_refuse(first_block, zone):
            return _GONE
        device = self._devices.get(step.id or "")
        virtio_mem = self._virtio_mem_at(first_block)
        if virtio_mem is not None and isinstance(virtio_mem.mode, BigBlockMode):
            mode = virtio_mem.mode
            if self._movable_unit_left(mode):
                return _GONE  # kernel big blocks are tried last: this refusal would hide a wrong order
            per_unit = mode.unit_pages // self._memory.block_pages
            unit = first_block // per_unit
            self._count_kernel_blocks(range(unit * per_unit, (unit + 1) * per_unit))
        elif isinstance(device, Dimm) or (isinstance(device, Dax) and step.op == "set_dax_state"):
            # Which of them refused, and which only came back to the zone that they had, was not recorded.
            self._count_kernel_blocks(device.blocks())
        self.refused.add(first_block)
        return OfflineOutcome(refused=(first_block,))

    def _virtio_mem_at(self, block: int) -> VirtioMem | None:
        """Return the virtio-mem device whose driver asks for ``block``; None where it is user space that asks."""
        if self._step is None or self._step.op == "set_block_state":
            return None
        address = self._address(block)
        for device in self._devices.values():
            if isinstance(device, VirtioMem) and device.address <= address < device.address + device.max_size:
                return device
        return None

    def _count_kernel_blocks(self, blocks: range | list[int]) -> None:
        """Count those that stay in the kernel zone that they are in."""
        for block in blocks:
            zone = self._memory.zone_of(block)
            if zone is not None and not zone.movable and self._may_refuse(block, zone.type):
                self.refused.add(block)

    def _movable_unit_left(self, mode: BigBlockMode) -> bool:
        """Whether the recording still has a big block of the device online and wholly MOVABLE after the step."""
        per_unit = mode.unit_pages // self._memory.block_pages
        for at in range(len(mode.state)):
            start = (mode.first + at) * per_unit
            zones = {self._after.get(block) for block in range(start, start + per_unit)}
            if zones == {"Movable"}:
                return True
        return False

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        """Give up the highest sub-blocks; kernel blocks that stay keep, or give, what the recording says together."""
        plugged = plugged_mask.bit_count()
        asked = giving = min(most, plugged)
        if self._may_refuse(block, zone) and zone != ZONE_MOVABLE:
            device = self._virtio_mem_at(block)
            share = None if device is None else self._shares.get(device.name)
            if share is not None:
                giving = share.take(plugged, asked, sub_pages)
            # One that gives up all it has, as it was asked to, would be gone if it had not refused.
            if giving < asked or asked == plugged:
                self.refused.add(block)
        return SubblockOutcome(highest(plugged_mask, giving))


@dataclass(slots=True)
class _Share:
    """What a device's kernel blocks that stay ``keep`` together where the request was not met, else ``give``; pages.

    None: not recorded, or told by the other one. How they share it is not recorded: who comes first keeps, or gives,
    first.
    """

    keep: int | None = None
    give: int | None = None

    def take(self, plugged: int, asked: int, unit: int) -> int:
        """Return how many of the next block's ``plugged`` pieces of ``unit`` pages go, of those it is ``asked`` for."""
        if self.keep is not None:
            giving = min(asked, plugged - min(plugged, self.keep // unit))
            self.keep -= (plugged - giving) * unit
            return giving
        if self.give is not None:
            giving = min(asked, self.give // unit)
            self.give -= giving * unit
            return giving
        return asked


def _kernel_managed(snapshot: Snapshot) -> dict[int, int]:
    """Return managed pages of the kernel zones by node."""
    managed: dict[int, int] = {}
    for zone in snapshot.zones:
        if ZONE_BY_LABEL.get(zone.zone, ZONE_MOVABLE) != ZONE_MOVABLE:
            managed[zone.node] = managed.get(zone.node, 0) + zone.managed_pages
    return managed
