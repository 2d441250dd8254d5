"""The order of the search: a small tree whole; else plans, neighbours of what is good, the tree."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from policies.clairvoyant.future import Outlook
from policies.clairvoyant.local import Cut, climb
from policies.clairvoyant.plan import Need, best_plan
from policies.clairvoyant.tree import Outcome, Tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from policies.clairvoyant.trials import Trial, Trials
    from sim.record.run_result import RunResult

_STARTS: Final = 3
"""Rehearsals whose neighbours are looked at: the best ones that differ."""


def find_best(trials: Trials, scripts: Sequence[tuple[bool, ...]]) -> Outcome:
    """Look for the best zones with the rehearsals that are left, and return what is known of them then.

    ``scripts`` are decisions that are worth a try, the best first. The best is in ``trials``.
    """
    if trials.open_loop and trials.relaxation.total <= trials.best.worth:
        return Outcome(proved=True, bound=trials.best.worth)
    root = trials.first
    decisions = max(len(root.kinds), *(len(script) for script in scripts), 0)
    # An integer of any size: there may be thousands of decisions.
    whole = 2**decisions <= trials.left + 1
    if not whole:
        root = _search(trials, scripts)
    outcome = Outcome(proved=False, bound=trials.limit)
    if not trials.relaxation.is_too_much_for(root):
        outcome = Tree(trials, root).search(whole=whole)
    if outcome.proved or outcome.bound is None:
        return outcome
    bound = max(min(outcome.bound, trials.relaxation.total), trials.best.worth)
    return Outcome(bound == trials.best.worth, bound)


def _search(trials: Trials, scripts: Sequence[tuple[bool, ...]]) -> Trial:
    """Try what may be good, and return the best rehearsal of a script."""
    tried = [trials.first]
    cuts: list[Cut] = []
    for script in list(dict.fromkeys(scripts))[:_STARTS]:
        trial = trials(script)
        if trial is not None:
            tried.append(trial)
    tried += _plan(trials, cuts, trials.left // 3)
    # Each once, the best first.
    starts = sorted({trial.kinds: trial for trial in tried}.values(), key=lambda trial: trial.rank, reverse=True)
    last = trials.count + trials.left * 2 // 3
    best = starts[0]
    for start in starts[:_STARTS]:
        if start.holds:
            best = max(best, climb(trials, start, cuts, last - trials.count), key=lambda trial: trial.rank)
    return best


def _plan(trials: Trials, cuts: list[Cut], most: int) -> list[Trial]:
    """Rehearse the best plan for what kernel zones need at least, and where it fails for more, until one holds."""
    tried: list[Trial] = []
    known: RunResult | None = None
    for _ in range(most):
        if trials.near(trials.relaxation.total):
            break
        if known is not trials.full:
            known = trials.full
            outlook = Outlook(known)
            needs = [Need(*need) for need in trials.relaxation.needs]
        trial = trials(outlook.script(best_plan(outlook.future, _with_cuts(needs, cuts))))
        if trial is None or trial in tried:
            break
        tried.append(trial)
        if trial.holds:
            break
        cuts.append(Cut(trial.fails_us, trial.kernel))
    return tried


def _with_cuts(needs: Sequence[Need], cuts: Sequence[Cut]) -> list[Need]:
    """Return ``needs`` with more than ``cuts`` had at their moments; what holds around these moments stays."""
    by_time: Mapping[int, int] = dict(needs)
    times = sorted(by_time)
    merged = dict(by_time)
    # What comes in the instant of a failure comes too late: a block's memmap is taken before the block can help.
    moments = [(max(0, cut.t_us - 1), cut.pages + 1) for cut in cuts]
    for t_us, _ in moments:
        for moment in (t_us, t_us + 1):
            place = bisect_left(times, moment + 1)
            merged.setdefault(moment, by_time[times[place - 1]] if place else 0)
    for t_us, pages in moments:
        merged[t_us] = max(merged[t_us], pages)
    return [Need(t_us, pages) for t_us, pages in sorted(merged.items())]
