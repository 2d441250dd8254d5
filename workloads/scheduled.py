"""Memory by the clock: sizes at times of the day and the week, for office hours and nightly batch windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.plugins.parameter_lists import ListOf, Row
from sim.plugins.parameter_types import Name, Seconds, Size, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, format_size, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.controllers.calendar import Clock, LocalTime, Zone, occurrences, read_time, zone_of
from workloads.parts.controllers.controller import sized
from workloads.parts.controllers.whole_stack import WholeStack
from workloads.parts.parameters import (
    PAGES,
    Block,
    Duration,
    Node,
    Place,
    Region,
    check_multiples,
    check_region,
    check_slots,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import simpy

KINDS: Final = ("virtio-mem", "dimm", "dax")


class Scheduled(Workload):
    """Has a guest be as large as ``sizes`` say: pairs of a time of the week and the size from then on.

    A time is by the clock in ``time_zone``: ``"06:30"`` on every day, ``"Mon-Fri 06:30"`` or ``"Sat,Sun 06:30"`` on
    some. The run begins at ``begins``, with the size that came last until then. Where clocks are put forward, a time
    that they leave out comes as much later; where they are put back, one that comes twice counts the first time.

    With kind ``virtio-mem`` a size is one device's requested size, else so many devices of ``step`` bytes, of which the
    last goes first. What is not reached ``ask_again`` seconds later is asked for again, and so on until the next time:
    a virtio-mem device is told the same size (QEMU's ``requested-size`` tells the guest even so), a DIMM or dax device
    that stays is asked back once more, one that the guest could not add is taken out and then plugged again. Nothing is
    asked of a device that the guest is at work on.

    Nothing is random here, and the guest's demand is not looked at. Raises ParameterError with all faults at once.
    """

    name: ClassVar[str] = "scheduled"
    summary: ClassVar[str] = "sizes by the clock: office hours, nightly batch windows"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        sizes: Annotated[
            Sequence[Sequence[object]],
            ListOf(Row((Clock(), Size(zero=True))), "pair"),
            "times and the sizes from then on",
        ] = (["Mon-Fri 08:00", 8 * GIB], ["Mon-Fri 18:00", 0]),
        time_zone: Annotated[str, Zone(), "where the clock is"] = "UTC",
        begins: Annotated[str, LocalTime(), "what the clock shows when the run begins"] = "2026-11-23T00:00",
        kind: Annotated[str, Word(KINDS), "what the memory is plugged as"] = "virtio-mem",
        step: Annotated[int, PAGES, "kinds dimm and dax: size of a device; sizes are multiples of it"] = GIB,
        ask_again: Annotated[
            float, Seconds(zero=True), "what is not reached is asked for again after this; 0 stands for never"
        ] = 60.0,
        device_block: Block = 2 * MIB,
        region: Region = 0,
        address: Place = 0,
        node: Node = 0,
        duration: Duration = 604800.0,
        device: Annotated[
            str, Name(), "what the device is called; with a number behind it where there are several"
        ] = "mem",
    ) -> None:
        plan = [(str(time), int(size)) for time, size in sizes] if check.good("sizes") else []  # type: ignore[call-overload]
        largest = max((size for _, size in plan), default=1)
        if check.good("sizes") and not largest:
            check.fault("sizes", "must hold a size of more than 0")
        if kind == "virtio-mem":
            _check_sizes(check, plan, device_block, "device_block")
            check_multiples(check, device_block if check.good("device_block") else MIB, region=region, address=address)
            check_region(check, region, largest)
        else:
            _check_sizes(check, plan, step, "step")
        if kind == "dimm" and check.good("sizes"):
            check_slots(check, step, sizes=largest)
        check.done()
        self._kind = kind
        self._node = node
        self._block = device_block
        self._region = region
        self._address = address
        self._step = step
        self._again_us = seconds_to_us(ask_again)
        self._duration_us = seconds_to_us(duration)
        self._device = device
        self._largest = largest
        zone = zone_of(time_zone)
        assert zone is not None, "its parameter was checked"  # noqa: S101
        self._plan = occurrences(
            [(read_time(time), size) for time, size in plan], datetime.fromisoformat(begins), zone, duration
        )

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> Iterable[int]:
        """The one node that memory is plugged into."""
        return (self._node,)

    def needs_dimms(self) -> bool:
        """With kind ``dimm``."""
        return self._kind == "dimm"

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Ask for the sizes at their times, and again for what is not reached."""
        memory = self._memory(host)
        ends = [seconds_to_us(at) for at, _ in self._plan[1:]] + [self._duration_us + 1]
        for (_, size), end_us in zip(self._plan, ends, strict=True):
            memory.ask(size)
            while self._again_us and not (memory.reached or host.died) and host.env.now + self._again_us < end_us:
                yield host.env.timeout(self._again_us)
                if not memory.reached:
                    memory.ask(size)
            if end_us <= self._duration_us:
                yield host.env.timeout(end_us - int(host.env.now))

    def _memory(self, host: Host) -> WholeStack | _Told:
        if self._kind == "virtio-mem":
            return _Told(
                host,
                sized(
                    self._device,
                    self._largest,
                    region=self._region,
                    node=self._node,
                    block=self._block,
                    address=self._address,
                ),
            )
        make = DimmSpec if self._kind == "dimm" else DaxSpec
        specs = [
            make(f"{self._device}{number}", self._step, self._node, self._place(number))
            for number in range(self._largest // self._step)
        ]
        return WholeStack(host, specs, self._step)

    def _place(self, number: int) -> int | None:
        return self._address + number * self._step if self._address else None


class _Told:
    """A virtio-mem device that is told its size even where that was asked for last."""

    def __init__(self, host: Host, spec: VirtioMemSpec) -> None:
        self._host = host
        self._spec = spec
        self._wanted = 0

    @property
    def reached(self) -> bool:
        """Whether the guest has what is wanted."""
        return self._host.present(self._spec.id) and self._host.plugged(self._spec.id) == self._wanted

    def ask(self, size: int) -> None:
        """Ask for ``size`` bytes, unless the guest is at work on them."""
        host, name = self._host, self._spec.id
        again, self._wanted = size == self._wanted, size
        if not host.present(name):
            host.plug(replace(self._spec, requested=size))
        elif not again or not (self.reached or host.busy(name)):
            host.resize(name, size)


def _check_sizes(check: Checker, plan: Sequence[tuple[str, int]], unit: int, name: str) -> None:
    """Find fault with the first size that is no multiple of ``unit``, the parameter of this ``name``."""
    if check.good("sizes", name):
        wrong = [size for _, size in plan if size % unit]
        if wrong:
            check.fault(
                "sizes", f"must be multiples of {name}, {format_size(unit)}, but {format_size(wrong[0])} is not"
            )
