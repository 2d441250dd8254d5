"""HyperAlloc's controller: it follows the guest's free huge pages in steps of a sixteenth of the largest size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, NamedTuple

from sim.plugins.parameter_types import Number, Seconds, Size
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB
from workloads.parts.controller import Beat, Controller, SizedDevice, sized
from workloads.parts.parameters import (
    Block,
    Device,
    Node,
    OwnEnd,
    Region,
    Start,
    check_larger,
    check_multiples,
    check_region,
)

if TYPE_CHECKING:
    from workloads.contract import Host
    from workloads.parts.watch import Watcher

_HUGE: Final = 2 * MIB
"""Sizes are rounded up to whole huge pages of x86-64."""


class HyperAlloc(Controller):
    """Grows and shrinks a guest by its free memory in chunks of a huge page and more, times ``share``.

    Less than half a step: two steps more. Less than a step: one step more. More than two steps: one step less. A step
    is ``fraction`` of ``maximum``. Sizes are those of the whole guest: ``minimum`` is what it boots with, and all that
    is beyond it is asked of one virtio-mem device. Nothing is waited for and nothing remembered but the size wanted
    last: a request that the guest has not fulfilled by the next look is followed by the next one.

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
        start: Start = 0.0,
        period: Annotated[float, Seconds(), "time between looks"] = 1.0,
        duration: OwnEnd = 0.0,
        device: Device = "vmem0",
    ) -> None:
        check_larger(check, minimum=minimum, maximum=maximum)
        if check.good("device_block"):
            check_multiples(check, max(device_block, _HUGE), minimum=minimum, maximum=maximum)
            check_multiples(check, device_block, region=region)
        check_region(check, region, maximum, base=minimum)
        check.done()
        self._rule = Rule(minimum, maximum, round(maximum * fraction), share)
        spec = sized(device, maximum - minimum, region=region, node=node, block=device_block)
        self._device = device
        super().__init__(Beat.of(start, period, duration), nodes=[node], devices=[spec])

    def watcher(self, host: Host) -> Watcher:
        """Return who looks at the free huge pages."""
        device = SizedDevice(host, self._device, base=self._rule.minimum)
        return _Watcher(host, device, self._rule, self._beat)


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
