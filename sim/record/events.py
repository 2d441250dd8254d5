"""The event table of a run, read by what its rows mean, and how each kind of event counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.guest.contract import OomKind
from sim.memory.errors import ENOMEM
from sim.record.arrays import group_starts, order_by, starts_to_rows, steps_up, sums_within
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

NEVER_ASKED: Final = 1 << 60
"""Stands for the requested size of a device that nothing has been asked of: it cannot have too much."""

NO_OOM: Final = -1
"""Among kinds of out of memory: the event is none."""

_ABOUT_DEVICES: Final = (PLUGGED_SIGN != 0) | (ONLINE_SIGN != 0)
"""Which kinds of events change what is plugged of a device, or online of it, by number."""

_LAST_ABOUT_BLOCKS: Final = int(EventKind.REFUSED)
"""Up to this kind the columns ``count`` and ``zone`` are blocks and their zone; beyond, they are codes."""


class Death(NamedTuple):
    """When a guest died, in microseconds, and of what."""

    t_us: int
    cause: OomKind


@dataclass(frozen=True, slots=True)
class ByDevice:
    """Events of devices in the order of these; each array has one entry per such event. Others are left out.

    They are those that change what is plugged, what is online, or what is asked for. ``order`` is the row in the event
    table; ``first`` whether the event is its device's first.
    """

    order: Integers
    start: Integers
    """For each event, its device's first."""
    first: Flags
    plugged: Integers
    requested: Integers
    limit: Integers
    """``requested``, and NEVER_ASKED before a first request."""
    not_given: Integers

    def changes(self, values: Integers) -> Integers:
        """Return by how much ``values`` changes from the device's event before (from 0 at its first)."""
        change = steps_up(values)
        change[self.first] = values[self.first]
        return change


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
        return np.where(self.of_kind(EventKind.REQUEST), self._pages, 0)

    @cached_property
    def errno(self) -> Integers:
        """Why a request of the host or an add failed, as one of :mod:`sim.memory.errors`; 0 for all other events."""
        return np.where(self.of_kind(EventKind.FAILED), self._zone, 0)

    @cached_property
    def oom_kind(self) -> Integers:
        """Why the out-of-memory killer ran, as a number of :class:`sim.guest.OomKind`; NO_OOM for all other events."""
        return np.where(self.of_kind(EventKind.OOM), self._zone, NO_OOM)

    @cached_property
    def mem_available(self) -> Integers:
        """MemAvailable in pages when the out-of-memory killer ran; 0 for all other events."""
        return np.where(self.of_kind(EventKind.OOM), self._pages, 0)

    @cached_property
    def death(self) -> Death | None:
        """When the guest died, and of what; None where it lives."""
        rows = np.flatnonzero(self.of_kind(EventKind.DEATH))
        return Death(int(self.t_us[rows[0]]), OomKind(int(self._zone[rows[0]]))) if len(rows) else None

    # Which events are of a sort ---------------------------------------------------------------------------------------

    def of_kind(self, *kinds: EventKind) -> Flags:
        """Flag the events of any of ``kinds``."""
        # A plain integer: NumPy takes four times as long to compare with a member of an enumeration.
        flags: Flags = self.kind == int(kinds[0])
        for kind in kinds[1:]:
            flags |= self.kind == int(kind)
        return flags

    def failed_adds(self) -> Flags:
        """Flag the attempts of drivers to add memory that failed for want of memory (ENOMEM).

        A request of the host can fail as well, but never for that, and before it has a driver.
        """
        flags: Flags = (self.errno == ENOMEM) & (self.device != NO_DEVICE)
        return flags

    def ooms(self, kind: OomKind | None = None) -> Flags:
        """Flag the runs of the out-of-memory killer, only those of one ``kind`` if given."""
        flags: Flags = self.of_kind(EventKind.OOM) if kind is None else self.oom_kind == int(kind)
        return flags

    def attached(self) -> Flags:
        """Flag the events at which a device was attached."""
        flags: Flags = self.of_kind(EventKind.DEVICE) & (self._count == ATTACHED)
        return flags

    def gone(self) -> Flags:
        """Flag the events at which a device was taken away."""
        flags: Flags = self.of_kind(EventKind.DEVICE) & (self._count == GONE)
        return flags

    # In another order -------------------------------------------------------------------------------------------------

    @cached_property
    def by_device(self) -> ByDevice:
        """Each device's plugged and requested pages, followed through the events that change these, or its blocks."""
        asks = self.of_kind(EventKind.REQUEST) | self.gone()
        rows = np.flatnonzero((self.device != NO_DEVICE) & (asks | _ABOUT_DEVICES[self.kind]))
        device = self.device[rows]
        by_device = order_by(device)
        order = rows[by_device]
        first = group_starts(device[by_device])
        start = starts_to_rows(first)
        plugged = sums_within(self.plugged_change()[order], start)

        # A device that is gone is asked for nothing any more: its last event is a request for 0 pages.
        asks, asked = asks[order], self.requested[order]
        # The row of the last request so far, which may be another device's: one before the device's first row is.
        last = np.maximum.accumulate(np.where(asks, np.arange(len(order)), -1))
        known = last >= start
        requested = np.where(known, asked[last], 0) if len(order) else asked
        limit = np.where(known, requested, NEVER_ASKED)
        return ByDevice(order, start, first, plugged, requested, limit, np.maximum(plugged - limit, 0))

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
