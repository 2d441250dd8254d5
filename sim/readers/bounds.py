"""Numbers in files, and those that no machine has: files that say so are damaged, or not what they seem to be."""

from __future__ import annotations

import re
from typing import Final

from sim.units import KIB, MOST_NODES

MOST_BLOCKS: Final = 1 << 19
"""Blocks of one machine: 64 TiB in blocks of 128 MiB; larger machines have larger blocks."""
HIGHEST_BLOCK: Final = 1 << 40
MOST_MEMORY: Final = 1 << 52
"""Bytes: physical addresses have 52 bits at most, on x86-64 and arm64."""
_SMALLEST_PAGE: Final = 4 * KIB
MOST_DIGITS: Final = 15
"""Of a number in a text; with more it is not looked at."""

_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,20}|0[xX][0-9a-fA-F]{1,18}")


def whole_number(text: str) -> int | None:
    """Return the number that ``text`` is as a whole, decimal or hexadecimal with ``0x``; None for anything else."""
    if _WHOLE_NUMBER.fullmatch(text) is None:
        return None
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def no_node(node: int) -> str | None:
    """Return what is wrong with a node's number, or None."""
    return None if node < MOST_NODES else f"no kernel has a node {node}; there are at most {MOST_NODES:,}"


def no_block_size(size: int) -> str | None:
    """Return what is wrong with ``size`` bytes as a memory block's, or None."""
    if size < _SMALLEST_PAGE or size & (size - 1):
        return "blocks are powers of two, of a page or more"
    return no_size(size)


def no_size(size: int) -> str | None:
    """Return what is wrong with ``size`` bytes of memory, or None."""
    return None if size <= MOST_MEMORY else "no machine has as much memory as this"
