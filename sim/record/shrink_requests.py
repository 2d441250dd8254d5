"""How long it takes until memory that is asked back has been given: every such request, followed to its end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sim.record.recorder import EventKind
from sim.record.series import NEVER_ASKED, device_instants

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.events import Events

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

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
    """What devices have beyond what is asked for: ``pages`` for ``dt_us`` microseconds each, two arrays of a length."""

    pages: Integers
    dt_us: Integers


@dataclass(slots=True)
class ShrinkRequests:
    """What became of the requests that asked memory back, over all devices.

    ``asked`` pages in all; ``returned`` of them came back by the end, ``wanted_again`` were before they could; the rest
    is :attr:`held`. ``unfulfilled`` counts the requests of which not enough came back before the host wanted any of it
    again or the run ended. ``first_us`` is when the host first asked any device for less than before, None where it
    never did. ``waits`` says how long the requests took, ``excess`` what was held over time, device by device.
    """

    asked: int
    returned: int
    wanted_again: int
    first_us: int | None
    excess: Excess
    unfulfilled: int = 0
    waits: list[Wait] = field(default_factory=list)

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
    death_us = None if events.death is None else events.death.t_us
    first, t_us, plugged, requested = device_instants(events)
    if death_us is not None:
        plugged = _kept_by_the_dead(death_us, first, t_us, plugged, requested)
    # What is there beyond what is asked for: before an instant, after its request, and after all of it.
    after = np.maximum(plugged - requested, 0)
    before = _the_one_before(after, first)
    between = np.maximum(_the_one_before(plugged, first) - requested, 0)
    asked = np.maximum(between - before, 0) + np.maximum(after - between, 0)
    wanted = np.maximum(before - between, 0)
    given = np.cumsum(np.maximum(between - after, 0))

    dt_us = np.diff(t_us, append=duration_us)
    dt_us[:-1][first[1:]] = duration_us - t_us[:-1][first[1:]]
    times = [_first_shrink(events), int(t_us[asked > 0].min()) if asked.any() else None]
    found = ShrinkRequests(
        asked=int(asked.sum()),
        returned=int(given[-1]) if len(given) else 0,
        wanted_again=int(wanted.sum()),
        first_us=min((time for time in times if time is not None), default=None),
        excess=Excess(after, dt_us),
    )
    follower = _Follower(found, t_us, given, duration_us, death_us)
    marks = np.flatnonzero(first | (asked > 0) | (wanted > 0))
    rows = zip(marks.tolist(), first[marks].tolist(), asked[marks].tolist(), wanted[marks].tolist(), strict=True)
    for (start, anew, more, less), (stop, *_) in pairwise([*rows, (len(t_us),)]):
        if anew:
            follower.end_of_device()
        follower.look(start, stop, more, less)
    follower.end_of_device()
    return found


def _the_one_before(values: Integers, first: Flags) -> Integers:
    """Return each device's value at the instant before: 0 at its first."""
    shifted = np.zeros(len(values), dtype=np.int64)
    shifted[1:] = values[:-1]
    shifted[first] = 0
    return shifted


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


class _Follower:
    """Follows the requests of one device after the other; those that are open are kept with the oldest first."""

    def __init__(
        self, found: ShrinkRequests, t_us: Integers, given: Integers, duration_us: int, death_us: int | None
    ) -> None:
        self._found = found
        self._t_us = t_us
        self._given = given
        self._end_us = duration_us
        self._death_us = duration_us if death_us is None else death_us
        self._open: deque[_Request] = deque()

    def look(self, start: int, stop: int, more: int, less: int) -> None:
        """Ask for ``more`` pages back and ``less`` no more in the instant ``start``, and see what is given to ``stop``.

        Both are rows; in between, nothing else is asked.
        """
        now_us = int(self._t_us[start])
        if less:
            self._want_again(less, now_us)
        if more:
            self._open.append(_Request(now_us, more, more, 0))
        if self._open:
            self._give(int(self._given[start - 1]) if start else 0, int(self._given[stop - 1]))

    def end_of_device(self) -> None:
        """Give up what the device still holds when the run ends."""
        for request in self._open:
            if not request.done:
                self._give_up(request, request.pages, self._end_us)
        self._open.clear()

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


def _kept_by_the_dead(death_us: int, first: Flags, t_us: Integers, plugged: Integers, requested: Integers) -> Integers:
    """Return what each device has plugged, and from the guest's death on whatever was ever asked for since."""
    kept = plugged.copy()
    most = np.maximum(plugged, np.where(requested == NEVER_ASKED, 0, requested))
    for start, stop in pairwise([*np.flatnonzero(first).tolist(), len(t_us)]):
        last = max(start + int(np.searchsorted(t_us[start:stop], death_us, side="right")) - 1, start)
        kept[last:stop] = np.maximum.accumulate(most[last:stop])
    return kept
