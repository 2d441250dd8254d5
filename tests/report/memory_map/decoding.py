"""Reads a memory map back as ``memory-map-run.js`` does, plainly: every block by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.record.blockmap import BlockState
from sim.report.memory_map.changes import NO_REASON, PARTLY, STAYS
from sim.report.memory_map.texts import PAGES, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator


def unpacked(text: str) -> list[int]:
    values: list[int] = []
    for part in text.split(",") if text else []:
        value, _, times = part.partition("*")
        values += [int(value)] * int(times or 1)
    return values


def summed(values: list[int]) -> list[int]:
    total, sums = 0, []
    for value in values:
        total += value
        sums.append(total)
    return sums


def filled(pattern: str, args: list[int]) -> str:
    numbers = iter(args)
    return "".join(str(next(numbers)) if each in {PAGES, PLAIN} else each for each in pattern)


def changes_of(data: dict[str, Any]) -> Iterator[tuple[int, int, int, int, str | None]]:
    """Yield (tick, block, state, device, reason) of each block that changes, in order."""
    columns = [unpacked(data[name]) for name in ("first", "count", "state", "device", "why")]
    args, steps = iter(unpacked(data["args"])), iter(unpacked(data["steps"]))
    before: dict[int, list[int]] = {}
    end = 0
    for tick, gap, count, state, device, why in zip(summed(unpacked(data["t"])), *columns, strict=True):
        first = end + gap
        end = first + count
        own: list[int] = []
        by = [0] * 0
        if why != NO_REASON:
            places = sum(each in {PAGES, PLAIN} for each in data["texts"][why])
            known = before.get(why, [0] * places)
            own = [old + next(args) for old in known]
            by = [next(steps) if count > 1 else 0 for _ in range(places)]
            before[why] = own
        for place in range(count):
            numbers = [number + place * step for number, step in zip(own, by, strict=True)]
            reason = None if why == NO_REASON else filled(data["texts"][why], numbers)
            yield tick, first + place, state, device, reason
    assert next(args, None) is None
    assert next(steps, None) is None


def states_at(data: dict[str, Any], tick: int) -> dict[int, int]:
    """Return the state of each block that is there after ``tick``; what is partly unplugged counts as it is online."""
    state = {first + place: zone for first, count, zone, _ in data["boot"] for place in range(count)}
    for time, block, to, _, _ in changes_of(data):
        if time > tick:
            break
        if to != STAYS:
            state[block] = to - PARTLY if to >= PARTLY else to
    return {block: zone for block, zone in state.items() if zone != BlockState.ABSENT}
