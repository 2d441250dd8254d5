"""What ``lsmem`` printed of blocks and a state does not hold: words of old kernels, and choices of other policies."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sim.machine.state import SeenRun
from sim.memory.zones import NR_ZONES, ZONE_LABELS
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.zone_totals import SEVERAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sim.machine.state import MachineState
    from sim.readers.facts import BlockView


def seen_of(views: Iterable[BlockView], state: MachineState) -> tuple[SeenRun, ...]:
    """Return what ``views`` say of the blocks of ``state`` beyond it.

    Of offline blocks that is which zones they may go to, of all that one is not removable, and of an online block
    every zone that a kernel before 4.14 names, the one that it is in first.
    """
    states = {block: run.state for run in state.blocks for block in range(run.first, run.end)}
    said = [(view.block, *_beyond(view, states.get(view.block))) for view in views]
    # Blocks that follow each other keep their distance to their place in the list.
    runs = groupby(enumerate(said), key=lambda each: (each[1][0] - each[0], *each[1][1:]))
    found = []
    for (_, removable, zones), alike in runs:
        members = [block for _, (block, *_) in alike]
        if removable is not None or zones is not None:
            found.append(SeenRun(members[0], len(members), removable, zones))
    return tuple(found)


def _beyond(view: BlockView, state: int | None) -> tuple[bool | None, str | None]:
    zones = view.zones or None
    if state not in (None, NR_ZONES):
        follows = SEVERAL if state == SEVERAL_ZONES else ZONE_LABELS[state or 0]
        first = (zones or "").partition("/")[0]
        zones = zones if first.lower() == follows.lower() and zones != first else None
    return (False if view.removable is False else None), zones


def as_seen(views: Sequence[BlockView], seen: Iterable[SeenRun], *, at_start: bool) -> Iterator[BlockView]:
    """Yield ``views`` with what was ``seen`` of them: of an offline block's choices only ``at_start``."""
    by_block = {block: run for run in seen for block in range(run.first, run.first + run.blocks)}
    for view in views:
        run = by_block.get(view.block)
        if run is None:
            yield view
            continue
        zones = run.zones
        if zones is not None and view.state == "online":
            stays = zones.partition("/")[0].lower() == (view.zones or "").lower()
        else:
            stays = at_start
        yield view._replace(
            removable=view.removable if run.removable is None else run.removable,
            zones=zones if zones is not None and stays else view.zones,
        )
