"""Everything at once: DIMMs, virtio-mem and dax devices on several nodes, asked for and asked back at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.plugins.parameter_types import Number, Seconds, Size, Whole
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, format_size, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.draws import exponential_waits, uniforms
from workloads.parts.parameters import NODES, PAGES, SIZES, DeviceBlock, Duration, check_multiples, shortened
from workloads.parts.plan import NOTHING, follow

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    import simpy

    from workloads.parts.plan import Ask, Step

MOST_DEVICES: Final = 256


class RandomMix(Workload):
    """Random requests to a fixed set of devices, some of them at the very same moment.

    Each request goes to a kind of device (drawn by the shares), then to one device of that kind. A DIMM or dax device
    is plugged if it is not wanted now, with a size and node drawn for it, else asked back; a virtio-mem device gets a
    new requested size, drawn evenly from the multiples of ``resize_step``. Growth beyond ``maximum`` over all devices
    (of what is wanted, whatever the guest gives) falls away, or is cut down to it with virtio-mem.

    What is wanted is fixed by the streams alone; a device that the guest does not give back stays, and serves as the
    one that is wanted in its place next.
    """

    name: ClassVar[str] = "random-mix"
    summary: ClassVar[str] = "random plugs, unplugs and resizes of DIMMs, virtio-mem and dax devices on several nodes"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        nodes: Annotated[Sequence[int], NODES, "NUMA nodes: drawn for each plug, dealt out to virtio-mem in turn"] = (
            0,
        ),
        dimms: Annotated[int, Whole(0, MOST_DEVICES), "number of DIMMs"] = 8,
        dimm_sizes: Annotated[Sequence[int], SIZES, "DIMM sizes; each plug draws one"] = (GIB, 2 * GIB, 4 * GIB),
        dimm_share: Annotated[float, Number(0.0, 1e6), "share of requests that go to DIMMs"] = 0.5,
        virtio_mems: Annotated[int, Whole(0, MOST_DEVICES), "number of virtio-mem devices"] = 2,
        virtio_mem_size: Annotated[int, Size(), "largest requested size of each virtio-mem device"] = 16 * GIB,
        virtio_mem_share: Annotated[float, Number(0.0, 1e6), "share of requests that go to virtio-mem devices"] = 0.4,
        device_block: Annotated[int, DeviceBlock(), "block size of the virtio-mem devices"] = 2 * MIB,
        resize_step: Annotated[int, Size(), "virtio-mem's requested sizes are multiples of this"] = 256 * MIB,
        dax_devices: Annotated[int, Whole(0, MOST_DEVICES), "number of dax devices"] = 1,
        dax_sizes: Annotated[Sequence[int], SIZES, "dax device sizes; each plug draws one"] = (8 * GIB, 16 * GIB),
        dax_share: Annotated[float, Number(0.0, 1e6), "share of requests that go to dax devices"] = 0.1,
        maximum: Annotated[int, PAGES, "most memory that is wanted at any time"] = 64 * GIB,
        interval: Annotated[float, Seconds(), "mean time between requests that are not at the same moment"] = 60.0,
        same_moment: Annotated[
            float, Number(0.0, 0.99), "probability that a request comes together with the one before"
        ] = 0.2,
        ask_again: Annotated[bool, "each request repeats a refused one as well"] = False,
        wait_for_guest: Annotated[bool, "no new size before the last is reached"] = False,
        duration: Duration = 3600.0,
    ) -> None:
        if check.good("device_block"):
            check_multiples(check, device_block, virtio_mem_size=virtio_mem_size, resize_step=resize_step)
        if check.good("resize_step", "virtio_mem_size") and resize_step > virtio_mem_size:
            bounds = f"{format_size(virtio_mem_size)}, but is {format_size(resize_step)}"
            check.fault("resize_step", f"must be at most virtio_mem_size, {bounds}")
        shares = [0.0]
        if check.good("dimm_share", "virtio_mem_share", "dax_share", "dimms", "virtio_mems", "dax_devices"):
            # A kind of which there is no device gets no requests, whatever its share.
            kinds = ((dimm_share, dimms), (virtio_mem_share, virtio_mems), (dax_share, dax_devices))
            shares = [share * (devices > 0) for share, devices in kinds]
            if not sum(shares):
                check.fault("dimm_share", "no kind of device has both a share above 0 and a device to ask")
        check.done()
        self._nodes = tuple(nodes)
        self._dimms = dimms
        self._dimm_sizes = tuple(dimm_sizes)
        self._virtio_mems = virtio_mems
        self._block = device_block
        self._region = virtio_mem_size
        self._resize_step = resize_step
        self._dax_devices = dax_devices
        self._dax_sizes = tuple(dax_sizes)
        self._maximum = maximum
        self._interval_us = seconds_to_us(interval)
        self._same_moment = same_moment
        self._ask_again = ask_again
        self._wait_for_guest = wait_for_guest
        self._duration_us = seconds_to_us(duration)
        self._dimms_below = shares[0] / sum(shares)
        self._virtio_mems_below = (shares[0] + shares[1]) / sum(shares)

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Requests come faster one after the other."""
        return shortened(parameters, pace, "interval")

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that devices are plugged into."""
        return sorted(set(self._nodes))

    def needs_dimms(self) -> bool:
        """Where any request is for one."""
        return self._dimms_below > 0

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Attach the virtio-mem devices, then make random requests until the duration is over."""
        plan = self.plan(streams)
        return follow(host, plan, self._duration_us, ask_again=self._ask_again, wait_for_guest=self._wait_for_guest)

    def plan(self, streams: Streams) -> Iterator[Step]:
        """Yield what is wanted and when, without end; drawn from ``streams`` alone."""
        waits = exponential_waits(streams("mix/waits"), self._interval_us)
        coincidences = uniforms(streams("mix/same-moment"))
        if self._virtio_mems:
            yield 0, [self._attach(index) for index in range(self._virtio_mems)]
        for coincidence, request in zip(coincidences, self._requests(streams), strict=False):
            yield 0 if coincidence < self._same_moment else next(waits), request

    def _attach(self, index: int) -> Ask:
        device = f"vmem{index}"
        node = self._nodes[index % len(self._nodes)]
        return device, VirtioMemSpec(id=device, max_size=self._region, node=node, block_size=self._block)

    def _requests(self, streams: Streams) -> Iterator[Sequence[Ask]]:
        """Yield one request, or none where it falls away, without end."""
        planned = _PlannedSizes(self._maximum)
        vmems = [f"vmem{index}" for index in range(self._virtio_mems)]
        dimms = [f"dimm{index}" for index in range(self._dimms)]
        daxes = [f"dax{index}" for index in range(self._dax_devices)]
        levels = self._region // self._resize_step + 1
        # Each request takes one number of each stream, whatever comes of it.
        draws = [uniforms(streams(f"mix/{name}")) for name in ("kinds", "devices", "sizes", "nodes")]
        for kind, device_draw, size_draw, node_draw in zip(*draws, strict=False):
            if kind < self._dimms_below:
                size = self._dimm_sizes[int(size_draw * len(self._dimm_sizes))]
                node = self._nodes[int(node_draw * len(self._nodes))]
                yield planned.toggle(DimmSpec, (dimms[int(device_draw * len(dimms))], size, node))
            elif kind < self._virtio_mems_below:
                size = int(size_draw * levels) * self._resize_step
                yield planned.resize(vmems[int(device_draw * len(vmems))], size, self._resize_step)
            else:
                size = self._dax_sizes[int(size_draw * len(self._dax_sizes))]
                node = self._nodes[int(node_draw * len(self._nodes))]
                yield planned.toggle(DaxSpec, (daxes[int(device_draw * len(daxes))], size, node))


