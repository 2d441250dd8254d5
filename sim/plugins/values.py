"""Single values as they stand in an experiment file: each checked, and returned in the program's terms."""

from __future__ import annotations

import math
import re
from typing import Final

from sim.faults import shown
from sim.units import MEMORY_LIMIT, parse_rounded_size, parse_size

INTEGER_LIMIT: Final = (1 << 63) - 1
"""Largest number that an experiment file may hold: what a 64-bit counter of the kernel or a column of a result can."""

HEXADECIMAL: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}")
"""How an address is written beside as a size."""


SECONDS_LIMIT: Final = 1_000_000_000
"""Longest time, some 31 years: a longer one is taken for a slip, and in microseconds this still fits into 64 bits."""


def integer(value: object) -> int:
    """Return ``value`` if it is a whole number that fits into 64 bits. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{shown(value)} is not a whole number")
    if not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:
        raise ValueError(f"{shown(value)} is too large; 64 bits must hold it")
    return value


def number(value: object) -> float:
    """Return ``value`` as a finite float. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{shown(value)} is not a number")
    if isinstance(value, int):
        return float(integer(value))
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return value


def size(value: object, *, rounded: bool = False) -> int:
    """Return ``value`` (bytes, or a string with a unit) in bytes, at most 64 TiB. Raises ValueError.

    Of a figure that was ``rounded`` before, a fraction of a byte is dropped.
    """
    if not isinstance(value, (int, str)) or isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not a size: write a number of bytes or a string such as '4GiB'")
    if isinstance(value, str) and len(value) > 40:  # noqa: PLR2004  nothing that long is a size; keeps the message short
        raise ValueError(f"{shown(value)} is not a size: write a number of bytes or a string such as '4GiB'")
    parsed = parse_rounded_size(value) if rounded else parse_size(value)
    if parsed > MEMORY_LIMIT:
        raise ValueError(f"{shown(value)} is more than x86-64 addresses (64TiB)")
    return parsed


def address(value: object) -> int:
    """Return ``value`` (as a size, or a string such as ``"0x140000000"``) as a byte address. Raises ValueError."""
    if isinstance(value, str) and HEXADECIMAL.fullmatch(value):
        return size(int(value, 16))
    try:
        return size(value)
    except ValueError as fault:
        raise ValueError(f"{fault}; an address may also be written as '0x140000000'") from None


def seconds(value: object) -> float:
    """Return ``value`` as seconds, not negative. Raises ValueError."""
    try:
        parsed = number(value)
    except ValueError as fault:
        raise ValueError(f"{fault}; write a number of seconds") from None
    if parsed < 0:
        raise ValueError(f"a time cannot be negative, but is {value}")
    if parsed > SECONDS_LIMIT:
        raise ValueError(f"must be at most {SECONDS_LIMIT} seconds, but is {shown(value)}")
    return parsed


def percent(value: object) -> int:
    """Return ``value`` as a whole percentage, not negative. Raises ValueError."""
    parsed = integer(value)
    if parsed < 0:
        raise ValueError(f"a percentage cannot be negative, but is {value}")
    return parsed


def boolean(value: object) -> bool:
    """Return ``value`` if it is true or false. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} is neither true nor false")
    return value


def string(value: object) -> str:
    """Return ``value`` if it is a string. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a string")
    if "\0" in value:
        raise ValueError(f"{shown(value)} holds a zero byte")
    return value
