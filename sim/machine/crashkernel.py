"""The boot parameter ``crashkernel=``: how much memory it takes (``kernel/crash_reserve.c``, 6.x).

Where it lies does not matter here, except that memory above 4 GiB brings a part below beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.machine import memparse
from sim.machine.address_map import LOW_MEMORY
from sim.units import MIB

if TYPE_CHECKING:
    from sim.machine.architecture import Architecture

_SUFFIXES: Final = ("high", "low", "cma")
_LOW_BY_DEFAULT: Final = {"x86-64": 256 * MIB, "arm64": 128 * MIB}
_ROUNDING: Final = 128 * MIB


class CrashKernel:
    """The words ``crashkernel=`` of a command line: the last of each kind counts."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, str]] = {}

    @property
    def word(self) -> str:
        """The word that decides; empty where there is none."""
        return next((self._values[kind][0] for kind in ("", "high") if kind in self._values), "")

    def take(self, word: str, value: str) -> str | None:
        """Take in a word; return what is to be told of it at once."""
        size, _, suffix = value.rpartition(",")
        if suffix not in _SUFFIXES:
            self._values[""] = (word, value)
            return None
        if suffix == "cma":
            return "not modelled: CMA that the crash kernel may use"
        self._values[suffix] = (word, size)
        return None

    def reserved(self, memory: int | None, architecture: Architecture) -> tuple[int, str | None]:
        """Return the bytes that a kernel with ``memory`` bytes reserves, and what is to be told of that."""
        if not self.word:
            return 0, None
        low = 0
        if "" in self._values:
            value = self._values[""][1]
            if ":" in value and memory is None:
                return 0, "depends on the boot memory, which is not known"
            size = _in_one_piece(value, memory or 0)
        elif architecture.name not in _LOW_BY_DEFAULT:
            return 0, f"kernels of {architecture.name} do not know high and low"
        else:
            size, _ = memparse.size(self._values["high"][1])
            low = self._low_part(memory, architecture)
        if size is None:
            return 0, "the kernel cannot read it and reserves nothing"
        if memory is not None and size >= memory:
            return 0, "is more than there is: the kernel reserves nothing"
        return size + low, None

    def _low_part(self, memory: int | None, architecture: Architecture) -> int:
        """Return the bytes below 4 GiB beside memory above, none where the latter lies below itself."""
        if memory is not None and memory < LOW_MEMORY:
            return 0
        if "low" in self._values:
            return memparse.size(self._values["low"][1])[0]
        return _LOW_BY_DEFAULT[architecture.name]


def _in_one_piece(value: str, memory: int) -> int | None:
    """Return the size in a value without ``high``: one for all machines, or one of those by range; None: unreadable."""
    if ":" in value:
        return _of_range(value, -(-memory // _ROUNDING) * _ROUNDING)
    size, rest = memparse.size(value)
    return None if rest == value or (rest and not rest.startswith("@")) else size


def _of_range(value: str, memory: int) -> int | None:
    """Return the size of the range that ``memory`` is in, 0 for none (``parse_crashkernel_mem``); None: unreadable."""
    for part in value.partition("@")[0].split(","):
        start, rest = memparse.size(part)
        if rest == part or not rest.startswith("-"):
            return None
        end: int | None = None
        rest = rest[1:]
        if not rest.startswith(":"):
            end, after = memparse.size(rest)
            if after == rest or end <= start:
                return None
            rest = after
        if not rest.startswith(":"):
            return None
        size, after = memparse.size(rest[1:])
        if after == rest[1:] or size >= memory:
            return None
        if start <= memory and (end is None or memory < end):
            return size
    return 0
