"""How far a pick holds out: it and its neighbours are run again where something is otherwise than was thought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from sim.analysis.compare import number, percent, shown_unit
from sim.analysis.wording import some_of, titled
from sim.recommend.candidates import lines_of
from sim.recommend.changes import CHANGES, CannotBeSaidError, changed
from sim.scores.registry import SCORES
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from sim.experiment.plan import Combination
    from sim.recommend.candidates import Space
    from sim.recommend.changes import Change
    from sim.recommend.contract import Candidate, Judged, Objective
    from sim.recommend.race import Rules

    Floats = npt.NDArray[np.float64]

REPLICATIONS: Final = 30
"""Replications of each that is run again: what fails in a tenth of them shows in all but 1 of 24 cases."""

MOST_INSTEAD: Final = 6
"""Candidates that are tried instead of a pick that no longer holds."""

_BESIDE: Final = 2
"""So many on each side of the pick are its neighbours."""

_LOOKS: Final = (5, 15)
"""After so many replications it is seen whether one that is tried instead can still hold."""

_SLIGHT: Final = 1e-9
"""Shares that differ by less are the same."""


class Rows(Protocol):
    """Runs combinations, given by their numbers, in some replications each, as a sampler of candidates does."""

    def sample(self, wanted: Mapping[int, range]) -> Mapping[int, Floats]:
        """Return for each a row per replication and a column per score; NaN throughout where it failed to run."""


@dataclass(frozen=True, slots=True)
class Held:
    """What came of a change: in ``failed`` of ``replications`` the pick broke a limit, and whether it still ``holds``.

    ``instead`` is the label of the candidate nearest to the pick that holds where the pick does not, None where none of
    those that were tried does. ``said`` is false where the change means nothing here. ``sentence`` tells all of it.
    """

    change: str
    sentence: str
    said: bool = True
    failed: int = 0
    replications: int = 0
    holds: bool = True
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Picked:
    """The candidate with the number ``pick`` of those ``tried`` in a scenario, and what was found of all of them."""

    found: Space
    tried: Sequence[Candidate]
    judged: Sequence[Judged]
    pick: int

    def instead(self, objective: Objective) -> list[int]:
        """Return who may take its place: the nearest on either side of each range, then others, the best first.

        Of others that are equally good one is enough, and those that break a limit as it is are none.
        """
        near = [number for _, number in sorted(self._neighbours())]
        sign = -1 if objective.better == "higher" else 1
        known = [
            each
            for each in self.judged
            if self.tried[each.candidate].in_linux and not any(limit.verdict == "broken" for limit in each.limits)
        ]
        last = next((sign * each.mean for each in known if each.candidate == self.pick), np.nan)
        others = []
        for each in sorted(known, key=lambda each: (np.isnan(each.mean), sign * each.mean)):
            if not abs(sign * each.mean - last) <= objective.indifference:
                others.append(each.candidate)
                last = sign * each.mean
        order = dict.fromkeys([*near, *others])
        return [number for number in order if number != self.pick][:MOST_INSTEAD]

    def _neighbours(self) -> Iterator[tuple[int, int]]:
        """Yield those that lie beside it in a range: (how many places off, number)."""
        for _, line in lines_of(self.found, self.tried, self.pick):
            numbers = [number for _, number in line]
            at = numbers.index(self.pick)
            for place, candidate in enumerate(numbers):
                if 0 < abs(place - at) <= _BESIDE:
                    yield abs(place - at), candidate


def sensitivity(
    picked: Picked,
    rules: Rules,
    run: Callable[[Sequence[Combination]], Rows],
    plainly: Floats,
    changes: Sequence[Change] = CHANGES,
    *,
    others: bool = True,
) -> tuple[Held, ...]:
    """Return how a pick holds out under each of ``changes``, in as many replications as ``plainly`` has rows.

    ``plainly`` are the pick's rows without a change; ``run`` makes what runs combinations. All rows have the columns of
    ``rules``. Without ``others`` none is tried in its place where it does not hold.
    """
    order = [picked.pick, *(picked.instead(rules.objective) if others else ())]
    return tuple(_under(change, picked, order, rules, run, plainly) for change in changes)


def in_all(scenarios: Mapping[str, Sequence[Held]]) -> tuple[Held, ...]:
    """Return how one setting for several scenarios holds out, from how it does in each, by the scenarios' names."""
    return tuple(
        _in_all(dict(zip(scenarios, of_change, strict=True))) for of_change in zip(*scenarios.values(), strict=True)
    )


