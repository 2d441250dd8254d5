"""A host whose requests follow a measured demand, as an autoscaler's do, from a series such as the public VM traces.

Nothing runs in the guest, and nobody looks at it: what is asked for is known beforehand, and the same whatever the
guest does with it. For the demand played in the guest, to which a controller answers, see :mod:`workloads.guest_trace`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.pages import SMALLEST_PAGE
from sim.plugins.parameter_types import Number, Seconds, Size, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, format_size, seconds_to_us
from workloads.parts.parameters import NODE, PAGES, PLACE, DeviceBlock, Speed, check_multiples, check_slots
from workloads.parts.plan import follow
from workloads.parts.traces.columns import TraceColumns, opened
from workloads.parts.traces.playing import End, Playing, Scale, Series, Start, Tail, TracedWorkload, TracePath

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    import simpy

    from workloads.contract import Host, Streams
    from workloads.parts.plan import Ask, Step

KINDS: Final = ("virtio-mem", "dimm")


class DemandTrace(TracedWorkload):
    """Asks for the memory that a trace's demand needs beyond the guest's boot memory.

    The demand is the trace's ``user``. At each sample, wanted is demand * (1 + ``headroom``) - ``boot_memory``, rounded
    up to a multiple of ``step`` and cut off at 0 and ``maximum``. Growth is asked for at once, less memory only after a
    while: what is asked for is the largest size that was wanted at a sample less than ``hold`` seconds ago. With kind
    ``virtio-mem`` that is the requested size of one device, with kind ``dimm`` so many DIMMs of size ``step``, the
    newest of which go first. A value that is missing is as before.

    Nothing is random here: replication k plays the k-th series. Raises ParameterError with all faults of trace and
    parameters.
    """

    name: ClassVar[str] = "demand-trace"
    summary: ClassVar[str] = (
        "grows and shrinks a guest after a time series of memory demand, with headroom and hold time"
    )

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        path: TracePath,
        columns: TraceColumns,
        series: Series = None,
        kind: Annotated[str, Word(KINDS), "what the memory is plugged as"] = "virtio-mem",
        boot_memory: Annotated[
            int, Size(zero=True, multiple_of=SMALLEST_PAGE), "demand that the guest's boot memory serves"
        ] = GIB,
        headroom: Annotated[
            float, Number(0.0, 100.0), "memory kept beyond the demand, as a share of the demand"
        ] = 0.25,
        step: Annotated[int, Size(), "sizes are multiples of this; the size of a DIMM"] = 128 * MIB,
        maximum: Annotated[int, PAGES, "most memory that is asked for"] = 16 * GIB,
        hold: Annotated[float, Seconds(zero=True), "how long a size that was wanted is kept, in recorded time"] = 900.0,
        device_block: Annotated[int, DeviceBlock(), "kind virtio-mem: block size of the device"] = 2 * MIB,
        address: Annotated[int, PLACE, "of the device, or of the first DIMM; 0 stands for where there is room"] = 0,
        node: Annotated[int, NODE, "NUMA node"] = 0,
        scale: Scale = 1.0,
        speed: Speed = 1.0,
        start: Start = 0.0,
        end: End = 0.0,
        tail: Tail = 60.0,
    ) -> None:
        if kind != "virtio-mem":
            check_multiples(check, SMALLEST_PAGE, step=step)
        elif check.good("device_block"):
            check_multiples(check, device_block, step=step, address=address)
        if check.good("step", "maximum") and maximum < step:
            check.fault("maximum", f"must be at least the step, {format_size(step)}, but is {format_size(maximum)}")
        if kind == "dimm":
            check_slots(check, step, maximum=maximum)
        check.done()
        trace = opened(path, columns)
        self._open(check, trace, series, Playing.of(scale, speed, start, end, tail), ("user",))
        if "user" not in trace.quantities:
            check.fault("columns", "do not tell user, the demand")
        check.done()
        self._kind = kind
        self._block = device_block
        self._step = step
        self._top = maximum // step
        self._node = node
        self._address = address
        self._factor = 1.0 + headroom
        self._boot_memory = boot_memory
        self._hold_us = seconds_to_us(hold / speed)

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """The trace is played faster."""
        return {**parameters, "speed": parameters["speed"] * pace}

    def node_capacity(self) -> Iterable[int]:
        """The one node that memory is plugged into."""
        return (self._node,)

    def needs_dimms(self) -> bool:
        """With kind ``dimm``."""
        return self._kind == "dimm"

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Ask for what is wanted until the series is over."""
        return follow(host, self.plan(), self.end_us)

    def plan(self) -> Iterator[Step]:
        """Yield what is wanted and when."""
        asks = self._virtio_mem if self._kind == "virtio-mem" else self._dimm
        now_us = level = 0
        if self._kind == "virtio-mem":
            size = self._top * self._step
            yield 0, (("vmem0", self._device(size)),)
        for t_us, next_level in held(self._levels(), self._hold_us):
            if next_level != level:
                yield t_us - now_us, asks(level, next_level)
                now_us, level = t_us, next_level

    def _levels(self) -> Iterator[tuple[int, int]]:
        """Yield how many steps are wanted from which microsecond on."""
        for t_us, values in self.moments():
            wanted = math.ceil((values.get("user", 0) * self._factor - self._boot_memory) / self._step)
            yield t_us, min(max(wanted, 0), self._top)

    def _virtio_mem(self, before: int, after: int) -> Sequence[Ask]:
        return (("vmem0", after * self._step),)

    def _device(self, size: int) -> VirtioMemSpec:
        return VirtioMemSpec("vmem0", size, self._node, self._block, address=self._address or None)

    def _slot(self, slot: int) -> Ask:
        """Return the request for the DIMM of ``slot``, which lies behind those before it where an address is given."""
        address = self._address + slot * self._step if self._address else None
        return f"dimm{slot}", DimmSpec(f"dimm{slot}", self._step, self._node, address)

    def _dimm(self, before: int, after: int) -> Sequence[Ask]:
        if after > before:
            return [self._slot(slot) for slot in range(before, after)]
        return [(f"dimm{slot}", None) for slot in range(before - 1, after - 1, -1)]


def held(samples: Iterable[tuple[int, int]], hold_us: int) -> Iterator[tuple[int, int]]:
    """Yield each sample (time, level) with its level raised to the largest one less than ``hold_us`` old."""
    # Levels that still count, falling: a level that a later one reaches can never be the largest again.
    recent: deque[tuple[int, int]] = deque()
    for t_us, level in samples:
        while recent and recent[-1][1] <= level:
            recent.pop()
        recent.append((t_us, level))
        while len(recent) > 1 and recent[0][0] + hold_us <= t_us:
            recent.popleft()
        yield t_us, recent[0][1]
