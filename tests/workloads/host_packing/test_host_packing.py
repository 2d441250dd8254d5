"""Virtual machines on a host: who goes where, who waits, who goes elsewhere, and that nothing is lost."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import simpy

from policies.fixed import OnlineKernel, OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from sim.units import GIB, KIB, MIB, MICROSECONDS
from tests.workloads.packed_host import HEADER, PackedHost, columns_of, written
from workloads.host_packing import HostPacking
from workloads.host_packing.placement import CHOICES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sim.guest.report import GuestReport

BARE: dict[str, Any] = {"reserve": 0, "vm_process": 0, "vcpu_process": 0, "thread_kernel": 0, "table_share": 0.0}
"""A VM costs nothing but its memory."""
AWAY = ("waiting", "elsewhere")


def _call(call: Callable[[PackedHost], None], host: PackedHost, _event: simpy.Event) -> None:
    call(host)


def packed(work: HostPacking, free: Sequence[int], at: Mapping[int, Any] | None = None) -> PackedHost:
    """Run ``work`` on a host; at each second of ``at`` call that with the host."""
    env = simpy.Environment()
    host = PackedHost(env, free)
    for second, call in (at or {}).items():
        env.timeout(second * MICROSECONDS).callbacks.append(partial(_call, call, host))
    env.run(until=env.process(work.run(host, Streams(1, 0))))
    return host


def seen(host: PackedHost) -> list[tuple[float, str, int, int]]:
    """Return second, load, GiB that it is to use, and node."""
    return [
        (at / MICROSECONDS, name, what[1] // GIB, host.nodes[name])  # type: ignore[index]
        for at, verb, name, what in host.calls
        if verb == "set_demand" and not name.endswith(("-kvm", "-process", "-threads"))
    ]


# Coming and going -------------------------------------------------------------------------------------------------


def test_vms_take_their_memory_leave_wait_and_go_elsewhere(tmp_path: Path) -> None:
    """Of 16 GiB: the second VM has to wait until the first has left, the third for longer than it likes."""
    path = written(tmp_path, "0,12,100", "10,8,100", "20,16,50", "30,2,10")
    work = HostPacking(
        path=path, columns=columns_of(memory="gib", arrival="t", lifetime="stay"), duration=300.0, patience=95.0, **BARE
    )

    host = packed(work, [16 * GIB])

    own = [call for call in seen(host) if not call[1].endswith(("waiting", "elsewhere"))]
    assert [call for call in own if call[2]] == [
        (0.0, "vm0-0", 12, 0),
        (30.0, "vm3-0", 2, 0),
        (100.0, "vm1-0", 8, 0),
    ]
    assert [(at, name) for at, name, size, _ in own if not size] == [
        (40.0, "vm3-0"),
        (100.0, "vm0-0"),
        (200.0, "vm1-0"),
    ]
    wishes = [(at / MICROSECONDS, name[3:], wanted // GIB) for at, name, wanted in host.wanted if name[3:] in AWAY]
    assert wishes == [
        (10.0, "waiting", 8),
        (20.0, "waiting", 24),
        (100.0, "waiting", 16),
        (115.0, "waiting", 0),
        (115.0, "elsewhere", 16),
        (165.0, "elsewhere", 0),
    ]
    tally = work.tally
    assert (tally.came, tally.ran, tally.waited, tally.elsewhere, tally.killed) == (4, 3, 2, 1, 0)
    assert host.loads == {}


class DeadSoon(PackedHost):
    """A host whose guest dies of the first demand."""

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        alive = super().set_demand(name, kind, amount, wanted=wanted, node=node)
        self.died = True
        return alive

    def report(self) -> GuestReport | None:  # type: ignore[override]  # of a dead guest there is none
        return None if self.died else super().report()


def test_who_comes_when_the_guest_has_just_died_is_not_served(tmp_path: Path) -> None:
    """Two come at one moment; of the first the guest dies, and the second finds nobody."""
    path = written(tmp_path, "10,8,100", "10,2,100")
    work = HostPacking(
        path=path, columns=columns_of(memory="gib", arrival="t", lifetime="stay"), duration=300.0, **BARE
    )
    env = simpy.Environment()
    host = DeadSoon(env, [16 * GIB])
    env.run(until=env.process(work.run(host, Streams(1, 0))))

    assert work.tally.ran == 1
    assert host.wanted[-1] == (0, "vm-waiting", 2 * GIB)


def test_room_that_comes_by_itself_is_taken_at_the_next_look(tmp_path: Path) -> None:
    path = written(tmp_path, "0,12,100")
    work = HostPacking(path=path, columns=columns_of(memory="gib", arrival="t", lifetime="stay"), duration=80.0, **BARE)

    def more(host: PackedHost) -> None:
        host.size[0] = 16 * GIB
        host.tell_of_change()

    host = packed(work, [8 * GIB], {33: more})

    assert [call for call in seen(host) if call[1] == "vm0-0"] == [(60.0, "vm0-0", 12, 0)]


def test_what_runs_a_vm_is_paid_for(tmp_path: Path) -> None:
    """On each of two nodes 8 GiB, 1/512 of it for tables, half of the process and of six threads, to the byte."""
    path = written(tmp_path, "A,0,4,16,2,", header=HEADER)
    work = HostPacking(path=path, nodes=[0, 1], lifetimes="fixed", gaps="fixed", gap=1.0, duration=10.0)

    process, threads = (38 + 4 * 8) * MIB // 2, 6 * 64 * KIB // 2
    enough = 8 * GIB + 16 * MIB + process + threads + 512 * MIB

    assert packed(work, [enough, enough - 1]).loads == {}
    host = packed(work, [enough, enough])

    assert host.loads == {
        f"vm0-{node}{part}": (kind, amount, node)
        for node in (0, 1)
        for part, kind, amount in (
            ("", "anonymous", 8 * GIB),
            ("-kvm", "page-tables", 16 * MIB),
            ("-process", "anonymous", process),
            ("-threads", "kernel", threads),
        )
    }


def test_memory_of_a_passed_through_device_is_pinned(tmp_path: Path) -> None:
    path = written(tmp_path, *["A,0,1,1,1,"] * 100, header=HEADER)
    options: dict[str, Any] = {"gaps": "fixed", "gap": 1.0, "lifetimes": "fixed", "duration": 101.0}
    none, some, every = (
        Counter(kind for kind, amount, _ in packed(work, [200 * GIB]).loads.values() if amount == GIB)
        for work in (HostPacking(path=path, pinned_share=share, **options) for share in (0.0, 0.25, 1.0))
    )
    assert none == {"anonymous": 100}
    assert every == {"pinned": 100}
    assert 15 <= some["pinned"] <= 35


def test_what_is_not_free_belongs_to_vms_that_stay(tmp_path: Path) -> None:
    path = written(tmp_path, "0,5,10", "1,4,10")
    work = HostPacking(
        path=path,
        columns=columns_of(memory="gib", arrival="t", lifetime="stay"),
        nodes=[1, 0],
        free=[5 * GIB, 4 * GIB],
        duration=5.0,
        **BARE,
    )

    host = packed(work, [16 * GIB, 8 * GIB])

    assert host.loads == {
        "vm-resident-1": ("anonymous", 3 * GIB, 1),
        "vm-resident-0": ("anonymous", 12 * GIB, 0),
        "vm0-1": ("anonymous", 5 * GIB, 1),
        "vm1-0": ("anonymous", 4 * GIB, 0),
    }


def test_a_vm_that_is_killed_stays_dead_and_wants_its_memory_until_it_would_have_left(tmp_path: Path) -> None:
    path = written(tmp_path, "0,8,100", "50,1,10")
    work = HostPacking(
        path=path, columns=columns_of(memory="gib", arrival="t", lifetime="stay"), duration=200.0, **BARE
    )

    host = packed(work, [16 * GIB], {20: lambda host: host.kill("vm0-0")})

    wishes = [(at / MICROSECONDS, wanted // GIB) for at, name, wanted in host.wanted if name == "vm0-0"]
    assert wishes == [(0.0, 8), (50.0, 8), (100.0, 0)]
    assert work.tally.killed == 1
    assert host.loads == {}


VARIANTS = 12
"""As many of the random hosts have different rules."""


def variant(path: str, number: int) -> HostPacking:
    rng = random.Random(number)  # noqa: S311  not for secrets
    nodes = 1 + number % 3
    return HostPacking(
        path=path,
        columns={**columns_of(memory="gib", arrival="t", lifetime="stay"), "nodes": "nodes", "sequence": "sequence"},
        nodes=list(range(nodes)),
        far_nodes=[nodes],
        far_share=rng.choice((0.0, 0.5, 1.0)),
        patience=rng.choice((0.0, 7.0, 1000.0)),
        choice=rng.choice(CHOICES),
        duration=100_000.0,
        **BARE,
    )


def test_of_1000_random_series_nothing_is_lost_and_nobody_gets_more_than_he_wants(tmp_path: Path) -> None:
    """Every VM runs or goes elsewhere, and leaves. Some hosts grow meanwhile, on some a VM is killed."""
    rng = random.Random(1)  # noqa: S311  not for secrets
    lines = []
    vms = [[rng.randrange(1, 25) for _ in range(rng.randrange(1, 8))] for _ in range(1000)]
    for sequence, sizes in enumerate(vms):
        at = 0
        for gib in sizes:
            at += rng.choice((0, rng.randrange(40)))
            lines.append(f"{sequence},{at},{gib},{rng.randrange(1, 4)},{rng.randrange(1, 121)}")
    path = written(tmp_path, *lines, header="sequence,t,gib,nodes,stay\n")
    works = [variant(path, number) for number in range(VARIANTS)]
    went = Counter[str]()

    def grow(host: PackedHost) -> None:
        host.size[0] += 30 * GIB
        host.tell_of_change()

    def kill(host: PackedHost) -> None:
        if host.loads:
            host.kill(min(host.loads))

    for sequence, sizes in enumerate(vms):
        work = works[sequence % VARIANTS].for_replication(sequence)
        free = [rng.randrange(31) * GIB for _ in range(2 + sequence % VARIANTS % 3)]
        at_60 = rng.choice(({}, {60: grow}, {30: kill}))
        host = packed(work, free, at_60)

        tally = work.tally
        assert host.least_free >= 0
        assert tally.came == len(sizes) == tally.ran + tally.elsewhere
        assert host.loads == {}, "all have left"
        assert not any(host.missing.values()), "nobody wants anything any more"
        used = Counter[str]()
        for _, verb, name, what in host.calls:
            if verb == "set_demand" and not name.endswith(AWAY):
                used[name.partition("-")[0]] += what[1]  # type: ignore[index]  # each load takes its memory once
        assert all(amount <= sizes[int(vm.removeprefix("vm"))] * GIB for vm, amount in used.items())
        went.update(ran=tally.ran, waited=tally.waited, elsewhere=tally.elsewhere, killed=tally.killed)
    assert min(went.values()) > 50, "all of it has come about"


# On the model of a host ---------------------------------------------------------------------------------------------


def test_two_policies_see_the_same_vms(tmp_path: Path) -> None:
    path = written(
        tmp_path, *[f"A,0,{size},{size},{1 + size // 8},,"[:-1] for size in (2, 8, 4, 2, 8)] * 4, header=HEADER
    )
    work = HostPacking(path=path, nodes=[0, 1], gap=600.0, duration=20_000.0, pinned_share=0.2)
    machine = MachineSpec((NodeSpec(16 * GIB), NodeSpec(16 * GIB, cpus=True)))
    came = [list(work.coming(Streams(1, 0))) for _ in range(2)]
    assert came[0] == came[1]
    runs = [
        simulate(machine, policy, work, Streams(1, 0), guest=GuestSpec())
        for policy in (OnlineMovable(), OnlineKernel())
    ]
    assert all((one == other).all() for one, other in zip(runs[0].guest.values(), runs[1].guest.values(), strict=True))
    assert work.tally.ran > 5
