"""What changes on a memory map, and why: from the events of a run and the notes of running it again."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.guest.contract import OomKind
from sim.kernel.diary import MISSED, Decided, Failed, Missed, OutOfMemory
from sim.memory.blocks import named_blocks
from sim.memory.errors import NAMES
from sim.memory.zones import NR_ZONES, OnlineType
from sim.record.blockmap import BlockState
from sim.record.events import Events
from sim.record.recorder import EventKind
from sim.units import GIB, MIB

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


class Change(NamedTuple):
    """``count`` blocks from ``first`` are in ``state`` from ``t_us`` on, brought there by ``device`` (-1: by none).

    ``why`` is the number of a pattern and ``args`` the numbers in it, NO_REASON where nothing is told.
    """

    t_us: int
    first: int
    count: int
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
    decided = [(time, note) for time, note in notes if isinstance(note, Decided)]
    latest: dict[int, tuple[int, Args]] = {}
    missing: defaultdict[int, int] = defaultdict(int)
    state: dict[int, int] = {}
    done = 0
    refused = texts.take(_REFUSED)
    rows = zip(
        events.t_us.tolist(), events.kind.tolist(), events.device.tolist(), events.block.tolist(),
        events.blocks.tolist(), events.zone.tolist(), events.plugged_change().tolist(), strict=True,
    )  # fmt: skip
    for time, kind, device, first, count, zone, pages in rows:
        while done < len(decided) and decided[done][0] <= time:
            note = decided[done][1]
            latest[note.block] = texts.take(_why(note), set(note.why.numbers.values()))
            done += 1
        if kind in _WITHIN:
            before = missing[first] > 0
            missing[first] += _WITHIN[kind] * abs(pages)
            if first in state and before != (missing[first] > 0):
                yield Change(time, first, 1, state[first] + PARTLY * (not before), device)
        elif kind in _ONLINES or kind in _OFFLINES:
            to = zone if kind in _ONLINES else int(BlockState.OFFLINE)
            if kind in _ADDS and count == 1 and 0 <= pages < result.block_pages:
                missing[first] = result.block_pages - pages
            if pages or missing or (kind in _ONLINES and latest):
                for block in range(first, first + count):
                    state[block] = to
                    why = latest.get(block, (NO_REASON, ())) if kind in _ONLINES else (NO_REASON, ())
                    yield Change(time, block, 1, to + PARTLY * (missing.get(block, 0) > 0), device, *why)
            else:
                yield Change(time, first, count, to, device)
        elif kind in _REMOVES:
            for block in range(first, first + count) if missing or state else ():
                missing.pop(block, None)
                state.pop(block, None)
            yield Change(time, first, count, int(BlockState.ABSENT), device)
        elif kind == EventKind.REFUSED and count:
            yield Change(time, first, count, STAYS, device, *refused)


def _why(note: Decided) -> str:
    back = "put back, " * note.put_back
    word, reason = OnlineType(note.word).word, note.why.reason
    # Policies that decide nothing repeat the word.
    return f"{back}{reason if reason.startswith(word) else f'{word}: {reason}'}"


def marks(result: RunResult, notes: Sequence[tuple[int, Note]], texts: Texts) -> list[Mark]:
    """Return what happened beside the changes of blocks, in order: requests, failures, kills, death.

    Where there are too many, requests are left out at even distances.
    """
    events, found = Events.of(result.events), []
    rows = zip(
        events.t_us.tolist(), events.kind.tolist(), events.device.tolist(), events.requested.tolist(),
        events.errno.tolist(), events.oom_kind.tolist(), events.attached().tolist(), strict=True,
    )  # fmt: skip
    for time, kind, device, asked, errno, oom, attached in rows:
        name = result.device_names[device] if device >= 0 else "the host"
        if kind == EventKind.REQUEST:
            found.append((time, f"the host asks {name} for {_size(asked * result.page_size)}", False))
        elif kind == EventKind.DEVICE:
            found.append((time, f"{name} is {'attached' if attached else 'gone'}", False))
        elif kind == EventKind.FAILED and not notes:
            found.append((time, f"{name}: failed: {NAMES.get(errno, str(errno))}", True))
        elif kind == EventKind.OOM and not notes:
            found.append((time, f"out of memory ({OomKind(oom).shown})", True))
        elif kind == EventKind.DEATH:
            found.append((time, "the guest dies", True))
    for time, note in notes:
        if isinstance(note, Failed):
            found.append((time, f"{note.device}: failed: {note.error}", True))
        elif isinstance(note, OutOfMemory):
            found.append((time, note.kill.told, True))
        elif isinstance(note, Missed):
            found.append((time, f"{named_blocks(note.first, note.count)}: {MISSED}", True))
    return [Mark(time, *texts.take(text), grave) for time, text, grave in _fewer(sorted(found, key=lambda row: row[0]))]


def _fewer(found: Sequence[tuple[int, str, bool]]) -> list[tuple[int, str, bool]]:
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


def _size(size: int) -> str:
    per, unit = (GIB, "GiB") if size >= GIB and size % (GIB // 8) == 0 else (MIB, "MiB")
    return f"{size / per:g} {unit}"


def at_first(result: RunResult) -> list[tuple[int, int, int, int]]:
    """Return what is there at boot: runs of first block, blocks, state, node."""
    offline = int(BlockState.OFFLINE)
    return [(run.first, run.blocks, offline if run.zone == NR_ZONES else run.zone, run.node) for run in result.boot.runs]
