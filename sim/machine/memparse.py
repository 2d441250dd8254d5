"""Numbers as the kernel reads them on its command line: sizes (``memparse``), whole numbers and booleans.

As ``lib/cmdline.c`` and ``lib/kstrtox.c`` have them.
"""

from __future__ import annotations

import re
from typing import Final

_NUMBER = re.compile(r"0[xX](?P<hex>[0-9a-fA-F]+)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]*)")
_BASES: Final = {"hex": 16, "octal": 8, "decimal": 10}
_UNITS: Final = "KMGTPE"
_MASK: Final = (1 << 64) - 1
_LETTERS_SINCE: Final = (5, 19)  # t and f


def number(text: str) -> tuple[int, str]:
    """Return the number that ``text`` begins with (``simple_strtoull`` with base 0), and the rest; 0 for none."""
    match = _NUMBER.match(text)
    if match is None:
        return 0, text
    kind = str(match.lastgroup)
    # Python refuses to read numbers of thousands of digits; the kernel goes on and keeps the lowest 64 bits.
    digits = match[kind]
    value = 0
    for digit in digits:
        value = (value * _BASES[kind] + int(digit, 16)) & _MASK
    return value, text[match.end() :]


def size(text: str) -> tuple[int, str]:
    """Return the bytes that ``text`` begins with, a number and perhaps one of K, M, G, T, P and E; and the rest."""
    value, rest = number(text)
    if rest and rest[0].upper() in _UNITS:
        return value << 10 * (_UNITS.index(rest[0].upper()) + 1) & _MASK, rest[1:]
    return value, rest


def whole(text: str, bits: int = 32) -> int | None:
    """Return the number that ``text`` is as a whole (``kstrtouint``); None where it is none or too large."""
    digits = text.removeprefix("+")
    match = _NUMBER.fullmatch(digits)
    if match is None or len(digits) > 2 * bits:
        return None
    kind = str(match.lastgroup)
    value = int(match[kind], _BASES[kind])
    return value if value < 1 << bits else None


def boolean(text: str, series: tuple[int, int]) -> bool | None:
    """Return what ``text`` says in a kernel of ``series`` (``kstrtobool``): its first letters decide; None: nothing."""
    first = text[:1].lower()
    if first == "o":
        return {"n": True, "f": False}.get(text[1:2].lower())
    known = {"y": True, "1": True, "n": False, "0": False}
    if series >= _LETTERS_SINCE:
        known |= {"t": True, "f": False}
    return known.get(first)
