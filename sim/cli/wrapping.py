"""Text in lines that fit a terminal by the cells that it takes there, in which some characters are two wide."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLANKS: Final = re.compile(r"[ \t\n\r]+")
"""Not the one at which no line ends."""

_WORDS: Final = re.compile("( *)([^ ]+)")


def wrapped(text: str, width: int, *, begin: str = "", further: str = "", cut: bool = True) -> list[str]:
    """Return ``text`` in lines of at most ``width`` cells, ``begin`` before the first, ``further`` before the others.

    Lines end at blanks, which are one between words, and beside wide characters, as their scripts have no blanks. What
    is wider than a line has room is cut where it must be, or with ``cut`` False stands in a line of its own.
    """
    lines: list[str] = []
    line, empty = begin, True
    for word in _BLANKS.split(text):
        blank = " "
        for part in _parts(word, max(width - cell_len(further), 1), cut=cut):
            if empty:
                line, empty = line + part, False
            elif cell_len(line + blank + part) <= width:
                line += blank + part
            else:
                lines.append(line)
                line = further + part
            blank = ""
    return lines if empty else [*lines, line]


def widest_part(text: str) -> int:
    """Return the cells of the widest part of ``text`` in which no line ends."""
    return max((cell_len(part) for word in _BLANKS.split(text) for part in _parts(word, 0, cut=False)), default=0)


def _parts(word: str, room: int, *, cut: bool) -> Iterator[str]:
    """Yield what no line ends in: each wide character, and runs of others, cut to ``room`` where that is asked for."""
    run = ""
    for character in word:
        wide = cell_len(character) > 1
        ends = bool(run) and (wide or cell_len(run[-1:]) > 1 or (cut and cell_len(run + character) > room))
        if ends and cell_len(character):  # an accent stays with what it stands on
            yield run
            run = ""
        run += character
    if run:
        yield run


def folded(line: str, width: int, *, cut: bool = False) -> str:
    """Return ``line``, with line ends at blanks where it is wider than ``width`` cells; words only with ``cut``.

    Blanks within it are kept, as columns may stand below each other; what is put on a line of its own is indented.
    """
    if cell_len(line) <= width:
        return line
    indent = len(line) - len(line.lstrip(" "))
    further = " " * min(indent + 2, width // 2)
    lines: list[str] = []
    current = ""
    for blanks, word in _WORDS.findall(line):
        gap = blanks
        for part in _parts(word, width - len(further), cut=cut):
            if current.strip() and cell_len(current + gap + part) > width:
                lines.append(current)
                current = further + part
            else:
                current += gap + part
            gap = ""
    return "\n".join([*lines, current])
