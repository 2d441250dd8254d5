"""Decisions of auto-movable and its earlier stages exactly at a limit, a page below and a page above.

In each, the zone, the reason's words and the figures that an explanation gives are worked out by hand.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auto_movable import AutoMovable
from policies.auto_movable_stages import AutoMovablePatch2, AutoMovablePatch8
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, ZoneType
from sim.plugins.parameters import parameters_of
from tests.policies.stage import ACPI, BLOCK, FIRMWARE, FREE, Stage

M, N = ZONE_MOVABLE, ZONE_NORMAL
ONE_MORE_OR_LESS = pytest.mark.parametrize("off", [-1, 0, 1], ids=["below", "at", "above"])
ALL = pytest.mark.parametrize("policy", [AutoMovable, AutoMovablePatch8, AutoMovablePatch2], ids=lambda p: p.name)


def told(policy: AutoMovable, stage: Stage, block: int, **asked: object) -> tuple[str, str, dict[str, int]]:
    """Return zone, reason and figures, the zone as all three ways of asking have it."""
    request = stage.request(block, **asked)  # type: ignore[arg-type]
    explained = policy.explain(request, stage.view)
    assert policy.zone_for(request, stage.view) == explained.zone
    at_once = policy.zones_for_run(request, 1, stage.view)
    assert at_once in (None, [(1, explained.zone)])
    assert isinstance(explained.zone, ZoneType)
    return explained.zone.label, explained.reason, dict(explained.numbers)


def figures(
    node: int | None, want: int, movable: int, early: int, limit: int, *, others: int | None = 0, own: int = 0
) -> object:
    """Return the figures of a reason: without a node for all of them, without others where nothing is required."""
    return {"want": want, "movable": movable, "early_kernel": early, "own_kernel": own, "limit": limit} | {
        name: number for name, number in (("node", node), ("required_by_others", others)) if number is not None
    }


@ALL
@ONE_MORE_OR_LESS
def test_a_block_that_meets_the_ratio_exactly_still_fits(policy: type[AutoMovable], off: int) -> None:
    """Four blocks of kernel memory, give or take a page; three MOVABLE ones are there, the fourth is asked about."""
    stage = Stage(4 * BLOCK + off)
    block = stage.plug([M, M, M])
    others = 0 if policy is AutoMovable else None
    plain = policy is AutoMovablePatch2

    zone, reason, numbers = told(policy(ratio=100), stage, block)

    limit = 4 * BLOCK + off
    if off < 0:
        assert (zone, reason) == ("Normal", "all nodes: MOVABLE 98304 + block 32768 > limit 131071 (ratio 100 %)")
        assert numbers == figures(None, BLOCK, 3 * BLOCK, limit, limit, others=others)
    else:
        scope = "node 0" if plain else "fits"
        assert (zone, reason) == ("Movable", f"{scope}: MOVABLE 98304 + block 32768 <= limit {limit} (ratio 100 %)")
        assert numbers == figures(0, BLOCK, 3 * BLOCK, limit, limit, others=others)


@ALL
@ONE_MORE_OR_LESS
def test_a_run_goes_to_movable_just_so_far_as_it_fits(policy: type[AutoMovable], off: int) -> None:
    stage = Stage(4 * BLOCK + off)
    block = stage.plug([M])
    at_once = policy(ratio=100).zones_for_run(stage.request(block), 5, stage.view)
    assert at_once == ([(2, M), (3, N)] if off < 0 else [(3, M), (2, N)])
    assert policy(ratio=100).zones_for_run(stage.request(block), 2, stage.view) == [(2, M)]
    assert policy(ratio=0).zones_for_run(stage.request(block), 2, stage.view) == [(2, N)]


ZONES = st.lists(st.sampled_from((M, N)), max_size=6)


@settings(max_examples=60)
@given(
    policy=st.sampled_from((AutoMovable, AutoMovablePatch8, AutoMovablePatch2)),
    ratio=st.one_of(
        st.sampled_from((0, 1, 2**31 - 1, 2**31, 2**32 - 1)), st.integers(1, 1000), st.integers(1, 2**32 - 1)
    ),
    numa_aware=st.booleans(),
    kernel=st.lists(st.integers(BLOCK, 20 * BLOCK), min_size=1, max_size=2),
    others=st.lists(st.tuples(ZONES, st.integers(0, 1)), max_size=3),
    own=ZONES,
    count=st.integers(1, 40),
    grouped=st.booleans(),
)
def test_runs_are_what_block_by_block_decisions_give(
    policy: type[AutoMovable],
    ratio: int,
    numa_aware: bool,  # noqa: FBT001
    kernel: list[int],
    others: list[tuple[list[int], int]],
    own: list[int],
    count: int,
    grouped: bool,  # noqa: FBT001
) -> None:
    stage = Stage(*kernel)
    decider = policy(ratio=ratio, numa_aware=numa_aware)
    last = len(kernel) - 1
    for zones, node in others:
        stage.plug(zones, node=min(node, last), group=stage.group(node=min(node, last), unit=1))
    group = stage.group(node=last, unit=1) if grouped else None
    block = stage.plug(own, node=last, group=group, span=64)

    runs = decider.zones_for_run(stage.request(block, node=last, group=group), count, stage.view)

    assert runs is not None
    assert all(zone != after for (_, zone), (_, after) in pairwise(runs)), "runs are as long as they can be"
    expected = []
    for each in range(block, block + count):
        expected.append(decider.zone_for(stage.request(each, node=last, group=group), stage.view))
        stage.memory.add(each, 1, node=last, group_id=-1 if group is None else group.id)
        stage.memory.online(each, expected[-1])
    assert [zone for blocks, zone in runs for _ in range(blocks)] == expected


@pytest.mark.parametrize(("ratio", "limit"), [(1, 1311), (50, 65562), (301, 394686), (333, 436646)])
def test_the_limit_is_rounded_down_to_pages(ratio: int, limit: int) -> None:
    stage = Stage(4 * BLOCK + 53)  # 131125 pages
    for pages, zone in ((limit, "Movable"), (limit + 1, "Normal")):
        for policy in (AutoMovable, AutoMovablePatch8, AutoMovablePatch2):
            found, reason, numbers = told(policy(ratio=ratio), stage, FREE, pages=pages)
            assert (found, numbers["limit"]) == (zone, limit)
            assert f"limit {limit} (ratio {ratio} %)" in reason


@ALL
def test_a_ratio_of_nothing_is_never_movable(policy: type[AutoMovable]) -> None:
    assert told(policy(ratio=0), Stage(BLOCK), FREE) == ("Normal", "the ratio is 0: never MOVABLE", {"ratio": 0})


@ALL
@ONE_MORE_OR_LESS
def test_each_node_keeps_to_the_ratio_where_that_is_asked_for(policy: type[AutoMovable], off: int) -> None:
    """The second node has two blocks of kernel memory, one of MOVABLE memory, and is asked for one more."""
    stage = Stage(4 * BLOCK, 2 * BLOCK + off)
    stage.plug([M, M])
    block = stage.plug([M], node=1)
    others = 0 if policy is AutoMovable else None
    plain = policy is AutoMovablePatch2

    zone, reason, numbers = told(policy(ratio=100), stage, block, node=1)

    limit = 2 * BLOCK + off
    scope = "node 1" if plain or off < 0 else "fits"
    relation = ">" if off < 0 else "<="
    assert zone == ("Normal" if off < 0 else "Movable")
    assert reason == f"{scope}: MOVABLE 32768 + block 32768 {relation} limit {limit} (ratio 100 %)"
    assert numbers == figures(1, BLOCK, BLOCK, limit, limit, others=others)
    run = policy(ratio=100).zones_for_run(stage.request(block, node=1), 2, stage.view)
    assert run == ([(2, N)] if off < 0 else [(1, M), (1, N)])

    whole, everywhere = 6 * BLOCK + off, policy(ratio=100, numa_aware=False)
    zone, reason, numbers = told(everywhere, stage, block, node=1)
    scope = "all nodes" if plain else "fits"
    assert (zone, reason) == ("Movable", f"{scope}: MOVABLE 98304 + block 32768 <= limit {whole} (ratio 100 %)")
    assert numbers == figures(None, BLOCK, 3 * BLOCK, whole, whole, others=others)
    assert everywhere.zones_for_run(stage.request(block, node=1), 4, stage.view) == (
        [(2, M), (2, N)] if off < 0 else [(3, M), (1, N)]
    )


@ALL
def test_where_both_limits_are_passed_that_of_all_nodes_is_told(policy: type[AutoMovable]) -> None:
    stage = Stage(2 * BLOCK, BLOCK)
    stage.plug([M, M])
    block = stage.plug([M], node=1)
    zone, reason, numbers = told(policy(ratio=100), stage, block, node=1)
    assert (zone, reason) == ("Normal", "all nodes: MOVABLE 98304 + block 32768 > limit 98304 (ratio 100 %)")
    assert "node" not in numbers


@pytest.mark.parametrize("policy", [AutoMovable, AutoMovablePatch8], ids=lambda p: p.name)
@ONE_MORE_OR_LESS
def test_the_rest_of_a_static_group_has_to_fit(policy: type[AutoMovable], off: int) -> None:
    """A device of as many pages as there are of kernel memory, three of its blocks online."""
    stage = Stage(5 * BLOCK)
    group = stage.group(size=5 * BLOCK - off)
    block = stage.plug([M, M, M], group=group)
    want = 2 * BLOCK - off
    others = 0 if policy is AutoMovable else None

    zone, reason, numbers = told(policy(ratio=100), stage, block, group=group)

    scope, relation = ("all nodes", ">") if off < 0 else ("fits", "<=")
    assert zone == ("Normal" if off < 0 else "Movable")
    assert reason == f"{scope}: MOVABLE 98304 + rest of static group 0 {want} {relation} limit 163840 (ratio 100 %)"
    assert numbers == figures(None if off < 0 else 0, want, 3 * BLOCK, 5 * BLOCK, 5 * BLOCK, others=others)
    # To the first stage it is a block like any other.
    assert told(AutoMovablePatch2(ratio=100), stage, block, group=group)[:2] == (
        "Movable",
        "node 0: MOVABLE 98304 + block 32768 <= limit 163840 (ratio 100 %)",
    )


@pytest.mark.parametrize("policy", [AutoMovable, AutoMovablePatch8], ids=lambda p: p.name)
def test_kernel_memory_in_a_static_group_or_a_unit_settles_the_rest(policy: type[AutoMovable]) -> None:
    stage = Stage(20 * BLOCK)
    device = stage.group(size=8 * BLOCK)
    block = stage.plug([M, N, N], group=device)
    assert told(policy(), stage, block, group=device) == (
        "Normal",
        "group 0 (static) already has 65536 pages in a kernel zone: all of it goes there",
        {"group_kernel": 2 * BLOCK},
    )
    growing = stage.group(unit=4)
    block = stage.plug([M, N, N], group=growing)
    assert told(policy(), stage, block, group=growing) == (
        "Normal",
        "unit of group 1 already has 2 sections in a kernel zone: all of it goes there",
        {"unit_kernel_sections": 2},
    )
    # The next unit is another one.
    assert told(policy(), stage, block + 1, group=growing)[0] == "Movable"


def test_blocks_of_two_units_are_not_decided_at_once() -> None:
    stage = Stage(20 * BLOCK)
    asked = stage.request(FREE, group=stage.group(unit=4))
    assert AutoMovable().zones_for_run(asked, 4, stage.view) == [(4, M)]
    assert AutoMovable().zones_for_run(asked, 5, stage.view) is None


def test_a_unit_that_begins_in_a_low_zone_follows_its_first_kernel_block() -> None:
    """The second node's boot memory is blocks 8 and 9, of which 8 has become MOVABLE; the device has 10 and 11."""
    stage = Stage(8 * BLOCK - FIRMWARE, 2 * BLOCK - ACPI)
    stage.memory.offline(8)
    stage.memory.online(8, M)
    group = stage.group(node=1, unit=4)
    for block in (10, 11):
        assert told(AutoMovable(), stage, block, node=1, group=group) == (
            "DMA32",
            "unit of group 0 already has 1 sections in a kernel zone: all of it goes there",
            {"unit_kernel_sections": 1},
        )


