"""A run that starts from the state that another one came to goes on as that one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from hypothesis import given
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.contract import ZoneRequest
from policies.fixed import OnlineKernel, OnlineMovable
from sim.machine.current_state import starting_from
from tests.devices.books import check_books
from tests.devices.rig import FakeGuest, Rig
from tests.devices.test_random_traffic import VERBS, Step, rig_for_traffic
from tests.support.reach import Reach

if TYPE_CHECKING:
    from policies.contract import Policy
    from sim.kernel.hotplug_core import HotplugCore
    from sim.memory.groups import MemoryGroup
    from sim.memory.hotplug import Memory

POLICIES: tuple[type[Policy], ...] = (AutoMovable, ContigZones, OnlineKernel, OnlineMovable)


def members(memory: Memory) -> list[tuple[list[int], MemoryGroup]]:
    """Every group with its blocks, in an order that does not go by ids: which device had which is chance."""
    of = memory.blocks.group
    found = [([block for block in memory.blocks.ids() if of[block] == group.id], group) for group in memory.groups]
    return sorted(found, key=lambda each: (each[0], each[1].node, each[1].max_pages, each[1].unit_pages))


def counters(memory: Memory) -> dict[str, Any]:
    """Everything that memory counts, by name."""
    blocks = memory.blocks
    zones = [zone for zone in memory.zone_by_code if zone is not None and (zone.present or zone.end)]
    names = {zone.code: (zone.node, zone.type) for zone in zones}
    return {
        "blocks": {
            block: (names.get(blocks.where[block], blocks.where[block]), blocks.node[block], blocks.flags[block])
            for block in blocks.ids()
        },
        "groups": [
            (mine, group.node, group.max_pages, group.unit_pages, group.kernel, group.movable, group.blocks)
            for mine, group in members(memory)
        ],
        "zones": {
            names[zone.code]: (zone.start, zone.end, zone.present, zone.present_early, zone.managed, zone.cma)
            for zone in zones
        },
        "shared": {names[zone.code]: sorted(zone.mixed_parts) for zone in zones},
        "totals": [
            (totals.movable, totals.early_kernel, totals.kernel, totals.dynamic_movable)
            for totals in (memory.system, *(node.totals for node in memory.nodes.values()))
        ],
        "low ends": [node.low_end for node in memory.nodes.values()],
        "sections": memory.spans.sections_end,
    }


class HasCore(Protocol):
    """Whatever has a kernel and its memory."""

    memory: Memory
    core: HotplugCore


def answers(rig: HasCore) -> list[int]:
    """What policies say of the next block of every group and node."""
    memory, view = rig.memory, rig.core.view
    pages = memory.block_pages
    first = max(memory.blocks.ids()) + 1
    groups = [(group.node, group.view) for _, group in members(memory)] + [(node, None) for node in memory.nodes]
    return [
        policy.zone_for(ZoneRequest(node, block * pages, pages, group), view)
        for policy in (AutoMovable(), AutoMovable(ratio=100, numa_aware=False), ContigZones())
        for block in (first, first + 7)
        for node, group in groups
    ]


REACH = Reach({"compared": 60, "went on": 60, "a block is partly plugged": 10})


@REACH.test(examples=72)
@given(
    st.lists(
        st.builds(Step, st.sampled_from(VERBS), st.integers(0, 1000), st.integers(0, 1000)), min_size=5, max_size=40
    ),
    st.integers(3, 30),
    st.sampled_from(POLICIES),
    st.sampled_from(("5.15", "6.1", "6.8")),
    st.sampled_from((False, True, "force")),
)
def test_every_counter_goes_on(
    steps: list[Step],
    at: int,
    policy: type[Policy],
    kernel: str,
    memmap_on_memory: Any,  # noqa: ANN401
) -> None:
    guest = FakeGuest()
    rig = rig_for_traffic(policy(), guest, kernel, memmap_on_memory)
    for step in steps[:at]:
        step.do(rig, guest)
        rig.settle()
    state = rig.host.state()
    REACH("a block is partly plugged", any(device.partly for device in state.devices))
    other = FakeGuest()
    again = Rig(policy=policy(), guest=other, machine=starting_from(rig.machine, state))
    again.host.boot()
    assert again.host.state() == state
    assert counters(again.memory) == counters(rig.memory)
    assert answers(again) == answers(rig)
    again.settle()
    check_books(again)
    REACH("compared")
    again.core.auto_online, again.memory.blocks.left_over = rig.core.auto_online, dict(rig.memory.blocks.left_over)
    other.refusing, other.refuse_once, other.keeps = guest.refusing, set(guest.refuse_once), guest.keeps
    other.memmap_blocks = guest.memmap_blocks
    for step in steps[at:]:
        if rig.until_next() < float("inf"):
            return
        step.do(rig, guest)
        step.do(again, other)
        rig.settle()
        again.settle()
        assert counters(again.memory) == counters(rig.memory)
        REACH("went on")
    check_books(again)
