"""Loads in the guest: shapes, rates, shares, kills; made up or from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestLink, GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.plugins.parameters import ParameterError
from sim.record.events import Events
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.pages import PAGE_SIZE
from tests.support.reach import Reach
from tests.workloads.fake_host import FakeHost, calls
from workloads.contract import Workload
from workloads.guest_load import GuestLoad
from workloads.load_trace import LoadTrace
from workloads.parts.demand import GuestProcess, drive
from workloads.parts.together import Together

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from sim.record.run_result import RunResult
    from workloads.contract import Host
    from workloads.contract import Streams as StreamsContract

SECOND = 1_000_000


def amounts(workload: Workload, load: str = "load0", seed: int = 1) -> list[tuple[int, int]]:
    """Return (microsecond, amount) of each demand of a load."""
    return [
        (at, what[1])
        for at, verb, name, what in calls(workload, seed=seed)
        if verb == "set_demand" and name == load and isinstance(what, tuple)
    ]


def in_guest(workload: Workload, boot_memory: int = GIB) -> RunResult:
    machine = MachineSpec(nodes=(NodeSpec(boot_memory),))
    return simulate(machine, OnlineMovable(), workload, Streams(1, 0), guest=GuestSpec())


# Shapes ----------------------------------------------------------------------------------------------


def test_constant_takes_all_at_once() -> None:
    found = amounts(GuestLoad(size=GIB, start=3.0, duration=10.0))

    assert found[0] == (3 * SECOND, GIB)
    assert {amount for _, amount in found} == {GIB}


def test_a_ramp_keeps_to_its_rate_in_ticks() -> None:
    found = amounts(GuestLoad(shape="ramp", size=100 * MIB, rate=40 * MIB, start=1.0, tick=0.25, duration=10.0))

    growth = [(1 * SECOND + number * SECOND // 4, min(number * 10, 100) * MIB) for number in range(1, 11)]
    assert found[: len(growth)] == growth
    assert {amount for _, amount in found[len(growth) :]} <= {100 * MIB}


def test_steps_come_at_their_times_and_at_their_rate() -> None:
    load = GuestLoad(shape="steps", size=5 * MIB, step=2 * MIB, rate=4 * MIB, interval=2.0, tick=0.5, duration=8.0)

    assert amounts(load) == [
        (2_500_000, 2 * MIB),
        (4_500_000, 4 * MIB),
        (6_500_000, 5 * MIB),
    ]


def test_a_step_that_is_due_before_the_last_is_reached_goes_on_from_there() -> None:
    load = GuestLoad(shape="steps", size=30 * MIB, step=10 * MIB, rate=5 * MIB, interval=1.0, tick=1.0, duration=20.0)

    assert amounts(load)[:6] == [((2 + number) * SECOND, 5 * (1 + number) * MIB) for number in range(6)]


def test_bursts_come_and_go() -> None:
    found = amounts(GuestLoad(shape="bursts", size=GIB, step=256 * MIB, burst_gap=20, burst_length=5, duration=2000))

    levels = {amount for _, amount in found}
    assert levels == {0, 256 * MIB, 512 * MIB, 768 * MIB, GIB}
    assert 60 < sum(amount == 0 for _, amount in found) < 100


def test_the_end_gives_everything_back() -> None:
    found = amounts(GuestLoad(shape="ramp", size=GIB, rate=MIB, start=1.0, end=5.0, duration=10.0))

    assert found[-1] == (5 * SECOND, 0)
    assert max(amount for _, amount in found) < 5 * MIB


def test_several_programs_start_one_after_the_other() -> None:
    load = GuestLoad(size=MIB, processes=3, stagger=2.0, start=1.0, duration=10.0)

    assert [amounts(load, f"load{number}")[0] for number in range(3)] == [
        ((1 + 2 * number) * SECOND, MIB) for number in range(3)
    ]


def test_programs_run_on_their_nodes_in_turn_with_all_of_their_parts() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    load = GuestLoad(size=MIB, processes=5, nodes=[1, 0, 2], kernel_share=0.5, duration=1.0)
    env.run(until=env.process(load.run(host, Streams(1, 0))))
    assert [host.nodes[f"load{number}"] for number in range(5)] == [1, 0, 2, 1, 0]
    assert all(host.nodes[f"load{number}-kernel"] == host.nodes[f"load{number}"] for number in range(5))
    assert load.node_capacity() == (0, 1, 2)


@pytest.mark.parametrize(
    ("nodes", "used"), [((), [GIB // 2, 0]), ((1,), [0, GIB // 2]), ((0, 1), [GIB // 4, GIB // 4])]
)
def test_a_program_takes_memory_of_the_node_that_it_runs_on(nodes: tuple[int, ...], used: list[int]) -> None:
    links: list[GuestLink] = []

    class Look(Workload):
        name = "look"
        summary = "looks at the guest"

        def run(self, host: Host, streams: StreamsContract) -> Generator[simpy.Event, object, None]:
            yield host.env.timeout(5 * SECOND)
            links.append(host._host._guest)  # type: ignore[attr-defined]  # noqa: SLF001

        def duration(self) -> float:
            return 10.0

    given: dict[str, Any] = {"nodes": nodes} if nodes else {}
    programs = GuestLoad(size=GIB // 4, processes=2, duration=10.0, **given)
    machine = MachineSpec((NodeSpec(2 * GIB), NodeSpec(2 * GIB)))
    simulate(machine, OnlineMovable(), Together(parts=[programs, Look()]), Streams(1, 0), guest=GuestSpec())
    loads = links[0].model.loads
    found = [0, 0]
    for load in loads.values():
        for zone, pages in load.user.items():
            found[zone.node] += pages * PAGE_SIZE
    assert found == used


def test_shares_make_up_the_whole() -> None:
    load = GuestLoad(size=100 * MIB, kernel_share=0.25, kernel_kind="pinned", cache_share=0.5, duration=1.0)

    asked = {name: what for _, verb, name, what in calls(load) if verb == "set_demand"}
    assert asked == {
        "load0": ("anonymous", 25 * MIB),
        "load0-kernel": ("pinned", 25 * MIB),
        "load0-cache": ("page-cache", 50 * MIB),
    }


def test_pieces_are_counted_not_measured() -> None:
    found = calls(GuestLoad(kind="processes", shape="ramp", size=3, rate=1, tick=1.0, duration=5.0))

    assert [what for _, _, _, what in found] == [("processes", number) for number in (1, 2, 3)]


@pytest.mark.parametrize(("number", "cache", "slab"), [(1, True, False), (2, False, True), (3, True, True)])
def test_caches_are_dropped_as_often_as_asked(number: int, cache: bool, slab: bool) -> None:  # noqa: FBT001
    found = [
        call for call in calls(GuestLoad(drop_caches=number, drop_every=2.0, duration=9.0)) if call[1] != "set_demand"
    ]

    assert found == [(2 * turn * SECOND, "drop_caches", "", (cache, slab)) for turn in range(1, 5)]


def test_without_a_guest_nothing_is_asked() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    host.available = None
    load = GuestLoad(drop_caches=3)

    env.run(until=env.process(load.run(host, Streams(1, 0))))

    assert (host.calls, env.now) == ([], 0)


# Kills ----------------------------------------------------------------------------------------------


def test_a_killed_program_stays_away_and_is_counted() -> None:
    load = GuestLoad(shape="ramp", size=4 * GIB, rate=256 * MIB, duration=60.0)
    result = in_guest(load)

    assert load.kills == 1
    assert result.guest["user"][-1] == 0
    assert 700 * MIB < int(result.guest["user"].max()) * PAGE_SIZE < GIB


def test_a_program_goes_with_any_of_its_parts() -> None:
    load = GuestLoad(shape="ramp", size=2 * GIB, rate=64 * MIB, kernel_share=0.9, duration=120.0)
    result = in_guest(load)

    assert load.kills == 1
    assert result.guest["user"][-1] == 0
    assert int(result.guest["kernel"][-1] - result.guest["kernel"][0]) == 0


def test_a_victim_that_wants_nothing_new_is_noticed() -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    load = GuestLoad(size=MIB, processes=2, kernel_share=0.5, duration=60.0)

    def killer() -> object:
        yield env.timeout(10 * SECOND)
        host.dead.add("load1-kernel")

    env.process(killer())  # type: ignore[arg-type]  # a generator
    env.run(until=env.process(load.run(host, Streams(1, 0))))

    assert load.kills == 1
    after = [call for call in host.calls if call[0] > 11 * SECOND]
    assert {name for _, _, name, _ in after} == {"load0", "load0-kernel"}
    assert ("load1", ("anonymous", 0)) in [(name, what) for _, _, name, what in host.calls]


def test_a_burst_starts_a_killed_program_anew() -> None:
    load = GuestLoad(shape="bursts", size=2 * GIB, step=2 * GIB, burst_gap=30, burst_length=10, duration=600.0)
    result = in_guest(load)

    assert load.kills > 5
    assert Events.of(result.events).death is None


def test_kernel_memory_without_an_owner_kills_the_guest() -> None:
    result = in_guest(GuestLoad(kind="kernel", shape="ramp", size=2 * GIB, rate=100 * MIB, duration=60.0))

    assert Events.of(result.events).death is not None


REACH = Reach({"more": 30, "less": 10, "reached": 10, "not reached in time": 1, "at any rate": 3, "nothing to do": 1})


@REACH.test()
@given(
    st.lists(st.tuples(st.integers(1, 5_000_000), st.integers(0, 50)), min_size=3, max_size=8) | st.just([]),
    st.integers(0, 8),
    st.integers(50_000, 700_000),
)
def test_memory_never_comes_faster_than_the_rate_or_beyond_the_target(
    moves: list[tuple[int, int]], rate: int, tick_us: int
) -> None:
    targets, now = [], 0
    for wait, amount in moves:
        now += wait
        targets.append((now, amount * MIB))
    end = now + 10 * SECOND
    env = simpy.Environment()
    host = FakeHost(env)
    process = GuestProcess(host, [("p", "anonymous", 1.0)])

    env.run(until=env.process(drive(host, process, iter(targets), rate=rate * MIB, tick_us=tick_us, end_us=end)))

    before = (0, 0)
    for at, _, _, what in host.calls:
        assert isinstance(what, tuple)
        amount = what[1]
        # At the very moment at which a target gives way to the next, both count.
        now_wanted = [target for since, target in targets if since <= at][-1]
        before_wanted = [0, *(target for since, target in targets if since < at)][-1]
        assert amount <= max(now_wanted, before_wanted)
        if rate:
            assert amount - before[1] <= rate * MIB * (at - before[0]) / SECOND + 1
        REACH("more" if amount > before[1] else "less")
        before = (at, amount)
    if targets and (not rate or rate * 10 >= targets[-1][1] // MIB):
        assert before[1] == targets[-1][1]
    REACH("nothing to do" if not targets else "reached" if before[1] == targets[-1][1] else "not reached in time")
    REACH("at any rate", rate == 0)


# From a file ----------------------------------------------------------------------------------------------


def trace(folder: Path, text: str, **more: float) -> LoadTrace:
    path = folder / "load.csv"
    path.write_text(text, "utf-8")
    return LoadTrace(path=str(path), **more)  # type: ignore[arg-type]  # rates are whole numbers


def test_a_file_says_what_is_used_and_when(tmp_path: Path) -> None:
    load = trace(
        tmp_path,
        """# An example.
        t_s,kind,name,amount,note
        0,anonymous,db,512MiB,
        1.5,processes,workers,200,
        2,drop-caches,,3,
        4,anonymous,db,0,done
        """,
        tail=6.0,
    )

    assert load.duration() == 10.0
    assert calls(load)[:4] == [
        (0, "set_demand", "db", ("anonymous", 512 * MIB)),
        (1_500_000, "set_demand", "workers", ("processes", 200)),
        (2_000_000, "drop_caches", "", (True, True)),
        (4_000_000, "set_demand", "db", ("anonymous", 0)),
    ]


def test_a_file_at_a_rate_and_faster(tmp_path: Path) -> None:
    text = "t_s,kind,name,amount\n0,tmpfs,a,10MiB\n8,tmpfs,a,20MiB\n"
    load = trace(tmp_path, text, rate=10 * MIB, speed=2.0, tick=0.5, tail=10.0)

    found = amounts(load, "a")
    assert found[:2] == [(500_000, 5 * MIB), (1_000_000, 10 * MIB)]
    assert (4_500_000, 15 * MIB) in found
    assert found[-1][1] == 20 * MIB


def test_a_killed_load_comes_back_after_it_was_set_to_nothing(tmp_path: Path) -> None:
    rows = "0,anonymous,big,4GiB\n10,anonymous,big,1GiB\n20,anonymous,big,0\n30,anonymous,big,100MiB\n"
    load = trace(tmp_path, f"t_s,kind,name,amount\n{rows}")
    result = in_guest(load)

    times, user = result.guest["t_us"], result.guest["user"]
    assert load.kills == 1
    assert not user[(times >= 10 * SECOND) & (times < 30 * SECOND)].any()
    assert int(user[-1]) * PAGE_SIZE == 100 * MIB


def test_every_fault_of_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    text = """t_s,kind,name,amount
        1,anonymous,a,1MiB
        x,anonymous,a,1MiB
        0,anonymous,a,1MiB
        2,anonimous,a,1MiB
        2,anonymous,a,much
        2,processes,p,1.5
        2,drop-caches,,4
        2,tmpfs,a,1MiB
        2,tmpfs,,1MiB
        """

    with pytest.raises(ParameterError) as caught:
        trace(tmp_path, text)

    expected = {3: "t_s", 4: "t_s", 5: "kind", 6: "amount", 7: "amount", 8: "amount", 9: "kind", 10: "name"}
    assert len(caught.value.faults) == len(expected)
    for (line, column), fault in zip(expected.items(), caught.value.faults, strict=True):
        assert fault.startswith(f"path: load.csv, line {line}: {column}: ")


@pytest.mark.parametrize("text", ["", "t_s,kind,name,amount\n", "t_s,name,amount\n0,a,1\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParameterError, match=r"path: load\.csv"):
        trace(tmp_path, text)


def test_a_step_of_time_longer_than_the_run_is_a_fault() -> None:
    with pytest.raises(ParameterError, match=r"tick: must not be longer than the duration, 2400, but is 2401"):
        GuestLoad(tick=2401.0, duration=2400.0)
    GuestLoad(tick=2400.0, duration=2400.0)