class _PlannedSizes:
    """How much of each device is wanted, in bytes, and of all together (by the plan, not by the guest)."""

    __slots__ = ("_plugs", "_room", "_sizes")

    def __init__(self, maximum: int) -> None:
        self._room = maximum
        self._sizes: dict[str, int] = {}
        self._plugs: dict[tuple[str, int, int], Sequence[Ask]] = {}

    def toggle(self, kind: type[DimmSpec | DaxSpec], device: tuple[str, int, int]) -> Sequence[Ask]:
        """Want the ``device`` (id, size, node) if it is not wanted, else want it no more."""
        name, size, _ = device
        before = self._sizes.pop(name, None)
        if before is not None:
            self._room += before
            return ((name, None),)
        if size > self._room:
            return NOTHING
        self._room -= size
        self._sizes[name] = size
        plug = self._plugs.get(device)
        if plug is None:
            plug = self._plugs[device] = ((name, kind(*device)),)
        return plug

    def resize(self, device: str, size: int, step: int) -> Sequence[Ask]:
        """Want ``size`` of ``device``, or as many multiples of ``step`` as there is room for."""
        before = self._sizes.get(device, 0)
        if size > self._room + before:
            size = (self._room + before) // step * step
        if size == before:
            return NOTHING
        self._room += before - size
        self._sizes[device] = size
        return ((device, size),)
