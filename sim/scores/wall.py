"""How near the kernel came to having no memory left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.guest.contract import OomKind
from sim.scores.definition import BYTES, DOCUMENT, NO_GUEST, Question, Score
from sim.scores.measured import mean, of_guest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sim.scores.measured import GuestMeasured

_ALLOCATOR = "__zone_watermark_ok() in mm/page_alloc.c: kernel requests stop at a zone's min watermark and its reserve"
_RECLAIM = f"{_ALLOCATOR}; shrink_node() in mm/vmscan.c: what is given up for them first"
_HEADROOM = (
    "memory that kernel requests could still get in the kernel zones of all nodes before one fails, clean page cache "
    "and reclaimable slab given up for them"
)
_FREE = "part of it that is free, nothing given up"


def _least(guest: GuestMeasured, pages: npt.NDArray[np.int64]) -> float:
    # Samples miss the moment of a failure: by the next one the killer has made room, and an add has given up.
    failed = len(guest.ooms(OomKind.KERNEL)) or len(guest.failed_adds)
    return 0.0 if failed else float(int(pages.min()) * guest.page_size)


WALL_SCORES: Final = (
    Score(
        "headroom_min",
        "Kernel headroom, least",
        BYTES,
        "higher",
        Question.WALL,
        of_guest(lambda guest: _least(guest, guest.headroom)),
        formula=f"minimum over the samples of the {_HEADROOM}; 0 where a kernel request or an add found no memory. "
        "Some samples are of the moment when the memmap of added memory is taken and that memory is not online yet, "
        "single blocks of virtio-mem excepted",
        source=_RECLAIM,
        undefined=NO_GUEST,
        headline=True,
        extreme="least",
    ),
    Score(
        "headroom_mean",
        "Kernel headroom, mean",
        BYTES,
        "higher",
        Question.WALL,
        of_guest(lambda guest: mean(guest.headroom, guest.dt_us) * guest.page_size),
        formula=f"time-weighted mean over the samples of the {_HEADROOM}",
        source=_RECLAIM,
        undefined=f"{NO_GUEST}, or the run has no length",
    ),
    Score(
        "headroom_free_min",
        "Kernel headroom that is free, least",
        BYTES,
        "higher",
        Question.WALL,
        of_guest(lambda guest: _least(guest, guest.headroom_free)),
        formula=f"as headroom_min, of the {_FREE}",
        source=_ALLOCATOR,
        undefined=NO_GUEST,
        extreme="least",
    ),
    Score(
        "headroom_free_mean",
        "Kernel headroom that is free, mean",
        BYTES,
        "higher",
        Question.WALL,
        of_guest(lambda guest: mean(guest.headroom_free, guest.dt_us) * guest.page_size),
        formula=f"as headroom_mean, of the {_FREE}",
        source=_ALLOCATOR,
        undefined=f"{NO_GUEST}, or the run has no length",
    ),
    Score(
        "kernel_mean",
        "Kernel-zone memory, mean",
        BYTES,
        "neither",
        Question.WALL,
        lambda m: mean(m.series.kernel, m.dt_us) * m.page_size,
        formula="time-weighted mean of the present memory of the kernel zones on all nodes",
        source=DOCUMENT,
        undefined="the run has no length",
    ),
    Score(
        "kernel_end",
        "Kernel-zone memory, end",
        BYTES,
        "neither",
        Question.WALL,
        lambda m: float(int(m.series.kernel[-1]) * m.page_size),
        formula="at the end, the present memory of the kernel zones on all nodes",
        source=DOCUMENT,
    ),
)
"""In the order in which they are shown."""