@ONE_MORE_OR_LESS
def test_the_rest_of_a_unit_has_to_fit(off: int) -> None:
    """Five blocks and a page more or less; a unit of four after one of one block that is there, one of the four too."""
    stage = Stage(5 * BLOCK + off)
    group = stage.group(unit=4)
    stage.plug([M], group=group)
    block = stage.plug([M], group=group)
    limit = 5 * BLOCK + off

    zone, reason, numbers = told(AutoMovable(ratio=100), stage, block, group=group)

    scope, relation = ("all nodes", ">") if off < 0 else ("fits", "<=")
    assert zone == ("Normal" if off < 0 else "Movable")
    assert reason == f"{scope}: MOVABLE 65536 + rest of a unit of group 0 98304 {relation} limit {limit} (ratio 100 %)"
    assert numbers == figures(None if off < 0 else 0, 3 * BLOCK, 2 * BLOCK, limit, limit)


@ONE_MORE_OR_LESS
def test_own_kernel_memory_pays_for_movable_memory_in_the_last_stage_only(off: int) -> None:
    """With two blocks of the device's own, five MOVABLE ones fit to three of boot memory, and not one page more."""
    stage = Stage(3 * BLOCK + off)
    group = stage.group(unit=1)
    block = stage.plug([N, N, M, M, M, M], group=group)
    limit, early = 5 * BLOCK + off, 3 * BLOCK + off

    zone, reason, numbers = told(AutoMovable(ratio=100), stage, block, group=group)

    scope, relation = ("all nodes", ">") if off < 0 else ("fits", "<=")
    assert zone == ("Normal" if off < 0 else "Movable")
    assert reason == f"{scope}: MOVABLE 131072 + block 32768 {relation} limit {limit} (ratio 100 %)"
    assert numbers == figures(None if off < 0 else 0, BLOCK, 4 * BLOCK, early, limit, own=2 * BLOCK)
    for earlier in (AutoMovablePatch8, AutoMovablePatch2):
        zone, reason, numbers = told(earlier(ratio=100), stage, block, group=group)
        assert (zone, reason) == (
            "Normal",
            f"all nodes: MOVABLE 131072 + block 32768 > limit {early} (ratio 100 %)",
        )
        assert numbers == figures(None, BLOCK, 4 * BLOCK, early, early, others=None)


