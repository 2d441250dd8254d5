"""What headroom and the policies without a ratio decide at their limits, and the reasons and figures that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.contig_zones import ContigZones
from policies.contract import Policy, UserSpaceRule, UserSpaceRules
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.parts.indivisible import one_kind, settled_by
from policies.udev import Udev
from sim.faults import Faults
from sim.memory.view import MemoryUse
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, OnlineType
from sim.plugins import lookup
from sim.units import GIB
from tests.policies.stage import BLOCK, FREE, Says, Stage
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from sim.memory.view import Meminfo

M, N = ZONE_MOVABLE, ZONE_NORMAL


def told(policy: Policy, stage: Stage, block: int, **asked: object) -> tuple[str, str, dict[str, int]]:
    """Return zone, reason and figures of a decision."""
    request = stage.request(block, **asked)  # type: ignore[arg-type]
    explained = policy.explain(request, stage.view)
    assert policy.zone_for(request, stage.view) == explained.zone
    return explained.zone.label, explained.reason, dict(explained.numbers)


# Headroom -------------------------------------------------------------------------------------------------------------


def unequal(meminfo: Meminfo | None = None) -> tuple[Stage, int]:
    """Return two nodes of other sizes, and a block that is about to go online on node 1.

    Node 0 has four kernel blocks and three MOVABLE ones, node 1 two and two: 229376 and 131072 pages, 360448 in all.
    """
    stage = Stage(4 * BLOCK, 2 * BLOCK, meminfo=meminfo)
    stage.plug([M, M, M])
    return stage, stage.plug([M, M], node=1)


@pytest.mark.parametrize(
    ("node", "required", "free"),
    [(None, 3604, {None: 3604, 0: 0, 1: 0}), (0, 2293, {None: 3604, 0: 2293, 1: 0}), (1, 1310, {None: 3604, 1: 1310})],
)
def test_a_share_is_one_of_the_nodes_own_memory(node: int | None, required: int, free: dict[int | None, int]) -> None:
    """One percent of the node's memory, or of all, is just there; then a page of it is not."""
    free = dict(free)  # the parameters are there for the next run too
    stage, block = unequal(Says(free))
    policy = Headroom(reserve=0, share=1, expected=0, numa_aware=node is not None)
    scope = "all nodes" if node is None else f"node {node}"
    its_node = {} if node is None else {"node": node}

    assert told(policy, stage, block, node=node or 0) == (
        "Movable",
        f"{scope}: {required} pages left to the kernel >= reserve of {required} and 0 for its growth: Movable",
        its_node | {"free": required, "reserve": required, "growth": 0},
    )
    free[node] -= 1
    assert told(policy, stage, block, node=node or 0) == (
        "Normal",
        f"{scope}: {required - 1} pages left to the kernel < reserve of {required} and 0 for its growth: Normal",
        its_node | {"free": required - 1, "reserve": required, "growth": 0},
    )
    if node is not None:
        # It keeps to all nodes' share as well, and tells of that first.
        free[None] = 3603
        assert told(policy, stage, block, node=node)[1].startswith("all nodes: 3603 pages left to the kernel < reserve")


@pytest.mark.parametrize(("node", "free"), [(None, 190976), (0, 127488), (1, 63488)])
def test_without_a_guest_the_memmap_of_the_nodes_own_memory_counts(node: int | None, free: int) -> None:
    """Kernel zones less a 64th of the memory: 196608 - 5632, 131072 - 3584 and 65536 - 2048 pages."""
    stage, block = unequal()
    scope = "all nodes" if node is None else f"node {node}"
    its_node = {} if node is None else {"node": node}
    for more, zone, relation in ((0, "Movable", ">="), (1, "Normal", "<")):
        policy = Headroom(reserve=(free + more) * PAGE_SIZE, numa_aware=node is not None)
        assert told(policy, stage, block, node=node or 0) == (
            zone,
            f"{scope}: {free} pages of kernel zones beside the memmap {relation} reserve of {free + more}: {zone}",
            its_node | {"free": free, "reserve": free + more},
        )


def test_the_larger_of_reserve_and_share_counts() -> None:
    stage, block = unequal()
    for reserve, share, required in ((3604, 1, 3604), (3605, 1, 3605), (3604, 2, 7208), (5, 0, 5)):
        numbers = told(Headroom(reserve=reserve * PAGE_SIZE, share=share), stage, block)[2]
        assert numbers["reserve"] == required


def test_a_reserve_is_whole_pages_and_by_default_two_blocks() -> None:
    stage, block = unequal()
    pages = [told(Headroom(reserve=size), stage, block)[2]["reserve"] for size in (0, 1, 4096, 4097)]
    assert pages == [0, 1, 1, 2]
    assert told(Headroom(), stage, block)[2]["reserve"] == 2 * BLOCK
    assert (Headroom().share, Headroom().expected, Headroom().numa_aware) == (0, 20, False)


GIB_PAGES = GIB // PAGE_SIZE


