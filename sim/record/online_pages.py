"""Which part of what is plugged is online: a device's plugged pages that lie in online blocks, change by change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.record.arrays import counted_up, group_starts, order_by, starts_to_rows
from sim.record.events import OFFLINE_SIGN, ONLINE_SIGN, PLUGGED_SIGN, Events
from sim.record.recorder import NO_DEVICE, EventKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.run_result import BootMemory

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_APPEARING = (EventKind.PLUG, EventKind.ADD)
_VANISHING = (EventKind.REMOVE, EventKind.UNPLUG)
_WITHIN = (EventKind.SUBPLUG, EventKind.SUBUNPLUG)


def online_pages_change(events: Events, block_pages: int, boot: BootMemory) -> Integers:
    """Return by how many pages each event changes what is both plugged of its device and online.

    Sub-blocks that virtio-mem plugs into an offline block count when the block goes online, those that it has not
    plugged never do; blocks of boot memory are plugged by no device, even where one calls them its own.
    """
    change = events.plugged_change()
    of_device = events.device != NO_DEVICE
    change[~of_device] = 0
    waiting = _devices_of(events, (OFFLINE_SIGN[events.kind] != 0) & of_device)
    if not waiting.any():
        return change  # nothing is ever offline: what is plugged is online
    whole_blocks = events.blocks * block_pages
    odd = (PLUGGED_SIGN[events.kind] != 0) & (np.abs(events.plugged_change()) != whole_blocks)
    end_of_boot = max((run.first + run.blocks for run in boot.runs), default=0)
    odd |= events.of_kind(*_WITHIN) | ((OFFLINE_SIGN[events.kind] != 0) & (events.block < end_of_boot))
    by_block = waiting & _devices_of(events, odd & of_device)
    # Where all blocks are plugged as a whole, as a DIMM's are, there is no need to know one from another.
    rows = np.flatnonzero(of_device & (waiting & ~by_block)[events.device])
    change[rows] = (ONLINE_SIGN[events.kind] * whole_blocks)[rows]
    about_blocks = (ONLINE_SIGN[events.kind] != 0) | (OFFLINE_SIGN[events.kind] != 0) | (PLUGGED_SIGN[events.kind] != 0)
    rows = np.flatnonzero(of_device & about_blocks & by_block[events.device])
    change[rows] = _change_by_block(events.take(rows))
    return change


def _devices_of(events: Events, flags: Flags) -> Flags:
    """Flag the devices, by index, that any event of ``flags`` is about. The last entry is for NO_DEVICE: never set."""
    devices = np.zeros(int(events.device.max(initial=NO_DEVICE)) + 2, dtype=np.bool_)
    devices[events.device[flags]] = True
    return devices


def _change_by_block(events: Events) -> Integers:
    """Return the change of each of ``events``, all of them about blocks of devices, by following every block."""
    source = np.repeat(np.arange(len(events)), events.blocks)
    block = events.block[source] + counted_up(events.blocks)
    order = order_by(block)
    source = source[order]
    first = group_starts(block[order])
    kind = events.kind[source]

    # What is plugged of the block after each piece: the sum since the block was last removed.
    plugging = np.isin(kind, (*_APPEARING, *_WITHIN))
    pages = np.where(plugging, (events.plugged_change() // np.maximum(events.blocks, 1))[source], 0)
    anew = first | np.isin(kind, _VANISHING)
    sums = np.cumsum(pages)
    plugged = sums - (sums - np.where(first, pages, 0))[starts_to_rows(anew)]
    # Whether it is online: as the last piece says that changed it.
    says = starts_to_rows(first | ~np.isin(kind, _WITHIN))
    online = np.where((ONLINE_SIGN[kind] > 0)[says], plugged, 0)

    before = np.concatenate((np.zeros(1, dtype=np.int64), online[:-1]))
    change = np.zeros(len(events), dtype=np.int64)
    np.add.at(change, source, online - np.where(first, 0, before))
    return change
