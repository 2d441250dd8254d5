"""How long it takes until memory that is asked back has been given: every such request, followed to its end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.record.recorder import EventKind
from sim.record.series import NEVER_ASKED, device_histories

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.events import Events
    from sim.record.series import DeviceHistory

    Integers = npt.NDArray[np.int64]

MOST_OF_IT: Final = 95
"""Percent of what a request asks back that must be back for the request to count as fulfilled."""


@dataclass(frozen=True, slots=True)
class Wait:
    """``pages`` that were asked back together: after ``after_us`` they were back (``fulfilled``), or it was given up.

    ``after_us`` is None where they can never come back, because the guest is dead.
    """

    pages: int
    after_us: int | None
    fulfilled: bool


class Excess(NamedTuple):
    """What a device has beyond what is asked for: ``pages`` for ``dt_us`` microseconds each, two arrays of a length."""

    pages: Integers
    dt_us: Integers


@dataclass(slots=True)
class ShrinkRequests:
    """What became of the requests that asked memory back, over all devices.

    ``asked`` pages in all; ``returned`` of them came back by the end, ``wanted_again`` were before they could; the rest
    is :attr:`held`. ``unfulfilled`` counts the requests of which not enough came back before the host wanted any of it
    again or the run ended. ``first_us`` is when the host first asked any device for less than before, None where it
    never did. ``waits`` says how long the requests took, ``excess`` what each device held over time.
    """

    asked: int = 0
    returned: int = 0
    wanted_again: int = 0
    unfulfilled: int = 0
    first_us: int | None = None
    waits: list[Wait] = field(default_factory=list)
    excess: list[Excess] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Pages that are asked back at the end."""
        return self.asked - self.returned - self.wanted_again


def follow_shrink_requests(events: Events, duration_us: int) -> ShrinkRequests:
    """Follow every request that leaves a device with more than it asks for, for ``duration_us`` from time 0.

    What a request asks back is what it adds to that excess, so that asking again for what is outstanding is no further
    request, and asking for less still is one for the difference. The oldest request is given to first; who wants memory
    again takes it from the newest. All changes of one instant count as one, as in every series, the request first.

    A dead guest gives nothing back. What is asked for after its death, and asked back later, counts as if it had come
    and stayed: it must not be better to be dead when the host asks.
    """
    death = events.death
    found = ShrinkRequests(first_us=_first_shrink(events))
    for history in device_histories(events):
        _Device(found, history, duration_us, None if death is None else death.t_us).follow()
    return found


def _first_shrink(events: Events) -> int | None:
    """Return when the host first asked any device for less than before: what guests do has no part in it."""
    asking = events.where(events.kind == EventKind.REQUEST)
    order = np.argsort(asking.device, kind="stable")
    device, requested = asking.device[order], asking.requested[order]
    less = np.flatnonzero((device[1:] == device[:-1]) & (requested[1:] < requested[:-1])) + 1
    return int(asking.t_us[order[less]].min()) if len(less) else None


@dataclass(slots=True)
class _Request:
    """A request: since when, for how many pages (less what was wanted again), and how many of them are still there."""

    since_us: int
    pages: int
    left: int
    given_before: int
    """Pages that the device had given back when it began to give to this request, which it then does in one go."""
    done: bool = False
    failed: bool = False

    @property
    def enough(self) -> int:
        """Pages that must be back for the request to be fulfilled."""
        return -(-self.pages * MOST_OF_IT // 100)


class _Device:
    """One device's requests, the oldest first, while its history goes by."""

    def __init__(self, found: ShrinkRequests, history: DeviceHistory, duration_us: int, death_us: int | None) -> None:
        self._found = found
        self._t_us = history.t_us
        self._end_us = duration_us
        self._death_us = duration_us if death_us is None else death_us
        plugged = history.plugged if death_us is None else _kept_by_the_dead(history, death_us)
        # What is there beyond what is asked for: before an instant, after its request, and after all of it.
        after = np.maximum(plugged - history.requested, 0)
        before = np.concatenate((np.zeros(1, dtype=np.int64), after[:-1]))
        between = np.maximum(np.concatenate((np.zeros(1, dtype=np.int64), plugged[:-1])) - history.requested, 0)
        self._asked = np.maximum(between - before, 0) + np.maximum(after - between, 0)
        self._wanted = np.maximum(before - between, 0)
        self._excess = after
        self._given = np.cumsum(np.maximum(between - after, 0))
        self._open: deque[_Request] = deque()

    def follow(self) -> None:
        """Add what becomes of all requests to what was found."""
        found, given = self._found, self._given
        found.asked += int(self._asked.sum())
        found.wanted_again += int(self._wanted.sum())
        found.returned += int(given[-1])
        found.excess.append(Excess(self._excess, np.diff(self._t_us, append=self._end_us)))
        if self._asked.any():
            since_us = int(self._t_us[np.argmax(self._asked > 0)])
            found.first_us = since_us if found.first_us is None else min(found.first_us, since_us)
        marks = np.flatnonzero((self._asked > 0) | (self._wanted > 0)).tolist()
        for start, stop in pairwise([*marks, len(self._t_us)]):
            now_us = int(self._t_us[start])
            self._want_again(int(self._wanted[start]), now_us)
            if self._asked[start]:
                self._open.append(_Request(now_us, int(self._asked[start]), int(self._asked[start]), 0))
            self._give(int(given[start - 1]) if start else 0, int(given[stop - 1]))
        for request in self._open:
            if not request.done:
                self._give_up(request, request.pages, self._end_us)

    def _give(self, given: int, until: int) -> None:
        """Have the device, which has ``given`` so many pages back, give until it has given ``until``."""
        while given < until:
            request = self._open[0]
            if request.left == request.pages:
                request.given_before = given
            some = min(request.left, until - given)
            given += some
            request.left -= some
            self._look(request)
            if not request.left:
                self._open.popleft()

    def _look(self, request: _Request) -> None:
        """Note that the request is fulfilled, if it is, and from when on."""
        if not request.done and 0 < request.enough <= request.pages - request.left:
            request.done = True
            row = int(np.searchsorted(self._given, request.given_before + request.enough))
            self._found.waits.append(Wait(request.pages, int(self._t_us[row]) - request.since_us, fulfilled=True))

    def _want_again(self, pages: int, now_us: int) -> None:
        """Ask no more for so many pages of the newest requests; what is left of them goes on."""
        while pages:
            request = self._open[-1]
            some = min(pages, request.left)
            pages -= some
            request.left -= some
            if not request.done:
                self._give_up(request, some, now_us)
                request.pages -= some
                self._look(request)
            if not request.left:
                self._open.pop()

    def _give_up(self, request: _Request, pages: int, now_us: int) -> None:
        """Note that so many pages of a request were not seen to come back until ``now_us``."""
        # After its death a guest was never going to give them, however soon the host lost interest.
        after_us = None if now_us > self._death_us else now_us - request.since_us
        self._found.waits.append(Wait(pages, after_us, fulfilled=False))
        self._found.unfulfilled += not request.failed
        request.failed = True


def _kept_by_the_dead(history: DeviceHistory, death_us: int) -> Integers:
    """Return what the device has plugged, and from the guest's death on whatever was ever asked for since."""
    plugged = history.plugged.copy()
    asked = np.where(history.requested == NEVER_ASKED, 0, history.requested)
    last = max(int(np.searchsorted(history.t_us, death_us, side="right")) - 1, 0)
    plugged[last:] = np.maximum.accumulate(np.maximum(plugged, asked)[last:])
    return plugged
