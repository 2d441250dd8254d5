"""Step series of a run, summed up from its event table: pages of each kind over simulated time.

Every series is a step function. It is given by the times at which anything happened and the value that holds from
each of these times until the next. All events of one instant count as one step: what lasted for no time is not seen.
Everything is computed with whole-array operations, because a long run has millions of events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.record.arrays import group_starts, lasting, sums_within
from sim.record.events import Events
from sim.record.online_pages import online_pages_change

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.run_result import RunResult

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]


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
    SeriesColumn("online", "pages", "sum over devices of what is plugged and online"),
    SeriesColumn("requested", "pages", "sum over devices of what the host asked for last"),
    SeriesColumn("arrived", "pages", "sum over devices of min(online, requested): what is there of what was asked for"),
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
    online: Integers
    requested: Integers
    arrived: Integers
    not_given: Integers
    duration_us: int

    @property
    def dt_us(self) -> Integers:
        """Microseconds that each step lasts; the last may be 0."""
        return lasting(self.t_us, self.duration_us)


@dataclass(frozen=True, slots=True)
class DeviceSeries:
    """Step series of one device, in pages; ``requested`` is 0 before the first request. See :class:`RunSeries`."""

    t_us: Integers
    plugged: Integers
    requested: Integers
    not_given: Integers


def _steps(events: Events) -> tuple[Integers, Integers]:
    """Return the rows after which time moves on, and the times of the steps (with a step at 0 in front if need be)."""
    rows = np.flatnonzero(events.is_last_of_instant())
    times = events.t_us[rows]
    return rows, times if len(times) and times[0] == 0 else np.concatenate((np.zeros(1, dtype=np.int64), times))


def _sum_up(deltas: Integers, rows: Integers, steps: int, start: int) -> Integers:
    """Return ``start`` plus the running sum of ``deltas`` at each of ``steps`` steps, which end at ``rows``."""
    sums = np.cumsum(deltas)[rows] + start
    if len(sums) == steps:
        return sums
    return np.concatenate((np.array([start], dtype=np.int64), sums))


class DeviceInstants(NamedTuple):
    """The instants (us) at which anything happened to a device, device by device: four arrays of one length.

    ``first`` is true at each device's first; ``plugged`` and ``requested`` are its pages after the instant. Before a
    first request, ``requested`` is :data:`NEVER_ASKED`.
    """

    first: Flags
    t_us: Integers
    plugged: Integers
    requested: Integers


def device_instants(events: Events) -> DeviceInstants:
    """Return the instants of all devices that anything happened to, one device after the other."""
    by_device = events.by_device
    t_us = events.t_us[by_device.order]
    last = np.ones(len(t_us), dtype=np.bool_)
    last[:-1] = by_device.first[1:] | (t_us[1:] != t_us[:-1])
    rows = np.flatnonzero(last)
    first = group_starts(by_device.start[rows])
    return DeviceInstants(first, t_us[rows], by_device.plugged[rows], by_device.limit[rows])


def run_series(result: RunResult, events: Events | None = None) -> RunSeries:
    """Return the step series of ``result``, each an exact sum of its events. ``events``: its columns, if at hand."""
    if events is None:
        events = Events.of(result.events)
    rows, times = _steps(events)
    online = events.online_change() * result.block_pages
    offline = events.offline_change() * result.block_pages
    hotplugged = ~events.in_boot_memory(result.boot)
    to_movable = np.where(events.zone == ZONE_MOVABLE, online, 0)
    to_kernel = online - to_movable
    by_device = events.by_device
    online_changes = online_pages_change(events, result.block_pages, result.boot)[by_device.order]
    device_online = sums_within(online_changes, by_device.start)

    def per_event(values: Integers) -> Integers:
        deltas = np.zeros(len(events), dtype=np.int64)
        deltas[by_device.order] = by_device.changes(values)
        return deltas

    def series(deltas: Integers, start: int = 0) -> Integers:
        return _sum_up(deltas, rows, len(times), start)

    start = result.boot
    in_movable = series(to_movable, start.movable_pages)
    return RunSeries(
        t_us=times,
        movable=in_movable,
        kernel=series(to_kernel, start.kernel_pages),
        auto_movable=in_movable + start.cma_pages,
        auto_kernel=series(to_kernel * ~hotplugged, start.kernel_pages - start.cma_pages),
        hotplugged=series((online + offline) * hotplugged),
        hotplugged_movable=series(to_movable * hotplugged),
        hotplugged_kernel=series(to_kernel * hotplugged),
        offline=series(offline, start.offline_blocks * result.block_pages),
        plugged=series(per_event(by_device.plugged)),
        online=series(per_event(device_online)),
        requested=series(per_event(by_device.requested)),
        arrived=series(per_event(np.minimum(device_online, by_device.requested))),
        not_given=series(per_event(by_device.not_given)),
        duration_us=result.duration_us,
    )


def device_series(result: RunResult, device: int) -> DeviceSeries:
    """Return the step series of the device with index ``device``. Raises IndexError where there is none."""
    if not 0 <= device < len(result.device_names):
        raise IndexError(f"there is no device {device}: the run has {len(result.device_names)}")
    everything = Events.of(result.events)
    events = everything.take(np.flatnonzero(everything.device == device))
    rows, times = _steps(events)
    followed = events.by_device

    def series(values: Integers) -> Integers:
        deltas = np.zeros(len(events), dtype=np.int64)
        deltas[followed.order] = followed.changes(values)
        return _sum_up(deltas, rows, len(times), 0)

    return DeviceSeries(times, series(followed.plugged), series(followed.requested), series(followed.not_given))
