"""Texts with numbers in them, kept small: one pattern for all that differ in nothing but their numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

PAGES: Final = "\x01"
"""In a pattern: here stands a number of pages, which people are told as a size."""

PLAIN: Final = "\x02"
"""In a pattern: here stands another number."""

_NUMBER: Final = re.compile(r"(?<![\w.])(?:0|[1-9]\d{0,14})(?![\w.]|,\d)")
_FEW: Final = 256
"""Pages below which a number is rather something else."""

Args = tuple[int, ...]


class Texts:
    """Patterns by number, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def patterns(self) -> list[str]:
        """All patterns."""
        return list(self._numbers)

    def take(self, text: str, pages: Collection[int] = ()) -> tuple[int, Args]:
        """Return the number of the pattern of ``text`` and the numbers in it; ``pages`` are those that count pages."""
        args: list[int] = []

        def placed(match: re.Match[str]) -> str:
            value = int(match[0])
            args.append(value)
            return PAGES if value in pages and value >= _FEW else PLAIN

        # What stands for numbers must not be in the text itself.
        clean = text.replace(PAGES, " ").replace(PLAIN, " ")
        pattern = _NUMBER.sub(placed, clean)
        return self._numbers.setdefault(pattern, len(self._numbers)), tuple(args)


def packed(values: Iterable[int]) -> str:
    """Return ``values`` in a row, each with how often it is repeated: ``0*12,4,-1*3``."""
    parts: list[list[int]] = []
    for value in values:
        if parts and parts[-1][0] == value:
            parts[-1][1] += 1
        else:
            parts.append([value, 1])
    return ",".join(f"{value}*{times}" if times > 1 else f"{value}" for value, times in parts)
