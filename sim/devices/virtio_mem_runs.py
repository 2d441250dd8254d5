"""Runs of whole blocks that virtio-mem in sub-block mode plugs or unplugs one after the other, nothing in between.

What goes for each block is in :mod:`sim.devices.virtio_mem_sbm`, which asks here first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.devices.virtio_mem_sub_blocks import SBM_KERNEL, SBM_MOVABLE
from sim.kernel.large_steps import LEAST, plug_run, unplug_run
from sim.memory.zones import ZONE_MOVABLE

if TYPE_CHECKING:
    from sim.devices.virtio_mem_mode import ModeDevice
    from sim.devices.virtio_mem_sub_blocks import SubBlockStates

_STATE_OF_ZONE: Final = bytes(SBM_MOVABLE if zone == ZONE_MOVABLE else SBM_KERNEL for zone in range(256))


class BlockRuns:
    """Plugs and unplugs runs of a device's blocks, known by their offset from ``first``.

    Each takes ``plug_wait`` or ``unplug_wait`` microseconds. Nobody has the lock when a run is asked for, and who asks
    waits for as many blocks as there were.
    """

    __slots__ = ("_block_bytes", "_device", "_first", "_plug_wait", "_states", "_unplug_wait")

    def __init__(
        self, device: ModeDevice, states: SubBlockStates, first: int, plug_wait: int, unplug_wait: int
    ) -> None:
        self._device = device
        self._states = states
        self._first = first
        self._plug_wait = plug_wait
        self._unplug_wait = unplug_wait
        self._block_bytes = device.context.block_bytes

    def plug(self, at: int, most: int, end: int) -> int:
        """Plug ``most`` blocks from ``at`` on, before ``end``, or as many as nothing comes between; return how many."""
        device, states = self._device, self._states
        most = min(
            most, end - at, device.steps(self._plug_wait), (device.requested - device.plugged) // self._block_bytes
        )
        if most < LEAST or (most := states.same(at, most)) < LEAST:
            return 0
        zones = plug_run(device.core, device.index, self._first + at, most, device.group, self._plug_wait)
        if zones:
            states.set_run(at, zones.translate(_STATE_OF_ZONE))
            device.plugged += len(zones) * self._block_bytes
        return len(zones)

    def unplug(self, at: int, most: int) -> int:
        """Unplug ``most`` online blocks, that at ``at`` and those of its state below; return how many, maybe none."""
        device, states = self._device, self._states
        most = min(most, device.steps(self._unplug_wait))
        if most < LEAST:
            return 0
        pieces = states.down_from(at, most)
        if sum(count for _, count in pieces) < LEAST:
            return 0
        first = self._first
        blocks = [(first + low, count) for low, count in pieces]
        gone = unplug_run(device.core, device.index, blocks, self._unplug_wait)
        states.remove_all([(low - first, count) for low, count in gone])
        number = sum(count for _, count in gone)
        device.plugged -= number * self._block_bytes
        return number
