"""The event table of a run, read by what its rows mean, and how each kind of event counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.guest.contract import OomKind
from sim.memory.errors import ENOMEM
from sim.record.recorder import ATTACHED, GONE, NO_DEVICE, NO_ZONE, EventKind

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

NO_OOM: Final = -1
"""Among kinds of out of memory: the event is none."""

_LAST_ABOUT_BLOCKS: Final = EventKind.REFUSED
"""Up to this kind the columns ``count`` and ``zone`` are blocks and their zone; beyond, they are codes."""


class Death(NamedTuple):
    """When a guest died, in microseconds, and of what."""

    t_us: int
    cause: OomKind


@dataclass(frozen=True)
class Events:
    """The events of a run by column, each contiguous in memory.

    ``t_us`` are simulated microseconds, ``kind`` numbers of :class:`~sim.record.recorder.EventKind`, ``device`` indices
    into the run's devices or NO_DEVICE, ``block`` the first of the memory blocks that an event is about. The last three
    columns of the table mean different things for different kinds of events: ask for what you want to know, such as
    :attr:`blocks`, :attr:`zone`, :attr:`errno`, :attr:`requested`, :meth:`failed_adds` or :meth:`ooms`.

    All arrays have one entry per event. What is called a flag is an array of booleans for :meth:`where`.
    """

    t_us: Integers
    kind: Integers
    device: Integers
    block: Integers
    _count: Integers
    _zone: Integers
    _pages: Integers

    @classmethod
    def of(cls, table: Integers) -> Events:
        """Return the columns of ``table`` (events, 7): one copy, after which a pass over a column is much faster.

        ``table`` has the columns :data:`sim.record.recorder.EVENT_COLUMNS`.
        """
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
            self._count[rows],
            self._zone[rows],
            self._pages[rows],
        )

    def where(self, flags: Flags) -> Events:
        """Return the events for which ``flags`` hold."""
        # Seven times rows are picked faster by their numbers than by flags.
        return self.take(np.flatnonzero(flags))

    # What a column means for the kinds that it means it for -----------------------------------------------------------

    @cached_property
    def blocks(self) -> Integers:
        """Memory blocks that an event is about, from :attr:`block` on; 0 for events that are not about blocks."""
        return _with(self._count, self.kind > _LAST_ABOUT_BLOCKS, 0)

    @cached_property
    def zone(self) -> Integers:
        """Number of the zone that blocks went to, left or stay in; NO_ZONE for events that have none."""
        return _with(self._zone, self.kind > _LAST_ABOUT_BLOCKS, NO_ZONE)

    @cached_property
    def requested(self) -> Integers:
        """Pages that the host asks of the device from now on; 0 for all but requests."""
        return np.where(self.kind == EventKind.REQUEST, self._pages, 0)

    @cached_property
    def errno(self) -> Integers:
        """Why a request of the host or an add failed, as one of :mod:`sim.memory.errors`; 0 for all other events."""
        return np.where(self.kind == EventKind.FAILED, self._zone, 0)

    @cached_property
    def oom_kind(self) -> Integers:
        """Why the out-of-memory killer ran, as a number of :class:`sim.guest.OomKind`; NO_OOM for all other events."""
        return np.where(self.kind == EventKind.OOM, self._zone, NO_OOM)

    @cached_property
    def mem_available(self) -> Integers:
        """MemAvailable in pages when the out-of-memory killer ran; 0 for all other events."""
        return np.where(self.kind == EventKind.OOM, self._pages, 0)

    @cached_property
    def death(self) -> Death | None:
        """When the guest died, and of what; None where it lives."""
        rows = np.flatnonzero(self.kind == EventKind.DEATH)
        return Death(int(self.t_us[rows[0]]), OomKind(int(self._zone[rows[0]]))) if len(rows) else None

    # Which events are of a sort ---------------------------------------------------------------------------------------

    def of_kind(self, *kinds: EventKind) -> Flags:
        """Flag the events of any of ``kinds``."""
        return np.isin(self.kind, [int(kind) for kind in kinds])

    def failed_adds(self) -> Flags:
        """Flag the attempts of drivers to add memory that failed for want of memory (ENOMEM).

        A request of the host can fail as well, but never for that, and before it has a driver.
        """
        flags: Flags = (self.errno == ENOMEM) & (self.device != NO_DEVICE)
        return flags

    def ooms(self, kind: OomKind | None = None) -> Flags:
        """Flag the runs of the out-of-memory killer, only those of one ``kind`` if given."""
        flags: Flags = self.kind == EventKind.OOM if kind is None else self.oom_kind == kind
        return flags

    def attached(self) -> Flags:
        """Flag the events at which a device was attached."""
        flags: Flags = (self.kind == EventKind.DEVICE) & (self._count == ATTACHED)
        return flags

    def gone(self) -> Flags:
        """Flag the events at which a device was taken away."""
        flags: Flags = (self.kind == EventKind.DEVICE) & (self._count == GONE)
        return flags

    # By how much events change what there is --------------------------------------------------------------------------

    def online_change(self) -> Integers:
        """Return by how many blocks each event changes what is online in its zone."""
        return ONLINE_SIGN[self.kind] * self._count

    def offline_change(self) -> Integers:
        """Return by how many blocks each event changes what exists and is offline."""
        return OFFLINE_SIGN[self.kind] * self._count

    def plugged_change(self) -> Integers:
        """Return by how many pages each event changes what is plugged of its device."""
        return PLUGGED_SIGN[self.kind] * self._pages

    def is_last_of_instant(self) -> Flags:
        """Return for each event whether time moves on after it."""
        last = np.ones(len(self.t_us), dtype=np.bool_)
        np.not_equal(self.t_us[1:], self.t_us[:-1], out=last[:-1])
        return last

    def in_boot_memory(self, boot: BootMemory) -> Flags:
        """Return for each event whether its blocks are boot memory."""
        runs = np.array(sorted((run.first, run.blocks) for run in boot.runs), dtype=np.int64).reshape(-1, 2)
        of_none = self.device == NO_DEVICE
        if not len(runs) or not of_none.any():
            return np.zeros(len(self.t_us), dtype=np.bool_)
        position = np.searchsorted(runs[:, 0], self.block, side="right") - 1
        inside: Flags = (position >= 0) & (self.block < (runs[:, 0] + runs[:, 1])[position]) & of_none
        return inside


def _with(column: Integers, foreign: Flags, instead: int) -> Integers:
    """Return ``column`` with ``instead`` where it means something ``foreign``. Not a copy where that is nowhere."""
    rows = np.flatnonzero(foreign)
    if not len(rows):
        return column
    own = column.copy()
    own[rows] = instead
    return own
