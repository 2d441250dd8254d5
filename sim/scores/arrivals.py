"""Whether what the host wanted to be there came."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.scores.definition import BYTE_SECONDS, BYTES, NO_GUEST, NUMBER, OWN, PERCENT, Question, Score
from sim.scores.measured import integral, of_guest
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from sim.scores.measured import Measured


def _arrived_share(measured: Measured) -> float:
    asked = integral(measured.series.requested, measured.dt_us)
    return 100.0 * integral(measured.series.arrived, measured.alive_us) / asked if asked else math.nan


ARRIVAL_SCORES: Final = (
    Score(
        "arrived_share",
        "Arrived",
        PERCENT,
        "higher",
        Question.ARRIVALS,
        _arrived_share,
        formula="100 * integral over time, while the guest lives, of the sum over devices of min(online, requested) / "
        "integral over time of the sum over devices of requested",
        source=OWN,
        undefined="nothing was asked for",
        headline=True,
        highest=100.0,
    ),
    Score(
        "plugged_max",
        "Plugged, most",
        BYTES,
        "neither",
        Question.ARRIVALS,
        lambda m: float(int(m.series.plugged.max()) * m.page_size),
        formula="maximum over time of the sum over devices of what is plugged: what refuses to leave "
        "while other memory comes is in it, so that more is not better",
        source=OWN,
        extreme="most",
    ),
    Score(
        "online_max",
        "Online, most",
        BYTES,
        "neither",
        Question.ARRIVALS,
        lambda m: float(int(m.series.online.max()) * m.page_size),
        formula="maximum over time of the sum over devices of what is plugged and online; more is not better, as "
        "for plugged_max",
        source=OWN,
        extreme="most",
    ),
    Score(
        "mem_total_max",
        "MemTotal, most",
        BYTES,
        "neither",
        Question.ARRIVALS,
        of_guest(lambda guest: float(int(guest.mem_total.max()) * guest.page_size)),
        formula="maximum over the samples of MemTotal: the managed pages of all zones, boot memory included",
        source="totalram_pages() in mm/show_mem.c",
        undefined=NO_GUEST,
        extreme="most",
    ),
    Score(
        "asked_max",
        "Asked for, most",
        BYTES,
        "neither",
        Question.ARRIVALS,
        lambda m: float(int(m.series.requested.max()) * m.page_size),
        formula="maximum over time of the sum over devices of what the host asked for last",
        source=OWN,
        extreme="most",
    ),
    Score(
        "asked_byte_seconds",
        "Asked for: over time",
        BYTE_SECONDS,
        "neither",
        Question.ARRIVALS,
        lambda m: integral(m.series.requested, m.dt_us) * m.page_size / MICROSECONDS,
        formula="integral over time of the sum over devices of what the host asked for last",
        source=OWN,
    ),
    Score(
        "decisions",
        "Decisions",
        NUMBER,
        "neither",
        Question.ARRIVALS,
        lambda m: m.counter("decisions"),
        formula="number of memory blocks that the policy was asked about",
        source=OWN,
        undefined="the core kept no such counter",
    ),
    Score(
        "failed_requests",
        "Failed requests",
        NUMBER,
        "lower",
        Question.ARRIVALS,
        lambda m: m.counter("failed_requests"),
        formula="number of requests of the host that were impossible to begin with (no such device, no free slot, ...)",
        source=OWN,
        undefined="the core kept no such counter",
    ),
    Score(
        "failed_operations",
        "Failed operations of drivers",
        NUMBER,
        "lower",
        Question.ARRIVALS,
        lambda m: m.counter("failed_operations"),
        formula="number of additions and removals that the guest's drivers tried in vain, once for each attempt at a "
        "range of a DIMM or dax device, a virtio-mem block or big block (additions), a DIMM or dax device (removals), "
        "and of words that a dax device's state refused",
        source=OWN,
        undefined="the core kept no such counter",
    ),
)
"""In the order in which they are shown."""