@ONE_MORE_OR_LESS
def test_what_other_devices_need_of_boot_memory_is_not_there_for_this_one(off: int) -> None:
    """Another device has six MOVABLE blocks and two of its own kernel memory: four of boot memory are taken by it."""
    stage = Stage(4 * BLOCK + off)
    stage.plug([N, N, *[M] * 6], group=stage.group(unit=1))
    group = stage.group(unit=1)
    block = stage.plug([], group=group)
    early = 4 * BLOCK + off

    for mine in (group, None):
        zone, reason, numbers = told(AutoMovable(ratio=100), stage, block, group=mine)
        assert zone == "Normal"
        if off <= 0:
            assert reason == f"all nodes: early kernel memory {early} <= 131072 required by other dynamic groups"
        else:
            assert reason == "all nodes: MOVABLE 0 + block 32768 > limit 1 (ratio 100 %)"
        assert numbers == figures(None, BLOCK, 0, early, max(0, off), others=4 * BLOCK)
    policy = AutoMovable(ratio=100)
    assert policy.zones_for_run(stage.request(block), 3, stage.view) == [(3, N)]
    assert told(policy, stage, block, pages=1)[0] == ("Movable" if off > 0 else "Normal")


@ONE_MORE_OR_LESS
def test_a_device_counts_on_its_own_node_only(off: int) -> None:
    """A block on node 0 of a device that is registered on node 1, where its other blocks count."""
    stage = Stage(BLOCK + off, 8 * BLOCK)
    group = stage.group(node=1, unit=1)
    stage.plug([N, M, M], node=1, group=group)
    block = stage.plug([])
    limit = 2 * BLOCK + off

    zone, reason, numbers = told(AutoMovable(ratio=100), stage, block, node=0, group=group, pages=2 * BLOCK)

    # On node 0, its kernel memory counts (the kernel adds it whatever the node), its MOVABLE memory does not.
    scope, relation = ("node 0", ">") if off < 0 else ("fits", "<=")
    assert zone == ("Normal" if off < 0 else "Movable")
    assert reason == f"{scope}: MOVABLE 0 + block 65536 {relation} limit {limit} (ratio 100 %)"
    assert numbers == figures(0, 2 * BLOCK, 0, BLOCK + off, limit, own=BLOCK)


