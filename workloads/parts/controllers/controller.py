"""What controllers have in common: somebody outside the guest who looks at its figures, and asks its host for devices.

A controller plays no demand. In an experiment it stands beside what does, as a part of ``together``; with a duration of
0 it looks on for as long as that lasts.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.devices.specs import VirtioMemSpec
from sim.units import seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.controllers.watch import watch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import simpy

    from sim.devices.specs import DeviceSpec
    from workloads.parts.controllers.watch import Watcher


@dataclass(frozen=True, slots=True)
class Beat:
    """When a controller looks, in microseconds: from ``first_us`` every ``period_us`` until ``end_us`` (0: no end).

    With ``sleeps`` it is a loop that sleeps for a period after each look: one at another time moves all that follow.
    """

    first_us: int
    period_us: int
    end_us: int
    sleeps: bool = False

    @classmethod
    def of(cls, start: float, period: float, duration: float) -> Beat:
        """Return the beat of a controller's parameters, which are in seconds."""
        return cls(seconds_to_us(start), seconds_to_us(period), seconds_to_us(duration))

    def after(self, now_us: int, last_us: int | None = None) -> int:
        """Return the first beat later than ``now_us``, where the last look was at ``last_us`` (None: just now)."""
        from_us = self.first_us if not self.sleeps else now_us if last_us is None else last_us
        return from_us + max(0, (now_us - from_us) // self.period_us + 1) * self.period_us


class Controller(Workload):
    """Attaches ``devices`` at time 0, and from then on has a ``Watcher`` (``watch.py``) look at the guest.

    It does nothing more where a device was refused, or where no guest is modelled. ``nodes`` are those that it plugs
    memory into.
    """

    def __init__(self, beat: Beat, *, nodes: Sequence[int], devices: Sequence[DeviceSpec] = ()) -> None:
        self._beat = beat
        self._nodes = tuple(nodes)
        self._devices = tuple(devices)

    @abstractmethod
    def watcher(self, host: Host) -> Watcher:
        """Return who looks in one run; the devices are attached."""

    def duration(self) -> float:
        """Seconds of simulated time; 0 for as long as what it runs together with."""
        return us_to_seconds(self.beat.end_us)

    @property
    def beat(self) -> Beat:
        """When it looks."""
        return self._beat

    def node_capacity(self) -> Iterable[int]:
        """The nodes that it plugs memory into."""
        return self._nodes

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Attach the devices, and look until the end."""
        refused = [spec for spec in self._devices if not host.plug(spec)]
        if not refused and host.report() is not None:
            yield from watch(host, self.watcher(host), self.beat)


class SizedDevice:
    """A virtio-mem device as its controller sees it: what it has, what was asked for, and asking for another size.

    All sizes are in bytes, and have ``base`` bytes in them that are no device's: with the guest's boot memory as base
    they are the guest's.
    """

    def __init__(self, host: Host, name: str, *, base: int = 0) -> None:
        self._host = host
        self._name = name
        self._base = base

    @property
    def plugged(self) -> int:
        """What the guest has: more than asked for where a shrink stays short, less where a growth does."""
        return self._base + self._host.plugged(self._name)

    @property
    def requested(self) -> int:
        """What was asked for last."""
        return self._base + self._host.requested(self._name)

    def ask(self, size: int) -> bool:
        """Ask for ``size``, unless that was asked for last. False where the host refuses."""
        return size == self.requested or self._host.resize(self._name, size - self._base)


def sized(
    name: str, maximum: int, *, region: int = 0, node: int = 0, block: int, requested: int = 0, address: int = 0
) -> VirtioMemSpec:
    """Return the virtio-mem device of a controller's parameters.

    A region of 0 is as large as ``maximum``, an address of 0 where there is room.
    """
    return VirtioMemSpec(name, region or maximum, node, block, requested, address or None)
