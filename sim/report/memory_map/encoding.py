"""A memory map through time as little JSON: what is there at boot, and what changes, run by run, reasons told once."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from sim.report.charts.stepped import one_in_columns
from sim.report.memory_map.changes import NO_REASON, at_first, changes, marks
from sim.report.memory_map.texts import Texts, packed
from sim.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.kernel.diary import Note
    from sim.record.run_result import RunResult
    from sim.report.memory_map.changes import Change
    from sim.report.memory_map.texts import Args

MOST_CHANGES: Final = 400_000
"""Blocks that change state in a run up to which a map is made of it."""

_FINEST: Final = 20_000
_COARSEST: Final = 100
"""Steps into which a run's time is divided at most, and at least."""

_HEADROOM: Final = 240
"""Columns of time in which the least headroom is told."""


class _Run(NamedTuple):
    """Adjacent blocks that change alike in one tick; numbers in the reason grow by ``steps`` from block to block."""

    tick: int
    first: int
    blocks: int
    state: int
    device: int
    why: int
    args: Args
    steps: Args


def encoded(result: RunResult, notes: Sequence[tuple[int, Note]], most: int) -> dict[str, Any] | None:
    """Return the map of ``result`` as JSON types in about ``most`` bytes; None where that is not possible.

    Times are in ticks of ``tick`` microseconds, as coarse as it takes: what happens within a tick is one moment.
    """
    texts = Texts()
    every: list[Change] = []
    for change in changes(result, notes, texts):
        every.append(change)
        if len(every) > MOST_CHANGES:
            return None
    told = marks(result, notes, texts)
    tick = _tick(result.duration_us / _FINEST)
    while True:
        whole = _with_tick(result, every, tick)
        whole["marks"] = {
            "t": packed(np.diff([mark.t_us // tick for mark in told], prepend=0).tolist()),
            "why": packed(mark.why for mark in told),
            "args": packed(number for mark in told for number in mark.args),
            "grave": packed(int(mark.grave) for mark in told),
        }
        whole["texts"] = texts.patterns
        if len(json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()) <= most:
            return whole
        if tick * _COARSEST >= result.duration_us:
            return None
        tick = _tick(tick * 1.01)


def _tick(least: float) -> int:
    """Return the smallest of 1, 2, 5, 10, ... microseconds that is not less than ``least``."""
    power = 10 ** max(0, math.floor(math.log10(max(least, 1.0))))
    return next(int(each * power) for each in (1, 2, 5, 10, 20) if each * power >= least)


def _with_tick(result: RunResult, every: Sequence[Change], tick: int) -> dict[str, Any]:
    runs = _runs(every, tick)
    ends = [run.first + run.blocks for run in runs]
    page = result.page_size
    return {
        "tick": tick,
        "end": -(-result.duration_us // tick),
        "block": result.block_pages * page,
        "page": page,
        "kernel": result.boot.kernel_pages * page,
        "movable": result.boot.movable_pages * page,
        "devices": list(result.device_names),
        "nodes": list(result.device_nodes),
        "boot": at_first(result),
        "t": packed(np.diff([run.tick for run in runs], prepend=0).tolist()),
        "first": packed(run.first - before for run, before in zip(runs, [0, *ends], strict=False)),
        "count": packed(run.blocks for run in runs),
        "state": packed(run.state for run in runs),
        "device": packed(run.device for run in runs),
        "why": packed(run.why for run in runs),
        "args": packed(_since(runs)),
        "steps": packed(step for run in runs if run.blocks > 1 for step in run.steps),
        "headroom": _headroom(result),
    }


def _runs(every: Sequence[Change], tick: int) -> list[_Run]:
    """Return the changes, adjacent ones of one tick together where they say the same."""
    runs: list[_Run] = []
    for change in every:
        at = change.t_us // tick
        last = runs[-1] if runs else None
        if last is not None and last[3:6] == change[3:6] and last.tick == at:
            if change.first == last.first + last.blocks and change.blocks == 1:
                steps = last.steps
                if last.blocks == 1:
                    steps = tuple(new - old for new, old in zip(change.args, last.args, strict=True))
                wanted = tuple(old + last.blocks * step for old, step in zip(last.args, steps, strict=True))
                if change.args == wanted:
                    runs[-1] = last._replace(blocks=last.blocks + 1, steps=steps)
                    continue
            elif change.first + change.blocks == last.first and not any(last.steps) and change.args == last.args:
                # Downwards, as devices are emptied.
                runs[-1] = last._replace(first=change.first, blocks=last.blocks + change.blocks)
                continue
        runs.append(_Run(at, *change[1:], tuple(0 for _ in change.args)))
    return runs


def _since(runs: Sequence[_Run]) -> list[int]:
    """Return the numbers of all reasons, each as its difference to the one in the same place of its pattern before."""
    before: dict[int, Args] = {}
    numbers: list[int] = []
    for run in runs:
        if run.why == NO_REASON:
            continue
        known = before.get(run.why, (0,) * len(run.args))
        numbers += [new - old for new, old in zip(run.args, known, strict=True)]
        before[run.why] = run.args
    return numbers


def _headroom(result: RunResult) -> str:
    """Return the least headroom in each column of time, in MiB; nothing where no guest is modelled."""
    if "headroom" not in result.guest:
        return ""
    values = result.guest["headroom"].astype(np.float64) * result.page_size / MIB
    low = one_in_columns(result.guest["t_us"], values, result.duration_us, _HEADROOM).low
    rows = np.nan_to_num(low, nan=0.0).astype(np.int64)
    return packed(np.diff(rows, prepend=0).tolist())
