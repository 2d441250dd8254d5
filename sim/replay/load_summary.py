"""How many steps of recordings under load are off: by figure, and apart for those that parameters were fitted to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.replay.load_comparison import Deviation, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.replay.load_comparison import TraceComparison

FITTED: Final = frozenset(
    {
        "comeback-aged-kernel", "comeback-subblock", "comeback-vmem-auto301-again", "comeback-vmem-movable",
        "f2l-a-retry-timer-612", "f2l-koom-pt-2g-73", "f2l-wall-vmem-512m",
        "f3l-price-301-612", "f3l-race-1500-once-612", "f3l-turns-700-1-612",
        "grown-under-load", "kdemand-units",
        "koom-ext4-512m", "koom-pt-1g", "koom-pt-1g-again", "koom-stranded",
        "load-dimm-unplug", "order-anon-movable", "order-cache-auto301", "reactive-movable", "short-dimm-movable",
    }
)  # fmt: skip
"""Recordings that the parameters of the guest model may be fitted to. Every second one of a kind, in the order of
names; the others show how far it holds for what it was not fitted to."""

ACCEPTED: Final = {Kind.FREE: 0.02, Kind.PLUGGED: 0.01, Kind.OOM: 0.01}
"""Share of the steps that may be off, by figure."""


def every_second_of_a_kind(names: Iterable[str]) -> set[str]:
    """Return every second name of those that begin with the same word, beginning with the first."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(names):
        kinds.setdefault(name.partition("-")[0], []).append(name)
    return {name for kind in kinds.values() for name in kind[::2]}


class Summary(NamedTuple):
    """A recording: its worst deviation, how many steps were compared, and which of them are off, by figure."""

    trace: TraceComparison
    worst: Deviation | None
    compared: int
    off_by_kind: dict[Kind, frozenset[int]]

    @property
    def off(self) -> frozenset[int]:
        """The steps of which any figure is off."""
        return frozenset().union(*self.off_by_kind.values())

    @property
    def fitted(self) -> bool:
        """Whether parameters were fitted to it."""
        return self.trace.name in FITTED


def summary(trace: TraceComparison) -> Summary:
    """Return which steps of a recording are off."""
    deviations = trace.deviations()
    outside = [deviation for deviation in deviations if deviation.excess > 1.0]
    off = {kind: frozenset(deviation.step for deviation in outside if deviation.kind is kind) for kind in Kind}
    return Summary(trace, deviations[0] if deviations else None, trace.compared_steps, off)


def worst_first(traces: Iterable[TraceComparison]) -> list[Summary]:
    """Return the summaries of recordings, the worst first."""
    return sorted(
        map(summary, traces), key=lambda found: (-(found.worst.excess if found.worst else 0.0), found.trace.name)
    )


class Total(NamedTuple):
    """Steps of several recordings: how many were compared, and how many are off, at all and by figure."""

    recordings: int
    compared: int
    after_tie: int
    off: int
    off_by_kind: dict[Kind, int]

    @property
    def accepted(self) -> bool:
        """Whether no more are off than is accepted of each figure."""
        return all(self.off_by_kind[kind] <= share * self.compared for kind, share in ACCEPTED.items())


def total(summaries: Iterable[Summary]) -> Total:
    """Add up recordings."""
    rows = list(summaries)
    by_kind = {kind: sum(len(row.off_by_kind[kind]) for row in rows) for kind in Kind}
    return Total(
        len(rows),
        sum(row.compared for row in rows),
        sum(row.trace.steps_after_tie for row in rows),
        sum(len(row.off) for row in rows),
        by_kind,
    )
