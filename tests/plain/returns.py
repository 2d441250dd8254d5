"""What was asked back and what became of it, device by device and instant by instant; the product-limit estimate."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.plain.run_files import ADD, DEATH, DEVICE, PLUG, REMOVE, REQUEST, SUBPLUG, SUBUNPLUG, UNPLUG

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Returns:
    """What was asked back: ``waits`` are of requests (pages, microseconds or None for never, whether fulfilled)."""

    asked: int
    returned: int
    unfulfilled: int
    held: int
    held_times_us: int
    first: int | None
    waits: list[tuple[int, int | None, bool]]


def follow_returns(rows: Sequence[Sequence[int]], devices: int, end: int) -> Returns:
    """Follow what is asked back, device by device and instant by instant."""
    death = min((row[0] for row in rows if row[1] == DEATH), default=None)
    found = Returns(0, 0, 0, 0, 0, None, [])
    for device in range(devices):
        mine = [row for row in rows if row[2] == device]
        _follow_device(found, mine, end, death)
    return found


def _follow_device(found: Returns, mine: list[Sequence[int]], end: int, death: int | None) -> None:  # noqa: C901, PLR0912, PLR0915
    asked: int | None = None
    last_request: int | None = None
    plugged = before = after = 0
    requests: list[dict[str, int]] = []
    queue: list[list[int]] = []  # number of the request, pages still there; the oldest first
    log: list[list[tuple[int, int]]] = []  # of each request, what came back when

    for t in sorted({row[0] for row in mine}):
        found.held_times_us += after * (t - before)
        before = t
        had: int = plugged
        wanted: int | None = asked
        for _, kind, _, _, count, _, pages in (row for row in mine if row[0] == t):
            if kind in (PLUG, ADD, SUBPLUG):
                plugged += pages
            elif kind in (REMOVE, UNPLUG, SUBUNPLUG):
                plugged -= pages
            elif kind == REQUEST:
                asked = pages
                if last_request is not None and pages < last_request:
                    found.first = t if found.first is None else min(found.first, t)
                last_request = pages
            elif kind == DEVICE and count == 0:
                asked = 0
        if death is not None and t > death:
            # A dead guest has for ever what it had, and what it was asked for.
            had = max(had, wanted or 0)
            plugged = max(had, asked or 0)
        too_much = 0 if wanted is None else max(0, had - wanted)
        between = 0 if asked is None else max(0, had - asked)
        after = 0 if asked is None else max(0, plugged - asked)
        rest = max(0, too_much - between)
        while rest:
            number, there = queue[-1]
            some = min(rest, there)
            rest -= some
            queue[-1][1] -= some
            if queue[-1][1] == 0:
                queue.pop()
            request = requests[number]
            if _is_back(request, log[number]) is None:
                dead = death is not None and t > death
                found.waits.append((some, None if dead else t - request["since"], False))
                found.unfulfilled += not request["failed"]
                request["failed"] = 1
                request["asked"] -= some
        new = max(0, between - too_much) + max(0, after - between)
        if new:
            found.first = t if found.first is None else min(found.first, t)
            found.asked += new
            queue.append([len(requests), new])
            requests.append({"since": t, "asked": new, "failed": 0})
            log.append([])
        rest = max(0, between - after)
        found.returned += rest
        while rest:
            some = min(rest, queue[0][1])
            rest -= some
            queue[0][1] -= some
            log[queue[0][0]].append((t, some))
            if queue[0][1] == 0:
                queue.pop(0)
    found.held += after
    found.held_times_us += after * (end - before)
    for request, back in zip(requests, log, strict=True):
        when = _is_back(request, back)
        if when is not None:
            found.waits.append((request["asked"], when - request["since"], True))
        elif request["asked"]:
            dead = death is not None and end > death
            found.waits.append((request["asked"], None if dead else end - request["since"], False))
            found.unfulfilled += not request["failed"]


def _is_back(request: dict[str, int], back: list[tuple[int, int]]) -> int | None:
    """Return when 95 % of what the request asks was back; None where it is not."""
    total = 0
    for t, pages in back:
        total += pages
        if request["asked"] and 100 * total >= 95 * request["asked"]:
            return t
    return None


def restricted_mean(waits: list[tuple[int, int | None, bool]], horizon: int) -> float:
    """Return the area under the product-limit curve, instant by instant, each wait looked at anew every time."""
    known = [(pages, horizon if after is None else min(after, horizon), back) for pages, after, back in waits]
    still = Fraction(1)
    area = Fraction(0)
    for then, now in pairwise([0, *sorted({after for _, after, _ in known} | {horizon})]):
        area += still * (now - then)
        at_risk = sum(pages for pages, after, _ in known if after >= now)
        back = sum(pages for pages, after, done in known if after == now and done)
        if at_risk:
            still *= Fraction(at_risk - back, at_risk)
    return float(area)
