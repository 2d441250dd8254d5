"""The record of a run: rows as they were noted, its columns, and how each kind of event counts."""

from __future__ import annotations

import numpy as np
import pytest

from sim.record.events import OFFLINE_SIGN, ONLINE_SIGN, PLUGGED_SIGN, Events, order_by, starts_to_rows
from sim.record.recorder import EVENT_COLUMNS, EventKind, Recorder
from sim.record.run_result import BootMemory


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
    ],
)
def test_each_kind_counts_as_its_meaning_says(kind: EventKind, online: int, offline: int, plugged: int) -> None:
    assert (ONLINE_SIGN[kind], OFFLINE_SIGN[kind], PLUGGED_SIGN[kind]) == (online, offline, plugged)


def test_the_numbers_of_kinds_and_the_columns_are_those_that_files_hold() -> None:
    assert [kind.name for kind in sorted(EventKind)] == [
        "PLUG", "ADD", "ONLINE", "OFFLINE", "REMOVE", "UNPLUG", "SUBPLUG", "SUBUNPLUG", "REQUEST", "REFUSED", "FAILED",
        "OOM", "DEVICE",
    ]  # fmt: skip
    assert [int(kind) for kind in sorted(EventKind)] == list(range(1, 14))
    assert EVENT_COLUMNS == ("t_us", "kind", "device", "block", "count", "zone", "pages")


def test_columns_and_rows_are_those_of_the_table() -> None:
    table = np.arange(21, dtype=np.int64).reshape(3, 7)
    columns = Events.of(table)
    assert len(columns) == 3
    for number, name in enumerate(EVENT_COLUMNS):
        assert getattr(columns, name).tolist() == [number, 7 + number, 14 + number], name
    taken = columns.take(np.array([2, 0]))
    for number, name in enumerate(EVENT_COLUMNS):
        assert getattr(taken, name).tolist() == [14 + number, number], name


def test_the_last_event_of_an_instant_is_the_one_after_which_time_moves_on() -> None:
    found = events((0, 0, 1), (0, 0, 1), (3, 0, 1), (5, 0, 1), (5, 0, 1), (5, 0, 1)).is_last_of_instant()
    assert found.tolist() == [False, True, True, False, False, True]
    assert events((4, 0, 1)).is_last_of_instant().tolist() == [True]


def test_boot_memory_is_told_by_its_blocks_and_belongs_to_no_device() -> None:
    # Blocks 2 to 4 and 8 to 9, the runs in no order.
    boot = BootMemory(((8, 2, 3, 0), (2, 3, 2, 0)), 0, 0, 0)
    blocks = [0, 1, 2, 4, 5, 7, 8, 9, 10, 99]
    found = events(*((0, -1, block) for block in blocks)).in_boot_memory(boot)
    assert [block for block, inside in zip(blocks, found.tolist(), strict=True) if inside] == [2, 4, 8, 9]
    of_device = events((0, 0, 3), (0, -1, 3), (0, 5, 8)).in_boot_memory(boot)
    assert of_device.tolist() == [False, True, False]
    assert events((0, 0, 3)).in_boot_memory(boot).tolist() == [False]
    assert events((0, -1, 3)).in_boot_memory(BootMemory((), 0, 0, 0)).tolist() == [False]


@pytest.mark.parametrize("largest", [5, 32767, 32768, 65535 + 3, 1 << 40])
def test_events_are_put_in_order_by_key_and_equal_ones_stay_in_theirs(largest: int) -> None:
    keys = [largest, 3, largest, 0, 3, 4, largest - 1, 0] * 40
    expected = [place for _, place in sorted((key, place) for place, key in enumerate(keys))]
    assert order_by(np.array(keys, dtype=np.int64)).tolist() == expected
    assert order_by(np.zeros(0, dtype=np.int64)).tolist() == []


def test_each_position_is_led_to_the_start_of_its_part() -> None:
    first = np.array([True, False, False, True, True, False])
    assert starts_to_rows(first).tolist() == [0, 0, 0, 3, 4, 4]


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


def test_devices_are_numbered_as_they_come() -> None:
    recorder = Recorder()
    assert [recorder.add_device("d", 1, 0), recorder.add_device("v", 0, 512), recorder.add_device("x", 2)] == [0, 1, 2]
    assert (recorder.device_names, recorder.device_nodes) == (["d", "v", "x"], [1, 0, 2])
    assert recorder.device_units == [0, 512, -1]
