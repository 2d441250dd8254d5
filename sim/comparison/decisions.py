"""The decisions that cost most: where a policy and one that knows the future put memory elsewhere, and what came of it.

Both met the same wishes. What is counted is memory that the host asks back at the end of the run and has not got (the
score ``not_given_end``), in the policy's run less in the other's. Where both guests live, each memory block is looked
up in both runs, by its device and its place in it: what is plugged of it in the one and not in the other, in which
zones, is its part of the difference. What a guest's death leaves behind is no single block's doing: then all of it is
the death's. What the blocks do not account for, because less was there or other devices were asked, is told as such, so
that the parts always add up to the whole.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.memory.zones import ZONE_MOVABLE
from sim.record.events import PLUGGED_SIGN, Events
from sim.record.recorder import NO_DEVICE, NO_ZONE, EventKind
from sim.record.shrink_requests import follow_shrink_requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim.record.run_result import RunResult

_KERNEL: Final = "kernel"
_MOVABLE: Final = "MOVABLE"
_OFFLINE: Final = "offline"
_NOWHERE: Final = "not there"

DEATH: Final = "death"
REST: Final = "rest"


class Block(NamedTuple):
    """A memory block at the end of a run: bytes of it that are plugged, and where it was online last."""

    plugged: int
    place: str


class Cause(NamedTuple):
    """Why memory did not come back: where the ``policy`` had the blocks, and where the ``bound`` had them.

    Both are a place (``kernel``, ``MOVABLE``, ``offline`` or ``not there``), both ``death`` where a guest died, or both
    ``rest`` for what no block accounts for.
    """

    policy: str
    bound: str


@dataclass(slots=True)
class Cost:
    """What a cause cost in one or more replications, in bytes; below 0 where the policy's memory came back instead.

    ``blocks`` are those that the bytes are of; ``reasons`` are the policy's own for where it put them, without figures,
    with how many blocks each stands for, where they are known; ``examples`` has one with its figures for each.
    """

    bytes: int = 0
    blocks: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Difference:
    """Where two runs of the same wishes differ: ``total`` bytes, which the ``costs`` by cause add up to.

    ``disagreed`` counts the blocks that went to other zones in the two runs, whatever came of it.
    """

    total: int
    costs: dict[Cause, Cost] = field(default_factory=dict)
    disagreed: int = 0
    blocks: dict[Cause, list[int]] = field(default_factory=dict)
    """The policy's numbers of the blocks of each cause."""

    def add(self, cause: Cause, amount: int, block: int | None = None) -> None:
        """Put so many bytes down to a cause."""
        cost = self.costs.setdefault(cause, Cost())
        cost.bytes += amount
        if block is not None:
            cost.blocks += 1
            self.blocks.setdefault(cause, []).append(block)


def held_at_end(run: RunResult) -> int:
    """Return the bytes that are asked back at the end and were not given, as the score ``not_given_end`` has them."""
    return follow_shrink_requests(Events.of(run.events), run.duration_us).held * run.page_size


def blocks_at_end(run: RunResult) -> dict[tuple[str, int], tuple[int, Block]]:
    """Return each memory block that any device ever had, by the device's name and its place in it.

    With the block's number. The first block that a device ever had is its place 0.
    """
    events = Events.of(run.events)
    plugged: dict[tuple[int, int], int] = {}
    zones: dict[tuple[int, int], int] = {}
    rows = zip(
        events.kind.tolist(), events.device.tolist(), events.block.tolist(), events.blocks.tolist(),
        events.zone.tolist(), events.plugged_change().tolist(), strict=True,
    )  # fmt: skip
    for kind, device, first, count, zone, change in rows:
        if device == NO_DEVICE or not count:
            continue
        for block in range(first, first + count):
            key = device, block
            if kind in {EventKind.PLUG, EventKind.ADD}:
                plugged[key] = change // count
            elif kind in {EventKind.REMOVE, EventKind.UNPLUG}:
                plugged[key] = 0
            elif PLUGGED_SIGN[kind]:
                plugged[key] = plugged.get(key, 0) + change
            if kind in {EventKind.PLUG, EventKind.ONLINE}:
                zones[key] = zone
    lowest: dict[int, int] = {}
    for device, block in plugged:
        lowest[device] = min(block, lowest.get(device, block))
    return {
        (run.device_names[device], block - lowest[device]): (
            block,
            Block(pages * run.page_size, _place(zones.get((device, block), NO_ZONE))),
        )
        for (device, block), pages in plugged.items()
    }


def _place(zone: int) -> str:
    if zone == NO_ZONE:
        return _OFFLINE
    return _MOVABLE if zone == ZONE_MOVABLE else _KERNEL


def difference(run: RunResult, bound: RunResult) -> Difference:
    """Return what a policy's ``run`` kept at its end beyond what the run of the ``bound`` did, by cause."""
    found = Difference(held_at_end(run) - held_at_end(bound))
    own, other = blocks_at_end(run), blocks_at_end(bound)
    alive = Events.of(run.events).death is None and Events.of(bound.events).death is None
    for key in sorted(own.keys() | other.keys()):
        number, block = own.get(key, (None, Block(0, _NOWHERE)))
        _, there = other.get(key, (None, Block(0, _NOWHERE)))
        found.disagreed += {block.place, there.place} == {_KERNEL, _MOVABLE}
        if alive and block.plugged != there.plugged:
            found.add(Cause(block.place, there.place), block.plugged - there.plugged, number)
    told = sum(cost.bytes for cost in found.costs.values())
    if found.total != told:
        found.add(Cause(REST, REST) if alive else Cause(DEATH, DEATH), found.total - told)
    return found


_FIGURE: Final = re.compile(r"\d+(?:[.,]\d+)*")


def same_reason(text: str) -> str:
    """Return a reason without its figures: what is the same for all blocks that it is told of."""
    return _FIGURE.sub("…", text)


def with_reasons(found: Difference, reasons: Mapping[int, str]) -> None:
    """Add to the costs of ``found`` why the policy put the blocks where they are: ``reasons`` by number of block."""
    for cause, numbers in found.blocks.items():
        cost = found.costs[cause]
        for number in numbers:
            if number in reasons:
                kind = same_reason(reasons[number])
                cost.reasons[kind] += 1
                cost.examples.setdefault(kind, reasons[number])


def together(found: Iterable[Difference]) -> Difference:
    """Return the differences of several replications as one: sums of everything."""
    whole = Difference(0)
    for each in found:
        whole.total += each.total
        whole.disagreed += each.disagreed
        for cause, cost in each.costs.items():
            sums = whole.costs.setdefault(cause, Cost())
            sums.bytes += cost.bytes
            sums.blocks += cost.blocks
            sums.reasons.update(cost.reasons)
            sums.examples = cost.examples | sums.examples
    return whole