def test_a_node_without_boot_memory_has_no_movable_memory_and_no_other_device_is_blamed() -> None:
    stage = Stage(8 * BLOCK, 0)
    block = stage.plug([])

    zone, reason, _ = told(AutoMovable(ratio=301), stage, block, node=1)
    assert (zone, reason) == (
        "Normal",
        "node 1: no early kernel memory (numa_aware = false would ask all nodes only)",
    )
    zone, reason, _ = told(AutoMovable(ratio=301, numa_aware=False), stage, block, node=1)
    assert (zone, reason.partition(":")[0]) == ("Movable", "fits")


def test_what_devices_of_another_node_need_counts_over_all_nodes_and_not_on_this_one() -> None:
    """A device on node 1 needs 2 of the 16 blocks of early memory; of node 0's 8 nothing is needed."""
    stage = Stage(8 * BLOCK, 8 * BLOCK)
    stage.plug([M, M], node=1, group=stage.group(node=1, unit=1))
    block = stage.plug([])
    assert AutoMovable(ratio=100).zones_for_run(stage.request(block), 12, stage.view) == [(8, M), (4, N)]
    everywhere = AutoMovable(ratio=100, numa_aware=False)
    assert everywhere.zones_for_run(stage.request(block), 20, stage.view) == [(14, M), (6, N)]


def test_defaults_are_the_kernels() -> None:
    for policy in (AutoMovable, AutoMovablePatch8, AutoMovablePatch2):
        made = policy()
        assert (made.ratio, made.configured_ratio, made.numa_aware) == (301, 301, True)
        assert {each.name: each.default for each in parameters_of(policy)} == {"ratio": 301, "numa_aware": True}
