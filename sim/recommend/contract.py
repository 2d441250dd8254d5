"""What the parts of a recommendation tell each other: candidates, limits, what was found of each, and the pick.

A *scenario* is a machine and a workload of the experiment, with its guest and times. A *candidate* is one setting that
could be taken there. All candidates of a scenario meet the same wishes in a replication, so they are compared in pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from sim.experiment.settings import PluginSettings

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting to choose: a policy with all of its parameters, and what it changes of the machine.

    ``label`` tells it from the others; ``machine`` holds keys of ``[[machines]]`` with the values that they take
    instead (``{"memmap_on_memory": True}``); ``varied`` the parameters that were searched, with this one's values.
    ``in_linux`` tells whether there is a Linux that can be told to do this: what none can is no pick.
    """

    label: str
    policy: PluginSettings
    machine: Mapping[str, Any] = field(default_factory=dict)
    varied: Mapping[str, Any] = field(default_factory=dict)
    in_linux: bool = True


@dataclass(frozen=True, slots=True)
class Limit:
    """What must hold in at least ``share`` of the replications: that none of ``scores`` is over, or under, ``bound``.

    ``text`` is how the user put it. ``bound`` is in the scores' stored unit. A score that is undefined in a replication
    counts as held, but a replication that failed to run does not.
    """

    text: str
    scores: tuple[str, ...]
    sense: Literal["at most", "at least"]
    bound: float
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Objective:
    """The score by which candidates within the limits are ranked, and how much of it (stored unit) is no difference."""

    score: str
    better: Literal["higher", "lower"]
    indifference: float


class Sampler(Protocol):
    """Runs candidates of one scenario, each in the replications that are asked for; remembers what it ran."""

    @property
    def population(self) -> int | None:
        """How many different replications there are: 1 where nothing is random, the recordings to play; None: no end.

        Known once the first replication of all candidates has been sampled.
        """

    def sample(self, wanted: Mapping[int, range]) -> Mapping[int, Floats]:
        """Return for each candidate (by number) a row per replication of its range, and a column per score asked for.

        A replication that failed to run is a row of NaN, which no other is. The same candidate and replication give
        the same row always.
        """


@dataclass(frozen=True, slots=True)
class LimitFound:
    """How a candidate keeps a limit: in ``held`` of ``replications``; ``low`` to ``high`` is the 95 % interval."""

    held: int
    replications: int
    low: float
    high: float
    verdict: Literal["holds", "broken", "open"]

    @property
    def often(self) -> float:
        """The share of replications in which it was kept; 0 where none was run."""
        return self.held / max(self.replications, 1)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of a candidate: its limits in their order, and its mean objective with a 95 % interval."""

    candidate: int
    limits: tuple[LimitFound, ...]
    replications: int
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @property
    def feasible(self) -> bool:
        """Whether no limit was found broken or left open."""
        return all(limit.verdict == "holds" for limit in self.limits)


def less_sure(confidence: float, asked: float) -> bool:
    """Whether a ``confidence`` falls short of the one that was ``asked`` for, by more than rounding."""
    return confidence < asked - 1e-9


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen of ``judged`` (one for each candidate, in order): ``pick`` is its number, None where none holds.

    ``confidence`` is how likely at least the pick keeps the limits, and none of the others that do is better by more
    than ``lacks`` (of the objective, in its stored unit), but for those ``open``: so near to a limit that replications
    did not tell whether they keep it. ``keeps`` is how likely it is by itself that the pick keeps the limits. Without a
    pick ``confidence`` is how likely at least none keeps them. ``exhausted`` tells that replications ran out before all
    was settled as it should be. ``left_out`` are no choice, as less arrives with them of what is asked for. ``twins``
    did the same in all their replications as the candidates that stand for them, by number.
    """

    judged: Sequence[Judged]
    pick: int | None
    confidence: float
    keeps: float = math.nan
    lacks: float = math.nan
    open: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    twins: Mapping[int, int] = field(default_factory=dict)
    exhausted: bool = False
