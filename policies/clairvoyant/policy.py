"""Know what is to come, and look for the zones that are best for it: what other policies can be held against.

What it maximises is the score ``movable_byte_seconds``: hotplugged memory in ZONE_MOVABLE that the host has not asked
back, over time, provided that the guest lives, no kernel request fails and no add fails.

How it knows: the run is rehearsed, again and again.

* First under every other policy of the experiment. It can do in the run whatever the best of them does, so that none is
  better than it.
* Where there are few enough decisions, all of them are tried that could be better (:mod:`policies.clairvoyant.tree`):
  then nothing is better, and that is proved.
* Else it searches: plans for what the kernel seems to need (:mod:`policies.clairvoyant.plan`), the neighbours of good
  ones (:mod:`policies.clairvoyant.local`), and then as much of the tree as rehearsals are left for.

What it found out it says (:class:`sim.record.run_result.Foreseen`): whether the best is proved to be the best, and what
no zones can pass (:mod:`policies.clairvoyant.relaxation`). Where what is asked for depends on the zones, as with a host
that reacts to what is free, there is no such bound, and it is the best of what was tried.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, NamedTuple

from policies.clairvoyant.following import Scripted
from policies.clairvoyant.search import find_best
from policies.clairvoyant.trials import Trials
from policies.contract import Policy
from policies.fixed import OnlineKernel
from policies.headroom import Headroom
from sim.faults import MemhpSimError
from sim.plugins.parameter_types import Whole
from sim.plugins.parameters import Checker, checked
from sim.record.run_result import Foreseen
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from policies.clairvoyant.trials import Trial
    from policies.contract import Foresight, ZoneRequest
    from sim.memory.view import MemoryView

DEFAULT_REHEARSALS: Final = 256
_FEWEST_REHEARSALS: Final = 10
_SIMPLE: Final[tuple[Callable[[], Policy], ...]] = (
    OnlineKernel,
    *(partial(Headroom, reserve=mib << 20) for mib in (64, 128, 256, 512)),
)
"""Make policies that are worth a try whatever the rivals are."""


class _Followed(NamedTuple):
    """A policy that was rehearsed, what came of it, and what is like it as a script."""

    make: Callable[[], Policy]
    trial: Trial
    script: tuple[bool, ...]


class Clairvoyant(Policy):
    """The zones with the most MOVABLE memory that it finds by rehearsing the run. Without rehearsals all is MOVABLE."""

    name = "clairvoyant"
    summary = "knows what is to come, and looks for the zones with the most MOVABLE memory with which nothing fails"
    wants_rivals: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        rehearsals: Annotated[
            int,
            Whole(_FEWEST_REHEARSALS),
            "most rehearsals of the run, beside one for each other policy of the experiment and five of simple ones",
        ] = DEFAULT_REHEARSALS,
    ) -> None:
        check.done()
        self.rehearsals = rehearsals

    def foresee(self, foresight: Foresight) -> Policy | None:
        """Rehearse the run, and return who does what was best."""
        trials = Trials(foresight, self.rehearsals)
        followed: list[_Followed] = []
        for make in (*foresight.rivals(), *_SIMPLE):
            try:
                followed.append(_Followed(make, *trials.follow(make())))
            except MemhpSimError:
                continue  # its failure is its own cell's
        followed.sort(key=lambda rival: rival.trial.rank, reverse=True)
        outcome = find_best(trials, [rival.script for rival in followed])
        bound = None if outcome.bound is None else outcome.bound * trials.full.page_size / MICROSECONDS
        self.foreseen = Foreseen(outcome.proved, trials.count, bound)
        makes = (rival.make for rival in followed if rival.trial is trials.best)
        return next(makes, lambda: Scripted(trials.best.kinds))()

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide one block without having looked ahead."""
        return Scripted(()).zone_for(request, memory)
