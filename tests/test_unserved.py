"""Demand not served: what is wished is the same under every policy, whoever is killed, and is used or not served."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

import pytest
import simpy

from policies.auto_movable import AutoMovable
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.guest.contract import DemandKind, OomKind
from sim.kernel.guest_link import GuestLink, GuestSpec
from sim.kernel.guest_samples import GuestSamples
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.events import Events
from sim.streams import Streams
from sim.units import GIB, KIB, MIB
from tests.kernel.linked_guest import linked
from tests.support.pages import PAGE_SIZE
from tests.support.reach import LONG, Reach
from tests.workloads.fake_host import FakeHost
from workloads.contract import Workload
from workloads.guest_load import GuestLoad
from workloads.guest_trace import GuestTrace
from workloads.load_trace import LoadTrace
from workloads.parts.together import Together
from workloads.parts.traces.kernel_relations import NO_RELATION, RELATIONS

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from sim.guest.report import GuestReport
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract

SECOND = 1_000_000
SECONDS = 60
POLICIES = (OnlineMovable, OnlineKernel, AutoMovable, Offline)
MACHINE = MachineSpec((NodeSpec(GIB),))


class Hardware(Workload):
    """Memory that comes and goes again, so that programs are killed for each of the reasons."""

    name = "hardware"
    summary = "up and down"

    def duration(self) -> float:
        return SECONDS

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        host.plug(DimmSpec("d", GIB))
        host.plug(VirtioMemSpec("v", 2 * GIB))
        for size in (2 * GIB, 0, GIB, 0):
            host.resize("v", size)
            yield host.env.timeout(13 * SECOND)
            host.unplug("d")


def load(rng: random.Random, folder: Path) -> Workload:
    """Return programs of a random shape and kind, or of a file."""
    if not rng.randrange(4):
        return recorded(rng, folder)
    if not rng.randrange(3):
        names = [("a", "anonymous"), ("b", "page-tables"), ("t", "tmpfs"), ("p", "processes"), ("s", "sockets")]
        lines = ["t_s,kind,name,amount"]
        for second in range(0, SECONDS - 1, 2):
            name, kind = rng.choice(names)
            amount = rng.randrange(9) * (2000 if DemandKind(kind).in_pieces else 200 * MIB)
            lines.append(f"{second},{kind},{name},{amount}")
        path = folder / f"{rng.random()}.csv"
        path.write_text("\n".join(lines), "utf-8")
        return LoadTrace(path=str(path), rate=rng.choice((0, 100 * MIB)), tail=1.0)
    shape = rng.choice(("constant", "ramp", "steps", "bursts"))
    return GuestLoad(
        shape=shape,
        kind=rng.choice(("anonymous", "tmpfs")),
        size=rng.randrange(1, 9) * 256 * MIB,
        rate=rng.choice((0, 50 * MIB, 333 * KIB * 100)) or (20 * MIB if shape == "ramp" else 0),
        kernel_share=rng.choice((0.0, 0.3)),
        cache_share=rng.choice((0.0, 0.2)),
        burst_gap=5.0,
        burst_length=9.0,
        jitter=0.5,
        processes=rng.choice((1, 3)),
        stagger=4.0,
        tick=0.25,
        duration=SECONDS,
    )


def recorded(rng: random.Random, folder: Path) -> Workload:
    """Return what a random machine used, which tells of its kernel memory or not."""
    told = rng.sample(["page_cache", "slab_reclaimable", "slab_unreclaimable", "page_tables", "kernel_stacks"], 2)
    lines = [",".join(["t", "user", *told])]
    for second in range(0, SECONDS - 1, 3):
        amounts = [rng.choice((0, 400, 900, 1800)), *(rng.choice((0, 20, 100, 600)) for _ in told)]
        lines.append(",".join(map(str, [second, *amounts])))
    path = folder / f"{rng.random()}.csv"
    path.write_text("\n".join(lines), "utf-8")
    return GuestTrace(
        path=str(path),
        columns={"time": "t", **{name: {"column": name, "unit": MIB} for name in ("user", *told)}},
        kernel=rng.choice((NO_RELATION, *RELATIONS)),
        includes_system=rng.choice((True, False)),
        programs=rng.choice((1, 4)),
        rate=rng.choice((0, 100 * MIB)),
        restart=rng.choice((0.0, 2.5, 10.0)),
        tail=2.0,
    )


@cache
def booted() -> GuestReport:
    """Return what the guest of the machine reports when it has booted."""
    look = Look()
    simulate(MACHINE, Offline(), look, Streams(0, 0), guest=GuestSpec())
    assert look.report is not None
    return look.report


class Look(Workload):
    """One look at the guest."""

    name = "look"
    summary = "one look"
    report: GuestReport | None = None

    def duration(self) -> float:
        return 1.0

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        self.report = host.report()
        yield host.env.timeout(0)


def wished(workload: Workload, seed: int) -> list[tuple[int, int]]:
    """Return (microsecond, bytes wished from then on), each load's amount added up plainly, where nobody is killed."""
    env = simpy.Environment()
    host = FakeHost(env)
    host.figures = booted()
    env.run(until=env.process(workload.run(host, Streams(seed, 0))))
    kinds = {name: what[0] for _, _, name, what in host.calls if isinstance(what, tuple) and isinstance(what[0], str)}
    parameters = linked()[0].model.parameters
    now: dict[str, int] = {}
    at: dict[int, int] = {}
    for t, name, amount in host.wanted:
        kind = DemandKind(kinds[name])
        now[name] = amount if kind.in_pieces else amount // PAGE_SIZE
        at[t] = sum(units * parameters.unit_bytes(DemandKind(kinds[load])) for load, units in now.items())
    return [change for change in at.items() if change[0] < SECONDS * SECOND]


