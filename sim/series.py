"""Step series of a run, summed up from its event table: pages of each kind over simulated time.

Every series is a step function. It is given by the times at which anything happened and the value that holds from
each of these times until the next. All events of one instant count as one step: what lasted for no time is not seen.
Everything is computed with whole-array operations, because a long run has millions of events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.observe import EventKind

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.run_result import RunResult

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

# Columns of the event table, see sim.observe.EVENT_COLUMNS.
T_US, KIND, DEVICE, BLOCK, COUNT, ZONE, PAGES = range(7)


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

_NEVER_ASKED: Final = 1 << 60
"""Stands for the requested size of a device that nothing has been asked of: it cannot have too much."""


@dataclass(frozen=True, slots=True)
class SeriesColumn:
    """One column of the series: ``name``, ``unit`` inside the simulator and ``formula`` in words."""

    name: str
    unit: str
    formula: str


SERIES_COLUMNS: Final = (
    SeriesColumn("t_us", "us", "simulated time of a step; the values hold until the next step"),
    SeriesColumn("movable", "pages", "present pages of ZONE_MOVABLE on all nodes"),
    SeriesColumn("kernel", "pages", "present pages of the kernel zones (DMA, DMA32, Normal) on all nodes"),
    SeriesColumn("auto_movable", "pages", "MV of the auto-movable policy: movable + CMA"),
    SeriesColumn("auto_kernel", "pages", "KE of the auto-movable policy: present boot memory in kernel zones - CMA"),
    SeriesColumn("hotplugged", "pages", "memory blocks added since boot, online or not"),
    SeriesColumn("hotplugged_movable", "pages", "part of hotplugged that is online in ZONE_MOVABLE"),
    SeriesColumn("hotplugged_kernel", "pages", "part of hotplugged that is online in kernel zones"),
    SeriesColumn("offline", "pages", "memory blocks that exist and are offline, boot memory included"),
    SeriesColumn("plugged", "pages", "sum over devices of what is plugged"),
    SeriesColumn("requested", "pages", "sum over devices of what the host asked for last"),
    SeriesColumn("not_given", "pages", "sum over devices of max(0, plugged - requested); 0 before a first request"),
)
"""What :class:`RunSeries` holds. Listings, the Parquet schema and the documentation derive from it."""


@dataclass(frozen=True, slots=True)
class RunSeries:
    """The step series of one run. All arrays are int64 of one length; see :data:`SERIES_COLUMNS` for their meaning.

    ``t_us`` starts at 0, increases strictly and does not pass ``duration_us``.
    """

    t_us: Integers
    movable: Integers
    kernel: Integers
    auto_movable: Integers
    auto_kernel: Integers
    hotplugged: Integers
    hotplugged_movable: Integers
    hotplugged_kernel: Integers
    offline: Integers
    plugged: Integers
    requested: Integers
    not_given: Integers
    duration_us: int

    @property
    def dt_us(self) -> Integers:
        """Microseconds that each step lasts; the last may be 0."""
        return np.diff(self.t_us, append=self.duration_us)


@dataclass(frozen=True, slots=True)
class DeviceSeries:
    """Step series of one device, in pages; ``requested`` is 0 before the first request. See :class:`RunSeries`."""

    t_us: Integers
    plugged: Integers
    requested: Integers
    not_given: Integers


def is_boot_block(result: RunResult) -> Flags:
    """Return for each event whether its blocks are boot memory (shape: events)."""
    events = result.events
    runs = np.array(sorted((first, count) for first, count, _, _ in result.boot.runs), dtype=np.int64)
    if not len(runs):
        return np.zeros(len(events), dtype=np.bool_)
    position = np.searchsorted(runs[:, 0], events[:, BLOCK], side="right") - 1
    inside = events[:, BLOCK] < (runs[:, 0] + runs[:, 1])[position]
    answer: Flags = (position >= 0) & inside & (events[:, DEVICE] < 0)
    return answer


def _steps(t_us: Integers) -> tuple[Integers, Integers]:
    """Return the rows after which time moves on, and the times of the steps (with a step at 0 in front if need be)."""
    if not len(t_us):
        return np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    rows = np.flatnonzero(np.diff(t_us, append=t_us[-1] + 1))
    times = t_us[rows]
    return rows, times if times[0] == 0 else np.concatenate((np.zeros(1, dtype=np.int64), times))


def _sum_up(deltas: Integers, rows: Integers, steps: int, start: int) -> Integers:
    """Return ``start`` plus the running sum of ``deltas`` at each of ``steps`` steps, which end at ``rows``."""
    sums = np.cumsum(deltas)[rows] + start
    if len(sums) == steps:
        return sums
    return np.concatenate((np.array([start], dtype=np.int64), sums))


@dataclass(frozen=True, slots=True)
class _ByDevice:
    """Device events in the order of their devices; each array has one entry per such event.

    ``order`` is the row in the event table; ``first`` whether the event is its device's first.
    """

    order: Integers
    first: Flags
    plugged: Integers
    requested: Integers
    not_given: Integers

    def changes(self, values: Integers) -> Integers:
        """Return by how much ``values`` changes from the device's event before (from 0 at its first)."""
        change = np.diff(values, prepend=0)
        change[self.first] = values[self.first]
        return change


