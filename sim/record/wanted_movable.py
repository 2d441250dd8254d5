"""Memory in ZONE_MOVABLE that the host wants the guest to have: by device at most what it asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.record.arrays import order_by, starts_to_rows, sums_within
from sim.record.events import ONLINE_SIGN
from sim.record.recorder import NO_DEVICE, EventKind
from sim.record.series import NEVER_ASKED

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.events import Events

    Integers = npt.NDArray[np.int64]


def wanted_movable(events: Events, block_pages: int) -> tuple[Integers, Integers]:
    """Return when it changes (microseconds, ascending) and the pages from each of these events on.

    Sum over devices of the lesser of what is online in ZONE_MOVABLE and what the host asks for: memory that it has
    asked back and that refuses to leave does not count. Of several changes in one instant the last holds. A device of
    which nothing has been asked may have everything, one that is gone nothing.
    """
    asks = (events.kind == EventKind.REQUEST) | events.gone()
    rows = np.flatnonzero((events.device != NO_DEVICE) & (asks | (ONLINE_SIGN[events.kind] != 0)))
    order = rows[order_by(events.device[rows])]
    if not len(order):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first = np.diff(events.device[order], prepend=-1) != 0
    start = starts_to_rows(first)
    change = np.where(events.zone == ZONE_MOVABLE, events.online_change(), 0)[order] * block_pages
    movable = sums_within(change, start)
    # The row of the last request so far, which may be another device's: one before the device's first row is.
    last = np.maximum.accumulate(np.where(asks[order], np.arange(len(order)), -1))
    asked = np.where(last >= start, events.requested[order][last], NEVER_ASKED)
    wanted = np.minimum(movable, asked)
    delta = np.diff(wanted, prepend=0)
    delta[first] = wanted[first]
    by_time = np.zeros(len(events), dtype=np.int64)
    by_time[order] = delta
    rows = np.sort(rows)
    return events.t_us[rows], np.cumsum(by_time)[rows]
