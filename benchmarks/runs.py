"""What benchmarks run: cells as users have them, with sampled guest, listeners and record, and their CPU time."""

from __future__ import annotations

import time
import tomllib
from typing import TYPE_CHECKING, Any, ClassVar, Final

from benchmarks.places import ROOT
from benchmarks.ratios import timed
from policies.auto_movable import AutoMovable
from sim.engine import simulate
from sim.experiment import build
from sim.experiment.load import load
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from sim.units import GIB, us_to_seconds
from workloads.contract import Host, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import simpy

    from policies.contract import Policy
    from sim.experiment.plan import Cell, Experiment

    Script = Callable[[Host, "Clock"], Generator[simpy.Event, object, None]]

BLOCK: Final = 128 << 20
DAY: Final = 86_400
MIX: Final = ROOT / "tests" / "data" / "mix.toml"


def resized(
    days: int,
    guest: str,
    *,
    step: str,
    nodes: int = 1,
    replications: int = 1,
    **workload: Any,  # noqa: ANN401  any parameter
) -> Experiment:
    """Return a guest whose virtio-mem device goes up to 16 GiB and down again, by ``step`` every 300 seconds."""
    resize = {"name": "virtio-mem-resize", "shape": "triangle", "maximum": "16GiB", "step": step, "interval": 300}
    return load(
        {
            "name": "resized",
            "replications": replications,
            "machines": [{"nodes": [{"boot_memory": 4 * GIB}] * nodes}],
            "policies": [{"name": "auto-movable"}],
            "workloads": [{**resize, "duration": days * DAY, **workload}],
            "guest": {"model": guest},
        }
    )


def mixed(guest: str, *workloads: str) -> Experiment:
    """Return the mix of devices and programs of the tests, of its ``workloads`` alone, in one replication."""
    tables = tomllib.loads(MIX.read_text("utf-8"))
    tables["guest"]["model"] = guest
    tables["replications"] = 1
    tables["workloads"] = [entry for entry in tables["workloads"] if entry["label"] in workloads]
    used = {machine for entry in tables["workloads"] for machine in entry["machines"]}
    tables["machines"] = [entry for entry in tables["machines"] if entry["label"] in used]
    return load({"name": "mix", **tables})


def cpu_of(cells: Iterable[Cell]) -> float:
    """Return the seconds of CPU time that simulating ``cells`` takes; what they are made of is made before."""
    runs = [build.simulation(cell) for cell in cells]

    def work() -> None:
        for run in runs:
            run()

    return timed(work)


class Clock:
    """Adds up the CPU time of what a script wants to know about."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0

    def start(self) -> None:
        """Go on from here."""
        self._started = time.process_time_ns()

    def stop(self) -> None:
        """Count up to here."""
        self.seconds += (time.process_time_ns() - self._started) / 1e9


class Scripted(Workload):
    """A workload by a script, which is given the host and a clock."""

    name: ClassVar[str] = "scripted"
    summary: ClassVar[str] = "what a benchmark asks for"

    def __init__(self, script: Script, duration_us: int) -> None:
        self._script = script
        self._duration_us = duration_us
        self.clock = Clock()

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def run(self, host: Host, streams: object) -> Generator[simpy.Event, object, None]:
        """Ask for what the script asks for."""
        yield from self._script(host, self.clock)


def cpu_in(
    script: Script,
    duration_us: int,
    *,
    guest: bool,
    boot_memory: tuple[int, ...] = (4 * GIB,),
    policy: type[Policy] = AutoMovable,
) -> float:
    """Return the seconds of CPU time between the marks of ``script``, run as any workload: by ``simulate``."""
    workload = Scripted(script, duration_us)
    machine = MachineSpec(tuple(NodeSpec(size) for size in boot_memory))
    spec = GuestSpec() if guest else None
    timed(lambda: simulate(machine, policy(), workload, Streams(1, 0), guest=spec))
    return workload.clock.seconds