def _by_device(events: Integers) -> _ByDevice:
    """Follow each device's plugged and requested pages through its events."""
    rows = np.flatnonzero(
        (events[:, DEVICE] >= 0)
        & (
            (PLUGGED_SIGN[events[:, KIND]] != 0)
            | (events[:, KIND] == EventKind.REQUEST)
            | ((events[:, KIND] == EventKind.DEVICE) & (events[:, COUNT] == 0))
        )
    )
    device = events[rows, DEVICE]
    # A stable sort of 16-bit integers is a radix sort: time does not grow faster than the table.
    few = len(device) == 0 or int(device.max()) < np.iinfo(np.int16).max
    order = rows[np.argsort(device.astype(np.int16) if few else device, kind="stable")]
    kind, pages = events[order, KIND], events[order, PAGES]
    first = np.diff(events[order, DEVICE], prepend=-1) != 0
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))

    sums = np.cumsum(PLUGGED_SIGN[kind] * pages)
    before = np.concatenate((np.zeros(1, dtype=np.int64), sums))
    plugged = sums - before[start]

    asks = (kind == EventKind.REQUEST) | (kind == EventKind.DEVICE)
    # A device that is gone is asked for nothing any more.
    asked = np.where(kind == EventKind.REQUEST, pages, 0)
    last = np.maximum.accumulate(np.where(asks, np.arange(len(order)), -1))
    known = last >= start
    requested = np.where(known, asked[last], 0) if len(order) else asked
    limit = np.where(known, requested, _NEVER_ASKED)
    return _ByDevice(order, first, plugged, requested, np.maximum(plugged - limit, 0))


def run_series(result: RunResult) -> RunSeries:
    """Return the step series of ``result``, each an exact sum of its events (pages)."""
    events = result.events
    rows, times = _steps(events[:, T_US])
    kind, zone = events[:, KIND], events[:, ZONE]
    pages = events[:, COUNT] * result.block_pages
    online = ONLINE_SIGN[kind] * pages
    offline = OFFLINE_SIGN[kind] * pages
    movable = zone == ZONE_MOVABLE
    boot = is_boot_block(result)
    to_movable = np.where(movable, online, 0)
    to_kernel = online - to_movable

    by_device = _by_device(events)

    def per_event(values: Integers) -> Integers:
        deltas = np.zeros(len(events), dtype=np.int64)
        deltas[by_device.order] = by_device.changes(values)
        return deltas

    def series(deltas: Integers, start: int = 0) -> Integers:
        return _sum_up(deltas, rows, len(times), start)

    start = result.boot
    # At boot every present page is early, so what KE lacks of the kernel zones is CMA, and MV has it.
    cma = start.kernel_pages - start.early_kernel_pages
    in_movable = series(to_movable, start.movable_pages - cma)
    return RunSeries(
        t_us=times,
        movable=in_movable,
        kernel=series(to_kernel, start.kernel_pages),
        auto_movable=in_movable + cma,
        auto_kernel=series(np.where(boot, to_kernel, 0), start.early_kernel_pages),
        hotplugged=series(np.where(boot, 0, online + offline)),
        hotplugged_movable=series(np.where(boot, 0, to_movable)),
        hotplugged_kernel=series(np.where(boot, 0, to_kernel)),
        offline=series(offline),
        plugged=series(per_event(by_device.plugged)),
        requested=series(per_event(by_device.requested)),
        not_given=series(per_event(by_device.not_given)),
        duration_us=result.duration_us,
    )


def device_series(result: RunResult, device: int) -> DeviceSeries:
    """Return the step series of the device with index ``device``. Raises IndexError where there is none."""
    if not 0 <= device < len(result.device_names):
        raise IndexError(f"there is no device {device}: the run has {len(result.device_names)}")
    events = result.events[result.events[:, DEVICE] == device]
    rows, times = _steps(events[:, T_US])
    followed = _by_device(events)

    def series(values: Integers) -> Integers:
        deltas = np.zeros(len(events), dtype=np.int64)
        deltas[followed.order] = followed.changes(values)
        return _sum_up(deltas, rows, len(times), 0)

    return DeviceSeries(times, series(followed.plugged), series(followed.requested), series(followed.not_given))
