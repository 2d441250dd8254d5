"""Limits in words of the scores: what must hold, and in which share of the replications.

Such as "no death in 99 % of replications", "headroom never under 128 MiB", "came back at least 80 % in 95 % of
replications", "headroom_min >= 128MiB in 99 %" or "fails in at most 5 % of replications".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from sim.analysis.compare import number, shown_unit
from sim.faults import shown
from sim.recommend.contract import Limit
from sim.recommend.limit_words import tokens
from sim.scores.definition import BYTE_SECONDS, BYTES, PERCENT, POINTS, SECONDS, Unit
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES
from sim.units import parse_rounded_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sim.faults import Faults
    from sim.recommend.limit_words import Kind, Token

Sense = Literal["at most", "at least"]

_ALL: Final = 100.0
_HALF: Final = 0.5
_A_LITTLE: Final = 1e-6
"""Added to a share that has to be exceeded."""

_BETTER: Final[Mapping[str, Sense]] = {"higher": "at least", "lower": "at most"}
"""What a bound means where nobody says: nobody limits what is good."""

_TIMES: Final = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("day", "days"), 86400.0),
}
_NUMBER = re.compile(r"(?P<number>-?\d*\.?\d+)\s*(?P<unit>[a-z%]*(?:\s+points?)?)")

EXAMPLES: Final = (
    "'nothing fails', 'no death', 'at most 1 % die', 'no kernel OOM kills', 'no failed adds', 'headroom never under "
    "128 MiB', 'came back at least 80 %', 'time to return at most 5 min', or a score's name or title with >= or <= and "
    "a value; each may end in 'in 99 % of replications', else it must hold in every one"
)


def limits(texts: Iterable[str], faults: Faults) -> tuple[Limit, ...]:
    """Return the limits that ``texts`` say; a text that says none adds a fault with its place and what can be said.

    So does one that cannot be kept beside another.
    """
    found: dict[int, Limit] = {}
    for place, text in enumerate(texts):
        try:
            found[place] = limit(text)
        except ValueError as error:
            faults.below(place).add(str(error))
    for place, one in found.items():
        for before in (other for earlier, other in found.items() if earlier < place and _contradict(one, other)):
            faults.below(place).add(
                f"{shown(one.text)} cannot be kept beside {shown(before.text)}: {shown_bound(one)}, and at once"
                f" {shown_bound(before)}"
            )
    return tuple(found.values())


def _contradict(one: Limit, other: Limit) -> bool:
    """Whether no run can keep both of two limits, and some would have to."""
    if one.scores != other.scores or one.sense == other.sense or one.share + other.share <= 1:
        return False
    least, most = (one, other) if one.sense == "at least" else (other, one)
    return least.bound > most.bound


def limit(text: str) -> Limit:
    """Return the limit that ``text`` says. Raises ValueError with what can be said."""
    try:
        read = tokens(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no limit: {error} {_say()}") from None
    return _Read(text, read).limit()


class _Read:
    """A limit's tokens, each number with the sense that belongs to it."""

    def __init__(self, text: str, read: Sequence[Token]) -> None:
        self._text = text
        self._subjects = [token for token in read if token.kind in _SUBJECTS]
        self._quantiles = [token for token in read if token.kind == "quantile"]
        self._rate = any(token.kind == "rate" for token in read)
        self._may = any(token.kind == "may" for token in read)
        self._runs = any(token.kind == "runs" for token in read)
        self._none = self._denied = False
        self._sense: Token | None = None
        self._values: list[_Number] = []
        self._pair(read)

    def _pair(self, read: Sequence[Token]) -> None:
        """Give each number the sense before it, or behind it where none is before ("1 GiB or more")."""
        within = False
        for token in read:
            if token.kind == "number":
                self._values.append(_Number(token, self._sense, within=within))
                self._sense = None
            elif token.kind in _SENSES:
                self._take_sense(token)
            elif token.kind == "not":
                if self._denied:
                    raise self._refused("denies something twice")
                self._denied = True
            elif token.kind in _SUBJECTS:
                self._none, self._denied = self._none or self._denied, False
            elif token.kind == "runs" and self._values:
                self._values[-1].runs = True
            within = token.kind == "in" or (within and token.kind in _SENSES)
        if self._sense is not None:
            raise self._refused(f"says no value behind {shown(self._typed(self._sense.text))}")
        self._none = self._none or self._denied  # "OOM kills never"

    def _take_sense(self, token: Token) -> None:
        if self._sense is not None:
            raise self._refused(
                f"has {shown(self._typed(self._sense.text))} and {shown(self._typed(token.text))} of one number"
            )
        sense, self._denied = _against(token) if self._denied else token, False
        if token.text.startswith("or ") and self._values and self._values[-1].sense is None:
            self._values[-1].sense = sense
        else:
            self._sense = sense

    def limit(self) -> Limit:
        """Return what the tokens say together."""
        if not self._subjects:
            raise self._refused("names nothing that can be limited")
        if len(self._subjects) > 1:
            named = " and ".join(shown(token.text) for token in self._subjects)
            raise self._refused(f"names {named}: say each in a limit of its own")
        subject = self._subjects[0]
        if subject.kind == "score":
            return self._of_score(subject)
        return self._of_event(subject)

    def _of_event(self, subject: Token) -> Limit:
        """Return the limit of what shall not happen, or shall: in how many replications."""
        for each in self._values:
            if self._rate and not each.token.unit and 0 < each.token.number < 1:
                each.token = replace(each.token, number=100 * each.token.number, unit="%")
        counts = [each for each in self._values if not each.token.unit]
        if len(counts) == 1 and counts[0].is_none:  # "0 failures", "deaths <= 0"
            self._values.remove(counts.pop())
            self._none = self._none or subject.kind == "bad"
        if counts and subject.kind == "bad" and not self._rate and not self._none:
            return self._of_score(subject)
        if len(self._values) > 1 or self._quantiles or any(each.token.unit != "%" for each in self._values):
            raise self._refused("says no one share of replications, such as 1 %")
        if subject.kind == "good" and self._none:
            raise self._refused("denies what is good")
        number = self._values[0] if self._values else None
        if subject.kind == "bad" and not self._none:
            return self._rarely(subject, number)
        share = 1.0 if number is None else self._share(number)
        return self._held(subject.scores, "at most", 0.0, share)

    def _rarely(self, subject: Token, number: _Number | None) -> Limit:
        """Return the limit of what may happen in so many replications at most."""
        if number is None:
            raise self._refused("does not say that it must not happen, or how often it may")
        kind = {FAILING: "fail", ("died",): "die"}.get(subject.scores, "break it")
        if number.side == "at least" or (number.side is None and not self._may and number.token.number):
            raise self._refused(f"says how often it may {kind}, not at most how often")
        rate = number.token.number / 100
        if not 0 <= rate < 1 or (rate == 0 and number.out):
            raise self._refused(f"would let {100 * rate:g} % of replications {kind}: under 100 % limits")
        return self._held(subject.scores, "at most", 0.0, 1 - rate + (_A_LITTLE if number.out else 0.0))

    def _of_score(self, subject: Token) -> Limit:
        """Return the limit of a score's value, and in how many replications it must hold."""
        values, share = list(self._values), 1.0
        percent = [each for each in values if each.token.unit == "%"]
        given = [each for each in percent if each.runs or each.within]
        if not given and len(values) > 1 and percent and SCORES[subject.scores[0]].unit is not PERCENT:
            given = percent[-1:]
        if given:
            share = self._share(given[-1])
            values.remove(given[-1])
        if len(values) > 1:
            told = " and ".join(self._typed(each.token.text) for each in values)
            raise self._refused(f"says {told}: say each bound in a limit of its own")
        if not values:
            if self._none:
                return self._held(subject.scores[:1], "at most", 0.0, share)
            raise self._refused(f"says no value of {shown(subject.text)}")
        return self._valued(subject, values[0], share)

    def _valued(self, subject: Token, number: _Number, share: float) -> Limit:
        scores = subject.scores if subject.kind == "bad" else _of_unit(subject.scores, number.token.unit)
        score = SCORES[scores[0]]
        side = number.side or _BETTER.get(score.better)
        out = number.out
        if side is None:
            raise self._refused(f"does not say if {shown(score.title)} shall be at least so much, or at most")
        if self._none:  # "no headroom under 128 MiB"
            side, out = ("at most" if side == "at least" else "at least"), not out
        bound = amount(score.unit, self._typed(number.token.text), self._text)
        if score.highest == _ALL and not 0 <= bound <= _ALL:
            raise self._refused(f"{shown(self._typed(number.token.text))} is no share; shares go from 0 to 100 %")
        if score.unit is PERCENT and 0 < bound <= 1 and not number.token.unit:
            raise self._refused(f"{bound:g} may be {100 * bound:g} % or {bound:g} %; say which")
        if out:
            bound = math.nextafter(bound, math.inf if side == "at least" else -math.inf)
        if side == "at most" and bound >= score.highest:
            raise self._refused(f"holds whatever happens: {shown(score.title)} is {score.highest:g} at most")
        if self._quantiles:
            share = self._quantile(side)
        return self._held(scores, side, bound, share)

    def _quantile(self, side: str) -> float:
        """Return in which share of replications a bound of a percentile holds."""
        if len(self._quantiles) > 1 or len(self._values) > 1:
            raise self._refused("says in how many replications it must hold more than once")
        share = self._quantiles[0].number / 100
        return share if side == "at most" else 1 - share

    def _share(self, number: _Number) -> float:
        if number.side == "at most":
            raise self._refused("may hold at most so often; say in at least how many % of replications it must")
        share = number.token.number / 100
        if not 0 < share <= 1:
            raise self._refused(f"asks for {100 * share:g} % of replications: above 0 and up to 100 there are")
        return share + _A_LITTLE if number.out and share < 1 else share

    def _held(self, scores: tuple[str, ...], sense: Sense, bound: float, share: float) -> Limit:
        if share < _HALF - _A_LITTLE:
            raise self._refused(
                f"would have to hold in {100 * share:g} % of replications only, and be broken in all others"
            )
        return Limit(self._text, scores, sense, bound, round(min(share, 1.0), 12))

    def _typed(self, words: str) -> str:
        """Return ``words`` as they were typed."""
        match = re.search(re.escape(words).replace("_", "[_ ]"), self._text, re.IGNORECASE)
        return words if match is None else match[0]

    def _refused(self, why: str) -> ValueError:
        return ValueError(f"{shown(self._text)} {why}; {_say()}")


