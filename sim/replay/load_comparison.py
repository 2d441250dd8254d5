"""How a simulated guest compares with a recorded one, step by step, and what counts as close.

Nothing here reads recordings or runs a guest: whoever replays one fills in :class:`StepComparison`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Pair = tuple[float, float]
"""(simulated, recorded)."""


class Tolerance(NamedTuple):
    """A difference is within it up to ``share`` of the recorded value or ``mib`` MiB, whichever is more."""

    share: float
    mib: float

    def excess(self, pair: Pair) -> float:
        """Return the difference as a multiple of what is tolerated."""
        simulated, recorded = pair
        return abs(simulated - recorded) / max(self.mib, self.share * abs(recorded))


IDLE_FREE: Final = Tolerance(0.01, 16.0)
"""MemFree of an idle guest."""
ZONE_FREE: Final = Tolerance(0.10, 32.0)
"""Free memory of a zone under load."""
STUCK_UNDER_LOAD: Final = Tolerance(0.15, 8.0)
"""What a device keeps plugged beyond the request while the load is there."""
STUCK_AFTER_LOAD: Final = Tolerance(0.35, 16.0)
"""The same once the load is gone: the recordings themselves scatter by 15 % and more."""


class Kind(StrEnum):
    """What a compared figure is about."""

    FREE = "free"
    """Free memory of a zone."""
    PLUGGED = "plugged"
    """What a device has plugged, and whether a DIMM went."""
    OOM = "oom"
    """Whether memory ran out in a step, and whether the guest died of it."""


class Deviation(NamedTuple):
    """One compared figure: where, both values in MiB, and the difference as a multiple of what is tolerated."""

    step: int
    kind: Kind
    what: str
    simulated: float
    recorded: float
    excess: float


@dataclass(slots=True)
class StepComparison:
    """One step of a replay under load. Pairs are (simulated, recorded), in MiB where they are sizes.

    ``free_mib`` by "node/zone", pages on CPU lists among them where the recording tells these apart; ``plugged_mib`` by
    device; ``kernel_mib`` what was added since boot in slab, page tables, memmap and other kernel pages, None where
    not recorded; ``moved_mib`` what was migrated in a step that asks memory back; ``oom`` runs of the out-of-memory
    killer; ``tie``: it is chance who was killed; ``died`` whether the guest did; ``returned`` whether a DIMM that was
    asked back went. ``load_gone``: nothing that was asked for is left.
    """

    step: int
    label: str = ""
    free_mib: dict[str, Pair] = field(default_factory=dict)
    plugged_mib: dict[str, Pair] = field(default_factory=dict)
    kernel_mib: Pair | None = None
    mem_free_mib: Pair | None = None
    moved_mib: Pair | None = None
    oom: tuple[int, int] = (0, 0)
    tie: bool = False
    died: tuple[bool, bool] = (False, False)
    returned: tuple[bool, bool] | None = None
    load_gone: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the step as ``memhp-sim replay --json`` prints it."""
        return {
            "step": self.step,
            "free_mib": {key: _rounded(pair) for key, pair in self.free_mib.items()},
            "plugged_mib": {key: _rounded(pair) for key, pair in self.plugged_mib.items()},
            "kernel_mib": _rounded(self.kernel_mib) if self.kernel_mib else None,
            "moved_mib": _rounded(self.moved_mib) if self.moved_mib else None,
            "oom": list(self.oom),
            "tie": self.tie,
        }

    def deviations(self) -> list[Deviation]:
        """Return all compared figures of this step; of one with a tie only what the tie does not decide."""
        out = []
        if not self.tie:
            stuck = STUCK_AFTER_LOAD if self.load_gone else STUCK_UNDER_LOAD
            for kind, pairs, tolerance in (
                (Kind.FREE, self.free_mib, ZONE_FREE),
                (Kind.PLUGGED, self.plugged_mib, stuck),
            ):
                out += [
                    Deviation(self.step, kind, f"{kind} {key}", *p, tolerance.excess(p)) for key, p in pairs.items()
                ]
            if self.returned is not None:
                out.append(self._all_or_nothing(Kind.PLUGGED, "DIMM returned", self.returned))
        if any(self.oom):
            # Whether anything was killed is compared, not how often.
            simulated, recorded = self.oom
            excess = _excess((simulated > 0, recorded > 0))
            out.append(Deviation(self.step, Kind.OOM, "out of memory", simulated, recorded, excess))
        if any(self.died):
            out.append(self._all_or_nothing(Kind.OOM, "guest died", self.died))
        return out

    def _all_or_nothing(self, kind: Kind, what: str, pair: tuple[bool, bool]) -> Deviation:
        return Deviation(self.step, kind, what, *pair, _excess(pair))


@dataclass(slots=True)
class TraceComparison:
    """All steps of one recording that the simulated guest lived to see; ``recorded_steps`` counts the recording's."""

    name: str
    kernel: str
    steps: Sequence[StepComparison]
    recorded_steps: int = 0

    @property
    def compared_steps(self) -> int:
        """How many steps are compared: all up to the first in which chance chose among equal processes."""
        tie = next((number for number, step in enumerate(self.steps, 1) if step.tie), None)
        return tie or max(len(self.steps), self.recorded_steps)

    @property
    def steps_after_tie(self) -> int:
        """How many steps are left out because chance has decided what they show."""
        return max(len(self.steps), self.recorded_steps) - self.compared_steps

    def deviations(self) -> list[Deviation]:
        """Return what is compared, worst first. Every step that a guest should have seen and did not is off."""
        compared = self.compared_steps
        out = [deviation for step in self.steps[:compared] for deviation in step.deviations()]
        missed = range(len(self.steps), compared)
        out += [Deviation(step, Kind.OOM, "guest died", 1, 0, inf) for step in missed]
        return sorted(out, key=lambda d: (-d.excess, d.step, d.what))

    def worst(self) -> Deviation | None:
        """Return the worst deviation, None where nothing was compared."""
        deviations = self.deviations()
        return deviations[0] if deviations else None


def _excess(pair: tuple[bool, bool]) -> float:
    """Return the excess of what may not differ at all."""
    simulated, recorded = pair
    return 0.0 if simulated == recorded else inf


def _rounded(pair: Pair) -> list[float]:
    return [round(value, 1) for value in pair]
