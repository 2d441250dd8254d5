"""Requests one after the other, while something may tick all the time: that takes large steps away.

See :mod:`tests.test_large_steps` and :mod:`tests.test_large_steps_of_devices`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Generator

    import simpy

    from workloads.contract import Host, Streams


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

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
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
