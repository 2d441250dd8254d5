"""The guest of a replay: whether a block in a kernel zone refuses to go offline is read off the recording, and counted.

Where the guest had put unmovable pages cannot be known without its contents. This guest answers only when the model
itself is about to empty an online block of a kernel zone (or a boot block of ZONE_MOVABLE, which may hold boot
allocations): it refuses if the recording still has the block online after the step. Everything else always succeeds,
so that the allowance hides no wrong order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.dimm import Dimm
from sim.devices.virtio_mem import VirtioMem
from sim.devices.virtio_mem_bbm import BigBlockMode
from sim.guest.bits import highest
from sim.guest.contract import OfflineOutcome, SubblockOutcome
from sim.memory.zones import ZONE_BY_LABEL, ZONE_MOVABLE, ZONE_NORMAL
from sim.units import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.devices.dax import Dax
    from sim.memory.hotplug import Memory
    from sim.replay.trace_format import Snapshot, Step

_GONE = OfflineOutcome()


class RecordedGuest:
    """Implements :class:`sim.guest.contract.Guest` for one step at a time.

    ``refused`` are the blocks that refused in this step. A guest ``under_load`` may keep blocks of ZONE_MOVABLE as
    well: moving their pages takes room elsewhere.
    """

    def __init__(self, memory: Memory, boot: Snapshot, *, under_load: bool = False) -> None:
        self._memory = memory
        self._under_load = under_load
        self._online_after: dict[int, str] = {}
        self._device: Dimm | VirtioMem | Dax | None = None
        self._keep_pages = 0
        self._give_pages: int | None = None
        self._kernel_managed = _kernel_managed(boot)
        self.refused: set[int] = set()

    def begin(self, step: Step, devices: Mapping[str, Dimm | VirtioMem | Dax]) -> None:
        """Prepare for ``step``: what the recording says is online after it, and how much the refusing blocks keep."""
        self.refused = set()
        after = step.after
        if after is None:
            return
        self._online_after = {
            block: run.zone or ""
            for run in after.blocks
            if run.state == "online"
            for block in range(run.start, run.start + run.count)
        }
        self._device = devices.get(step.id or "")
        entry = next((entry for entry in step.devices or () if entry.id == step.id), None)
        self._keep_pages = 0
        self._give_pages = None
        if isinstance(self._device, VirtioMem) and entry is not None and entry.size is not None:
            self._keep_pages = max(0, entry.size - (step.requested_size or 0)) // PAGE_SIZE
            if not self._keep_pages:
                self._give_pages = self._given_by_staying(self._device, after)
        self._kernel_managed = _kernel_managed(after)

    def _given_by_staying(self, device: VirtioMem, after: Snapshot) -> int | None:
        """Return what kernel blocks that stay give up together, for a request that was met; None if not recorded.

        The managed pages of the node's kernel zones fall by that and by what was plugged of kernel blocks that went.
        """
        before = self._kernel_managed.get(device.node)
        if before is None:
            return None
        fallen = before - _kernel_managed(after).get(device.node, 0)
        memory = self._memory
        mode = device.mode
        if isinstance(mode, BigBlockMode):
            return None
        for at, state in enumerate(mode.states.of_block):
            block = mode.first + at
            zone = memory.zone_of(block) if state else None
            if zone is not None and not zone.movable and block not in self._online_after:
                fallen -= memory.block_pages - mode.unplugged_pages(block)
        return max(0, fallen)

    def _may_refuse(self, block: int, zone: int) -> bool:
        if block not in self._online_after:
            return False
        early = bool(self._memory.blocks.flags[block] & self._memory.blocks.EARLY)
        return zone <= ZONE_NORMAL or early or self._under_load

    # The guest's contract
    # ----------------------------------------------------------------------------------------------

    def add_memory(self, node: int, first_block: int, nr_blocks: int, altmap: bool) -> bool:  # noqa: FBT001
        """No recording that can be replayed ran out of memory for the memmap."""
        return True

    def remove_memory(self, first_block: int, nr_blocks: int) -> None:
        """Nothing to note."""

    def online(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> None:
        """Nothing to note."""

    def take_subblocks(self, zone: int, node: int, block: int, mask: int, sub_pages: int) -> None:
        """Nothing to note."""

    def can_offline(self, zone: int, node: int, block: int) -> bool:
        """Say whether the block would go offline."""
        return not self._may_refuse(block, zone)

    def offline(self, zone: int, node: int, first_block: int, nr_blocks: int, pages_per_block: int) -> OfflineOutcome:
        """Refuse where the recording still has the block online after the step."""
        if not self._may_refuse(first_block, zone):
            return _GONE
        device = self._device
        if isinstance(device, VirtioMem) and isinstance(device.mode, BigBlockMode):
            if self._movable_unit_left(device, device.mode):
                return _GONE  # kernel big blocks are tried last: this refusal would hide a wrong order
            unit = first_block * self._memory.block_pages // device.mode.unit_pages
            per_unit = device.mode.unit_pages // self._memory.block_pages
            self.refused.update(self._kernel_blocks(range(unit * per_unit, (unit + 1) * per_unit)))
        elif isinstance(device, Dimm):
            self.refused.update(self._kernel_blocks(device.blocks()))
        self.refused.add(first_block)
        return OfflineOutcome(refused=(first_block,))

    def _kernel_blocks(self, blocks: range | list[int]) -> list[int]:
        zones = ((block, self._memory.zone_of(block)) for block in blocks)
        return [block for block, zone in zones if zone is not None and not zone.movable]

    def _movable_unit_left(self, device: VirtioMem, mode: BigBlockMode) -> bool:
        """Whether the recording still has a big block of the device online and wholly MOVABLE after the step."""
        per_unit = mode.unit_pages // self._memory.block_pages
        for at in range(len(mode.state)):
            start = (mode.first + at) * per_unit
            zones = {self._online_after.get(block) for block in range(start, start + per_unit)}
            if zones == {"Movable"}:
                return True
        return False

    def give_subblocks(
        self, zone: int, node: int, block: int, plugged_mask: int, sub_pages: int, most: int
    ) -> SubblockOutcome:
        """Give up the highest sub-blocks; a kernel block that stays keeps what the recording leaves over."""
        number = plugged_mask.bit_count()
        if most < number or not self._may_refuse(block, zone) or zone == ZONE_MOVABLE:
            return SubblockOutcome(highest(plugged_mask, min(most, number)))
        self.refused.add(block)
        if self._give_pages is not None:
            giving = min(number, self._give_pages // sub_pages)
            self._give_pages -= giving * sub_pages
        else:
            keeping = min(number, self._keep_pages // sub_pages)
            self._keep_pages -= keeping * sub_pages
            giving = number - keeping
        return SubblockOutcome(highest(plugged_mask, giving))


def _kernel_managed(snapshot: Snapshot) -> dict[int, int]:
    """Return managed pages of the kernel zones by node."""
    managed: dict[int, int] = {}
    for zone in snapshot.zones:
        if ZONE_BY_LABEL.get(zone.zone, ZONE_MOVABLE) != ZONE_MOVABLE:
            managed[zone.node] = managed.get(zone.node, 0) + zone.managed_pages
    return managed
