"""Small runs from a script of host requests, and a policy that does as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policies.contract import Explanation, Policy
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, ZoneType
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from workloads.contract import Workload

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Sequence

    import simpy

    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView
    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as AnyStreams

BLOCK = 128 * MIB
Step = tuple[float, str, str, int]
"""Seconds, verb (dimm, virtio-mem, unplug, resize, or a kind of demand), name, size."""


class Script(Workload):
    """Does what a list of steps says."""

    name = "script"
    summary = "a list of steps"

    def __init__(self, steps: Sequence[Step], seconds: float = 100.0) -> None:
        self.steps = sorted(steps, key=lambda step: step[0])
        self.seconds = seconds

    def duration(self) -> float:
        return self.seconds

    def run(self, host: Host, streams: AnyStreams) -> Generator[simpy.Event, object, None]:
        for seconds, verb, name, size in self.steps:
            at = round(seconds * 1_000_000)
            if at > host.env.now:
                yield host.env.timeout(at - int(host.env.now))
            match verb:
                case "dimm":
                    host.plug(DimmSpec(name, size))
                case "virtio-mem":
                    host.plug(VirtioMemSpec(name, size))
                case "unplug":
                    host.unplug(name)
                case "resize":
                    host.resize(name, size)
                case _:
                    host.set_demand(name, verb, size)


class Told(Policy):
    """Puts the blocks it is told of into a kernel zone, all others into MOVABLE."""

    name = "told"
    summary = "does as it is told"

    def __init__(self, kernel: Collection[int]) -> None:
        self.kernel = kernel

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return ZONE_NORMAL if request.first_page // request.pages in self.kernel else ZONE_MOVABLE

    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        return Explanation(ZoneType(self.zone_for(request, memory)), "told", {})


def play(policy: Policy, script: Script, *, boot: int = GIB, guest: bool = True) -> RunResult:
    """Run a script on a machine with one node, everything in no time but what the script says."""
    machine = MachineSpec((NodeSpec(boot),))
    spec = GuestSpec(sample_every=1.0) if guest else None
    return simulate(machine, policy, script, Streams(1, 0), timing=Timing.instant(), guest=spec)


def plugged_zones(result: RunResult) -> list[int]:
    """The zone of every block that was plugged and put online in one go, in the order of plugging."""
    events = Events.of(result.events)
    plugs = events.where(events.of_kind(EventKind.PLUG))
    return np.repeat(plugs.zone, plugs.blocks).tolist()