def steps(changes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out what changes nothing."""
    return [change for before, change in zip([(0, 0), *changes], changes, strict=False) if before[1] != change[1]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """(microsecond, bytes used, bytes not served) at each sample, the former counted anew from all loads."""
    found: list[tuple[int, int, int]] = []
    take = GuestSamples.take
    kinds: dict[str, str] = {}
    demand = GuestLink.set_demand

    def counted(samples: GuestSamples) -> None:
        take(samples)
        model = samples._model  # noqa: SLF001
        size = model.parameters.unit_bytes
        used = sum(
            round(model.loads[name].units) * size(DemandKind(kind))
            for name, kind in kinds.items()
            if name in model.loads and not model.killer.guest_died
        )
        found.append((int(samples._env.now), used, samples._wishes.unserved))  # noqa: SLF001

    def known(link: GuestLink, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        kinds[name] = kind
        return demand(link, name, kind, amount, wanted=wanted, node=node)

    monkeypatch.setattr(GuestSamples, "take", counted)
    monkeypatch.setattr(GuestLink, "set_demand", known)
    return found


REACH = Reach({"kernel": 5, "guest full": 10, "return": 5, "death": 5, "nobody": 5, "not served": 30, "pieces": 3})


def test_what_is_wished_is_used_or_not_served_under_every_policy(
    tmp_path: Path, seen: list[tuple[int, int, int]]
) -> None:
    for seed in range(150 if LONG else 25):
        rng = random.Random(seed)  # noqa: S311  nothing is kept secret
        programs = load(rng, tmp_path)
        expected = steps(wished(Together(parts=[programs, Hardware()]), seed))
        for policy in POLICIES:
            seen.clear()
            both = Together(parts=[programs, Hardware()])
            result = simulate(MACHINE, policy(), both, Streams(seed, 0), guest=GuestSpec())
            last = dict[int, int]()
            for t, used, unserved in seen:
                assert unserved >= 0
                last[t] = used + unserved
            assert steps(list(last.items())) == expected, (seed, policy.name)
            ooms = Events.of(result.events)
            for kind in OomKind:
                REACH(kind.shown, bool(ooms.ooms(kind).any()))
            REACH("death", ooms.death is not None)
            REACH("nobody", not ooms.ooms().any())
            REACH("not served", bool(result.guest["unserved"].any()))
            REACH("pieces", any(row % PAGE_SIZE for _, row in expected))
    REACH.check()
