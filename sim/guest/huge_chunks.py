"""How much of a zone's free memory lies in chunks of a huge page or more, as ``/proc/buddyinfo`` tells.

The model has no buddy lists. What it has instead is a relation that was measured: a request takes what lies free in
smaller pieces first and huge chunks are broken when little of that is left (mm/page_alloc.c, ``__rmqueue_smallest``);
and of what is freed nearly nothing becomes huge, since some page of the same 2 MiB is nearly always still in use
(``__free_one_page`` merges free neighbours alone). So the huge chunks of a guest under load are what its highest use
has left of them, and a little more.

Fitted to runs of a guest that compiles (`luhsra/hyperalloc-bench`, commit a385a2d3, EuroSys 2025: 12 and 8 CPUs, 16
GiB). With the use of six others played in the model, the share of the free memory that is huge is off by 0.02 to 0.05
(median over a run), where it is 0.3 to 0.6. On ten zones of seven other machines (performancecopilot/pcp, kernels of
2014 to 2025), to which nothing was fitted, by 0.03 at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.guest.parameters import GuestParameters

_MILLION: Final = 1_000_000  # shares as whole millionths: no time is lost on floats where demand is served


class HugeChunks:
    """Of a zone's free pages, those in pieces smaller than a huge page between user pages: ``small``."""

    __slots__ = ("_kept", "_merged", "_pinned", "_split", "small")

    def __init__(self, parameters: GuestParameters) -> None:
        self.small = 0
        self._kept = round(parameters.huge_kept_share * _MILLION)
        self._split = round(parameters.huge_split_share * _MILLION)
        self._merged = round(parameters.huge_merge_share * _MILLION)
        self._pinned = round(parameters.huge_pinned * _MILLION)

    def used(self, pages: int, managed: int) -> None:
        """Note user pages that were taken in a zone of ``managed`` pages."""
        spare = self.small - self._kept * managed // _MILLION
        if spare > 0:
            part = pages if pages < spare else spare  # noqa: FURB136 - spares a call
            self.small -= part - self._split * part // _MILLION

    def freed(self, pages: int, user: int) -> None:
        """Note user pages that were freed, where ``user`` are left."""
        small = self.small + pages - self._merged * pages // _MILLION
        most = self._pinned * user // _MILLION
        self.small = small if small < most else most  # noqa: FURB136 - as above

    def left(self, pages: int, touched: int, before: int, user: int) -> None:
        """Note ``pages`` that have left the zone, of ``touched`` ones that user pages and small pieces lie among.

        These were ``before`` in all; ``user`` of them are user pages that are still there.
        """
        rest = before - before * min(pages, touched) // touched if touched else before
        self.small = max(0, rest - user)
