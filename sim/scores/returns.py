"""How much of what was asked back came back, how fast, and what did not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.record.recorder import EventKind
from sim.scores.definition import BYTE_SECONDS, BYTES, NO_GUEST, NUMBER, OWN, PERCENT, SECONDS, Question, Score
from sim.scores.measured import integral, lowest, mean_where_defined, of_guest
from sim.units import MICROSECONDS, PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.scores.measured import Measured

_NO_RETURN = "no request for memory back was fulfilled"
_REQUESTS_BACK = "requests for less than the device had plugged"


def _return_seconds(measured: Measured, of: Callable[[tuple[float, ...]], float]) -> float:
    return of(measured.shrink_requests.seconds) if measured.shrink_requests.seconds else math.nan


RETURN_SCORES: Final = (
    Score(
        "returned",
        "Memory given back",
        BYTES,
        "higher",
        Question.RETURNS,
        lambda m: float(-int(np.minimum(m.events.plugged_change(), 0).sum()) * PAGE_SIZE),
        formula="sum over time of everything that devices gave back, each time that they did",
        source=OWN,
    ),
    Score(
        "return_time_mean",
        "Time to return, mean",
        SECONDS,
        "lower",
        Question.RETURNS,
        lambda m: _return_seconds(m, lambda times: math.fsum(times) / len(times)),
        formula=f"mean, over the {_REQUESTS_BACK} that were fulfilled, of the time from the request until no more was "
        "plugged than it asked for",
        source=OWN,
        undefined=_NO_RETURN,
    ),
    Score(
        "return_time_max",
        "Time to return, longest",
        SECONDS,
        "lower",
        Question.RETURNS,
        lambda m: _return_seconds(m, max),
        formula="longest of these times",
        source=OWN,
        undefined=_NO_RETURN,
    ),
    Score(
        "returns_unfulfilled",
        "Never returned",
        NUMBER,
        "lower",
        Question.RETURNS,
        lambda m: float(m.shrink_requests.unfulfilled),
        formula=f"number of {_REQUESTS_BACK} that were not fulfilled before the host asked for more again or the run "
        "ended. A DIMM that refuses stays asked for",
        source=OWN,
    ),
    Score(
        "not_given_end",
        "Asked back, not given: end",
        BYTES,
        "lower",
        Question.RETURNS,
        lambda m: float(int(m.series.not_given[-1]) * PAGE_SIZE),
        formula="at the end, sum over devices of max(0, plugged - requested)",
        source=OWN,
        headline=True,
    ),
    Score(
        "not_given_byte_seconds",
        "Asked back, not given: over time",
        BYTE_SECONDS,
        "lower",
        Question.RETURNS,
        lambda m: integral(m.series.not_given, m.dt_us) * PAGE_SIZE / MICROSECONDS,
        formula="integral over time of the sum over devices of max(0, plugged - requested)",
        source=OWN,
        headline=True,
    ),
    Score(
        "returnable_share_mean",
        "Returnable right now, mean",
        PERCENT,
        "higher",
        Question.RETURNS,
        of_guest(lambda guest: mean_where_defined(guest.returnable_share, guest.dt_us)),
        formula="time-weighted mean, while memory is plugged, of 100 * memory that could be returned at that "
        "moment without a kill / plugged memory: pageblocks without kernel pages, as far as user pages fit elsewhere",
        source=OWN,
        undefined=f"{NO_GUEST}, or nothing is plugged",
        headline=True,
    ),
    Score(
        "returnable_share_min",
        "Returnable right now, least",
        PERCENT,
        "higher",
        Question.RETURNS,
        of_guest(lambda guest: lowest(guest.returnable_share)),
        formula="minimum over the samples of that share",
        source=OWN,
        undefined=f"{NO_GUEST}, or nothing is plugged",
    ),
    Score(
        "refused_offlines",
        "Refused offline attempts",
        NUMBER,
        "lower",
        Question.RETURNS,
        lambda m: float(m.events.blocks[m.events.of_kind(EventKind.REFUSED)].sum()),
        formula="number of blocks that were to go offline and did not, counted at every attempt",
        source=OWN,
    ),
)
"""In the order in which they are shown."""
