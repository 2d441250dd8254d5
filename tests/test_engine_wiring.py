"""That every part of a cell gets what is meant for it: timing, machine, guest, log, and rehearsals all of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from policies.auto_movable import AutoMovable
from policies.fixed import OnlineKernel, OnlineMovable
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import simulate
from sim.kernel.diary import Decided
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE
from sim.record.device_group import STATIC_GROUP, dynamic_group
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.devices.books import check_result
from workloads.contract import Workload
from workloads.dimm_slots import DimmSlots

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import simpy

    from policies.contract import Foresight, Policy, ZoneRequest
    from sim.kernel.diary import Note
    from sim.memory.view import MemoryView
    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract

MACHINE = MachineSpec((NodeSpec(4 * GIB),))
SLOW = Timing(dimm_add=1_000_000)
SECOND = 1_000_000


class Steps(Workload):
    """Does one step a second, and notes in ``seen`` how many it had done when it began."""

    name: ClassVar[str] = "steps"
    summary: ClassVar[str] = "a step a second"

    def __init__(self, *steps: Callable[[Host], object], seconds: float = 100) -> None:
        self._steps, self._seconds = steps, seconds
        self.done = 0
        self.host: Host | None = None

    def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
        self.host = host
        for step in self._steps:
            yield host.env.timeout(SECOND)
            step(host)
            self.done += 1

    def duration(self) -> float:
        return self._seconds


# Rehearsals ----


class Rehearsing(OnlineMovable):
    """Has the run rehearsed twice under another policy, then goes on as online_movable."""

    def __init__(self, other: Policy) -> None:
        self._other = other
        self.rehearsed: list[RunResult] = []

    def foresee(self, foresight: Foresight) -> None:
        assert foresight.now() == 0
        self.rehearsed = [foresight.rehearse(self._other) for _ in range(2)]


def same(first: RunResult, second: RunResult) -> bool:
    samples = {name: values.tolist() for name, values in first.guest.items()}
    return (first.events.tolist(), first.counters, samples) == (
        second.events.tolist(),
        second.counters,
        {name: values.tolist() for name, values in second.guest.items()},
    )


@pytest.mark.parametrize("guest", [None, GuestSpec(sample_every=20.0)], ids=["no guest", "a guest"])
def test_a_rehearsal_is_the_run_that_would_have_been(guest: GuestSpec | None) -> None:
    """With its timing, its guest and the draws of its streams; and it takes nothing from the run after it."""
    load = DimmSlots(interval=10.0, duration=200.0)
    policy = Rehearsing(AutoMovable(ratio=20))
    run = simulate(MACHINE, policy, load, Streams(1, 0), timing=SLOW, guest=guest)
    expected = simulate(MACHINE, AutoMovable(ratio=20), load, Streams(1, 0), timing=SLOW, guest=guest)
    plain = simulate(MACHINE, OnlineMovable(), load, Streams(1, 0), timing=SLOW, guest=guest)
    assert len(expected.events) > 20
    assert [same(found, expected) for found in policy.rehearsed] == [True, True]
    assert same(run, plain)
    assert not same(run, expected)
    assert bool(run.guest) == (guest is not None)


def test_a_rehearsal_in_the_middle_of_the_run_begins_with_its_beginning() -> None:
    """By then the run has drawn from its streams and its workload has taken notes: copies have done neither."""
    later: list[RunResult] = []

    class Late(AutoMovable):
        def foresee(self, foresight: Foresight) -> None:
            self.foresight = foresight

        def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
            if not later and self.foresight.now() > 60 * SECOND:
                later.append(self.foresight.rehearse(OnlineKernel()))
            return super().zone_for(request, memory)

        def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> None:
            """Decide block by block."""

    class Noting(DimmSlots):
        began = 0

        def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
            assert self.began == 0
            self.began += 1
            yield from super().run(host, streams)

    simulate(MACHINE, Late(), Noting(interval=10.0, duration=200.0), Streams(1, 0), timing=SLOW)
    expected = simulate(MACHINE, OnlineKernel(), Noting(interval=10.0, duration=200.0), Streams(1, 0), timing=SLOW)
    assert [same(found, expected) for found in later] == [True]


def test_what_a_workload_notes_in_a_rehearsal_is_forgotten() -> None:
    class Once(Steps):
        def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
            assert self.done == 0
            yield from super().run(host, streams)

    load = Once(lambda host: host.plug(DimmSpec("d", GIB)))
    policy = Rehearsing(OnlineKernel())
    simulate(MACHINE, policy, load, Streams(1, 0))
    assert load.done == 1
    assert len(policy.rehearsed) == 2


# Time ----


def test_the_timing_is_the_one_that_was_given() -> None:
    result = simulate(MACHINE, OnlineMovable(), Steps(lambda host: host.plug(DimmSpec("d", GIB))), Streams(1, 0),
                      timing=SLOW)  # fmt: skip
    events = Events.of(result.events)
    assert events.t_us[events.of_kind(EventKind.PLUG)].tolist() == [9 * SECOND]
    assert result.duration_us == 100 * SECOND


def test_the_log_tells_the_time_of_each_decision() -> None:
    times: list[tuple[int, int]] = []

    def note(t_us: int, told: Note) -> None:
        assert isinstance(told, Decided)
        times.append((t_us, told.block))

    load = Steps(lambda host: host.plug(VirtioMemSpec("v", GIB, requested=256 * MIB)))
    simulate(MACHINE, AutoMovable(), load, Streams(1, 0), timing=Timing(virtio_mem_plug=7), log=note)
    assert times == [(SECOND + 7, 40), (SECOND + 14, 41)]


def test_the_guest_is_sampled_at_its_beat_and_at_the_end() -> None:
    """Five thousand samples a run: every 2 seconds of 10,000. With a period of one's own, that."""
    load = Steps(seconds=10_000)
    times = simulate(MACHINE, OnlineMovable(), load, Streams(1, 0), guest=GuestSpec()).guest["t_us"]
    assert times.tolist() == [*range(0, 10_000 * SECOND, 2 * SECOND), 10_000 * SECOND]
    own = simulate(MACHINE, OnlineMovable(), Steps(seconds=70), Streams(1, 0), guest=GuestSpec(sample_every=30.0))
    assert own.guest["t_us"].tolist() == [0, 30 * SECOND, 60 * SECOND, 70 * SECOND]


