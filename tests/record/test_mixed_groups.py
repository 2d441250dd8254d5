"""Mixed groups and units on a handful of blocks: which blocks share a unit, and when both zones are in one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.record.device_group import STATIC_GROUP, DeviceGroup, dynamic_group
from sim.record.mixed_groups import MixedCounts, mixed_counts
from sim.record.recorder import EventKind
from tests.support.made_by_hand import BLOCK, made_by_hand

PLUG, UNPLUG, ADD, ONLINE, OFFLINE = (
    EventKind.PLUG, EventKind.UNPLUG, EventKind.ADD, EventKind.ONLINE, EventKind.OFFLINE,
)  # fmt: skip
DMA32, NORMAL, MOVABLE = 1, 2, 3
ONE, TWO, FOUR = (dynamic_group(blocks * BLOCK) for blocks in (1, 2, 4))

Row = tuple[int, EventKind, int, int, int, int]
"""Second, kind, device, first block, blocks, zone."""


def counted(*rows: Row, groups: tuple[DeviceGroup, ...]) -> tuple[int, int, int, int]:
    table = [(*row, 0) for row in rows]
    run = replace(made_by_hand(tuple(table)), device_groups=groups, device_names=tuple(map(str, range(len(groups)))))
    found = mixed_counts(run)
    assert isinstance(found, MixedCounts)
    return found.groups_end, found.groups_highest, found.units_end, found.units_highest


def test_units_begin_at_addresses_and_not_where_the_device_does() -> None:
    """The device begins at block 42: its first unit has blocks 42 and 43 only, its second 44 to 47."""
    kernel: Row = (2, PLUG, 0, 43, 1, NORMAL)
    assert counted((1, PLUG, 0, 44, 2, MOVABLE), kernel, groups=(FOUR,)) == (0, 0, 0, 0)
    assert counted((1, PLUG, 0, 42, 1, MOVABLE), kernel, groups=(FOUR,)) == (0, 0, 1, 1)
    assert counted((1, PLUG, 0, 44, 2, MOVABLE), (2, PLUG, 0, 47, 1, NORMAL), groups=(FOUR,)) == (0, 0, 1, 1)
    assert counted((1, PLUG, 0, 44, 2, MOVABLE), (2, PLUG, 0, 48, 1, NORMAL), groups=(FOUR,)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("first", "count", "units"),
    [(40, 12, 3), (43, 2, 2), (43, 1, 1), (43, 6, 3), (44, 8, 2), (41, 3, 1), (47, 5, 2)],
)
def test_a_long_run_of_blocks_is_in_every_unit_that_it_touches(first: int, count: int, units: int) -> None:
    """Every one of blocks 40 to 51 is in some unit with another that is in the other zone."""
    rows: list[Row] = [(1, PLUG, 0, first, count, MOVABLE)]
    others = [block for block in range(40, 52) if not first <= block < first + count]
    rows += [(2, PLUG, 0, block, 1, DMA32) for block in others]
    shared = {block // 4 for block in others} & {block // 4 for block in range(first, first + count)}
    if others:
        assert counted(*rows, groups=(FOUR,)) == (0, 0, len(shared), len(shared))
    leaves: list[Row] = [(3, OFFLINE, 0, first, count, MOVABLE), (4, ONLINE, 0, first, count, NORMAL)]
    assert counted(*rows, *leaves, groups=(FOUR,))[2] == 0
    half: list[Row] = [*rows, *leaves, (5, OFFLINE, 0, first, count, NORMAL), (6, ONLINE, 0, first, 1, MOVABLE)]
    half += [(6, ONLINE, 0, block, 1, NORMAL) for block in range(first + 1, first + count)]
    of_first = {first // 4} & {block // 4 for block in range(40, 52) if block != first}
    assert counted(*half, groups=(FOUR,))[2] == len(of_first) == 1
    assert len({block // 4 for block in range(first, first + count)}) == units


@pytest.mark.parametrize("first", [40, 44])
def test_a_run_over_two_units_leaves_each_with_its_own_blocks(first: int) -> None:
    """8 blocks come in one event, the 4 of one unit go in another: nothing of that unit is left to be mixed with."""
    rows: tuple[Row, ...] = (
        (1, PLUG, 0, 40, 8, MOVABLE),
        (2, UNPLUG, 0, first, 4, MOVABLE),
        (3, PLUG, 0, first, 1, NORMAL),
    )
    assert counted(*rows, groups=(FOUR,)) == (0, 0, 0, 0)
    assert counted(*rows, (4, PLUG, 0, first + 3, 1, MOVABLE), groups=(FOUR,)) == (0, 0, 1, 1)
    other: tuple[Row, ...] = ((4, OFFLINE, 0, 84 - first, 1, MOVABLE), (4, ONLINE, 0, 84 - first, 1, NORMAL))
    assert counted(*rows, *other, groups=(FOUR,)) == (0, 0, 1, 1)


def test_units_of_several_devices_are_apart_whatever_their_numbers() -> None:
    """The upper unit of the first of three devices and the lower one of the last."""
    rows: tuple[Row, ...] = ((1, PLUG, 0, 44, 1, NORMAL), (1, PLUG, 2, 40, 1, MOVABLE))
    assert counted(*rows, groups=(FOUR, FOUR, FOUR)) == (0, 0, 0, 0)


def test_boot_memory_is_in_no_group() -> None:
    rows: tuple[Row, ...] = (
        (1, PLUG, 0, 40, 2, MOVABLE),
        (2, ONLINE, -1, 3, 1, NORMAL),
        (3, ONLINE, -1, 2, 1, MOVABLE),
    )
    assert counted(*rows, groups=(STATIC_GROUP,)) == (0, 0, 0, 0)
    assert counted(*rows, groups=(FOUR,)) == (0, 0, 0, 0)


def test_devices_that_share_an_address_range_do_not_share_a_unit() -> None:
    """Blocks 40 and 41 of one device and 42 of another lie in one aligned stretch, and in different units."""
    rows: tuple[Row, ...] = ((1, PLUG, 0, 40, 2, MOVABLE), (2, PLUG, 1, 42, 1, NORMAL))
    assert counted(*rows, groups=(FOUR, FOUR)) == (0, 0, 0, 0)
    assert counted(*rows, (3, PLUG, 1, 43, 1, MOVABLE), groups=(FOUR, FOUR)) == (0, 0, 1, 1)
    # Their numbers do not add up to the same key: device 0 in unit 11, device 1 in unit 10.
    apart: tuple[Row, ...] = ((1, PLUG, 0, 44, 1, MOVABLE), (2, PLUG, 1, 40, 1, NORMAL))
    assert counted(*apart, groups=(FOUR, FOUR)) == (0, 0, 0, 0)


def test_units_of_different_sizes_stand_side_by_side() -> None:
    """Blocks 40 and 41 are one unit of two, blocks 48 and 51 one of four and none of two."""
    rows: tuple[Row, ...] = (
        (1, PLUG, 0, 40, 1, MOVABLE),
        (1, PLUG, 0, 41, 1, NORMAL),
        (1, PLUG, 1, 48, 1, MOVABLE),
        (1, PLUG, 1, 51, 1, NORMAL),
    )
    assert counted(*rows, groups=(TWO, FOUR)) == (0, 0, 2, 2)
    assert counted(*rows, groups=(FOUR, TWO)) == (0, 0, 1, 1)
    assert counted(*rows, groups=(ONE, FOUR)) == (0, 0, 1, 1)


def test_a_static_group_is_its_device_however_far_its_blocks_lie_apart() -> None:
    rows: tuple[Row, ...] = (
        (1, PLUG, 0, 20, 1, MOVABLE),
        (2, PLUG, 1, 21, 1, NORMAL),
        (3, PLUG, 0, 900, 1, DMA32),
        (4, PLUG, 1, 500, 1, MOVABLE),
        (5, UNPLUG, 0, 20, 1, MOVABLE),
        (6, ADD, 0, 30, 1, -1),
    )
    assert counted(*rows, groups=(STATIC_GROUP, STATIC_GROUP)) == (1, 2, 0, 0)
    assert counted(*rows[:3], groups=(STATIC_GROUP, STATIC_GROUP)) == (1, 1, 0, 0)


def test_the_kernel_zones_among_themselves_do_not_mix_and_boot_memory_is_no_group() -> None:
    rows: tuple[Row, ...] = ((1, PLUG, 0, 20, 1, DMA32), (2, PLUG, 0, 21, 1, NORMAL), (3, ADD, 0, 22, 1, -1))
    assert counted(*rows, groups=(STATIC_GROUP,)) == (0, 0, 0, 0)
    boot: Row = (4, OFFLINE, -1, 9, 1, NORMAL)
    again: Row = (5, ONLINE, -1, 9, 1, MOVABLE)
    assert counted(*rows, boot, again, groups=(STATIC_GROUP,)) == (0, 0, 0, 0)


def test_the_highest_number_is_the_one_that_lasts() -> None:
    """At second 2 three are mixed for no time, then two; at second 3 one; at the end none."""
    mixed: list[Row] = [(1, PLUG, device, 40 + 10 * device, 1, MOVABLE) for device in range(3)]
    mixed += [(2, PLUG, device, 41 + 10 * device, 1, NORMAL) for device in range(3)]
    gone: list[Row] = [
        (time, UNPLUG, device, 40 + 10 * device, 1, MOVABLE) for time, device in ((2, 1), (3, 0), (4, 2))
    ]
    groups = (STATIC_GROUP,) * 3
    assert counted(*mixed, *gone, groups=groups) == (0, 2, 0, 0)
    assert counted(*mixed, *gone[:2], groups=groups) == (1, 2, 0, 0)


def test_where_groups_are_not_known_nothing_is_counted() -> None:
    run = made_by_hand()
    assert mixed_counts(replace(run, device_groups=())) is None
    assert mixed_counts(replace(run, device_groups=run.device_groups[:-1])) is None
    nothing = replace(run, device_groups=(), device_names=(), events=np.zeros((0, 7), dtype=np.int64))
    assert mixed_counts(nothing) == MixedCounts(0, 0, 0, 0)
    quiet = replace(run, events=np.zeros((0, 7), dtype=np.int64))
    assert mixed_counts(quiet) == MixedCounts(0, 0, 0, 0)
