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
            mine, theirs = self.returned
            excess = 0.0 if mine == theirs else float("inf")
            out.append(Deviation(self.step, "DIMM returned", mine, theirs, excess))
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
            mine, theirs = step.oom
            if mine or theirs:
                same = bool(mine) == bool(theirs)
                out.append(Deviation(step.step, "out of memory", mine, theirs, 0.0 if same else float("inf")))
                break
            out += step.deviations()
        return sorted(out, key=lambda d: (-d.excess, d.step, d.what))

    def worst(self) -> Deviation | None:
        """Return the worst deviation, None where nothing was compared."""
        deviations = self.deviations()
        return deviations[0] if deviations else None


def worst_first(traces: Iterable[TraceComparison]) -> list[tuple[TraceComparison, Deviation | None, int, int]]:
    """Return (recording, worst deviation, figures compared, figures not within tolerance), worst recording first."""
    rows = []
    for trace in traces:
        deviations = trace.deviations()
        rows.append(
            (trace, deviations[0] if deviations else None, len(deviations), sum(d.excess > 1.0 for d in deviations))
        )
    return sorted(rows, key=lambda row: (-(row[1].excess if row[1] else 0.0), row[0].name))


def _rounded(pair: Pair) -> list[float]:
    return [round(value, 1) for value in pair]
