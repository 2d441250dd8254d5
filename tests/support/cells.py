"""Whole cells of a script that plugs a few devices, run and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.contract import Explanation, Policy, ZoneRequest
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE, ZoneType
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.devices.books import check_result
from workloads.contract import Host, Workload
from workloads.contract import Streams as StreamsContract

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from sim.devices.specs import DeviceSpec
    from sim.memory.view import MemoryView
    from sim.record.recorder import EventKind
    from sim.record.run_result import RunResult

    Steps = Generator[simpy.Event, object, None]

MACHINE = MachineSpec((NodeSpec(4 * GIB),))
FIRST = 40
"""First block of the first device on :data:`MACHINE`."""


class Script(Workload):
    """Plugs what it is given at second 1, then calls ``then`` at second 2."""

    name = "script"
    summary = "a few requests"

    def __init__(self, *specs: DeviceSpec, then: Callable[[Host], object] | None = None, seconds: float = 100) -> None:
        self._specs = specs
        self._then = then
        self._seconds = seconds

    def run(self, host: Host, streams: StreamsContract) -> Steps:
        yield host.env.timeout(1_000_000)
        for spec in self._specs:
            host.plug(spec)
        yield host.env.timeout(1_000_000)
        if self._then is not None:
            self._then(host)

    def duration(self) -> float:
        return self._seconds


def run(policy: Policy, workload: Workload, **options: Any) -> RunResult:  # noqa: ANN401
    """Run a cell and see that what it leaves behind agrees with its host, where it ends as it should."""
    machine = options.pop("machine", MACHINE)
    hosts: list[Host] = []
    steps = workload.run

    def seen(host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, object]:
        hosts.append(host)
        return steps(host, streams)

    workload.run = seen  # type: ignore[method-assign]
    result = simulate(machine, policy, workload, Streams(1, 0), **options)
    check_result(result, hosts[-1])
    return result


def rows(result: RunResult, *kinds: EventKind) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in row) for row in result.events if not kinds or row[1] in kinds]


class Broken(Policy):
    """Answers what it was made with; None stands for a proper answer."""

    name = "broken"
    summary = "a policy that does something wrong"

    def __init__(self, *, zone: object = ZONE_MOVABLE, runs: object = None, explanation: object = "proper") -> None:
        self.zone, self.runs, self.explanation = zone, runs, explanation

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return self._given(self.zone)  # type: ignore[no-any-return]

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        return self._given(self.runs)  # type: ignore[no-any-return]

    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        if self.explanation == "proper":
            return Explanation(ZoneType.MOVABLE, "because", {})
        return self._given(self.explanation)  # type: ignore[no-any-return]

    def _given(self, answer: object) -> Any:  # noqa: ANN401
        if isinstance(answer, BaseException):
            raise answer
        return answer


DEVICES: dict[str, DeviceSpec] = {
    "a DIMM of one block": DimmSpec("d", 128 * MIB),
    "a DIMM": DimmSpec("d", GIB),
    "virtio-mem": VirtioMemSpec("v", GIB, requested=GIB),
    "virtio-mem, big blocks": VirtioMemSpec("v", GIB, block_size=256 * MIB, requested=GIB),
}
