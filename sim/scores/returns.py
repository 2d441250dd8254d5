"""How much of what was asked back came back, how fast, and what did not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.record.recorder import EventKind
from sim.record.shrink_requests import MOST_OF_IT
from sim.scores.definition import BYTE_SECONDS, BYTES, NO_GUEST, NUMBER, OWN, PERCENT, SECONDS, Question, Score
from sim.scores.measured import integral, lowest, of_guest
from sim.scores.survival import restricted_mean
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from sim.scores.measured import GuestMeasured, Measured

_NOTHING_ASKED_BACK = "nothing was asked back"
_REQUESTS_BACK = "requests for less than the device had plugged"
_AFTER_DEATH = "What is asked for after the guest's death counts as if it had come, and stayed"


def _returned_share(measured: Measured) -> float:
    requests = measured.shrink_requests
    return 100.0 * requests.returned / requests.asked if requests.asked else math.nan


def _return_time(measured: Measured) -> float:
    requests = measured.shrink_requests
    if requests.first_us is None:
        return math.nan
    horizon_us = measured.result.duration_us - requests.first_us
    return restricted_mean(requests.waits, horizon_us) / MICROSECONDS if requests.asked else math.nan


def _returnable_share(guest: GuestMeasured) -> float:
    plugged = integral(guest.plugged, guest.dt_us)
    return 100 * integral(guest.returnable_plugged, guest.dt_us) / plugged if plugged else math.nan


RETURN_SCORES: Final = (
    Score(
        "returned",
        "Memory given back",
        BYTES,
        "higher",
        Question.RETURNS,
        lambda m: float(-int(np.minimum(m.events.plugged_change(), 0).sum()) * m.page_size),
        formula="sum over time of everything that devices gave back, each time that they did",
        source=OWN,
    ),
    Score(
        "asked_back",
        "Memory asked back",
        BYTES,
        "neither",
        Question.RETURNS,
        lambda m: float(m.shrink_requests.asked * m.page_size),
        formula=f"sum over the {_REQUESTS_BACK} of what each asks for beyond those before it. {_AFTER_DEATH}",
        source=OWN,
    ),
    Score(
        "returned_share",
        "Came back",
        PERCENT,
        "higher",
        Question.RETURNS,
        _returned_share,
        formula="100 * part of asked_back that came back by the end of the run, and before the host wanted it again / "
        "asked_back",
        source=OWN,
        undefined=_NOTHING_ASKED_BACK,
        headline=True,
        highest=100.0,
    ),
    Score(
        "return_time",
        "Time to return",
        SECONDS,
        "lower",
        Question.RETURNS,
        _return_time,
        formula=f"restricted mean of the time until {MOST_OF_IT} % of what a request asks back is back, each weighted "
        "by its bytes: the area under their Kaplan-Meier curve from 0 to the time between the first request for memory "
        "back and the end of the run. Memory that the host wants again, and what is held at the end, is censored then; "
        "what a dead guest holds never comes back. The curve holds beyond the last of them, so that who returns "
        "nothing has that whole time",
        source="Kaplan and Meier (1958), Nonparametric estimation from incomplete observations",
        undefined=_NOTHING_ASKED_BACK,
        headline=True,
    ),
    Score(
        "returns_unfulfilled",
        "Never returned",
        NUMBER,
        "lower",
        Question.RETURNS,
        lambda m: float(m.shrink_requests.unfulfilled),
        formula=f"number of {_REQUESTS_BACK} of which less than {MOST_OF_IT} % was back before the host wanted some of "
        "it again or the run ended. A DIMM that refuses stays asked for",
        source=OWN,
    ),
    Score(
        "not_given_end",
        "Asked back, not given: end",
        BYTES,
        "lower",
        Question.RETURNS,
        lambda m: float(m.shrink_requests.held * m.page_size),
        formula=f"at the end, sum over devices of max(0, plugged - requested). {_AFTER_DEATH}",
        source=OWN,
    ),
    Score(
        "not_given_byte_seconds",
        "Asked back, not given: over time",
        BYTE_SECONDS,
        "lower",
        Question.RETURNS,
        lambda m: integral(*m.shrink_requests.excess) * m.page_size / MICROSECONDS,
        formula=f"integral over time of the sum over devices of max(0, plugged - requested). {_AFTER_DEATH}",
        source=OWN,
        headline=True,
    ),
    Score(
        "returnable_share_mean",
        "Returnable right now, mean",
        PERCENT,
        "higher",
        Question.RETURNS,
        of_guest(_returnable_share),
        formula="100 * integral over time of memory that could be returned at that moment without a kill / integral of "
        "plugged memory, over the samples. It goes in units that its device can give, those without kernel pages: a "
        "whole DIMM or dax device, a sub-block or big block of virtio-mem; user pages must find room in what stays",
        source=OWN,
        undefined=f"{NO_GUEST}, or nothing is plugged",
        highest=100.0,
    ),
    Score(
        "returnable_share_min",
        "Returnable right now, least",
        PERCENT,
        "higher",
        Question.RETURNS,
        of_guest(lambda guest: lowest(guest.returnable_share)),
        formula="minimum over the samples of 100 * memory that could be returned at that moment / plugged memory",
        source=OWN,
        undefined=f"{NO_GUEST}, or nothing is plugged",
        highest=100.0,
        extreme="least",
    ),
    Score(
        "refused_offlines",
        "Refused offline attempts",
        NUMBER,
        "neither",
        Question.RETURNS,
        lambda m: float(m.events.blocks[m.events.of_kind(EventKind.REFUSED)].sum()),
        formula="number of blocks that were to go offline and did not, counted at every attempt: more of them where "
        "the host or the driver tries more often",
        source=OWN,
    ),
)
"""In the order in which they are shown."""
