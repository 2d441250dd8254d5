"""Which zone each memory block is in over time, and how often the zones take turns along the address axis.

Blocks that always change together are handled as one segment, so that a DIMM of 8192 blocks costs no more than one of a
single block, and gaps in the address space cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.memory.blocks import BLOCK_MIXED, BLOCK_OFFLINE
from sim.memory.zones import NR_ZONES, ZONE_DMA, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL
from sim.record.arrays import counted_up, group_starts
from sim.record.events import ONLINE_SIGN, Events
from sim.record.recorder import EventKind
from sim.record.run_result import SEVERAL_ZONES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from sim.memory.hotplug import Memory
    from sim.record.run_result import RunResult

    Integers = npt.NDArray[np.int64]


class BlockState(IntEnum):
    """What a zone map says of a block: the zone that it is online in, or why there is none."""

    ABSENT = -2
    """The block does not exist."""
    SEVERAL_ZONES = SEVERAL_ZONES
    """A boot block that zones share; it is always online."""
    DMA = ZONE_DMA
    DMA32 = ZONE_DMA32
    NORMAL = ZONE_NORMAL
    MOVABLE = ZONE_MOVABLE
    OFFLINE = NR_ZONES
    """The block exists and is offline."""


def state_by_code(memory: Memory) -> list[int]:
    """Return what each value of a block's byte in the table of blocks means: numbers of :class:`BlockState`."""
    states = [int(BlockState.ABSENT if zone is None else zone.type) for zone in memory.zone_by_code]
    states[BLOCK_OFFLINE] = BlockState.OFFLINE
    states[BLOCK_MIXED] = BlockState.SEVERAL_ZONES
    return states


# One byte per segment while turns between zones are counted. A foreign value at both ends stops every search.
_NOT_ONLINE, _KERNEL, _MOVABLE, _END = range(4)
_TURN = _KERNEL + _MOVABLE

_WIDEST_TABLE: Final = 1 << 22
"""Blocks; the address range of 512 TiB in blocks of 128 MiB, a table of 32 MiB."""

_CHANGES_STATE: Final = np.isin(
    np.arange(max(EventKind) + 1),
    (EventKind.PLUG, EventKind.ADD, EventKind.ONLINE, EventKind.OFFLINE, EventKind.REMOVE, EventKind.UNPLUG),
)


@dataclass(frozen=True, slots=True)
class ZoneMap:
    """The state of every block at sampled times.

    ``t_us`` holds the times (n), ``blocks`` the ids of all blocks that ever existed, ascending (m), and
    ``states`` (n, m) int8 a zone's number, or another number of :class:`BlockState`. A state that
    lasted less than from one sample to the next may not show.
    """

    t_us: Integers
    blocks: Integers
    states: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class _Segments:
    """The address axis cut wherever a boot run or an event begins or ends.

    ``first`` and ``count`` are each segment's blocks, ``boot`` its state at boot (int8); ``events`` are those that
    change states, and ``begin`` to ``end`` (exclusive) the segments of each.
    """

    first: Integers
    count: Integers
    boot: npt.NDArray[np.int8]
    events: Events
    begin: Integers
    end: Integers


def _segments(result: RunResult, columns: Events | None) -> _Segments:
    everything = Events.of(result.events) if columns is None else columns
    events = everything.where(_CHANGES_STATE[everything.kind] & (everything.blocks > 0))
    last = events.block + events.blocks
    runs = np.array(result.boot.runs, dtype=np.int64).reshape(-1, 4)
    boot_last = runs[:, 0] + runs[:, 1]
    edges, number = _distinct(np.concatenate((runs[:, 0], boot_last, events.block, last)))
    boot = np.full(max(len(edges) - 1, 0), BlockState.ABSENT, dtype=np.int8)
    begins, ends, rest = number[: len(runs)], number[len(runs) : 2 * len(runs)], number[2 * len(runs) :]
    for begin, end, run in zip(begins.tolist(), ends.tolist(), result.boot.runs, strict=True):
        boot[begin:end] = run.zone
    return _Segments(edges[:-1], np.diff(edges), boot, events, rest[: len(events)], rest[len(events) :])


def _distinct(blocks: Integers) -> tuple[Integers, Integers]:
    """Return the different values among ``blocks``, ascending, and for each block the number of its value."""
    if not len(blocks):
        return blocks, blocks
    low = int(blocks.min())
    width = int(blocks.max()) - low + 1
    if width > _WIDEST_TABLE:
        return np.unique(blocks, return_inverse=True)
    # A table over the whole range takes no sorting: a value's number is how many values below it are seen.
    seen = np.zeros(width, dtype=np.bool_)
    seen[blocks - low] = True
    return np.flatnonzero(seen) + low, (np.cumsum(seen) - 1)[blocks - low]


