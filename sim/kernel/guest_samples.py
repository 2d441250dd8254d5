"""What a guest looks like over time: a sample after every change, and now and then in between."""

from __future__ import annotations

from array import array
from heapq import heappush
from typing import TYPE_CHECKING, Final

import numpy as np
from simpy.events import NORMAL, URGENT, Event

from sim.record.guest_series import GUEST_SERIES
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    import numpy.typing as npt
    import simpy

    from sim.guest import GuestModel
    from sim.kernel.returnable import Returnable
    from sim.kernel.wishes import Wishes

MOST_SAMPLES: Final = 5_000
"""Periodic samples of a run, unless it asks for a period of its own."""


class GuestSamples:
    """Samples of ``model`` at the times of ``env``; ``wishes`` are those of its loads, in pages of ``page_size`` bytes.

    Most samples show what the last one did, as only time has passed: what they show is kept once, and looked for again
    when the guest or one of its devices may have changed. ``returnable`` is what the devices could give back, None for
    nothing.
    """

    def __init__(self, env: simpy.Environment, model: GuestModel, wishes: Wishes, page_size: int) -> None:
        self.returnable: Returnable | None = None
        self._env = env
        self._model = model
        self._wishes = wishes
        self._page_size = page_size
        self._times = array("q")
        self._stalled = array("q")
        self._rows = array("q")
        """All else that is sampled."""
        self._since = array("q")
        """By row: the first sample that shows it."""
        self._changes = -1
        """As of how many changes of the guest the last row is."""

    def take(self) -> None:
        """Note what the guest looks like now."""
        model, now = self._model, int(self._env._now)  # noqa: SLF001 - env.now costs a call
        model.advance(now)
        returnable = self.returnable
        changes = model.changes.count
        if changes != self._changes or (returnable is not None and returnable.may_differ()):
            self._changes = changes
            self._since.append(len(self._times))
            self._rows.extend(self._row(returnable))
        self._times.append(now)
        self._stalled.append(model.stalls.total_us(now))

    def _row(self, returnable: Returnable | None) -> tuple[int, ...]:
        """Return all columns but the last, which time alone changes. In a dead guest nothing is free or returns."""
        sums = self._model.meminfo.sums()
        unserved = self._wishes.unserved // self._page_size
        if self._model.killer.guest_died:
            return (0, 0, 0, 0, 0, 0, sums.user, sums.kernel, sums.memmap, unserved)
        headroom, headroom_free, free_movable, available, managed, user, kernel, memmap, room = sums
        pages = 0 if returnable is None else returnable.pages(room)
        return (headroom, headroom_free, free_movable, available, managed, pages, user, kernel, memmap, unserved)

    def start(self, period_us: int) -> None:
        """Take a sample now, before all else of this moment, and every ``period_us`` from then on."""
        env, queue, numbers = self._env, self._env._queue, self._env._eid  # noqa: SLF001 - see sim.kernel.worker
        take = self.take
        # One event for all samples, scheduled anew each time: a process that waits for timeouts takes twice as long. Of
        # those that nothing comes between it takes none: they repeat the last one.
        event = Event(env)
        event._ok, event._value = True, None  # noqa: SLF001

        def tick(_event: Event) -> None:
            take()
            if queue and queue[0][0] > env._now + period_us:  # noqa: SLF001
                self._take_ahead(period_us)
            event.callbacks = callbacks  # type: ignore[assignment]
            heappush(queue, (env._now + period_us, NORMAL, next(numbers), event))  # noqa: SLF001

        callbacks = [tick]
        event.callbacks = callbacks  # type: ignore[assignment]
        env.schedule(event, URGENT)

    def _take_ahead(self, period_us: int) -> None:
        """Take all periodic samples until the next event: they show what the last one does. Then it is that late."""
        env, queue, model = self._env, self._env._queue, self._model  # noqa: SLF001 - see sim.kernel.worker
        now = int(env._now)  # noqa: SLF001
        last = now + int((queue[0][0] - 1 - now) // period_us) * period_us
        if model.rests_until(last):
            times = range(now + period_us, last + 1, period_us)
            self._times.extend(times)
            self._stalled.extend(model.stalls.totals_us(times))
            model.advance(last)
            env._now = last  # noqa: SLF001

    def series(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return the samples: the columns :data:`sim.record.guest_series.GUEST_COLUMNS`, arrays of one length."""
        *held, waited = GUEST_SERIES
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, len(held))
        since = np.array([*self._since, len(self._times)], dtype=np.int64)
        samples = since[1:] - since[:-1]
        columns = {name: np.repeat(rows[:, number], samples) for number, name in enumerate(held)}
        times, stalled = (np.array(each, dtype=np.int64) for each in (self._times, self._stalled))
        return {"t_us": times, **columns, waited: stalled}


def period_us(asked_us: int, end_us: int) -> int:
    """Return the period of samples of a run until ``end_us``: as asked for, or (0) of about 5,000, a second or more."""
    return asked_us or max(MICROSECONDS, end_us // MOST_SAMPLES)
