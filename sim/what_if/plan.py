"""Answers a question: runs its steps under every policy, looks on, and says what became of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.devices.virtio_mem import VirtioMem
from sim.engine import WorkloadError
from sim.experiment import build
from sim.faults import InputError
from sim.kernel.diary import MISSED, Decided, Failed, Missed, OutOfMemory, Refused
from sim.kernel.policy_answers import PolicyError
from sim.memory.zones import OnlineType
from sim.record.blockmap import BlockState
from sim.units import us_to_seconds
from sim.what_if.answer import Answer, Failure, Figures, Outcome, Piece, Reason, Return, Stay, Step, state_label
from sim.what_if.look import Watched
from sim.what_if.question import Question, question
from sim.what_if.sources import Source, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from sim.experiment.plan import Cell
    from sim.kernel.diary import Note
    from sim.pages import PageGeometry
    from sim.record.run_result import RunResult
    from sim.what_if.look import DeviceLook, Look


def plan(
    machine: Path | str | Sequence[Path | str] | Mapping[str, Any],
    *steps: str,
    policies: Sequence[str] = (),
    label: str | None = None,
    guest: bool = False,
) -> Answer:
    """Return what would become of ``steps`` on a ``machine``, and what would come back, as ``memhp-sim plan`` tells it.

    ``machine`` is an experiment's file, or a mapping of the same shape, of which machines, guest and policies count; or
    one or several files that tell of a real machine, as ``memhp-sim import`` takes them. ``label`` is that of one of
    several machines. Steps are such as ``"plug dimm:16GiB@0"``, ``"resize vmem0:64GiB"``, ``"unplug dimm0"`` and
    ``"demand kernel:1GiB"`` (``docs/plan.md``); what they add is asked back in the end, and all
    devices that there are where none is about a device. ``policies`` are labels of the file's, or names with parameters
    (``"auto-movable:ratio=401"``). ``guest`` models one where the file does not. Sizes in the answer are bytes.
    Raises InputError with every fault.

        >>> plan("guest.toml", "plug dimm:16GiB").outcomes[0].returned
    """
    if isinstance(machine, Mapping):
        source = Source(machine, "experiment", Path())
    else:
        source = read_source([machine] if isinstance(machine, (str, Path)) else machine)
    words = [step.strip().partition(" ") for step in steps]
    pairs = [(op, text.strip()) for op, _, text in words]
    return answer(question(source, pairs, machine=label, policies=policies, guest=guest))


def answer(asked: Question) -> Answer:
    """Run the steps of a question under each of its policies and return what came of them."""
    combination = asked.experiment.combinations[0]
    ahead = len(asked.steps) - asked.back
    return Answer(
        source=asked.source,
        machine=combination.machine.label,
        kernel=combination.machine.spec.kernel,
        block_size=combination.machine.spec.block_size,
        guest=combination.guest.model,
        steps=asked.steps[:ahead],
        back=asked.steps[ahead:],
        remarks=asked.remarks,
        outcomes=tuple(_outcome(asked, cell) for cell in asked.cells),
    )


def _outcome(asked: Question, cell: Cell) -> Outcome:
    label = cell.combination.policy.label
    own = label == asked.own
    notes: list[Note] = []
    watched = Watched(steps=asked.steps, notes=notes)
    try:
        result = build.simulation(cell, lambda _us, note: notes.append(note), asks=watched)()
    except (PolicyError, WorkloadError) as error:
        return Outcome(label, own, error=str(error))
    except InputError as error:
        raise InputError(asked.source, error.faults) from error
    reader = _Reader(result, watched.looks, notes, cell.combination.machine.spec.geometry)
    ahead = len(asked.steps) - asked.back
    looks = watched.looks
    names = list(dict.fromkeys(map(_device, asked.steps[ahead:])))
    wanted = _wanted(looks[ahead], looks[-1], names)
    return Outcome(
        label,
        own,
        before=reader.figures(looks[0]),
        steps=tuple(reader.step(number, asked) for number, asked in enumerate(asked.steps[:ahead], 1)),
        back=tuple(reader.given_back(number, asked) for number, asked in enumerate(asked.steps, 1) if number > ahead),
        wanted=sum(wanted.values()),
        returned=sum(max(0, _plugged(looks[ahead], name) - _plugged(looks[-1], name)) for name in names),
        safe=sum(min(size, reader.safe(looks[ahead], name)) for name, size in wanted.items() if size),
        died=looks[-1].dead,
    )


def _wanted(before: Look, last: Look, names: Sequence[str]) -> dict[str, int]:
    """Return by device the bytes that it had beyond what it was to keep in the end."""
    keep = {name: _to_keep(last.devices.get(name)) for name in names}
    return {name: max(0, _plugged(before, name) - keep[name]) for name in names}


def _plugged(look: Look, name: str) -> int:
    device = look.devices.get(name)
    return 0 if device is None else device.plugged


def _to_keep(device: DeviceLook | None) -> int:
    """Return the bytes that a device is to keep which was asked back: a DIMM or dax device goes as a whole."""
    return device.requested if device is not None and device.kind == VirtioMem.kind else 0


class _Reader:
    """Says what happened between two looks."""

    def __init__(self, result: RunResult, looks: Sequence[Look], notes: Sequence[Note], geometry: PageGeometry) -> None:
        self._result = result
        self._looks = looks
        self._notes = notes
        self._block_bytes = result.block_pages * result.page_size
        self._memmap = geometry.memmap_pages(result.block_pages) * result.page_size

    def figures(self, look: Look) -> Figures:
        """Return the figures of a moment."""
        guest = look.guest
        offline = int(np.count_nonzero(look.states == BlockState.OFFLINE)) * self._block_bytes
        devices = {name: device.plugged for name, device in look.devices.items()}
        if guest is None:
            return Figures(look.movable, look.kernel, offline, devices)
        return Figures(
            look.movable,
            look.kernel,
            offline,
            devices,
            guest.mem_total,
            guest.available,
            guest.headroom,
            dict(guest.memmap),
        )

    def safe(self, look: Look, name: str) -> int:
        """Return the bytes of a device's blocks that no use by the kernel can keep from going; none of a dead guest."""
        if look.dead:
            return 0
        states = look.states[look.of_device(name)]
        kernel = int(np.count_nonzero((states != BlockState.MOVABLE) & (states != BlockState.OFFLINE)))
        if kernel and look.devices[name].kind != VirtioMem.kind:
            return 0
        return (len(states) - kernel) * self._block_bytes

    def step(self, number: int, asked: str) -> Step:
        """Return what came of a step, the first being 1."""
        before, after = self._looks[number - 1], self._looks[number]
        notes = self._notes[before.notes : after.notes]
        rows = self._result.events[before.rows : after.rows, 0]
        device = after.devices.get(_device(asked))
        memmap, hosted = self._memmap_of(before, after)
        return Step(
            asked=asked,
            at=us_to_seconds(before.t_us),
            seconds=us_to_seconds(int(rows[-1]) - before.t_us) if len(rows) else 0.0,
            pieces=tuple(_pieces(before, after, notes)),
            memmap=memmap,
            memmap_zones=_by_zone(before, after),
            hosted=hosted,
            failures=_failures(notes),
            refused=sum(isinstance(note, Refused) for note in notes),
            kills=_kills(notes),
            short=0 if device is None or asked.startswith("unplug") else device.requested - device.plugged,
            after=self.figures(after),
        )

    def _memmap_of(self, before: Look, after: Look) -> tuple[int, int]:
        """Return the bytes of memmap that blocks took of kernel zones, and those that they hold themselves."""
        now, then = after.memmap_blocks, before.memmap_blocks
        return (now[0] - then[0]) * self._memmap, (now[1] - then[1]) * self._memmap

    def given_back(self, number: int, asked: str) -> Return:
        """Return what came back when step ``number`` asked for it."""
        name = _device(asked)
        before, after = self._looks[number - 1], self._looks[number]
        notes = self._notes[before.notes : after.notes]
        at = us_to_seconds(before.t_us)
        had, left = before.devices.get(name), after.devices.get(name)
        if had is None:
            return Return(asked, at, name, 0, 0, (), _failures(notes), _kills(notes))
        # A device may lack more of its request than it is asked to give.
        wanted = max(0, had.plugged - _to_keep(left))
        returned = max(0, had.plugged - (0 if left is None else left.plugged))
        stays = tuple(_stays(after, name, notes)) if returned < wanted else ()
        return Return(asked, at, name, wanted, returned, stays, _failures(notes), _kills(notes))


