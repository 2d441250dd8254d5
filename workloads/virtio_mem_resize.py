"""virtio-mem devices whose requested size is set again and again: what a host does that sells memory by the minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.devices.specs import VirtioMemSpec
from sim.plugins.parameter_types import Name, Number, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts import shapes
from workloads.parts.draws import even_waits
from workloads.parts.parameters import (
    NODES,
    PLACE,
    DeviceBlock,
    Duration,
    Region,
    check_larger,
    check_multiples,
    check_region,
    shortened,
)
from workloads.parts.plan import NOTHING, follow

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    import simpy

    from workloads.parts.plan import Step

MOST_DEVICES: Final = 256
SHAPES: Final = ("ramp", "triangle", "saw-tooth", "diurnal", "bursts")


class VirtioMemResize(Workload):
    """One virtio-mem device, or several alike, resized between ``minimum`` and ``maximum`` in multiples of ``step``.

    Every device is attached at time 0 with the minimum requested; device n follows its shape from n times ``stagger``
    on. A size is asked for when it differs from the one asked for last, whether or not the guest has reached that one,
    unless ``wait_for_guest`` is set: then such a request is left out.

    The sizes are ``minimum``, then upwards by ``step``; ``maximum`` is the last one, also where the distance between
    the two is no multiple of the step.
    """

    name: ClassVar[str] = "virtio-mem-resize"
    summary: ClassVar[str] = "virtio-mem devices resized in steps: ramp, triangle, saw-tooth, diurnal or bursts"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        shape: Annotated[str, Word(SHAPES), "how the size goes over time"] = "saw-tooth",
        minimum: Annotated[int, Size(zero=True), "smallest requested size, and the first"] = 0,
        maximum: Annotated[int, Size(), "largest requested size"] = 16 * GIB,
        step: Annotated[int, Size(), "requested sizes are the minimum plus multiples of this"] = GIB,
        interval: Annotated[float, Seconds(), "time between changes of size (all shapes but bursts)"] = 300.0,
        jitter: Annotated[float, Number(0.0, 1.0), "intervals are spread evenly over interval * (1 +- jitter)"] = 0.0,
        period: Annotated[float, Seconds(), "shape diurnal: length of the day"] = 86400.0,
        noise: Annotated[
            float, Number(0.0, 10.0), "shape diurnal: standard deviation, as a share of maximum - minimum"
        ] = 0.1,
        burst_gap: Annotated[float, Seconds(), "shape bursts: mean time from the end of one to the next"] = 600.0,
        burst_length: Annotated[float, Seconds(), "shape bursts: mean length"] = 120.0,
        devices: Annotated[int, Whole(1, MOST_DEVICES), "number of devices"] = 1,
        stagger: Annotated[float, Seconds(zero=True), "how much later each device starts than the one before"] = 0.0,
        nodes: Annotated[Sequence[int], NODES, "NUMA nodes, dealt out to the devices in turn"] = (0,),
        device_block: Annotated[int, DeviceBlock(), "block size of the device; all sizes are multiples of it"] = 2
        * MIB,
        region: Region = 0,
        address: Annotated[
            int, PLACE, "where device 0 lies, each further one a region behind; 0 stands for where there is room"
        ] = 0,
        wait_for_guest: Annotated[bool, "no new size before the last is reached"] = False,
        duration: Duration = 86400.0,
        device: Annotated[str, Name(), "device n is called this and n; begins the names of the streams"] = "vmem",
    ) -> None:
        if check.good("device_block"):
            check_multiples(
                check, device_block, minimum=minimum, maximum=maximum, step=step, region=region, address=address
            )
        check_larger(check, minimum=minimum, maximum=maximum)
        check_region(check, region, maximum)
        check.done()
        self._shape = shape
        self._block = device_block
        self._minimum = minimum
        self._maximum = maximum
        self._step = step
        self._region = region or maximum
        self._address = address
        self._interval_us = seconds_to_us(interval)
        self._jitter = jitter
        self._period_us = seconds_to_us(period)
        self._noise = noise
        self._burst_gap_us = seconds_to_us(burst_gap)
        self._burst_length_us = seconds_to_us(burst_length)
        self._devices = devices
        self._stagger_us = seconds_to_us(stagger)
        self._nodes = tuple(nodes)
        self._wait_for_guest = wait_for_guest
        self._duration_us = seconds_to_us(duration)
        self._device = device
        # Rounded up: the last step, to the maximum, may be a shorter one.
        self._top = -(-(maximum - minimum) // step)

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """The shape is gone through faster."""
        return shortened(parameters, pace, "interval", "period", "burst_gap", "burst_length", "stagger")

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that get a device."""
        return sorted({self._node(index) for index in range(self._devices)})

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Attach the devices and resize each until the duration is over."""
        parts = [
            follow(host, self.plan(index, streams), self._duration_us, wait_for_guest=self._wait_for_guest)
            for index in range(self._devices)
        ]
        if len(parts) == 1:
            yield from parts[0]
        else:
            env = host.env
            yield env.all_of([env.process(part) for part in parts])

    def plan(self, index: int, streams: Streams) -> Iterator[Step]:
        """Yield what is asked of device ``index`` and when; drawn from ``streams`` alone.

        Finite for shape ``ramp``, else without end. A step without a request is one where the shape stays at its level.
        """
        device = f"{self._device}{index}"
        spec = VirtioMemSpec(
            id=device,
            max_size=self._region,
            node=self._node(index),
            block_size=self._block,
            requested=self._minimum,
            address=self._address + index * self._region if self._address else None,
        )
        yield 0, ((device, spec),)
        if self._stagger_us * index:
            yield self._stagger_us * index, NOTHING
        last = 0
        for wait, level in self._levels(device, streams):
            if level == last:
                yield wait, NOTHING
            else:
                last = level
                yield wait, ((device, min(self._minimum + level * self._step, self._maximum)),)

    def _node(self, index: int) -> int:
        return self._nodes[index % len(self._nodes)]

    def _levels(self, device: str, streams: Streams) -> Iterator[tuple[int, int]]:
        top = self._top
        if self._shape == "bursts":
            draws = [streams(f"{device}/{name}") for name in ("gaps", "lengths", "heights")]
            return shapes.bursts(top, self._burst_gap_us, self._burst_length_us, *draws)
        waits = even_waits(streams(f"{device}/waits"), self._interval_us, self._jitter)
        if self._shape == "diurnal":
            return shapes.diurnal(waits, top, self._period_us, self._noise, streams(f"{device}/noise"))
        return {"ramp": shapes.ramp, "triangle": shapes.triangle, "saw-tooth": shapes.saw_tooth}[self._shape](
            waits, top
        )
