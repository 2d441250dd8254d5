"""A search among neighbours: zones that differ from good ones in one decision, or in two that change places."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.clairvoyant.trials import Trial, Trials

_NEAR: Final = 12
"""With how many decisions on each side one changes places; what lies farther off is a matter of the plan."""


class Cut(NamedTuple):
    """A run with ``pages`` of hotplugged kernel memory failed at ``t_us``: probably all with no more of it do."""

    t_us: int
    pages: int


class _Move(NamedTuple):
    """Decisions that are taken otherwise, and what that gains if it holds (page-microseconds)."""

    gain: int
    flipped: tuple[int, ...]


def climb(trials: Trials, start: Trial, cuts: list[Cut], most: int) -> Trial:
    """Return where no neighbour is better, or where ``most`` rehearsals have been made; the greatest gain comes first.

    A neighbour that fails adds to ``cuts``, which rule out others unseen: they save rehearsals and prove nothing.
    """
    here, last = start, trials.count + most
    while trials.count < last and not trials.near(trials.relaxation.total):
        spans = [trials.relaxation.lasting(choice) for choice in here.choices]
        known = _Cuts(here, spans, cuts)
        for move in _moves(here, spans):
            if trials.count >= last:
                return here
            if known.rule_out(move):
                continue
            kinds = list(here.kinds)
            for place in move.flipped:
                kinds[place] = not kinds[place]
            trial = trials(kinds)
            if trial is None:
                return here
            if not trial.holds:
                known.add(Cut(trial.fails_us, trial.kernel))
            elif trial.worth > here.worth:
                here = trial
                break
        else:
            return here
    return here


def _moves(here: Trial, spans: Sequence[tuple[int, int]]) -> Iterator[_Move]:
    """Yield the moves that gain, the greatest gain first: kernel memory becomes MOVABLE, alone or in exchange."""
    worth = [choice.pages * (end - begin) for choice, (begin, end) in zip(here.choices, spans, strict=True)]
    count = len(here.kinds)
    moves = []
    for place in (number for number, kernel in enumerate(here.kinds) if kernel):
        moves.append(_Move(worth[place], (place,)))
        movable_after = (other for other in range(place + 1, count) if not here.kinds[other])
        movable_before = (other for other in range(place - 1, -1, -1) if not here.kinds[other])
        near = (*islice(movable_after, _NEAR), *islice(movable_before, _NEAR))
        moves += [_Move(worth[place] - worth[other], (place, other)) for other in near]
    return iter(sorted((move for move in moves if move.gain > 0), key=lambda move: (-move.gain, move.flipped)))


class _Cuts:
    """What ``cuts`` say of neighbours of ``here``; adds to them."""

    def __init__(self, here: Trial, spans: Sequence[tuple[int, int]], cuts: list[Cut]) -> None:
        self._choices = here.choices
        self._spans = spans
        self._cuts = cuts
        self._spare: list[int] = []
        """For each cut: kernel memory that there is at its moment beyond what was too little."""
        self._look()

    def _look(self) -> None:
        for cut in self._cuts[len(self._spare) :]:
            there = sum(self._pages(place, cut) for place, choice in enumerate(self._choices) if choice.kernel)
            self._spare.append(there - cut.pages)

    def _pages(self, place: int, cut: Cut) -> int:
        """Return the pages of a decision that are there at the moment of ``cut``."""
        begin, end = self._spans[place]
        return self._choices[place].pages if begin <= cut.t_us < end else 0

    def add(self, cut: Cut) -> None:
        """Add what has failed."""
        self._cuts.append(cut)
        self._look()

    def rule_out(self, move: _Move) -> bool:
        """Whether with ``move`` there is no more kernel memory than failed before, at some moment."""
        for cut, spare in zip(self._cuts, self._spare, strict=True):
            left = spare
            for place in move.flipped:
                pages = self._pages(place, cut)
                left += -pages if self._choices[place].kernel else pages
            if left <= 0:
                return True
        return False
