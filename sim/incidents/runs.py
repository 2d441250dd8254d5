"""What the runs of an incident show: the few facts that published outcomes speak of, read from events and samples."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sim.guest import OomKind
from sim.memory.zones import ZONE_MOVABLE
from sim.record.events import PLUGGED_SIGN, Events
from sim.record.recorder import EventKind
from sim.units import GIB, MICROSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from sim.experiment.plan import Cell, Experiment
    from sim.record.run_result import RunResult


@dataclass(frozen=True, slots=True)
class Oom:
    """One run of the out-of-memory killer: when (seconds), of which kind, and MemAvailable then (bytes)."""

    at: float
    kind: OomKind
    available: int


@dataclass(frozen=True, slots=True)
class Request:
    """What the host asked for: when (seconds), which device, and its requested size from then on (bytes)."""

    at: float
    device: int
    size: int


@dataclass(frozen=True, slots=True)
class FailedAdd:
    """An add that failed for want of memory: when (seconds), the device's number, bytes plugged until then."""

    at: float
    device: int
    plugged: int


class Run:
    """One run of an incident's experiment, with its policy's and workload's labels."""

    def __init__(self, policy: str, workload: str, boot_memory: int, result: RunResult) -> None:
        self.policy = policy
        self.workload = workload
        self.boot_memory = boot_memory
        self.result = result

    @cached_property
    def events(self) -> Events:
        """The run's events by column."""
        return Events.of(self.result.events)

    @cached_property
    def ooms(self) -> list[Oom]:
        """Runs of the out-of-memory killer, in order."""
        rows = self.events.where(self.events.ooms())
        return [
            Oom(t_us / MICROSECONDS, OomKind(kind), pages * self.result.page_size)
            for t_us, kind, pages in zip(
                rows.t_us.tolist(), rows.oom_kind.tolist(), rows.mem_available.tolist(), strict=True
            )
        ]

    @property
    def died(self) -> bool:
        """Whether the out-of-memory killer found nobody to kill."""
        return self.events.death is not None

    @property
    def requests(self) -> list[Request]:
        """What the host asked for, in order."""
        rows = self.rows(EventKind.REQUEST)
        return [
            Request(t_us / MICROSECONDS, device, pages * self.result.page_size)
            for t_us, device, pages in zip(
                rows.t_us.tolist(), rows.device.tolist(), rows.requested.tolist(), strict=True
            )
        ]

    @property
    def first_failed_add(self) -> FailedAdd | None:
        """The first add that failed for want of memory."""
        rows = self.events.where(self.events.failed_adds())
        if not len(rows):
            return None
        at = int(rows.t_us[0]) / MICROSECONDS
        return FailedAdd(at, int(rows.device[0]), self.plugged(at))

    def rows(self, *kinds: EventKind) -> Events:
        """Return the events of these ``kinds``."""
        return self.events.where(self.events.of_kind(*kinds))

    @cached_property
    def _plugged(self) -> tuple[list[int], list[int]]:
        changes = self.events.plugged_change() * self.result.page_size
        return self.events.t_us.tolist(), np.cumsum(changes).tolist()

    def plugged(self, seconds: float) -> int:
        """Return the bytes that all devices together have plugged at a time."""
        times, sizes = self._plugged
        position = bisect_right(times, round(seconds * MICROSECONDS))
        return sizes[position - 1] if position else 0

    @property
    def plugged_at_end(self) -> int:
        """Bytes that are plugged when the run ends."""
        return self._plugged[1][-1] if len(self.events) else 0

    def last_change(self, after: float, before: float) -> float:
        """Return when (seconds) what is plugged last changed between two times; ``after`` where it did not."""
        rows = self.events
        inside = (rows.t_us > after * MICROSECONDS) & (rows.t_us <= before * MICROSECONDS)
        times = rows.t_us[inside & (PLUGGED_SIGN[rows.kind] != 0)]
        return float(times[-1]) / MICROSECONDS if len(times) else after

    @cached_property
    def zones_in_order(self) -> list[int]:
        """The zone of every plugged memory block, in the order in which they went online."""
        rows = self.rows(EventKind.PLUG, EventKind.ONLINE)
        return np.repeat(rows.zone, rows.blocks).tolist()

    @property
    def movable_share(self) -> float:
        """Share of the blocks that went online which went to MOVABLE; 0 where none did."""
        zones = self.zones_in_order
        return zones.count(ZONE_MOVABLE) / len(zones) if zones else 0.0

    def sampled(self, name: str) -> npt.NDArray[np.int64]:
        """Return a series of the guest in bytes; see :data:`sim.record.guest_series.GUEST_COLUMNS`."""
        return self.result.guest[name] * self.result.page_size

    def sample_before(self, name: str, seconds: float) -> int:
        """Return the last sample of a series before a time, in bytes."""
        position = int(np.searchsorted(self.result.guest["t_us"], round(seconds * MICROSECONDS)))
        return int(self.sampled(name)[max(0, position - 1)])

    @property
    def block_gib(self) -> float:
        """GiB of a memory block."""
        return self.result.block_pages * self.result.page_size / GIB


class Runs:
    """All runs of an incident's experiment."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = list(runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    @property
    def one(self) -> Run:
        """The only run."""
        (run,) = self._runs
        return run

    def of(self, label: str) -> Run:
        """Return the run whose workload or policy has this ``label``. Raises KeyError where there is none."""
        for run in self._runs:
            if label in (run.workload, run.policy):
                return run
        raise KeyError(label)


def run_all(experiment: Experiment) -> Runs:
    """Run all cells of ``experiment`` in this process, one after the other, and store nothing."""
    return Runs(_run(cell) for cell in experiment.cells())


def _run(cell: Cell) -> Run:
    from sim.experiment import build

    parts = cell.combination
    return Run(parts.policy.label, parts.workload.label, parts.machine.spec.boot_memory, build.simulation(cell)())
