"""What workloads that play a demand trace have in common: their parameters, which series is played, and its samples."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Self

from sim.faults import shown, unknown_name
from sim.plugins.parameter_types import FilePath, Name, Number, Seconds
from sim.plugins.values import SECONDS_LIMIT
from sim.units import seconds_to_us, us_to_seconds
from workloads.contract import Workload
from workloads.parts.parameters import LONGEST_US

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sim.plugins.parameters import Checker
    from sim.traces.samples import Trace

TracePath = Annotated[str, FilePath(), "the trace (docs/demand-traces.md)"]
Series = Annotated[
    str | None,
    Name(),
    "the series that every replication plays, or a pattern such as web-*; replication k plays the k-th that fits it,"
    " without it the k-th of the trace",
]
Scale = Annotated[float, Number(1e-6, 1e6), "how much of the recorded amounts is played: 2 is twice as much"]
Start = Annotated[float, Seconds(zero=True), "from when it is played, in recorded time since a series' first sample"]
End = Annotated[float, Seconds(zero=True), "until when, likewise; 0 stands for the last sample"]
Tail = Annotated[float, Seconds(), "simulated time after the last sample"]

ONLY_SERIES: Final = ""
"""The name of the series of a trace that tells none apart."""

Moment = tuple[int, "Mapping[str, int]"]
"""Microsecond of the run, and the bytes of each quantity from then on, as far as the trace has told one yet."""


@dataclass(frozen=True, slots=True)
class Playing:
    """How recorded amounts and times become played ones; ``end_us`` 0 stands for the last sample."""

    scale: float
    speed: float
    start_us: int
    end_us: int
    tail_us: int

    @classmethod
    def of(cls, scale: float, speed: float, start: float, end: float, tail: float) -> Self:
        """Return what parameters say that are good each by itself."""
        return cls(scale, speed, seconds_to_us(start), seconds_to_us(end), seconds_to_us(tail))

    def last_us(self, recorded_us: int) -> int:
        """Return when the last sample of a series of ``recorded_us`` is played."""
        end = min(self.end_us or recorded_us, recorded_us)
        return round((end - self.start_us) / self.speed)


class TracedWorkload(Workload):
    """A workload that plays one series of a trace.

    Replication k plays the k-th series, so that the recorded machines are the sample, and there are as many
    replications as series; unless the trace tells no series apart, or one is given.
    """

    def _open(
        self, check: Checker, trace: Trace, series: str | None, playing: Playing, played: Collection[str]
    ) -> None:
        """Take what is played, which is one of the quantities ``played`` at least. Adds what is wrong to ``check``."""
        self._trace = trace
        self._playing = playing
        self._chosen = Chosen.of(trace, series)
        if not check_series(check, trace, series):
            return
        self._series = self._chosen.names[0]
        check_values(check, trace, self._chosen.names, played)
        spans = {name: _length(trace, name) for name in self._chosen.names}
        shortest, longest = min(spans, key=spans.__getitem__), max(spans, key=spans.__getitem__)
        if 0 < playing.end_us <= playing.start_us:
            check.fault("end", f"must be after the start, {us_to_seconds(playing.start_us):g}")
        elif playing.start_us > spans[shortest]:
            which = f" of series {shown(shortest)}" if shortest else ""
            check.fault("start", f"is after the last sample{which}, at {us_to_seconds(spans[shortest]):g}")
        elif playing.last_us(spans[longest]) + playing.tail_us > LONGEST_US:
            check.fault("speed", f"makes the run longer than {SECONDS_LIMIT} seconds")

    @property
    def end_us(self) -> int:
        """The microsecond at which the run ends."""
        return self._playing.last_us(_length(self._trace, self._series)) + self._playing.tail_us

    def duration(self) -> float:
        """Seconds of simulated time: the series at its speed, and the tail."""
        return us_to_seconds(self.end_us)

    def recording(self) -> str | None:
        """The name of the series that is played."""
        return self._series or None

    def for_replication(self, number: int) -> Workload:
        """Return the workload that plays the series of replication ``number``."""
        if not self._chosen.each_its_own:
            return self
        played = copy(self)
        played._series = self._chosen.names[number]  # noqa: SLF001  of this very class
        return played

    def most_replications(self) -> int | None:
        """As many as there are series, where each is a replication."""
        return self._chosen.most_replications

    def moments(self) -> Iterator[Moment]:
        """Yield what is played, in order of time, reading some samples at a time."""
        return moments(self._trace, self._series, self._playing)


class Chosen(NamedTuple):
    """Which series of a trace are played; ``each_its_own``: each in a replication of its own."""

    names: Sequence[str]
    each_its_own: bool

    @classmethod
    def of(cls, trace: Trace, series: str | None) -> Self:
        """Return what the parameter says: nothing, a series of the trace, or a pattern. No names where none fits.

        In a pattern ``*`` stands for any characters, ``?`` for one, ``[0-9]`` for one of these.
        """
        if series is None:
            return cls(trace.series, tuple(trace.series) != (ONLY_SERIES,))
        if series in trace.series:
            return cls((series,), each_its_own=False)
        return cls([name for name in trace.series if name and fnmatchcase(name, series)], each_its_own=True)

    @property
    def most_replications(self) -> int | None:
        """As many as there are series, where each is a replication."""
        return len(self.names) if self.each_its_own else None


def check_series(check: Checker, trace: Trace, series: str | None) -> bool:
    """Find fault with a ``series`` that is none of the trace, and fits none; whether there is none to find."""
    if series is None or Chosen.of(trace, series).names:
        return True
    told_apart = unknown_name("series", series, trace.series) if trace.series[0] else "the trace tells no series apart"
    check.fault("series", told_apart)
    return False


def check_values(check: Checker, trace: Trace, names: Sequence[str], played: Collection[str]) -> None:
    """Find fault with series, by ``names``, that have no value of what is ``played``: nothing would come of them."""
    wanted = [quantity for quantity in trace.quantities if quantity in played]
    if not wanted:
        return  # which is a fault of the columns
    empty = [name for name in names if not set(wanted).intersection(trace.told(name))]
    if empty:
        which = f"series {shown(empty[0])} has" if empty[0] else "it has"
        more = f", nor have {len(empty) - 1} more of its series" if empty[1:] else ""
        check.fault("path", f"{which} no value of {' or '.join(wanted)}: all are missing{more}")


def moments(trace: Trace, series: str, playing: Playing) -> Iterator[Moment]:
    """Yield the played samples of a series; a missing value is the one before it.

    At the start what held then: the last sample that is not later.
    """
    first_us, last_us = trace.span_us(series)
    start_us = first_us + playing.start_us
    stop_us = min(first_us + playing.end_us if playing.end_us else last_us, last_us)
    scale, speed = playing.scale, playing.speed
    held: dict[str, int] = {}
    waiting = False
    for samples in trace.samples(series):
        names = list(samples.values)
        columns = [samples.values[name].tolist() for name in names]
        for t_us, *amounts in zip(samples.t_us.tolist(), *columns, strict=True):
            if t_us > stop_us:
                if waiting:
                    yield 0, held
                return
            if waiting and t_us > start_us:
                yield 0, held
                waiting = False
            held = held | {
                name: amount if scale == 1 else round(amount * scale)
                for name, amount in zip(names, amounts, strict=True)
                if amount >= 0
            }
            if t_us <= start_us:
                waiting = True
            else:
                yield round((t_us - start_us) / speed), held
    if waiting:
        yield 0, held


def _length(trace: Trace, series: str) -> int:
    first, last = trace.span_us(series)
    return last - first
