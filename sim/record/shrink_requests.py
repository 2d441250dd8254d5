"""How long it takes until memory that is asked back has been given: every such request, followed to its end."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np

from sim.record.arrays import lasting
from sim.record.events import NEVER_ASKED
from sim.record.recorder import EventKind
from sim.record.series import device_instants

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from sim.record.events import Events

    Integers = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_Amount = TypeVar("_Amount", int, "Integers")

MOST_OF_IT: Final = 95
"""Percent of what a request asks back that must be back for the request to count as fulfilled."""


NEVER: Final = np.iinfo(np.int64).max
"""Instead of microseconds: pages that can never come back, because the guest is dead."""


class Wait(NamedTuple):
    """``pages`` that were asked back together: after ``after_us`` they were back (``fulfilled``), or it was given up.

    ``after_us`` is NEVER where they can never come back.
    """

    pages: int
    after_us: int
    fulfilled: bool


class Waits(NamedTuple):
    """Many of them, as arrays of one length. See :class:`Wait`."""

    pages: Integers
    after_us: Integers
    fulfilled: Flags

    @classmethod
    def of(cls, waits: Sequence[Wait]) -> Waits:
        """Return these waits as arrays."""
        rows = np.array(waits, dtype=np.int64).reshape(-1, 3)
        return cls(rows[:, 0], rows[:, 1], rows[:, 2] > 0)

    def rows(self) -> list[Wait]:
        """Return them one by one."""
        return list(map(Wait, self.pages.tolist(), self.after_us.tolist(), self.fulfilled.tolist()))


class Excess(NamedTuple):
    """What devices have beyond what is asked for: ``pages`` for ``dt_us`` microseconds each, two arrays of a length."""

    pages: Integers
    dt_us: Integers


@dataclass(frozen=True, slots=True)
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
    unfulfilled: int
    waits: Waits

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

    dt_us = lasting(t_us, duration_us)
    dt_us[:-1][first[1:]] = duration_us - t_us[:-1][first[1:]]
    marks = np.flatnonzero(first | (asked > 0) | (wanted > 0))
    ends = np.append(marks[1:], len(t_us))[: len(marks)] - 1
    # Most requests find nothing that is asked back already, and have all that they ask for before the next one: these
    # need not be followed.
    alone = (before[marks] == 0) & (after[ends] == 0)
    follower = _Follower(t_us, given, duration_us, death_us)
    if not alone.all():
        numbers = np.flatnonzero(~alone)
        starts = marks[numbers]
        columns = (numbers, np.cumsum(first)[starts], starts, ends[numbers], asked[starts], wanted[starts])
        follower.follow(zip(*(column.tolist() for column in columns), strict=True))

    times = [_first_shrink(events), int(t_us[asked > 0].min()) if asked.any() else None]
    return ShrinkRequests(
        asked=int(asked.sum()),
        returned=int(given[-1]) if len(given) else 0,
        wanted_again=int(wanted.sum()),
        first_us=min((time for time in times if time is not None), default=None),
        excess=Excess(after, dt_us),
        unfulfilled=follower.unfulfilled,
        waits=_in_order(follower, *_waits_alone(marks, alone, asked, given, t_us)),
    )


def _waits_alone(
    marks: Integers, alone: Flags, asked: Integers, given: Integers, t_us: Integers
) -> tuple[Integers, Waits]:
    """Return the waits for requests that are ``alone``, and the number of each one's mark."""
    numbers = np.flatnonzero(alone)
    numbers = numbers[asked[marks[numbers]] > 0]
    starts = marks[numbers]
    pages = asked[starts]
    given_before = np.where(starts > 0, given[starts - 1], 0)
    fulfilled = np.searchsorted(given, given_before + _enough(pages))
    return numbers, Waits(pages, t_us[fulfilled] - t_us[starts], np.ones(len(pages), dtype=np.bool_))


