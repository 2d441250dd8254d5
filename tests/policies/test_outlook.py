"""What comes when, as a rehearsal shows it."""

from __future__ import annotations

from policies.clairvoyant.future import Outlook
from policies.clairvoyant.plan import Device, Item, Plan
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL
from sim.record.device_group import STATIC_GROUP, WITHOUT_GROUP, dynamic_group
from sim.record.recorder import EventKind
from tests.policies.rehearsed import END, S, rehearsed
from tests.policies.stage import BLOCK

M, N = ZONE_MOVABLE, ZONE_NORMAL
PLUG, UNPLUG = EventKind.PLUG, EventKind.UNPLUG


def test_what_comes_when_is_items_and_steps_of_devices() -> None:
    seen = Outlook(
        rehearsed(
            (1, PLUG, 0, 40, 2, N),
            (2, PLUG, 1, 64, 4, M),
            (3, PLUG, 1, 68, 2, N),
            (20, UNPLUG, 1, 64, 4, M),
            (30, UNPLUG, 0, 40, 2, N),
            groups=(STATIC_GROUP, dynamic_group(2 * BLOCK)),
        )
    )
    assert seen.future.items == (Item(1 * S, 30 * S, 2 * BLOCK),)
    steps = ((2 * S, 1), (2 * S, 1), (3 * S, 1), (20 * S, -1), (20 * S, -1))
    assert seen.future.devices == (Device(2 * BLOCK, steps),)
    assert seen.future.end_us == END
    assert seen.script() == (True, False, False, True)
    assert seen.script(Plan((False,), ((True, False, False),))) == (False, True, False, False)


def test_a_script_has_pieces_as_they_come_not_device_by_device() -> None:
    """Blocks without a group stand alone; what comes again is another piece."""
    seen = Outlook(
        rehearsed(
            (1, PLUG, 1, 64, 1, M),
            (2, PLUG, 0, 40, 2, N),
            (3, PLUG, 1, 65, 1, M),
            (4, UNPLUG, 0, 41, 1, N),
            (5, PLUG, 0, 41, 1, M),
            groups=(WITHOUT_GROUP, dynamic_group(BLOCK)),
        )
    )
    assert seen.script() == (False, True, True, False, False)
    assert seen.future.items == (
        Item(2 * S, END, BLOCK), Item(2 * S, 4 * S, BLOCK), Item(5 * S, END, BLOCK),
    )  # fmt: skip
    assert seen.script(Plan((True, False, True), ((False, True),))) == (False, True, False, True, True)
