"""What of a virtio-mem device's blocks is plugged in a state, sub-block by sub-block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.specs import VirtioMemSpec
from sim.devices.virtio_mem_mode import Piece, VirtioMemParameters, piece_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.machine.spec import MachineSpec
    from sim.machine.state import AttachedDevice, BlockRun


def parameters_of(spec: VirtioMemSpec, machine: MachineSpec) -> VirtioMemParameters:
    """Return the driver's parameters for a device of ``machine``."""
    return VirtioMemParameters(
        spec.unplug_online and machine.virtio_mem_unplug_online,
        spec.force_bbm or machine.virtio_mem_force_bbm,
        spec.bbm_block_size or machine.virtio_mem_bbm_block_size,
        machine.built_for.usable_extent,
        machine.virtio_mem_driver,
    )


def piece_on(spec: VirtioMemSpec, machine: MachineSpec) -> Piece:
    """Return what a device is plugged and unplugged by on ``machine``."""
    return piece_of(
        spec.block_size,
        parameters_of(spec, machine),
        block_bytes=machine.block_size,
        geometry=machine.geometry,
        series=machine.kernel_series,
    )


def plugged_sub_blocks(
    device: AttachedDevice, runs: Sequence[BlockRun], per_block: int, sub_block: int
) -> dict[int, int]:
    """Return the plugged sub-blocks, as bitmaps, of the blocks in ``runs`` that are not fully plugged.

    Where the state has a total only, the highest sub-blocks of the highest block are taken for unplugged, then those
    of the block below, and so on; one sub-block of each stays, as the driver removes a block that has none.
    ``sub_block`` in bytes, ``per_block`` of them in a block.
    """
    if device.partly:
        return dict(device.partly)
    blocks = sum(run.blocks for run in runs)
    missing = 0 if device.plugged is None else blocks * per_block - device.plugged // sub_block
    masks: dict[int, int] = {}
    for left in (1, 0):
        for run in reversed(runs):
            for block in range(run.end - 1, run.first - 1, -1):
                if missing <= 0:
                    return masks
                plugged = masks.get(block, (1 << per_block) - 1).bit_count()
                take = min(missing, plugged - left)
                missing -= take
                masks[block] = (1 << (plugged - take)) - 1
    return masks


def plugged_on(device: AttachedDevice, runs: Sequence[BlockRun], machine: MachineSpec) -> dict[int, int]:
    """Return the same for a virtio-mem device with these blocks on ``machine``; nothing in big-block mode."""
    if not isinstance(device.spec, VirtioMemSpec):
        return {}
    piece = piece_on(device.spec, machine)
    if piece.big:
        return {}
    return plugged_sub_blocks(device, runs, machine.block_size // piece.bytes, piece.bytes)
