"""Requests one after the other, while something may tick all the time: that takes large steps away.

See :mod:`tests.test_large_steps` and :mod:`tests.test_large_steps_of_devices`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from policies.contract import Policy
    from sim.kernel.timing import Timing
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract


@dataclass(frozen=True)
class Asked:
    """What is asked of the host, a device, or the guest's programs, ``after_us`` the request before."""

    after_us: int
    what: str
    which: int
    amount: int


class Requests(Workload):
    """Asks for all of ``asked``, while something ticks every so many microseconds, if at all."""

    name: ClassVar[str] = "requests"
    summary: ClassVar[str] = "requests, one after the other"
    seconds: ClassVar[float]

    def __init__(self, asked: list[Asked], nodes: int, tick_us: int | None) -> None:
        self._asked = asked
        self._nodes = nodes
        self._tick_us = tick_us

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        if self._tick_us is not None:
            host.env.process(self._ticks(host, self._tick_us))
        yield host.env.timeout(self.begin(host))
        for asked in self._asked:
            yield host.env.timeout(asked.after_us)
            self.do(host, asked)

    @staticmethod
    def _ticks(host: Host, us: int) -> Generator[simpy.Event, object, None]:
        while True:
            yield host.env.timeout(us)

    @abstractmethod
    def begin(self, host: Host) -> int:
        """Plug what is there from the start, and return the microseconds until the first request."""

    @abstractmethod
    def do(self, host: Host, asked: Asked) -> None:
        """Ask for it."""

    def duration(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Case(ABC):
    """All that a run is made of, but for what ticks."""

    asked: list[Asked]
    policy: Callable[[], Policy]
    nodes: int
    boot: int
    kernel: str
    modelled: bool
    memmap_on_memory: bool
    timing: Timing

    @abstractmethod
    def requests(self, tick_us: int | None) -> Requests:
        """Return what asks, with something that ticks."""

    def run(self, tick_us: int | None) -> tuple[object, ...]:
        """Return all that the run leaves behind."""
        result = simulate(
            MachineSpec(
                tuple(NodeSpec(self.boot) for _ in range(self.nodes)),
                kernel=self.kernel,
                memmap_on_memory=self.memmap_on_memory,
                slots=8,
            ),
            self.policy(),
            self.requests(tick_us),
            Streams(1, 0),
            timing=self.timing,
            guest=GuestSpec() if self.modelled else None,
        )
        samples = {name: values.tolist() for name, values in result.guest.items()}
        return result.events.tolist(), samples, result.counters, result.device_names
