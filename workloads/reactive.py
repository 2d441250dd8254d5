"""Memory that follows the guest's own report: grown when MemAvailable falls low, perhaps shrunk again later."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sim.devices.specs import VirtioMemSpec
from sim.plugins.parameters import Parameter
from sim.units import GIB, MIB, format_size, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.checks import MOST_NODES, Checker

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

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
    guest that is modelled; without one the device stays as it is. Raises WorkloadInputError with all faults at once.
    """

    name: ClassVar[str] = "reactive-growth"
    summary: ClassVar[str] = "a virtio-mem device that grows when the guest's available memory falls low"
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter("threshold", "size", "256MiB", "bytes", "MemAvailable under which the device grows"),
        Parameter("step", "size", "256MiB", "bytes", "sizes change by multiples of this"),
        Parameter("target", "size", "0", "bytes", "MemAvailable to grow to; 0 stands for one step at a time"),
        Parameter("initial", "size", "0", "bytes", "first requested size, and the smallest"),
        Parameter("maximum", "size", "16GiB", "bytes", "largest requested size"),
        Parameter("period", "seconds", 1.0, "s", "time between observations"),
        Parameter("start", "seconds", 0.0, "s", "time of the first observation"),
        Parameter("delay", "seconds", 0.0, "s", "time from an observation to the request that it leads to"),
        Parameter("shrink_above", "size", "0", "bytes", "MemAvailable above which it shrinks; 0 stands for never"),
        Parameter("shrink_step", "size", "0", "bytes", "most that is asked back at a time; 0 stands for no limit"),
        Parameter("hold", "seconds", 60.0, "s", "no shrink sooner than this after the last request"),
        Parameter("device_block", "size", "2MiB", "bytes", "block size of the device; all sizes are multiples of it"),
        Parameter("region", "size", "0", "bytes", "size of the device's address region; 0 stands for the maximum"),
        Parameter("node", "int", 0, "-", "NUMA node"),
        Parameter("duration", "seconds", 3600.0, "s", "simulated time"),
        Parameter("device", "str", "vmem0", "-", "what the device is called"),
    )

    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        *,
        threshold: int = 256 * MIB,
        step: int = 256 * MIB,
        target: int = 0,
        initial: int = 0,
        maximum: int = 16 * GIB,
        period: float = 1.0,
        start: float = 0.0,
        delay: float = 0.0,
        shrink_above: int = 0,
        shrink_step: int = 0,
        hold: float = 60.0,
        device_block: int = 2 * MIB,
        region: int = 0,
        node: int = 0,
        duration: float = 3600.0,
        device: str = "vmem0",
    ) -> None:
        check = Checker()
        self._threshold = check.size("threshold", threshold, zero=True, unit=1)
        self._block = check.device_block("device_block", device_block)
        self._step = check.size("step", step, unit=self._block)
        self._target = check.size("target", target, zero=True, unit=1)
        self._check_above("target", self._target, self._threshold, "the threshold", check)
        self._initial = check.size("initial", initial, zero=True, unit=self._block)
        self._maximum = check.size("maximum", maximum, unit=self._block)
        self._check_above("maximum", self._maximum, self._initial, "the initial size", check)
        self._period_us = check.time_us("period", period)
        self._start_us = check.time_us("start", start, zero=True)
        self._delay_us = check.time_us("delay", delay, zero=True)
        self._shrink_above = check.size("shrink_above", shrink_above, zero=True, unit=1)
        self._goal = self._target or self._threshold + self._step
        self._check_above("shrink_above", self._shrink_above, self._threshold, "the threshold", check)
        self._shrink_step = check.size("shrink_step", shrink_step, zero=True, unit=self._block)
        self._hold_us = check.time_us("hold", hold, zero=True)
        self._region = check.size("region", region, zero=True, unit=self._block) or self._maximum
        if check.good("region", "maximum") and self._region < self._maximum:
            bounds = f"{format_size(self._maximum)}, but is {format_size(self._region)}"
            check.fault("region", f"must hold the maximum, {bounds}")
        self._node = check.whole("node", node, 0, MOST_NODES - 1)
        self._duration_us = check.time_us("duration", duration)
        self._device = check.word("device", device)
        check.done()

    @staticmethod
    def _check_above(name: str, value: int, low: int, what: str, check: Checker) -> None:
        """Find fault with a value that is given (not 0) and not above ``low``."""
        if value and value <= low and check.good(name):
            check.fault(name, f"must be more than {what}, {format_size(low)}, but is {format_size(value)}")

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
            )
        )
        if host.mem_available() is None:
            return
        last_request = 0
        at = self._start_us
        while at + self._delay_us <= self._duration_us:
            if at > env.now:
                yield env.timeout(at - int(env.now))
            wanted = self._wanted(host, int(env.now) - last_request)
            if wanted is not None:
                if self._delay_us:
                    yield env.timeout(self._delay_us)
                host.resize(self._device, wanted)
                last_request = int(env.now)
            # The observer keeps to its beat, whatever came in between.
            at += self._period_us * max(1, -(-(int(env.now) - at) // self._period_us))

    def _wanted(self, host: Host, since_us: int) -> int | None:
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
