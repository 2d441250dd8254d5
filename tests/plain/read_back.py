"""Pages of files that were dropped and are read again, plainly: each is known by the second in which it is read.

Written beside :mod:`sim.guest.read_back`, page by page.
"""

from __future__ import annotations


class Deck:
    """Missing pages, dealt out like cards to the ``period`` seconds in which all are read; the disk reads ``most``."""

    def __init__(self, period: int, most: int) -> None:
        self._period = period
        self._most = most
        self._second = 0
        self._pages: list[int] = []
        """The second at whose end each is read, in order."""

    def second(self, missing: int, room: int) -> int:
        """Let a second pass, at whose end so many pages are missing; return how many come back into ``room`` pages."""
        self._second += 1
        known = len(self._pages)
        if missing < known:  # of those that come first as many are wanted no more as of those that come last
            self._pages = [self._pages[(page * known - 1) // missing] for page in range(1, missing + 1)]
        new = [self._second + page % self._period for page in range(missing - known)]
        self._pages = sorted(self._pages + new)
        due = sum(at <= self._second for at in self._pages)
        read = min(due, self._most)
        came = min(read, room)
        if read and not came:
            self._pages = []
            return 0
        late = [self._second + 1] * (due - read)
        again = [self._second + self._period] * (read - came)
        self._pages = sorted(late + self._pages[due:] + again)
        return came
