"""How a virtio-mem device in sub-block mode takes over the blocks that a run starts with, and what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.virtio_mem_bbm import BigBlockMode
from sim.devices.virtio_mem_sub_blocks import (
    PARTIAL_OF,
    SBM_KERNEL,
    SBM_MOVABLE,
    SBM_NEVER_USED,
    SBM_OFFLINE,
    SBM_UNUSED,
)
from sim.memory.zones import ZONE_MOVABLE
from sim.record.recorder import NO_ZONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.devices.virtio_mem_sbm import SubBlockMode
    from sim.kernel.found_memory import FoundRun


def find_sub_blocks(mode: SubBlockMode, runs: Sequence[FoundRun], partly: Mapping[int, int]) -> None:
    """Note the state of all blocks of ``runs``; ``partly`` has a bitmap of the plugged sub-blocks of some.

    Blocks that are missing below the highest one were there once: the driver adds new ones from below.
    """
    states = mode.states
    for run in runs:
        state = SBM_OFFLINE if run.zone == NO_ZONE else SBM_MOVABLE if run.zone == ZONE_MOVABLE else SBM_KERNEL
        for block in range(run.first, run.first + run.blocks):
            at = block - mode.first
            if block in partly:
                states.masks[at] = partly[block]
                states.set(at, PARTIAL_OF[state])
            else:
                states.set(at, state)
        if state == SBM_OFFLINE:
            mode.offline_pages += run.blocks * mode.unit_pages
        mode.next_new = max(mode.next_new, run.first + run.blocks - mode.first)
    for at in range(mode.next_new):
        if states.of_block[at] == SBM_NEVER_USED:
            states.set(at, SBM_UNUSED)


def partly_plugged(mode: SubBlockMode | BigBlockMode) -> dict[int, int]:
    """Return the blocks that are not fully plugged, each with a bitmap of its plugged sub-blocks."""
    if isinstance(mode, BigBlockMode):
        return {}
    return {mode.first + at: mask for at, mask in mode.states.masks.items()}