_SUBJECTS: Final = ("score", "bad", "good")
_SENSES: Final = ("least", "over", "most", "under")


@dataclass(slots=True)
class _Number:
    """A number with its ``sense``; whether it says in how many replications, by what stands before and behind it."""

    token: Token
    sense: Token | None
    within: bool
    runs: bool = False

    @property
    def side(self) -> Sense | None:
        """Whether it is a lower or an upper bound, None where that is not said."""
        if self.sense is None:
            return None
        return "at least" if self.sense.kind in ("least", "over") else "at most"

    @property
    def is_none(self) -> bool:
        """Whether it says: none at all."""
        return self.token.number == 0 and self.side != "at least" and not self.out

    @property
    def out(self) -> bool:
        """Whether the number itself is out."""
        return self.sense is not None and self.sense.kind in ("over", "under")


def _against(sense: Token) -> Token:
    """Return what "not" makes of a sense: not under is at least."""
    kinds: dict[str, Kind] = {"under": "least", "over": "most", "least": "under", "most": "over"}
    return replace(sense, kind=kinds[sense.kind])


def _of_unit(scores: tuple[str, ...], unit: str) -> tuple[str, ...]:
    """Return the one of ``scores`` whose unit may be ``unit``: what came back is a share, a size, and takes a time."""
    wanted = SECONDS if unit in _TIMES else BYTES
    fit = (name for name in scores if unit not in ("", "%") and SCORES[name].unit is wanted)
    return (next(fit, scores[0]),)


