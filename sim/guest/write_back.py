"""Dirty page cache, and when it reaches the disk: what is written back can be given up from then on.

Follows mm/page-writeback.c (``balance_dirty_pages``) and fs/fs-writeback.c (``wb_check_old_data_flush``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.units import seconds_to_us

if TYPE_CHECKING:
    from sim.guest.loads import Load, Loads
    from sim.guest.parameters import GuestParameters
    from sim.guest.zones import GuestZones


class WriteBack:
    """``now_us`` is the time that it was told last; ``due_us`` when dirty pages are written next, None without any."""

    def __init__(self, zones: GuestZones, loads: Loads, parameters: GuestParameters) -> None:
        self.now_us = 0
        self.due_us: int | None = None
        self._zones = zones
        self._loads = loads
        self._share = parameters.dirty_share
        self._expire_us = seconds_to_us(parameters.dirty_expire_seconds)
        self._period_us = max(1, seconds_to_us(parameters.dirty_flush_seconds))
        self._written: dict[str, list[tuple[int, int]]] = {}
        """By load: when its dirty pages are due, and how many; the oldest first."""

    def advance(self, now_us: int) -> None:
        """Let time pass: what was written long enough ago has reached the disk."""
        self.now_us = now_us
        if self.due_us is None or now_us < self.due_us:
            return
        for name, written in list(self._written.items()):
            young = [(due, pages) for due, pages in written if due > now_us]
            load = self._loads.by_name.get(name)
            if load is not None:
                # Whatever else makes dirty pages fewer takes the oldest as well.
                load.dirty = min(load.dirty, sum(pages for _, pages in young))
            if load is not None and young:
                self._written[name] = young
            else:
                del self._written[name]
        self.due_us = min((written[0][0] for written in self._written.values()), default=None)

    def wrote(self, load: Load, pages: int) -> None:
        """Have a load write pages that are in memory: of more than there is room for at once, the last ones."""
        load.dirty = min(load.dirty + pages, load.user_pages())
        # The flusher looks now and then, and writes what has become old enough since.
        due = -(-(self.now_us + self._expire_us) // self._period_us) * self._period_us
        written = self._written.setdefault(load.name, [])
        if written and written[-1][0] == due:
            pages += written.pop()[1]
        written.append((due, pages))
        if self.due_us is None:
            self.due_us = due

    def limit(self) -> None:
        """Let the oldest dirty pages reach the disk while there are more than the limit."""
        loads = self._loads.by_name.values()
        total = sum(load.dirty for load in loads)
        limit = int(self._share * sum(zone.free + zone.cache for zone in self._zones.by_key.values()))
        for load in loads:
            if total <= limit:
                return
            written = min(load.dirty, total - limit)
            load.dirty -= written
            total -= written

    def sync(self) -> None:
        """Write all dirty page cache to disk."""
        for load in self._loads.by_name.values():
            load.dirty = 0
        self._written.clear()
        self.due_us = None
