"""Which addresses are free, so that the lowest gap for a size is found without a walk over everything that is taken.

Gaps that are adjacent are one. They are kept by address and by length: a search looks at one gap of each length that
will do, and a machine has few lengths, whatever the number of its devices.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Final

_NO_END: Final = 1 << 63


class FreeAddresses:
    """Ranges of addresses, all of which are free at first: from 0 on without an end."""

    def __init__(self) -> None:
        self._starts = [0]
        self._length = {0: _NO_END}
        """Of the gap at each of ``_starts``."""
        self._lengths = [_NO_END]
        self._of_length = {_NO_END: [0]}
        """Starts of the gaps of each of ``_lengths``, ascending."""

    def lowest(self, size: int, align: int, above: int) -> int:
        """Return the lowest multiple of ``align``, ``above`` or higher, from which ``size`` addresses are free."""
        best = _NO_END
        for at in range(bisect_left(self._lengths, size), len(self._lengths)):
            length = self._lengths[at]
            starts = self._of_length[length]
            # One that begins below ``above`` may reach beyond it.
            for number in range(bisect_right(starts, above - length), len(starts)):
                start = starts[number]
                if start >= best:
                    break
                address = -(-max(start, above) // align) * align
                if address + size <= start + length:
                    best = min(best, address)
                    break
        return best

    def is_free(self, start: int, size: int) -> bool:
        """Whether all of ``size`` addresses from ``start`` are free."""
        gap = self._gap_around(start)
        return gap is not None and start + size <= gap + self._length[gap]

    def take(self, start: int, size: int) -> None:
        """Take ``size`` addresses from ``start``, all of which are free."""
        gap = self._gap_around(start)
        assert gap is not None  # noqa: S101 - for the type: the caller knows that they are free
        gap_end = gap + self._length[gap]
        self._drop(gap)
        self._keep(gap, start)
        self._keep(start + size, gap_end)

    def give_back(self, start: int, size: int) -> None:
        """Have ``size`` addresses from ``start``, which were taken together, be free again."""
        end = start + size
        at = bisect_left(self._starts, start)
        if at < len(self._starts) and self._starts[at] == end:
            end += self._length[end]
            self._drop(self._starts[at])
        before = self._starts[at - 1] if at else -1
        if at and before + self._length[before] == start:
            self._drop(before)
            start = before
        self._keep(start, end)

    def _gap_around(self, address: int) -> int | None:
        """Return the start of the last gap that begins at or before ``address``, which may end before it."""
        at = bisect_right(self._starts, address)
        return self._starts[at - 1] if at else None

    def _drop(self, start: int) -> None:
        length = self._length.pop(start)
        del self._starts[bisect_left(self._starts, start)]
        alike = self._of_length[length]
        del alike[bisect_left(alike, start)]
        if not alike:
            del self._of_length[length]
            del self._lengths[bisect_left(self._lengths, length)]

    def _keep(self, start: int, end: int) -> None:
        """Note the gap from ``start`` to ``end``, if it is any."""
        if start == end:
            return
        length = end - start
        self._length[start] = length
        insort(self._starts, start)
        alike = self._of_length.get(length)
        if alike is None:
            self._of_length[length] = [start]
            insort(self._lengths, length)
        else:
            insort(alike, start)
