"""Page cache in use that was dropped, and when it is in memory again: what programs read stays where there is room.

Follows mm/filemap.c (``filemap_fault``, ``filemap_get_pages``): a page that is missing is read into a free page, and is
then as any other of its file. Nothing is given up for it here: what would be, others would miss as much.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest.allocation import Allocation
    from sim.guest.changes import Changes
    from sim.guest.loads import Loads
    from sim.guest.parameters import GuestParameters
    from sim.guest.pressure import Stalls

TICKS: Final = 60
"""In how many ticks pages that are missing are read once, at most."""


class ReadBack:
    """Brings back pages of files that are read again and again, those in use, as their programs come to them.

    Each is read once within ``cache_reuse_seconds``. Time goes in ticks since boot, of a second or more: as many pages
    are read in one as in another, and no more than the disk can read. What finds no room is gone again, and read again
    after as long.

    ``due_us`` is the microsecond of the next tick: None where no page in use is missing, and where none has found room
    until something changes. Whoever has a clock calls :meth:`tick` then, before all else of that microsecond, and
    :meth:`look` after whatever may have made room. ``told`` is called when a tick is due after there was none.
    """

    def __init__(
        self, changes: Changes, allocation: Allocation, loads: Loads, stalls: Stalls, parameters: GuestParameters
    ) -> None:
        self.due_us: int | None = None
        self.told: Callable[[], None] = lambda: None
        self._changes = changes
        self._allocation = allocation
        self._loads = loads
        self._stalls = stalls
        period_us = parameters.cache_reuse_seconds * MICROSECONDS
        self._tick_us = max(MICROSECONDS, round(period_us / TICKS))
        self._ticks_of_period = period_us / self._tick_us
        self._turns = deque([0] * max(1, int(self._ticks_of_period)))
        """Missing pages by when they are read: at the next tick, at the one after it, and so on."""
        self._missing = 0
        """All of these."""
        each_us = parameters.refault_us
        self._most = max(1, int(self._tick_us / each_us)) if each_us else None
        """Pages that can be read from disk in a tick."""
        stalls.dropped = self.look

    def look(self) -> None:
        """Have pages come back from the next tick on, if any are missing."""
        if self._stalls.lost and self.due_us is None:
            self.due_us = self._next()
            self.told()

    def _next(self) -> int:
        now = self._stalls.clock()
        return now - now % self._tick_us + self._tick_us

    def tick(self) -> bool:
        """Bring back what was read since the last tick, as far as there is room; return whether anything changed."""
        self._follow()
        turns, stalls = self._turns, self._stalls
        wanted = turns.popleft()
        read = wanted if self._most is None else min(wanted, self._most)
        came = self._bring(read)
        self._changes.count += came > 0
        turns.append(read - came)
        turns[0] += wanted - read
        self._missing = lost = stalls.lost
        if read and not came:
            self._turns = deque([0] * len(turns))  # dealt out anew once there is room
            self._missing = 0
        going_on = self._missing > 0
        self.due_us = self._next() if going_on else None
        changed = stalls.read_next(self._turns[0] * self._ticks_of_period - lost if going_on else 0.0)
        return changed or came > 0

    def _follow(self) -> None:
        """Take note of what was dropped since the last tick, and of what nobody wants any more."""
        turns, missing, lost = self._turns, self._missing, self._stalls.lost
        if lost > missing:
            each, rest = divmod(lost - missing, len(turns))
            for number in range(len(turns)):
                turns[number] += each + (number < rest)
        elif lost < missing:
            before = kept = 0
            for number, pages in enumerate(turns):
                before += pages
                turns[number] = before * lost // missing - kept
                kept += turns[number]

    def _bring(self, pages: int) -> int:
        """Bring pages back, of each load by what it misses; return how many there was room for."""
        came, lost = 0, self._stalls.lost
        for load in list(self._loads.by_name.values()) if pages else ():
            part = min(-(-load.lost * pages // lost), pages - came)
            if part:
                came += self._allocation.read_back(load, part)
        return came
