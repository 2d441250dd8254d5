"""Memory that follows the guest's own report: grown when MemAvailable falls low, perhaps shrunk again later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from sim.devices.specs import VirtioMemSpec
from sim.plugins.parameter_types import Name, Seconds, Size
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, format_size, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.parameters import NODE, DeviceBlock, Duration, Place, Region, check_multiples, check_region

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import simpy


class ReactiveGrowth(Workload):
    """Looks at MemAvailable every ``period`` and asks for more of a virtio-mem device when it is under ``threshold``.

    More is one ``step``, or with a ``target`` as many steps as would bring MemAvailable nearest to it, at least one, up
    to ``maximum``. Nothing is asked for while the last growth is not fulfilled. From observation to request passes
    ``delay``, as long as a management layer takes to make up its mind.

    With ``shrink_above``, memory is asked back when MemAvailable is above that and the last request is ``hold`` seconds
    old: what is above the target (without one, above the threshold and a step), in steps, at most ``shrink_step`` at a
    time and never below ``initial``. A shrink that the guest does not fulfil does not keep it from growing.

    The device is attached at time 0. Nothing is random here, but what is asked for depends on the guest. It needs a
    guest that is modelled; without one the device stays as it is. Raises ParameterError with all faults at once.
    """

    name: ClassVar[str] = "reactive-growth"
    summary: ClassVar[str] = "a virtio-mem device that grows when the guest's available memory falls low"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        threshold: Annotated[int, Size(zero=True), "MemAvailable under which the device grows"] = 256 * MIB,
        step: Annotated[int, Size(), "sizes change by multiples of this"] = 256 * MIB,
        target: Annotated[int, Size(zero=True), "MemAvailable to grow to; 0 stands for one step at a time"] = 0,
        initial: Annotated[int, Size(zero=True), "first requested size, and the smallest"] = 0,
        maximum: Annotated[int, Size(), "largest requested size"] = 16 * GIB,
        period: Annotated[float, Seconds(), "time between observations"] = 1.0,
        start: Annotated[float, Seconds(zero=True), "time of the first observation"] = 0.0,
        delay: Annotated[float, Seconds(zero=True), "time from an observation to the request that it leads to"] = 0.0,
        shrink_above: Annotated[int, Size(zero=True), "MemAvailable above which it shrinks; 0 stands for never"] = 0,
        shrink_step: Annotated[int, Size(zero=True), "most that is asked back at a time; 0 stands for no limit"] = 0,
        hold: Annotated[float, Seconds(zero=True), "no shrink sooner than this after the last request"] = 60.0,
        device_block: Annotated[int, DeviceBlock(), "block size of the device; all sizes are multiples of it"] = 2
        * MIB,
        region: Region = 0,
        address: Place = 0,
        node: Annotated[int, NODE, "NUMA node"] = 0,
        duration: Duration = 3600.0,
        device: Annotated[str, Name(), "what the device is called"] = "vmem0",
    ) -> None:
        if check.good("device_block"):
            check_multiples(
                check,
                device_block,
                step=step,
                initial=initial,
                maximum=maximum,
                shrink_step=shrink_step,
                region=region,
                address=address,
            )
        _check_above(check, "target", target, threshold=threshold)
        _check_above(check, "maximum", maximum, initial=initial)
        _check_above(check, "shrink_above", shrink_above, threshold=threshold)
        check_region(check, region, maximum)
        check.done()
        self._threshold = threshold
        self._block = device_block
        self._step = step
        self._target = target
        self._goal = target or threshold + step
        self._initial = initial
        self._maximum = maximum
        self._period_us = seconds_to_us(period)
        self._start_us = seconds_to_us(start)
        self._delay_us = seconds_to_us(delay)
        self._shrink_above = shrink_above
        self._shrink_step = shrink_step
        self._hold_us = seconds_to_us(hold)
        self._region = region or maximum
        self._address = address or None
        self._node = node
        self._duration_us = seconds_to_us(duration)
        self._device = device

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> Iterable[int]:
        """The one node that gets the device."""
        return (self._node,)

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Attach the device, then look at the guest again and again."""
        env = host.env
        host.plug(
            VirtioMemSpec(
                id=self._device,
                max_size=self._region,
                node=self._node,
                block_size=self._block,
                requested=self._initial,
                address=self._address,
            )
        )
        if host.mem_available() is None:
            return
        last_request = 0
        at = self._start_us
        while at + self._delay_us <= self._duration_us:
            if at > env.now:
                yield env.timeout(at - int(env.now))
            size = self._new_size(host, int(env.now) - last_request)
            if size is not None:
                if self._delay_us:
                    yield env.timeout(self._delay_us)
                host.resize(self._device, size)
                last_request = int(env.now)
            # The observer keeps to its beat, whatever came in between.
            at += self._period_us * max(1, -(-(int(env.now) - at) // self._period_us))

    def _new_size(self, host: Host, since_us: int) -> int | None:
        """Return the size to ask for, None where all shall stay; ``since_us`` microseconds after the last request."""
        available = host.mem_available()
        if available is None or not host.present(self._device):
            return None
        requested, plugged = host.requested(self._device), host.plugged(self._device)
        if available < self._threshold:
            if plugged < requested:
                return None
            size = min(plugged + self._steps(self._goal - available if self._target else 0), self._maximum)
            return size if size > requested else None
        if self._shrink_above and available > self._shrink_above and since_us >= self._hold_us:
            surplus = self._steps(available - self._goal)
            size = max(requested - min(surplus, self._shrink_step or surplus), self._initial)
            return size if size < requested else None
        return None

    def _steps(self, amount: int) -> int:
        """Return the bytes of as many steps as come nearest to ``amount``, at least one."""
        return max((2 * amount + self._step) // (2 * self._step), 1) * self._step


def _check_above(check: Checker, name: str, value: int, **low: int) -> None:
    """Find fault with a value that is given (not 0) and not above the ``low`` one, which has a name for people."""
    ((other, least),) = low.items()
    if value and check.good(name, other) and value <= least:
        called = {"threshold": "the threshold", "initial": "the initial size"}[other]
        check.fault(name, f"must be more than {called}, {format_size(least)}, but is {format_size(value)}")
