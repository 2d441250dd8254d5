"""All zones there are, as a tree of decisions in the order in which they come, searched as far as rehearsals reach.

A run up to a decision depends on the decisions before it alone. So one rehearsal speaks for all zones that begin like
it: one that fails rules out every continuation of the decisions taken until then, and a bound on what can still come
rules out those that cannot be better than the best known. What is left over can be named by where it leaves a
rehearsal: the decisions before, and one that is taken otherwise.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

from policies.clairvoyant.relaxation import UNLIMITED

if TYPE_CHECKING:
    from policies.clairvoyant.trials import Trial, Trials


class Outcome(NamedTuple):
    """What a search has shown: whether nothing is left that could be better, and what no zones can pass.

    In page-microseconds; None where that is not known, as what is asked for depends on the zones, or as all has failed.
    """

    proved: bool
    bound: int | None


class _Branch(NamedTuple):
    """Zones that begin like ``script``; the smallest comes first. ``guide`` is how they may go on."""

    minus_bound: int
    number: int
    script: tuple[bool, ...]
    guide: tuple[bool, ...]


class Tree:
    """What is left of the tree below ``root``, a rehearsal. Branches are rehearsed by :meth:`search`."""

    def __init__(self, trials: Trials, root: Trial) -> None:
        self._trials = trials
        self._branches: list[_Branch] = []
        self._made = 0
        self._by_bound = False
        """Whether something was ruled out because of its bound."""
        self._grow(root, 0)

    def _ruled_out(self, bound: int) -> bool:
        """Whether a branch cannot be better than the best. Bounds are none where what is asked for depends on zones."""
        out = self._trials.open_loop and bound <= self._trials.best.worth
        self._by_bound |= out
        return out

    def _grow(self, trial: Trial, begin: int) -> None:
        """Add what leaves ``trial`` at decision number ``begin`` or later."""
        kinds = trial.kinds
        for place, bound in self._trials.relaxation.siblings(trial, begin):
            if not self._ruled_out(bound):
                self._made += 1
                script = (*kinds[:place], not kinds[place])
                heapq.heappush(self._branches, _Branch(-bound, self._made, script, kinds[place + 1 :]))

    def search(self, *, whole: bool) -> Outcome:
        """Rehearse branches, the greatest bound first, until none is left that could be better or none may be made.

        A rehearsal goes on as the one that it leaves. Unless the ``whole`` tree is wanted, near is good enough.
        """
        while self._branches and (whole or not self._trials.near(-self._branches[0].minus_bound)):
            branch = heapq.heappop(self._branches)
            if self._ruled_out(-branch.minus_bound):
                continue
            trial = self._trials((*branch.script, *branch.guide))
            if trial is None:
                heapq.heappush(self._branches, branch)
                break
            self._grow(trial, len(branch.script))
        best, open_loop = self._trials.best.worth, self._trials.open_loop
        proved = not self._branches and (open_loop or not self._by_bound)
        if proved:
            return Outcome(proved=True, bound=best)
        most = -self._branches[0].minus_bound if self._branches else best
        known = open_loop and most < UNLIMITED
        return Outcome(proved=False, bound=max(best, most) if known else None)
