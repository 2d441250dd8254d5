from __future__ import annotations

import pytest

from policies.contract import ZoneRequest
from policies.fixed import OnlineMovable
from policies.headroom import DEFAULT_RESERVE, Headroom
from policies.testkit import check_policy
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.view import MemoryView
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, OnlineType
from sim.scores.registry import compute_scores
from sim.units import GIB, MIB, parse_size
from tests.policies.scripted import BLOCK, Script, play, plugged_zones
from tests.support.pages import PAGE_SIZE

PER_BLOCK = {"anonymous": 75, "page-tables": 25}
"""MiB that are used of each block of 128 MiB."""


def zones(policy: Headroom, script: Script, *, boot: int = GIB, guest: bool = True) -> list[int]:
    """The zone of every block that was plugged, in the order of plugging."""
    return plugged_zones(play(policy, script, boot=boot, guest=guest))


def growing(blocks: int, *more: tuple[float, str, str, int]) -> Script:
    grow = [(10.0 * n, "resize", "v", n * BLOCK) for n in range(1, blocks + 1)]
    return Script([(0.0, "virtio-mem", "v", 16 * GIB), *grow, *more], seconds=10.0 * blocks + 20)


@pytest.mark.parametrize(
    "policy",
    [Headroom(), Headroom(reserve=0), Headroom(reserve=8 * GIB), Headroom(share=30, numa_aware=True, reserve=GIB)],
    ids=["default", "nothing", "all", "share-by-node"],
)
def test_it_keeps_to_the_contract_of_policies(policy: Headroom) -> None:
    assert check_policy(policy, machines=10).decisions > 1_000


def test_without_need_everything_is_movable() -> None:
    assert zones(Headroom(), growing(8)) == [ZONE_MOVABLE] * 8


def test_kernel_use_that_eats_into_the_reserve_brings_kernel_memory_until_it_is_whole_again() -> None:
    """Half of what is unused is kept for a kernel that has nearly all of what is used; a fifth once it has nothing."""
    script = growing(11, (35.0, "page-tables", "tables", 700 * MIB), (85.0, "page-tables", "tables", 0))
    assert zones(Headroom(), script) == [ZONE_MOVABLE] * 3 + [ZONE_NORMAL] * 5 + [ZONE_MOVABLE] * 3
    assert compute_scores(play(Headroom(), script))["headroom_min"] < DEFAULT_RESERVE


def test_what_the_kernel_gives_back_makes_room_for_movable_again() -> None:
    script = growing(6, (5.0, "page-tables", "t", 2 * GIB), (35.0, "page-tables", "t", 0))
    found = zones(Headroom(reserve=parse_size("600MiB")), script)
    assert found[3:] == [ZONE_MOVABLE] * 3


def test_a_reserve_of_nothing_is_all_movable_and_a_huge_one_all_kernel() -> None:
    script = growing(5)
    assert set(zones(Headroom(reserve=0), script)) == {ZONE_MOVABLE}
    assert set(zones(Headroom(reserve=64 * GIB), script)) == {ZONE_NORMAL}
    assert set(zones(Headroom(reserve=0, share=100), script)) == {ZONE_NORMAL}


def test_a_share_grows_with_memory() -> None:
    """A tenth of memory: boot memory has it free up to some size; beyond it one block in ten or so is kernel memory."""
    found = zones(Headroom(reserve=0, share=10), growing(120), guest=False)
    assert found[:40] == [ZONE_MOVABLE] * 40
    assert 4 <= found[80:].count(ZONE_NORMAL) <= 5


def test_a_dimm_is_all_of_one_kind() -> None:
    script = Script(
        [
            (1.0, "page-tables", "t", 700 * MIB), (5.0, "dimm", "first", GIB), (7.0, "page-tables", "t", 0),
            (9.0, "dimm", "second", GIB),
        ]
    )  # fmt: skip
    assert zones(Headroom(), script) == [ZONE_NORMAL] * 8 + [ZONE_MOVABLE] * 8


def test_a_unit_is_all_of_one_kind() -> None:
    layout = lay_out(MachineSpec((NodeSpec(GIB),)))
    memory = layout.memory
    view = MemoryView(memory)
    unit = 4 * memory.block_pages
    group = view.group(memory.groups.register_dynamic(0, unit).id)
    first = memory.max_blocks // 2
    memory.add(first, 8, node=0, group_id=group.id if group else -1)
    memory.online(first, ZONE_NORMAL)
    inside = ZoneRequest(0, (first + 1) * memory.block_pages, memory.block_pages, group)
    outside = ZoneRequest(0, (first + 4) * memory.block_pages, memory.block_pages, group)
    policy = Headroom(reserve=0)
    assert policy.zone_for(inside, view) == ZONE_NORMAL
    assert policy.zones_for_run(inside, 3, view) == [(3, ZONE_NORMAL)]
    assert policy.zones_for_run(inside, 4, view) is None
    assert policy.zones_for_run(outside, 4, view) == [(4, ZONE_MOVABLE)]
    assert "unit of group" in policy.explain(inside, view).reason


