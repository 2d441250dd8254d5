"""A governor of sandboxes that looks at pressure stall information and MemAvailable: quick to grow, slow to shrink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.plugins.parameter_types import Number, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, seconds_to_us
from workloads.parts.controllers.controller import Beat, Controller, SizedDevice, sized
from workloads.parts.controllers.host_memory import HostMemory, HostTotal, HostUse, check_host
from workloads.parts.parameters import (
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
    from collections.abc import Mapping, Sequence

    from workloads.contract import GuestReport, Host
    from workloads.parts.controllers.watch import Watcher

UNALIGNED: Final = ("up", "refused")
HOST_FLOOR: Final = GIB
"""The least that stays available on the host, whatever its share."""


class PsiGovernor(Controller):
    """Grows a virtio-mem device at the first sign that memory runs short, and shrinks it when much has long been idle.

    A sample *wants growth* where PSI some avg10 is at least ``grow_pressure`` percent or available/MemTotal is less
    than ``grow_below``; it *wants a shrink* where pressure is under that and available/MemTotal above ``shrink_above``.
    ``grow_samples`` in a row of the first kind, and it grows by what ``shrink_above`` of MemTotal is more than what is
    available: at least ``grow_step``, at most half of the range from ``minimum`` to ``maximum``. ``shrink_samples`` in
    a row of the second, and it shrinks by half of the range, at least ``shrink_step``. Samples are counted while it
    rests: ``grow_rest`` after a growth, ``shrink_rest`` after a shrink, refused ones as well. An emergency breaks the
    rest: available/MemTotal less than ``emergency_below``, or PSI full avg10 at least ``emergency_pressure``.

    It looks every ``period``, and every ``pressed_period`` after a sample that wanted growth. All sizes count from what
    was asked for last: whether the guest has reached that it does not see. A request that the host refuses is made
    again after the rest. A growth that would leave the host less available than ``host_floor`` of its memory, or 1 GiB,
    is not asked for, and thought over at the next look.

    Source: IniZio/nexus3 at e5badc7 (2026-08-22), internal/core/govern: memory.go (rule and constants; the emergency
    breaks the rest), loop.go (when it looks), hostheadroom.go (the host); internal/core/vmcfg/vmcfg.go (a sandbox of
    512 MiB that may grow to 4 GiB). Cloud Hypervisor, virtio-devices/src/mem.rs, refuses a size that is not in whole
    device blocks, which the governor does not care for: ``unaligned = "refused"`` is how that goes, ``"up"`` asks for
    the next whole block instead.
    """

    name: ClassVar[str] = "psi-governor"
    summary: ClassVar[str] = "a governor of sandboxes: grows on memory pressure (PSI) or little MemAvailable"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        minimum: Annotated[int, Size(zero=True), "first size of the device, and the smallest"] = 0,
        maximum: Annotated[int, Size(), "largest size of the device"] = 3584 * MIB,
        grow_below: Annotated[float, Number(0.0, 1.0), "grows when available/MemTotal is less"] = 0.2,
        grow_pressure: Annotated[float, Number(0.0, 100.0), "grows when PSI some avg10, in percent, is no less"] = 10.0,
        grow_samples: Annotated[int, Whole(1), "so many such samples in a row"] = 1,
        grow_step: Annotated[int, Size(), "least that it grows by"] = 256 * MIB,
        grow_rest: Annotated[float, Seconds(zero=True), "rest after a growth"] = 60.0,
        shrink_above: Annotated[
            float, Number(0.0, 1.0), "shrinks when available/MemTotal is more; what a growth aims at"
        ] = 0.45,
        shrink_samples: Annotated[int, Whole(1), "so many such samples in a row"] = 5,
        shrink_step: Annotated[int, Size(), "least that it shrinks by"] = 512 * MIB,
        shrink_rest: Annotated[float, Seconds(zero=True), "rest after a shrink"] = 120.0,
        emergency_below: Annotated[float, Number(0.0, 1.0), "available/MemTotal below which it does not rest"] = 0.08,
        emergency_pressure: Annotated[
            float, Number(0.0, 100.0), "PSI full avg10, in percent, from which on it does not rest"
        ] = 10.0,
        pressure: Annotated[bool, "the guest's kernel has PSI"] = True,
        unaligned: Annotated[
            str, Word(UNALIGNED), "sizes that are not whole device blocks: rounded up, or refused by the host"
        ] = "up",
        host_memory: HostTotal = 0,
        host_use: HostUse = None,
        host_floor: Annotated[float, Number(0.0, 1.0), "share of the host's memory that has to stay available"] = 0.05,
        period: Period = 5.0,
        pressed_period: Annotated[float, Seconds(), "time to the next look after a sample that wants growth"] = 2.0,
        start: Start = 10.0,
        device_block: Block = 2 * MIB,
        region: Region = 0,
        node: Node = 0,
        duration: OwnEnd = 0.0,
        device: Device = "vmem0",
    ) -> None:
        if check.good("device_block"):
            check_multiples(check, device_block, minimum=minimum, maximum=maximum, region=region)
        check_larger(check, minimum=minimum, maximum=maximum)
        if check.good("grow_below", "shrink_above") and shrink_above <= grow_below:
            check.fault("shrink_above", f"must be more than grow_below, {grow_below:g}, but is {shrink_above:g}")
        check_region(check, region, maximum)
        check_host(check, host_memory, host_use)
        check.done()
        self._law = Law(
            minimum=minimum,
            maximum=maximum,
            block=device_block if unaligned == "up" else 1,
            grow_below=grow_below,
            grow_pressure=grow_pressure,
            grow_samples=grow_samples,
            grow_step=grow_step,
            grow_rest_us=seconds_to_us(grow_rest),
            shrink_above=shrink_above,
            shrink_samples=shrink_samples,
            shrink_step=shrink_step,
            shrink_rest_us=seconds_to_us(shrink_rest),
            emergency_below=emergency_below,
            emergency_pressure=emergency_pressure,
            pressure=pressure,
        )
        self._pressed_us = seconds_to_us(pressed_period)
        self._host_memory, self._host_use, self._host_floor = host_memory, host_use, host_floor
        spec = sized(device, maximum, region=region, node=node, block=device_block, requested=minimum)
        beat = Beat(seconds_to_us(start), seconds_to_us(period), seconds_to_us(duration), sleeps=True)
        super().__init__(beat, nodes=[node], devices=[spec])

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """It looks more often, and rests shorter."""
        return shortened(parameters, pace, "period", "pressed_period", "grow_rest", "shrink_rest")

    def watcher(self, host: Host) -> Watcher:
        """Return who looks at pressure and available memory."""
        (spec,) = self._devices
        room = Room(self._host_memory, self._host_use, self._host_floor)
        return _Watcher(host, SizedDevice(host, spec.id), self._law, room, (self._beat.period_us, self._pressed_us))


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The control law: what a sample wants, and by how much the device changes. Sizes in bytes, pressure in percent."""

    minimum: int
    maximum: int
    block: int
    grow_below: float
    grow_pressure: float
    grow_samples: int
    grow_step: int
    grow_rest_us: int
    shrink_above: float
    shrink_samples: int
    shrink_step: int
    shrink_rest_us: int
    emergency_below: float
    emergency_pressure: float
    pressure: bool

    def wants_growth(self, report: GuestReport) -> bool:
        """Whether memory runs short."""
        return self._pressed(report) or report.available / report.total < self.grow_below

    def wants_shrink(self, report: GuestReport) -> bool:
        """Whether much is available and nobody waits for memory."""
        return not self._pressed(report) and report.available / report.total > self.shrink_above

    def is_emergency(self, report: GuestReport) -> bool:
        """Whether to grow without regard to the rest."""
        stalled = self.pressure and report.pressure.full_avg10 >= self.emergency_pressure
        return stalled or report.available / report.total < self.emergency_below

    def grown(self, size: int, report: GuestReport) -> int:
        """Return the size after a growth of a device of ``size``."""
        span = self.maximum - self.minimum
        most = min(max(span // 2, self.grow_step), span)
        lacking = int(report.total * self.shrink_above) - report.available
        size += min(max(self.grow_step, lacking), most)
        return min(-(-size // self.block) * self.block, self.maximum)

    def shrunk(self, size: int) -> int:
        """Return the size after a shrink of a device of ``size``."""
        span = self.maximum - self.minimum
        size -= min(max(span // 2, self.shrink_step), span)
        return max(-(-size // self.block) * self.block, self.minimum)

    def _pressed(self, report: GuestReport) -> bool:
        return self.pressure and report.pressure.some_avg10 >= self.grow_pressure


class Room(HostMemory):
    """A host of which a ``floor`` (a share, but at least 1 GiB) has to stay available."""

    def __init__(self, total: int, use: Sequence[Sequence[float]] | None, floor: float) -> None:
        super().__init__(total, use)
        self._floor = max(HOST_FLOOR, int(total * floor))

    def has(self, more: int, now_us: int, own: int) -> bool:
        """Whether the host has ``more`` bytes for the device, which has ``own``."""
        return not self.total or self.available(now_us, own) - more >= self._floor


class _Watcher:
    """Looks, and remembers how many samples in a row wanted the same and until when it rests."""

    def __init__(self, host: Host, device: SizedDevice, law: Law, room: Room, periods_us: tuple[int, int]) -> None:
        self._host = host
        self._device = device
        self._law = law
        self._room = room
        self._period_us, self._pressed_us = periods_us
        self._low = self._high = 0
        self._rests_until = 0
        self._seen: GuestReport | None = None

    def look(self, now_us: int) -> int | None:
        """Take a sample and act on it."""
        report = self._host.report()
        if report is None:
            return None
        law, size = self._law, self._device.requested
        low = law.wants_growth(report)
        high = not low and law.wants_shrink(report)
        self._low = self._low + 1 if low else 0
        self._high = min(self._high + 1, law.shrink_samples) if high else 0
        if now_us >= self._rests_until or (law.is_emergency(report) and size < law.maximum):
            if low and self._low >= law.grow_samples and size < law.maximum:
                self._grow(size, report, now_us)
            elif high and self._high >= law.shrink_samples and size > law.minimum:
                self._ask(law.shrunk(size), now_us + law.shrink_rest_us)
        if low:
            return now_us + self._pressed_us
        waits = high and (self._high < law.shrink_samples or self._device.requested > law.minimum)
        # Averages of pressure go on rising after what has changed in the guest.
        settled = report == self._seen
        self._seen = report
        return None if settled and not waits else now_us + self._period_us

    def _grow(self, size: int, report: GuestReport, now_us: int) -> None:
        target = self._law.grown(size, report)
        if self._room.has(target - size, now_us, self._device.plugged):
            self._ask(target, now_us + self._law.grow_rest_us)

    def _ask(self, size: int, rests_until: int) -> None:
        self._low = self._high = 0
        self._rests_until = rests_until
        self._device.ask(size)