def shown_bound(limit: Limit) -> str:
    """Return the limit in the scores' own titles: ``Kernel headroom, least >= 128 MiB in 99 %``."""
    sign = ">=" if limit.sense == "at least" else "<="
    per, symbol = shown_unit(SCORES[limit.scores[0]], [limit.bound])
    titles = " and ".join(SCORES[name].title for name in limit.scores)
    share = "in every replication" if limit.share == 1 else f"in {number(100 * limit.share)} %"
    return f"{titles} {sign} {number(limit.bound / per)} {symbol}".rstrip() + f" {share}"


def _say() -> str:
    return f"what can be said: {EXAMPLES}"


def amount(unit: Unit, value: str, text: str) -> float:
    """Return ``value`` in the ``unit`` in which its score is stored."""
    lower = re.sub(r"(?<=\d) ?(percent|per cent|pct)$", " %", value.lower())
    if unit is BYTES:
        if re.fullmatch(r"[\d.]*[1-9][\d.]*", value):
            raise ValueError(f"{shown(text)}: {shown(value)} has no unit; say {value} MiB, {value} GiB or {value} B")
        try:
            return float(parse_rounded_size(value))
        except ValueError as error:
            raise ValueError(f"{shown(text)}: {error}") from None
    if unit is BYTE_SECONDS:
        size, _, seconds = lower.rpartition(" ")
        if seconds != "s" or not size:
            raise ValueError(f"{shown(text)}: {shown(value)} is none of '10 GiB s' and the like")
        return amount(BYTES, size, text)
    match = _NUMBER.fullmatch(lower)
    symbol = "" if match is None else match["unit"]
    right = {
        PERCENT: ("a percentage, such as 80 %", ("", "%")),
        POINTS: ("percentage points, such as 5", ("", "points", "point", "% points")),
        SECONDS: ("a time, such as 60 s or 5 min", tuple(_TIMES)),
    }.get(unit, ("a number", ("",)))
    if match is None or symbol not in right[1]:
        raise ValueError(f"{shown(text)}: {shown(value)} is not {right[0]}")
    return float(match["number"]) * (_TIMES[symbol] if unit is SECONDS else 1.0)
