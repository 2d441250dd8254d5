"""How a simulated guest compares with a recorded one, step by step, and what counts as close.

Nothing here reads recordings or runs a guest: whoever replays one fills in :class:`StepComparison`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


class Deviation(NamedTuple):
    """One compared figure: where, both values in MiB, and the difference as a multiple of what is tolerated."""

    step: int
    what: str
    simulated: float
    recorded: float
    excess: float


@dataclass(slots=True)
class StepComparison:
    """One step of a replay under load. Pairs are (simulated, recorded), in MiB where they are sizes.

    ``free_mib`` by "node/zone", without pages on CPU lists; ``plugged_mib`` by device; ``kernel_mib`` what was added
    since boot in slab, page tables, memmap and other kernel pages, None where not recorded; ``oom`` runs of the
    out-of-memory killer; ``returned`` whether a DIMM that was asked back went. ``load_gone``: nothing that was asked
    for is left.
    """

    step: int
    label: str = ""
    free_mib: dict[str, Pair] = field(default_factory=dict)
    plugged_mib: dict[str, Pair] = field(default_factory=dict)
    kernel_mib: Pair | None = None
    mem_free_mib: Pair | None = None
    oom: tuple[int, int] = (0, 0)
    returned: tuple[bool, bool] | None = None
    load_gone: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the step as ``memhp-sim replay --json`` prints it."""
        return {
            "step": self.step,
            "free_mib": {key: _rounded(pair) for key, pair in self.free_mib.items()},
            "plugged_mib": {key: _rounded(pair) for key, pair in self.plugged_mib.items()},
            "kernel_mib": _rounded(self.kernel_mib) if self.kernel_mib else None,
            "oom": list(self.oom),
        }

    def deviations(self) -> list[Deviation]:
        """Return all compared figures of this step."""
        out = [Deviation(self.step, f"free {key}", *p, ZONE_FREE.excess(p)) for key, p in self.free_mib.items()]
        stuck = STUCK_AFTER_LOAD if self.load_gone else STUCK_UNDER_LOAD
        out += [Deviation(self.step, f"plugged {key}", *p, stuck.excess(p)) for key, p in self.plugged_mib.items()]
        if self.returned is not None:
            out.append(Deviation(self.step, "DIMM returned", *self.returned, _all_or_nothing(self.returned)))
        return out


@dataclass(slots=True)
class TraceComparison:
    """All steps of one recording."""

    name: str
    kernel: str
    steps: Sequence[StepComparison]

    def deviations(self) -> list[Deviation]:
        """Return what is compared, worst first: figures up to the first out-of-memory, and its step."""
        out: list[Deviation] = []
        for step in self.steps:
            if any(step.oom):
                # Whether anything was killed is compared, not how often.
                simulated, recorded = step.oom
                excess = _all_or_nothing((simulated > 0, recorded > 0))
                out.append(Deviation(step.step, "out of memory", simulated, recorded, excess))
                break
            out += step.deviations()
        return sorted(out, key=lambda d: (-d.excess, d.step, d.what))

    def worst(self) -> Deviation | None:
        """Return the worst deviation, None where nothing was compared."""
        deviations = self.deviations()
        return deviations[0] if deviations else None


class Summary(NamedTuple):
    """A recording with its worst deviation, the figures compared, and those that are not within their tolerance."""

    trace: TraceComparison
    worst: Deviation | None
    compared: int
    outside: int


def worst_first(traces: Iterable[TraceComparison]) -> list[Summary]:
    """Return the summaries of recordings, the worst first."""
    summaries = []
    for trace in traces:
        deviations = trace.deviations()
        worst = deviations[0] if deviations else None
        outside = sum(deviation.excess > 1.0 for deviation in deviations)
        summaries.append(Summary(trace, worst, len(deviations), outside))
    return sorted(
        summaries, key=lambda summary: (-(summary.worst.excess if summary.worst else 0.0), summary.trace.name)
    )


def _all_or_nothing(pair: tuple[bool, bool]) -> float:
    """Return the excess of what may not differ at all."""
    simulated, recorded = pair
    return 0.0 if simulated == recorded else float("inf")


def _rounded(pair: Pair) -> list[float]:
    return [round(value, 1) for value in pair]
