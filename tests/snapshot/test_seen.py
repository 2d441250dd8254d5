"""What lsmem printed and a state does not hold is kept beside it, and shown for as long as it can be true."""

from __future__ import annotations

import pytest

from sim.machine.state import BlockRun, MachineState, SeenRun
from sim.readers.facts import BlockView
from sim.record.blockmap import BlockState
from sim.snapshot.seen import as_seen, seen_of

STATE = MachineState(
    (
        BlockRun(0, 1, 0, BlockState.SEVERAL_ZONES, boot=True),
        BlockRun(1, 4, 0, BlockState.NORMAL, boot=True),
        BlockRun(8, 2, 0, BlockState.OFFLINE, boot=False),
    )
)
OLD_KERNEL = (
    BlockView(0, "online", "none", removable=True),
    BlockView(1, "online", "Normal", removable=False),
    BlockView(2, "online", "Normal", removable=False),
    BlockView(3, "online", "Normal/Movable", removable=True),
    BlockView(4, "online", "Movable", removable=True),
    BlockView(8, "offline", "Movable", removable=True),
    BlockView(9, "offline", "Movable", removable=True),
)
TODAY = tuple(
    view._replace(removable=True, zones=zones)
    for view, zones in zip(OLD_KERNEL, ["None", *["Normal"] * 4, *["Normal/Movable"] * 2], strict=True)
)


def test_only_what_is_printed_otherwise_is_kept() -> None:
    assert seen_of(OLD_KERNEL, STATE) == (
        SeenRun(1, 2, removable=False),
        SeenRun(3, 1, zones="Normal/Movable"),
        # That block 4 is in another zone than the state has it in is no matter of words.
        SeenRun(8, 2, zones="Movable"),
    )
    assert seen_of(TODAY[:5], STATE) == ()


def test_it_is_shown_again() -> None:
    shown = list(as_seen(TODAY, seen_of(OLD_KERNEL, STATE), at_start=True))
    assert [view.removable for view in shown] == [view.removable for view in OLD_KERNEL]
    assert [view.zones for view in shown] == ["None", "Normal", "Normal", "Normal/Movable", "Normal", *["Movable"] * 2]


@pytest.mark.parametrize("at_start", [True, False])
def test_what_has_changed_since_is_shown_as_it_is(at_start: bool) -> None:  # noqa: FBT001
    seen = (SeenRun(3, 1, removable=False, zones="Normal/Movable"), SeenRun(8, 1, zones="Movable"))
    moved = (BlockView(3, "online", "Movable", removable=True), BlockView(8, "offline", "Normal/Movable"))
    online, offline = as_seen(moved, seen, at_start=at_start)
    assert (online.zones, online.removable) == ("Movable", False)
    assert offline.zones == ("Movable" if at_start else "Normal/Movable")
