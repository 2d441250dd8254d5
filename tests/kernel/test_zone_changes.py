"""Turns between kernel zones and ZONE_MOVABLE along the address axis, counted by hand: at the end, and at most."""

from __future__ import annotations

import pytest

from sim.record.blockmap import ZoneChanges, zone_changes
from sim.record.recorder import EventKind
from tests.support.made_by_hand import made_by_hand

PLUG, UNPLUG, ADD = EventKind.PLUG, EventKind.UNPLUG, EventKind.ADD
ONLINE, OFFLINE = EventKind.ONLINE, EventKind.OFFLINE
N, M = 2, 3

Row = tuple[int, EventKind, int, int, int]
"""Second, kind, first block, blocks, zone."""


def counted(*rows: Row) -> tuple[int, int]:
    """Boot memory is kernel memory in blocks 0 to 11 and MOVABLE in 14 and 15: one turn."""
    run = made_by_hand(tuple((t, kind, 0 if block > 15 else -1, block, n, zone, 0) for t, kind, block, n, zone in rows))
    found = zone_changes(run)
    assert isinstance(found, ZoneChanges)
    return found.end, found.highest


@pytest.mark.parametrize(
    ("rows", "end", "highest"),
    [
        ((), 1, 1),
        # What is there at boot counts where it lasts, and not where it is changed at second 0.
        (((0, OFFLINE, 14, 2, M),), 0, 0),
        (((1, OFFLINE, 14, 2, M),), 0, 1),
        (((0, OFFLINE, 14, 2, M), (7, ONLINE, 14, 1, M)), 1, 1),
        # The last two of boot memory, then all the kernel's: nothing to turn to is left.
        (((1, OFFLINE, 8, 4, N), (2, OFFLINE, 1, 7, 1)), 1, 1),
        # A gap is passed over, and so are blocks that are offline.
        (((1, PLUG, 90, 3, M),), 1, 1),
        (((1, PLUG, 90, 3, N),), 2, 2),
        (((1, ADD, 90, 3, -1), (2, ONLINE, 91, 1, N)), 2, 2),
        # One block in the middle of others makes two turns; a run of them no more.
        (((1, PLUG, 20, 9, M), (2, OFFLINE, 24, 1, M), (3, ONLINE, 24, 1, N)), 3, 3),
        (((1, PLUG, 20, 9, M), (2, OFFLINE, 23, 3, M), (3, ONLINE, 23, 3, N)), 3, 3),
        (((1, PLUG, 20, 9, M), (2, OFFLINE, 24, 5, M), (3, ONLINE, 24, 5, N)), 2, 2),
        (((1, PLUG, 20, 9, M), (2, OFFLINE, 20, 5, M), (3, ONLINE, 20, 5, N)), 3, 3),
        # Below everything else that was plugged, and between boot memory and that.
        (((1, PLUG, 30, 1, M), (2, PLUG, 20, 1, N)), 3, 3),
        (((1, PLUG, 30, 1, N), (2, PLUG, 20, 1, M)), 2, 2),
        (((1, PLUG, 30, 1, N), (2, PLUG, 20, 1, N)), 2, 2),
        # Every second block: each makes two turns, and takes two with it.
        (
            ((1, PLUG, 20, 1, N), (1, PLUG, 21, 1, M), (2, PLUG, 22, 1, N), (3, PLUG, 23, 1, M), (4, UNPLUG, 22, 1, N)),
            3,
            5,
        ),
        # What comes and goes in one instant is not seen, whichever of several goes last.
        (((5, PLUG, 30, 1, N), (5, PLUG, 31, 1, M), (5, UNPLUG, 30, 1, N), (5, UNPLUG, 31, 1, M)), 1, 1),
        (((5, PLUG, 30, 1, N), (5, UNPLUG, 30, 1, N)), 1, 1),
        (((5, PLUG, 30, 1, N), (6, UNPLUG, 30, 1, N)), 1, 2),
        (((5, PLUG, 30, 2, N), (6, UNPLUG, 31, 1, N), (6, UNPLUG, 30, 1, N)), 1, 2),
        (((5, PLUG, 30, 2, N), (5, UNPLUG, 31, 1, N), (6, UNPLUG, 30, 1, N)), 1, 2),
        (((5, PLUG, 30, 2, N), (5, UNPLUG, 31, 1, N), (5, UNPLUG, 30, 1, N)), 1, 1),
        # Block by block in many instants as all at once.
        (((1, PLUG, 30, 1, N), (2, PLUG, 31, 1, N), (3, PLUG, 29, 1, N), (3, PLUG, 32, 1, M)), 3, 3),
        (((1, PLUG, 30, 1, N), (1, PLUG, 31, 1, N), (2, PLUG, 32, 1, N), (2, UNPLUG, 30, 3, N)), 1, 2),
    ],
)
def test_turns_are_counted_as_they_last(rows: tuple[Row, ...], end: int, highest: int) -> None:
    assert counted(*rows) == (end, highest)
