"""virtio-mem devices whose requested size is set again and again: what a host does that sells memory by the minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from sim.devices.specs import VirtioMemSpec
from sim.plugins.parameters import Parameter
from sim.units import GIB, MIB, format_size, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts import shapes
from workloads.parts.checks import Checker
from workloads.parts.draws import even_waits
from workloads.parts.plan import NOTHING, follow

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

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
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter("shape", "|".join(SHAPES), "saw-tooth", "-", "how the size goes over time"),
        Parameter("minimum", "size", "0", "bytes", "smallest requested size, and the first"),
        Parameter("maximum", "size", "16GiB", "bytes", "largest requested size"),
        Parameter("step", "size", "1GiB", "bytes", "requested sizes are the minimum plus multiples of this"),
        Parameter("interval", "seconds", 300.0, "s", "time between changes of size (all shapes but bursts)"),
        Parameter("jitter", "float", 0.0, "-", "intervals are spread evenly over interval * (1 +- jitter)"),
        Parameter("period", "seconds", 86400.0, "s", "shape diurnal: length of the day"),
        Parameter("noise", "float", 0.1, "-", "shape diurnal: standard deviation, as a share of maximum - minimum"),
        Parameter("burst_gap", "seconds", 600.0, "s", "shape bursts: mean time from the end of one to the next"),
        Parameter("burst_length", "seconds", 120.0, "s", "shape bursts: mean length"),
        Parameter("devices", "int", 1, "-", "number of devices"),
        Parameter("stagger", "seconds", 0.0, "s", "how much later each device starts than the one before"),
        Parameter("nodes", "list[int]", (0,), "-", "NUMA nodes, dealt out to the devices in turn"),
        Parameter("device_block", "size", "2MiB", "bytes", "block size of the device; all sizes are multiples of it"),
        Parameter("region", "size", "0", "bytes", "size of the device's address region; 0 stands for the maximum"),
        Parameter("wait_for_guest", "bool", default=False, unit="-", meaning="no new size before the last is reached"),
        Parameter("duration", "seconds", 86400.0, "s", "simulated time"),
        Parameter("device", "str", "vmem", "-", "device n is called this and n; begins the names of the streams"),
    )

    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        *,
        shape: str = "saw-tooth",
        minimum: int = 0,
        maximum: int = 16 * GIB,
        step: int = GIB,
        interval: float = 300.0,
        jitter: float = 0.0,
        period: float = 86400.0,
        noise: float = 0.1,
        burst_gap: float = 600.0,
        burst_length: float = 120.0,
        devices: int = 1,
        stagger: float = 0.0,
        nodes: Sequence[int] = (0,),
        device_block: int = 2 * MIB,
        region: int = 0,
        wait_for_guest: bool = False,
        duration: float = 86400.0,
        device: str = "vmem",
    ) -> None:
        check = Checker()
        self._shape = check.choice("shape", shape, SHAPES)
        self._block = check.device_block("device_block", device_block)
        self._minimum = check.size("minimum", minimum, zero=True, unit=self._block)
        self._maximum = check.size("maximum", maximum, unit=self._block)
        if check.good("minimum", "maximum") and self._maximum <= self._minimum:
            bounds = f"{format_size(self._minimum)}, but is {format_size(self._maximum)}"
            check.fault("maximum", f"must be more than the minimum, {bounds}")
        self._step = check.size("step", step, unit=self._block)
        self._region = check.size("region", region, zero=True, unit=self._block) or self._maximum
        if check.good("region", "maximum") and self._region < self._maximum:
            bounds = f"{format_size(self._maximum)}, but is {format_size(self._region)}"
            check.fault("region", f"must hold the maximum, {bounds}")
        self._interval_us = check.time_us("interval", interval)
        self._jitter = check.number("jitter", jitter, 0.0, 1.0)
        self._period_us = check.time_us("period", period)
        self._noise = check.number("noise", noise, 0.0, 10.0)
        self._burst_gap_us = check.time_us("burst_gap", burst_gap)
        self._burst_length_us = check.time_us("burst_length", burst_length)
        self._devices = check.whole("devices", devices, 1, MOST_DEVICES)
        self._stagger_us = check.time_us("stagger", stagger, zero=True)
        self._nodes = check.nodes("nodes", nodes)
        self._wait_for_guest = check.flag("wait_for_guest", wait_for_guest)
        self._duration_us = check.time_us("duration", duration)
        self._device = check.word("device", device)
        check.done()
        # Rounded up: the last step, to the maximum, may be a shorter one.
        self._top = -(-(self._maximum - self._minimum) // self._step)

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
