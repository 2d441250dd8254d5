"""What went wrong: who died, who was killed and why, which memory could not be added."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.guest.contract import OomKind
from sim.scores.definition import BYTE_SECONDS, BYTES, NO_GUEST, NUMBER, OWN, SECONDS, Question, Score
from sim.scores.measured import integral, of_guest
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from sim.scores.measured import GuestMeasured, Measured

_OOM = "out_of_memory() in mm/oom_kill.c"


def _first_kernel_oom(guest: GuestMeasured) -> float:
    times = guest.ooms(OomKind.KERNEL)
    return int(times[0]) / MICROSECONDS if len(times) else math.nan


def _death_time(guest: GuestMeasured) -> float:
    return math.nan if guest.death is None else guest.death.t_us / MICROSECONDS


def _most_unserved(guest: GuestMeasured) -> float:
    # What holds for no time is a change under way: one program after the other is told.
    return float(int(guest.unserved[guest.dt_us > 0].max(initial=0)) * guest.page_size)


def _largest(measured: Measured) -> float:
    if measured.guest is None:
        return math.nan
    plugged, failure = measured.series.plugged, measured.guest.first_failure_us
    if failure is not None:
        plugged = plugged[measured.series.t_us <= failure]
    return float(int(plugged.max()) * measured.page_size)


FAILING: Final = ("died", "kernel_ooms", "failed_adds")
"""A run fails where any of these is above 0."""

FAILURE_SCORES: Final = (
    Score(
        "died",
        "Guest died",
        NUMBER,
        "lower",
        Question.FAILURES,
        of_guest(lambda guest: float(guest.death is not None)),
        formula="1 where the guest died, because the out-of-memory killer found no process to kill, 0 where it lives "
        "to the end; a mean of it is the share of runs in which the guest dies",
        source=_OOM,
        undefined=NO_GUEST,
        headline=True,
        highest=1.0,
    ),
    Score(
        "death_time",
        "Guest died at",
        SECONDS,
        "neither",
        Question.FAILURES,
        of_guest(_death_time),
        formula="simulated time at which the guest died; of what, says the column `death_cause` of the table `runs`",
        source=_OOM,
        undefined=f"{NO_GUEST}, or it lives to the end",
    ),
    Score(
        "kernel_ooms",
        "Kernel out of memory",
        NUMBER,
        "lower",
        Question.FAILURES,
        of_guest(lambda guest: float(len(guest.ooms(OomKind.KERNEL)))),
        formula="number of times that the out-of-memory killer ran because a kernel request found no page in any "
        "kernel zone, however much is free in ZONE_MOVABLE",
        source=_OOM,
        undefined=NO_GUEST,
        headline=True,
    ),
    Score(
        "kernel_oom_first",
        "Kernel out of memory, first",
        SECONDS,
        "neither",
        Question.FAILURES,
        of_guest(_first_kernel_oom),
        formula="simulated time at which that happened first",
        source=_OOM,
        undefined=f"{NO_GUEST}, or it never happened",
    ),
    Score(
        "guest_full_ooms",
        "Killed, guest full",
        NUMBER,
        "lower",
        Question.FAILURES,
        of_guest(lambda guest: float(len(guest.ooms(OomKind.GUEST_FULL)))),
        formula="number of times that the out-of-memory killer ran because a user page found no place in any zone: "
        "the host gave too little or too late",
        source=_OOM,
        undefined=NO_GUEST,
        headline=True,
    ),
    Score(
        "return_ooms",
        "Killed by a return",
        NUMBER,
        "lower",
        Question.FAILURES,
        of_guest(lambda guest: float(len(guest.ooms(OomKind.MIGRATION)))),
        formula="number of times that the out-of-memory killer ran because pages of memory that was asked back found "
        "no place elsewhere",
        source=_OOM,
        undefined=NO_GUEST,
        headline=True,
    ),
    Score(
        "unserved_byte_seconds",
        "Demand not served",
        BYTE_SECONDS,
        "lower",
        Question.FAILURES,
        of_guest(lambda guest: integral(guest.unserved, guest.dt_us) * guest.page_size / MICROSECONDS),
        formula="integral over time of what programs would use, had nobody been killed and the guest not died, less "
        "what they use: what they want is the same under every policy, who is killed is not, and memory that they no "
        "longer use is easy to give back",
        source=OWN,
        undefined=NO_GUEST,
        headline=True,
    ),
    Score(
        "unserved_max",
        "Demand not served, most",
        BYTES,
        "lower",
        Question.FAILURES,
        of_guest(_most_unserved),
        formula="the most of it for any length of time",
        source=OWN,
        undefined=NO_GUEST,
        extreme="most",
    ),
    Score(
        "failed_adds",
        "Failed adds",
        NUMBER,
        "lower",
        Question.FAILURES,
        of_guest(lambda guest: float(len(guest.failed_adds))),
        formula="number of times that a driver could not add memory because there was no room for its memmap (ENOMEM), "
        "counted at every attempt",
        source="add_memory_resource() in mm/memory_hotplug.c",
        undefined=NO_GUEST,
    ),
    Score(
        "largest_before_failure",
        "Largest size before a failure",
        BYTES,
        "higher",
        Question.FAILURES,
        _largest,
        formula="largest sum over devices of what is plugged, up to the moment at which an add failed or the "
        "out-of-memory killer ran for the first time; of the whole run where neither happened",
        source=OWN,
        undefined=NO_GUEST,
    ),
)
"""In the order in which they are shown."""


def fails(measured: Measured) -> bool:
    """Whether the run fails: see :data:`FAILING`. Never without a guest model."""
    return any(score.function(measured) > 0 for score in FAILURE_SCORES if score.name in FAILING)
