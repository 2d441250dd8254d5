"""Whole cells: the same bytes twice, the same traffic for every policy, plug-ins that misbehave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.contract import Explanation, Policy, UserSpaceRule
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.udev import Udev
from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.engine import WorkloadError, simulate
from sim.kernel.policy_answers import PolicyError
from sim.kernel.timing import Timing
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, OnlineType, ZoneType
from sim.record.device_group import STATIC_GROUP
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.devices.books import check_result
from workloads.contract import Host, Workload
from workloads.contract import Streams as StreamsContract
from workloads.random_mix import RandomMix
from workloads.virtio_mem_resize import VirtioMemResize

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import simpy

    from policies.contract import ZoneRequest
    from sim.devices.specs import DeviceSpec
    from sim.memory.view import MemoryView
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


# What a run leaves behind ----


def test_a_cell_and_its_record() -> None:
    result = run(AutoMovable(ratio=301), Script(DimmSpec("d", GIB)), timing=Timing(dimm_add=10_000))
    assert rows(result, EventKind.DEVICE, EventKind.PLUG) == [
        (1_000_000, EventKind.DEVICE, 0, -1, 1, -1, 0),
        (1_080_000, EventKind.PLUG, 0, FIRST, 8, ZONE_MOVABLE, 8 * 32768),
    ]
    assert (result.device_names, result.device_nodes, result.device_groups) == (("d",), (0,), (STATIC_GROUP,))
    assert (result.duration_us, result.block_pages, result.configured_ratio) == (100_000_000, 32768, 301)
    assert result.counters == {
        "decisions": 8,
        "refused_offlines": 0,
        "failed_requests": 0,
        "failed_operations": 0,
        "guest_died": 0,
    }
    assert result.guest == {}
    assert result.boot.runs[-1] == (32, 8, ZONE_NORMAL, 0)


def test_the_run_ends_when_the_workload_says_so() -> None:
    result = run(AutoMovable(), Script(DimmSpec("d", GIB), seconds=1.05), timing=Timing(dimm_add=10_000))
    assert rows(result, EventKind.PLUG) == [], "the blocks would have come at 1.08 s"


@pytest.mark.parametrize("policy", [AutoMovable, ContigZones, Udev], ids=lambda policy: policy.__name__)
def test_the_same_cell_twice_is_the_same_bytes(policy: type[Policy]) -> None:
    machine = MachineSpec((NodeSpec(4 * GIB), NodeSpec(4 * GIB)))
    first, second = (simulate(machine, policy(), RandomMix(nodes=(0, 1)), Streams(7, 3)) for _ in range(2))
    assert first.events.tobytes() == second.events.tobytes()
    assert first.counters == second.counters
    assert len(first.events) > 60
    other = simulate(machine, policy(), RandomMix(nodes=(0, 1)), Streams(8, 3))
    assert other.events.tobytes() != first.events.tobytes()


def test_two_policies_see_the_same_requests() -> None:
    def requests(policy: Policy) -> list[tuple[int, ...]]:
        result = run(policy, VirtioMemResize(shape="bursts", maximum=48 * GIB, duration=4_000.0))
        return rows(result, EventKind.REQUEST)

    by_policy = [requests(policy) for policy in (AutoMovable(), OnlineKernel(), OnlineMovable(), Udev(), ContigZones())]
    assert len(by_policy[0]) > 5
    assert all(seen == by_policy[0] for seen in by_policy)


def test_the_log_gets_every_decision_with_its_reason() -> None:
    log: list[tuple[int, int, int, int, ZoneType, str]] = []

    def note(t_us: int, word: int, first: int, count: int, why: Explanation) -> None:
        log.append((t_us, word, first, count, why.zone, why.reason))

    quiet = run(AutoMovable(ratio=20), Script(DimmSpec("d", 8 * 128 * MIB)))
    told = run(AutoMovable(ratio=20), Script(DimmSpec("d", 8 * 128 * MIB)), log=note)
    assert [entry[1:5] for entry in log] == [(1, FIRST + block, 1, ZoneType.NORMAL) for block in range(8)]
    assert "MOVABLE 0 + rest of static group 0 262144 > limit" in log[0][5]
    assert told.counters == quiet.counters
    assert Events.of(told.events).blocks.sum() == Events.of(quiet.events).blocks.sum()


# User space ----


def test_a_rule_of_user_space_acts_after_its_delay_block_by_block() -> None:
    udev = Udev(state="online_movable", delay=0.5)
    result = run(udev, Script(DimmSpec("d", 2 * 128 * MIB)), timing=Timing(dimm_add=10_000, online=5_000))
    assert rows(result, EventKind.ADD, EventKind.ONLINE) == [
        (1_020_000, EventKind.ADD, 0, FIRST, 2, -1, 2 * 32768),
        (1_525_000, EventKind.ONLINE, 0, FIRST, 1, ZONE_MOVABLE, 0),
        (1_530_000, EventKind.ONLINE, 0, FIRST + 1, 1, ZONE_MOVABLE, 0),
    ]


def test_user_space_wakes_a_device_that_waits_at_its_threshold() -> None:
    """8 blocks may be offline; as the rule puts them online the device goes on, until all of 4 GiB is there."""
    result = run(Udev(state="online", delay=2.0), Script(VirtioMemSpec("v", 4 * GIB, requested=4 * GIB)))
    added = rows(result, EventKind.ADD)
    online = rows(result, EventKind.ONLINE)
    assert (len(added), len(online)) == (32, 32)
    assert sum(row[0] < online[0][0] for row in added) == 8
    assert {row[5] for row in online} == {ZONE_NORMAL}, "a plain online asks contig-zones"


def test_without_a_rule_added_blocks_stay_offline() -> None:
    result = run(Offline(), Script(DimmSpec("d", GIB)))
    assert len(rows(result, EventKind.ADD)) == 1
    assert rows(result, EventKind.ONLINE, EventKind.PLUG, EventKind.FAILED) == []


def test_blocks_that_are_gone_before_the_rule_acts_are_left_alone() -> None:
    result = run(Udev(delay=5.0), Script(DimmSpec("d", GIB), then=lambda host: host.unplug("d")))
    kinds = [row[1] for row in rows(result) if row[1] != EventKind.REQUEST]
    assert kinds == [EventKind.DEVICE, EventKind.ADD, EventKind.REMOVE, EventKind.DEVICE]


# Policies that misbehave ----


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
        if isinstance(answer, Exception):
            raise answer
        return answer


DEVICES: dict[str, DeviceSpec] = {
    "a DIMM of one block": DimmSpec("d", 128 * MIB),
    "a DIMM": DimmSpec("d", GIB),
    "virtio-mem": VirtioMemSpec("v", GIB, requested=GIB),
    "virtio-mem, big blocks": VirtioMemSpec("v", GIB, block_size=256 * MIB, requested=GIB),
}
NONSENSE = [
    None,
    7,
    -1,
    "Movable",
    True,
    False,
    3.0,
    np.int64(3),
    np.bool_(True),  # noqa: FBT003
    OnlineType.ONLINE_MOVABLE,
    [3],
    (1, 3),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
def test_an_answer_that_is_no_zone_ends_the_run_by_name_and_block(answer: object, device: str) -> None:
    with pytest.raises(PolicyError) as caught:
        run(Broken(zone=answer), Script(DEVICES[device]))
    text = str(caught.value)
    assert text.startswith(f"policy 'broken' answered {answer!r} for block {FIRST}, ")
    assert text.endswith("none of the zones 0 (DMA), 1 (DMA32), 2 (Normal), 3 (Movable)")


@pytest.mark.parametrize("answer", [3, 2, ZoneType.MOVABLE, ZoneType.NORMAL, 0, 1], ids=repr)
def test_numbers_and_zone_types_are_zones(answer: int) -> None:
    result = run(Broken(zone=answer), Script(DEVICES["a DIMM"]))
    assert {row[5] for row in rows(result, EventKind.PLUG)} == {int(answer)}


@pytest.mark.parametrize("device", DEVICES)
def test_what_zone_for_raises_is_told_with_name_and_block(device: str) -> None:
    with pytest.raises(PolicyError, match=rf"policy 'broken' raised KeyError for block {FIRST}: 'lost'") as caught:
        run(Broken(zone=KeyError("lost")), Script(DEVICES[device]))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    "runs",
    [
        7,
        "Movable",
        True,
        [],
        [(8,)],
        [(8, 3, 1)],
        [(7, 3)],
        [(9, 3)],
        [(4, 3), (0, 2), (4, 3)],
        [(10, 3), (-2, 2)],
        [(8.0, 3)],
        [(np.int64(8), 3)],
        [(True, 3), (7, 3)],
        [8, 3],
        [None],
        {8: 3},
    ],
    ids=repr,
)
def test_runs_that_are_none_end_the_run_by_name_and_block(runs: object) -> None:
    with pytest.raises(PolicyError, match=rf"policy 'broken' decided .* for the 8 blocks from block {FIRST}; runs of"):
        run(Broken(runs=runs), Script(DEVICES["a DIMM"]))


@pytest.mark.parametrize("zone", NONSENSE, ids=repr)
def test_zones_of_runs_are_looked_at_too(zone: object) -> None:
    """The block named is the first of the run that is wrong."""
    with pytest.raises(PolicyError) as caught:
        run(Broken(runs=[(5, 3), (3, zone)]), Script(DEVICES["a DIMM"]))
    assert str(caught.value).startswith(f"policy 'broken' answered {zone!r} for block {FIRST + 5}, ")


def test_proper_runs_are_taken_as_they_are() -> None:
    result = run(Broken(runs=((5, ZoneType.MOVABLE), [3, 2])), Script(DEVICES["a DIMM"]))
    assert [row[3:6] for row in rows(result, EventKind.PLUG)] == [(FIRST, 5, 3), (FIRST + 5, 3, 2)]


def test_what_zones_for_run_raises_is_told() -> None:
    with pytest.raises(PolicyError, match=rf"'broken' raised ZeroDivisionError in zones_for_run for block {FIRST}: by"):
        run(Broken(runs=ZeroDivisionError("by nought")), Script(DEVICES["a DIMM"]))


def ignore(*_: object) -> None:
    """A log that nobody reads."""


@pytest.mark.parametrize(
    "explanation",
    [
        None,
        3,
        "Movable",
        Explanation("Movable", "no zone", {}),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_explanations_that_are_none(explanation: object) -> None:
    run(Broken(explanation=explanation), Script(DEVICES["a DIMM"]))
    with pytest.raises(PolicyError, match=rf"policy 'broken' explained block {FIRST} by .*, which is no Explanation"):
        run(Broken(explanation=explanation), Script(DEVICES["a DIMM"]), log=ignore)


def test_an_explanation_of_another_zone() -> None:
    with pytest.raises(PolicyError, match=f"'broken' chose Normal for block {FIRST} and explained Movable"):
        run(Broken(zone=2), Script(DEVICES["virtio-mem"]), log=ignore)


def test_what_explain_raises_is_told() -> None:
    with pytest.raises(PolicyError, match=rf"policy 'broken' raised OSError in explain for block {FIRST}: no"):
        run(Broken(explanation=OSError("no disk")), Script(DEVICES["a DIMM"]), log=ignore)


def test_what_a_hook_raises_is_told() -> None:
    class Forgetful(AutoMovable):
        name = "forgetful"

        def on_offline(self, node: int, zone: int, pages: int) -> None:
            raise LookupError(f"never saw {pages} pages of zone {zone} on node {node}")

    with pytest.raises(
        PolicyError, match=rf"'forgetful' raised LookupError in on_offline for block {FIRST}: never saw 32768 pages of"
    ):
        run(Forgetful(), Script(DEVICES["a DIMM"], then=lambda host: host.unplug("d")))


def test_hooks_learn_what_went_offline() -> None:
    seen: list[tuple[int, int, int]] = []

    class Attentive(AutoMovable):
        def on_offline(self, node: int, zone: int, pages: int) -> None:
            seen.append((node, zone, pages))

    run(Attentive(), Script(DEVICES["a DIMM"], DEVICES["virtio-mem"], then=lambda host: host.unplug("d")))
    assert seen == [(0, ZONE_MOVABLE, 32768)] * 8
    seen.clear()
    run(Attentive(), Script(DEVICES["virtio-mem"], then=lambda host: host.resize("v", 0)))
    assert seen == [(0, ZONE_MOVABLE, 32768)] * 8


def test_a_policy_that_fails_in_user_spaces_time_ends_the_run_as_well() -> None:
    class LateBreaker(Broken):
        auto_online = OnlineType.OFFLINE
        user_space = UserSpaceRule(OnlineType.ONLINE, 10_000)

    with pytest.raises(PolicyError, match="answered None"):
        run(LateBreaker(zone=None), Script(DEVICES["a DIMM"]))


def test_a_policy_without_a_name_is_called_by_its_class() -> None:
    class Nameless(Broken):
        name = property(lambda self: self.missing)

    with pytest.raises(PolicyError, match="policy 'Nameless' answered None"):
        run(Nameless(zone=None), Script(DEVICES["a DIMM"]))


# Workloads that misbehave ----


class Odd(Workload):
    """A workload whose every part can be made to fail."""

    name = "odd"
    summary = "a workload that does something wrong"

    def __init__(
        self, steps: Callable[[Host], Any] | None = None, *, seconds: object = 10, nodes: object = (0,)
    ) -> None:
        self._steps, self._seconds, self._nodes = steps, seconds, nodes

    def run(self, host: Host, streams: StreamsContract) -> Steps:
        return self._steps(host) if self._steps is not None else None  # type: ignore[return-value]

    def duration(self) -> float:
        if isinstance(self._seconds, Exception):
            raise self._seconds
        return self._seconds  # type: ignore[return-value]

    def node_capacity(self) -> Iterable[int]:
        return self._nodes  # type: ignore[return-value]


def failing(host: Host) -> Steps:
    yield host.env.timeout(5)
    raise ArithmeticError("sum of nothing")


def yields_a_number(_host: Host) -> Steps:
    yield 5  # type: ignore[misc]


def fails_in_a_process_of_its_own(host: Host) -> Steps:
    yield host.env.process(failing(host))


NOT_ITERABLE = "raised TypeError: 'NoneType' object is not iterable"
ODD = {
    "raises": (Odd(failing), "raised ArithmeticError: sum of nothing"),
    "raises in a process of its own": (Odd(fails_in_a_process_of_its_own), "raised ArithmeticError: sum of nothing"),
    "yields a number": (Odd(yields_a_number), "yielded what is no SimPy event"),
    "is no generator": (Odd(None), NOT_ITERABLE),
    "no time": (Odd(failing, seconds=0), "lasts 0 seconds; a run has to last some time"),
    "negative time": (Odd(failing, seconds=-3), "lasts -3 seconds"),
    "no number of seconds": (Odd(failing, seconds=float("nan")), "raised ValueError: cannot convert float NaN"),
    "endless": (Odd(failing, seconds=float("inf")), "raised OverflowError"),
    "a word for a time": (Odd(failing, seconds="long"), "raised TypeError"),
    "raises when asked how long": (Odd(failing, seconds=KeyError("when")), "raised KeyError: 'when'"),
    "another node": (Odd(failing, nodes=(0, 2)), "plugs memory into node 2, but the machine has nodes 0 to 0"),
    "a negative node": (Odd(failing, nodes=(-1,)), "plugs memory into node -1, but the machine has nodes 0 to 0"),
    "no nodes": (Odd(failing, nodes=None), NOT_ITERABLE),
}


@pytest.mark.parametrize("case", ODD)
def test_workloads_that_fail_are_told_by_name(case: str) -> None:
    workload, message = ODD[case]
    with pytest.raises(WorkloadError) as caught:
        run(AutoMovable(), workload)
    assert str(caught.value).startswith(f"workload 'odd' {message}")


def test_a_policys_failure_inside_a_workloads_verb_stays_the_policys() -> None:
    with pytest.raises(PolicyError, match="answered None"):
        run(Broken(zone=None), Script(DEVICES["a DIMM"]), timing=Timing.instant())


def test_requests_that_are_refused_end_nothing() -> None:
    def ask(host: Host) -> None:
        assert not host.unplug("nobody")
        assert not host.resize("nobody", GIB)
        assert not host.plug(DimmSpec("d", GIB, node=5))

    result = run(AutoMovable(), Script(then=ask))
    assert result.counters["failed_requests"] == 3
    assert len(rows(result, EventKind.FAILED)) == 3


# Machines ----


@pytest.mark.parametrize(
    ("options", "zone"),
    [({}, ZONE_NORMAL), ({"movable_node": True}, ZONE_MOVABLE)],
    ids=["without movable_node", "with movable_node"],
)
def test_the_machines_boot_words_reach_the_policy(options: dict[str, bool], zone: int) -> None:
    machine = MachineSpec((NodeSpec(4 * GIB),), **options)  # type: ignore[arg-type]
    result = run(ContigZones(), Script(DEVICES["a DIMM"]), machine=machine)
    assert {row[5] for row in rows(result, EventKind.PLUG)} == {zone}


class TwoNodes(Script):
    """A DIMM for a node without boot memory, and one for the other."""

    name: ClassVar[str] = "two-nodes"

    def node_capacity(self) -> Iterable[int]:
        return (0, 1)


@pytest.mark.parametrize(("numa_aware", "zones"), [(True, [3, 2]), (False, [3, 3])])
def test_a_node_without_boot_memory_gets_movable_memory_only_where_nodes_do_not_count(
    numa_aware: bool,  # noqa: FBT001
    zones: list[int],
) -> None:
    machine = MachineSpec((NodeSpec(4 * GIB), NodeSpec(0)))
    workload = TwoNodes(DimmSpec("a", GIB), DimmSpec("b", GIB, node=1))
    result = run(AutoMovable(numa_aware=numa_aware), workload, machine=machine)
    assert [row[5] for row in rows(result, EventKind.PLUG)] == zones
    assert result.device_nodes == (0, 1)
