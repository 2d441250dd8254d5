"""The scores of the guest that uses the memory: what a wrong zone costs. Listed in :mod:`sim.scores.registry`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.guest.contract import OomKind
from sim.scores.definition import BYTES, NUMBER, PERCENT, SECONDS, Score
from sim.scores.measured import lowest, mean, mean_where_defined
from sim.units import MICROSECONDS, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.scores.measured import GuestMeasured, Measured

_OWN = "this project"
_ALLOCATOR = "__zone_watermark_ok() in mm/page_alloc.c: kernel requests stop at a zone's min watermark and its reserve"
_OOM = "out_of_memory() in mm/oom_kill.c"
_NO_GUEST = "no guest is modelled"
_HEADROOM = "pages that kernel requests could still take in the kernel zones of all nodes, nothing being reclaimed"


def _of_guest(function: Callable[[GuestMeasured], float]) -> Callable[[Measured], float]:
    """Return ``function`` as a score: NaN where no guest is modelled."""
    return lambda measured: math.nan if measured.guest is None else function(measured.guest)


def _least_headroom(guest: GuestMeasured) -> float:
    # Samples miss the moment of a failure: by the next one, the killer has made room.
    return 0.0 if len(guest.ooms(OomKind.KERNEL)) else float(int(guest.headroom.min()) * PAGE_SIZE)


def _first_kernel_oom(guest: GuestMeasured) -> float:
    times = guest.ooms(OomKind.KERNEL)
    return int(times[0]) / MICROSECONDS if len(times) else math.nan


def _largest(measured: Measured) -> float:
    if measured.guest is None:
        return math.nan
    plugged, failure = measured.series.plugged, measured.guest.first_failure_us
    if failure is not None:
        plugged = plugged[measured.series.t_us <= failure]
    return float(int(plugged.max()) * PAGE_SIZE)


def _return_seconds(measured: Measured, of: Callable[[tuple[float, ...]], float]) -> float:
    return of(measured.shrink_requests.seconds) if measured.shrink_requests.seconds else math.nan


_NO_RETURN = "no request for memory back was fulfilled"
_REQUESTS_BACK = "requests for less than the device had plugged"

GUEST_SCORES: Final = (
    Score(
        "headroom_min",
        "Kernel headroom, least",
        BYTES,
        "higher",
        _of_guest(_least_headroom),
        formula=f"minimum over the samples of the {_HEADROOM}; 0 where a kernel request failed",
        source=_ALLOCATOR,
        undefined=_NO_GUEST,
        headline=True,
    ),
    Score(
        "headroom_mean",
        "Kernel headroom, mean",
        BYTES,
        "higher",
        _of_guest(lambda guest: mean(guest.headroom, guest.dt_us) * PAGE_SIZE),
        formula=f"time-weighted mean over the samples of the {_HEADROOM}",
        source=_ALLOCATOR,
        undefined=f"{_NO_GUEST}, or the run has no length",
    ),
    Score(
        "kernel_ooms",
        "Kernel out of memory",
        NUMBER,
        "lower",
        _of_guest(lambda guest: float(len(guest.ooms(OomKind.KERNEL)))),
        formula="number of times that the out-of-memory killer ran because a kernel request found no page in any "
        "kernel zone, however much is free in ZONE_MOVABLE",
        source=_OOM,
        undefined=_NO_GUEST,
        headline=True,
    ),
    Score(
        "kernel_oom_first",
        "Kernel out of memory, first",
        SECONDS,
        "higher",
        _of_guest(_first_kernel_oom),
        formula="simulated time at which that happened first",
        source=_OOM,
        undefined=f"{_NO_GUEST}, or it never happened",
    ),
    Score(
        "guest_full_ooms",
        "Guest full",
        NUMBER,
        "lower",
        _of_guest(lambda guest: float(len(guest.ooms(OomKind.GUEST_FULL)))),
        formula="number of times that the out-of-memory killer ran because a user page found no place in any zone: "
        "the host gave too little or too late",
        source=_OOM,
        undefined=_NO_GUEST,
    ),
    Score(
        "return_ooms",
        "Killed for memory asked back",
        NUMBER,
        "lower",
        _of_guest(lambda guest: float(len(guest.ooms(OomKind.MIGRATION)))),
        formula="number of times that the out-of-memory killer ran because pages of memory that was asked back found "
        "no place elsewhere",
        source=_OOM,
        undefined=_NO_GUEST,
    ),
    Score(
        "failed_adds",
        "Failed adds",
        NUMBER,
        "lower",
        _of_guest(lambda guest: float(len(guest.failed_adds))),
        formula="number of times that a driver could not add memory because there was no room for its memmap (ENOMEM), "
        "counted at every attempt",
        source="add_memory_resource() in mm/memory_hotplug.c",
        undefined=_NO_GUEST,
        headline=True,
    ),
    Score(
        "largest_before_failure",
        "Largest size before a failure",
        BYTES,
        "higher",
        _largest,
        formula="largest sum over devices of what is plugged, up to the moment at which an add failed or the "
        "out-of-memory killer ran for the first time; of the whole run where neither happened",
        source=_OWN,
        undefined=_NO_GUEST,
    ),
    Score(
        "return_time_mean",
        "Time to return, mean",
        SECONDS,
        "lower",
        lambda m: _return_seconds(m, lambda times: math.fsum(times) / len(times)),
        formula=f"mean, over the {_REQUESTS_BACK} that were fulfilled, of the time from the request until no more was "
        "plugged than it asked for",
        source=_OWN,
        undefined=_NO_RETURN,
    ),
    Score(
        "return_time_max",
        "Time to return, longest",
        SECONDS,
        "lower",
        lambda m: _return_seconds(m, max),
        formula="longest of these times",
        source=_OWN,
        undefined=_NO_RETURN,
    ),
    Score(
        "returns_unfulfilled",
        "Never returned",
        NUMBER,
        "lower",
        lambda m: float(m.shrink_requests.unfulfilled),
        formula=f"number of {_REQUESTS_BACK} that were not fulfilled before the host asked for more again or the run "
        "ended. A DIMM that refuses stays asked for",
        source=_OWN,
    ),
    Score(
        "returnable_share_mean",
        "Returnable right now, mean",
        PERCENT,
        "higher",
        _of_guest(lambda guest: mean_where_defined(guest.returnable_share, guest.dt_us)),
        formula="time-weighted mean, while memory is plugged, of 100 * memory that could be returned at that "
        "moment without a kill / plugged memory: pageblocks without kernel pages, as far as user pages fit elsewhere",
        source=_OWN,
        undefined=f"{_NO_GUEST}, or nothing is plugged",
        headline=True,
    ),
    Score(
        "returnable_share_min",
        "Returnable right now, least",
        PERCENT,
        "higher",
        _of_guest(lambda guest: lowest(guest.returnable_share)),
        formula="minimum over the samples of that share",
        source=_OWN,
        undefined=f"{_NO_GUEST}, or nothing is plugged",
    ),
)
"""In the order in which they are shown, behind those of :mod:`sim.scores.registry`."""
