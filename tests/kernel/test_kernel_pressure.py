"""When a policy is told that a node's kernel zones run short, how often, and with which pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.guest.contract import OfflineOutcome, OomEvent, OomKind, SubblockOutcome
from sim.kernel.guest_link import GuestSpec
from sim.kernel.kernel_pressure import KernelPressure, WatchedGuest
from sim.kernel.policy_answers import PolicyError
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.errors import HotplugError
from sim.memory.zones import ZONE_MOVABLE, OnlineType
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.guest.machines import BLOCK, FIRST
from tests.kernel.linked_guest import linked
from tests.policies.scripted import Script
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.guest import GuestModel
    from sim.memory.view import MemoryView

MOST = 1 << 40
"""More than there is."""


class Listens(OnlineMovable):
    """Writes down what it hears, and which first pages it is asked about."""

    auto_online = OnlineType.ONLINE

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, int]] = []
        self.calls: list[str] = []

    def on_pressure(self, node: int, kernel_headroom: int) -> None:
        self.heard.append((node, kernel_headroom))
        self.calls.append("pressure")

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        self.calls.append("zone")
        return super().zone_for(request, memory)


def kernel_zones(model: GuestModel, node: int = 0) -> list[Any]:
    return [z for (number, zone), z in model.zones.items() if number == node and zone != ZONE_MOVABLE and z.managed]


def above_low(model: GuestModel, node: int = 0) -> int:
    return sum(max(0, z.free - z.low - z.reserve_kernel) for z in kernel_zones(model, node))


def above_min(model: GuestModel, node: int = 0) -> int:
    return sum(max(0, z.free - z.min - z.reserve_kernel) for z in kernel_zones(model, node))


def test_a_policy_is_told_once_when_the_last_page_above_the_low_watermarks_goes() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    link.model.meminfo.kernel_headroom()  # computes the watermarks
    room = above_low(link.model)
    assert link.set_demand("k", "kernel", (room - 1) * PAGE_SIZE)
    assert policy.heard == []
    assert link.set_demand("k", "kernel", room * PAGE_SIZE)
    left = above_min(link.model)
    assert policy.heard == [(0, left)]
    assert left > 100
    assert link.set_demand("k", "kernel", (room + 100) * PAGE_SIZE)
    assert link.set_demand("k", "kernel", room * PAGE_SIZE)  # back, but only to the watermark
    assert policy.heard == [(0, left)]


def test_after_there_was_room_it_is_told_again() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    link.model.meminfo.kernel_headroom()
    room = above_low(link.model)
    for more in (0, 7):
        assert link.set_demand("k", "kernel", (room + more) * PAGE_SIZE)
        left = above_min(link.model)
        assert policy.heard[-1] == (0, left)
        assert link.set_demand("k", "kernel", (room - 1) * PAGE_SIZE)
    first, second = policy.heard
    assert first[1] - second[1] == 7


def test_page_cache_that_can_be_given_up_is_room() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    link.model.meminfo.kernel_headroom()
    assert link.set_demand("/files", "page-cache", 3 * above_low(link.model) // 4 * PAGE_SIZE)
    assert link.set_demand("k", "kernel", above_low(link.model) * PAGE_SIZE)
    assert above_low(link.model) == 0
    assert policy.heard == []
    used = round(link.model.loads["k"].units)
    link.drop_caches(cache=True, slab=True)
    assert link.set_demand("k", "kernel", (used + above_low(link.model)) * PAGE_SIZE)
    assert len(policy.heard) == 1


def test_inodes_that_can_be_given_up_are_room() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    link.model.meminfo.kernel_headroom()
    room = above_low(link.model)
    assert link.set_demand("/files", "disk-files", room * PAGE_SIZE // 1780)
    assert above_low(link.model) == 0
    assert policy.heard == []
    assert link.set_demand("/files", "disk-files", 0)
    assert link.set_demand("k", "kernel", room * PAGE_SIZE)
    assert len(policy.heard) == 1


def test_user_pages_in_kernel_zones_leave_no_room_either() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    link.set_demand("a", "anonymous", 100 * MIB)
    used = 100 * MIB
    while not policy.heard:
        used += MIB
        assert link.set_demand("a", "anonymous", used)
    assert above_low(link.model) == 0
    assert policy.heard == [(0, above_min(link.model))]


def test_a_request_that_fails_is_told_though_its_victim_made_room() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    for _ in range(2):
        assert not link.set_demand("tables", "page-tables", MOST)
        assert link.set_demand("tables", "page-tables", 0)
        assert above_low(link.model) > 100_000
    assert policy.heard == [(0, 0), (0, 0)]


def test_several_kills_of_one_demand_are_told_once() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    assert link.set_demand("crowd", "processes", 10_000)
    assert link.set_demand("net", "kernel", 600 * MIB)
    assert len(link.ooms.kills) > 1
    assert policy.heard == [(0, 0)]


def test_kernel_memory_that_an_add_used_up_is_told() -> None:
    policy = Listens()
    link, core = linked(policy=policy)
    assert link.set_demand("a", "page-tables", 4 * MIB)
    assert not link.model.add_memory(0, FIRST, 8 * 100, altmap=False)
    core.listener.starved()
    assert policy.heard == [(0, 0)]


def test_one_failed_kernel_request_among_other_kills_is_enough() -> None:
    policy = Listens()
    link, _ = linked(policy=policy)
    full, kernel = (OomEvent(kind, "a", False, 0.0, (), 0) for kind in (OomKind.GUEST_FULL, OomKind.KERNEL))  # noqa: FBT003
    pressure = KernelPressure(policy, link.model)
    for kills in ((), (full,), (full, full)):
        pressure.look_back(kills)
    assert policy.heard == []
    pressure.look_back((full, kernel, full))
    assert policy.heard == [(0, 0)]


def test_a_guest_full_of_user_pages_is_told_by_its_watermarks_only() -> None:
    # MOVABLE beside them keeps user pages of kernel zones at a distance from what kernel requests may use.
    policy = Listens()
    link, core = linked(policy=policy)
    core.add_memory(-1, FIRST * BLOCK, 16 * BLOCK)
    assert not link.set_demand("a", "anonymous", MOST)
    assert [event.kind for _, event in link.ooms.kills] == [OomKind.GUEST_FULL]
    assert policy.heard == []


def test_memmap_that_takes_the_last_room_is_told_before_the_zone_is_chosen() -> None:
    policy = Listens()
    link, core = linked(policy=policy)
    link.model.meminfo.kernel_headroom()
    assert link.set_demand("k", "kernel", (above_low(link.model) - 512) * PAGE_SIZE)
    core.add_memory(-1, FIRST * BLOCK, BLOCK)
    assert policy.calls == ["pressure", "zone"]


def test_memmap_that_is_given_back_makes_room() -> None:
    policy = Listens()
    link, core = linked(policy=policy)
    link.model.meminfo.kernel_headroom()
    assert link.set_demand("k", "kernel", (above_low(link.model) - 512) * PAGE_SIZE)
    assert core.guest is not None
    for turn in (1, 2):
        assert core.guest.add_memory(0, FIRST, 1, altmap=False)
        assert policy.heard == [(0, above_min(link.model))] * turn
        core.guest.remove_memory(FIRST, 1)
        assert above_low(link.model) == 512


def test_movable_that_goes_raises_the_watermarks_of_kernel_zones() -> None:
    # Linux 6.1 shares the minimum out over all zones: what MOVABLE lent comes back to the kernel zones.
    policy = Listens()
    link, core = linked(policy=policy)
    core.add_memory(-1, FIRST * BLOCK, 8 * BLOCK)
    link.model.meminfo.kernel_headroom()
    assert link.set_demand("k", "kernel", (above_low(link.model) - 1) * PAGE_SIZE)
    assert policy.heard == []
    core.offline_block(-1, FIRST + 7)
    assert policy.heard == [(0, above_min(link.model))]


def test_each_node_is_told_of_alone() -> None:
    policy = Listens()
    link, _ = linked(GIB, GIB, policy=policy)
    link.model.meminfo.kernel_headroom()
    room = above_low(link.model, 0)
    assert link.set_demand("k", "kernel", (room + 10) * PAGE_SIZE)  # from node 0, and 10 pages of node 1
    assert policy.heard == [(0, above_min(link.model, 0))]
    rest = above_low(link.model, 1)
    assert link.set_demand("k", "kernel", (room + 10 + rest) * PAGE_SIZE)
    assert policy.heard[1:] == [(1, above_min(link.model, 1))]
    assert not link.set_demand("tables", "page-tables", MOST)
    assert len(policy.heard) == 2  # both know
    assert link.ooms.kills


def test_a_node_without_kernel_zones_is_never_told_of() -> None:
    policy = Listens()
    link, core = linked(GIB, 0, policy=policy)
    core.add_memory(-1, FIRST * BLOCK, 4 * BLOCK, node=1)
    assert not link.set_demand("tables", "page-tables", MOST)
    assert policy.heard == [(0, 0)]


def test_a_failed_kernel_request_is_told_of_all_nodes() -> None:
    policy = Listens()
    link, _ = linked(GIB, GIB, policy=policy)
    assert not link.set_demand("tables", "page-tables", MOST)
    assert policy.heard == [(0, 0), (1, 0)]


def test_an_add_that_finds_no_memmap_is_told() -> None:
    policy = Listens()
    link, core = linked(policy=policy)
    link.model.meminfo.kernel_headroom()
    assert link.set_demand("k", "kernel", (above_low(link.model) - 1) * PAGE_SIZE)
    with pytest.raises(HotplugError):
        core.add_memory(-1, FIRST * BLOCK, 800 * BLOCK)
    assert policy.heard == []  # nothing was taken
    assert link.set_demand("a", "anonymous", PAGE_SIZE)
    assert len(policy.heard) == 1


def test_what_the_hook_raises_is_an_error_of_the_policy() -> None:
    class Overwhelmed(Listens):
        name = "overwhelmed"

        def on_pressure(self, node: int, kernel_headroom: int) -> None:
            raise ArithmeticError(f"{kernel_headroom} on {node}")

    with pytest.raises(
        PolicyError, match=r"^policy 'overwhelmed' raised ArithmeticError in on_pressure for node 0: 0 on 0$"
    ):
        simulate(
            MachineSpec((NodeSpec(GIB),)),
            Overwhelmed(),
            Script([(1.0, "page-tables", "tables", 2 * GIB)]),
            Streams(1, 0),
            guest=GuestSpec(),
        )


def test_without_a_guest_nothing_runs_short() -> None:
    policy = Listens()
    simulate(MachineSpec((NodeSpec(GIB),)), policy, Script([(1.0, "page-tables", "tables", 2 * GIB)]), Streams(1, 0))
    assert policy.heard == []


def test_a_policy_that_leaves_the_hook_alone_is_not_watched_for() -> None:
    link, core = linked()
    assert core.guest is link.model
    link, core = linked(policy=Listens())
    assert isinstance(core.guest, WatchedGuest)


@pytest.mark.parametrize(
    ("verb", "arguments", "answer"),
    [
        ("add_memory", (0, 8, 2, True), False),
        ("remove_memory", (8, 2), None),
        ("online", (3, 0, 8, 2, 4096), None),
        ("offline", (3, 0, 8, 2, 4096), OfflineOutcome((8,), 5)),
        ("give_subblocks", (3, 0, 8, 0b1111, 512, 2), SubblockOutcome(0b1100)),
        ("take_subblocks", (3, 0, 8, 0b1100, 512), None),
    ],
)
def test_everything_that_moves_pages_is_passed_on_and_then_looked_at(
    verb: str, arguments: tuple[int, ...], answer: object
) -> None:
    calls: list[object] = []
    passed_on: dict[str, bool] = {}

    class Stub:
        def can_offline(self, zone: int, node: int, block: int) -> bool:
            raise NotImplementedError

        def look(self) -> None:
            calls.append("look")

        def __getattr__(self, name: str) -> object:
            def call(*given: int, **named: bool) -> object:
                calls.append((name, given))
                passed_on.update(named)
                return answer

            return call

    watched = WatchedGuest(cast("GuestModel", Stub()), cast("KernelPressure", Stub()))
    assert getattr(watched, verb)(*arguments) is answer
    assert calls == [(verb, arguments), "look"]
    if verb == "offline":
        assert watched.offline(3, 0, 8, 2, 4096, drop_cache=True) is answer
        assert passed_on == {"drop_cache": True}


def test_whether_a_block_would_go_is_asked_without_a_look() -> None:
    policy = Listens()
    link, core = linked(policy=policy)
    core.add_memory(-1, FIRST * BLOCK, BLOCK)
    assert core.guest is not None
    assert core.guest.can_offline(ZONE_MOVABLE, 0, FIRST)
    assert not core.guest.can_offline(1, 0, 0)
    assert link.model.can_offline(ZONE_MOVABLE, 0, FIRST)
