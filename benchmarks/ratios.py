"""Costs as ratios to bare SimPy timeouts in the same process, interleaved, so that a noisy machine cancels out."""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING

import simpy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

BARE_EVENTS = 30_000


def bare_event() -> float:
    """Return seconds of CPU time for one ``yield env.timeout(1)`` in a process: the unit of every ratio here."""
    env = simpy.Environment()

    def process() -> Generator[simpy.Event, None, None]:
        for _ in range(BARE_EVENTS):
            yield env.timeout(1)

    env.process(process())
    return timed(env.run) / BARE_EVENTS


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of CPU time that ``work`` takes. The garbage collector runs, but over what ``work`` makes."""
    gc.collect()
    gc.freeze()
    try:
        start = time.process_time_ns()
        work()
        return (time.process_time_ns() - start) / 1e9
    finally:
        gc.unfreeze()


def against_bare(cost: Callable[[], float], rounds: int = 9) -> float:
    """Return the median over ``rounds`` of ``cost()`` seconds against a bare event measured before and after it."""
    ratios = []
    for _ in range(rounds):
        before = bare_event()
        seconds = cost()
        ratios.append(seconds / ((before + bare_event()) / 2))
    return statistics.median(ratios)


def ratio(first: Callable[[], float], second: Callable[[], float], rounds: int = 9) -> float:
    """Return the median over ``rounds`` of ``first()`` against ``second()``, measured in turn."""
    return statistics.median(first() / second() for _ in range(rounds))
