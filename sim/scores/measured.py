"""What scores are made of: a run's series, ratios and counts, and exact integrals over simulated time."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sim.record.arrays import lasting
from sim.record.blockmap import ZoneChanges, zone_changes
from sim.record.events import Events
from sim.record.mixed_groups import MixedCounts, mixed_counts
from sim.record.series import RunSeries, run_series
from sim.record.shrink_requests import ShrinkRequests, follow_shrink_requests
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from sim.guest.contract import OomKind
    from sim.record.events import Death
    from sim.record.run_result import RunResult

    Integers = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]


class Measured:
    """A run and what several scores need of it, each computed when first asked for."""

    def __init__(self, result: RunResult, series: RunSeries | None = None, events: Events | None = None) -> None:
        self.result = result
        self.events = Events.of(result.events) if events is None else events
        self.series = run_series(result, self.events) if series is None else series
        self.page_size = result.page_size

    @cached_property
    def dt_us(self) -> Integers:
        """Microseconds that each step of the series lasts."""
        return self.series.dt_us

    @cached_property
    def alive_us(self) -> Integers:
        """Microseconds of each step in which the guest, if one is modelled, is alive."""
        death = self.events.death
        if death is None:
            return self.dt_us
        return lasting(np.minimum(self.series.t_us, death.t_us), death.t_us)

    @cached_property
    def ratio(self) -> Floats:
        """MOVABLE : KERNEL at each step, in percent of present pages."""
        return percent(self.series.movable, self.series.kernel)

    @cached_property
    def auto_ratio(self) -> Floats:
        """MV : KE at each step, in percent, as the auto-movable policy sees them."""
        return percent(self.series.auto_movable, self.series.auto_kernel)

    @cached_property
    def mixed_counts(self) -> MixedCounts | None:
        """Mixed groups and units; None where the run does not know its groups."""
        return mixed_counts(self.result, self.events)

    @cached_property
    def shrink_requests(self) -> ShrinkRequests:
        """What became of the requests that asked memory back."""
        return follow_shrink_requests(self.events, self.result.duration_us)

    @cached_property
    def guest(self) -> GuestMeasured | None:
        """What the guest looked like inside; None where none was modelled."""
        samples = self.result.guest
        needed = {"t_us", "headroom", "headroom_free", "returnable", "mem_total", "unserved"}
        known = samples.keys() >= needed and len(samples["t_us"])
        return GuestMeasured(self) if known else None

    @cached_property
    def zone_changes(self) -> ZoneChanges:
        """Turns between kernel zones and ZONE_MOVABLE along the address axis."""
        return zone_changes(self.result, self.events)

    def time_above(self, movable: Integers, kernel: Integers) -> float:
        """Return the seconds during which ``movable`` exceeds what the configured ratio allows for ``kernel`` pages.

        Compared in integers as the kernel does: pages beyond floor(ratio * kernel / 100) are too many.
        """
        ratio = self.result.configured_ratio
        if ratio is None:
            return math.nan
        # The product is taken apart so that no ratio and no amount of memory overflows 64 bits.
        allowed = kernel // 100 * ratio + kernel % 100 * ratio // 100
        return int(self.dt_us[movable > allowed].sum()) / MICROSECONDS

    def counter(self, name: str) -> float:
        """Return the run's counter ``name``, or NaN where the core kept none of that name."""
        return float(self.result.counters[name]) if name in self.result.counters else math.nan