@pytest.mark.parametrize(
    ("use", "percent"),
    [
        (MemoryUse(0, 0, 100_000), 20),
        (MemoryUse(GIB_PAGES // 2, GIB_PAGES // 10, 100_000), 20),  # a tenth of a GiB, which little counts for
        (MemoryUse(GIB_PAGES // 2, GIB_PAGES // 4, 100_000), 25),
        (MemoryUse(3 * GIB_PAGES, GIB_PAGES, 100_000), 25),
        (MemoryUse(9 * GIB_PAGES, GIB_PAGES, 100_000), 20),
        (MemoryUse(0, 3 * GIB_PAGES, 100_000), 50),
    ],
)
def test_as_large_a_part_of_unused_memory_is_kept_as_the_kernel_has_of_what_is_used(
    use: MemoryUse, percent: int
) -> None:
    """At least 20 %, at most 50 %, of the unused pages and the block's. Then a page of it is not there."""
    free: dict[int | None, int] = {None: 5000 + (100_000 + BLOCK) * percent // 100}
    stage = Stage(4 * BLOCK, meminfo=Says(free, {None: use}))
    policy, growth = Headroom(reserve=5000 * PAGE_SIZE), (100_000 + BLOCK) * percent // 100
    assert told(policy, stage, FREE) == (
        "Movable",
        f"all nodes: {5000 + growth} pages left to the kernel >= reserve of 5000 and {growth} for its growth: Movable",
        {"free": 5000 + growth, "reserve": 5000, "growth": growth},
    )
    free[None] -= 1
    assert told(policy, stage, FREE)[0] == "Normal"


def test_all_of_a_device_or_unit_counts_as_unused() -> None:
    stage = Stage(4 * BLOCK, meminfo=Says({None: 1 << 30}))
    for group, pages in ((stage.group(size=80 * BLOCK), 80 * BLOCK), (stage.group(unit=4), 4 * BLOCK), (None, BLOCK)):
        assert told(Headroom(), stage, FREE, group=group)[2]["growth"] == pages * 20 // 100


def test_a_node_foresees_what_its_own_use_says() -> None:
    use = {None: MemoryUse(GIB_PAGES, 0, 1000), 1: MemoryUse(GIB_PAGES, GIB_PAGES, 500)}
    stage, block = unequal(Says({None: 1 << 30, 1: 100}, use))
    numbers = told(Headroom(reserve=0, numa_aware=True), stage, block, node=1)[2]
    assert numbers == {"node": 1, "free": 100, "reserve": 0, "growth": (500 + BLOCK) // 2}


def test_what_is_settled_is_told_with_its_pages() -> None:
    stage = Stage(20 * BLOCK)
    device = stage.group(size=8 * BLOCK)
    block = stage.plug([M, M], group=device)
    assert told(Headroom(reserve=64 * GIB), stage, block, group=device) == (
        "Movable",
        "group 0 (static) already has 65536 pages in ZONE_MOVABLE: all of it goes there",
        {"has": 2 * BLOCK},
    )
    stage.memory.add(block, 1, node=0, group_id=device.id)
    stage.memory.online(block, N)
    assert told(Headroom(reserve=0), stage, block + 1, group=device) == (
        "Normal",
        "group 0 (static) already has 32768 pages in a kernel zone: all of it goes there",
        {"has": BLOCK},
    )
    growing = stage.group(unit=4)
    block = stage.plug([M, M, N], group=growing)
    assert told(Headroom(reserve=0), stage, block, group=growing) == (
        "Normal",
        "unit of group 1 already has 32768 pages in a kernel zone: all of it goes there",
        {"has": BLOCK},
    )
    assert settled_by(stage.request(block + 1, group=growing), stage.view) is None
    alone = stage.group(unit=1)
    block = stage.plug([M, N], group=alone)
    assert settled_by(stage.request(block, group=alone), stage.view) is None


def test_what_follows_its_first_block_ends_with_the_unit() -> None:
    stage = Stage(BLOCK)
    device, unit, single = stage.group(size=8 * BLOCK), stage.group(unit=4), stage.group(unit=1)

    def follows(first: int, count: int, group: object) -> bool:
        return one_kind(stage.request(first, group=group), count, stage.view)  # type: ignore[arg-type]

    assert [follows(FREE + 1, count, unit) for count in (1, 3, 4)] == [True, True, False]
    assert follows(FREE, 4, unit)
    assert not follows(FREE - 1, 2, unit)
    assert follows(FREE, 50, device)
    assert not follows(FREE, 1, single)
    assert not follows(FREE, 1, None)
    assert not follows(0, 1, device)  # inside the low zones


# Policies without a ratio ---------------------------------------------------------------------------------------------


def spans(*, normal_until: int, movable_node: bool = False) -> Stage:
    """Return memory with ZONE_NORMAL from block 128 to ``normal_until`` and ZONE_MOVABLE from 160 to 176."""
    stage = Stage(BLOCK, movable_node=movable_node)
    for block, zone in ((128, N), (normal_until, N), (160, M), (176, M)):
        stage.memory.add(block, 1, node=0)
        stage.memory.online(block, zone)
    return stage


NEITHER, KERNEL, MOVABLE, BOTH = (0, 0), (1, 0), (0, 1), (1, 1)
WORDS = {
    NEITHER: "inside neither the Normal nor the Movable span",
    KERNEL: "inside the Normal span only",
    MOVABLE: "inside the Movable span only",
    BOTH: "inside both the Normal and the Movable span",
}


@pytest.mark.parametrize(
    ("normal_until", "block", "where"),
    [
        (144, 127, NEITHER),
        (144, 129, KERNEL),
        (144, 143, KERNEL),
        (144, 145, NEITHER),
        (144, 159, NEITHER),
        (144, 161, MOVABLE),
        (144, 175, MOVABLE),
        (144, 177, NEITHER),
        (192, 150, KERNEL),
        (192, 161, BOTH),
        (192, 177, KERNEL),
        (192, 193, NEITHER),
    ],
)
def test_contig_zones_goes_by_the_spans_that_a_block_lies_in(
    normal_until: int, block: int, where: tuple[int, int]
) -> None:
    stage = spans(normal_until=normal_until)
    numbers = {"in_kernel_span": where[0], "in_movable_span": where[1]}
    zone = "Movable" if where == MOVABLE else "Normal"
    for policy in (ContigZones(), Offline(), Udev()):
        assert told(policy, stage, block) == (zone, f"{WORDS[where]}: {zone}", numbers)
    prefers = "" if where in (KERNEL, MOVABLE) else ", and movable_node is set"
    zone = "Normal" if where == KERNEL else "Movable"
    expected = (zone, f"{WORDS[where]}{prefers}: {zone}", numbers)
    assert told(ContigZones(movable_node=True), stage, block) == expected
    assert told(Udev(movable_node=True), stage, block) == expected
    assert told(ContigZones(), spans(normal_until=normal_until, movable_node=True), block) == expected


def test_the_words_of_policies_and_what_they_say_of_a_block() -> None:
    stage = Stage(BLOCK)
    for policy, word, zone, reason in (
        (OnlineKernel(), OnlineType.ONLINE_KERNEL, "Normal", "online_kernel: Normal"),
        (OnlineMovable(), OnlineType.ONLINE_MOVABLE, "Movable", "online_movable: Movable"),
        (Udev(state="online_kernel"), OnlineType.OFFLINE, "Normal", "user space writes online_kernel: Normal"),
        (Udev(state="online_movable"), OnlineType.OFFLINE, "Movable", "user space writes online_movable: Movable"),
    ):
        assert policy.auto_online is word
        assert told(policy, stage, FREE) == (zone, reason, {})
    assert told(OnlineKernel(), stage, 0)[1] == "online_kernel: DMA"
    assert ContigZones().auto_online is Headroom().auto_online is OnlineType.ONLINE
    assert Offline().auto_online is Udev().auto_online is OnlineType.OFFLINE


def test_a_run_of_blocks_is_decided_at_once_where_all_go_the_same_way() -> None:
    stage = spans(normal_until=144)
    where = [stage.request(block) for block in (FREE + 20, FREE + 60)]
    assert [ContigZones().zones_for_run(request, 12, stage.view) for request in where] == [[(12, N)], [(12, N)]]
    assert ContigZones().zones_for_run(where[0], 13, stage.view) is None  # the last is the first of Movable's span
    assert Udev().zones_for_run(where[1], 9, stage.view) == [(9, N)]
    assert Udev(movable_node=True).zones_for_run(where[1], 9, stage.view) == [(9, M)]
    assert Udev(state="online_movable").zones_for_run(where[1], 9, stage.view) is None
    assert OnlineKernel().zones_for_run(where[1], 9, stage.view) == [(9, N)]
    assert OnlineKernel().zones_for_run(stage.request(0), 9, stage.view) is None
    assert OnlineMovable().zones_for_run(stage.request(0), 9, stage.view) == [(9, M)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (UserSpaceRule(OnlineType.ONLINE, 10_000), 0)),
        ({"state": "online_kernel", "delay": 2.5}, (UserSpaceRule(OnlineType.ONLINE_KERNEL, 2_500_000), 0)),
        ({"state": "online_movable", "delay": 0}, (UserSpaceRule(OnlineType.ONLINE_MOVABLE, 0), 0)),
        ({"delay": 0.5, "after": 600}, (UserSpaceRule(OnlineType.ONLINE, 500_000), 600_000_000)),
    ],
)
def test_what_user_space_writes_and_when(given: dict[str, object], expected: tuple[UserSpaceRule, int]) -> None:
    rule, begins = expected
    assert Udev(**given).user_space == UserSpaceRules((rule,), begins_us=begins)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", lookup.names(lookup.POLICY))
def test_the_defaults_that_are_listed_are_those_that_hold(name: str, tmp_path: Path) -> None:
    faults = Faults()
    found = lookup.find(lookup.POLICY, name)
    made = lookup.create(found, lookup.configure(found, {}, faults), tmp_path, faults)
    assert not faults
    assert described(made) == described(found.cls())


def described(policy: Policy) -> dict[str, object]:
    """Return what a policy is made of, and those of others that it has decide for it."""
    return {name: described(value) if isinstance(value, Policy) else value for name, value in vars(policy).items()}
