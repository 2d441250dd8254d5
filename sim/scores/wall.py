"""How near the kernel came to having no memory left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.guest.contract import OomKind
from sim.scores.definition import BYTES, DOCUMENT, NO_GUEST, Question, Score
from sim.scores.measured import mean, of_guest
from sim.units import PAGE_SIZE

if TYPE_CHECKING:
    from sim.scores.measured import GuestMeasured

_ALLOCATOR = "__zone_watermark_ok() in mm/page_alloc.c: kernel requests stop at a zone's min watermark and its reserve"
_HEADROOM = "pages that kernel requests could still take in the kernel zones of all nodes, nothing being reclaimed"


def _least_headroom(guest: GuestMeasured) -> float:
    # Samples miss the moment of a failure: by the next one, the killer has made room.
    return 0.0 if len(guest.ooms(OomKind.KERNEL)) else float(int(guest.headroom.min()) * PAGE_SIZE)


WALL_SCORES: Final = (
    Score(
        "headroom_min",
        "Kernel headroom, least",
        BYTES,
        "higher",
        Question.WALL,
        of_guest(_least_headroom),
        formula=f"minimum over the samples of the {_HEADROOM}; 0 where a kernel request failed",
        source=_ALLOCATOR,
        undefined=NO_GUEST,
        headline=True,
    ),
    Score(
        "headroom_mean",
        "Kernel headroom, mean",
        BYTES,
        "higher",
        Question.WALL,
        of_guest(lambda guest: mean(guest.headroom, guest.dt_us) * PAGE_SIZE),
        formula=f"time-weighted mean over the samples of the {_HEADROOM}",
        source=_ALLOCATOR,
        undefined=f"{NO_GUEST}, or the run has no length",
    ),
    Score(
        "kernel_min",
        "Kernel-zone memory, least",
        BYTES,
        "higher",
        Question.WALL,
        lambda m: float(int(m.series.kernel.min()) * PAGE_SIZE),
        formula="minimum over time of the present memory of the kernel zones on all nodes",
        source=DOCUMENT,
    ),
    Score(
        "kernel_mean",
        "Kernel-zone memory, mean",
        BYTES,
        "higher",
        Question.WALL,
        lambda m: mean(m.series.kernel, m.dt_us) * PAGE_SIZE,
        formula="time-weighted mean of the present memory of the kernel zones on all nodes",
        source=DOCUMENT,
        undefined="the run has no length",
    ),
    Score(
        "kernel_end",
        "Kernel-zone memory, end",
        BYTES,
        "higher",
        Question.WALL,
        lambda m: float(int(m.series.kernel[-1]) * PAGE_SIZE),
        formula="at the end, the present memory of the kernel zones on all nodes",
        source=DOCUMENT,
    ),
)
"""In the order in which they are shown."""
