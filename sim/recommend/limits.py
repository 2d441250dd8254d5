"""Limits in words of the scores: what must hold, and in which share of the replications.

Such as "no death in 99 % of replications", "headroom never under 128 MiB", "came back at least 80 % in 95 % of
replications", "headroom_min >= 128MiB in 99 %" or "fails in at most 5 % of replications".
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from sim.analysis.compare import number, shown_unit
from sim.faults import shown
from sim.recommend.contract import Limit
from sim.scores.definition import BYTE_SECONDS, BYTES, PERCENT, POINTS, SECONDS, Unit
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES
from sim.units import parse_rounded_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim.faults import Faults

Sense = Literal["at most", "at least"]

_KILLS: Final = ("kernel_ooms", "guest_full_ooms", "return_ooms")
_ALL_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "failure": FAILING,
    "death": ("died",),
    "kernel oom": ("kernel_ooms",),
    "kernel oom kill": ("kernel_ooms",),
    "oom": _KILLS,
    "oom kill": _KILLS,
    "kill": _KILLS,
    "failed add": ("failed_adds",),
}
"""What there may be none of, or few."""

_NAMES: Final[Mapping[str, str]] = {
    "headroom": "headroom_min",
    "kernel headroom": "headroom_min",
    "returned": "returned_share",
    "returnable": "returnable_share_min",
    "unserved": "unserved_max",
    "time to return": "return_time",
    "comes back": "returned_share",
    "come back": "returned_share",
    "returns": "returned_share",
}
"""What scores are called beside their names and titles."""

_SENTENCES: Final[Mapping[str, str]] = {
    "nothing fails": "failure",
    "never fails": "failure",
    "nothing dies": "death",
    "never dies": "death",
    "nobody dies": "death",
    "the guest never dies": "death",
    "the guest lives": "death",
    "the guest survives": "death",
    "the guest must not die": "death",
    "guest must not die": "death",
    "guest never dies": "death",
    "nothing is killed": "kill",
    "lives": "death",
    "survives": "death",
    "all survive": "death",
}
_FEW: Final = re.compile(
    r"(?:(?:at most|no more than|not more than|max\.?|maximum|up to) )(?P<share>\d+(?:\.\d+)?) ?(?:%|percent)"
    r" (?:of (?:the |all )?(?:replications|runs|guests|cases) )?(?:may )?(?P<what>[a-z ]+)"
)
_FEW_OF: Final = re.compile(
    r"(?:at most|no more than|not more than|max\.?|up to) (?P<part>\d+) (?:of|in|out of) (?P<of>\d+)"
    r" (?:replications |runs |guests )?(?:may )?(?P<what>[a-z ]+)"
)
_MANY: Final = re.compile(
    r"(?:at least )?(?P<share>\d+(?:\.\d+)?) ?(?:%|percent)(?: of (?:the |all )?(?:replications|runs|guests))?"
    r" (?:survive|survives|live|lives)"
)
_VALUE_FIRST: Final = re.compile(
    r"(?P<sense>at least|at most|min\.?|max\.?) (?P<value>[\d.]+ ?[a-z%]+) (?P<name>[a-z].*)"
)
_FORM: Final[Mapping[str, str]] = {
    "fail": "failure", "fails": "failure", "failures": "failure", "failed": "failure",
    "die": "death", "dies": "death", "deaths": "death", "died": "death",
}  # fmt: skip
"""What happens at most so often, as people put it."""

_NEVER: Final = re.compile(r"never (?:an? )?(?P<what>[a-z ]+)|(?P<before>[a-z ]+) never|(?:zero|0) (?P<zero>[a-z ]+)")

_HAPPENS: Final[Mapping[str, str]] = {"fails": "failure", "dies": "death", "fail": "failure", "die": "death"}

_SHARE = re.compile(
    r"\s*,?\s*\b(?:in\s+)?(?P<at>at\s+least\s+|at\s+most\s+)?(?P<number>\d+(?:\.\d+)?)\s*(?:%|percent)"
    r"(?:\s+of\s+(?:the\s+|all\s+)?(?:replications?|runs?|cases))?\s*$"
)
_EVERY = re.compile(r"\s*,?\s*\b(?:in\s+(?:all|every|each)(?:\s+(?:replications?|runs?))?|always)\s*$")
_WORDS: Final[tuple[tuple[str, Sense, bool], ...]] = (
    (r">=|≥|\bat\s+least\b|\b(?:never|not)\s+(?:under|below|less\s+than)\b|\bno\s+less\s+than\b", "at least", False),
    (r"<=|≤|\bat\s+most\b|\b(?:never|not)\s+(?:over|above|more\s+than)\b|\bno\s+more\s+than\b", "at most", False),
    (r">|\b(?:over|above|more\s+than)\b", "at least", True),
    (r"<|\b(?:under|below|less\s+than)\b", "at most", True),
)
"""How a bound is put: words, the sense, and whether the bound itself is out."""

_ALL: Final = 100.0
_TIMES: Final = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(?P<number>-?\d+(?:\.\d+)?)\s*(?P<unit>[a-z%]*(?:\s+points?)?)")

EXAMPLES: Final = (
    "'nothing fails', 'no death', 'at most 1 % die', 'no kernel OOM kills', 'no failed adds', 'headroom never under "
    "128 MiB', 'came back at least 80 %', or a score's name or title with >= or <= and a value; each may end in 'in "
    "99 % of replications', else it must hold in every one"
)


class _Bound(NamedTuple):
    scores: tuple[str, ...]
    sense: Sense
    bound: float


def limits(texts: Iterable[str], faults: Faults) -> tuple[Limit, ...]:
    """Return the limits that ``texts`` say; a text that says none adds a fault with its place and what can be said."""
    found = []
    for place, text in enumerate(texts):
        try:
            found.append(limit(text))
        except ValueError as error:
            faults.below(place).add(str(error))
    return tuple(found)


def limit(text: str) -> Limit:
    """Return the limit that ``text`` says. Raises ValueError with what can be said."""
    words = " ".join(text.split()).rstrip(".")
    if (often := _how_often(words.lower(), text)) is not None:
        return often
    body, share = _split(words, text)
    lower = _plainly(body.lower())
    body = lower if lower != body.lower() else body
    if (happens := _HAPPENS.get(lower.removeprefix("guest ").removeprefix("the guest "))) is not None:
        raise ValueError(f"{shown(text)} says how often it may {_kind(happens)}, not at most how often; {_say()}")
    kind = _SENTENCES.get(lower) or (_singular(lower.removeprefix("no ")) if lower.startswith("no ") else None)
    if kind is not None and (scores := _ALL_KINDS.get(kind)):
        return Limit(text, scores, "at most", 0.0, share)
    bound = _none_of(lower) or _bound(body, text)
    return Limit(text, bound.scores, bound.sense, bound.bound, share)


def _how_often(lower: str, text: str) -> Limit | None:
    """Return the limit of "at most 1 % die", "no more than 1 of 100 fail", "99 % survive"; None for what is none."""
    if few := _FEW.fullmatch(lower):
        rate = float(few["share"]) / 100
    elif few := _FEW_OF.fullmatch(lower):
        if not int(few["of"]):
            return None
        rate = int(few["part"]) / int(few["of"])
    elif many := _MANY.fullmatch(lower):
        return replace(limit(f"no death in {many['share']} % of replications"), text=text)
    else:
        return None
    kind = _FORM.get(few["what"])
    if kind is None:
        return None
    share = round(1 - rate, 12)
    if not 0 < share <= 1:
        raise ValueError(f"{shown(text)} would let {100 * rate:g} % of replications {_kind(kind)}: under 100 % limits")
    return Limit(text, _ALL_KINDS[kind], "at most", 0.0, share)


def _plainly(lower: str) -> str:
    """Return a limit in the order in which it is read: "at least 80 % comes back", "never OOM", "zero deaths"."""
    if first := _VALUE_FIRST.fullmatch(lower):
        sense = "at least" if first["sense"].startswith(("at least", "min")) else "at most"
        if _named(first["name"]):
            return f"{first['name']} {sense} {first['value']}"
    if never := _NEVER.fullmatch(lower):
        what = never["what"] or never["before"] or never["zero"]
        if _singular(what) in _ALL_KINDS:
            return f"no {what}"
    return lower


def shown_bound(limit: Limit) -> str:
    """Return the limit in the scores' own titles: ``Kernel headroom, least >= 128 MiB in 99 %``."""
    sign = ">=" if limit.sense == "at least" else "<="
    per, symbol = shown_unit(SCORES[limit.scores[0]], [limit.bound])
    titles = " and ".join(SCORES[name].title for name in limit.scores)
    share = "in every replication" if limit.share == 1 else f"in {number(100 * limit.share)} %"
    return f"{titles} {sign} {number(limit.bound / per)} {symbol}".rstrip() + f" {share}"