def zone_map(result: RunResult, times_us: Sequence[int] | Integers | None = None, samples: int = 400) -> ZoneMap:
    """Return the blocks' states at ``times_us`` (ascending), by default at ``samples`` even steps from 0 to the end.

    The state at a time is the one after all events up to and including it.
    """
    if times_us is None:
        times = np.linspace(0, result.duration_us, samples).astype(np.int64)
    else:
        times = np.asarray(times_us, dtype=np.int64)
    cut = _segments(result, None)
    events = cut.events
    becomes = np.full(len(events), BlockState.ABSENT, dtype=np.int8)
    entering = ONLINE_SIGN[events.kind] > 0
    becomes[entering] = events.zone[entering]
    becomes[events.of_kind(EventKind.ADD, EventKind.OFFLINE)] = BlockState.OFFLINE

    state = cut.boot.copy()
    existed = state != BlockState.ABSENT
    states = np.empty((len(times), len(state)), dtype=np.int8)
    upto = np.searchsorted(events.t_us, times, side="right")
    done = 0
    for sample, until in enumerate([*upto.tolist(), len(events)]):
        begin, width = cut.begin[done:until], (cut.end - cut.begin)[done:until]
        # Expand each event to its segments. Where one is hit twice, NumPy keeps what is assigned last.
        target = np.repeat(begin, width) + counted_up(width)
        state[target] = np.repeat(becomes[done:until], width)
        existed[target] = True
        done = until
        if sample < len(times):
            states[sample] = state
    width = np.where(existed, cut.count, 0)
    return ZoneMap(times, np.repeat(cut.first, width) + counted_up(width), np.repeat(states, width, axis=1))


@dataclass(frozen=True, slots=True)
class ZoneChanges:
    """How often kernel zones and ZONE_MOVABLE take turns along the address axis: at the end, and at most ever."""

    end: int
    highest: int


def zone_changes(result: RunResult, events: Events | None = None) -> ZoneChanges:
    """Count the neighbours, among online blocks in address order, of which one is MOVABLE and the other is not.

    Missing and offline blocks are passed over; blocks that zones share count as kernel memory, which they cannot leave.
    The kernel zones among themselves are one kind. Only what lasts until time moves on counts. ``events`` are the run's
    columns, if at hand.
    """
    if events is None:
        events = Events.of(result.events)
    if not (events.zone == ZONE_MOVABLE).any() and all(run.zone != ZONE_MOVABLE for run in result.boot.runs):
        return ZoneChanges(0, 0)  # nothing in ZONE_MOVABLE: there are no turns
    cut = _segments(result, events)
    kinds = np.full(len(cut.boot), _KERNEL, dtype=np.uint8)
    kinds[(cut.boot == BlockState.ABSENT) | (cut.boot == BlockState.OFFLINE)] = _NOT_ONLINE
    kinds[cut.boot == BlockState.MOVABLE] = _MOVABLE
    online = kinds[kinds != _NOT_ONLINE]
    changes = int(np.count_nonzero(online[1:] != online[:-1]))
    moves = _moves(cut)
    # What is there at boot counts unless something happens at time 0.
    highest = changes if moves.from_us > 0 else 0
    state = bytearray((_END, *kinds.tobytes(), _END))
    occupied = bytearray((1, *(kinds > 0).tobytes(), 1))
    find, rfind = occupied.find, occupied.rfind
    # A plain loop: each step depends on the one before, and the two searches are memchr and memrchr. One
    # segment is set apart because two bytes are set 400 ns faster than two slices of one.
    for move, begin, end, in_between, afterwards in moves.rows:
        left = state[rfind(1, 0, begin)]
        right = state[find(1, end)]
        kind = move if move > 0 else -move
        with_run = (left != kind and left < _END) + (right != kind and right < _END)
        # Only a kernel zone and MOVABLE add up to this: an end is as much alone, and has a neighbour of at least 1.
        gained = with_run - (left + right == _TURN)
        if move > 0:
            changes += gained
            # While a run grows, every block after its first leaves the number as it is.
            if in_between and changes > highest:
                highest = changes
            if end - begin == 1:
                state[begin] = kind
                occupied[begin] = 1
            else:
                state[begin:end] = bytes((kind,)) * (end - begin)
                occupied[begin:end] = b"\1" * (end - begin)
        else:
            # While a run shrinks, every block before its last leaves the number as it is.
            if in_between and changes > highest:
                highest = changes
            changes -= gained
            if end - begin == 1:
                state[begin] = occupied[begin] = 0
            else:
                state[begin:end] = occupied[begin:end] = bytes(end - begin)
        if afterwards and changes > highest:
            highest = changes
    return ZoneChanges(changes, highest)


@dataclass(frozen=True, slots=True)
class _Moves:
    """What enters and leaves zones, step by step from the time ``from_us`` (1 if never).

    Each of ``rows`` is the kind of zone (negative where left), the first segment and the one after the last (counted
    from 1), whether time moves on while the step is under way, and whether it moves on after the step.
    """

    from_us: int
    rows: Iterable[tuple[int, int, int, bool, bool]]


def _moves(cut: _Segments) -> _Moves:
    """Return the moves of ``cut``, those together that extend one run, or shorten it, block by block."""
    sign = ONLINE_SIGN[cut.events.kind]
    moving = np.flatnonzero(sign)
    if not len(moving):
        return _Moves(1, ())
    t_us = cut.events.t_us[moving]
    move = sign[moving] * np.where(cut.events.zone[moving] == ZONE_MOVABLE, _MOVABLE, _KERNEL)
    begin, end = cut.begin[moving] + 1, cut.end[moving] + 1
    # Segments that touch in number may lie apart in the address space, with nothing but a gap in between: all the same.
    first = np.ones(len(move), dtype=np.bool_)
    first[1:] = (move[1:] != move[:-1]) | ((begin[1:] != end[:-1]) & (end[1:] != begin[:-1]))
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(move)) - 1
    lasts = group_starts(t_us[::-1])[::-1]
    afterwards = lasts[ends]
    lasts[ends] = False
    return _Moves(
        int(t_us[0]),
        zip(
            move[starts].tolist(),
            np.minimum.reduceat(begin, starts).tolist(),
            np.maximum.reduceat(end, starts).tolist(),
            np.logical_or.reduceat(lasts, starts).tolist(),
            afterwards.tolist(),
            strict=True,
        ),
    )
