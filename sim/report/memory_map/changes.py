"""What changes on a memory map, and why: from the events of a run and the notes of running it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.guest.contract import OomKind
from sim.kernel.diary import MISSED, Decided, Failed, Missed, OutOfMemory
from sim.memory.blocks import named_blocks
from sim.memory.errors import NAMES
from sim.memory.zones import NR_ZONES, OnlineType
from sim.record.blockmap import BlockState
from sim.record.events import Events
from sim.record.recorder import NO_DEVICE, EventKind
from sim.units import rounded_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.kernel.diary import Note
    from sim.record.run_result import RunResult
    from sim.report.memory_map.texts import Args, Texts

PARTLY: Final = 8
"""Added to a state: the block is there, but virtio-mem has unplugged part of it."""

STAYS: Final = 20
"""Instead of a state: the block was asked to go offline and refused; its state is what it was."""

NO_REASON: Final = -1

MOST_MARKS: Final = 300
"""Requests and the like that a map tells of at most."""

_ONLINES: Final = frozenset((int(EventKind.PLUG), int(EventKind.ONLINE)))
_OFFLINES: Final = frozenset((int(EventKind.ADD), int(EventKind.OFFLINE)))
_REMOVES: Final = frozenset((int(EventKind.REMOVE), int(EventKind.UNPLUG)))
_ADDS: Final = frozenset((int(EventKind.PLUG), int(EventKind.ADD)))
_WITHIN: Final = {int(EventKind.SUBPLUG): -1, int(EventKind.SUBUNPLUG): 1}
_REFUSED: Final = "it was asked to go offline and refused: it holds pages that cannot move"


_Told = tuple[int, str, bool]
"""When, what, and whether it is grave."""


class Change(NamedTuple):
    """``blocks`` from ``first`` on are in ``state`` from ``t_us`` on, brought there by ``device`` (-1: by none).

    ``why`` is the number of a pattern and ``args`` the numbers in it, NO_REASON where nothing is told.
    """

    t_us: int
    first: int
    blocks: int
    state: int
    device: int
    why: int = NO_REASON
    args: Args = ()


class Mark(NamedTuple):
    """Something that happened at ``t_us`` and is about no block: a pattern and the numbers in it. ``grave``: told."""

    t_us: int
    why: int
    args: Args
    grave: bool


def changes(result: RunResult, notes: Sequence[tuple[int, Note]], texts: Texts) -> Iterator[Change]:
    """Yield the changes of ``result`` in order; with ``notes`` those of decisions and refusals have their reason."""
    events = Events.of(result.events)
    follower = _Follower(result.block_pages, notes, texts)
    rows = zip(
        events.t_us.tolist(),
        events.kind.tolist(),
        events.device.tolist(),
        events.block.tolist(),
        events.blocks.tolist(),
        events.zone.tolist(),
        events.plugged_change().tolist(),
        strict=True,
    )
    for row in rows:
        yield from follower.follow(*row)


class _Follower:
    """Follows events: which block was decided about last, what of it is unplugged, and what state it is in."""

    def __init__(self, block_pages: int, notes: Sequence[tuple[int, Note]], texts: Texts) -> None:
        self._block_pages = block_pages
        self._texts = texts
        self._decided = [(time, note) for time, note in notes if isinstance(note, Decided)]
        self._heard = 0
        self._latest: dict[int, tuple[int, Args]] = {}
        self._missing: dict[int, int] = {}
        self._state: dict[int, int] = {}
        self._refused = texts.take(_REFUSED)

    def follow(
        self, time: int, kind: int, device: int, first: int, count: int, zone: int, pages: int
    ) -> Iterator[Change]:
        """Yield the changes of one event."""
        self._hear(time)
        if kind in _WITHIN:
            yield from self._within(time, device, first, _WITHIN[kind] * abs(pages))
        elif kind in _ONLINES or kind in _OFFLINES:
            if kind in _ADDS and count == 1 and 0 <= pages < self._block_pages:
                self._missing[first] = self._block_pages - pages
            yield from self._entering(time, device, first, count, zone if kind in _ONLINES else None)
        elif kind in _REMOVES:
            for block in range(first, first + count):
                self._missing.pop(block, None)
                self._state.pop(block, None)
            yield Change(time, first, count, int(BlockState.ABSENT), device)
        elif kind == EventKind.REFUSED and count:
            yield Change(time, first, count, STAYS, device, *self._refused)

    def _hear(self, time: int) -> None:
        """Take note of what was decided up to ``time``."""
        while self._heard < len(self._decided) and self._decided[self._heard][0] <= time:
            note = self._decided[self._heard][1]
            self._latest[note.block] = self._texts.take(_why(note), set(note.why.numbers.values()))
            self._heard += 1

    def _within(self, time: int, device: int, block: int, more: int) -> Iterator[Change]:
        before = self._missing.get(block, 0)
        self._missing[block] = before + more
        if block in self._state and (before > 0) != (before + more > 0):
            yield Change(time, block, 1, self._state[block] + PARTLY * (before + more > 0), device)

    def _entering(self, time: int, device: int, first: int, count: int, zone: int | None) -> Iterator[Change]:
        """Yield that blocks are online in ``zone``, or offline where None."""
        state = int(BlockState.OFFLINE) if zone is None else zone
        for block in range(first, first + count):
            self._state[block] = state
            why = (NO_REASON, ()) if zone is None else self._latest.get(block, (NO_REASON, ()))
            yield Change(time, block, 1, state + PARTLY * (self._missing.get(block, 0) > 0), device, *why)


def _why(note: Decided) -> str:
    back = "put back, " * note.put_back
    word, reason = OnlineType(note.word).word, note.why.reason
    # Policies that decide nothing repeat the word.
    return f"{back}{reason if reason.startswith(word) else f'{word}: {reason}'}"


def marks(result: RunResult, notes: Sequence[tuple[int, Note]], texts: Texts) -> list[Mark]:
    """Return what happened beside the changes of blocks, in order: requests, failures, kills, death.

    Where there are too many, requests are left out at even distances.
    """
    found = [*_of_events(result, noted=bool(notes)), *_of_notes(notes)]
    return [Mark(time, *texts.take(text), grave) for time, text, grave in _fewer(sorted(found, key=lambda row: row[0]))]


def _of_events(result: RunResult, *, noted: bool) -> Iterator[_Told]:
    """Yield what events tell; failures and kills only where they are not ``noted``, which tells more of them."""
    events = Events.of(result.events)
    rows = zip(
        events.t_us.tolist(),
        events.kind.tolist(),
        events.device.tolist(),
        events.requested.tolist(),
        events.errno.tolist(),
        events.oom_kind.tolist(),
        events.attached().tolist(),
        strict=True,
    )
    for time, kind, device, asked, errno, oom, attached in rows:
        name = result.device_names[device] if device != NO_DEVICE else "the host's request"
        if kind == EventKind.REQUEST:
            yield time, f"the host asks {name} for {rounded_size(asked * result.page_size, 6)}", False
        elif kind == EventKind.DEVICE:
            yield time, f"{name} is {'attached' if attached else 'gone'}", False
        elif kind == EventKind.DEATH:
            yield time, "the guest dies", True
        elif kind == EventKind.FAILED and not noted:
            yield time, f"{name}: failed: {NAMES.get(errno, str(errno))}", True
        elif kind == EventKind.OOM and not noted:
            yield time, f"out of memory ({OomKind(oom).shown})", True


def _of_notes(notes: Sequence[tuple[int, Note]]) -> Iterator[_Told]:
    for time, note in notes:
        if isinstance(note, Failed):
            yield time, f"{note.device}: failed: {note.error}", True
        elif isinstance(note, OutOfMemory):
            yield time, note.kill.told, True
        elif isinstance(note, Missed):
            yield time, f"{named_blocks(note.first, note.count)}: {MISSED}", True


def _fewer(found: Sequence[_Told]) -> list[_Told]:
    grave = sum(row[2] for row in found)
    room = max(MOST_MARKS - grave, MOST_MARKS // 4)
    stride = max(1, -(-(len(found) - grave) // room))
    kept, light, heavy = [], 0, 0
    for row in found:
        if row[2]:
            heavy += 1
            if heavy <= MOST_MARKS or row is found[-1]:
                kept.append(row)
        else:
            if light % stride == 0:
                kept.append(row)
            light += 1
    return kept


def at_first(result: RunResult) -> list[tuple[int, int, int, int]]:
    """Return what is there at boot: runs of first block, blocks, state, node."""
    offline = int(BlockState.OFFLINE)
    return [
        (run.first, run.blocks, offline if run.zone == NR_ZONES else run.zone, run.node) for run in result.boot.runs
    ]