def _device(asked: str) -> str:
    """Return the device that a written step is about."""
    op, _, text = asked.partition(" ")
    if op in ("plug", "demand"):
        return text.rpartition("id=")[2]
    return text.rpartition(":")[0] if op == "resize" else text


def _pieces(before: Look, after: Look, notes: Sequence[Note]) -> Iterator[Piece]:
    width = len(after.states)
    then = np.full(width, BlockState.ABSENT, dtype=np.int8)
    then[: len(before.states)] = before.states
    changed = then != after.states
    nodes = after.nodes
    reasons = dict(_reasons_told(notes))
    key = np.where(changed, then.astype(np.int64) * 1000 + after.states.astype(np.int64) + nodes * 100_000, -(1 << 40))
    for first, count in _runs(key):
        if not changed[first]:
            continue
        yield Piece(
            first,
            count,
            int(nodes[first]),
            state_label(int(then[first])),
            state_label(int(after.states[first])),
            tuple(_reasons(first, count, reasons)),
        )


def _reasons_told(notes: Sequence[Note]) -> Iterator[tuple[int, Reason]]:
    """Yield the reason that was told of each block, and of the first block that user space has missed of a run."""
    for note in notes:
        if isinstance(note, Decided):
            yield note.block, Reason(note.block, OnlineType(note.word).word, note.why.reason)
        elif isinstance(note, Missed):
            yield note.first, Reason(note.first, OnlineType.OFFLINE.word, MISSED)