class GuestMeasured:
    """The samples of a modelled guest and what went wrong in it.

    A sample holds until the next; the last until the end. ``dt_us`` says how long each holds, in microseconds: 0 where
    another was taken in the same instant.
    """

    def __init__(self, measured: Measured) -> None:
        samples = measured.result.guest
        self._measured = measured
        self.page_size = measured.page_size
        self.t_us = samples["t_us"]
        self.dt_us: Integers = lasting(self.t_us, measured.result.duration_us)
        self.headroom: Integers = samples["headroom"]
        self.headroom_free: Integers = samples["headroom_free"]
        self.returnable: Integers = samples["returnable"]
        self.mem_total: Integers = samples["mem_total"]
        self.unserved: Integers = samples["unserved"]

    @property
    def death(self) -> Death | None:
        """When the guest died, and of what; None where it lives."""
        return self._measured.events.death

    def ooms(self, kind: OomKind) -> Integers:
        """Return the microseconds at which the killer ran for a reason of ``kind``."""
        events = self._measured.events
        return events.t_us[events.ooms(kind)]

    @cached_property
    def failed_adds(self) -> Integers:
        """Microseconds at which a driver failed to add memory for want of memory."""
        events = self._measured.events
        return events.t_us[events.failed_adds()]

    @cached_property
    def plugged(self) -> Integers:
        """Pages that all devices have plugged, at each sample, once all has happened that happens in its instant."""
        series = self._measured.series
        return series.plugged[np.searchsorted(series.t_us, self.t_us, side="right") - 1]

    @cached_property
    def returnable_plugged(self) -> Integers:
        """Pages that could be returned, at each sample, of those: some may go in the very instant of the sample."""
        return np.minimum(self.returnable, self.plugged)

    @cached_property
    def returnable_share(self) -> Floats:
        """Share of plugged memory that could be returned, at each sample, in percent; NaN where none is plugged."""
        share = percent(self.returnable_plugged, self.plugged)
        share[self.dt_us == 0] = np.nan
        return share

    @property
    def first_failure_us(self) -> int | None:
        """When the guest first ran out of memory or could not add any; None where it never did."""
        events = self._measured.events
        times = events.t_us[events.ooms() | events.failed_adds()]
        return int(times[0]) if len(times) else None


def of_guest(function: Callable[[GuestMeasured], float]) -> Callable[[Measured], float]:
    """Return ``function`` as a score's: NaN where no guest is modelled."""
    return lambda measured: math.nan if measured.guest is None else function(measured.guest)


def percent(part: Integers, whole: Integers) -> Floats:
    """Return 100 * ``part`` / ``whole``: infinite where only ``whole`` is 0, NaN where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = 100.0 * part / whole
    return ratio


def integral(values: Integers, dt_us: Integers) -> int:
    """Return the exact sum of ``values`` times ``dt_us`` for non-negative integers, beyond 64 bits where need be.

    Raises ValueError for negative ones, and for a run longer than 2**61 microseconds.
    """
    least, most = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if least < 0:
        raise ValueError(f"values of {least} cannot be integrated: they have to be 0 or more")
    width = 62 - int(dt_us.sum()).bit_length()
    if width < 1:
        raise ValueError("a run longer than 2**61 microseconds cannot be integrated")
    if most.bit_length() <= width:
        return int(np.dot(values, dt_us))
    total, shift, rest = 0, 0, values
    # The values are taken in slices so narrow that no partial sum passes 63 bits.
    while rest.any():
        total += int(np.dot(rest & ((1 << width) - 1), dt_us)) << shift
        rest, shift = rest >> width, shift + width
    return total


def mean(values: Integers, dt_us: Integers) -> float:
    """Return the time-weighted mean of a step series of non-negative integers; NaN for a run of no length."""
    total = int(dt_us.sum())
    return integral(values, dt_us) / total if total else math.nan


def mean_where_defined(values: Floats, dt_us: Integers) -> float:
    """Return the mean of a step series over the time in which it is not NaN; NaN where that is never."""
    weight = np.where(np.isnan(values), 0, dt_us)
    total = int(weight.sum())
    lasting = weight > 0
    # Exactly rounded, so that the result does not depend on how a library groups its sums.
    return math.fsum((values[lasting] * weight[lasting]).tolist()) / total if total else math.nan


def lowest(values: Floats) -> float:
    """Return the smallest value of a step series; NaN where it is never defined."""
    defined = values[~np.isnan(values)]
    return float(defined.min()) if len(defined) else math.nan


def highest(values: Floats) -> float:
    """Return the largest value of a step series; NaN where it is never defined."""
    defined = values[~np.isnan(values)]
    return float(defined.max()) if len(defined) else math.nan
