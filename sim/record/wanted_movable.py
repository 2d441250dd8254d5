"""Memory in ZONE_MOVABLE that the host wants the guest to have: by device at most what it asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.record.arrays import sums_within

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
    followed = events.by_device
    order = followed.order
    change = np.where(events.zone == ZONE_MOVABLE, events.online_change(), 0)[order] * block_pages
    wanted = np.minimum(sums_within(change, followed.start), followed.limit)
    by_time = np.zeros(len(events), dtype=np.int64)
    by_time[order] = followed.changes(wanted)
    rows = np.sort(order)
    return events.t_us[rows], np.cumsum(by_time)[rows]
