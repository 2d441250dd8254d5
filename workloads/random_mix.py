"""Everything at once: DIMMs, virtio-mem and dax devices on several nodes, asked for and asked back at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.plugins.parameters import Parameter
from sim.units import GIB, MIB, format_size, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.checks import Checker
from workloads.parts.draws import exponential_waits, uniforms
from workloads.parts.plan import NOTHING, follow

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

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
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter("nodes", "list[int]", (0,), "-", "NUMA nodes: drawn for each plug, dealt out to virtio-mem in turn"),
        Parameter("dimms", "int", 8, "-", "number of DIMMs"),
        Parameter("dimm_sizes", "list[size]", ("1GiB", "2GiB", "4GiB"), "bytes", "DIMM sizes; each plug draws one"),
        Parameter("dimm_share", "float", 0.5, "-", "share of requests that go to DIMMs"),
        Parameter("virtio_mems", "int", 2, "-", "number of virtio-mem devices"),
        Parameter("virtio_mem_size", "size", "16GiB", "bytes", "largest requested size of each virtio-mem device"),
        Parameter("virtio_mem_share", "float", 0.4, "-", "share of requests that go to virtio-mem devices"),
        Parameter("device_block", "size", "2MiB", "bytes", "block size of the virtio-mem devices"),
        Parameter("resize_step", "size", "256MiB", "bytes", "virtio-mem's requested sizes are multiples of this"),
        Parameter("dax_devices", "int", 1, "-", "number of dax devices"),
        Parameter("dax_sizes", "list[size]", ("8GiB", "16GiB"), "bytes", "dax device sizes; each plug draws one"),
        Parameter("dax_share", "float", 0.1, "-", "share of requests that go to dax devices"),
        Parameter("maximum", "size", "64GiB", "bytes", "most memory that is wanted at any time"),
        Parameter("interval", "seconds", 60.0, "s", "mean time between requests that are not at the same moment"),
        Parameter("same_moment", "float", 0.2, "-", "probability that a request comes together with the one before"),
        Parameter("ask_again", "bool", default=False, unit="-", meaning="each request repeats a refused one as well"),
        Parameter("wait_for_guest", "bool", default=False, unit="-", meaning="no new size before the last is reached"),
        Parameter("duration", "seconds", 3600.0, "s", "simulated time"),
    )

    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        *,
        nodes: Sequence[int] = (0,),
        dimms: int = 8,
        dimm_sizes: Sequence[int] = (GIB, 2 * GIB, 4 * GIB),
        dimm_share: float = 0.5,
        virtio_mems: int = 2,
        virtio_mem_size: int = 16 * GIB,
        virtio_mem_share: float = 0.4,
        device_block: int = 2 * MIB,
        resize_step: int = 256 * MIB,
        dax_devices: int = 1,
        dax_sizes: Sequence[int] = (8 * GIB, 16 * GIB),
        dax_share: float = 0.1,
        maximum: int = 64 * GIB,
        interval: float = 60.0,
        same_moment: float = 0.2,
        ask_again: bool = False,
        wait_for_guest: bool = False,
        duration: float = 3600.0,
    ) -> None:
        check = Checker()
        self._nodes = check.nodes("nodes", nodes)
        self._dimms = check.whole("dimms", dimms, 0, MOST_DEVICES)
        self._dimm_sizes = check.sizes("dimm_sizes", dimm_sizes)
        self._virtio_mems = check.whole("virtio_mems", virtio_mems, 0, MOST_DEVICES)
        self._block = check.device_block("device_block", device_block)
        self._region = check.size("virtio_mem_size", virtio_mem_size, unit=self._block)
        self._resize_step = check.size("resize_step", resize_step, unit=self._block)
        if check.good("resize_step", "virtio_mem_size") and self._resize_step > self._region:
            bounds = f"{format_size(self._region)}, but is {format_size(self._resize_step)}"
            check.fault("resize_step", f"must be at most virtio_mem_size, {bounds}")
        self._dax_devices = check.whole("dax_devices", dax_devices, 0, MOST_DEVICES)
        self._dax_sizes = check.sizes("dax_sizes", dax_sizes)
        # A kind of which there is no device gets no requests, whatever its share.
        shares = (
            check.number("dimm_share", dimm_share, 0.0, 1e6) * (self._dimms > 0),
            check.number("virtio_mem_share", virtio_mem_share, 0.0, 1e6) * (self._virtio_mems > 0),
            check.number("dax_share", dax_share, 0.0, 1e6) * (self._dax_devices > 0),
        )
        if check.good("dimm_share", "virtio_mem_share", "dax_share") and not sum(shares):
            check.fault("dimm_share", "no kind of device has both a share above 0 and a device to ask")
        self._maximum = check.size("maximum", maximum)
        self._interval_us = check.time_us("interval", interval)
        self._same_moment = check.number("same_moment", same_moment, 0.0, 0.99)
        self._ask_again = check.flag("ask_again", ask_again)
        self._wait_for_guest = check.flag("wait_for_guest", wait_for_guest)
        self._duration_us = check.time_us("duration", duration)
        check.done()
        self._dimms_below = shares[0] / sum(shares)
        self._virtio_mems_below = (shares[0] + shares[1]) / sum(shares)

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that devices are plugged into."""
        return sorted(set(self._nodes))

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
        wanted = _Wanted(self._maximum)
        vmems = [f"vmem{index}" for index in range(self._virtio_mems)]
        dimms = [f"dimm{index}" for index in range(self._dimms)]
        daxes = [f"dax{index}" for index in range(self._dax_devices)]
        levels = self._region // self._resize_step + 1
        # Each request takes one number of each stream, whatever comes of it.
        draws = [uniforms(streams(f"mix/{name}")) for name in ("kinds", "devices", "sizes", "nodes")]
        for kind, which, how_much, where in zip(*draws, strict=False):
            if kind < self._dimms_below:
                size = self._dimm_sizes[int(how_much * len(self._dimm_sizes))]
                node = self._nodes[int(where * len(self._nodes))]
                yield wanted.toggle(DimmSpec, (dimms[int(which * len(dimms))], size, node))
            elif kind < self._virtio_mems_below:
                size = int(how_much * levels) * self._resize_step
                yield wanted.resize(vmems[int(which * len(vmems))], size, self._resize_step)
            else:
                size = self._dax_sizes[int(how_much * len(self._dax_sizes))]
                node = self._nodes[int(where * len(self._nodes))]
                yield wanted.toggle(DaxSpec, (daxes[int(which * len(daxes))], size, node))


class _Wanted:
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
