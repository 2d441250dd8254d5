"""Replays a log of host requests: one that is shipped, taken from public reports of real guests, or one's own.

The format of a log is described in :mod:`workloads.parts.request_log`. Shipped, in the folder ``workloads/data``
and each with its source at the top:

``neonvm-pr705``
    A near-idle NeonVM guest of 1 GiB whose virtio-mem device goes from 0 to 47 GiB and back twice, then to 47 GiB once
    more; a request about every ten seconds.
``sail-2026``
    A hosted guest of 1.93 GiB that grows in two steps to 7.5 GiB while a program allocates, then shrinks in three.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from sim.devices.specs import VirtioMemSpec
from sim.plugins.parameters import Parameter
from sim.units import us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.checks import LONGEST_US, Checker
from workloads.parts.request_log import Request, read_request_log

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import simpy

SHIPPED: Final = ("neonvm-pr705", "sail-2026")
"""Logs that come with the program."""

_MOST_REPEATS: Final = 1_000_000


class CsvReplay(Workload):
    """Makes the requests of a log, each at its time divided by ``speed``, whatever the guest does.

    With ``repeat`` the log is gone through again, each time ``tail`` seconds after its last request. What it leaves
    plugged stays plugged in between: a virtio-mem device is set to its first requested size again instead of being
    attached anew, a DIMM or dax device is not plugged a second time.

    Nothing is random here. Raises WorkloadInputError with all faults of the log at once, with line numbers.
    """

    name: ClassVar[str] = "csv-replay"
    summary: ClassVar[str] = "replays a log of host requests: a shipped one or a CSV file"
    parameters: ClassVar[Sequence[Parameter]] = (
        Parameter("log", "|".join(SHIPPED), None, "-", "a shipped log; give this or path"),
        Parameter("path", "path", None, "-", "a CSV file of requests; give this or log"),
        Parameter("repeat", "int", 1, "-", "how often the log is gone through"),
        Parameter("speed", "float", 1.0, "-", "times as fast as logged"),
        Parameter("tail", "seconds", 60.0, "s", "simulated time after the last request, each time"),
    )

    def __init__(
        self,
        *,
        log: str | None = None,
        path: str | None = None,
        repeat: int = 1,
        speed: float = 1.0,
        tail: float = 60.0,
    ) -> None:
        check = Checker()
        self._repeat = check.whole("repeat", repeat, 1, _MOST_REPEATS)
        self._speed = check.number("speed", speed, 1e-6, 1e6)
        self._tail_us = check.time_us("tail", tail)
        if (log is None) == (path is None):
            shipped = ", ".join(SHIPPED)
            check.fault("log", f"either this (one of {shipped}) or path must be given" + (", not both" if log else ""))
        elif log is not None:
            log = check.choice("log", log, SHIPPED)
        else:
            path = check.word("path", path)
        check.done()
        self._requests = _shipped(log) if log is not None else read_request_log(Path(str(path)))
        self._cycle_us = round(self._requests[-1].t_us / self._speed) + self._tail_us
        if self._cycle_us * self._repeat > LONGEST_US:
            check.fault("repeat", f"makes the run longer than {LONGEST_US // 1_000_000} seconds")
        check.done()

    def duration(self) -> float:
        """Seconds of simulated time: every pass through the log with its tail."""
        return us_to_seconds(self._cycle_us * self._repeat)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that the log plugs devices into."""
        return sorted({request.spec.node for request in self._requests if request.spec is not None})

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Make the requests of every pass."""
        env = host.env
        now = 0
        for t_us, request in self.timeline():
            if t_us > now:
                yield env.timeout(t_us - now)
                now = t_us
            if request.op == "resize":
                host.resize(request.device, request.size)
            elif request.op == "demand":
                host.set_demand(request.device, request.kind, request.size)
            elif request.spec is not None:
                host.plug(request.spec)
            else:
                host.unplug(request.device)

    def timeline(self) -> Iterator[tuple[int, Request]]:
        """Yield every request with the microsecond at which it is made."""
        again = self._again()
        for number in range(self._repeat):
            start = number * self._cycle_us
            for request in again if number else self._requests:
                yield start + round(request.t_us / self._speed), request

    def _again(self) -> list[Request]:
        """Return the requests of a pass that follows another one."""
        left = set[str]()
        for request in self._requests:
            if request.op == "plug":
                left.add(request.device)
            elif request.op == "unplug":
                left.discard(request.device)
        requests = []
        for request in self._requests:
            if request.op != "plug" or request.device not in left:
                requests.append(request)
                continue
            left.remove(request.device)
            if isinstance(request.spec, VirtioMemSpec):
                requests.append(Request(request.t_us, "resize", request.device, size=request.spec.requested))
        return requests


def _shipped(name: str) -> list[Request]:
    with as_file(files("workloads") / "data" / f"{name}.csv") as path:
        return read_request_log(path, "log")
