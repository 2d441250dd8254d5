"""The record of a run: rows as they were noted, its columns, and how each kind of event counts."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from sim.guest import OomKind
from sim.record.device_group import STATIC_GROUP, WITHOUT_GROUP, dynamic_group
from sim.record.events import OFFLINE_SIGN, ONLINE_SIGN, PLUGGED_SIGN, Events
from sim.record.recorder import EVENT_COLUMNS, NO_DEVICE, EventKind, Recorder
from sim.record.run_result import BootMemory, BootRun


def events(*rows: tuple[int, int, int]) -> Events:
    """Events of (microsecond, device, first block)."""
    return Events.of(np.array([(t, 1, device, block, 1, 3, 0) for t, device, block in rows], dtype=np.int64))


@pytest.mark.parametrize(
    ("kind", "online", "offline", "plugged"),
    [
        (EventKind.PLUG, 1, 0, 1),
        (EventKind.ADD, 0, 1, 1),
        (EventKind.ONLINE, 1, -1, 0),
        (EventKind.OFFLINE, -1, 1, 0),
        (EventKind.REMOVE, 0, -1, -1),
        (EventKind.UNPLUG, -1, 0, -1),
        (EventKind.SUBPLUG, 0, 0, 1),
        (EventKind.SUBUNPLUG, 0, 0, -1),
        (EventKind.REQUEST, 0, 0, 0),
        (EventKind.REFUSED, 0, 0, 0),
        (EventKind.FAILED, 0, 0, 0),
        (EventKind.OOM, 0, 0, 0),
        (EventKind.DEVICE, 0, 0, 0),
        (EventKind.DEATH, 0, 0, 0),
    ],
)
def test_each_kind_counts_as_its_meaning_says(kind: EventKind, online: int, offline: int, plugged: int) -> None:
    assert (ONLINE_SIGN[kind], OFFLINE_SIGN[kind], PLUGGED_SIGN[kind]) == (online, offline, plugged)


def test_the_numbers_of_kinds_and_the_columns_are_those_that_files_hold() -> None:
    assert [kind.name for kind in sorted(EventKind)] == [
        "PLUG", "ADD", "ONLINE", "OFFLINE", "REMOVE", "UNPLUG", "SUBPLUG", "SUBUNPLUG", "REQUEST", "REFUSED", "FAILED",
        "OOM", "DEVICE", "DEATH",
    ]  # fmt: skip
    assert [int(kind) for kind in sorted(EventKind)] == list(range(1, 15))
    assert EVENT_COLUMNS == ("t_us", "kind", "device", "block", "count", "zone", "pages")


def test_columns_and_rows_are_those_of_the_table() -> None:
    table = np.array([(10 * row, 1 + row, 20 + row, 30 + row, 40 + row, 1 + row, 50 + row) for row in range(3)])
    columns = Events.of(table)
    assert len(columns) == 3
    expected: dict[str, list[int]] = {
        "t_us": [0, 10, 20],
        "kind": [EventKind.PLUG, EventKind.ADD, EventKind.ONLINE],
        "device": [20, 21, 22],
        "block": [30, 31, 32],
        "blocks": [40, 41, 42],
        "zone": [1, 2, 3],
    }
    for name, values in expected.items():
        assert getattr(columns, name).tolist() == values, name
        assert getattr(columns.take(np.array([2, 0])), name).tolist() == [values[2], values[0]], name
        assert getattr(columns.where(np.array([False, True, True])), name).tolist() == values[1:], name
    assert columns.plugged_change().tolist() == [50, 51, 0]
    assert columns.take(np.array([1, 0])).plugged_change().tolist() == [51, 50]
    assert columns.take(np.array([1, 0])).online_change().tolist() == [0, 40]


CODES = (
    (1, EventKind.PLUG, 0, 5, 3, 3, 300),
    (2, EventKind.SUBUNPLUG, 0, 5, 1, -1, 40),
    (3, EventKind.REQUEST, 0, -1, 0, -1, 900),
    (4, EventKind.REFUSED, 0, 6, 2, 1, 0),
    (5, EventKind.FAILED, 0, -1, 0, 12, 0),
    (5, EventKind.FAILED, -1, -1, 0, 12, 0),
    (5, EventKind.FAILED, 0, -1, 0, 3, 0),
    (6, EventKind.OOM, -1, 0, 1, 0, 70),
    (6, EventKind.OOM, -1, 0, 1, 2, 80),
    (6, EventKind.DEATH, -1, -1, 0, 2, 80),
    (7, EventKind.DEVICE, 1, -1, 1, -1, 0),
    (8, EventKind.DEVICE, 0, -1, 0, -1, 0),
    (9, EventKind.REMOVE, 0, 5, 2, -1, 200),
    (9, EventKind.ADD, 1, 9, 4, -1, 400),
    (9, EventKind.UNPLUG, 1, 9, 4, 2, 350),
)
"""Events whose columns mean different things: 12 is ENOMEM, 3 ZONE_MOVABLE and an errno, 0 to 2 kinds of kills."""


def test_each_accessor_reads_only_the_events_that_a_column_means_it_for() -> None:
    seen = Events.of(np.array(CODES, dtype=np.int64))
    assert seen.blocks.tolist() == [3, 1, 0, 2, *[0] * 8, 2, 4, 4]
    assert seen.zone.tolist() == [3, -1, -1, 1, *[-1] * 10, 2]
    assert seen.requested.tolist() == [0, 0, 900, *[0] * 12]
    assert seen.errno.tolist() == [0, 0, 0, 0, 12, 12, 3, *[0] * 8]
    assert seen.oom_kind.tolist() == [*[-1] * 7, OomKind.KERNEL, OomKind.MIGRATION, *[-1] * 6]
    assert seen.mem_available.tolist() == [*[0] * 7, 70, 80, *[0] * 6]
    assert seen.online_change().tolist() == [3, *[0] * 13, -4]
    assert seen.offline_change().tolist() == [*[0] * 12, -2, 4, 0]
    assert seen.plugged_change().tolist() == [300, -40, *[0] * 10, -200, 400, -350]


def test_events_are_flagged_by_what_they_tell() -> None:
    seen = Events.of(np.array(CODES, dtype=np.int64))
    flagged = {
        "failed adds, not requests of the host or other reasons": (seen.failed_adds(), [4]),
        "all runs of the killer": (seen.ooms(), [7, 8]),
        "runs for the kernel": (seen.ooms(OomKind.KERNEL), [7]),
        "runs for a full guest": (seen.ooms(OomKind.GUEST_FULL), []),
        "runs for migration": (seen.ooms(OomKind.MIGRATION), [8]),
        "attached": (seen.attached(), [10]),
        "gone": (seen.gone(), [11]),
        "one kind": (seen.of_kind(EventKind.DEVICE), [10, 11]),
        "two kinds": (seen.of_kind(EventKind.PLUG, EventKind.REFUSED), [0, 3]),
    }
    for what, (flags, rows) in flagged.items():
        assert flags.dtype == np.bool_, what
        assert np.flatnonzero(flags).tolist() == rows, what
    assert seen.where(seen.ooms()).mem_available.tolist() == [70, 80]
    assert seen.death == (6, OomKind.MIGRATION)
    assert seen.where(seen.ooms()).death is None


def test_the_table_itself_is_never_changed_by_reading_it() -> None:
    table = np.array(CODES, dtype=np.int64)
    seen = Events.of(table)
    assert (seen.blocks.sum(), seen.zone.sum()) == (16, -6)
    assert table.tolist() == [list(row) for row in CODES]
    assert seen.attached().any()
    assert seen.errno.max() == 12


def test_the_last_event_of_an_instant_is_the_one_after_which_time_moves_on() -> None:
    is_last = events((0, 0, 1), (0, 0, 1), (3, 0, 1), (5, 0, 1), (5, 0, 1), (5, 0, 1)).is_last_of_instant()
    assert is_last.tolist() == [False, True, True, False, False, True]
    assert events((4, 0, 1)).is_last_of_instant().tolist() == [True]


def test_boot_memory_is_told_by_its_blocks_and_belongs_to_no_device() -> None:
    # Blocks 2 to 4 and 8 to 9, the runs in no order.
    boot = BootMemory((BootRun(8, 2, 3, 0), BootRun(2, 3, 2, 0)), 0, 0)
    blocks = [0, 1, 2, 4, 5, 7, 8, 9, 10, 99]
    inside = events(*((0, -1, block) for block in blocks)).in_boot_memory(boot)
    assert [block for block, is_inside in zip(blocks, inside.tolist(), strict=True) if is_inside] == [2, 4, 8, 9]
    of_device = events((0, 0, 3), (0, -1, 3), (0, 5, 8)).in_boot_memory(boot)
    assert of_device.tolist() == [False, True, False]
    assert events((0, 0, 3)).in_boot_memory(boot).tolist() == [False]
    assert events((0, -1, 3)).in_boot_memory(BootMemory((), 0, 0)).tolist() == [False]


def test_a_recorder_keeps_rows_in_order_however_often_they_are_packed() -> None:
    recorder = Recorder()
    rows = [tuple(range(10 * number, 10 * number + 7)) for number in range(5)]
    assert (len(recorder), recorder.table().shape) == (0, (0, 7))
    recorder.append(rows[0])
    recorder.append(rows[1])
    assert len(recorder) == 2
    recorder.compact()
    recorder.append(rows[2])
    assert recorder.table().tolist() == [list(row) for row in rows[:3]]
    recorder.append(rows[3])
    recorder.compact(force=True)
    recorder.compact(force=True)
    recorder.append(rows[4])
    assert len(recorder) == 5
    table = recorder.table()
    assert table.tolist() == [list(row) for row in rows]
    table[:] = 0
    assert recorder.table().tolist() == [list(row) for row in rows], "the table is a copy"


def test_blocks_that_change_in_turn_are_a_row_each() -> None:
    recorder = Recorder()
    recorder.append((1, 9, 0, -1, 0, -1, 70))
    recorder.in_turn(1, 5, 1, 0, range(40, 43), bytes((3, 3, 2)), 32)
    assert len(recorder) == 4
    recorder.append((16, 3, 1, 7, 2, 3, 0))
    recorder.compact(force=True)
    recorder.in_turn(20, 0, 6, 2, array("i", (9, 4)), bytes((3, 2)), 32)
    recorder.in_turn(20, 1, 6, 2, range(2, 0, -1), bytes((3, 3)), 32)
    expected = [
        [1, 9, 0, -1, 0, -1, 70],
        [6, 1, 0, 40, 1, 3, 32],
        [11, 1, 0, 41, 1, 3, 32],
        [16, 1, 0, 42, 1, 2, 32],
        [16, 3, 1, 7, 2, 3, 0],
        [20, 6, 2, 9, 1, 3, 32],
        [20, 6, 2, 4, 1, 2, 32],
        [21, 6, 2, 2, 1, 3, 32],
        [22, 6, 2, 1, 1, 3, 32],
    ]
    assert len(recorder) == len(expected)
    assert [recorder.table().tolist() for _ in range(2)] == [expected, expected]


def test_events_that_are_about_no_block_are_recorded_as_codes_and_read_as_what_they_tell() -> None:
    recorder = Recorder()
    recorder.attached(1, 4)
    recorder.requested(2, 4, 900)
    recorder.failed(3, NO_DEVICE, 17)
    recorder.failed(4, 4, 12)
    recorder.out_of_memory(5, OomKind.MIGRATION, 70, tie=2)
    recorder.gone(6, 4)
    table = recorder.table()
    assert table.tolist() == [
        [1, 13, 4, -1, 1, -1, 0],
        [2, 9, 4, -1, 0, -1, 900],
        [3, 11, -1, -1, 0, 17, 0],
        [4, 11, 4, -1, 0, 12, 0],
        [5, 12, -1, 0, 3, 2, 70],
        [6, 13, 4, -1, 0, -1, 0],
    ]
    seen = Events.of(table)
    assert seen.where(seen.attached()).t_us.tolist() == [1]
    assert seen.where(seen.gone()).t_us.tolist() == [6]
    assert seen.requested.tolist() == [0, 900, 0, 0, 0, 0]
    assert seen.errno.tolist() == [0, 0, 17, 12, 0, 0]
    assert seen.where(seen.failed_adds()).t_us.tolist() == [4]
    assert seen.where(seen.ooms(OomKind.MIGRATION)).mem_available.tolist() == [70]


def test_devices_are_numbered_as_they_come() -> None:
    recorder = Recorder()
    unit = dynamic_group(512)
    added = [recorder.add_device("d", 1, STATIC_GROUP), recorder.add_device("v", 0, unit), recorder.add_device("x", 2)]
    assert added == [0, 1, 2]
    assert (recorder.device_names, recorder.device_nodes) == (["d", "v", "x"], [1, 0, 2])
    assert recorder.device_groups == [STATIC_GROUP, unit, WITHOUT_GROUP]