def _kind(happens: str) -> str:
    return "fail" if happens == "failure" else "die"


def _say() -> str:
    return f"what can be said: {EXAMPLES}"


def _split(words: str, text: str) -> tuple[str, float]:
    """Return what must hold, and in which share of the replications."""
    if match := _EVERY.search(words.lower()):
        return words[: match.start()], 1.0
    match = _SHARE.search(words.lower())
    if match is None or " in " not in f" {words[match.start() : match.end()].lower()} ":
        return words, 1.0
    share = round(float(match["number"]) / 100, 12)
    body = words[: match.start()]
    if (match["at"] or "").startswith("at most"):
        happens = _HAPPENS.get(body.lower().removeprefix("the ").removeprefix("guest "))
        if happens is None:
            raise ValueError(
                f"{shown(text)} may hold at most so often; say in at least how many % of replications it must; {_say()}"
            )
        body, share = f"no {happens}", round(1 - share, 12)
    if not 0 < share <= 1:
        raise ValueError(f"{shown(text)} asks for {100 * share:g} % of replications: above 0 and up to 100 there are")
    return body, share


def _singular(words: str) -> str:
    return words.removesuffix("s") if words not in _ALL_KINDS else words


def _none_of(lower: str) -> _Bound | None:
    """Return the bound of "no mixed groups": a count whose score is named, at most 0."""
    if not lower.startswith("no "):
        return None
    scores = _named(lower.removeprefix("no "))
    return _Bound(scores, "at most", 0.0) if scores else None