def _in_order(follower: _Follower, numbers: Integers, waits: Waits) -> Waits:
    """Return all waits in the order of the marks at which they ended."""
    if not follower.waits:
        return waits
    others = Waits.of(follower.waits)
    order = np.argsort(np.concatenate((np.array(follower.numbers, dtype=np.int64), numbers)), kind="stable")
    return Waits(
        np.concatenate((others.pages, waits.pages))[order],
        np.concatenate((others.after_us, waits.after_us))[order],
        np.concatenate((others.fulfilled, waits.fulfilled))[order],
    )


def _the_one_before(values: Integers, first: Flags) -> Integers:
    """Return each device's value at the instant before: 0 at its first."""
    shifted = np.zeros(len(values), dtype=np.int64)
    shifted[1:] = values[:-1]
    shifted[first] = 0
    return shifted


def _first_shrink(events: Events) -> int | None:
    """Return when the host first asked any device for less than before: what guests do has no part in it."""
    asking = events.where(events.of_kind(EventKind.REQUEST))
    order = np.argsort(asking.device, kind="stable")
    device, requested = asking.device[order], asking.requested[order]
    less = np.flatnonzero((device[1:] == device[:-1]) & (requested[1:] < requested[:-1])) + 1
    return int(asking.t_us[order[less]].min()) if len(less) else None


def _enough(pages: _Amount) -> _Amount:
    """Return the pages that must be back for a request of so many to be fulfilled."""
    return -(-pages * MOST_OF_IT // 100)


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


class _Follower:
    """Follows the requests of one device after the other; those that are open are kept with the oldest first.

    ``waits`` are the waits that have ended, ``numbers`` those of the marks at which they did, ``unfulfilled`` counts
    the requests of which some was given up.
    """

    def __init__(self, t_us: Integers, given: Integers, duration_us: int, death_us: int | None) -> None:
        self._t_us: list[int] = t_us.tolist()
        self._given: list[int] = given.tolist()
        self._end_us = duration_us
        self._death_us = duration_us if death_us is None else death_us
        self._open: deque[_Request] = deque()
        self._number = 0
        self.waits: list[Wait] = []
        self.numbers: list[int] = []
        self.unfulfilled = 0

    def follow(self, marks: Iterable[tuple[int, int, int, int, int, int]]) -> None:
        """Follow what is asked at ``marks``: number, device, first and last row, pages asked back and wanted again.

        What a device has given from the first to the last row is given to what is open then; where a mark is left out,
        nothing is.
        """
        last_device = 0
        for number, device, start, last, more, less in marks:
            if device != last_device:
                self._end_of_device()
                last_device = device
            self._number = number
            now_us = self._t_us[start]
            if less:
                self._want_again(less, now_us)
            if more:
                self._open.append(_Request(now_us, more, more, 0))
            if self._open:
                self._give(self._given[start - 1] if start else 0, self._given[last])
        self._end_of_device()

    def _end_of_device(self) -> None:
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
        enough = _enough(request.pages)
        if not request.done and 0 < enough <= request.pages - request.left:
            request.done = True
            row = bisect_left(self._given, request.given_before + enough)
            self._note(Wait(request.pages, self._t_us[row] - request.since_us, fulfilled=True))

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
        after_us = NEVER if now_us > self._death_us else now_us - request.since_us
        self._note(Wait(pages, after_us, fulfilled=False))
        self.unfulfilled += not request.failed
        request.failed = True

    def _note(self, wait: Wait) -> None:
        self.waits.append(wait)
        self.numbers.append(self._number)


def _kept_by_the_dead(death_us: int, first: Flags, t_us: Integers, plugged: Integers, requested: Integers) -> Integers:
    """Return what each device has plugged, and from the guest's death on whatever was ever asked for since."""
    kept = plugged.copy()
    most = np.maximum(plugged, np.where(requested == NEVER_ASKED, 0, requested))
    for start, stop in pairwise([*np.flatnonzero(first).tolist(), len(t_us)]):
        last = max(start + int(np.searchsorted(t_us[start:stop], death_us, side="right")) - 1, start)
        kept[last:stop] = np.maximum.accumulate(most[last:stop])
    return kept
