"""What freed kernel memory of one kind leaves behind in a zone: pageblocks that a few long-lived pages hold."""

from __future__ import annotations

from math import exp


class Remains:
    """Loads of one kind in one zone. The long-lived pages of all together lie at random in the pageblocks of all.

    Their number is that of a wave: of what the kind has at its height, from when it has the first pageblock until it
    has none. So many small loads leave no more behind than one that is as large as all of them.
    """

    __slots__ = ("alive", "height", "owed")

    def __init__(self) -> None:
        self.alive = 0
        """Pageblocks that are claimed for loads of the kind."""
        self.height = 0
        """The most that there were in this wave."""
        self.owed = 0.0
        """Pageblocks that should have stayed by now, less those that did."""

    def claimed(self, pageblocks: int) -> None:
        """Note that loads of the kind have claimed pageblocks."""
        self.alive += pageblocks
        self.height = max(self.height, self.alive)

    def vacated(self, pageblocks: int, most: float) -> int:
        """Note that a load has freed pageblocks; return how many of them stay held.

        ``most`` is the number of long-lived pages in the whole wave. Pages at random hit some pageblocks twice: of
        ``n`` pageblocks with ``m`` of them ``n * (1 - exp(-m / n))`` stay. What rounding takes off, later ones have.
        """
        self.owed += pageblocks * (1.0 - exp(-most / self.height)) if self.height else 0.0
        staying = min(pageblocks, max(0, round(self.owed)))
        self.owed -= staying
        self.alive -= pageblocks
        if self.alive <= 0:
            self.alive = self.height = 0
            self.owed = 0.0
        return staying