def test_without_a_guest_the_memmap_is_all_that_counts() -> None:
    """1 GiB of boot memory holds the memmap of 32 GiB (of which it is part) with 512 MiB to spare, and no more."""
    script = Script([(0.0, "virtio-mem", "v", 64 * GIB), (1.0, "resize", "v", 40 * GIB)])
    found = zones(Headroom(reserve=512 * MIB), script, guest=False)
    movable_first = found.index(ZONE_NORMAL)
    assert abs((movable_first * BLOCK + GIB) / 64 - 512 * MIB) <= BLOCK / 64
    assert found.count(ZONE_NORMAL) <= 3


def test_a_node_of_its_own_gets_a_reserve_only_if_asked_for() -> None:
    layout = lay_out(MachineSpec((NodeSpec(4 * GIB), NodeSpec(0))))
    memory = layout.memory
    first = memory.max_blocks // 2
    memory.add(first, 1, node=1)
    request = ZoneRequest(1, first * memory.block_pages, memory.block_pages, None)
    view = MemoryView(memory)
    assert Headroom().zone_for(request, view) == ZONE_MOVABLE
    aware = Headroom(numa_aware=True)
    assert aware.zone_for(request, view) == ZONE_NORMAL
    explained = aware.explain(request, view)
    assert explained.numbers == {"node": 1, "free": 0, "reserve": DEFAULT_RESERVE // PAGE_SIZE}
    assert explained.reason.startswith("node 1: 0 pages")


def test_it_saves_the_guest_that_online_movable_starves() -> None:
    used = ((10.0 * n + 5, kind, kind, n * size * MIB) for n in range(1, 60) for kind, size in PER_BLOCK.items())
    script = growing(60, *used)
    starved, saved = (compute_scores(play(policy, script)) for policy in (OnlineMovable(), Headroom()))
    assert starved["kernel_ooms"] > saved["kernel_ooms"] == 0
    assert starved["headroom_min"] == 0 < 100 * MIB < saved["headroom_min"]
    assert saved["movable_share_end"] > 70


@pytest.mark.parametrize("kind", ["dimm", "virtio-mem"])
def test_it_holds_out_where_plugging_ends_before_the_kernel_has_grown(kind: str) -> None:
    """15 GiB within a minute; then, over an hour, programs take 8 GiB and the kernel a fifth of that."""
    plugged = [(1.0 + n, "dimm", f"d{n}", 256 * MIB) for n in range(60)]
    if kind == "virtio-mem":
        plugged = [(1.0, "virtio-mem", "v", 15 * GIB), *((2.0 + n, "resize", "v", n * 256 * MIB) for n in range(61))]
    used = [(100.0 + 35 * n, "anonymous", "a", n * 80 * MIB) for n in range(100)]
    used += [(101.0 + 35 * n, "kernel", "k", n * 16 * MIB) for n in range(100)]
    script = Script([*plugged, *used], seconds=4000.0)
    scores = compute_scores(play(Headroom(), script))
    assert scores["kernel_ooms"] == scores["failed_adds"] == scores["guest_full_ooms"] == 0
    assert scores["movable_share_end"] > 75
    assert compute_scores(play(Headroom(expected=0), script))["kernel_ooms"] > 0


def test_it_goes_on_choosing_movable_where_page_cache_fills_the_guest() -> None:
    script = growing(16, *((10.0 * n + 5, "page-cache", "/c", n * 120 * MIB + 1800 * MIB) for n in range(1, 16)))
    run = play(Headroom(), script, boot=2 * GIB)
    assert plugged_zones(run) == [ZONE_MOVABLE] * 16
    assert run.guest["headroom_free"][-1] < 100 * MIB // PAGE_SIZE < run.guest["headroom"][-1]


def test_only_plain_online_asks_it() -> None:
    assert Headroom().auto_online is OnlineType.ONLINE


@pytest.mark.parametrize(("reserve", "share", "said"), [(-1, 0, "reserve"), (0, 101, "share"), (0, -1, "share")])
def test_senseless_parameters_are_refused(reserve: int, share: int, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}: must"):
        Headroom(reserve=reserve, share=share)
    with pytest.raises(ValueError, match=r"^expected: must"):
        Headroom(expected=51)
