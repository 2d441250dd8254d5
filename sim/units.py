"""Sizes, page counts and times: parsed and printed at the border, plain integers inside.

Inside the simulator memory is counted in base pages (:mod:`sim.pages`) and time in integer microseconds; strings such
as ``"4GiB"`` and seconds as floats exist only in configuration files, on the command line and in output.
"""

from __future__ import annotations

import re
from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40

MEMORY_LIMIT: Final = 64 * TIB
"""Bytes of memory that x86-64 addresses with four-level page tables."""

MOST_NODES: Final = 1024
"""NUMA nodes that an x86-64 kernel can be built for (CONFIG_NODES_SHIFT is at most 10)."""

MICROSECONDS: Final = 1_000_000
"""Microseconds in a second."""

_PAGE: Final = 4 * KIB
_UNITS: Final = (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
_SUFFIXES: Final = {
    "": 1,
    "b": 1,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
    "tib": TIB,
    "ki": KIB,
    "mi": MIB,
    "gi": GIB,
    "ti": TIB,
    "k": KIB,
    "m": MIB,
    "g": GIB,
    "t": TIB,
}
_TENS: Final = "; memory comes in powers of two, such as MiB and GiB"
_HINTS: Final = {"kb": "; kB in /proc/meminfo are KiB", "mb": _TENS, "gb": _TENS, "tb": _TENS}
"""What else is said of a suffix that is none."""

_SIZE = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<suffix>[a-z]*)\s*", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Return the bytes that ``text`` stands for.

    Accepts an integer (bytes) or a string with a binary suffix (``"512MiB"``, ``"1.5 GiB"``, ``"4G"``, ``"8Gi"``).
    Raises ValueError, with what would be right, for anything else, for a fraction of a byte and for a negative size.
    """
    size, rest = _parsed(text)
    if rest:
        raise ValueError(f"{text!r} is no whole number of bytes; in whole pages {nearest(size, _PAGE)}")
    return size


def parse_rounded_size(text: str | int) -> int:
    """Return the bytes that ``text`` stands for as :func:`parse_size` does, a fraction of a byte rounded down.

    For figures that were rounded before, as ``free -h`` prints them.
    """
    return _parsed(text)[0]


def _parsed(text: str | int) -> tuple[int, int]:
    """Return whole bytes, and 0 where there is nothing beside. Raises ValueError for what is no size."""
    if isinstance(text, bool) or not isinstance(text, (int, str)):
        raise ValueError(f"{text!r} is not a size: write a number of bytes or a string such as '512MiB' or '4GiB'")
    if isinstance(text, int):
        if text < 0:
            raise ValueError(f"a size cannot be negative, but is {text}")
        return text, 0
    match = _SIZE.fullmatch(text)
    if match is None or match["suffix"].lower() not in _SUFFIXES:
        suffix = "" if match is None else match["suffix"].lower()
        hint = _HINTS.get(suffix, "")
        raise ValueError(
            f"{text!r} is not a size: write a number of bytes or a string such as '512MiB' or '4GiB'{hint}"
        )
    whole, _, fraction = match["number"].partition(".")
    scale = _SUFFIXES[match["suffix"].lower()]
    numerator: int = int(whole + fraction) * scale
    return divmod(numerator, int(10 ** len(fraction)))


def nearest(size: int, unit: int) -> str:
    """Say which multiples of ``unit`` bytes are nearest to ``size``, which is none."""
    below = size // unit * unit
    above = format_size(below + unit)
    return f"the nearest are {format_size(below)} and {above}" if below else f"the nearest is {above}"


def no_multiple(size: int, unit: int) -> str:
    """Say that ``size`` has to be a multiple of ``unit`` bytes, which it is not, and which are near."""
    return f"must be a multiple of {format_size(unit)}, but is {format_size(size)}; {nearest(size, unit)}"


def format_size(size: int) -> str:
    """Return ``size`` bytes as a string that :func:`parse_size` reads back exactly, in the largest whole unit."""
    for name, scale in _UNITS:
        if size and size % scale == 0:
            return f"{size // scale}{name}"
    return f"{size}B"


def rounded_size(size: int, digits: int = 3) -> str:
    """Return ``size`` bytes as people read them: exactly where that is short, else to three figures, or ``digits``."""
    exact = format_size(abs(size))
    sign = "-" if size < 0 else ""
    if not size:
        return "0"
    if len(exact.rstrip("KMGTiB")) <= digits:
        return sign + exact
    name, scale = next(((name, scale) for name, scale in _UNITS if abs(size) >= scale), ("B", 1))
    scaled = abs(size) / scale
    # What has as many figures before the point would be written with an exponent.
    return f"{sign}{scaled:.0f}{name}" if round(scaled) >= 10 ** (digits - 1) else f"{sign}{scaled:.{digits}g}{name}"


def rounded_time(seconds: float) -> str:
    """Return a length of time as people read it, in the unit that suits it: ``90 s``, ``2.5 hours``."""
    for unit, length in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{round(seconds / length, 2):g} {unit}"
    return f"{seconds:.6g} s"


def counted(number: int, what: str) -> str:
    """Return a number of things in words: ``1 block``, ``2 blocks``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def seconds_to_us(seconds: float) -> int:
    """Return ``seconds`` as integer microseconds, rounded to the nearest."""
    return round(seconds * MICROSECONDS)


def us_to_seconds(us: int) -> float:
    """Return integer microseconds as seconds."""
    return us / MICROSECONDS


def seconds_text(seconds: float) -> str:
    """Return ``seconds`` as a decimal number to the microsecond, without zeros behind: what files of text hold."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def parse_series(text: str) -> tuple[int, int]:
    """Return a kernel series such as ``"6.12"`` as numbers to compare: (6, 12), later than (6, 6)."""
    major, _, minor = text.partition(".")
    return int(major), int(minor)