def _bound(body: str, text: str) -> _Bound:
    for pattern, sense, out in _WORDS:
        match = re.search(rf"\s*(?:{pattern})\s*", body, re.IGNORECASE)
        if match is None or not match.start():
            continue
        name, value = body[: match.start()].strip(), body[match.end() :].strip()
        scores = _named(name.lower())
        if not scores:
            raise ValueError(_unknown(name, text))
        bound = amount(SCORES[scores[0]].unit, value, text)
        if "_share" in scores[0] and not 0 <= bound <= _ALL:
            raise ValueError(f"{shown(text)}: {shown(value)} is no share; shares go from 0 to 100 %")
        if out:
            bound = math.nextafter(bound, math.inf if sense == "at least" else -math.inf)
        return _Bound(scores, sense, bound)
    raise ValueError(f"{shown(text)} is no limit; {_say()}")


def _named(lower: str) -> tuple[str, ...]:
    """Return the scores that ``lower`` names: by a kind of failure, a name, a title, or what people say."""
    kind = _ALL_KINDS.get(_singular(lower))
    if kind is not None:
        return kind
    if lower in SCORES:
        return (lower,)
    if lower in _NAMES:
        return (_NAMES[lower],)
    return next(((score.name,) for score in SCORES.values() if score.title.lower() == lower), ())


def _unknown(name: str, text: str) -> str:
    import difflib

    known = [*SCORES, *_NAMES, *(score.title.lower() for score in SCORES.values())]
    near = difflib.get_close_matches(name.lower()[:200], known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{shown(text)} names no score: {shown(name)} is none{guess} {_say()}. Scores: {', '.join(SCORES)}"


def amount(unit: Unit, value: str, text: str) -> float:
    """Return ``value`` in the ``unit`` in which its score is stored."""
    lower = value.lower()
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
