"""Whether a controller finds rest while a guest needs the same all the time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from sim.units import MICROSECONDS
from tests.workloads.watched_guest import Use, sizes, watched

if TYPE_CHECKING:
    from workloads.parts.controllers.controller import Controller


def turns(controller: Controller, used: int, *, boot: int, seconds: int, before: tuple[Use, ...] = ()) -> int:
    """Return how often it turns from growing to shrinking or back in so many seconds of the same ``used`` memory.

    ``before`` is what the guest did until then.
    """
    start = before[-1].at_us + MICROSECONDS if before else 0
    script = (*before, Use(start, used))
    host, _ = watched(controller, script, boot=boot, end_us=start + seconds * MICROSECONDS)
    first = host.devices["vmem0"].requested  # type: ignore[union-attr]
    asked = [(0.0, first), *sizes(host.calls)]
    settled = [size for at, size in asked if at * MICROSECONDS <= start][-1:]
    then = settled + [size for at, size in asked if at * MICROSECONDS > start]
    ways = [after > earlier for earlier, after in pairwise(then)]
    return sum(way != next_way for way, next_way in pairwise(ways))