def test_caches_are_dropped_each_by_its_own_flag() -> None:
    """A file of 200 MiB is page cache: it stays when only slab is dropped, and goes when only page cache is."""
    load = Steps(
        lambda host: host.set_demand("file", "page-cache", 200 * MIB),
        lambda host: host.drop_caches(cache=False, slab=True),
        lambda host: host.drop_caches(cache=True, slab=False),
        seconds=4,
    )
    samples = simulate(MACHINE, OnlineMovable(), load, Streams(1, 0), guest=GuestSpec()).guest
    user = {int(t): int(pages) for t, pages in zip(samples["t_us"], samples["user"], strict=True)}
    before = user[0]
    assert [user[second * SECOND] - before for second in (1, 2, 3)] == [51_200, 51_200, 0]


# Counters and devices ----


def test_each_counter_counts_its_own() -> None:
    """Requests that the host refuses, operations that fail, blocks that refuse, decisions: a number of its own each."""
    load = Steps(
        lambda host: host.plug(DimmSpec("kept", 2 * 128 * MIB)),
        lambda host: host.set_demand("web", "kernel", 1300 * MIB),
        lambda host: host.unplug("kept"),
        lambda host: [host.unplug("nobody") for _ in range(7)],
        lambda host: [host.plug(DimmSpec(name, 100 * MIB)) for name in ("odd", "odder")],
        seconds=20,
    )
    machine = MachineSpec((NodeSpec(2 * GIB),))
    result = simulate(machine, AutoMovable(ratio=0), load, Streams(1, 0), guest=GuestSpec())
    # Both blocks of "kept" refuse, and the first again; each odd DIMM fails once, with its one range.
    assert result.counters == {
        "decisions": 2,
        "refused_offlines": 3,
        "failed_requests": 7,
        "failed_operations": 1 + 2,
        "streams_drawn": 0,
    }
    assert load.host is not None
    check_result(result, load.host)
    assert (result.device_names, result.device_groups) == (("kept", "odd", "odder"), (STATIC_GROUP,) * 3)


