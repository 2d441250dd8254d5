"""What of a device is both plugged and online, change by change."""

from __future__ import annotations

import numpy as np
import pytest

from sim.record.events import Events
from sim.record.online_pages import online_pages_change
from sim.record.run_result import BootMemory, BootRun
from tests.support.made_by_hand import (
    ADD,
    NONE,
    OFFLINE,
    ONLINE,
    PLUG,
    REFUSED,
    REMOVE,
    REQUEST,
    SUBPLUG,
    SUBUNPLUG,
    UNPLUG,
)

BOOT = BootMemory((BootRun(0, 8, 2, 0),), 8000, 0)
"""Blocks 0 to 7; all have 1000 pages."""

Row = tuple[int, int, int, int, int, int]


def change(*rows: Row) -> list[int]:
    """Return the change of each row (kind, device, block, count, zone, pages)."""
    table = np.array([(second, *row) for second, row in enumerate(rows)], dtype=np.int64).reshape(-1, 7)
    found: list[int] = online_pages_change(Events.of(table), 1000, BOOT).tolist()
    return found


def test_what_goes_online_as_it_comes_is_what_is_plugged() -> None:
    assert change() == []
    assert change(
        (REQUEST, 0, -1, 0, -1, 5000),
        (PLUG, 0, 20, 2, 3, 1500),
        (SUBPLUG, 0, 21, 1, -1, 250),
        (REFUSED, 0, 20, 1, 3, 0),
        (SUBUNPLUG, 0, 20, 1, -1, 100),
        (UNPLUG, 0, 21, 1, 3, 750),
    ) == [0, 1500, 250, 0, -100, -750]


def test_whole_blocks_count_while_they_are_online() -> None:
    assert change(
        (ADD, 0, 20, 4, -1, 4000),
        (ONLINE, 0, 21, 2, 3, 0),
        (OFFLINE, 0, 22, 1, 3, 0),
        (PLUG, 0, 30, 2, 2, 2000),
        (UNPLUG, 0, 30, 1, 2, 1000),
        (OFFLINE, 0, 21, 1, 3, 0),
        (REMOVE, 0, 20, 4, -1, 4000),
    ) == [0, 2000, -1000, 2000, -1000, -1000, 0]


def test_partly_plugged_blocks_are_followed_one_by_one() -> None:
    assert change(
        (ADD, 0, 20, 1, -1, 400),
        (SUBPLUG, 0, 20, 1, -1, 300),
        (PLUG, 0, 21, 1, 3, 1000),
        (ONLINE, 0, 20, 1, 3, 0),
        (SUBUNPLUG, 0, 20, 1, -1, 200),
        (OFFLINE, 0, 20, 1, 3, 0),
        (SUBUNPLUG, 0, 20, 1, -1, 100),
        (SUBPLUG, 0, 20, 1, -1, 50),
        (ONLINE, 0, 20, 1, 2, 0),
        (UNPLUG, 0, 20, 1, 2, 450),
        # The block comes again, with nothing of what it was.
        (ADD, 0, 20, 1, -1, 600),
        (ONLINE, 0, 20, 1, 3, 0),
        (OFFLINE, 0, 21, 1, 3, 0),
        (REMOVE, 0, 21, 1, -1, 1000),
    ) == [0, 0, 1000, 700, -200, -500, 0, 0, 450, -450, 0, 600, -1000, 0]


def test_a_block_all_of_which_goes_page_by_page_is_no_whole_one() -> None:
    rows = ((ADD, 0, 20, 2, -1, 2000), (ONLINE, 0, 20, 2, 3, 0), (SUBUNPLUG, 0, 20, 1, -1, 1000))
    assert change(*rows, (UNPLUG, 0, 20, 2, 3, 1000)) == [0, 2000, -1000, -1000]
    again = ((SUBPLUG, 0, 20, 1, -1, 1000), (UNPLUG, 0, 20, 2, 3, 2000))
    assert change(*rows, *again) == [0, 2000, -1000, 1000, -2000]


def test_a_run_of_blocks_leaves_with_what_each_of_them_has() -> None:
    rows = ((ADD, 0, 20, 3, -1, 3000), (ONLINE, 0, 21, 2, 3, 0), (SUBUNPLUG, 0, 21, 1, -1, 400))
    assert change(*rows, (UNPLUG, 0, 21, 2, 3, 1600), (REMOVE, 0, 20, 1, -1, 1000)) == [0, 2000, -400, -1600, 0]


@pytest.mark.parametrize("other", [1, 0])
def test_devices_are_apart_and_boot_memory_is_plugged_by_none(other: int) -> None:
    """A DIMM that calls two blocks of boot memory its own takes them offline, and puts one of them back."""
    assert change(
        (OFFLINE, NONE, 3, 1, 2, 0),
        (ONLINE, NONE, 3, 1, 2, 0),
        (PLUG, other, 30, 1, 3, 1000),
        (OFFLINE, 0, 6, 2, 2, 0),
        (ONLINE, 0, 6, 1, 2, 0),
        (REMOVE, 0, 7, 1, -1, 0),
        (OFFLINE, other, 30, 1, 3, 0),
        (PLUG, NONE, 40, 1, 2, 1000),
    ) == [0, 0, 1000, 0, 0, 0, -1000, 0]
    assert change((PLUG, 0, 8, 1, 3, 1000), (OFFLINE, 0, 6, 2, 2, 0), (ONLINE, 0, 6, 2, 2, 0)) == [1000, 0, 0]
