"""The event table of a run, column by column, and how each kind of event counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.record.recorder import EventKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.run_result import BootMemory

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]


def _by_kind(signs: dict[EventKind, int]) -> Integers:
    """Return an array that gives, for an event kind's number, the sign with which it counts (0 where it does not)."""
    table = np.zeros(max(EventKind) + 1, dtype=np.int64)
    for kind, sign in signs.items():
        table[kind] = sign
    return table


ONLINE_SIGN: Final = _by_kind({EventKind.PLUG: 1, EventKind.ONLINE: 1, EventKind.OFFLINE: -1, EventKind.UNPLUG: -1})
"""How an event's blocks change what is online in its zone."""

OFFLINE_SIGN: Final = _by_kind({EventKind.ADD: 1, EventKind.OFFLINE: 1, EventKind.ONLINE: -1, EventKind.REMOVE: -1})
"""How an event's blocks change the blocks that exist and are offline."""

PLUGGED_SIGN: Final = _by_kind(
    {
        EventKind.PLUG: 1,
        EventKind.ADD: 1,
        EventKind.SUBPLUG: 1,
        EventKind.REMOVE: -1,
        EventKind.UNPLUG: -1,
        EventKind.SUBUNPLUG: -1,
    }
)
"""How an event's ``pages`` change what is plugged of its device."""


@dataclass(frozen=True, slots=True)
class Events:
    """The columns of an event table (see :data:`sim.record.recorder.EVENT_COLUMNS`), each contiguous in memory."""

    t_us: Integers
    kind: Integers
    device: Integers
    block: Integers
    count: Integers
    zone: Integers
    pages: Integers

    @classmethod
    def of(cls, table: Integers) -> Events:
        """Return the columns of ``table`` (events, 7): one copy, after which a pass over a column is much faster."""
        return cls(*np.ascontiguousarray(table.T))

    def __len__(self) -> int:
        return len(self.t_us)

    def take(self, rows: Integers) -> Events:
        """Return the events in ``rows``."""
        return Events(
            self.t_us[rows],
            self.kind[rows],
            self.device[rows],
            self.block[rows],
            self.count[rows],
            self.zone[rows],
            self.pages[rows],
        )

    def is_last_of_instant(self) -> Flags:
        """Return for each event whether time moves on after it."""
        last = np.ones(len(self.t_us), dtype=np.bool_)
        np.not_equal(self.t_us[1:], self.t_us[:-1], out=last[:-1])
        return last

    def in_boot_memory(self, boot: BootMemory) -> Flags:
        """Return for each event whether its blocks are boot memory."""
        runs = np.array(sorted((first, count) for first, count, _, _ in boot.runs), dtype=np.int64).reshape(-1, 2)
        of_none = self.device < 0
        if not len(runs) or not of_none.any():
            return np.zeros(len(self.t_us), dtype=np.bool_)
        position = np.searchsorted(runs[:, 0], self.block, side="right") - 1
        inside: Flags = (position >= 0) & (self.block < (runs[:, 0] + runs[:, 1])[position]) & of_none
        return inside


def order_by(keys: Integers) -> Integers:
    """Return the order that sorts non-negative ``keys`` and keeps equal ones in place.

    A stable sort of 16-bit integers is a radix sort, whose time grows only with the number of keys.
    """
    narrow = not len(keys) or int(keys.max()) <= np.iinfo(np.int16).max
    return np.argsort(keys.astype(np.int16) if narrow else keys, kind="stable")


def starts_to_rows(first: Flags) -> Integers:
    """Return for each position the last one before or at it where ``first`` holds; ``first[0]`` must hold."""
    return np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))
