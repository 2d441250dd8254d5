"""Memory between two watermarks: grown when what is available falls below the low one, shrunk above the high one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.plugins.parameter_types import Number, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker, checked, parameters_of
from sim.units import GIB, MIB, seconds_to_us
from workloads.parts.controllers.controller import Beat, Controller, SizedDevice, sized
from workloads.parts.controllers.host_memory import HostMemory, HostTotal, HostUse, check_host
from workloads.parts.controllers.level import Level, is_share, level_in_words, level_of
from workloads.parts.parameters import (
    Block,
    Device,
    Node,
    OwnEnd,
    Place,
    Region,
    Start,
    check_larger,
    check_multiples,
    check_region,
    shortened,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workloads.contract import GuestReport, Host
    from workloads.parts.controllers.watch import Watcher

COUNTED: Final = ("available", "free")
"""What is counted as unused: MemAvailable, or MemFree, to which page cache is memory in use."""

STOPPED: Final = ("growth", "all")
"""What a host whose memory is used up stops."""

_PLAIN: Final[Mapping[str, Any]] = {
    "low": 256 * MIB,
    "high": 0,
    "step": 256 * MIB,
    "shrink_step": 0,
    "shrink_looks": 1,
    "grow_rest": 0.0,
    "shrink_rest": 60.0,
    "counts": "available",
    "maximum": 16 * GIB,
    "period": 1.0,
    "host_stops": "growth",
}
_PROXMOX: Final[Mapping[str, Any]] = {
    **_PLAIN,
    "low": 0.15,
    "high": 0.75,
    "step": 512 * MIB,
    "shrink_step": 512 * MIB,
    "shrink_rest": 0.0,
    "counts": "free",
    "maximum": 15 * GIB,
    "period": 60.0,
    "host_stops": "all",
}
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": _PLAIN,
    "proxmox": _PROXMOX,
    "proxmox-1.7": {**_PROXMOX, "shrink_looks": 2, "grow_rest": 300.0, "shrink_rest": 300.0, "period": 300.0},
}
"""By name: the values of the parameters that are not given."""


_TIMES: Final = ("period", "grow_rest", "shrink_rest", "delay")


class Preset(Word):
    """A preset, which a listing explains."""

    def details(self) -> Iterator[tuple[str, str]]:
        """Yield each preset with its values as one would write them in a file."""
        types = {parameter.name: parameter.type for parameter in parameters_of(Watermark)}
        for name in self.words:
            yield name, ", ".join(f"{key} {types[key].written(value)}" for key, value in PRESETS[name].items())


class Watermark(Controller):
    """Grows a virtio-mem device when less than ``low`` is unused, and shrinks it when more than ``high`` is.

    Unused is MemAvailable, or with ``counts = "free"`` MemFree. It grows by one ``step``, or with a ``target`` by as
    many as bring what is unused nearest to that, at least one; not while the last growth is unfulfilled, nor within
    ``grow_rest`` of the last request. It shrinks by as many steps as leave nearest to the target (without one: a step
    above ``low``), at most ``shrink_step``; not within ``shrink_rest`` of the last request, and only where
    ``shrink_looks`` looks in a row found so much. A shrink that the guest does not fulfil does not keep it from
    growing. From a look to the request that it leads to passes ``delay``, in which it does not look.

    Of a host with an end (``host_memory``) more than ``host_limit`` in use stops growth, or all requests; it is thought
    over at the next look.

    Levels that would have it grow and shrink in turn while the guest needs the same are refused: from just below
    ``low``, a growth must not lead above ``high``. As shares they depend on the guest's size: it takes a step of more
    than (high - low) / (1 - high) of the guest, 2.4 times its size for ``proxmox``.

    A ``preset`` (:data:`PRESETS`) gives all that is not given. Those of ``proxmox`` are for guests with 1 GiB at boot;
    it grows above 85 % in use and shrinks below 25 %. A request that the host refuses is no last request: it is made
    again at the next look.

    Source of ``proxmox``: fabriziosalmi/proxmox-vm-autoscale, config.yaml at 051cee9 (2024-09-28; thresholds, period,
    most memory, host_limit) and vm_manager.py at 054796a (the step); of ``proxmox-1.7`` its release 1.7.0 (2026-09-05),
    before 1.3.0 of which the rests had no effect. Use there is what Proxmox VE reports, total less free memory
    (PVE/QemuServer.pm, vmstatus).
    """

    name: ClassVar[str] = "watermark"
    summary: ClassVar[str] = "a virtio-mem device that keeps the guest's available memory between two levels"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        preset: Annotated[str, Preset(tuple(PRESETS)), "whose constants are taken where none are given"] = "plain",
        low: Annotated[float | None, Level(), "it grows when less is unused; by the preset"] = None,
        high: Annotated[
            float | None, Level(), "it shrinks when more is unused, 0 stands for never; by the preset"
        ] = None,
        target: Annotated[float, Level(), "unused memory to grow and shrink to; 0 stands for one step at a time"] = 0,
        step: Annotated[int | None, Size(), "sizes change by multiples of this; by the preset"] = None,
        shrink_step: Annotated[
            int | None, Size(zero=True), "most that is asked back at a time, 0 stands for no limit; by the preset"
        ] = None,
        shrink_looks: Annotated[int | None, Whole(1), "looks in a row before a shrink; by the preset"] = None,
        grow_rest: Annotated[
            float | None, Seconds(zero=True), "no growth sooner than this after the last request; by the preset"
        ] = None,
        shrink_rest: Annotated[
            float | None, Seconds(zero=True), "no shrink sooner than this after the last request; by the preset"
        ] = None,
        counts: Annotated[str | None, Word(COUNTED), "what counts as unused; by the preset"] = None,
        minimum: Annotated[int, Size(zero=True), "first requested size, and the smallest"] = 0,
        maximum: Annotated[int | None, Size(), "largest requested size; by the preset"] = None,
        period: Annotated[float | None, Seconds(), "time between looks; by the preset"] = None,
        start: Start = 0.0,
        delay: Annotated[float, Seconds(zero=True), "time from a look to the request that it leads to"] = 0.0,
        host_memory: HostTotal = 0,
        host_use: HostUse = None,
        host_limit: Annotated[float, Number(0.0, 1.0), "share of the host's memory above which it stops"] = 0.9,
        host_stops: Annotated[str | None, Word(STOPPED), "what a host above its limit stops; by the preset"] = None,
        device_block: Block = 2 * MIB,
        region: Region = 0,
        address: Place = 0,
        node: Node = 0,
        duration: OwnEnd = 0.0,
        device: Device = "vmem0",
    ) -> None:
        chosen = PRESETS[preset] if check.good("preset") else _PLAIN
        low, high, step = _given(low, chosen["low"]), _given(high, chosen["high"]), _given(step, chosen["step"])
        shrink_step = _given(shrink_step, chosen["shrink_step"])
        maximum = _given(maximum, chosen["maximum"])
        if check.good("device_block"):
            sizes = {"step": step, "shrink_step": shrink_step, "minimum": minimum, "maximum": maximum, "region": region}
            check_multiples(check, device_block, **sizes, address=address)
        check_larger(check, minimum=minimum, maximum=maximum)
        check_region(check, region, maximum)
        check_host(check, host_memory, host_use)
        if check.good("low", "high", "target", "step"):
            _check_levels(check, low, high, target, step)
        check.done()
        self._rule = Rule(
            low=low,
            high=high,
            target=target,
            step=step,
            shrink_step=shrink_step,
            minimum=minimum,
            maximum=maximum,
            counts=_given(counts, chosen["counts"]),
            grow_rest_us=seconds_to_us(_given(grow_rest, chosen["grow_rest"])),
            shrink_rest_us=seconds_to_us(_given(shrink_rest, chosen["shrink_rest"])),
            shrink_looks=_given(shrink_looks, chosen["shrink_looks"]),
        )
        self._delay_us = seconds_to_us(delay)
        self._room = Room(host_memory, host_use, host_limit, _given(host_stops, chosen["host_stops"]))
        spec = sized(device, maximum, region=region, node=node, block=device_block, requested=minimum, address=address)
        beat = Beat.of(start, _given(period, chosen["period"]), duration)
        super().__init__(beat, nodes=[node], devices=[spec])

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """It looks more often, and rests shorter; what the preset says of that among it."""
        given = {name: value for name, value in parameters.items() if value is not None}
        all_of_it = shortened({**PRESETS[parameters["preset"]], **given}, pace, *_TIMES)
        return {**parameters, **{name: all_of_it[name] for name in _TIMES}}

    def watcher(self, host: Host) -> Watcher:
        """Return who looks at the unused memory."""
        (spec,) = self._devices
        return _Watcher(host, SizedDevice(host, spec.id), self._rule, self._room, self._beat, self._delay_us)


def _given(value: Any, otherwise: Any) -> Any:  # noqa: ANN401  whatever the parameter is
    return otherwise if value is None else value


def _check_levels(check: Checker, low: float, high: float, target: float, step: int) -> None:
    """Find fault with levels between which there is no rest."""
    kind = "share" if is_share(low) else "size"
    if target and is_share(target) != is_share(low):
        check.fault("target", f"must be a {kind}, as low is")
    elif target and target <= low:
        check.fault("target", f"must be more than low, {level_in_words(low)}, but is {level_in_words(target)}")
    if high and is_share(high) != is_share(low):
        check.fault("high", f"must be a {kind}, as low is")
    if not high or not check.good("high", "target"):
        return
    if is_share(low) and high <= (least := max(low, target)):
        check.fault("high", f"must be more than {level_in_words(least)}, but is {level_in_words(high)}")
    elif not is_share(low) and high < (least := max(low + step, target + step // 2)):
        what = f"must be at least {level_in_words(least)}, where a growth may lead"
        check.fault("high", f"{what}, or it would grow and shrink in turn, but is {level_in_words(high)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a look leads to. Levels in bytes, or as floats in shares of the guest's memory; other sizes in bytes."""

    low: float
    high: float
    target: float
    step: int
    shrink_step: int
    minimum: int
    maximum: int
    counts: str
    grow_rest_us: int
    shrink_rest_us: int
    shrink_looks: int

    def unused(self, report: GuestReport) -> int:
        """Return the bytes that count as unused."""
        return report.available if self.counts == "available" else report.free

    def is_low(self, report: GuestReport) -> bool:
        """Whether too little is unused."""
        return self.unused(report) < level_of(self.low, report.total)

    def is_high(self, report: GuestReport) -> bool:
        """Whether too much is unused."""
        return bool(self.high) and self.unused(report) > level_of(self.high, report.total)

    def grown(self, report: GuestReport, plugged: int) -> int:
        """Return the size after a growth of a device of which the guest has ``plugged`` bytes."""
        return min(plugged + self._steps(-self._surplus(report) if self.target else 0), self.maximum)

    def shrunk(self, report: GuestReport, requested: int) -> int:
        """Return the size after a shrink of a device of which ``requested`` bytes were asked for last."""
        surplus = self._steps(self._surplus(report))
        return max(requested - min(surplus, self.shrink_step or surplus), self.minimum)

    def _surplus(self, report: GuestReport) -> float:
        """Return by how many bytes the guest is larger than it is when it has reached the target."""
        if self.target:
            more = self.unused(report) - level_of(self.target, report.total)
            # A device that changes the guest's size changes what its share is as well.
            return more / (1 - self.target) if is_share(self.target) and self.target < 1 else more
        return self.unused(report) - level_of(self.low, report.total) - self.step

    def _steps(self, amount: float) -> int:
        """Return the bytes of as many steps as come nearest to ``amount``, at least one."""
        return max(int((2 * amount + self.step) // (2 * self.step)), 1) * self.step


class Room(HostMemory):
    """A host that, with more than the share ``limit`` in use, ``stops`` growth or all requests."""

    def __init__(self, total: int, use: Any, limit: float, stops: str) -> None:  # noqa: ANN401  as HostMemory takes it
        super().__init__(total, use)
        self._limit = limit
        self._stops = stops

    def stopped(self, now_us: int, own: int, *, growth: bool) -> bool:
        """Whether the host stops a ``growth``, or a shrink, of the device, which has ``own`` bytes."""
        full = bool(self.total) and self.used(now_us, own) > self._limit * self.total
        return full and (growth or self._stops == "all")


class _Watcher:
    """Looks, and remembers the last request and how many looks in a row found too much."""

    def __init__(self, host: Host, device: SizedDevice, rule: Rule, room: Room, beat: Beat, delay_us: int) -> None:
        self._host = host
        self._device = device
        self._rule = rule
        self._room = room
        self._beat = beat
        self._delay_us = delay_us
        self._asked_us: int | None = None
        self._high = 0
        self._decided: int | None = None

    def look(self, now_us: int) -> int | None:
        """Look at the guest, or ask for what was decided some time ago."""
        if self._decided is not None:
            self._ask(self._decided, now_us)
            beat = self._beat.after(now_us - 1)
            if beat > now_us:
                return beat
        report = self._host.report()
        if report is None:
            return None
        size, again = self._decide(report, now_us)
        if size is None:
            return self._beat.after(now_us) if again else None
        if self._delay_us:
            self._decided = size
            return now_us + self._delay_us
        self._ask(size, now_us)
        return self._beat.after(now_us)

    def _ask(self, size: int, now_us: int) -> None:
        self._decided = None
        self._high = 0
        if self._device.ask(size):
            self._asked_us = now_us

    def _decide(self, report: GuestReport, now_us: int) -> tuple[int | None, bool]:
        """Return the size to ask for (None: nothing), and whether that may change while the guest stays as it is."""
        rule, device = self._rule, self._device
        if self._room.stopped(now_us, device.plugged, growth=False):
            return None, True
        low, high = rule.is_low(report), rule.is_high(report)
        self._high = min(self._high + 1, rule.shrink_looks) if high and not low else 0
        size = device.requested
        if low and device.plugged >= size:
            size = max(size, rule.grown(report, device.plugged))
        elif high and not low:
            size = rule.shrunk(report, size)
        if size == device.requested:
            return None, False
        rest_us = rule.grow_rest_us if low else rule.shrink_rest_us
        rests = self._asked_us is not None and now_us - self._asked_us < rest_us
        early = rests or (not low and self._high < rule.shrink_looks)
        if early or (low and self._room.stopped(now_us, device.plugged, growth=True)):
            return None, True
        return size, True