def _reasons(first: int, count: int, told: dict[int, Reason]) -> Iterator[Reason]:
    """Yield the reason of the first block, and those that say something else than figures that go on."""
    last = ""
    for block in range(first, first + count):
        reason = told.get(block)
        if reason is None:
            continue
        said = re.sub(r"\d+", "#", reason.text)
        if said != last:
            yield reason
            last = said


def _runs(key: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (first, count) of each run of equal values."""
    if not len(key):
        return
    starts = np.concatenate(([0], np.flatnonzero(np.diff(key)) + 1))
    ends = np.append(starts[1:], len(key))
    yield from zip(starts.tolist(), (ends - starts).tolist(), strict=True)


def _by_zone(before: Look, after: Look) -> dict[str, int]:
    if before.guest is None or after.guest is None:
        return {}
    then, now = before.guest.memmap, after.guest.memmap
    changes = {
        zone: now.get(zone, 0) - then.get(zone, 0) for zone in (*then, *(zone for zone in now if zone not in then))
    }
    return {zone: change for zone, change in changes.items() if change}


def _failures(notes: Sequence[Note]) -> tuple[Failure, ...]:
    found = Counter((note.device, note.error.name, note.error.reason) for note in notes if isinstance(note, Failed))
    return tuple(Failure(*failure, times) for failure, times in found.items())


def _kills(notes: Sequence[Note]) -> tuple[str, ...]:
    return tuple(note.kill.told for note in notes if isinstance(note, OutOfMemory))


def _stays(look: Look, name: str, notes: Sequence[Note]) -> Iterator[Stay]:
    """Yield the blocks of a device that are there, by their state and why they are."""
    device = look.devices[name]
    there = look.of_device(name)
    key = np.where(there, look.states.astype(np.int64) * 2, -100)
    for note in notes:
        if isinstance(note, Refused) and there[note.block]:
            key[note.block] |= 1
    for first, count in _runs(key):
        if there[first]:
            state = int(look.states[first])
            yield Stay(first, count, state_label(state), _why(look, device.kind, state, refused=bool(key[first] & 1)))


def _why(look: Look, kind: str, state: int, *, refused: bool) -> str:
    if look.dead:
        return "the guest is dead"
    if refused:
        return "refused: there are pages that cannot move"
    if kind != VirtioMem.kind:
        return "the device goes as a whole"
    if state == BlockState.MOVABLE:
        return "in use"
    return "there are pages that cannot move"
