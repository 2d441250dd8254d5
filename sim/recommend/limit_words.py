"""The words that limits are made of: what people call scores, failures, bounds and numbers, read into tokens.

A limit is read as tokens, not as sentences: "at most 1 % may die", "dies in at most 1 of 100 replications" and "death
rate <= 1 %" hold the same ones. What they say together is in :mod:`sim.recommend.limits`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from sim.faults import shown
from sim.scores.failures import FAILING
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal[
    "score", "bad", "good", "least", "over", "most", "under", "may", "not", "runs", "in", "rate", "number", "quantile"
]
"""What a word is. ``over`` and ``under`` leave the bound itself out, ``least`` and ``most`` do not."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or several of a limit.

    ``scores`` are those that it names, the first for a percentage, others for other units; ``number`` is a number and
    ``unit`` what stands behind it ("%", "mib", "min"; nothing where nothing does).
    """

    kind: Kind
    text: str
    scores: tuple[str, ...] = ()
    number: float = 0.0
    unit: str = ""


_KILLS: Final = ("kernel_ooms", "guest_full_ooms", "return_ooms")

_BAD: Final[Mapping[tuple[str, ...], str]] = {
    FAILING: "fail|fails|failed|failing|failure|failures",
    ("died",): "die|dies|died|dying|death|deaths|guest died|crash|crashes|crashed",
    ("kernel_ooms",): "kernel oom|kernel ooms|kernel oom kill|kernel oom kills|kernel out of memory|kernel_ooms",
    _KILLS: "oom|ooms|oom kill|oom kills|kill|kills|killed|out of memory|out-of-memory|out-of-memory kill"
    "|out-of-memory kills|out of memory kills",
    ("failed_adds",): "failed add|failed adds|failed_adds|add fails|adds fail",
}
"""What there may be none of, or few."""

_GOOD: Final[Mapping[tuple[str, ...], str]] = {
    FAILING: "succeed|succeeds|success|successful|works|all goes well",
    ("died",): "live|lives|survive|survives|survived|survival|alive",
}
"""What there shall be much of: that none of the other happens."""

_SCORES: Final[Mapping[tuple[str, ...], str]] = {
    ("headroom_min",): "headroom|kernel headroom",
    ("returned_share", "return_time", "returned"): "returned|returns|return|comes back|come back|came back|coming back"
    "|given back|back",
    ("returnable_share_min",): "returnable",
    ("unserved_max",): "unserved|unserved demand|not served",
    ("return_time",): "return time|time to come back|time until it is back",
    ("arrived_share",): "arrives|arrive",
}
"""What scores are called beside their names and titles; of several the first is taken whose unit is the number's."""

_WORDS: Final[Mapping[Kind, str]] = {
    "least": ">=|=>|≥|at_least|at_minimum|at_min|min|min.|minimum|or more",
    "over": ">|over|above|more than|greater than|larger than|higher than|exceed|exceeds|beyond|longer than",
    "most": "<=|=<|≤|at_most|at_maximum|at_max|max|max.|maximum|up to|within|or less|or fewer|only",
    "under": "<|under|below|less than|fewer than|smaller than|lower than|shorter than",
    "may": "may|can|allowed|allow",
    "not": "no|not|never|nothing|nobody|none|without",
    "runs": "always|replication|replications|run|runs|case|cases|guests|of the time|times|trials",
    "in": "in|of|out of|from|per|/|with probability",
    "rate": "rate|probability|chance|risk|share|likelihood|frequency|fraction|proportion|percentage|p|quota",
}
_FILLING: Final = (
    "the a an to it its is are be been am was were there that this must shall should will would has have had do does"
    " did so stay stays remain remains keep keeps kept fall falls drop drops go goes get gets happen happens occur"
    " occurs any ever guest vm machine memory i we want need needs value for and with"
    " = == : -"
)
_NUMBERS: Final[Mapping[str, float]] = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10, "twenty": 20,
    "hundred": 100, "a hundred": 100, "one hundred": 100,
    "a thousand": 1000, "thousand": 1000, "once": 1, "twice": 2,
}  # fmt: skip
_SHARES: Final[Mapping[str, float]] = {
    "half": 50, "quarter": 25, "a quarter": 25, "one quarter": 25, "three quarters": 75, "a third": 100 / 3,
    "one third": 100 / 3, "two thirds": 200 / 3, "a tenth": 10, "a fifth": 20,
    "all": 100, "every": 100, "each": 100, "everything": 100, "everybody": 100, "everyone": 100,
}  # fmt: skip
_NAMING: Final = ("score", "bad", "good", "least", "over", "most", "under", "runs", "quantile")
"""Kinds of words that somebody may have mistyped."""

_OF_EACH: Final = "a limit is of each replication, so say in which share of them it must hold"
_CONFIDENCE: Final = "how sure the pick shall be is said by --confidence"
_OTHERWISE: Final = {
    "between": "say each bound in a limit of its own",
    **dict.fromkeys(("average", "mean"), _OF_EACH),
    **dict.fromkeys(("confidence", "confident", "sure"), _CONFIDENCE),
}
"""What is said of words that people use and no limit has."""

_LONGEST: Final = 500
"""Characters of a limit."""

_RATIOS: Final = (["in", "number"], ["bad", "in", "number"])
"""What stands behind the first number of "1 of 100" and of "1 death in 100 runs"."""

_UNITS: Final = (
    "%|[kmgtp]i?b? s|[kmgtp]i?b?|b s|b|ms|s|secs?|seconds?|min|minutes?|hours?|h|days?|(?:percentage )?points?"
)
_NUMBER: Final = re.compile(rf"(?P<number>-?\d+(?:\.\d+)?|-?\.\d+)(?: ?(?P<unit>{_UNITS})(?![\w%]))?")
_QUANTILE: Final = re.compile(
    r"p(?P<short>\d{1,2}(?:\.\d+)?)(?!\w)|(?P<long>\d{1,2}(?:\.\d+)?)(?:st|nd|rd|th)? percentile"
)


