"""Page cache in use that was dropped, and when it is in memory again: what programs read stays where there is room.

Follows mm/filemap.c (``filemap_fault``, ``filemap_get_pages``): a page that is missing is read into a free page, and is
then as any other of its file. Nothing is given up for it here: what would be, others would miss as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest.allocation import Allocation
    from sim.guest.loads import Loads
    from sim.guest.parameters import GuestParameters
    from sim.guest.pressure import Stalls

TICK_US: Final = MICROSECONDS
"""How often pages come back, in microseconds since boot: all that were read since the tick before."""


class ReadBack:
    """Brings back pages of files that are read again and again, those in use, as their programs come to them.

    Each is read once within ``cache_reuse_seconds``, as many in a tick as in another, and no more than the disk can
    read. Where there is no room they are read all the same, and are gone again.

    ``due_us`` is the microsecond of the next tick: None where no page in use is missing, and where none has found room
    until something changes. Whoever has a clock calls :meth:`tick` then, before all else of that microsecond, and
    :meth:`look` after whatever may have made room. ``told`` is called when a tick is due after there was none.
    """

    def __init__(self, allocation: Allocation, loads: Loads, stalls: Stalls, parameters: GuestParameters) -> None:
        self.due_us: int | None = None
        self.told: Callable[[], None] = lambda: None
        self._allocation = allocation
        self._loads = loads
        self._stalls = stalls
        self._ticks = self._left = max(1, round(parameters.cache_reuse_seconds * MICROSECONDS / TICK_US))
        """In how many ticks all are read once; in how many those that are missing now."""
        each_us = parameters.refault_us
        self._most = max(1, int(TICK_US / each_us)) if each_us else None
        """Pages that can be read from disk in a tick."""
        self._missing = 0
        """After the last tick."""
        stalls.dropped = self.look

    def look(self) -> None:
        """Have pages come back from the next tick on, if any are missing."""
        if self._stalls.lost and self.due_us is None:
            self.due_us = self._next()
            self.told()

    def _next(self) -> int:
        now = self._stalls.clock()
        return now - now % TICK_US + TICK_US

    def tick(self) -> bool:
        """Bring back what was read since the last tick, as far as there is room; return whether anything came."""
        stalls = self._stalls
        lost = stalls.lost
        if lost > self._missing:
            self._left = self._ticks  # they are read within a whole period from now
        wanted = -(-lost // self._left)
        if self._most is not None:
            wanted = min(wanted, self._most)
        came = 0
        for load in list(self._loads.by_name.values()) if wanted else ():
            part = min(-(-load.lost * wanted // lost), wanted - came)
            if part:
                came += self._allocation.read_back(load, part)
        self._missing = stalls.lost
        # What found no room is read again within a whole period.
        self._left = max(1, self._left - 1) if stalls.lost and came == wanted else self._ticks
        stalls.read_within(self._left, self._ticks)
        self.due_us = self._next() if stalls.lost and came else None
        return came > 0
