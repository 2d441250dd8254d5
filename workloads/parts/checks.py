"""Checks of a workload's parameters: faults are collected, then all raised at once as sentences for a person."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.faults import MemhpSimError, shown, unknown_name
from sim.units import MIB, MICROSECONDS, PAGE_SIZE, TIB, format_size, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST_SIZE: Final = 64 * TIB
"""Bytes that x86-64 addresses with four-level page tables: no device is larger."""

LONGEST_US: Final = 1_000_000_000 * MICROSECONDS
"""Microseconds in a thousand million seconds, some 31 years: longer times are taken for a slip."""

SMALLEST_DEVICE_BLOCK: Final = MIB
"""The smallest block size that QEMU gives a virtio-mem device."""

MOST_NODES: Final = 1024
"""NUMA nodes that an x86-64 kernel can be built for (CONFIG_NODES_SHIFT up to 10)."""


class WorkloadInputError(MemhpSimError, ValueError):
    """A workload cannot be made from what it was given. ``faults`` holds one sentence for each thing that is wrong."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type[WorkloadInputError], tuple[tuple[str, ...]]]:
        # The default would hand the joined text back as the list of faults when the error crosses processes.
        return type(self), (self.faults,)


class Checker:
    """Takes parameters one by one, returns each in the form used inside, and remembers what was wrong.

    A faulty value is replaced by a harmless one so that the checks after it can go on; :meth:`done` raises if there
    was any. Parameters come from files, so nothing is taken on trust, not even their types.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._faulty: set[str] = set()

    def fault(self, name: str, sentence: str) -> None:
        """Remember that parameter ``name`` is wrong in the way that ``sentence`` says."""
        self.faults.append(f"{name}: {sentence}")
        self._faulty.add(name)

    def good(self, *names: str) -> bool:
        """Whether nothing was wrong so far with the parameters ``names``, so that they can be judged together."""
        return self._faulty.isdisjoint(names)

    def done(self) -> None:
        """Raise :class:`WorkloadInputError` with everything that was wrong, if anything was."""
        if self.faults:
            raise WorkloadInputError(self.faults)

    def whole(self, name: str, value: object, low: int, high: int) -> int:
        """Return ``value``, a whole number from ``low`` to ``high``."""
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(name, f"must be a whole number, but is {shown(value)}")
        elif not low <= value <= high:
            self.fault(name, f"must be from {low} to {high}, but is {shown(value)}")
        else:
            return value
        return low

    def number(self, name: str, value: object, low: float, high: float) -> float:
        """Return ``value``, a number from ``low`` to ``high``, as a float."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fault(name, f"must be a number, but is {shown(value)}")
        elif not low <= value <= high:  # not a number fails this as well
            self.fault(name, f"must be from {low:g} to {high:g}, but is {shown(value)}")
        else:
            return float(value)
        return low

    def size(self, name: str, value: object, *, zero: bool = False, unit: int = PAGE_SIZE) -> int:
        """Return ``value`` bytes, a multiple of ``unit`` and more than nothing (or nothing, with ``zero``)."""
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(name, f"must be a size in bytes, but is {shown(value)}")
        elif value < 0 or (value == 0 and not zero):
            self.fault(name, f"must be {'no less' if zero else 'more'} than 0 bytes, but is {shown(value)}")
        elif value > LARGEST_SIZE:
            self.fault(name, f"must be at most {format_size(LARGEST_SIZE)}, but is {shown(value)} bytes")
        elif value % unit:
            self.fault(name, f"must be a multiple of {format_size(unit)}, but is {format_size(value)}")
        else:
            return value
        return 0 if zero else unit

    def sizes(self, name: str, value: object) -> tuple[int, ...]:
        """Return a list of at least one size as a tuple: bytes, whole pages, each more than nothing."""
        entries = self._entries(name, value, "size")
        return tuple(self.size(name, entry) for entry in entries) or (PAGE_SIZE,)

    def nodes(self, name: str, value: object) -> tuple[int, ...]:
        """Return a list of at least one NUMA node id as a tuple."""
        entries = self._entries(name, value, "node")
        return tuple(self.whole(name, entry, 0, MOST_NODES - 1) for entry in entries) or (0,)

    def device_block(self, name: str, value: object) -> int:
        """Return the block size of a virtio-mem device: a power of two from 1 MiB to 1 TiB."""
        block = self.size(name, value, unit=SMALLEST_DEVICE_BLOCK)
        if block & (block - 1) or block > TIB:
            self.fault(name, f"must be a power of two from 1MiB to 1TiB, but is {format_size(block)}")
            return SMALLEST_DEVICE_BLOCK
        return block

    def time_us(self, name: str, value: object, *, zero: bool = False) -> int:
        """Return ``value`` seconds as microseconds: at least one, or with ``zero`` at least none."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -math.inf < value < math.inf:
            self.fault(name, f"must be a number of seconds, but is {shown(value)}")
        elif value < 0 or (value == 0 and not zero):
            self.fault(name, f"must be {'no less' if zero else 'more'} than 0 seconds, but is {shown(value)}")
        elif value > LONGEST_US // MICROSECONDS:
            self.fault(name, f"must be at most {LONGEST_US // MICROSECONDS} seconds, but is {shown(value)}")
        elif seconds_to_us(value) == 0 and not zero:
            self.fault(name, f"must be at least a microsecond (0.000001 seconds), but is {shown(value)}")
        else:
            return seconds_to_us(value)
        return 0 if zero else 1

    def choice(self, name: str, value: object, choices: Sequence[str]) -> str:
        """Return ``value``, one of ``choices``."""
        if isinstance(value, str) and value in choices:
            return value
        if isinstance(value, str):
            self.fault(name, unknown_name("word", value, choices))
        else:
            self.fault(name, f"must be one of {', '.join(choices)}, but is {shown(value)}")
        return choices[0]

    def flag(self, name: str, value: object) -> bool:
        """Return ``value``, true or false."""
        if isinstance(value, bool):
            return value
        self.fault(name, f"must be true or false, but is {shown(value)}")
        return False

    def word(self, name: str, value: object) -> str:
        """Return ``value``, a word that can name something: not empty, without blanks around it."""
        if isinstance(value, str) and value and value == value.strip() and value.isprintable():
            return value
        self.fault(name, f"must be a name without blanks around it, but is {shown(value)}")
        return name

    def _entries(self, name: str, value: object, what: str) -> Sequence[object]:
        if not isinstance(value, (list, tuple)) or not value:
            self.fault(name, f"must be a list of at least one {what}, but is {shown(value)}")
            return ()
        return value
