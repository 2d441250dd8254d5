"""HyperAlloc's controller: it follows the guest's free huge pages in steps of a sixteenth of the largest size."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NamedTuple

from sim.plugins.parameter_types import Number, Size
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, format_size
from workloads.parts.controllers.controller import Beat, Controller, SizedDevice, sized
from workloads.parts.controllers.observed import ObservedColumns, ObservedPath, ObservedSeries, observed
from workloads.parts.parameters import (
    LONGEST_US,
    Block,
    Device,
    Node,
    OwnEnd,
    Period,
    Region,
    Start,
    check_larger,
    check_multiples,
    check_region,
    shortened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workloads.contract import Host, Workload
    from workloads.parts.controllers.watch import Watcher

_HUGE: Final = 2 * MIB
"""Sizes are rounded up to whole huge pages of x86-64."""


class HyperAlloc(Controller):
    """Grows and shrinks a guest by its free memory in chunks of a huge page and more, times ``share``.

    Less than half a step: two steps more. Less than a step: one step more. More than two steps: one step less. A step
    is ``fraction`` of ``maximum``. Sizes are those of the whole guest: ``minimum`` is what it boots with, and all that
    is beyond it is asked of one virtio-mem device. Nothing is waited for and nothing remembered but the size wanted
    last: a request that the guest has not fulfilled by the next look is followed by the next one.

    With a ``path`` it sees the ``free_huge`` of a recorded run instead, at the samples of the run, from the first one
    on as fast as recorded; one that failed is passed over, as theirs does. It asks for what was asked for then.

    Source: luhsra/hyperalloc-bench at a385a2d (2025-03-27), scripts/vm_resize.py (the rule, ``share``, whole huge
    pages), compiling/bench.py (``fraction``; the smallest size is an eighth of the largest), scripts/measure.py (a look
    every second, and as much later as reading the guest takes: 1.72 s in their runs). EuroSys 2025.
    """

    name: ClassVar[str] = "hyperalloc"
    summary: ClassVar[str] = "HyperAlloc's controller: a virtio-mem device that follows the guest's free huge pages"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        minimum: Annotated[int, Size(zero=True), "smallest size of the guest: the memory that it boots with"] = 2 * GIB,
        maximum: Annotated[int, Size(), "largest size of the guest"] = 16 * GIB,
        fraction: Annotated[float, Number(1e-6, 1.0), "a step, as a share of the largest size"] = 1 / 16,
        share: Annotated[float, Number(0.0, 1.0), "share of the free huge pages that counts"] = 0.9,
        device_block: Block = 2 * MIB,
        region: Region = 0,
        node: Node = 0,
        path: ObservedPath = None,
        columns: ObservedColumns = None,
        series: ObservedSeries = None,
        start: Start = 0.0,
        period: Period = 1.0,
        duration: OwnEnd = 0.0,
        device: Device = "vmem0",
    ) -> None:
        check_larger(check, minimum=minimum, maximum=maximum)
        if check.good("device_block"):
            check_multiples(check, max(device_block, _HUGE), minimum=minimum, maximum=maximum)
            check_multiples(check, device_block, region=region)
        check_region(check, region, maximum, base=minimum)
        step = round(maximum * fraction) if check.good("maximum", "fraction") else 0
        if check.good("device_block") and device_block > _HUGE and step % device_block:
            whole = f"a multiple of device_block, {format_size(device_block)}"
            check.fault("fraction", f"makes a step of {step / MIB:g} MiB, which must be {whole}")
        seen = observed(check, "free_huge", path, columns, series)
        check.done()
        self._observed = seen
        self._rule = Rule(minimum, maximum, step, share)
        spec = sized(device, maximum - minimum, region=region, node=node, block=device_block)
        super().__init__(Beat.of(start, period, duration), nodes=[node], devices=[spec])

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """It looks more often."""
        return shortened(parameters, pace, "period")

    def watcher(self, host: Host) -> Watcher:
        """Return who looks at the free huge pages."""
        (spec,) = self._devices
        device = SizedDevice(host, spec.id, base=self._rule.minimum)
        if self._observed is not None:
            return _Replayer(device, self._rule, self._observed.samples())
        return _Watcher(host, device, self._rule, self._beat)

    @property
    def beat(self) -> Beat:
        """When it looks; at the samples of a trace, it is over a period after the last of them."""
        if self._observed is None:
            return self._beat
        end_us = self._observed.end_us + self._beat.period_us
        return replace(self._beat, first_us=0, end_us=self._beat.end_us or end_us)

    def recording(self) -> str | None:
        """The name of the series that it sees."""
        return None if self._observed is None else self._observed.series

    def for_replication(self, number: int) -> Workload:
        """Return the controller that sees what it saw in replication ``number``."""
        if self._observed is None:
            return self
        other = copy(self)
        other._observed = self._observed.of_replication(number)  # noqa: SLF001  of this very class
        return other

    def most_replications(self) -> int | None:
        """As many as there are series to see, where each is a replication."""
        return None if self._observed is None else self._observed.most_replications


class Rule(NamedTuple):
    """What comes next: sizes in bytes, the ``share`` of the free huge pages that counts."""

    minimum: int
    maximum: int
    step: int
    share: float

    def next(self, size: int, free_huge: int) -> int:
        """Return the size that is wanted after ``size``, with ``free_huge`` bytes free in huge pages and more."""
        free = int(free_huge * self.share)
        if 2 * free < self.step:
            size += 2 * self.step
        elif free < self.step:
            size += self.step
        elif free > 2 * self.step:
            size -= self.step
        return min(max(-(-size // _HUGE) * _HUGE, self.minimum), self.maximum)


class _Replayer:
    """Sees what a recording says, at its samples."""

    def __init__(self, device: SizedDevice, rule: Rule, samples: Iterator[tuple[int, int | None]]) -> None:
        self._device = device
        self._rule = rule
        self._samples = samples
        self._next = next(samples, None)
        self._wanted = rule.minimum

    def look(self, now_us: int) -> int:
        """Decide by the sample of ``now_us``, if there is one that did not fail; return when the next one is."""
        if self._next is not None and self._next[0] <= now_us:
            _, free_huge = self._next
            if free_huge is not None:
                self._wanted = self._rule.next(self._wanted, free_huge)
                self._device.ask(self._wanted)
            self._next = next(self._samples, None)
        return LONGEST_US if self._next is None else self._next[0]


@dataclass(slots=True)
class _Watcher:
    host: Host
    device: SizedDevice
    rule: Rule
    beat: Beat
    wanted: int = 0
    """What was wanted last; 0 before the first look."""

    def look(self, now_us: int) -> int | None:
        report = self.host.report()
        if report is None:
            return None
        before = self.wanted or self.rule.minimum
        self.wanted = self.rule.next(before, report.free_huge)
        if self.wanted == before:
            return None
        self.device.ask(self.wanted)
        return self.beat.after(now_us)
