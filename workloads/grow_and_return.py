"""A guest that grows under load and is asked to shrink again: what onlining policies are for, and relatives of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.pages import SMALLEST_PAGE
from sim.plugins.parameter_types import Number, Seconds, Size, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, MIB, MICROSECONDS, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.demand import KERNEL_KINDS, GuestProcess, drive
from workloads.parts.mixes import MIXES, parts_of
from workloads.parts.parameters import (
    PLACE,
    DeviceBlock,
    Duration,
    check_after,
    check_multiples,
    check_slots,
    check_tick,
)
from workloads.parts.plan import follow

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    import simpy

    from workloads.parts.demand import Target
    from workloads.parts.plan import Ask, Step

DIMM: Final = "dimm"
BIG_BLOCKS: Final = "virtio-mem-big-blocks"
DEVICES: Final = (DIMM, "virtio-mem", BIG_BLOCKS)
MOST_PROGRAMS: Final = 1000
_VMEM: Final = "vmem0"


@dataclass(frozen=True, slots=True)
class Amounts:
    """What may differ from one replication to the next: bytes per second and bytes, as one run meets them."""

    pace: float
    user: float
    user_rate: float
    kernel: float
    kernel_rate: float


class GrowAndReturn(Workload):
    """A guest gets ``size`` more memory, ``step`` at a time at ``pace``, and is asked for all of it back later.

    From time 0 on it is plugged, as DIMMs of a ``step`` each or as one virtio-mem device whose requested size grows by
    a ``step``, which the guest's driver takes by sub-blocks or by big blocks. Meanwhile ``programs`` grow to ``user``
    bytes between them at ``user_rate``, and the kernel's own memory, from ``kernel_start`` on, to ``kernel`` bytes at
    ``kernel_rate``. At time ``leave`` the programs exit and ``kernel_leaves`` of the kernel's memory goes; the rest
    stays. From ``ask_back`` on everything is asked back at ``return_pace``, the newest first; what has not been plugged
    by then is not plugged at all.

    With a ``spread`` above 1 each replication is another relative of this guest: pace, both amounts and both rates are
    multiplied by factors that are drawn once and independently, each from a stream of its own, so that their logarithms
    are spread evenly between those of 1 / spread and spread. ``drawn`` has what came of it in the last run. With a
    spread of 1 nothing is drawn.

    All is on node 0. Without a guest that is modelled there is no demand. Raises ParameterError with everything that is
    wrong with the parameters.
    """

    name: ClassVar[str] = "grow-and-return"
    summary: ClassVar[str] = "a guest that grows under load and is asked for all of it back; relatives at random"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        device: Annotated[str, Word(DEVICES), "what the memory is plugged as"] = DIMM,
        size: Annotated[int, Size(), "memory that is plugged, in all"] = 15 * GIB,
        step: Annotated[int, Size(), "memory asked for at a time; the size of a DIMM"] = 256 * MIB,
        pace: Annotated[int, Size(unit="bytes/s"), "how fast it is plugged"] = 16 * MIB,
        device_block: Annotated[int, DeviceBlock(), "virtio-mem: block size of the device"] = 2 * MIB,
        big_block: Annotated[
            int, DeviceBlock(zero=True), "virtio-mem-big-blocks: their size; 0 stands for the smallest possible"
        ] = 0,
        address: Annotated[int, PLACE, "of the device, or of the first DIMM; 0 stands for where there is room"] = 0,
        programs: Annotated[int, Whole(1, MOST_PROGRAMS), "number of programs, which are alike"] = 2,
        user: Annotated[int, Size(zero=True), "anonymous memory of all programs together"] = 8 * GIB,
        user_kind: Annotated[
            str, Word(("anonymous", *MIXES)), "what programs are: with a load by name, kernel memory comes with them"
        ] = "anonymous",
        user_rate: Annotated[int, Size(unit="bytes/s"), "how fast all programs together take it"] = 6 * MIB,
        kernel: Annotated[int, Size(zero=True), "the kernel's own memory"] = GIB,
        kernel_rate: Annotated[int, Size(unit="bytes/s"), "how fast the kernel takes it"] = 2 * MIB,
        kernel_kind: Annotated[str, Word(KERNEL_KINDS), "what it is"] = "kernel",
        kernel_start: Annotated[float, Seconds(zero=True), "when the kernel begins to take it"] = 0.0,
        kernel_leaves: Annotated[float, Number(0.0, 1.0), "share of it that goes when programs exit"] = 0.0,
        leave: Annotated[float, Seconds(), "when programs exit"] = 2000.0,
        ask_back: Annotated[float, Seconds(), "when memory is asked back, from then on"] = 2100.0,
        return_pace: Annotated[int, Size(zero=True, unit="bytes/s"), "how fast; 0 stands for all at once"] = 64 * MIB,
        spread: Annotated[
            float, Number(1.0, 100.0), "pace, amounts and rates are from 1/spread to spread times as much, at random"
        ] = 1.0,
        tick: Annotated[float, Seconds(), "the steps of time in which the guest takes memory"] = 5.0,
        duration: Duration = 2700.0,
    ) -> None:
        if device == DIMM:
            check_multiples(check, SMALLEST_PAGE, step=step)
            check_slots(check, step, size=size)
        elif check.good("device_block", "big_block"):
            check_multiples(
                check, max(device_block, big_block if device == BIG_BLOCKS else 0), step=step, address=address
            )
        if check.good("step"):
            check_multiples(check, step, size=size)
        check_after(check, kernel_start=kernel_start, leave=leave)
        check_after(check, leave=leave, ask_back=ask_back)
        check_after(check, ask_back=ask_back, duration=duration)
        check_tick(check, tick, duration)
        check.done()
        self._device = device
        self._size = size
        self._step = step
        self._address = address
        self._block = device_block
        self._big_block = big_block
        self._programs = programs
        self._amounts = Amounts(pace, user, user_rate, kernel, kernel_rate)
        self._kernel_kind = kernel_kind
        self._user_kind = user_kind
        self._kernel_start_us = seconds_to_us(kernel_start)
        self._kernel_stays = 1.0 - kernel_leaves
        self._leave_us = seconds_to_us(leave)
        self._ask_back_us = seconds_to_us(ask_back)
        self._return_pace = return_pace
        self._spread = spread
        self._tick_us = seconds_to_us(tick)
        self._duration_us = seconds_to_us(duration)
        self.drawn: Amounts | None = None

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """It is plugged faster; what the guest uses grows as before."""
        return {**parameters, "pace": max(1, round(parameters["pace"] * pace))}

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> tuple[int, ...]:
        """Node 0, where all of it happens."""
        return (0,)

    def needs_dimms(self) -> bool:
        """With device ``dimm``."""
        return self._device == DIMM

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Plug, load, unload and ask back, until the duration is over."""
        amounts = self.drawn = self.draw(streams)
        parts = [follow(host, self.plan(amounts), self._duration_us)]
        if host.mem_available() is not None:
            parts += self._loads(host, amounts)
        env = host.env
        yield env.all_of([env.process(part) for part in parts])

    def draw(self, streams: Streams) -> Amounts:
        """Return the amounts of one replication, each with the first number of a stream of its own."""
        if self._spread == 1:
            return self._amounts
        return Amounts(
            **{
                name: amount * self._spread ** (2 * streams(f"spread/{name}").random() - 1)
                for name, amount in asdict(self._amounts).items()
            }
        )

    def plan(self, amounts: Amounts) -> Iterator[Step]:
        """Yield what is asked of the devices, and when."""
        back_us = self._step * MICROSECONDS / self._return_pace if self._return_pace else 0.0
        pause_us = self._step * MICROSECONDS / amounts.pace
        plugs = [round(number * pause_us) for number in range(self._size // self._step)]
        plugs = [at for at in plugs if at < self._ask_back_us]
        now = 0
        for number, at in enumerate(plugs):
            yield at - now, (self._more(number),)
            now = at
        for turn, number in enumerate(reversed(range(len(plugs)))):
            at = self._ask_back_us + round(turn * back_us)
            yield at - now, (self._less(number),)
            now = at

    def _more(self, number: int) -> Ask:
        """Return the request for step ``number``, from 0."""
        if self._device == DIMM:
            return f"dimm{number}", DimmSpec(f"dimm{number}", self._step, address=self._place(number))
        if number:
            return _VMEM, (number + 1) * self._step
        return _VMEM, VirtioMemSpec(
            _VMEM,
            self._size,
            block_size=self._block,
            requested=self._step,
            address=self._place(0),
            force_bbm=self._device == BIG_BLOCKS,
            bbm_block_size=self._big_block,
        )

    def _place(self, number: int) -> int | None:
        """Return where step ``number`` lies; None where there is room."""
        return self._address + number * self._step if self._address else None

    def _less(self, number: int) -> Ask:
        """Return the request for all of step ``number`` back, those after it having been asked back before."""
        return (f"dimm{number}", None) if self._device == DIMM else (_VMEM, number * self._step)

    def _loads(self, host: Host, amounts: Amounts) -> Iterator[Generator[simpy.Event, object, None]]:
        """Yield the processes by which programs and the kernel take memory and leave it."""
        each, rate = amounts.user / self._programs, amounts.user_rate / self._programs
        for number in range(self._programs):
            name = f"program{number}"
            yield self._drive(host, (name, self._user_kind), rate, [(0, int(each)), (self._leave_us, 0)])
        kernel = [(self._kernel_start_us, int(amounts.kernel))]
        if self._kernel_stays < 1:
            kernel.append((self._leave_us, int(amounts.kernel * self._kernel_stays)))
        yield self._drive(host, ("kernel", self._kernel_kind), amounts.kernel_rate, kernel)

    def _drive(
        self, host: Host, load: tuple[str, str], rate: float, targets: list[Target]
    ) -> Generator[simpy.Event, object, None]:
        process = GuestProcess(host, list(parts_of(*load)))
        return drive(host, process, iter(targets), rate=rate, tick_us=self._tick_us, end_us=self._duration_us)
