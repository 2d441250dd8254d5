"""What parameters of several workloads have in common: the types of nodes and device blocks, and checks of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from sim.devices.specs import MOST_DIMM_SLOTS
from sim.faults import shown
from sim.pages import SMALLEST_PAGE
from sim.plugins.parameter_addresses import Address
from sim.plugins.parameter_lists import ListOf
from sim.plugins.parameter_types import Name, Number, Seconds, Size, Whole
from sim.plugins.values import SECONDS_LIMIT
from sim.units import MIB, MICROSECONDS, MOST_NODES, TIB, format_size, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sim.plugins.parameters import Checker

LONGEST_US: Final = SECONDS_LIMIT * MICROSECONDS
"""Microseconds of the longest run."""

NODE: Final = Whole(0, MOST_NODES - 1)
"""A NUMA node."""

PAGES: Final = Size(multiple_of=SMALLEST_PAGE)
"""A size in whole pages."""

PLACE: Final = Address(multiple_of=SMALLEST_PAGE)
"""Where a device lies."""

SIZES: Final = ListOf(PAGES, "size", unit="bytes")
NODES: Final = ListOf(NODE, "node")

Duration = Annotated[float, Seconds(), "simulated time"]
Place = Annotated[int, PLACE, "address of the device; 0 stands for where there is room"]
Region = Annotated[int, Size(zero=True), "size of the device's address region; 0 stands for the maximum"]
Device = Annotated[str, Name(), "what the device is called"]
Node = Annotated[int, NODE, "NUMA node"]
Start = Annotated[float, Seconds(zero=True), "time of the first look at the guest"]
Period = Annotated[float, Seconds(), "time between looks"]
Tick = Annotated[float, Seconds(), "the steps of time in which memory is taken"]
Speed = Annotated[float, Number(1e-6, 1e6), "times as fast as recorded"]
OwnEnd = Annotated[float, Seconds(zero=True), "simulated time; 0 stands for as long as what it runs together with"]


@dataclass(frozen=True)
class DeviceBlock(Size):
    """The block size of a virtio-mem device; QEMU gives none a smaller one than 1 MiB."""

    multiple_of: int = MIB

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "a power of two from 1MiB to 1TiB" + (", or 0" if self.zero else "")

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no power of two from 1 MiB to 1 TiB, nor 0 where that may be."""
        wrong = list(super().complaints(value))
        yield from wrong
        if not wrong and isinstance(value, int) and (value & (value - 1) or value > TIB):
            yield f"must be {self.in_words}, but is {format_size(value)}"


Block = Annotated[int, DeviceBlock(), "block size of the device; all sizes are multiples of it"]


def shortened(parameters: Mapping[str, Any], pace: float, *names: str) -> dict[str, Any]:
    """Return ``parameters`` with the times called ``names`` divided by ``pace``, those that are not given left out."""
    times = {name: parameters[name] for name in names if parameters.get(name)}
    return {**parameters, **{name: max(round(time / pace, 6), 1e-6) for name, time in times.items()}}


def check_multiples(check: Checker, unit: int, /, **sizes: int) -> None:
    """Find fault with those of ``sizes``, good by themselves, that are no multiples of ``unit`` bytes."""
    for name, size in sizes.items():
        if check.good(name):
            check.take(name, size, Size(zero=True, multiple_of=unit), unit)


def check_larger(check: Checker, **sizes: int) -> None:
    """Find fault with the second of two ``sizes`` that is not larger than the first."""
    (first, least), (second, size) = sizes.items()
    if check.good(first, second) and size <= least:
        check.fault(second, f"must be more than the {first}, {format_size(least)}, but is {format_size(size)}")


def check_region(check: Checker, region: int, maximum: int, *, base: int = 0) -> None:
    """Find fault with a region that does not hold the ``maximum``, of which ``base`` bytes are no device's.

    A region of 0 stands for what it has to hold.
    """
    if check.good("region", "maximum") and 0 < region < maximum - base:
        most = "the maximum" + (f" less the {format_size(base)} of boot memory" if base else "")
        check.fault("region", f"must hold {most}, {format_size(maximum - base)}, but is {format_size(region)}")


def check_slots(check: Checker, step: int, **whole: int) -> None:
    """Find fault with a ``whole``, which has a name for people, that makes more DIMMs of ``step`` bytes than fit in."""
    ((name, size),) = whole.items()
    if check.good(name, "step") and size // step > MOST_DIMM_SLOTS:
        dimms = f"{size // step} DIMMs of {format_size(step)}"
        check.fault(name, f"makes {dimms}, but {MOST_DIMM_SLOTS} is the most")


def check_after(check: Checker, **times: float) -> None:
    """Find fault with the second of two ``times`` (seconds by name) that does not come after the first."""
    (first, before), (second, after) = times.items()
    if check.good(first, second) and seconds_to_us(after) <= seconds_to_us(before):
        check.fault(second, f"must be after {first}, {before:g}, but is {shown(after)}")


def check_tick(check: Checker, tick: float, duration: float) -> None:
    """Find fault with a step of time that is longer than the run: in it nothing would ever be taken."""
    if check.good("tick", "duration") and tick > duration:
        check.fault("tick", f"must not be longer than the duration, {duration:g}, but is {tick:g}")