def _in_all(scenarios: Mapping[str, Held]) -> Held:
    first = next(iter(scenarios.values()))
    said = {name: held for name, held in scenarios.items() if held.said}
    if not said:
        if len({held.sentence for held in scenarios.values()}) == 1:
            return first
        return Held(first.change, f"With {first.change} nothing is otherwise, or nothing can be said.", said=False)
    broken = {name: held for name, held in said.items() if not held.holds}
    runs = max(held.replications for held in said.values())
    worst = max(held.failed for held in said.values())
    if not broken:
        where = (
            "all scenarios" if len(said) == len(scenarios) else f"those where that changes anything: {some_of([*said])}"
        )
        return Held(first.change, f"With {first.change} it holds in {where}.", failed=worst, replications=runs)
    told = some_of([f"{name} ({held.failed} of {held.replications})" for name, held in broken.items()])
    sentence = f"With {first.change} it breaks a limit in {told}; another one for all of them was not tried."
    return Held(first.change, sentence, failed=worst, replications=runs, holds=False)


def _under(
    change: Change,
    picked: Picked,
    order: Sequence[int],
    rules: Rules,
    run: Callable[[Sequence[Combination]], Rows],
    plainly: Floats,
) -> Held:
    found, tried = picked.found, picked.tried
    try:
        combinations = [changed(found.combination(tried[number]), change, found.folder) for number in order]
    except CannotBeSaidError as error:
        return Held(change.words, f"What {change.words} would do cannot be said: {error}.", said=False)
    rows, replications = run(combinations), range(len(plainly))
    of_pick = rows.sample({0: replications})[0]
    if np.array_equal(of_pick, plainly, equal_nan=True):
        told = f"With {change.words} all scores stay the same: nothing here depends on it."
        return Held(change.words, told, said=False)
    failed, before = (_broken(rules, each) for each in (of_pick, plainly))
    # A pick may break a limit more often than it may in the first few replications: that is chance, and no change's.
    if _hold(rules, of_pick) or failed <= before:
        often = "as often as it may" if _hold(rules, of_pick) else f"no more often than without ({before})"
        what = f"breaks a limit in {failed} of {len(plainly)} replications, {often}" if failed else "holds"
        told = f"With {change.words} the pick {what}{_means(rules, plainly, of_pick)}."
        return Held(change.words, told, failed=failed, replications=len(plainly))
    places = range(1, len(order))
    holding = (place for place in places if _would_hold(rules, rows, place, len(plainly)))
    instead = next((tried[order[place]].label for place in holding), None)
    if instead is not None:
        otherwise = f"; {instead} would hold"
    else:
        otherwise = f"; none of {counted(len(places), 'other candidate')} would hold" if places else ""
    often = f"in {failed} of {counted(len(plainly), 'replication')} ({percent(failed / len(plainly))} %)"
    often += f", without in {before}" if before else ""
    told = f"With {change.words} the pick breaks a limit {often}{otherwise}."
    return Held(change.words, told, failed=failed, replications=len(plainly), holds=False, instead=instead)


def _broken(rules: Rules, rows: Floats) -> int:
    """Return in how many replications a limit is broken."""
    return int(np.any([rules.breaks(limit, rows) for limit in rules.limits], axis=0).sum())


def _hold(rules: Rules, rows: Floats, count: int | None = None) -> bool:
    """Whether each limit is kept in the share of ``count`` replications that it asks for, as far as ``rows`` show.

    So many are all rows, where nobody says.
    """
    whole = len(rows) if count is None else count
    return all(1 - rules.breaks(limit, rows).sum() / whole >= limit.share - _SLIGHT for limit in rules.limits)


def _would_hold(rules: Rules, rows: Rows, number: int, count: int) -> bool:
    """Whether one holds in ``count`` replications; of one that fails soon no more are run than show it."""
    found = np.empty((0, len(rules.columns)))
    for stop in sorted({min(stop, count) for stop in (*_LOOKS, count)}):
        found = np.concatenate([found, rows.sample({number: range(len(found), stop)})[number]])
        if not _hold(rules, found, count):
            return False
    return True


def _means(rules: Rules, plainly: Floats, under: Floats) -> str:
    """Return what becomes of the objective, as the end of a sentence; nothing where it stays or is undefined."""
    column = rules.columns.index(rules.objective.score)
    before, after = (
        np.nan if np.isnan(rows[:, column]).all() else float(np.nanmean(rows[:, column])) for rows in (plainly, under)
    )
    score = SCORES[rules.objective.score]
    per, unit = shown_unit(score, [before, after])
    told = [f"{number(each / per)} {unit}".strip() for each in (after, before)]
    if np.isnan([before, after]).any() or told[0] == told[1]:
        return ""
    return f"; {titled(score.name)}: {told[0]} instead of {told[1]}"
