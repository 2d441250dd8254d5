"""Know the whole future: the upper bound that every other policy can be held against, as Belady's is for caches.

What it maximises: among the zones in which neither a kernel request nor an addition of memory ever fails for want of
kernel memory, those with the most hotplugged memory in ZONE_MOVABLE, summed over time (byte-seconds).

How it gets the future: the run is rehearsed, first with everything in kernel zones, where the kernel lacks memory
least, and under other simple policies. The best of these rehearsals shows what comes when and what the kernel needs of
it. From that :mod:`policies.clairvoyant.plan` makes the best plan, the plan is rehearsed in turn, and what it shows
makes the next one:

* Where the plan holds, the kernel's need is known better (watermarks and reserves depend on the zones).
* Where it fails at some moment, every plan with no more kernel memory at that moment is ruled out.

It ends with a plan that was made before. Of those rehearsed, the one with the fewest failures is followed, and of
several the one with the most MOVABLE memory. As long as what the host asks for does not depend on the zones, this is
the best there is in the model of the plan; where it does (a host that reacts to what is free), it is a good one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from policies.clairvoyant.future import Outlook
from policies.clairvoyant.plan import Need, best_plan
from policies.contract import Policy
from policies.fixed import OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.parts.indivisible import one_kind, settled_by
from sim.memory.zones import ZONE_LABELS, ZONE_MOVABLE
from sim.plugins.parameter_types import Whole
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from policies.contract import Foresight, ZoneRequest
    from sim.memory.view import MemoryView

DEFAULT_REHEARSALS: Final = 60
_RESERVES: Final = tuple(mib << 20 for mib in (64, 128, 256, 512))
_FEWEST_REHEARSALS: Final = 10

Kinds = dict[int, list[tuple[int, bool]]]
"""For a block: when it is decided (microseconds, ascending), and whether it then is kernel memory."""


class _Judgement(NamedTuple):
    """How good a rehearsal was; the smallest is the best."""

    kernel_failures: int
    ooms: int
    movable_less: float


class _Planned(Policy):
    """Follows decisions made beforehand: for each block the one made for the nearest time; MOVABLE without one."""

    name = "planned"
    summary = "follows a plan"

    def __init__(self, kinds: Kinds, now: Callable[[], int] | None = None) -> None:
        self._kinds = kinds
        self._now = now

    def foresee(self, foresight: Foresight) -> None:
        """Take the clock."""
        self._now = foresight.now

    def _planned(self, request: ZoneRequest) -> tuple[bool, str]:
        """Return whether the plan has the block as kernel memory, and why."""
        kinds = self._kinds.get(request.first_page // request.pages)
        if not kinds:
            return False, "not foreseen"
        now = self._now() if self._now is not None else 0
        place = bisect_left(kinds, (now, False))
        _, kernel = min(kinds[max(0, place - 1) : place + 1], key=lambda kind: abs(kind[0] - now))
        return kernel, "the kernel will need it" if kernel else "the kernel will not need it"

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block."""
        settled = settled_by(request, memory)
        kernel, reason = self._planned(request) if settled is None else (not settled.movable, "")
        zone: int = ZONE_MOVABLE
        if kernel:
            zone = memory.default_kernel_zone(request.node, request.first_page, request.pages)
        if request.why is not None:
            request.why(f"{reason if settled is None else settled.reason}: {ZONE_LABELS[zone]}")
        return zone

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide adjacent blocks of a static device or of one unit at once: they follow their first."""
        return [(count, self.zone_for(request, memory))] if one_kind(request, count, memory) else None


class Clairvoyant(_Planned):
    """The most MOVABLE memory with which the kernel never starves, known from rehearsals of the run.

    Without a guest the kernel needs nothing, and everything is MOVABLE.
    """

    name = "clairvoyant"
    summary = "upper bound: knows the future, keeps just so much kernel memory that the kernel never starves"

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        rehearsals: Annotated[
            int, Whole(_FEWEST_REHEARSALS), "most rehearsals of the run; it takes as many times as long"
        ] = DEFAULT_REHEARSALS,
    ) -> None:
        check.done()
        super().__init__({})
        self.rehearsals = rehearsals

    def foresee(self, foresight: Foresight) -> None:
        """Rehearse the run until the plan does not get better."""
        super().foresee(foresight)
        self._kinds = {}
        first = foresight.rehearse(OnlineKernel())
        if not first.guest:
            return
        # What simple policies make of it is a start, and no bound may be worse than they are.
        outlooks = [Outlook(first), *(Outlook(foresight.rehearse(policy)) for policy in _simple_policies())]
        outlook = min(outlooks, key=_judge)
        best = (_judge(outlook), outlook.kinds())
        needs, cuts = outlook.needs(), list[Need]()
        plans = set[object]()
        for _ in range(self.rehearsals - len(outlooks)):
            plan = best_plan(outlook.future, _with_cuts(needs, cuts))
            if plan in plans:
                break
            plans.add(plan)
            kinds = outlook.kinds(plan)
            next_outlook = Outlook(foresight.rehearse(_Planned(kinds)))
            best = min(best, (_judge(next_outlook), kinds), key=lambda pair: pair[0])
            if next_outlook.failure is None:
                outlook, needs = next_outlook, next_outlook.needs()
            else:
                cuts.append(next_outlook.failure)
        self._kinds = best[1]


def _simple_policies() -> list[Policy]:
    return [OnlineMovable(), *(Headroom(reserve=reserve) for reserve in _RESERVES)]


def _judge(outlook: Outlook) -> _Judgement:
    return _Judgement(outlook.kernel_failures, outlook.ooms, -outlook.movable_page_seconds)


def _with_cuts(needs: Sequence[Need], cuts: Sequence[Need]) -> list[Need]:
    """Return ``needs`` with at least as much at the moments of ``cuts``; what holds around these moments stays."""
    by_time: Mapping[int, int] = dict(needs)
    times = sorted(by_time)
    merged = dict(by_time)
    for cut in cuts:
        for moment in (cut.t_us, cut.t_us + 1):
            place = bisect_left(times, moment + 1)
            merged.setdefault(moment, by_time[times[place - 1]] if place else 0)
    for cut in cuts:
        merged[cut.t_us] = max(merged[cut.t_us], cut.pages)
    return [Need(t_us, pages) for t_us, pages in sorted(merged.items())]
