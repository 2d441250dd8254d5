"""Which zone each memory block is in over time, and how often the zones take turns along the address axis.

Blocks that always change together are handled as one segment, so that a DIMM of 8192 blocks costs no more than one of a
single block, and gaps in the address space cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.memory.zones import ZONE_MOVABLE
from sim.observe import EventKind
from sim.series import BLOCK, COUNT, KIND, T_US, ZONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from sim.run_result import RunResult

    Integers = npt.NDArray[np.int64]

ABSENT: Final = -2
"""In a zone map: the block does not exist."""
MIXED: Final = -1
"""In a zone map: a boot block that zones share."""
OFFLINE: Final = 4
"""In a zone map: the block exists and is offline. 0 to 3 are the zones (``sim.memory.zones.ZoneType``)."""

# One byte per segment: 0 is not online, 1 a kernel zone, 2 MOVABLE; a foreign value at both ends stops every search.
_KERNEL, _MOVABLE, _END = 1, 2, 3

_ENTERS: Final = frozenset((EventKind.PLUG, EventKind.ONLINE))
_LEAVES: Final = frozenset((EventKind.OFFLINE, EventKind.UNPLUG))
_CHANGES_STATE: Final = np.isin(
    np.arange(max(EventKind) + 1),
    (EventKind.PLUG, EventKind.ADD, EventKind.ONLINE, EventKind.OFFLINE, EventKind.REMOVE, EventKind.UNPLUG),
)


@dataclass(frozen=True, slots=True)
class ZoneMap:
    """The state of every block at sampled times.

    ``t_us`` holds the times (n), ``blocks`` the ids of all blocks that ever existed, ascending (m), and
    ``states`` (n, m) int8 a zone's number, or :data:`ABSENT`, :data:`MIXED` or :data:`OFFLINE`. A state that
    lasted less than from one sample to the next may not show.
    """

    t_us: Integers
    blocks: Integers
    states: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class _Segments:
    """The address axis cut wherever a boot run or an event begins or ends.

    ``first`` and ``count`` are each segment's blocks, ``boot`` its state at boot (int8); ``rows`` are the
    events that change states, and ``begin`` to ``end`` (exclusive) the segments of each.
    """

    first: Integers
    count: Integers
    boot: npt.NDArray[np.int8]
    rows: Integers
    begin: Integers
    end: Integers


def _segments(result: RunResult) -> _Segments:
    events = result.events
    rows = np.flatnonzero(_CHANGES_STATE[events[:, KIND]] & (events[:, COUNT] > 0))
    first, last = events[rows, BLOCK], events[rows, BLOCK] + events[rows, COUNT]
    runs = np.array(result.boot.runs, dtype=np.int64).reshape(-1, 4)
    boot_last = runs[:, 0] + runs[:, 1]
    edges = np.unique(np.concatenate((first, last, runs[:, 0], boot_last)))
    boot = np.full(max(len(edges) - 1, 0), ABSENT, dtype=np.int8)
    begins, ends = np.searchsorted(edges, runs[:, 0]), np.searchsorted(edges, boot_last)
    for begin, end, zone in zip(begins, ends, runs[:, 2], strict=True):
        boot[begin:end] = zone
    return _Segments(
        edges[:-1], np.diff(edges), boot, rows, np.searchsorted(edges, first), np.searchsorted(edges, last)
    )


def zone_map(result: RunResult, times_us: Sequence[int] | Integers | None = None, samples: int = 400) -> ZoneMap:
    """Return the blocks' states at ``times_us`` (ascending), by default at ``samples`` even steps from 0 to the end.

    The state at a time is the one after all events up to and including it.
    """
    if times_us is None:
        times = np.linspace(0, result.duration_us, samples).astype(np.int64)
    else:
        times = np.asarray(times_us, dtype=np.int64)
    cut = _segments(result)
    events = result.events[cut.rows]
    kind = events[:, KIND]
    becomes = np.full(len(events), ABSENT, dtype=np.int8)
    entering = np.isin(kind, tuple(_ENTERS))
    becomes[entering] = events[entering, ZONE]
    becomes[np.isin(kind, (EventKind.ADD, EventKind.OFFLINE))] = OFFLINE

    state = cut.boot.copy()
    existed = state != ABSENT
    states = np.empty((len(times), len(state)), dtype=np.int8)
    upto = np.searchsorted(events[:, T_US], times, side="right")
    done = 0
    for sample, until in enumerate([*upto.tolist(), len(events)]):
        begin, width = cut.begin[done:until], (cut.end - cut.begin)[done:until]
        # Expand each event to its segments. Where one is hit twice, NumPy keeps what is assigned last.
        offset = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
        target = np.repeat(begin, width) + offset
        state[target] = np.repeat(becomes[done:until], width)
        existed[target] = True
        done = until
        if sample < len(times):
            states[sample] = state
    width = np.where(existed, cut.count, 0)
    inside = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
    return ZoneMap(times, np.repeat(cut.first, width) + inside, np.repeat(states, width, axis=1))


@dataclass(frozen=True, slots=True)
class ZoneChanges:
    """How often kernel zones and ZONE_MOVABLE take turns along the address axis: at the end, and at most ever."""

    end: int
    highest: int


def zone_changes(result: RunResult) -> ZoneChanges:
    """Count the neighbours, among online blocks in address order, of which one is MOVABLE and the other is not.

    Missing and offline blocks are passed over; blocks that zones share count as kernel memory, which they cannot leave.
    The kernel zones among themselves are one kind. Only what lasts until time moves on counts.
    """
    cut = _segments(result)
    kinds = np.where(cut.boot == ZONE_MOVABLE, _MOVABLE, np.where(cut.boot == ABSENT, 0, _KERNEL)).astype(np.uint8)
    present = kinds[kinds > 0]
    changes = highest = int(np.count_nonzero(np.diff(present.astype(np.int16))))
    state = bytearray((_END, *kinds.tobytes(), _END))
    occupied = bytearray((1, *(kinds > 0).tobytes(), 1))
    find, rfind = occupied.find, occupied.rfind

    events = result.events[cut.rows]
    code = np.zeros(max(EventKind) + 1, dtype=np.int64)
    code[list(_ENTERS)] = 1
    code[list(_LEAVES)] = -1
    moves = code[events[:, KIND]] * np.where(events[:, ZONE] == ZONE_MOVABLE, _MOVABLE, _KERNEL)
    rows = np.flatnonzero(moves)
    if not len(rows):
        return ZoneChanges(changes, highest)
    # The state at time 0 is the one after the events of time 0.
    if events[rows[0], T_US] == 0:
        highest = 0
    lasts = np.diff(events[rows, T_US], append=events[rows[-1], T_US] + 1) > 0
    # A plain loop: each step depends on the one before, and the two searches are memchr and memrchr.
    begins, ends = (cut.begin[rows] + 1).tolist(), (cut.end[rows] + 1).tolist()
    for move, begin, end, last in zip(moves[rows].tolist(), begins, ends, lasts.tolist(), strict=True):
        left = state[rfind(1, 0, begin)]
        right = state[find(1, end)]
        kind = move if move > 0 else -move
        # A foreign end is no neighbour, and what has none or equal ones on both sides changes nothing there.
        with_run = (left != kind and left < _END) + (right != kind and right < _END)
        without = left + right == _END  # a kernel zone and MOVABLE: 1 + 2. An end has a neighbour of at least 1
        if move > 0:
            changes += with_run - without
            if end - begin == 1:
                state[begin] = kind
                occupied[begin] = 1
            else:
                state[begin:end] = bytes((kind,)) * (end - begin)
                occupied[begin:end] = b"\1" * (end - begin)
        else:
            changes += without - with_run
            if end - begin == 1:
                state[begin] = occupied[begin] = 0
            else:
                state[begin:end] = occupied[begin:end] = bytes(end - begin)
        if last and changes > highest:
            highest = changes
    return ZoneChanges(changes, highest)
