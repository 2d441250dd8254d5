"""Runs of blocks that hold no user page yet, in the order in which they went online: twelve bytes for most of them.

A device that grows brings its blocks in ascending order, and gives the highest back first. Runs that came so are kept
in arrays; all others in a dictionary.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FreshRuns:
    """Each run has a first block, a number of blocks, and the plugged pages of each of its blocks."""

    __slots__ = ("_counts", "_firsts", "_old", "_pages", "_starts")

    def __init__(self) -> None:
        self._old: dict[int, tuple[int, int]] = {}
        """Blocks and pages by first block, in order, of runs that are older than those in the arrays."""
        self._starts = array("q")
        """Their first blocks, ascending."""
        self._firsts = array("q")
        self._counts = array("i")
        self._pages = 0
        """Pages of all runs in the arrays."""

    def __bool__(self) -> bool:
        return bool(self._old) or bool(self._firsts)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield (first, blocks, pages), the oldest first."""
        for first, run in self._old.items():
            yield (first, *run)
        for first, count in zip(self._firsts, self._counts, strict=True):
            yield first, count, self._pages

    def add(self, first: int, count: int, pages: int) -> None:
        """Add a run, the youngest."""
        firsts = self._firsts
        if firsts and (pages != self._pages or first < firsts[-1]):
            self.set(list(self))
            firsts = self._firsts
        firsts.append(first)
        self._counts.append(count)
        self._pages = pages

    def set(self, runs: Iterable[tuple[int, int, int]]) -> None:
        """Have these runs, in this order, instead of all others."""
        self._old = {first: (count, pages) for first, count, pages in runs}
        self._starts = array("q", sorted(self._old))
        self._firsts, self._counts = array("q"), array("i")

    def start_of(self, block: int) -> int | None:
        """Return the first block of the run that a block is in, None where it is in none."""
        at = bisect_right(self._firsts, block) - 1
        if at >= 0 and block < self._firsts[at] + self._counts[at]:
            return self._firsts[at]
        at = bisect_right(self._starts, block) - 1
        if at >= 0 and block < (start := self._starts[at]) + self._old[start][0]:
            return start
        return None

    def get(self, first: int) -> tuple[int, int] | None:
        """Return (blocks, pages) of the run that begins with a block, None where none does."""
        at = bisect_left(self._firsts, first)
        if at < len(self._firsts) and self._firsts[at] == first:
            return self._counts[at], self._pages
        return self._old.get(first)

    def replug(self, first: int, pages: int) -> None:
        """Have ``pages`` plugged in each block of the run that begins with ``first``."""
        if first not in self._old:
            self.set(list(self))
        self._old[first] = (self._old[first][0], pages)

    def cut(self, first: int, count: int, pages: int | None = None) -> bool | None:
        """Forget blocks from ``first`` on where they are the last of a run, with ``pages`` in each unless that is None.

        False where they are not, None where the first of them is in no run.
        """
        firsts, counts = self._firsts, self._counts
        at = bisect_right(firsts, first) - 1
        if at >= 0 and first < (end := firsts[at] + counts[at]):
            if end != first + count or pages not in (None, self._pages):
                return False
            if firsts[at] == first:
                del firsts[at], counts[at]
            else:
                counts[at] = first - firsts[at]
            return True
        start = self.start_of(first) if self._old else None
        if start is None:
            return None
        blocks, its_pages = self._old[start]
        if start + blocks != first + count or pages not in (None, its_pages):
            return False
        if start == first:
            del self._old[start], self._starts[bisect_left(self._starts, start)]
        else:
            self._old[start] = (first - start, its_pages)
        return True

    def pop(self) -> tuple[int, int, int]:
        """Take out the oldest run."""
        run = next(iter(self))
        self.cut(run[0], run[1])
        return run
