"""Replays a log of host requests: one that is shipped, taken from public reports of real guests, or one's own.

The format of a log is described in :mod:`workloads.parts.requests.log`. Shipped, in the folder ``workloads/data``
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
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.plugins.parameter_types import FilePath, Number, Seconds, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.plugins.values import SECONDS_LIMIT
from sim.units import seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.parameters import LONGEST_US
from workloads.parts.requests.log import RequestLog, read_request_log
from workloads.parts.requests.request import Request

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    import simpy

SHIPPED: Final = ("neonvm-pr705", "sail-2026")
"""Logs that come with the program."""

_MOST_REPEATS: Final = 1_000_000
_TAIL: Final = 60.0


class RequestReplay(Workload):
    """Makes the requests of a log, CSV or JSONL, each at its time divided by ``speed``, whatever the guest does.

    With ``devices_speed`` those for devices come at another speed than what loads use.

    With ``repeat`` the log is gone through again, each time ``tail`` seconds after its last request, or where it ends.
    What it leaves plugged stays plugged in between: a virtio-mem device is set to its first requested size again
    instead of being attached anew, a DIMM or dax device is not plugged a second time.

    The log of a run, replayed on the same machine under the same policy and seed, gives the same events again. Nothing
    is random here. Raises ParameterError with all faults of the log at once, with line numbers.
    """

    name: ClassVar[str] = "request-replay"
    summary: ClassVar[str] = "replays a log of host requests: a shipped one, a CSV or a JSONL file"
    ends_run: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        log: Annotated[str | None, Word(SHIPPED), "a shipped log; give this or path"] = None,
        path: Annotated[str | None, FilePath(), "a file of requests (docs/logs.md); give this or log"] = None,
        repeat: Annotated[int, Whole(1, _MOST_REPEATS), "how often the log is gone through"] = 1,
        speed: Annotated[float, Number(1e-6, 1e6), "times as fast as logged"] = 1.0,
        devices_speed: Annotated[
            float, Number(1e-6, 1e6), "times as fast as that are devices asked for; loads keep their times"
        ] = 1.0,
        tail: Annotated[
            float | None,
            Seconds(),
            "simulated time after the last request, each time; by itself 60 if the log has no end",
        ] = None,
    ) -> None:
        if (log is None) == (path is None):
            shipped = ", ".join(SHIPPED)
            check.fault("log", f"either this (one of {shipped}) or path must be given" + (", not both" if log else ""))
        check.done()
        self._repeat = repeat
        self._speed = speed
        read = _shipped(log) if log is not None else read_request_log(Path(str(path)))
        self._requests = read.requests
        if devices_speed != 1.0:
            self._requests = self._requests.faster(devices_speed, ("demand", "drop-caches"))
        self._stop = read.stop
        if read.end_us is None:
            self._cycle_us = self._at(self._requests[-1].t_us) + seconds_to_us(_TAIL if tail is None else tail)
        else:
            self._cycle_us = self._at(max(read.end_us, self._requests[-1].t_us if self._requests else 0))
            if tail is not None:
                check.fault("tail", f"the log has an end, at {us_to_seconds(read.end_us):g} s")
        if self._cycle_us * repeat > LONGEST_US:
            check.fault("repeat", f"makes the run longer than {SECONDS_LIMIT} seconds")

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Devices are asked for faster; the log's loads keep their times."""
        return {**parameters, "devices_speed": parameters["devices_speed"] * pace}

    def _at(self, t_us: int) -> int:
        """Return the microsecond of a pass at which is what was logged at ``t_us``."""
        return round(t_us / self._speed) if self._speed != 1.0 else t_us

    def duration(self) -> float:
        """Seconds of simulated time: every pass through the log with its tail, or to its end."""
        return us_to_seconds(self._cycle_us * self._repeat)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that the log plugs devices into, or runs loads on."""
        asked = [pattern for pattern in self._requests.patterns if not pattern.refused]
        return sorted({request.node if request.spec is None else request.spec.node for request in asked} or {0})

    def needs_dimms(self) -> bool:
        """Where the log plugs one."""
        return any(isinstance(each.spec, DimmSpec) and not each.refused for each in self._requests.patterns)

    def needs_kernel(self) -> str | None:
        """Linux 7.3 where the log writes to the state of a dax device."""
        return "7.3" if any(each.op == "state" for each in self._requests.patterns) else None

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Make the requests of every pass, those of one turn in one go."""
        env = host.env
        at, now = (0, 0), 0
        for t_us, request in self.timeline():
            if t_us > now or (request.t_us, request.turn) != at:
                yield env.timeout(t_us - now)
            at, now = (request.t_us, request.turn), t_us
            if request.op == "stop":
                return
            request.ask(host)
        yield env.timeout(self._cycle_us * self._repeat - now)

    def timeline(self) -> Iterator[tuple[int, Request]]:
        """Yield every request with the microsecond at which it is made, and the log's own end if that comes first."""
        later = self._again() if self._repeat > 1 else []
        for number in range(self._repeat):
            start = number * self._cycle_us
            for request in later if number else self._requests:
                yield start + self._at(request.t_us), request
        if self._stop is not None:
            yield (self._repeat - 1) * self._cycle_us + self._at(self._stop.t_us), self._stop

    def _again(self) -> list[Request]:
        """Return the requests of a pass that follows another one."""
        left_plugged = set[str]()
        for request in self._requests:
            if request.op == "plug":
                left_plugged.add(request.device)
            elif request.op == "unplug":
                left_plugged.discard(request.device)
        requests = []
        for request in self._requests:
            if request.op != "plug" or request.device not in left_plugged:
                requests.append(request)
                continue
            left_plugged.remove(request.device)
            if isinstance(request.spec, VirtioMemSpec):
                requests.append(Request(request.t_us, "resize", request.device, size=request.spec.requested))
        return requests


def _shipped(name: str) -> RequestLog:
    with as_file(files("workloads") / "data" / f"{name}.csv") as path:
        return read_request_log(path, "log")
