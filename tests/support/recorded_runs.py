"""Runs of any shipped workload on any machine, whose requests are recorded and replayed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from policies.as_shipped import SHIPPED
from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.fixed import OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.udev import Udev
from sim.devices.specs import DAX_STATES, ONLINE_WORDS, DaxSpec, DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.faults import MemhpSimError
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import PROFILES, Timing
from sim.machine.cold_devices import devices_at_first
from sim.machine.spec import ColdDimms, MachineSpec, NodeSpec
from sim.plugins import lookup
from sim.streams import Streams
from sim.units import GIB, MIB
from workloads.contract import Host, Workload
from workloads.contract import Streams as StreamsContract
from workloads.demand_trace import DemandTrace
from workloads.dimm_slots import DimmSlots
from workloads.grow_and_return import GrowAndReturn
from workloads.guest_load import GuestLoad
from workloads.guest_trace import GuestTrace
from workloads.host_packing import HostPacking
from workloads.load_trace import LoadTrace
from workloads.parts.controllers.controller import Controller
from workloads.parts.demand import BYTE_KINDS, KINDS
from workloads.parts.requests.recording import Recorded
from workloads.parts.requests.writer import csv_lines, jsonl_lines
from workloads.parts.together import Together
from workloads.random_mix import RandomMix
from workloads.request_replay import RequestReplay
from workloads.scheduled import Scheduled
from workloads.steps import Steps
from workloads.virtio_mem_resize import VirtioMemResize

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import simpy

    from policies.contract import Policy
    from sim.record.run_result import RunResult


def dice(number: int) -> Random:
    """Return what draws the same for the same number."""
    return Random(number)  # noqa: S311 - nothing is secret here


NAMES = ("a", "dimm/1", "Größe, 100 %", 'say "no"', "#5", "メモリ", "a;b'c", "👩‍💻")


class Anything(Workload):
    """Asks for anything, possible or not, several things in one microsecond and in one go among it."""

    name: ClassVar[str] = "anything"
    summary: ClassVar[str] = "whatever a host can be asked"

    def __init__(self, number: int, *, kernel: tuple[int, int], ends_run: bool) -> None:
        self._number = number
        self._kernel = kernel
        self._names: list[str] = []
        self.ends_run = ends_run  # type: ignore[misc]

    def duration(self) -> float:
        return 60.0

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        random = dice(self._number)
        self._names = ["a", *random.sample(NAMES, 2)]
        for _ in range(random.randint(1, 60)):
            self._ask(host, random)
            match random.randrange(5):
                case 0:
                    yield host.env.timeout(random.choice((1, 9_000, 250_000, 1_000_000, random.randrange(2_000_000))))
                case 1:
                    yield host.env.timeout(0)
                case 2:
                    yield host.changed() | host.env.timeout(1_000_000)
                case 3:
                    yield host.env.process(self._aside(host, random))
                case _:
                    host.report()

    def _aside(self, host: Host, random: Random) -> Generator[simpy.Event, object, None]:
        self._ask(host, random)
        yield host.env.timeout(random.choice((0, 0, 9_000)))

    def _ask(self, host: Host, random: Random) -> None:
        name = random.choice(self._names)
        match random.randrange(13):
            case 0 | 1:
                host.plug(self._device(name, random))
            case 2:
                host.unplug(name)
            case 3:
                host.keep(name)
            case 4 | 5:
                host.resize(name, random.choice((0, 128 * MIB, 512 * MIB, GIB, 3 * MIB, -MIB, 64 * GIB)))
            case 6 | 7 | 8:
                kind = random.choice((*KINDS, "anonymous", "anonymous", "no kind"))
                most = 700 * MIB if kind in BYTE_KINDS else 3000
                amount = random.choice((0, random.randint(-1, most), most))
                wanted = random.choice((None, 2 * most))
                host.set_demand(name, kind, amount, wanted=wanted, node=random.choice((0, 0, 0, 1, 9)))
            case 9:
                host.drop_caches(cache=random.random() < 0.5, slab=random.random() < 0.5)
            case 11:
                host.online_memory(name, random.choice((*ONLINE_WORDS, "offline")))
            case 10 if self._kernel >= (7, 3):
                host.set_dax_state(name, random.choice((*DAX_STATES, "sideways")))
            case _:
                random.choice((host.unbind, host.bind))(name)

    def _device(self, name: str, random: Random) -> DimmSpec | VirtioMemSpec | DaxSpec:
        node = random.choice((0, 0, 1, 7))
        address = random.choice((None, None, 64 * GIB, 65 * GIB, 3 * GIB))
        size = random.choice((128 * MIB, 256 * MIB, 384 * MIB, GIB, 0, -GIB))
        ranges, gap = random.choice((((), 0), ((256 * MIB, 128 * MIB), 128 * MIB)))
        size = sum(ranges) or size
        match random.randrange(3):
            case 0:
                return DimmSpec(name, size, node, address, random.choice((None, None, 3, 4)), ranges, gap)
            case 1:
                return DaxSpec(name, size, node, address, random.random() < 0.2, random.random() < 0.2, ranges, gap)
            case _:
                block = random.choice((2 * MIB, 8 * MIB, 256 * MIB, 3 * MIB))
                return VirtioMemSpec(
                    name,
                    random.choice((GIB, 2 * GIB, 3 * GIB + MIB)),
                    node,
                    block,
                    random.choice((0, 256 * MIB, 4 * GIB)),
                    address,
                    unplug_online=random.random() < 0.8,
                    force_bbm=random.random() < 0.2,
                    bbm_block_size=random.choice((0, 0, 256 * MIB)),
                )


@dataclass
class Case:
    """One run."""

    machine: MachineSpec
    policy: Callable[[], Policy]
    workload: Callable[[], Workload]
    seed: int
    replication: int
    timing: Timing
    guest: GuestSpec | None = None
    about: str = field(default="", compare=False)

    def simulate(self, workload: Workload) -> RunResult:
        return simulate(
            self.machine,
            self.policy(),
            workload,
            Streams(self.seed, self.replication),
            timing=self.timing,
            guest=self.guest,
        )

    def recorded(self) -> tuple[RunResult, Recorded]:
        workload = Recorded(self.workload(), devices_at_first(self.machine))
        return self.simulate(workload), workload


POLICIES: tuple[Callable[[], Policy], ...] = (
    AutoMovable,
    ContigZones,
    OnlineKernel,
    OnlineMovable,
    Headroom,
    lambda: Udev(delay=0.0),
    lambda: Udev(state="online_movable", delay=0.0),
    *(shipped.policy for shipped in SHIPPED.values()),
)


def demand(random: Random) -> Workload:
    """Programs that need more than there is, for a while."""
    shape = random.choice(("bursts", "steps", "ramp"))
    return GuestLoad(shape=shape, size=random.choice((1, 2, 6)) * GIB, rate=256 * MIB, duration=120.0, tick=0.5)


def controllers() -> list[type[Controller]]:
    """Every shipped workload that looks at the guest and asks its host."""
    shipped = [lookup.find(lookup.WORKLOAD, name).cls for name in lookup.names(lookup.WORKLOAD)]
    return [cls for cls in shipped if issubclass(cls, Controller)]


def beside_demand(cls: type[Controller], number: int) -> Workload:
    """Return a controller, as it is by default, together with what it looks at."""
    return Together(parts=[cls(**OPTIONS.get(cls.name, {})), demand(dice(number))], names=[cls.name, "größer, ja"])


def workloads(random: Random, folder: Path, kernel: tuple[int, int]) -> dict[str, Callable[[], Workload]]:
    """Everything that is shipped, short enough to be run often."""
    draw = random.randrange(1 << 30)
    loads, sizes = folder / f"loads{draw}.csv", folder / f"sizes{draw}.csv"
    loads.write_text(
        "t_s,kind,name,amount\n0,database,db,1GiB\n1,workers,w,40\n5,disk-files,b,90000\n9,drop-caches,,3\n12,database,db,0\n"
    )
    sizes.write_text("t_s,mib\n0,900\n10,3000\n20,6000\n30,500\n40,400\n")
    used, vms = folder / f"used{draw}.csv", folder / f"vms{draw}.csv"
    used.write_text("t_s,mib,cache\n0,300,100\n20,2500,900\n40,5000,200\n60,400,300\n")
    vms.write_text("gib\n" + "1\n2\n1\n" * 5)
    removal = random.choice(("random", "oldest", "newest"))
    choices: dict[str, Callable[[], Workload]] = {
        "anything": lambda: Anything(draw, kernel=kernel, ends_run=bool(draw % 2)),
        "dimm-slots": lambda: DimmSlots(
            sizes=[GIB], nodes=[0, 1], removal=removal, interval=9.0, duration=300.0, ask_again=bool(draw % 2)
        ),
        "virtio-mem-resize": lambda: VirtioMemResize(
            shape="bursts", devices=2, maximum=4 * GIB, period=60.0, duration=300.0, nodes=[0, 1]
        ),
        "random-mix": lambda: RandomMix(nodes=[0, 1], duration=600.0, ask_again=bool(draw % 2)),
        "grow-and-return": lambda: GrowAndReturn(spread=2.0),
        "guest-load": lambda: demand(dice(draw)),
        "load-trace": lambda: LoadTrace(path=str(loads), tail=20.0),
        "demand-trace": lambda: DemandTrace(
            path=str(sizes), columns={"time": "t_s", "user": {"column": "mib", "unit": MIB}}, hold=5.0, tail=20.0
        ),
        "guest-trace": lambda: GuestTrace(
            path=str(used),
            columns={
                "time": "t_s",
                "user": {"column": "mib", "unit": MIB},
                "page_cache": {"column": "cache", "unit": MIB},
            },
            programs=2,
            tick=1.0,
            tail=10.0,
        ),
        "host-packing": lambda: HostPacking(
            path=str(vms),
            columns={"memory": {"column": "gib", "unit": GIB}},
            gap=10.0,
            lifetimes="fixed",
            lifetime=40.0,
            duration=200.0,
        ),
        "scheduled": lambda: Scheduled(sizes=[("00:00", GIB), ("00:02", 0), ("00:03", 2 * GIB)], duration=400.0),
        "steps": lambda: Steps(
            steps=[
                "plug dimm:1GiB,id=d",
                "plug virtio-mem:2GiB,id=v",
                "demand anonymous:3GiB,id=l",
                "resize v:0",
                "unplug d",
            ]
        ),
        "request-replay": lambda: RequestReplay(log="sail-2026", speed=3.0),
    }
    for cls in controllers():
        choices[cls.name] = partial(beside_demand, cls, draw)
    return choices


OPTIONS: dict[str, dict[str, Any]] = {}
"""By controller: what it needs beside its defaults."""


def case(number: int, folder: Path) -> Case:
    """Return run ``number``, always the same."""
    random = dice(number)
    series = random.choice(("5.15", "6.1", "6.12", "7.3"))
    machine = MachineSpec(
        (NodeSpec(random.choice((1, 2, 4)) * GIB), NodeSpec(random.choice((0, GIB)))),
        kernel=series,
        slots=random.choice((2, 8, 256)),
        block_size=random.choice((0, 128 * MIB, 256 * MIB)),
        memmap_on_memory=random.random() < 0.2,
        movable_node=random.random() < 0.2,
        cold_dimms=random.choice(((), (ColdDimms(256 * MIB, count=2),))),
        cold_devices=random.choice(((), (VirtioMemSpec("a", 2 * GIB, requested=512 * MIB),))),
    )
    major, _, minor = series.partition(".")
    choices = workloads(random, folder, (int(major), int(minor)))
    # Every kind in turn, with what anybody can ask oftener.
    kinds = [*choices, "anything", "anything"]
    kind = kinds[number % len(kinds)]
    # Work that takes no time is done at the microsecond of its request, between two requests of that moment.
    timing = random.choice(
        (Timing(), Timing.instant(), PROFILES["qemu-bare"].timing(), Timing(dimm_add=250_000, virtio_mem_plug=250_000))
    )
    guest = None
    if (
        kind in {cls.name for cls in controllers()} | {"guest-load", "guest-trace", "host-packing"}
        or random.random() < 0.7
    ):
        guest = GuestSpec(sample_every=random.choice((0.0, 0.5)), draw=random.random() < 0.3)
    about = f"run {number}: {kind} on Linux {series}, {'a guest' if guest else 'no guest'}"
    return Case(machine, random.choice(POLICIES), choices[kind], number, number % 3, timing, guest, about)


def run_and_replay(number: int, folder: Path) -> tuple[Case, RunResult, RunResult, Recorded]:
    """Run case ``number``, write its log, and replay it. Raises what the run itself raises."""
    this = case(number, folder)
    result, recorded = this.recorded()
    form = "jsonl" if number % 2 else "csv"
    lines = jsonl_lines if number % 2 else csv_lines
    path = folder / f"log{number}.{form}"
    path.write_text("".join(lines(recorded.log, this.about)), "utf-8")
    return this, result, this.simulate(RequestReplay(path=str(path))), recorded


def differences(one: RunResult, other: RunResult) -> list[str]:
    """Return in what two runs differ, bytes of tables above all; the number of random draws is no matter."""
    wrong = []
    if one.events.tobytes() != other.events.tobytes():
        first = next(
            (
                number
                for number, rows in enumerate(zip(one.events, other.events, strict=False))
                if (rows[0] != rows[1]).any()
            ),
            min(len(one.events), len(other.events)),
        )
        wrong.append(f"event {first}: {one.events[first : first + 2]} {other.events[first : first + 2]}")
    if list(one.guest) != list(other.guest):
        wrong.append("columns of the guest")
    wrong += [f"guest {name}" for name in one.guest if one.guest[name].tobytes() != other.guest[name].tobytes()]
    for name in (
        "device_names",
        "device_nodes",
        "device_groups",
        "duration_us",
        "boot",
        "configured_ratio",
        "guest_drawn",
    ):
        if getattr(one, name) != getattr(other, name):
            wrong.append(f"{name}: {getattr(one, name)} {getattr(other, name)}")
    counters = [{**run.counters, "streams_drawn": 0} for run in (one, other)]
    if counters[0] != counters[1]:
        wrong.append(f"counters: {counters}")
    return wrong


__all__ = ["MemhpSimError", "case", "controllers", "differences", "run_and_replay"]