def test_what_is_known_of_devices_is_in_order() -> None:
    machine = MachineSpec((NodeSpec(2 * GIB), NodeSpec(2 * GIB)))

    def plug(host: Host) -> None:
        host.plug(VirtioMemSpec("v", GIB, node=1, block_size=256 * MIB))
        host.plug(DimmSpec("d", GIB))

    result = simulate(machine, AutoMovable(ratio=77), Steps(plug), Streams(1, 0))
    assert (result.device_names, result.device_nodes) == (("v", "d"), (1, 0))
    assert result.device_groups == (dynamic_group(65_536), STATIC_GROUP)
    assert (result.configured_ratio, result.block_pages) == (77, 32_768)


# The machine ----


@pytest.mark.parametrize(("kernel", "plugged"), [("5.15", 0), ("6.1", 2 * MIB)])
def test_drivers_are_those_of_the_machines_kernel(kernel: str, plugged: int) -> None:
    load = Steps(lambda host: host.plug(VirtioMemSpec("v", GIB, requested=2 * MIB)))
    simulate(MachineSpec((NodeSpec(4 * GIB),), kernel=kernel), OnlineMovable(), load, Streams(1, 0))
    assert load.host is not None
    assert load.host.plugged("v") == plugged


class Looking(AutoMovable):
    """Puts all into ZONE_MOVABLE and notes what it manages then."""

    def __init__(self) -> None:
        super().__init__()
        self.managed: list[int] = []

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        self.managed.append(memory.managed(request.node, ZONE_MOVABLE))
        return ZONE_MOVABLE


@pytest.mark.parametrize(
    ("word", "block", "managed"), [(False, 128, 32_768), (True, 128, 32_256), ("force", 64, 15_872)]
)
def test_memmap_on_memory_is_the_machines(word: bool | str, block: int, managed: int) -> None:  # noqa: FBT001
    """A block of 128 MiB hosts 512 pages of memmap; one of 64 MiB as many with ``force``, half of them unused."""
    size = block * MIB
    machine = MachineSpec((NodeSpec(4 * GIB),), block_size=size, section_size=size, kernel="6.8", memmap_on_memory=word)  # type: ignore[arg-type]
    policy = Looking()
    load = Steps(*(lambda host, n=n: host.plug(DimmSpec(f"d{n}", size)) for n in range(2)))
    simulate(machine, policy, load, Streams(1, 0))
    assert policy.managed == [0, managed]


@pytest.mark.parametrize(("nodes", "named"), [((0, 1), None), ((0, 2), 2), ((-1, 0), -1), ((1,), None)])
def test_a_workload_may_use_the_nodes_that_there_are(nodes: tuple[int, ...], named: int | None) -> None:
    class Where(Steps):
        def node_capacity(self) -> tuple[int, ...]:
            return nodes

    machine = MachineSpec((NodeSpec(4 * GIB), NodeSpec(0)))
    if named is None:
        simulate(machine, OnlineMovable(), Where(), Streams(1, 0))
    else:
        with pytest.raises(Exception, match=f"uses node {named}, but the machine has nodes 0 to 1"):
            simulate(machine, OnlineMovable(), Where(), Streams(1, 0))