def tokens(text: str) -> list[Token]:
    """Return the tokens of a limit; words that change nothing are none.

    Raises ValueError, with what might be meant, where one is unknown.
    """
    left = _plain(text)
    if len(left) > _LONGEST:
        raise ValueError(f"it has {len(left)} characters, of {_LONGEST} at most;")
    if comma := re.search(r"\b\d+,\d+", left):
        raise ValueError(f"{shown(comma[0])} is no number; fractions are written as 1.5, thousands as 1000;")
    found: list[Token] = []
    while left:
        token, length = _next(left)
        if token is not None:
            found.append(token)
        left = left[length:].lstrip()
    return [each for each in _shares(found) if each.kind != "in" or each.text == "in"]


def _plain(text: str) -> str:
    """Return a limit in lower case, with one way to write each thing."""
    lower = " ".join(text.lower().split()).rstrip(".!")
    for pattern, plain in (
        (r"(?<=\d) ?(?:percent|per cent|pct\.?)(?!\w)", " %"),
        (r"[(){}\"]|[,;:](?= |$)", " "),
        (r"\bat (?=(?:least|most|min|max|minimum|maximum)\b)", "at_"),  # "Guest died at" is a score
        (r"([<>=≤≥]+|/)", r" \1 "),
        (r"\bwon.?t\b", "will not"),
        (r"\b(ca|do|does|did|must|should|is|are)n.?t\b", r"\1 not"),
        (r"\bcannot\b", "can not"),
        (r"\bca not\b|\b(?:can|may|must) not\b", "not"),
    ):
        lower = re.sub(pattern, plain, lower)
    return " ".join(lower.split())


def _next(left: str) -> tuple[Token | None, int]:
    """Return the token that ``left`` begins with (None for what only fills), and how long it is."""
    phrases = _phrases()
    for count in range(min(_longest(), left.count(" ") + 1), 0, -1):
        phrase = " ".join(left.split(" ", count)[:count])
        if phrase in phrases:
            return phrases[phrase], len(phrase)
    if match := _QUANTILE.match(left):
        return Token("quantile", match[0], number=float(match["short"] or match["long"])), match.end()
    if match := _NUMBER.match(left):
        end = match.end()
        unit = match["unit"] or ""
        rest = left[end:]
        behind = re.match(r"([^\s]+)| ([a-z]+)", rest)
        if not unit and behind is not None and (behind[1] or _nearly_a_unit(behind[2])):
            unit, end = behind[1] or behind[2], end + behind.end()  # it is none, which is told by what it is of
        return Token("number", left[:end], number=float(match["number"]), unit=unit), end
    word = left.split(" ", 1)[0]
    raise ValueError(f"{shown(word)} is none of its words{_instead(word)}")


def _nearly_a_unit(word: str) -> bool:
    """Whether a word behind a number looks like a unit, such as MB, and is no other word."""
    known = any(phrase == word or phrase.startswith(f"{word} ") for phrase in _phrases())
    return not known and (len(word) <= len("gib") or word.endswith(("byte", "bytes")))


def _shares(found: Iterable[Token]) -> Iterable[Token]:
    """Yield the tokens with "1 of 100", "1 death in 100 runs" and "3/4" as the percentages that they are."""
    read = list(found)
    place = 0
    while place < len(read):
        token, kinds = read[place], [each.kind for each in read[place + 1 : place + 4]]
        whole = next((len(form) for form in _RATIOS if kinds[: len(form)] == form), 0)
        if whole and _bare(token) and _bare(of := read[place + whole]) and of.number > 0:
            share = 100 * token.number / of.number
            yield replace(token, text=f"{share:.12g} %", number=share, unit="%")
            yield from read[place + 1 : place + whole - 1]
            place += whole + 1
        else:
            yield token
            place += 1


def _bare(token: Token) -> bool:
    return token.kind == "number" and not token.unit


@cache
def _phrases() -> Mapping[str, Token | None]:
    """Return what words and groups of words mean; None for those that only fill."""
    found: dict[str, Token | None] = dict.fromkeys([*_FILLING.split(), "at all"])
    for kind, words in _WORDS.items():
        found |= {word: Token(kind, word) for word in words.split("|")}
    found |= {word: Token("number", f"{number:g}", number=number) for word, number in _NUMBERS.items()}
    for word, number in _SHARES.items():
        found[word] = Token("number", f"{number:.12g} %", number=number, unit="%")
    found["median"] = Token("quantile", "median", number=50)
    found |= {_plain(score.title): Token("score", score.name, (score.name,)) for score in SCORES.values()}
    found |= {score.name: Token("score", score.name, (score.name,)) for score in SCORES.values()}
    for kind_of, table in (("score", _SCORES), ("bad", _BAD), ("good", _GOOD)):
        for scores, words in table.items():
            found |= {word: Token(kind_of, word, scores) for word in words.split("|")}  # type: ignore[arg-type]
    return found


@cache
def _longest() -> int:
    return max(phrase.count(" ") + 1 for phrase in _phrases())


def _instead(word: str) -> str:
    """Return what might be meant by a word that means nothing, as the end of a sentence."""
    if word in _OTHERWISE:
        return f"; {_OTHERWISE[word]};"
    known = [phrase for phrase, token in _phrases().items() if token is not None and token.kind in _NAMING]
    near = difflib.get_close_matches(word[:200], known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ";"
