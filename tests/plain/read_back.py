"""Pages of files that were dropped and are read again, plainly: each has the second in which its program comes to it.

Written beside :mod:`sim.guest.read_back`, page by page.
"""

from __future__ import annotations


class Deck:
    """Missing pages, dealt out to the ``seconds`` in which all are read once like cards; ``most`` are read in one."""

    def __init__(self, seconds: int, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._hands: list[int] = []
        """How many pages are read in each second to come."""

    def second(self, missing: int, room: int) -> int:
        """Let a second pass, at whose end so many pages are missing; return how many come back into ``room`` pages."""
        if missing > sum(self._hands):
            self._hands = self._dealt(missing, self._seconds)
        elif missing < sum(self._hands):  # those that nobody wants are of any second
            self._hands = self._dealt(missing, len(self._hands))
        if not missing:
            return 0
        read = min(self._hands[0], self._most)
        came = min(read, room)
        if came < read:
            self._hands = self._dealt(missing - came, self._seconds)
        else:
            self._hands = self._dealt(missing - came, max(1, len(self._hands) - 1))
        return came

    @staticmethod
    def _dealt(pages: int, seconds: int) -> list[int]:
        return [len(range(number, pages, seconds)) for number in range(seconds)] if pages else []
