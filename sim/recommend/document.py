"""The document of a recommendation, ``recommendation.json``: what was asked, what was found, and what is told of it.

A :class:`Recommendation` has an :class:`Answer` for each scenario, and one for all of them where there are several.
Every label in it is a policy's in the result store beside it. Sentences are plain text, ready to be shown.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from sim.opening import UnreadableError, read_json
from sim.recommend.contract import less_sure
from sim.results.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME: Final = "recommendation.json"
FORMAT: Final = 1
_LARGEST: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class LimitAsked:
    """A limit as the user put it, in the scores' own titles (``told``), and as numbers (``bound`` in stored units)."""

    text: str
    told: str
    scores: tuple[str, ...]
    sense: str
    bound: float
    share: float


@dataclass(frozen=True, slots=True)
class LimitKept:
    """How a candidate keeps a limit: in ``held`` of ``replications``; shares ``low`` to ``high`` are the 95 % interval.

    Both are None where the candidate was never run, as there was no budget for it. ``verdict`` is "holds", "broken" or
    "open".
    """

    held: int
    replications: int
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate and what was found of it.

    ``plugin`` and ``parameters`` are its policy, ``machine`` what it changes of the machine, ``varied`` what was
    searched. ``choice`` tells whether it could be the pick. ``failed`` are replications in which something failed.
    ``mean`` with ``low`` to ``high`` is the objective, None where undefined; ``scores`` are means of others, in stored
    units, and ``worst`` the worst replication of those that are the least or the most of a run. ``front`` tells that no
    other candidate that fails no more often has more of both objective and headroom.
    ``same_as`` is the candidate that stands for this one, as both did the same in every replication.
    """

    label: str
    plugin: str
    parameters: Mapping[str, Any]
    machine: Mapping[str, Any]
    varied: Mapping[str, Any]
    choice: bool
    replications: int
    failed: int
    mean: float | None
    low: float | None
    high: float | None
    limits: tuple[LimitKept, ...]
    scores: Mapping[str, float | None]
    front: bool = False
    same_as: str | None = None
    worst: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is recommended for ``workload`` on ``machine``; for all scenarios together both are empty.

    ``pick`` is a candidate's label, None where none is shown to keep the limits. ``confidence``, ``keeps``, ``lacks``
    and ``open`` are as in :class:`sim.recommend.contract.Selection` (labels for numbers, None where unknown).
    ``nothing_random`` tells that one replication is all there is, ``recordings`` how many recordings were played, None
    where replications differ by draws. What is told comes as sentences: ``answer``, then by subject.
    """

    machine: str
    workload: str
    objective: str
    better: str
    indifference: float
    pick: str | None
    confidence: float
    keeps: float | None
    lacks: float | None
    open: tuple[str, ...]
    exhausted: bool
    nothing_random: bool
    recordings: int | None
    answer: str
    certainty: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()
    wall: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sensitivity: tuple[Mapping[str, Any], ...] = ()
    how_to_set: Mapping[str, Any] = field(default_factory=dict)
    candidates: tuple[Tried, ...] = ()

    @property
    def ranked(self) -> list[Tried]:
        """The candidates: the pick, then those that break no limit, choices first, then the others; each best first."""
        sign = -1 if self.better == "higher" else 1

        def rank(tried: Tried) -> tuple[bool, bool, bool, float]:
            broken = any(kept.verdict == "broken" for kept in tried.limits)
            mean = math.inf if tried.mean is None else sign * tried.mean
            return tried.label != self.pick, broken, not tried.choice, mean

        return sorted(self.candidates, key=rank)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What was asked of ``experiment`` and what is recommended: ``answers`` by scenario, ``together`` for all of them.

    ``by_default`` tells that nobody named a limit; ``runs`` are all replications of all candidates.
    """

    experiment: str
    limits: tuple[LimitAsked, ...]
    by_default: bool
    confidence: float
    runs: int
    answers: tuple[Answer, ...]
    together: Answer | None = None

    @property
    def picked(self) -> bool:
        """Whether there is a pick for every scenario."""
        return all(answer.pick is not None for answer in self.answers)

    @property
    def uncertain(self) -> tuple[Answer, ...]:
        """The scenarios whose pick is less sure than was asked for."""
        return tuple(
            each for each in self.answers if each.pick is not None and less_sure(each.confidence, self.confidence)
        )

    def __str__(self) -> str:
        lines = [f"{answer.workload} on {answer.machine}: {answer.answer}" for answer in self.answers]
        return "\n".join(lines if self.together is None else [*lines, f"all together: {self.together.answer}"])


def write(folder: Path, found: Recommendation) -> Path:
    """Write ``found`` into the results ``folder``, whole or not at all, and return the file."""
    path = folder / NAME
    text = json.dumps({"format": FORMAT, **as_json(found)}, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())
    return path


def as_json(found: Recommendation) -> dict[str, Any]:
    """Return the recommendation as JSON types; what is not finite is None."""
    plain: dict[str, Any] = _finite(asdict(found))
    return plain


def _finite(value: Any) -> Any:  # noqa: ANN401  whatever the document holds
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return value


def read(folder: Path) -> Recommendation | None:
    """Return the recommendation in the results ``folder``, None where there is none. Raises ValueError, saying why."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content = _of_this_format(read_json(path, _LARGEST))
        answers = tuple(map(_answer, content["answers"]))
        together = None if content["together"] is None else _answer(content["together"])
        limits = tuple(LimitAsked(**{**each, "scores": tuple(each["scores"])}) for each in content["limits"])
        rest = {name: content[name] for name in ("experiment", "by_default", "confidence", "runs")}
        return Recommendation(limits=limits, answers=answers, together=together, **rest)
    except (UnreadableError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no recommendation: {error}") from error


def _of_this_format(content: Any) -> Any:  # noqa: ANN401  whatever a file holds
    if content["format"] != FORMAT:
        raise ValueError(f"it has format {content['format']!r}, this program reads format {FORMAT}")
    return content


def _answer(content: Mapping[str, Any]) -> Answer:
    values: dict[str, Any] = {each.name: content[each.name] for each in fields(Answer)}
    tried = tuple(
        Tried(**{**each, "limits": tuple(LimitKept(**kept) for kept in each["limits"])})
        for each in values.pop("candidates")
    )
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Answer(**plain, candidates=tried)
