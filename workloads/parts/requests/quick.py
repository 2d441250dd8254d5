"""The rows that make up nearly all of a long log, read the short way: a resize or a demand, sound, and nothing else.

What is in any way otherwise is left to :mod:`workloads.parts.requests.reader`, which says what is wrong if anything is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.plugins.values import SECONDS_LIMIT
from sim.units import MEMORY_LIMIT, parse_size, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workloads.parts.requests.kept import KeptRequests
    from workloads.parts.requests.reader import RequestReader

_READ: Final = ("t_s", "op", "device", "kind", "size_bytes")
_UNREAD: Final = (*_READ, "note")
_MOST_SIZES: Final = 4096
_LONGEST: Final = 18
"""Digits of a size that is looked at here."""


class QuickRows:
    """Takes rows of a log whose ``columns`` are these, in this order, by ``reader`` into ``requests``."""

    def __init__(self, columns: Sequence[str], reader: RequestReader, requests: KeptRequests) -> None:
        self._places = [columns.index(name) if name in columns else -1 for name in _READ]
        self._others = [number for number, name in enumerate(columns) if name not in _UNREAD]
        self._reader = reader
        self._requests = requests
        self._sizes: dict[str, int] = {}
        """Sizes by how they are written with a unit."""

    def take_fields(self, fields: Sequence[str]) -> bool:
        """Take the row of these fields. False: it is not of those that are taken here, and nothing has changed."""
        for number in self._others:
            if fields[number]:
                return False
        time, op, device, kind, size = self._places
        return self._take(
            fields[time],
            fields[op],
            fields[device],
            fields[kind] if kind >= 0 else "",
            fields[size] if size >= 0 else "",
        )

    def take_object(self, row: dict[str, Any]) -> bool:
        """Take the row in a JSON object likewise."""
        for name in row:
            if name not in _UNREAD:
                return False
        time, op, device = row.get("t_s"), row.get("op"), row.get("device")
        kind, size = row.get("kind", ""), row.get("size_bytes")
        if isinstance(row.get("note"), list):
            return False
        if time.__class__ not in (int, float, str) or size.__class__ not in (int, str):
            return False
        if not op.__class__ is device.__class__ is kind.__class__ is str:
            return False
        return self._take(time, op, device, kind, size)

    def _take(self, time: str | float, op: str, device: str, kind: str, size: str | int) -> bool:
        try:
            seconds = float(time)
        except (ValueError, OverflowError):
            return False
        if not 0 <= seconds <= SECONDS_LIMIT or not device:
            return False
        amount = size if isinstance(size, int) else self._size(size)
        if not 0 <= amount <= MEMORY_LIMIT:
            return False
        t_us = seconds_to_us(seconds)
        if not self._reader.takes_plain(t_us, op, device, kind, amount):
            return False
        self._requests.add(t_us, op, device, kind, amount)
        return True

    def _size(self, text: str) -> int:
        """Return the bytes, -1 where that takes a closer look."""
        if len(text) <= _LONGEST and text.isascii() and text.isdecimal():
            return int(text)
        size = self._sizes.get(text)
        if size is None:
            try:
                size = parse_size(text) if len(text) <= _LONGEST else -1
            except ValueError:
                size = -1
            if len(self._sizes) < _MOST_SIZES:
                self._sizes[text] = size
        return size
